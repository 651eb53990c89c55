# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Functions that run where the pairs are: what they yield comes, in order; errors come too; and nothing is left of them."""

import itertools
import os
import signal
import socket
import sys
import threading
import time

import pytest

import ddict
from ddict import _filter, _frames


def pairs(local, prefix=""):
    yield from local.items(prefix, local=True)


def ordered(local, count):
    yield from sorted(value for _, value in local.items(local=True))[:count]


def endless(local):
    yield os.getpid()
    yield from itertools.count()


def wrong(local):
    yield 1
    raise ZeroDivisionError("of no use")


def children():
    with open(f"/proc/self/task/{threading.main_thread().native_id}/children") as file:
        return set(file.read().split())


def is_there(pid):
    try:
        os.kill(pid, 0)
        return True
    except ProcessLookupError:
        return False


@pytest.fixture(autouse=True)
def nothing_is_left(d):
    before = children()
    yield
    assert children() == before


def test_all_pairs_come_once(d):
    d.update({f"cell/{i}": i for i in range(3000)})
    d["other"] = -1
    assert sorted(d.filter(pairs, "cell/")) == sorted((f"cell/{i}", i) for i in range(3000))


def test_closures_and_what_is_found_in_order(d):
    d.update({i: i * 7919 % 1000 for i in range(1000)})
    above = 100
    with d.filter(lambda local: (n for n in ordered(local, 1000) if n > above), key=lambda n: n) as found:
        assert list(itertools.islice(found, 5)) == [101, 102, 103, 104, 105]
    assert list(found) == []


def test_one_manager_only(d):
    d.update({i: i for i in range(100)})
    near = d.manager(1)
    assert sorted(d.filter(lambda local: local.keys()).__iter__()) == list(range(100))
    assert sorted(near.filter(lambda local: local.keys())) == sorted(near.keys())


def test_leaving_an_endless_one(d):
    with d.filter(endless) as found:
        pid = next(found)
        assert is_there(pid) and list(itertools.islice(found, 10000)) == list(range(10000))
    assert not is_there(pid)
    descriptors = len(os.listdir("/proc/self/fd"))
    next(d.filter(endless))  # without a with
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_one_that_yields_nothing(d):
    assert list(d.filter(lambda local: None)) == [] == list(d.filter(lambda local: []))


def test_what_is_found_comes_at_once(d):
    def slow(local):
        yield "first"
        local.wait("go", 60)
        yield "second"

    with d.filter(slow) as found:
        assert next(found) == "first"
        d["go"] = 1
        assert list(found) == ["second"]


def test_an_exception_comes_with_its_traceback(d):
    found = d.filter(wrong)
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError, match="of no use") as raised:
        next(found)
    assert "in wrong" in str(raised.value.__cause__) and socket.gethostname() in str(raised.value.__cause__)


def test_what_cannot_be_sent(d):
    class Own(Exception):
        def __reduce__(self):
            raise TypeError("not I")

    def fails(local):
        raise Own("own")

    with pytest.raises(ddict.SystemFailure) as raised:
        list(d.filter(fails))
    assert "Own: own" in str(raised.value.__cause__) and raised.value.operation == "filter"
    with pytest.raises(TypeError, match="pickle"):
        list(d.filter(lambda local: [threading.Lock()]))
    with pytest.raises(TypeError, match="an argument of it"):
        d.filter(pairs, threading.Lock())
    with pytest.raises(TypeError, match="a function, not a 'int'"):
        d.filter(1)
    with pytest.raises(ddict.SystemFailure, match="has failed on node"):
        list(d.filter(lambda local: exit(3)))


def test_a_process_that_is_killed(d):
    found = d.filter(endless)
    pid = next(found)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ddict.SystemFailure, match="has ended before its function"):
        for _ in found:
            pass
    assert not is_there(pid)


