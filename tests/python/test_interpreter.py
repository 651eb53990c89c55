# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The interpreter: Ctrl-C in the middle of calls, signal handlers, its end with calls under way, other threads that go on."""

import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time

import pytest

import ddict

WAITS = ["d.wait('never', 60)", "d.wait_any(['never', 'ever'], 60)", "d.wait_for_value('k', 2, 60)",
         "d.within(60).wait('never')"]
EXITS = int(os.environ.get("DDICT_TEST_EXITS", 8))


def start(program, *arguments):
    return subprocess.Popen([sys.executable, "-X", "dev", "-c", program, *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("call", WAITS)
def test_ctrl_c_ends_a_wait(d, call):
    d["k"] = 1
    program = start(f"""
import sys, ddict
d = ddict.attach(sys.argv[1])
try:
    {call}
except KeyboardInterrupt:
    assert d["k"] == 1
    print("interrupted")
""", d.handle)
    try:
        deadline = time.monotonic() + 30
        while not any(one["waiting"] for one in d.stats()) and time.monotonic() < deadline:
            assert program.poll() is None, program.communicate()
        begin = time.monotonic()
        program.send_signal(signal.SIGINT)
        out, errors = program.communicate(timeout=30)
        assert out == "interrupted\n" and program.returncode == 0, errors
        assert time.monotonic() - begin < 10
    finally:
        program.kill()
        program.wait(10)


def test_ctrl_c_in_the_middle_of_any_call(d, python):
    """Signals come all the time: each call ends as it should or with KeyboardInterrupt, and the next one works."""
    python("""
import signal, sys, ddict
import numpy as np
d = ddict.attach(sys.argv[1], timeout=20)
array = np.ones(20000)
calls = [lambda: d["k"], lambda: d.__setitem__("k", 1), lambda: d.get("z"), lambda: len(d), lambda: d.incr("n"), lambda: d.get_many(["k"] * 50),
         lambda: d.put_many({i: i for i in range(50)}), lambda: list(d), lambda: d.update({i: i for i in range(50)}), lambda: d.stats(), lambda: "k" in d,
         lambda: d.pop("z", 1), lambda: d.setdefault("k", 1), lambda: d.bput("b", 1), lambda: d.erase_prefix("x"),
         lambda: d.put_many({i: array for i in range(40)}), lambda: d.bput("b", array), lambda: d.put_if_present("k", 1)]
d["k"] = 1
interrupted = 0
def interrupt(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
for i in range(600):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.00005 * (1 + i % 7))
        try:
            while True:
                calls[i % len(calls)]()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted += 1
assert interrupted >= 590, interrupted
assert d["k"] == 1
""", d.handle)


def test_a_handler_must_not_call(d):
    seen = []

    def handler(*_):
        try:
            d["k"]
        except ddict.Busy as error:
            seen.append(error)

    before = signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        with pytest.raises(ddict.Timeout):
            d.wait("never", timeout=1.5)
        assert len(seen) == 1
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)


def test_other_threads_go_on_while_one_waits(d):
    counted = 0
    thread = threading.Thread(target=lambda: pytest.raises(ddict.Timeout, d.wait, "never", 0.5))
    thread.start()
    while thread.is_alive():
        counted += 1
    thread.join()
    assert counted > 1000


def test_threads_that_call_while_others_do(d):
    failures = []

    def work(n):
        try:
            for i in range(200):
                d[(n, i)] = [n] * i
                assert d[(n, i)] == [n] * i and d.get_many([(n, i), (n, -1)]) == [[n] * i, None]
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures and len(d) == 800


ENDINGS = {
    "daemon threads that call": """
for call in (lambda: d["k"], lambda: d.__setitem__("k", 1), lambda: d.wait("never", 60), lambda: list(d), lambda: d.get_many(["k", "z"])):
    def run(call=call):
        while True:
            call()
    threading.Thread(target=run, daemon=True).start()
time.sleep(0.05)
""",
    "a frozen view alive": """
d.freeze()
view = d.view("a")
d.unfreeze()
""",
    "iterations, futures and cycles": """
scan = iter(d.items())
next(scan)
ring = [d, scan]
ring.append(ring)
class Late:
    def __del__(self):
        self.d.get("k")
late = Late()
late.d = d
late.ring = late
""",
    "an exception": "del d['nobody']",
    "SystemExit in a thread": """
thread = threading.Thread(target=lambda: (d["k"], sys.exit(3)))
thread.start()
thread.join()
""",
    "a handler at exit that calls": "atexit.register(lambda: d['k'])",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_end_of_the_interpreter(d, ending):
    """A crash would be a negative exit status."""
    d["k"] = 1
    d["a"] = __import__("numpy").zeros(1000)
    program = "import atexit, sys, threading, time, ddict\nd = ddict.attach(sys.argv[1])\n" + ENDINGS[ending]
    wanted = 1 if ending == "an exception" else 0
    for _ in range(EXITS if "daemon" in ending else 2):
        done = subprocess.run([sys.executable, "-c", program, d.handle], capture_output=True, text=True, timeout=60)
        assert done.returncode == wanted, done.stderr
        assert "Fatal" not in done.stderr, done.stderr


def test_a_program_that_has_loaded_another_library_of_cpp_before(python):
    """As torch does: libstdc++ has a place for its thread-local variables by then, which cannot change."""
    python("""
import ctypes
ctypes.c_void_p.in_dll(ctypes.CDLL("libstdc++.so.6"), "_ZSt11__once_call")
import ddict
""")


def test_a_program_that_has_ended_its_interpreter_goes_on(d):
    library = os.path.join(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME"))
    done = subprocess.run([os.environ["DDICT_EMBEDDER"], library, "import ddict\nd = ddict.attach()\nd['embedded'] = 1\nd.get('k')"],
                          capture_output=True, text=True, timeout=60, env={**os.environ, "DDICT_HANDLE": d.handle})
    assert done.returncode == 0, done.stderr


def test_the_maker_ends_without_destroying(python):
    handle = python("import ddict; d = ddict.create(total_mem='16M'); d['a'] = 1; print(d.handle)").strip()
    with pytest.raises((ddict.DictionaryGone, ddict.ManagerLost, ddict.Timeout)):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:  # its launcher notices the end a moment later
            ddict.attach(handle, attach_timeout=1).detach()
    assert time.monotonic() < deadline
