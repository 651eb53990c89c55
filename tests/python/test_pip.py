# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""pip installs the package into a virtual environment, without network, from the build tree; and it works there."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["DDICT_LAUNCH"]).parents[1]
# What a user has, not what the tests have set.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("DDICT_", "PYTHON", "PIP_"))}


def run(*command, status=0, environment=ENVIRONMENT, **more):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=270, env=environment, **more)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment whose pip is the system's, with the package from a wheel that pip has made."""
    folder = tmp_path_factory.mktemp("pip")
    run(sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", folder / "env")
    python = folder / "env/bin/python"
    run(python, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--config-settings", f"build-dir={BUILD}",
        "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("ddict-*.whl")
    run(python, "-m", "pip", "install", "--no-index", wheel)
    return python


def test_a_program_runs_with_it(environment, tmp_path):
    """Whatever PATH has: the package brings its own launcher and managers."""
    (tmp_path / "program.py").write_text("""
import ddict, numpy as np, os, pathlib
here = pathlib.Path(ddict.__file__).parent
with ddict.create(total_mem="32M") as d:
    d["a"] = np.arange(10000)
    assert d["a"].sum() == 49995000
    pid = d.stats()[0]["pid"]
    assert pathlib.Path(os.readlink(f"/proc/{pid}/exe")) == here / "bin/ddict-manager"
    maps = pathlib.Path("/proc/self/maps").read_text()
    assert str(here / "lib") in maps or str(here / "lib64") in maps
    d.destroy()
print("fine", here.parts[-2])
""")
    assert run(environment, tmp_path / "program.py", cwd=tmp_path) == "fine site-packages\n"


def test_the_programs_are_there(environment):
    folder = environment.parent
    commands = f"'{folder}/ddict' put k v && '{folder}/ddict' get k"
    assert run(folder / "ddict-launch", "--total-mem", "32M", "--", "bash", "-c", commands) == "v"
    run(folder / "ddict-launch", "--", "bash", "-c", "exit 7", status=7)


def test_other_hosts_can_be_reached(environment, tmp_path):
    """The library of messages to other hosts is in the wheel too, and found."""
    program = "import ddict\nd = ddict.create(total_mem='32M')\nd['k'] = 1\nprint(d['k'])\nd.destroy()"
    assert run(environment, "-c", program, environment={**ENVIRONMENT, "DDICT_SAME_HOST": "0", "UCX_NET_DEVICES": "lo"},
               cwd=tmp_path) == "1\n"


def test_what_a_wheel_lists_is_what_it_has(environment):
    (wheel,) = environment.parents[2].glob("ddict-*.whl")
    with zipfile.ZipFile(wheel) as file:
        record = next(name for name in file.namelist() if name.endswith("RECORD"))
        listed = [line.split(",")[0] for line in file.read(record).decode().splitlines()]
        assert sorted(listed) == sorted(file.namelist())
        assert {"ddict/__init__.py", "ddict/py.typed", "ddict/bin/ddict-manager"} <= set(listed)
        assert any(name.endswith(".dist-info/LICENSE") for name in listed)
    run(environment, "-m", "pip", "uninstall", "--yes", "ddict")
    assert not (environment.parent / "ddict").exists()
    run(environment, "-m", "pip", "install", "--no-index", wheel)


def test_a_failed_build_says_why(environment, tmp_path):
    """And so does the next: what a configuration that has failed leaves is not taken for one that is done."""
    for _ in range(2):
        done = subprocess.run([environment, "-m", "pip", "wheel", "--no-deps", "--no-index", "--config-settings",
                               f"build-dir={tmp_path / 'build'}", "--wheel-dir", tmp_path, ROOT], capture_output=True, text=True,
                              timeout=270, env={**ENVIRONMENT, "CMAKE_ARGS": "-Dpybind11_DIR=/nowhere -DCMAKE_DISABLE_FIND_PACKAGE_pybind11=ON"})
        assert done.returncode != 0 and "pybind11-dev" in done.stdout + done.stderr
        assert (tmp_path / "build/CMakeCache.txt").exists()


def test_a_program_of_another_package(environment, tmp_path):
    """PYTHONPATH has a ddict without programs."""
    (tmp_path / "ddict").mkdir()
    (tmp_path / "ddict/__init__.py").write_text("")
    done = subprocess.run([environment.parent / "ddict", "stats"], capture_output=True, text=True, timeout=60,
                          env={**ENVIRONMENT, "PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1 and "cannot be run: No such file or directory; PYTHONPATH" in done.stderr


@pytest.mark.skipif(shutil.which("git") is None, reason="git says what a source distribution has")
def test_a_source_distribution_has_what_git_knows(tmp_path):
    """Of this tree, and not of a repository that it happens to lie in."""
    tree = tmp_path / "outer/tree"
    for file in ("bindings/python/packaging/cmake_wheel.py", "CMakeLists.txt", "pyproject.toml", "LICENSE"):
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tree / file)
    (tree / "not known").write_text("")
    (tmp_path / "outer/other").write_text("")
    build = ("-c", f"import cmake_wheel; print(cmake_wheel.build_sdist({str(tmp_path)!r}))")
    environment = {**ENVIRONMENT, "PYTHONPATH": str(tree / "bindings/python/packaging")}
    run(sys.executable, *build, status=1, environment=environment)
    run("git", "init", "-q", tmp_path / "outer")
    run("git", "-C", tmp_path / "outer", "add", ".")
    run(sys.executable, *build, status=1, environment=environment)
    run("git", "init", "-q", tree)
    run("git", "-C", tree, "add", "bindings/python/packaging/cmake_wheel.py", "CMakeLists.txt", "pyproject.toml", "LICENSE")
    archive = run(sys.executable, *build, environment=environment).strip()
    names = run("tar", "-tf", tmp_path / archive).split()
    assert {name.split("/", 1)[1] for name in names} == {"PKG-INFO", "bindings/python/packaging/cmake_wheel.py", "CMakeLists.txt",
                                                         "pyproject.toml", "LICENSE"}
