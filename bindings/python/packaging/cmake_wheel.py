# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What "pip install ." calls (PEP 517): CMake builds, and this packs a wheel with the package, the library and the programs.

Settings, as pip install --config-settings NAME=VALUE:
  build-dir   where CMake builds; build/pip of the source tree unless set. One that is configured already is used as it is.
The environment's CMAKE_ARGS are handed to CMake when it configures.
"""

import base64
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
VERSION = re.search(r"project\(ddict VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
PROGRAMS = ("ddict", "ddict-launch", "ddict-manager")
METADATA = f"""Metadata-Version: 2.1
Name: ddict
Version: {VERSION}
Summary: A distributed in-memory dictionary for Slurm jobs
License: Apache-2.0
Requires-Python: >=3.9
Requires-Dist: numpy
"""
# In the environment's bin/. The programs themselves stay beside the library that they need.
SCRIPT = """#!python
import importlib.util, os, sys
program = os.path.join(os.path.dirname(importlib.util.find_spec("ddict").origin), "bin", {name!r})
os.execv(program, [program, *sys.argv[1:]])
"""


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    build = pathlib.Path((config_settings or {}).get("build-dir") or ROOT / "build/pip").absolute()
    build_by_cmake(build)
    tag = "cp{0.major}{0.minor}".format(sys.version_info)
    tag = f"{tag}-{tag}-{re.sub('[-.]', '_', sysconfig.get_platform())}"
    name = f"ddict-{VERSION}-{tag}.whl"
    with tempfile.TemporaryDirectory() as folder:
        stage = pathlib.Path(folder)
        for component in ("programs", "python"):
            run("cmake", "--install", build, "--prefix", stage, "--component", component)
        with Wheel(pathlib.Path(wheel_directory) / name) as wheel:
            pack(stage, wheel)
            wheel.add("METADATA", METADATA, "dist-info")
            wheel.add("WHEEL", f"Wheel-Version: 1.0\nGenerator: ddict\nRoot-Is-Purelib: false\nTag: {tag}\n", "dist-info")
    return name


def build_sdist(sdist_directory, config_settings=None):
    """The files that git knows."""
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], check=True, capture_output=True, text=True).stdout
    name = f"ddict-{VERSION}"
    with tempfile.TemporaryDirectory() as folder, \
            tarfile.open(pathlib.Path(sdist_directory) / f"{name}.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        info = pathlib.Path(folder) / "PKG-INFO"
        info.write_text(METADATA)
        archive.add(info, f"{name}/PKG-INFO")
        for path in filter(None, listed.split("\0")):
            archive.add(ROOT / path, f"{name}/{path}")
    return f"{name}.tar.gz"


def build_by_cmake(build):
    if not (build / "CMakeCache.txt").exists():
        ninja = ["-G", "Ninja"] if shutil.which("ninja") else []
        run("cmake", "-S", ROOT, "-B", build, *ninja, f"-DDDICT_PYTHON_EXECUTABLE={sys.executable}", "-DDDICT_PYTHON=REQUIRED",
            "-DDDICT_BUILD_TESTS=OFF", "-DDDICT_BUILD_BENCH=OFF", "-DDDICT_BUILD_EXAMPLES=OFF",
            *shlex.split(os.environ.get("CMAKE_ARGS", "")))
    run("cmake", "--build", build, "--parallel", str(os.cpu_count()), "--target", "ddict_python", *PROGRAMS)


def run(*command):
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        sys.exit(f"{command[0]} is not there, and ddict is built by it: scripts/install-packages build")
    except subprocess.CalledProcessError as failed:
        sys.exit(f"{shlex.join(map(str, command))} failed with status {failed.returncode}; its own words are above")


def pack(stage, wheel):
    """The package, and within it what is elsewhere when CMake installs: bin/, and the folder of the library beside it."""
    library = next(stage.glob("**/libddict_client.so")).parent
    package = next(library.glob("python*/site-packages/ddict"))
    if not (package / f"_ddict{sysconfig.get_config_var('EXT_SUFFIX')}").exists():
        sys.exit(f"what was built is for another interpreter than {sys.executable}: name another build-dir")
    for file in sorted(package.iterdir()):
        wheel.add(file.name, file)
    for file in sorted(library.glob("libddict*")):
        # Wheels have no links: the library once, by the name that is looked for (which ends after two numbers).
        if re.fullmatch(r"libddict_client\.so\.\d+\.\d+|libddict_ucx-.*", file.name):
            wheel.add(f"{library.relative_to(stage).as_posix()}/{file.name}", file.resolve())
    for name in PROGRAMS:
        wheel.add(f"bin/{name}", stage / "bin" / name)
        if name != "ddict-manager":
            wheel.add(f"scripts/{name}", SCRIPT.format(name=name), "data", executable=True)


class Wheel:
    """A wheel that is being written; its list of contents comes last."""

    def __init__(self, path):
        self.file = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
        self.record = []

    def add(self, name, content, folder=None, executable=False):
        """A file or a text, into the package or into one of the wheel's own folders."""
        if isinstance(content, pathlib.Path):
            executable = os.access(content, os.X_OK)
            content = content.read_bytes()
        else:
            content = content.encode()
        name = f"ddict-{VERSION}.{folder}/{name}" if folder else f"ddict/{name}"
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = (0o100755 if executable else 0o100644) << 16
        self.file.writestr(info, content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        self.record.append(f"{name},sha256={digest},{len(content)}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            name = f"ddict-{VERSION}.dist-info/RECORD"
            self.file.writestr(name, "\n".join([*self.record, f"{name},,", ""]))
        self.file.close()
