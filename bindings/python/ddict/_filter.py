# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Dictionary.filter: a function of the program's runs in one process on each node, beside the pairs that live there."""

from __future__ import annotations

import heapq
import json
import os
import pathlib
import secrets
import select
import socket
import subprocess
import sys
import time
from typing import Any, Callable, Iterator, Optional, cast

from ddict import _errors, _frames, _pickles
from ddict._ddict import Dictionary

START_SECONDS = 60.0
HANDSHAKE_SECONDS = 5.0
HANDSHAKES_MAX = 256
LOOK_SECONDS = 0.1
END_SECONDS = 5.0
# What a process begins with. Only sys is imported before the program's own path is set: "-c" has put the folder that it runs in first.
_BEGIN = ("import sys; sys.path[:] = filter(None, sys.path); import json; begin = json.loads(sys.stdin.readline()); "
          "sys.path[:] = begin['path']; from ddict import _filter_process; _filter_process.run(begin)")
# What srun reads from the environment are mostly options of the batch script; of them only what says which job this is.
_KEPT = ("SLURM_CONF", "SLURM_WORKING_CLUSTER", "SLURM_JWT", "SLURM_JOB_ID", "SLURM_NETWORK")


class RemoteTraceback(Exception):
    """Where an exception comes from that was raised on a node: the cause of that exception."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class _Stream:
    """What comes from one node."""

    def __init__(self, of: _frames.Channel, node: str, handles: _pickles.Handles) -> None:
        self.channel = of
        self.node = node
        self.is_over = False
        self._handles = handles

    def send(self, work: bytes) -> None:
        try:
            self.channel.send(work)
        except OSError as why:
            raise self._lost(why) from why

    def receive(self) -> list[Any]:
        """The next items; none at the end. Requires: something has come, or will come soon."""
        try:
            pickled = self.channel.receive()
        except (OSError, EOFError) as why:
            raise self._lost(why) from why
        kind, *content = self._handles.loads(pickled)
        if kind == "items":
            return list(content[0])
        self.is_over = True
        if kind == "error":
            self._raise(*content)
        return []

    def end(self, everywhere: bool) -> None:
        """Of this process alone unless everywhere: a child of fork() has a copy of the connection, which is its parent's."""
        self.is_over = True
        if everywhere:
            try:
                self.channel.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the other side has done so
        self.channel.socket.close()

    def _lost(self, why: Exception) -> _errors.SystemFailure:
        self.is_over = True
        text = f"what comes from the process on node {self.node} is not what it has sent: {why}" if isinstance(why, _frames.Forged) else \
            (f"the process on node {self.node} has ended before its function; its own words, if it had any, are on the standard error "
             "output")
        return _errors.SystemFailure(f"filter: {text}", operation="filter", node=self.node)

    def _raise(self, pickled: Optional[bytes], text: str) -> None:
        try:
            failure = self._handles.loads(pickled) if pickled is not None else None
        except Exception:  # of a class that is not here
            failure = None
        if not isinstance(failure, Exception):
            failure = _errors.SystemFailure(f"filter: the function has failed on node {self.node}", operation="filter", node=self.node)
        raise failure from RemoteTraceback(f"on node {self.node}\n{text}")


