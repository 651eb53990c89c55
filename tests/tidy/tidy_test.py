# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The checks themselves: each finds what it is there for, at the right line, and leaves sound files alone."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
LICENCE = "SPDX-FileCopyrightText: The ddict authors\n{0} SPDX-License-Identifier: Apache-2.0\n"
CXX = "// " + LICENCE.format("//")
MARKDOWN = "<!-- SPDX-FileCopyrightText: The ddict authors -->\n<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
SHELL = "#!/bin/bash\n# " + LICENCE.format("#")


class Checks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name).resolve() / "a tree"

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run_check(self, name, *arguments):
        command = [sys.executable, "-B", HERE / f"check_{name}.py", self.root, *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    def assert_fine(self, name, *arguments):
        done = self.run_check(name, *arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("fine", done.stdout)

    def assert_problem(self, name, expected, *arguments):
        done = self.run_check(name, *arguments)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn(expected, done.stdout)
        self.assertIn(": 1 problems", done.stdout)


class Layers(Checks):
    def setUp(self):
        super().setUp()
        self.write("base/bytes.h", "#include <vector>\n#include <ddict/error.h>\n")
        self.write("base/hash.h", "#include <xxhash.h>\n")
        self.write("include/ddict/error.h", "#include <string>\n")
        self.write("include/ddict/dictionary.h", "#include <ddict/error.h>\n")
        self.write("shm/pool.cpp", '#include <sys/mman.h>\n#include <boost/interprocess/mapped_region.hpp>\n#include "base/bytes.h"\n')
        self.write("launcher/main.cpp", '#include <ddict/dictionary.h>\n#include "pmix/session.h"\n')
        self.write("pmix/session.h", "#include <pmix.h>\n")
        self.write("bench/raw.cpp", '#include <ucp/api/ucp.h>\n#include "shm/pool.h"\n')
        self.write("shm/pool.h", "")

    def test_sound_tree(self):
        self.assert_fine("layers")

    def include(self, path, line, expected):
        self.write(path, f"#include <vector>\n{line}\n")
        self.assert_problem("layers", f"{path}:2: {expected}")

    def test_folder_that_must_not_be_used(self):
        self.include("ucx/worker.cpp", '#include "shm/pool.h"', "ucx/ must not use shm/")

    def test_base_uses_nothing_of_ours(self):
        self.include("base/x.cpp", '  #  include "shm/pool.h"', "base/ must not use shm/")

    def test_no_folder_uses_tests(self):
        self.write("tests/sim/network.h", "")
        self.include("manager/x.cpp", '#include "tests/sim/network.h"', "manager/ must not use tests/")

    def test_base_is_standard_library_only(self):
        self.include("base/x.cpp", "#include <unistd.h>", "base/ uses only the standard library")

    def test_foreign_headers_stay_in_their_folder(self):
        self.include("manager/x.cpp", "#include <ucp/api/ucp.h>", "UCX (ucp/api/ucp.h) is used only in ucx/")

    def test_foreign_header_in_a_test_of_another_layer(self):
        self.include("tests/unit/x.cpp", "#include <pmix_server.h>", "PMIx (pmix_server.h) is used only in pmix/")

    def test_slurm_headers_are_for_the_plugin(self):
        self.include("slurm/x.cpp", "#include <slurm/slurm.h>", "Slurm's interface (slurm/slurm.h) is used only in slurm/spank/")

    def test_unknown_library(self):
        self.include("launcher/x.cpp", "#include <zmq.hpp>", "<zmq.hpp> is of none of the libraries")

    def test_public_header_with_internal_one(self):
        self.include("include/ddict/x.h", '#include "base/bytes.h"', "a public header includes only")

    def test_public_header_with_foreign_one(self):
        self.include("include/ddict/x.h", "#include <xxhash.h>", "a public header includes only")

    def test_part_of_a_standard_header(self):
        self.write("include/ddict/standard.h", "#include <bits/chrono.h>\n")
        self.assert_fine("layers")
        self.include("include/ddict/x.h", "#include <bits/chrono.h>", "a public header includes only")

    def test_public_header_of_libclient_below_it(self):
        self.include("shm/x.cpp", "#include <ddict/dictionary.h>", "shm/ must not use libclient/")

    def test_public_header_for_everybody_with_one_of_libclient(self):
        self.include("include/ddict/error.h", "#include <ddict/dictionary.h>", "include/ddict/error.h must not use libclient/")

    def test_missing_public_header(self):
        self.include("shm/x.cpp", "#include <ddict/nothing.h>", "no <ddict/nothing.h>")

    def test_path_from_the_folder_itself(self):
        self.include("shm/x.cpp", '#include "pool.h"', 'no "pool.h"')

    def test_new_folder(self):
        self.write("extras/x.cpp", "")
        self.assert_problem("layers", "extras/x.cpp:1: the folder extras/ is not in the table")

    def test_targets(self):
        self.write("manager/CMakeLists.txt", "ddict_library(manager\n  SOURCES a.cpp\n  USES base shm LINKS x)\n")
        self.write("launcher/CMakeLists.txt", "ddict_program(p SOURCES main.cpp USES base client)\n")
        self.assert_fine("layers")
        self.write("pmix/CMakeLists.txt", "ddict_library(pmix\n  SOURCES a.cpp\n  USES base slurm\n  LINKS PkgConfig::PMIX)\n")
        self.assert_problem("layers", "pmix/CMakeLists.txt:3: pmix/ must not use slurm/")

    def test_target_linked_by_hand(self):
        self.write("shm/CMakeLists.txt", "\ntarget_link_libraries(ddict_shm PUBLIC ddict_ucx)\n")
        self.assert_problem("layers", "shm/CMakeLists.txt:2: shm/ must not use ucx/")

    def test_foreign_target(self):
        self.write("slurm/CMakeLists.txt", "\nddict_library(slurm SOURCES a.cpp LINKS PkgConfig::PMIX)\n")
        self.assert_problem("layers", "slurm/CMakeLists.txt:2: PMIx (linked here) is used only in pmix/")


class Headers(Checks):
    def setUp(self):
        super().setUp()
        source = self.write("base/a.cpp", "")
        self.write("base/good.h", "\n#pragma once\n#include <string>\ninline std::string text;\n")
        command = f"c++ -std=c++20 '-I{self.root}' -o a.o -c '{source}'"
        entry = {"directory": str(self.root), "file": str(source), "command": command}
        self.write("build/compile_commands.json", json.dumps([entry]))

    def test_sound_header(self):
        self.assert_fine("headers", self.root / "build")

    def test_header_of_all_programs(self):
        entry = json.loads((self.root / "build/compile_commands.json").read_text())[0]
        source = self.write("libclient/a.cpp", "")
        entry |= {"file": str(source), "command": entry["command"].replace("base/a.cpp", "libclient/a.cpp")}
        self.write("build/compile_commands.json", json.dumps([entry]))
        (self.root / "base/good.h").unlink()
        self.write("include/ddict/dictionary.h", "\n#pragma once\n#include <string>\n" + "int f();\n" * 1000)
        self.assert_fine("headers", self.root / "build")
        self.write("include/ddict/dictionary.h", "\n#pragma once\n#include <string>\n" + "int f();\n" * 50_000)
        self.assert_problem("headers", "lines after the preprocessor, not up to", self.root / "build")

    def test_header_that_needs_another_first(self):
        self.write("base/bad.h", "\n#pragma once\ninline std::string text;\n")
        self.assert_problem("headers", "base/bad.h:1: does not compile by itself", self.root / "build")

    def test_header_that_a_source_includes_first(self):
        """The build has compiled it so. Not so if anything stands before it."""
        self.write("base/bad.h", "\n#pragma once\ninline std::string text;\n")
        self.write("base/a.cpp", "// What it is.\n\n#include \"base/bad.h\"\n\n#include <string>\n")
        self.assert_fine("headers", self.root / "build")
        self.write("base/a.cpp", "// What it is.\n#include <string>\n\n#include \"base/bad.h\"\n")
        self.assert_problem("headers", "base/bad.h:1: does not compile by itself", self.root / "build")
        self.write("base/a.cpp", "#define HELP\n#include \"base/bad.h\"\n")
        self.assert_problem("headers", "base/bad.h:1: does not compile by itself", self.root / "build")

    def test_header_that_was_fine_before(self):
        self.assert_fine("headers", self.root / "build")
        self.write("base/user.h", "\n#pragma once\n#include \"base/good.h\"\ninline auto more = text;\n")
        self.assert_fine("headers", self.root / "build")
        self.write("base/good.h", "\n#pragma once\n")
        self.assert_problem("headers", "base/user.h:1: does not compile by itself", self.root / "build")
        self.assert_problem("headers", "base/user.h:1: does not compile by itself", self.root / "build")

    def test_header_without_guard(self):
        self.write("base/bad.h", "inline int number;\n")
        self.assert_problem("headers", "base/bad.h:1: #pragma once is missing", self.root / "build")

    def test_header_that_nothing_compiles(self):
        self.write("shm/alone.h", "\n#pragma once\n")
        self.assert_problem("headers", "shm/alone.h:1: no source file", self.root / "build")


class Words(Checks):
    def setUp(self):
        super().setUp()
        self.write("base/a.h", CXX + "// Mushrooms in a classroom; an outpatient, a broom.\n")
        self.write("README.md", MARKDOWN + "# Title\n")

    def test_sound_tree(self):
        self.assert_fine("words")

    def test_each_form_of_a_refused_word(self):
        for text in ("no room for it", "make_room", "HasRoom", "Room for more", "page_room_max", "a greeting", "by_greeter_",
                     "OfAGreeting", "say_farewell", "the patience of", "patience_", "detail::Patience", "an impatient one",
                     "reserve_patiently", "BackgroundSupervisor", "supervisor_pid", "it supervises", "waits in vain",
                     "Outcome::in_vain", "drawn by lot", "By lot, but", "offers its processor"):
            with self.subTest(text):
                self.write("base/b.h", CXX + f"// {text}\n")
                self.assert_problem("words", "base/b.h:3: '")

    def test_a_file_of_such_a_name(self):
        self.write("launcher/supervisor.h", CXX)
        self.assert_problem("words", "launcher/supervisor.h:1: 'supervisor' in the file's name")


class Text(Checks):
    def setUp(self):
        super().setUp()
        self.write("base/a.h", CXX + "// See base/work/a.h and $HOME/work/b.\n")
        self.write("scripts/run", SHELL)
        self.write("README.md", MARKDOWN + "# Title\n")

    def test_sound_tree(self):
        self.assert_fine("text")

    def test_no_licence(self):
        self.write("base/b.cpp", "int number;\n")
        self.assert_problem("text", "base/b.cpp:1: the two lines of the licence")

    def test_long_file(self):
        self.write("base/b.cpp", CXX + "//\n" * 598)
        self.assert_problem("text", "base/b.cpp:600: 600 lines")

    def test_rather_long_file_is_only_warned_about(self):
        self.write("base/b.cpp", CXX + "//\n" * 500)
        self.assertIn("base/b.cpp:500: warning: 502 lines", self.run_check("text").stdout)
        self.assert_fine("text")

    def test_main_function_of_a_test(self):
        self.write("tests/a_test.cpp", CXX + "int main(int argc, char** argv) { return RUN_ALL_TESTS(); }\n")
        self.assert_problem("text", "tests/a_test.cpp:3: a test's own main function")

    def test_loose_end(self):
        self.write("README.md", MARKDOWN + "\nThe rest: " + "TO" + "DO.\n")
        self.assert_problem("text", "README.md:4: TO" + "DO")

    def test_path_of_a_home(self):
        for path in ("/home" + "/anna/x", "/wo" + "rk/main", '"/ro' + 'ot/x"'):
            self.write("scripts/run", SHELL + f"cd {path}\n")
            self.assert_problem("text", "scripts/run:4: ")

    def test_white_space(self):
        self.write("base/b.h", CXX + "int a; \n")
        self.assert_problem("text", "base/b.h:3: white space")
        self.write("base/b.h", CXX + "\tint a;\n")
        self.assert_problem("text", "base/b.h:3: a tab")
        self.write("base/b.h", CXX + "int a;")
        self.assert_problem("text", "base/b.h:3: the last line")


class Style(Checks):
    def setUp(self):
        super().setUp()
        self.write(".clang-format", "BasedOnStyle: Google\n")
        self.write("base/a.cpp", "int a;\n")
        self.write("scripts/run", '#!/bin/bash\necho "$1"\n')

    def test_sound_tree(self):
        self.assert_fine("style")

    def test_format(self):
        self.write("base/a.cpp", "int a;\nint   b;\n")
        done = self.run_check("style")
        self.assertEqual(done.returncode, 1)
        self.assertIn("base/a.cpp:2:", done.stdout)

    def test_format_of_many_files(self):
        """Which are looked at some at a time."""
        for number in range(120):
            self.write(f"base/b{number:03}.cpp", "int a;\n" + "int   b;\n" * 9 if number % 40 == 7 else "int a;\n")
        done = self.run_check("style")
        self.assertEqual(done.returncode, 1)
        told = [line.split(":")[:2] for line in done.stdout.splitlines() if ": error: " in line]
        self.assertEqual(told, [[f"base/b{number:03}.cpp", str(line)] for number in (7, 47, 87) for line in range(2, 7)])

    def test_shell(self):
        self.write("scripts/run", "#!/bin/bash\ncd $1\necho done\n")
        done = self.run_check("style")
        self.assertEqual(done.returncode, 1)
        self.assertIn("scripts/run:2:1: warning: Use 'cd ... || exit'", done.stdout)

    def test_part_of_a_script(self):
        self.write("scripts/part.sh", "# shellcheck shell=bash\nshow() { echo \"$of_the_other_part\"; }\n")
        self.assert_fine("style")
        self.write("scripts/part.sh", "# shellcheck shell=bash\ncd somewhere\necho fine\n")
        self.assert_problem("style", "scripts/part.sh:2:1: ")


class Docs(Checks):
    def setUp(self):
        super().setUp()
        self.write("base/limits.h", "")
        self.write("include/ddict/error.h", "")
        self.write("launcher/CMakeLists.txt", "ddict_program(ddict-launch SOURCES main.cpp)\n")
        self.write("scripts/run", "#!/bin/bash\n# knows --quick\n")
        self.write("docs/page.md", "# A page\n\n## The `second` part\n")
        self.write("README.md", "See [page](docs/page.md#the-second-part), [web](https://example.org) and `base/limits.h`.\n")

    def read(self, text, expected):
        self.write("docs/other.md", f"# Other\n\n{text}\n")
        self.assert_problem("docs", f"docs/other.md:3: {expected}")

    def test_sound_tree(self):
        self.write("docs/other.md", "\n`base/`, `scripts/*`, `<ddict/error.h>`\n\n"
                   "    scripts/run --quick -- --other\n    build/release/bin/ddict-launch --help [x](nowhere)\n")
        self.assert_fine("docs")

    def test_file_at_the_end_of_a_sentence(self):
        self.write("docs/other.md", "\n    a comment (see docs/page.md). And docs/page.md.\n")
        self.assert_fine("docs")
        self.read("    a comment (see docs/nothing.md).", "there is no docs/nothing.md")

    def test_link(self):
        self.read("[x](nothing.md)", "the link nothing.md leads nowhere")

    def test_link_out_of_the_tree(self):
        self.read("[x](../../elsewhere.md)", "the link ../../elsewhere.md leads nowhere")

    def test_anchor(self):
        self.read("[x](page.md#third)", "page.md has no heading for #third")

    def test_file(self):
        self.read("see `base/nothing.h`", "there is no base/nothing.h")

    def test_file_in_a_block(self):
        self.read("    bash scripts/nothing", "there is no scripts/nothing")

    def test_header(self):
        self.read("    #include <ddict/nothing.h>", "there is no <ddict/nothing.h>")

    def test_program(self):
        self.read("run `build/release/bin/ddict-nothing`", "no CMakeLists.txt builds the program ddict-nothing")

    def test_option(self):
        self.read("run `scripts/run --slow`", "scripts/run does not know --slow")

    def test_names_in_a_file(self):
        self.write("base/limits.h", "int keys_max;\n")
        self.write("docs/other.md", "\n`base/limits.h` (`keys_max`)\n")
        self.assert_fine("docs")
        self.read("`base/limits.h` (`keys_max`, `keys_min`)", "there is no keys_min in base/limits.h")
        self.read("`base/limits.h` (`keys`)", "there is no keys in base/limits.h")

    def test_package(self):
        script = self.write("scripts/install-packages", "#!/bin/bash\necho libnew-dev\n")
        script.chmod(0o755)
        self.assert_problem("docs", "docs/dependencies.md:1: the package libnew-dev")


class Reference(Checks):
    TESTS = "`tests/client/a_test.cpp Suite.Works`, `tests/client/c_test.c test_it`, `tests/x.sh it works`, `tests/y.py test_y`"

    def setUp(self):
        super().setUp()
        self.write("include/ddict/view.h", "void put();\n")
        self.write("include/ddict/ddict.h", "int ddict_put(void);\n")
        self.write("tests/client/a_test.cpp", "TEST_F(Suite, Works) {\n}\n")
        self.write("tests/client/c_test.c", "void test_it(void) {\n}\n")
        self.write("tests/x.sh", '  check "it works" 0 true\n')
        self.write("tests/y.py", "    def test_y(self):\n")
        self.rows = [f"A{i}" for i in range(1, 16)] + [f"K{i}" for i in range(1, 30)] + [f"D{i}" for i in range(1, 13)]

    def page(self, first="", rows=None):
        lines = [first] if first else []
        for row in rows or self.rows[len(lines):]:
            calls = "| `View::put` | `ddict_put` " if row[0] != "D" else "| x "
            lines.append(f"| {row} | theirs {calls}| {self.TESTS} |")
        self.write("docs/reference_table.md", "| row | what | C++ | C | tests |\n|--|--|--|--|--|\n" + "\n".join(lines) + "\n")

    def read(self, first, expected):
        self.page(first)
        self.assert_problem("reference", f"docs/reference_table.md:3: {expected}")

    def test_sound_page(self):
        self.page()
        self.assert_fine("reference")

    def test_missing_row(self):
        self.page(rows=self.rows[:-1])
        self.assert_problem("reference", "the row D12 is missing")

    def test_row_without_a_test(self):
        self.read("| A1 | x | `put` | `ddict_put` | sure |", "this row has no test")

    def test_excuses(self):
        self.page("| A1 | x | `put` | `ddict_put` | needs Python |")
        self.assert_fine("reference")

    def test_tests_that_do_not_exist(self):
        for name in ("a_test.cpp Suite.Other", "a_test.cpp Other.Works", "c_test.c test_other", "c_test.c test_i"):
            self.read(f"| A1 | x | `put` | `ddict_put` | `tests/client/{name}` |", "tests/client/" + name.replace(" ", " has no test "))
        self.read("| A1 | x | `put` | `ddict_put` | `tests/nothing.cpp A.B` |", "there is no tests/nothing.cpp")

    def test_calls_that_do_not_exist(self):
        self.read(f"| A1 | x | `View::pop` | `ddict_put` | {self.TESTS} |", "no public header declares View::pop")
        self.read(f"| A1 | x | `put` | `ddict_pop` | {self.TESTS} |", "no public header declares ddict_pop")
        self.read(f"| A1 | x | `put` | nothing | {self.TESTS} |", "this row has no call of C")


class Recipes(Checks):
    SPACK = ('from spack.package import *\nclass Ddict(CMakePackage):\n    version("1.2.3")\n    variant("python", default=True)\n'
             '    depends_on("python", when="+python")\n    def cmake_args(self):\n'
             '        return [self.define_from_variant("DDICT_PYTHON", "python")]\n')
    EASYBUILD = ("easyblock = 'CMakeNinja'\nname = 'ddict'\nversion = '1.2.3'\nhomepage = ''\ndescription = ''\n"
                 "toolchain = {}\nsources = [SOURCELOWER_TAR_GZ]\nbuilddependencies = [('CMake', '3')]\ndependencies = []\n"
                 "configopts = '-DDDICT_PYTHON=ON'\nsanity_check_paths = {}\nmoduleclass = 'lib'\n")
    APPTAINER = ("Bootstrap: docker\nFrom: debian:12\n%files\n    ddict-1.2.3.tar.gz /opt\n%post\n    scripts/run\n"
                 "    cmake -DDDICT_PYTHON=ON\n")

    def setUp(self):
        super().setUp()
        self.write("CMakeLists.txt", 'project(ddict VERSION 1.2.3 LANGUAGES C)\noption(DDICT_PYTHON "x" ON)\n')
        self.write("scripts/run", "#!/bin/bash\n")
        self.recipe("spack/package.py", self.SPACK)
        self.recipe("easybuild/ddict-1.2.3.eb", self.EASYBUILD)
        self.recipe("apptainer/ddict.def", self.APPTAINER)

    def recipe(self, path, text):
        self.write("packaging/" + path, text)

    def test_sound_recipes(self):
        self.assert_fine("recipes")

    def test_syntax(self):
        self.recipe("spack/package.py", self.SPACK + "    (\n")
        self.assert_problem("recipes", "packaging/spack/package.py:1: cannot be read: SyntaxError")

    def test_version(self):
        self.recipe("easybuild/ddict-1.2.3.eb", self.EASYBUILD.replace("1.2.3", "1.2.4"))
        self.assert_problem("recipes", "ddict-1.2.3.eb:1: is for version 1.2.4, not 1.2.3")
        self.recipe("easybuild/ddict-1.2.3.eb", self.EASYBUILD)
        self.recipe("apptainer/ddict.def", self.APPTAINER.replace("1.2.3", "1.2.4"))
        self.assert_problem("recipes", "ddict.def:1: is for version 1.2.4, not 1.2.3")

    def test_options(self):
        self.recipe("spack/package.py", self.SPACK.replace("DDICT_PYTHON", "DDICT_PERL"))
        self.assert_problem("recipes", "package.py:7: CMake has no option DDICT_PERL")
        self.recipe("spack/package.py", self.SPACK)
        self.recipe("apptainer/ddict.def", self.APPTAINER.replace("DDICT_PYTHON", "DDICT_PERL"))
        self.assert_problem("recipes", "ddict.def:7: CMake has no option DDICT_PERL")

    def test_variant(self):
        self.recipe("spack/package.py", self.SPACK.replace('"+python"', '"+perl"'))
        self.assert_problem("recipes", "no variant +perl")

    def test_script(self):
        self.recipe("apptainer/ddict.def", self.APPTAINER.replace("scripts/run", "scripts/walk"))
        self.assert_problem("recipes", "ddict.def:6: there is no scripts/walk")


if __name__ == "__main__":
    unittest.main()