def test_ctrl_c(d):
    def silent(local):
        local["pid"] = os.getpid()
        local.wait("never", 600)

    main = threading.main_thread().ident
    thread = threading.Thread(target=lambda: (d.wait("pid", 60), signal.pthread_kill(main, signal.SIGINT)))
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        next(d.filter(silent))
    thread.join()
    deadline = time.monotonic() + 10
    while is_there(d["pid"]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_there(d["pid"])


def test_a_program_without_cloudpickle(d, python):
    python("""
import sys
sys.modules["cloudpickle"] = None
import ddict
d = ddict.attach(sys.argv[1])
def mine(local):
    return local.keys()
try:
    d.filter(mine)
except TypeError as error:
    assert "python3-cloudpickle" in str(error), error
else:
    assert False
""", d.handle)


def test_nothing_is_imported_from_the_working_folder(d, tmp_path, monkeypatch):
    for module in ("json", "socket", "ddict"):
        (tmp_path / f"{module}.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'a').write({module!r})")
    monkeypatch.chdir(tmp_path)
    d["k"] = 1
    assert list(d.filter(pairs)) == [("k", 1)]
    assert not (tmp_path / "imported").exists()


def on_two_nodes(monkeypatch, delay=0.0):
    """The second one is this host too; its process starts a while later, as srun's do."""
    monkeypatch.setattr(_filter, "_nodes_of", lambda dictionary: (1, ["elsewhere"]))
    environment = {**os.environ, "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1", "SLURMD_NODENAME": "elsewhere"}
    monkeypatch.setattr(_filter, "_srun", lambda nodes: (["sh", "-c", f'sleep {delay}; exec "$@"', "sh"], environment))


def test_a_node_that_is_done_before_another_has_begun(d, monkeypatch):
    on_two_nodes(monkeypatch, delay=1.0)
    assert sorted(d.filter(lambda local: [os.environ.get("SLURMD_NODENAME", "here")])) == ["elsewhere", "here"]


def test_strangers_keep_nobody_waiting(d, monkeypatch):
    strangers = []
    create_server = socket.create_server

    def with_strangers(*arguments, **options):
        listener = create_server(*arguments, **options)
        strangers.extend(socket.create_connection(listener.getsockname(), 20) for _ in range(_filter.HANDSHAKES_MAX + 20))
        for stranger in strangers[::2]:
            stranger.sendall(b"x" * 100)
        return listener

    monkeypatch.setattr(socket, "create_server", with_strangers)
    begin = time.monotonic()
    try:
        assert list(d.filter(lambda local: [1])) == [1]
        assert time.monotonic() - begin < _filter.START_SECONDS / 2
    finally:
        for stranger in strangers:
            stranger.close()


def test_a_process_that_does_not_come(d, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ddict.SystemFailure, match="has ended with status 1"):
        d.filter(pairs)
    monkeypatch.setattr(sys, "executable", "/nowhere/python3")
    with pytest.raises(ddict.SystemFailure, match="/nowhere/python3 cannot be run"):
        d.filter(pairs)
    monkeypatch.undo()
    monkeypatch.setattr(_filter, "START_SECONDS", 0.5)
    on_two_nodes(monkeypatch, delay=20)
    begin = time.monotonic()
    with pytest.raises(ddict.Timeout, match="1 of 2 processes|0 of 2 processes"):
        d.filter(pairs)
    assert time.monotonic() - begin < _filter.END_SECONDS  # those that have no work are not waited for


def test_handles_do_not_go_over_the_connection(d, monkeypatch):
    frames = []
    receive, send = _frames.Channel.receive, _frames.Channel.send
    monkeypatch.setattr(_frames.Channel, "send", lambda self, content: (frames.append(content), send(self, content)))
    monkeypatch.setattr(_frames.Channel, "receive", lambda self: (frames.append(receive(self)), frames[-1])[1])
    near = d.manager(1)
    near["k"] = 1

    def function(local, again):
        assert local["k"] == again["k"] == near["k"] == 1
        yield near
        yield near["k"]

    found = list(near.filter(function, near))
    assert found[0]["k"] == found[1] == 1 and found[0].__reduce__()[1] == near.__reduce__()[1]
    parts = [d.handle[i:i + 16].encode() for i in range(7, len(d.handle), 8)]
    assert len(frames) >= 3 and not any(part in frame for frame in frames for part in parts)


def test_a_child_of_fork_leaves_the_filter_to_its_parent(d):
    found = d.filter(endless)
    process = next(found)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # it closes the iteration, and still has copies of what its parent has open
        os.close(writing)
        _ = [os.dup(int(one)) for one in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{one}")]
        found.close()
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    assert list(itertools.islice(found, 20000)) == list(range(20000))
    begin = time.monotonic()
    found.close()
    assert not is_there(process) and time.monotonic() - begin < _filter.END_SECONDS
    os.close(writing)
    os.waitpid(child, 0)


def channels():
    """Both ends of a connection, and what is between."""
    ours, theirs = socket.socketpair()
    nonces = bytes(64)
    return (_frames.Channel(ours, b"secret", nonces, b"filter", b"process"),
            _frames.Channel(theirs, b"secret", nonces, b"process", b"filter"))


def test_frames_of_any_size():
    ours, theirs = channels()
    with ours.socket, theirs.socket:
        for size in (0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20):
            content = os.urandom(size)
            thread = threading.Thread(target=ours.send, args=(content,))
            thread.start()
            assert theirs.receive() == content
            thread.join()
        ours.socket.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            theirs.receive()


@pytest.mark.parametrize("what", ["a bit", "the header", "again", "left out", "sent back", "without the secret", "too long"])
def test_frames_that_are_not_of_the_other_side(what, chance):
    ours, theirs = channels()
    _, other = channels()
    with ours.socket, theirs.socket, other.socket:
        ours.send(b"first")
        first = theirs.socket.recv(1000)
        ours.send(b"second")
        second = theirs.socket.recv(1000)
        position = chance.randrange(5, len(first))
        changed = bytes([*first[:position], first[position] ^ 1 << chance.randrange(8), *first[position + 1:]])
        sent = {"a bit": changed, "the header": first[:4] + b"\1" + first[5:] + second, "again": first + first, "left out": second,
                "sent back": first, "without the secret": first[:5] + b"other" + first[10:], "too long": b"\xff" * 5}[what]
        if what == "sent back":
            ours, theirs = theirs, ours
        ours.socket.sendall(sent)
        with pytest.raises(_frames.Forged):
            while True:
                assert theirs.receive() == b"first" and what == "again"


def test_who_does_not_know_the_secret():
    for secret, node in ((b"guessed", "n1"), (b"secret", "n" * 300)):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            handshake = _frames.Handshake(ours, b"secret")
            assert handshake.advance() is None
            theirs.settimeout(10)
            results = []

            def joins(theirs=theirs, secret=secret, node=node):
                try:
                    results.append(_frames.join(theirs, secret, node))
                except EOFError as error:
                    results.append(error)

            thread = threading.Thread(target=joins)
            thread.start()
            found = None
            try:
                while found is None:
                    found = handshake.advance()
            except _frames.Forged:
                assert secret == b"guessed"
                ours.shutdown(socket.SHUT_RDWR)
            thread.join()
            if secret == b"guessed":  # and hears nothing of it
                assert found is None and isinstance(results[0], EOFError)
            else:
                found[0].send(b"work")
                assert results[0].receive() == b"work" and found[1] == "n" * 255
