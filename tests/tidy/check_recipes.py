# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The recipes of packaging/, as far as that can be told without Spack, EasyBuild and Apptainer: each is read, says the version
that CMakeLists.txt says, and hands CMake only options that it has."""

import re
import types

import repository

SPACK = "packaging/spack/package.py"
APPTAINER = "packaging/apptainer/ddict.def"
VERSION = re.compile(r"project\(ddict VERSION ([\d.]+)")
DECLARED = re.compile(r"^\s*(?:option|set|find_path)\((DDICT_\w+)", re.M)
HANDED = re.compile(r"-D(DDICT_\w+)")
# Of a definition for Apptainer.
SECTION = re.compile(r"%(\w+)")
SECTIONS = {"files", "post", "test", "runscript", "help", "environment", "labels"}
SCRIPTS = ("post", "test", "runscript")


def check(repo, report):
    version = VERSION.search(repo.text("CMakeLists.txt"))[1]
    options = {name for path in repo.files if path.endswith(("CMakeLists.txt", ".cmake"))
               for name in DECLARED.findall(repo.text(path))}
    recipes = [path for path in repo.files if path.startswith("packaging/")]
    for path in recipes:
        try:
            if path == SPACK:
                found, handed = of_spack(repo.text(path))
            elif path.endswith(".eb"):
                found, handed = of_easybuild(repo.text(path))
            elif path == APPTAINER:
                found, handed = of_apptainer(repo, report, path)
            else:
                report.problem(path, 1, "no recipe that tests/tidy/check_recipes.py knows")
                continue
        except Exception as failure:
            report.problem(path, 1, f"cannot be read: {type(failure).__name__}: {failure}")
            continue
        if found != {version}:
            report.problem(path, 1, f"is for version {', '.join(sorted(found))}, not {version}")
        for name in sorted(set(handed) - options):
            report.problem(path, line_of(repo, path, name), f"CMake has no option {name}")
    return f"{len(recipes)} recipes"


def line_of(repo, path, text):
    return next((number for number, line in repo.lines(path) if text in line), 1)


def of_spack(text):
    """Runs the recipe with something in the place of Spack's directives: its versions, and what it defines for CMake with
    every variant on and off."""
    directives = ("license", "version", "variant", "generator", "depends_on", "extends", "conflicts")
    seen = {name: [] for name in directives}

    def directive(name):
        return lambda *arguments, **options: seen[name].append((arguments, options))

    namespace = {name: directive(name) for name in directives}
    namespace["CMakePackage"] = type("CMakePackage", (), {
        "define": lambda self, name, value: f"-D{name}={value}",
        "define_from_variant": lambda self, name, variant: f"-D{name}={self.spec.satisfies('+' + variant)}"})
    exec(compile(text.replace("from spack.package import *", ""), SPACK, "exec"), namespace)
    variants = {arguments[0] for arguments, _ in seen["variant"]}
    handed = []
    for on in (True, False):
        def satisfies(spec, on=on):
            if spec[0] != "+" or spec[1:] not in variants:
                raise ValueError(f"no variant {spec}")
            return on

        package = namespace["Ddict"]()
        python = types.SimpleNamespace(command=types.SimpleNamespace(path="python3"))
        package.spec = type("Spec", (), {"satisfies": staticmethod(satisfies), "__getitem__": lambda self, name: {"python": python}[name]})()
        handed += HANDED.findall(" ".join(package.cmake_args()))
    for name in ("depends_on", "extends", "conflicts"):
        for _, options in seen[name]:
            if "when" in options and options["when"].removeprefix("+") not in variants:
                raise ValueError(f"no variant {options['when']}")
    return {arguments[0] for arguments, _ in seen["version"]}, handed


def of_easybuild(text):
    """A recipe for EasyBuild is assignments, in Python."""
    values = {"SOURCELOWER_TAR_GZ": "%(namelower)s-%(version)s.tar.gz"}
    exec(compile(text, "easyconfig", "exec"), values)
    for name in ("easyblock", "name", "homepage", "description", "toolchain", "sources", "sanity_check_paths", "moduleclass"):
        if name not in values:
            raise ValueError(f"{name} is missing")
    for name in ("builddependencies", "dependencies"):
        if not all(len(entry) == 2 and all(isinstance(part, str) for part in entry) for entry in values[name]):
            raise ValueError(f"{name}: each is a name and a version")
    return {values["version"]}, HANDED.findall(values["configopts"])


def of_apptainer(repo, report, path):
    """The sections are known, and the scripts that it runs are there. Its version is that of the archive that it takes."""
    section = None
    archives = set()
    handed = []
    header = {}
    for number, line in repo.lines(path):
        if found := SECTION.match(line):
            section = found[1]
            if section not in SECTIONS:
                report.problem(path, number, f"no section of Apptainer: %{section}")
        elif section is None and ":" in line and not line.startswith("#"):
            name, _, value = line.partition(":")
            header[name] = value.strip()
        elif section == "files":
            archives |= set(re.findall(r"^\s+ddict-([\d.]+)\.tar\.gz ", line))
        elif section in SCRIPTS:
            handed += HANDED.findall(line)
            for script in re.findall(r"^\s+(scripts/[\w-]+)", line):
                if script not in repo.files:
                    report.problem(path, number, f"there is no {script}")
    if set(header) != {"Bootstrap", "From"}:
        report.problem(path, 1, "the header says Bootstrap and From")
    return archives, handed


if __name__ == "__main__":
    repository.run(check)
