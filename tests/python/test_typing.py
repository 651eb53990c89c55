# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The stubs say what is there, and programs that use it are checked by them; everything has a text for help()."""

import inspect
import os
import pathlib
import subprocess
import sys

import ddict

PROGRAM = """
import ddict
d = ddict.attach(timeout=5)
n: int = d.incr("n")
f: float = d.incr("f", 0.5)
with d.frozen() as same:
    for key, value in same.items(prefix="x"):
        print(key, value)
key, value = d.wait_any(["a"], timeout=1.5)
reveal_type(d.get_many(["a"]))
d.incr("n", "wrong")
ddict.create(total_mem=[])
try:
    pass
except ddict.Timeout as error:
    print(error.manager_state, error.nothing)
"""


def mypy(*arguments):
    folder = pathlib.Path(ddict.__file__).parent
    return subprocess.run([sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=200,
                          env={**os.environ, "MYPYPATH": str(folder.parent), "MYPY_CACHE_DIR": os.devnull})


def test_programs_are_checked(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    found = mypy("mypy", "--strict", str(tmp_path / "program.py")).stdout.splitlines()
    wrong = sorted(int(line.split(":")[1]) for line in found if ": error:" in line)
    assert wrong == [11, 12, 16], found
    assert any("list[Any]" in line for line in found)


def test_the_package_and_its_stubs_are_right(tmp_path):
    checked = mypy("mypy", "--strict", "-p", "ddict")
    assert checked.returncode == 0, checked.stdout
    allowed = tmp_path / "allowed"
    # What numpy's and pybind11's types have besides, and what a C slot's signature cannot say.
    allowed.write_text("ddict.*\\.(Dictionary|Future|Queue|QueueItem|QueueItems)\\.__.*\nddict.*\\.(Future|Queue|QueueItem|QueueItems)\nddict\\._ddict\\.__.*\n"
                       "ddict\\.\\w+\\.(Iterable|Iterator|Generator|Mapping|Callable|NamedTuple|Sequence|Union)\n"
                           "ddict\\.(zarr|torch)(\\.\\w+)?\n")
    compared = mypy("mypy.stubtest", "--allowlist", str(allowed), "--ignore-unused-allowlist", "ddict")
    assert compared.returncode == 0, compared.stdout + compared.stderr


def test_everything_says_what_it_does():
    for name in ddict.__all__:
        assert getattr(ddict, name).__doc__, name
    for name, member in inspect.getmembers(ddict.Dictionary):
        if not name.startswith("_") and name not in ("name", "handle", "allow_pickle", "is_frozen"):
            assert member.__doc__, name
    assert ddict.Dictionary.__module__ == "ddict" and ddict.__doc__
