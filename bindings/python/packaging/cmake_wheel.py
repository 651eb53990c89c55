# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What "pip install ." calls (PEP 517): CMake builds, and this packs a wheel with the package, the library and the programs.

Settings, as pip install --config-settings NAME=VALUE:
  build-dir   where CMake builds; build/pip of the source tree unless set. One that is named and configured already is used as it is.
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
License-File: LICENSE
Requires-Python: >=3.9
Requires-Dist: numpy
"""
# In the environment's bin/. The programs themselves stay beside the library that they need.
SCRIPT = """#!python
import importlib.util, os, sys
package = importlib.util.find_spec("ddict")
if package is None or package.origin is None:
    sys.exit("{name}: the package ddict is not installed for " + sys.executable)
program = os.path.join(os.path.dirname(package.origin), "bin", "{name}")
try:
    os.execv(program, [program, *sys.argv[1:]])
except OSError as failure:
    sys.exit("{name}: " + program + " cannot be run: " + str(failure.strerror) + "; PYTHONPATH may have another ddict than pip's")
"""


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    named = (config_settings or {}).get("build-dir")
    build = pathlib.Path(named or ROOT / "build/pip").absolute()
    if not named or not is_configured(build):
        configure(build)
    run("cmake", "--build", build, "--parallel", str(os.cpu_count()), "--target", "ddict_python", *PROGRAMS)
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
            wheel.add("LICENSE", ROOT / "LICENSE", "dist-info")
            wheel.add("WHEEL", f"Wheel-Version: 1.0\nGenerator: ddict\nRoot-Is-Purelib: false\nTag: {tag}\n", "dist-info")
    return name


def build_sdist(sdist_directory, config_settings=None):
    """The files that git knows."""
    files = files_of_git()
    name = f"ddict-{VERSION}"
    with tempfile.TemporaryDirectory() as folder, \
            tarfile.open(pathlib.Path(sdist_directory) / f"{name}.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        info = pathlib.Path(folder) / "PKG-INFO"
        info.write_text(METADATA)
        archive.add(info, f"{name}/PKG-INFO")
        for path in files:
            archive.add(ROOT / path, f"{name}/{path}")
    return f"{name}.tar.gz"


def files_of_git():
    """Of a repository that this tree is the whole of: one that it merely lies in knows other files."""
    def said(*arguments):
        done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ""

    try:
        root, files = said("rev-parse", "--show-toplevel").rstrip("\n"), said("ls-files", "-z").split("\0")[:-1]
    except FileNotFoundError:
        sys.exit("git is not there, and says which files a source distribution has")
    if not root or pathlib.Path(root).resolve() != ROOT or "pyproject.toml" not in files:
        sys.exit(f"a source distribution has the files that git knows, and {ROOT} is not a git repository of its own; a wheel needs none")
    return files


def is_configured(build):
    """CMake writes its cache first, and what builds last: a cache alone is left by a configuration that has failed."""
    return any((build / name).exists() for name in ("build.ninja", "Makefile"))


def configure(build):
    """Of a folder that was configured before too: for this interpreter, and for this CMAKE_ARGS."""
    generator = ["-G", "Ninja"] if shutil.which("ninja") and not (build / "Makefile").exists() else []
    run("cmake", "-S", ROOT, "-B", build, *generator, f"-DDDICT_PYTHON_EXECUTABLE={sys.executable}", "-DDDICT_PYTHON=REQUIRED",
        "-DDDICT_BUILD_TESTS=OFF", "-DDDICT_BUILD_BENCH=OFF", "-DDDICT_BUILD_EXAMPLES=OFF",
        *shlex.split(os.environ.get("CMAKE_ARGS", "")))


def run(*command):
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        sys.exit(f"{command[0]} is not there, and ddict is built by it: scripts/install-packages build")
    except subprocess.CalledProcessError as failed:
        sys.exit(f"{shlex.join(map(str, command))} failed with status {failed.returncode}; its own words are above")


def pack(stage, wheel):
    """The package, and within it what is elsewhere when CMake installs: bin/, and the folder of the library beside it."""
    library = next(stage.glob("**/libddict_client.so.*")).parent
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