class Filter:
    """What the functions of Dictionary.filter() yield, as it comes: an iterator, and a context manager that ends the processes.

    close() may be called at any time; so may the iteration be left. One thread at a time."""

    _items: Iterator[Any]

    def __init__(self, dictionary: Dictionary, function: Callable[..., Any], args: tuple[Any, ...],
                 key: Optional[Callable[[Any], Any]]) -> None:
        self._maker = os.getpid()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._streams: list[_Stream] = []
        self._is_started = False
        self._handles = _pickles.Handles()
        if not callable(function):
            raise TypeError(f"filter takes a function, not a {type(function).__name__!r}")
        work = _pickled(self._handles, dictionary, function, args)
        try:
            self._start(dictionary, work)
        except BaseException:
            self.close()
            raise
        self._items = _as_they_come(self._streams) if key is None else iter(heapq.merge(*map(_of, self._streams), key=key))

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._items)
        except BaseException:  # the end, an error of a function, or Ctrl-C
            self.close()
            raise

    def __enter__(self) -> Filter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Ends the processes, whatever their functions are doing, and the iteration. In a child of fork(), only the iteration there."""
        is_maker = os.getpid() == self._maker
        for stream in self._streams:
            stream.end(everywhere=is_maker)
        if is_maker:
            _end(self._processes, END_SECONDS if self._is_started else 0.0)
        for process in self._processes:
            process.poll()  # in a child of fork() they are none of its own: so Python hears that nothing is to be waited for
        self._processes = []
        self._items = iter(())

    def _start(self, dictionary: Dictionary, work: bytes) -> None:
        here, elsewhere = _nodes_of(dictionary)
        secret = secrets.token_bytes(32)
        try:
            listener = socket.create_server(("" if elsewhere else "127.0.0.1", 0), backlog=1024)
        except OSError as why:
            raise _errors.SystemFailure(f"filter: no port can be opened for the processes: {why}", operation="filter") from why
        with listener:
            message = {"path": _path(), "secret": secret.hex(), "handles": self._handles.all, "port": listener.getsockname()[1]}
            program = [sys.executable, "-c", _BEGIN]
            if here:
                self._run(program, os.environ, {**message, "here": True, "hosts": ["127.0.0.1"]})
            if elsewhere:
                hosts = [name for name in (os.environ.get("SLURMD_NODENAME"), socket.gethostname()) if name]
                command, environment = _srun(elsewhere)
                self._run(command + program, environment, {**message, "here": False, "hosts": hosts})
            self._accept(listener, secret, here + len(elsewhere))
        # Not before all are there: a process that ends early has failed, and not just been quick.
        self._is_started = True
        for stream in self._streams:
            stream.send(work)

    def _run(self, command: list[str], environment: Any, message: dict[str, Any]) -> None:
        try:
            # A session of its own: Ctrl-C is for this program, which then closes the connections.
            process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)
        except OSError as why:
            raise _errors.SystemFailure(f"filter: {command[0]} cannot be run: {why}", operation="filter") from why
        self._processes.append(process)
        assert process.stdin is not None
        try:
            with process.stdin as to:
                to.write(json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            pass  # it has ended, which is seen where it is waited for

    def _accept(self, listener: socket.socket, secret: bytes, count: int) -> None:
        """Until all processes have shown that they are these. Whoever else connects keeps none of them waiting."""
        latest = time.monotonic() + START_SECONDS
        with _Reception(listener, secret) as reception:
            while len(self._streams) < count:
                if time.monotonic() > latest:
                    raise _errors.Timeout(f"filter: {len(self._streams)} of {count} processes have connected within "
                                          f"{START_SECONDS:.0f} s", operation="filter")
                try:
                    self._streams += [_Stream(*found, self._handles) for found in reception.next()]
                except OSError as why:
                    raise _errors.SystemFailure(f"filter: connections of the processes cannot be accepted: {why}",
                                                operation="filter") from why
                if len(self._streams) < count:
                    self._check_processes()

    def _check_processes(self) -> None:
        for process in self._processes:
            if process.poll() is not None:
                raise _errors.SystemFailure(f"filter: a process that was started has ended with status {process.returncode}; its own "
                                            "words are on the standard error output", operation="filter")


class _Reception:
    """All handshakes side by side, each with a deadline."""

    def __init__(self, listener: socket.socket, secret: bytes) -> None:
        self._listener = listener
        self._secret = secret
        self._poller = select.poll()
        self._poller.register(listener, select.POLLIN)
        self._open: dict[int, tuple[_frames.Handshake, float]] = {}  # by descriptor, the oldest first; with the deadline
        listener.setblocking(False)

    def __enter__(self) -> _Reception:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in list(self._open):
            self._drop(descriptor)

    def next(self) -> list[tuple[_frames.Channel, str]]:
        """Waits a moment. Those who have shown that they know the secret, with their nodes."""
        found = []
        for descriptor, _ in self._poller.poll(LOOK_SECONDS * 1000):
            if descriptor == self._listener.fileno():
                self._accept()
            elif descriptor in self._open:
                found += self._advance(descriptor)
        now = time.monotonic()
        for descriptor in [one for one, (_, latest) in self._open.items() if latest < now]:
            self._drop(descriptor)
        return found

    def _accept(self) -> None:
        try:
            other, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        try:
            handshake = _frames.Handshake(other, self._secret)
        except OSError:
            return other.close()
        if len(self._open) >= HANDSHAKES_MAX:
            self._drop(next(iter(self._open)))
        self._open[other.fileno()] = handshake, time.monotonic() + HANDSHAKE_SECONDS
        self._poller.register(other, select.POLLIN)

    def _advance(self, descriptor: int) -> list[tuple[_frames.Channel, str]]:
        try:
            done = self._open[descriptor][0].advance()
        except (OSError, EOFError):  # somebody else
            self._drop(descriptor)
            return []
        if done is None:
            return []
        self._poller.unregister(descriptor)
        del self._open[descriptor]
        return [done]

    def _drop(self, descriptor: int) -> None:
        self._poller.unregister(descriptor)
        self._open.pop(descriptor)[0].socket.close()


def _end(processes: list[subprocess.Popen[bytes]], seconds: float) -> None:
    """By themselves, by SIGTERM, which srun hands on to what it has started, and last by SIGKILL."""
    for stop in (None, subprocess.Popen.terminate, subprocess.Popen.kill):
        latest = time.monotonic() + seconds
        for process in processes:
            if stop is not None and process.returncode is None:
                stop(process)
        for process in processes:
            try:
                process.wait(max(0.0, latest - time.monotonic()) if stop is not subprocess.Popen.kill else None)
            except subprocess.TimeoutExpired:
                pass
        seconds = END_SECONDS


# Of the streams, not of the Filter: one that is left alone ends at once.
def _ready(streams: list[_Stream]) -> list[_Stream]:
    """Waits for those of whom something has come."""
    poller = select.poll()
    by_descriptor = {stream.channel.socket.fileno(): stream for stream in streams}
    for descriptor in by_descriptor:
        poller.register(descriptor, select.POLLIN)
    return [by_descriptor[descriptor] for descriptor, _ in poller.poll()]


def _as_they_come(streams: list[_Stream]) -> Iterator[Any]:
    while going := [stream for stream in streams if not stream.is_over]:
        for stream in _ready(going):
            yield from stream.receive()


def _of(stream: _Stream) -> Iterator[Any]:
    while not stream.is_over:
        _ready([stream])
        yield from stream.receive()


def _pickled(handles: _pickles.Handles, dictionary: Dictionary, function: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    try:
        pickled = handles.dumps((dictionary, function, args))
    except Exception as why:
        raise TypeError(f"filter: the function {function!r}, or an argument of it, cannot be sent to other processes: {why}") from why
    if any(getattr(one, "__module__", None) == "__main__" for one in (function, *args)) and sys.modules.get("cloudpickle") is None:
        raise TypeError(f"filter: the function {function!r}, or an argument of it, is of the program itself, and is sent to other processes "
                        "by cloudpickle, which is not installed (Debian: python3-cloudpickle); or put it into a module")
    return pickled


def _path() -> list[str]:
    """Where modules are found, as here; and this package is, however it was."""
    path = [str(pathlib.Path(one or ".").absolute()) for one in sys.path]
    package = str(pathlib.Path(__file__).absolute().parents[1])
    return path if package in path else [*path, package]


def _nodes_of(dictionary: Dictionary) -> tuple[int, list[str]]:
    """How many processes there are to be here (one or none), and the other nodes."""
    nodes = dictionary.manager_nodes()
    local = set(dictionary.local_managers)
    manager: Optional[int] = cast(Any, dictionary.__reduce__())[1][5]
    wanted = range(len(nodes)) if manager is None else [manager]
    here = {nodes[one] for one in wanted if one in local}
    return bool(here), sorted({nodes[one] for one in wanted if nodes[one] not in here})


def _srun(nodes: list[str]) -> tuple[list[str], dict[str, str]]:
    if "SLURM_JOB_ID" not in os.environ:
        raise _errors.SystemFailure(f"filter: functions run on the nodes of the managers, here {', '.join(nodes)}; this program is in no "
                                    "Slurm job, and has no way to start a process there", operation="filter")
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("SLURM", "SRUN_", "PMIX_", "PMI_")) or name.startswith(("SLURM_SPANK_", "SLURM_JOB_ID_"))
                   or name in _KEPT}
    count = len(nodes)
    return ["srun", "--job-name=ddict-filter", "--overlap", "--mem=0", "--cpu-bind=none", "--mpi=none", f"--nodes={count}",
            f"--ntasks={count}", "--ntasks-per-node=1", f"--nodelist={','.join(nodes)}", "--kill-on-bad-exit=0", "--wait=0",
            "--export=ALL", "--input=all"], environment
