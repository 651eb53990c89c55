# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The process that Dictionary.filter starts on a node: it runs the function and sends what it yields."""

from __future__ import annotations

import os
import socket
import sys
import threading
import traceback
from typing import Any, Iterable, Optional

from ddict import _frames, _pickles

ITEMS_AHEAD_MAX = 1024
CONNECT_SECONDS = 10.0


class _Sender(threading.Thread):
    """Sends what is there, together, as soon as the receiver takes it; the function waits for it when it is far ahead."""

    def __init__(self, to: _frames.Channel, handles: _pickles.Handles) -> None:
        super().__init__(daemon=True)
        self.to = to
        self.handles = handles
        self.items: list[Any] = []
        self.is_over = False
        self.failure: Optional[BaseException] = None
        self.changed = threading.Condition()

    def put(self, item: Any) -> None:
        with self.changed:
            self.changed.wait_for(lambda: len(self.items) < ITEMS_AHEAD_MAX or self.failure)
            if self.failure:
                raise self.failure
            self.items.append(item)
            self.changed.notify_all()

    def finish(self) -> None:
        with self.changed:
            self.is_over = True
            self.changed.notify_all()
        self.join()
        if self.failure:
            raise self.failure

    def run(self) -> None:
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.items or self.is_over)
                items, self.items = self.items, []
                self.changed.notify_all()
            if not items:
                return
            try:
                self.to.send(self.handles.dumps(("items", items)))
            except OSError:
                os._exit(0)  # nobody wants them any more
            except BaseException as failure:  # an item that cannot be pickled
                with self.changed:
                    self.failure = failure
                    self.changed.notify_all()
                return


def _watch(other: socket.socket) -> None:
    """Whoever began this has ended, or has closed the filter: whatever the function is doing is of no use."""
    try:
        other.recv(1)
    except OSError:
        pass
    os._exit(0)


def _connect(begin: dict[str, Any]) -> _frames.Channel:
    launch_node = os.environ.get("SLURM_LAUNCH_NODE_IPADDR")
    hosts = ([launch_node] if launch_node and not begin["here"] else []) + begin["hosts"]
    node = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    failures = []
    for host in hosts:
        try:
            other = socket.create_connection((host, begin["port"]), CONNECT_SECONDS)
        except OSError as failure:
            failures.append(f"{host}: {failure}")
            continue
        try:
            return _frames.join(other, bytes.fromhex(begin["secret"]), node)
        except (OSError, EOFError) as failure:  # on that host somebody else has this port
            other.close()
            failures.append(f"{host}: {failure}")
    sys.exit(f"ddict: the program that filters cannot be reached from {socket.gethostname()}: {'; '.join(failures)}")


def _failed(failure: BaseException, handles: _pickles.Handles) -> bytes:
    text = "".join(traceback.format_exception(type(failure), failure, failure.__traceback__))
    try:
        pickled: Optional[bytes] = handles.dumps(failure)
        handles.loads(pickled)  # type: ignore[arg-type]
    except Exception:
        pickled = None
    return handles.dumps(("error", pickled, text))


def _work(channel: _frames.Channel) -> bytes:
    try:
        return channel.receive()
    except EOFError:
        os._exit(0)  # the filter was closed meanwhile
    except OSError as failure:
        sys.exit(f"ddict: the program that filters has given no work to {socket.gethostname()}: {failure}")


def run(begin: dict[str, Any]) -> None:
    """What the command line of the process calls with what has come on standard input: whom to connect to, the secret, and the handles
    of dictionaries."""
    handles = _pickles.Handles(begin["handles"])
    channel = _connect(begin)
    work = _work(channel)
    threading.Thread(target=_watch, args=(channel.socket,), daemon=True).start()
    sender = _Sender(channel, handles)
    sender.start()
    try:
        local, function, args = handles.loads(work)
        found: Optional[Iterable[Any]] = function(local, *args)
        for item in found if found is not None else ():
            sender.put(item)
        sender.finish()
        end = handles.dumps(("end",))
    except BaseException as failure:
        end = _failed(failure, handles)
    try:
        if sender.is_alive():
            sender.finish()
    except BaseException:
        pass  # the failure that is told is the first one
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        channel.send(end)
    except OSError:
        pass  # nobody wants it any more
    os._exit(0)
