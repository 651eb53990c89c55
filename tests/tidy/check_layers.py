# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom. This table is the one of docs/architecture.md."""

import re

import repository

# Folder -> the folders whose headers it may include, and whose targets it may link.
LAYERS = {
    "include": (),  # the public headers
    "base": (),
    "os": ("base",),
    "wire": ("base",),
    "cluster": ("base",),
    "rpc": ("base", "wire", "cluster"),
    "shm": ("base", "os", "cluster"),
    "store": ("base", "wire", "shm"),
    "persist": ("base", "os", "cluster"),
    "samehost": ("base", "os", "rpc"),
    "ucx": ("base", "os", "wire", "rpc"),
    "pmix": ("base", "cluster"),
    "slurm": ("base", "os"),
    "transport": ("base", "os", "rpc", "samehost", "ucx"),
    "manager": ("base", "os", "wire", "cluster", "rpc", "shm", "store", "ucx", "transport"),
    "libclient": ("base", "os", "wire", "cluster", "rpc", "shm", "persist", "ucx", "transport"),
    "launcher": ("base", "os", "wire", "cluster", "shm", "persist", "store", "pmix", "slurm"),
    "tools": ("os",),  # for the rest the public library only, as any program of a user
    "bindings": (),  # the public library only
}
FREE = ("tests", "bench", "examples")
PURE = ("base", "wire", "cluster", "rpc")  # no operating system
# Public headers that all folders may include. The others are of the public library.
VOCABULARY = ("ddict/checkpoint_store.h", "ddict/error.h", "ddict/key_bytes.h", "ddict/number.h", "ddict/result.h", "ddict/stats.h",
              "ddict/value_sink.h", "ddict/value_type.h")
USERS_OF_LIBCLIENT = ("include", "libclient", "launcher", "tools", "bindings") + FREE
FOLDER_OF_TARGET = {"client": "libclient"}

# What is not ours: pattern of the header, its name, and where alone it may be included.
FOREIGN = (
    (r"uc[pstm]/", "UCX", ("ucx/", "bench/", "tests/ucx/")),
    (r"pmix", "PMIx", ("pmix/", "tests/pmix/", "tests/slurm/")),
    (r"slurm/", "Slurm's interface", ("slurm/spank/",)),
    (r"boost/(program_options|optional)", "Boost.Program_options", ("launcher/", "bench/", "examples/")),
    (r"boost/interprocess/", "Boost.Interprocess", ("shm/", "tests/shm/")),
    (r"nlohmann/", "nlohmann-json", tuple(f"{f}/" for f in (*LAYERS, *FREE) if f not in PURE)),
    (r"n?curses", "ncurses", ("tools/",)),
    (r"histedit\.h|editline/", "libedit", ("tools/",)),
    (r"zstd\.h", "zstd", ("persist/",)),
    (r"hwloc", "hwloc", ("launcher/",)),
    (r"hiredis/", "hiredis", ("bench/",)),
    (r"valgrind/callgrind\.h", "Valgrind", ("bench/",)),
    (r"pybind11/|Python\.h", "pybind11", ("bindings/",)),
    (r"xxhash\.h", "xxHash", ("base/", "cluster/")),
    (r"(gtest|gmock)/", "GoogleTest", ("tests/",)),
    (r"benchmark/", "google-benchmark", ("bench/",)),
)
FOREIGN_TARGETS = (
    (r"ucx::", "UCX", ("ucx/", "bench/", "tests/")),
    (r"PkgConfig::PMIX", "PMIx", ("pmix/", "tests/")),
    (r"PkgConfig::HIREDIS", "hiredis", ("bench/",)),
    (r"PkgConfig::NCURSES", "ncurses", ("tools/",)),
    (r"PkgConfig::LIBEDIT", "libedit", ("tools/",)),
    (r"PkgConfig::LIBZSTD", "zstd", ("persist/",)),
    (r"PkgConfig::HWLOC", "hwloc", ("launcher/",)),
    (r"pybind11_add_module", "pybind11", ("bindings/",)),
)
STANDARD = re.compile(r"[a-z_0-9]+")
PART_OF_STANDARD = re.compile(r"bits/[a-z_]+\.h")  # of GNU's library; named in one place only
NAMES_PARTS_OF_STANDARD = "include/ddict/standard.h"
STANDARD_OF_C = re.compile(r"(stdbool|stddef|stdint|string)\.h")  # public headers may be for C
SYSTEM = re.compile(r"([a-z_0-9]+|(sys|linux|net|netinet|arpa|sanitizer)/[a-z_0-9/]+)\.h")
INCLUDE = re.compile(r'\s*#\s*include\s*(?:<([^>]+)>|"([^"]+)")')
COMMENT = re.compile(r"#.*")
# What changes a shard goes through store::Store::apply().
CHANGES_POOL = re.compile(r"\bpool(_|\(\))?(\.|->)(put|publish|erase|clear|set_frozen)\(")
MAY_CHANGE_POOL = ("shm", "store") + FREE


