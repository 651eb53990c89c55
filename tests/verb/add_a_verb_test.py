# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""add_a_verb_test.py COMPILER SOURCES LIBRARY...: adds the verb of docs/how_to_add_a_verb.md as the page says.

The blocks of the page are put where it says into copies of the files, which come before the others on the
include path. With all of them a manager executes the new verb; without each of them it does not compile, or, of
the one that only a linker could miss, does not link.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

COMPILER, SOURCES, *LIBRARIES = sys.argv[1:]
SOURCES = pathlib.Path(SOURCES)

# The blocks in the order of the page: a name, the file, and the text before whose line the block goes.
STEPS = (
    ("enumerator", "wire/verbs.h", "};\ninline constexpr std::uint8_t verb_last"),
    ("rule", "wire/verbs.h", "}};"),
    ("operation", "include/ddict/error.h", "};\n\n/// What is known of the manager that an error is about."),
    ("its name", "base/error.cpp", '    }\n    return "operation";'),
    ("declaration", "manager/ops/ops.h", "\n// atomics.cpp"),
    ("definition", "manager/ops/pairs.cpp", "}  // namespace ddict::manager::ops"),
    ("row of the table", "manager/shard.cpp", "};\n\nconstexpr std::array<Op, wire::verb_last + 1> op_table"),
    ("sample", "tests/sim/garbage_test.cpp", "        case Verb::checkpoints:\n            break;"),
)
# Where a missing block is noticed, and what the compiler says of it.
NOTICED_BY = {
    "enumerator": ("wire/verbs.cpp", "checksum"),
    "rule": ("wire/verbs.cpp", "the rules stand in the order of the verbs"),
    "operation": ("wire/verbs.cpp", "checksum"),
    "its name": ("base/error.cpp", "checksum"),
    "declaration": ("manager/shard.cpp", "checksum"),
    "row of the table": ("manager/shard.cpp", "each verb but hello has its function"),
    "sample": ("tests/sim/garbage_test.cpp", "checksum"),
}
WITH_NETWORK = ("server.cpp", "main.cpp", "connection_guard.cpp", "peer_users.cpp")

PROGRAM = """
#include "tests/manager/shard_fixture.h"

namespace ddict::manager {
TEST_F(ShardTest, ExecutesTheNewVerb) {
    const std::string value = "Dragon";
    ASSERT_EQ(ask({.verb = Verb::put, .key = "Hello", .value = bytes_of(value), .value_type = type_text}), Errc{});
    ASSERT_EQ(ask({.verb = Verb::checksum, .key = "Hello"}), Errc{});
    EXPECT_EQ(last().argument, XXH3_64bits(value.data(), value.size()));
    EXPECT_EQ(ask({.verb = Verb::checksum, .key = "nobody"}), Errc::not_found);
    const std::uint64_t rejected_before = rejected();
    ask(Verb::checksum, session());  // without a key: the rule says that this has no form
    EXPECT_EQ(rejected(), rejected_before + 1);
    EXPECT_EQ(name(wire::rule_of(Verb::checksum).operation), "checksum");
}
}  // namespace ddict::manager
"""


def blocks():
    page = (SOURCES / "docs/how_to_add_a_verb.md").read_text()
    found = re.findall(r"^( *)```cpp\n(.*?)^\1```$", page, re.MULTILINE | re.DOTALL)
    return ["".join(line[len(indent):] or "\n" for line in code.splitlines(keepends=True)) for indent, code in found]


class Tree:
    """Copies of the files that change, with all blocks but one."""

    def __init__(self, folder, left_out=None):
        self.folder = pathlib.Path(folder)
        for (name, file, before), block in zip(STEPS, blocks(), strict=True):
            copy = self.folder / file
            copy.parent.mkdir(parents=True, exist_ok=True)
            text = copy.read_text() if copy.exists() else self.with_last((SOURCES / file).read_text())
            if name != left_out:
                assert text.count(before) == 1, f"{file} has {text.count(before)} places for the {name}"
                text = text.replace(before, block + before)
            copy.write_text(text)

    @staticmethod
    def with_last(text):
        return re.sub(r"(verb_last = static_cast<std::uint8_t>\(Verb)::\w+", r"\1::checksum", text)

    def path(self, file):
        return self.folder / file if (self.folder / file).exists() else SOURCES / file

    def compile(self, file, *options):
        command = [COMPILER, "-std=c++20", "-O0", "-Werror=switch", f"-I{self.folder}", f"-I{self.folder}/include",
                   f"-I{SOURCES}", f"-I{SOURCES}/include", "-DDDICT_VERSION=\"0\"", *options, str(self.path(file))]
        return subprocess.run(command, capture_output=True, text=True)


class AddAVerb(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def test_each_block_is_missed(self):
        for name, (file, said) in NOTICED_BY.items():
            with self.subTest(name):
                tree = Tree(self.folder / name.replace(" ", "_"), left_out=name)
                done = tree.compile(file, "-fsyntax-only")
                self.assertNotEqual(done.returncode, 0, f"{file} compiles without the {name}")
                self.assertIn(said, done.stderr)

    def test_with_all_blocks_a_manager_executes_it(self):
        tree = Tree(self.folder / "all")
        self.assertEqual(tree.compile("tests/sim/garbage_test.cpp", "-fsyntax-only").stderr, "")
        (tree.folder / "tests/verb").mkdir(parents=True)
        (tree.folder / "tests/verb/new_verb_test.cpp").write_text(PROGRAM)
        files = ["base/error.cpp", "tests/verb/new_verb_test.cpp"]
        for library in ("wire", "store", "rpc", "manager"):
            files += sorted(path.relative_to(SOURCES).as_posix() for path in (SOURCES / library).rglob("*.cpp")
                            if path.name not in WITH_NETWORK)
        objects = [str(self.folder / (file.replace("/", "_") + ".o")) for file in files]
        with concurrent.futures.ThreadPoolExecutor(min(os.cpu_count() or 1, 4)) as pool:
            for done in pool.map(lambda pair: tree.compile(pair[0], "-c", "-o", pair[1]), zip(files, objects)):
                self.assertEqual(done.returncode, 0, done.stderr)
        program = self.folder / "new_verb_test"
        libraries = [*LIBRARIES, *LIBRARIES, "-lgtest", "-lgtest_main", "-lxxhash", "-lrt", "-lpthread"]

        def link(chosen):
            return subprocess.run([COMPILER, "-o", program, *chosen, *libraries], capture_output=True, text=True)

        without = Tree(self.folder / "without", left_out="definition")
        lone = str(self.folder / "pairs_without.o")
        self.assertEqual(without.compile("manager/ops/pairs.cpp", "-c", "-o", lone).stderr, "")
        replaced = [lone if path.endswith("manager_ops_pairs.cpp.o") else path for path in objects]
        self.assertIn("checksum", link(replaced).stderr)
        linked = link(objects)
        self.assertEqual(linked.returncode, 0, linked.stderr)
        done = subprocess.run([program], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("ExecutesTheNewVerb", done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
