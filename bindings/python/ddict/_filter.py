# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Dictionary.filter: a function of the program's runs in one process on each node, beside the pairs that live there."""

from __future__ import annotations

import heapq
import json
import os
import pathlib
import pickle
import secrets
import select
import socket
import subprocess
import sys
import time
from typing import Any, Callable, Iterator, Optional, cast

from ddict import _errors, _frames
from ddict._ddict import Dictionary

START_SECONDS = 60.0
HANDSHAKE_SECONDS = 5.0
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

    def __init__(self, of: socket.socket, node: str) -> None:
        self.socket = of
        self.node = node
        self.is_over = False

    def receive(self) -> list[Any]:
        """The next items; none at the end. Requires: something has come, or will come soon."""
        try:
            kind, *content = pickle.loads(_frames.receive(self.socket))
        except (OSError, EOFError) as why:
            self.is_over = True
            raise _errors.SystemFailure(f"filter: the process on node {self.node} has ended before its function; its own words, "
                                        "if it had any, are on the standard error output", operation="filter", node=self.node) from why
        if kind == "items":
            return list(content[0])
        self.is_over = True
        if kind == "error":
            self._raise(*content)
        return []

    def _raise(self, pickled: Optional[bytes], text: str) -> None:
        try:
            failure = pickle.loads(pickled) if pickled is not None else None
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
        self._processes: list[subprocess.Popen[bytes]] = []
        self._streams: list[_Stream] = []
        if not callable(function):
            raise TypeError(f"filter takes a function, not a {type(function).__name__!r}")
        work = _pickled(dictionary, function, args)
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
        """Ends the processes, whatever their functions are doing, and the iteration."""
        for stream in self._streams:
            stream.is_over = True
            stream.socket.close()
        latest = time.monotonic() + END_SECONDS
        for process in self._processes:
            try:
                process.wait(max(0.0, latest - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes = []
        self._items = iter(())

    def _start(self, dictionary: Dictionary, work: bytes) -> None:
        here, elsewhere = _nodes_of(dictionary)
        secret = secrets.token_bytes(32)
        with socket.create_server(("" if elsewhere else "127.0.0.1", 0), backlog=128) as listener:
            message = {"path": _path(), "secret": secret.hex(), "port": listener.getsockname()[1]}
            program = [sys.executable, "-c", _BEGIN]
            if here:
                self._run(program, os.environ, {**message, "here": True, "hosts": ["127.0.0.1"]})
            if elsewhere:
                hosts = [name for name in (os.environ.get("SLURMD_NODENAME"), socket.gethostname()) if name]
                command, environment = _srun(elsewhere)
                self._run(command + program, environment, {**message, "here": False, "hosts": hosts})
            self._accept(listener, secret, work, here + len(elsewhere))

    def _run(self, command: list[str], environment: Any, message: dict[str, Any]) -> None:
        try:
            # A session of its own: Ctrl-C is for this program, which then closes the connections.
            process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, start_new_session=True)
        except OSError as why:
            raise _errors.SystemFailure(f"filter: {command[0]} cannot be run: {why}", operation="filter") from why
        self._processes.append(process)
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.close()
        except BrokenPipeError:
            pass  # it has ended, which is seen where it is waited for

    def _accept(self, listener: socket.socket, secret: bytes, work: bytes, count: int) -> None:
        latest = time.monotonic() + START_SECONDS
        listener.settimeout(0.1)
        while len(self._streams) < count:
            try:
                other, _ = listener.accept()
            except socket.timeout:
                self._check_processes()
                if time.monotonic() > latest:
                    raise _errors.Timeout(f"filter: {len(self._streams)} of {count} processes have connected within "
                                          f"{START_SECONDS:.0f} s", operation="filter") from None
                continue
            other.settimeout(HANDSHAKE_SECONDS)
            try:
                trusted = _frames.is_trusted(other, secret, b"filter", b"process")
                node = pickle.loads(_frames.receive(other)) if trusted else ""
            except (OSError, EOFError):
                trusted = False
            if not trusted:  # somebody else; the processes go on trying
                other.close()
                continue
            other.settimeout(None)
            _frames.watch(other)
            self._streams.append(_Stream(other, node))
            _frames.send(other, work)

    def _check_processes(self) -> None:
        for process in self._processes:
            if process.poll() is not None:
                raise _errors.SystemFailure(f"filter: a process that was started has ended with status {process.returncode}; its own "
                                            "words are on the standard error output", operation="filter")


# Of the streams, not of the Filter: one that is left alone ends at once.
def _ready(streams: list[_Stream]) -> list[_Stream]:
    """Waits for those of whom something has come."""
    poller = select.poll()
    by_descriptor = {stream.socket.fileno(): stream for stream in streams}
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


def _pickled(dictionary: Dictionary, function: Callable[..., Any], args: tuple[Any, ...]) -> bytes:
    try:
        pickled = _frames.dumps((dictionary, function, args))
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