def check(repo, report):
    sources = repo.having(*repository.CXX)
    for path in sources:
        folder = path.split("/")[0]
        if folder not in LAYERS and folder not in FREE:
            report.problem(path, 1, f"the folder {folder}/ is not in the table of layers (tests/tidy/check_layers.py)")
            continue
        for number, line in repo.lines(path):
            if CHANGES_POOL.search(line) and folder not in MAY_CHANGE_POOL:
                report.problem(path, number, "only store/ changes a pool: make a store::Change of it, and apply() that")
            if found := INCLUDE.match(line):
                angle, quoted = found.groups()
                wrong = angled(repo, path, folder, angle) if angle else ours(repo, path, folder, quoted)
                if wrong:
                    report.problem(path, number, wrong)
    for folder in LAYERS:
        for path in repo.files:
            if path.startswith(folder + "/") and path.endswith("CMakeLists.txt"):
                check_targets(repo, report, path, folder)
    return f"layers of {len(sources)} files"


def is_public(path):
    return path.startswith("include/ddict/")


def ours(repo, path, folder, header):
    """What is wrong with including one of our own headers, or None."""
    if is_public(path):
        return f'a public header includes only the standard library and <ddict/...>, not "{header}"'
    if header.startswith("ddict/"):
        return f'write <{header}>: public headers are included as users include them'
    if not (repo.root / header).is_file():
        return f'no "{header}": paths are written from the root of the repository'
    other = header.split("/")[0]
    return None if folder in FREE or other == folder else crossing(folder, other)


def crossing(folder, other):
    if other in LAYERS[folder]:
        return None
    allowed = " ".join(LAYERS[folder]) or "no other folder"
    return f"{folder}/ must not use {other}/ (it may use: {allowed})"


def angled(repo, path, folder, header):
    if header.startswith("ddict/"):
        if not (repo.root / "include" / header).is_file():
            return f"no <{header}> in include/"
        if header in VOCABULARY or (folder in USERS_OF_LIBCLIENT and path.removeprefix("include/") not in VOCABULARY):
            return None
        return f"{path if folder == 'include' else folder + '/'} must not use libclient/ (<{header}> is its)"
    if STANDARD.fullmatch(header) or (is_public(path) and STANDARD_OF_C.fullmatch(header)):
        return None
    if path == NAMES_PARTS_OF_STANDARD and PART_OF_STANDARD.fullmatch(header):
        return None
    if is_public(path):
        return f"a public header includes only the standard library and <ddict/...>, not <{header}>"
    for pattern, name, where in FOREIGN:
        if re.match(pattern, header):
            return None if path.startswith(where) else confined(name, header, where)
    if SYSTEM.fullmatch(header):
        return f"{folder}/ uses only the standard library, not <{header}>" if folder in PURE else None
    return f"<{header}> is of none of the libraries known to tests/tidy/check_layers.py"


def confined(name, what, where):
    return f"{name} ({what}) is used only in {' '.join(where) or 'no folder at all'}"


def check_targets(repo, report, path, folder):
    """Targets may link only what the same table allows."""
    for number, line in repo.lines(path):
        line = COMMENT.sub("", line)
        named = re.findall(r"\bddict_([a-z]+)\b(?!\()", line)
        if uses := re.search(r"\bUSES\b([^)]*)", line):
            named += re.split(r"\b[A-Z]+\b", uses[1])[0].split()
        for target in named:
            other = FOLDER_OF_TARGET.get(target, target)
            if other == folder or other not in LAYERS:
                continue
            if other == "libclient" and folder in USERS_OF_LIBCLIENT:
                continue
            if wrong := crossing(folder, other):
                report.problem(path, number, wrong)
        for pattern, name, where in FOREIGN_TARGETS:
            if re.search(pattern, line) and not path.startswith(where):
                report.problem(path, number, confined(name, "linked here", where))


if __name__ == "__main__":
    repository.run(check)
