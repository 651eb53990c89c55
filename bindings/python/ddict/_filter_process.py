# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The process that Dictionary.filter starts on a node: it runs the function and sends what it yields."""

from __future__ import annotations

import os
import pickle
import socket
import sys
import threading
import traceback
from typing import Any, Iterable, Optional

from ddict import _frames

ITEMS_AHEAD_MAX = 1024
CONNECT_SECONDS = 10.0


class _Sender(threading.Thread):
    """Sends what is there, together, as soon as the receiver takes it; the function waits for it when it is far ahead."""

    def __init__(self, to: socket.socket) -> None:
        super().__init__(daemon=True)
        self.to = to
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
                _frames.send(self.to, _frames.dumps(("items", items)))
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


def _connect(hosts: list[str], port: int) -> socket.socket:
    failures = []
    for host in hosts:
        try:
            return socket.create_connection((host, port), CONNECT_SECONDS)
        except OSError as failure:
            failures.append(f"{host}: {failure}")
    sys.exit(f"ddict: the program that filters cannot be reached from {socket.gethostname()}: {'; '.join(failures)}")


def _failed(failure: BaseException) -> bytes:
    text = "".join(traceback.format_exception(type(failure), failure, failure.__traceback__))
    try:
        pickled: Optional[bytes] = _frames.dumps(failure)
        pickle.loads(pickled)  # type: ignore[arg-type]
    except Exception:
        pickled = None
    return _frames.dumps(("error", pickled, text))


def run(begin: dict[str, Any]) -> None:
    """What the command line of the process calls with what has come on standard input: whom to connect to, and the secret."""
    launch_node = os.environ.get("SLURM_LAUNCH_NODE_IPADDR")
    hosts = ([launch_node] if launch_node and not begin["here"] else []) + begin["hosts"]
    with _connect(hosts, begin["port"]) as other:
        if not _frames.is_trusted(other, bytes.fromhex(begin["secret"]), b"process", b"filter"):
            sys.exit("ddict: somebody else than the program that filters has answered")
        _frames.send(other, _frames.dumps(os.environ.get("SLURMD_NODENAME") or socket.gethostname()))
        other.settimeout(None)
        _frames.watch(other)
        work = _frames.receive(other)
        threading.Thread(target=_watch, args=(other,), daemon=True).start()
        sender = _Sender(other)
        sender.start()
        try:
            local, function, args = pickle.loads(work)
            found: Optional[Iterable[Any]] = function(local, *args)
            for item in found if found is not None else ():
                sender.put(item)
            sender.finish()
            end = _frames.dumps(("end",))
        except BaseException as failure:
            end = _failed(failure)
        try:
            if sender.is_alive():
                sender.finish()
        except BaseException:
            pass  # the failure that is told is the first one
        sys.stdout.flush()
        sys.stderr.flush()
        _frames.send(other, end)
    os._exit(0)
