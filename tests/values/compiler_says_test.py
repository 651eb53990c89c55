#!/usr/bin/python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""compiler_says_test.py COMPILER INCLUDE: what does not compile says in one line what to do about it."""
import concurrent.futures
import os
import subprocess
import sys
import tempfile

PROGRAM = """
struct NoCodec { std::string name; };
struct Padded { char a; int b; };
void program(const ddict::Dictionary& dict, const ddict::Cursor& cursor) {
    static_cast<void>(cursor);
    %s;
}
"""
NO_CODEC = "see <ddict/codec.h>"
NO_KEY = "give it a codec: see <ddict/codec.h>"
NO_CONDITION = "has_value(), or the value?"
CALLS = (
    ('dict.put("k", NoCodec{})', "no codec to store it", NO_CODEC),
    ("dict.erase(NoCodec{})", "no codec to store it", NO_CODEC),
    ('dict.put("k", std::vector<NoCodec>())', "no codec to store it", NO_CODEC),
    ('dict.get<NoCodec>("k")', "no codec to read it", NO_CODEC),
    ('dict.multi_get<NoCodec>({"k"})', "no codec to read it", NO_CODEC),
    ("for (auto& key : dict.keys<NoCodec>()) static_cast<void>(key)", "no codec to read it", NO_CODEC),
    ("dict.batch().put(1, NoCodec{})", "no codec to store it", NO_CODEC),
    ('NoCodec to; dict.get_into("k", to)', "nothing can be received into this", NO_CODEC),
    ("dict.put(Padded{}, 1)", "no key", NO_KEY),
    ("dict.multi_erase(std::vector<Padded>())", "no key", NO_KEY),
    ("for (auto& key : dict.keys<long double>()) static_cast<void>(key)", "long double is no key", ""),
    ("dict.put(1.0L, 1)", "long double is no key", ""),
    ("if (dict.try_contains(1)) return", "operator bool", NO_CONDITION),
    ("if (!dict.try_find(1)) return", "operator bool", NO_CONDITION),
)


class Compiler:
    """Parses the header once: it stands precompiled in `folder`."""

    def __init__(self, compiler, include, folder):
        self.command = [compiler, "-std=c++20", "-I" + include]
        header = os.path.join(folder, "dictionary.h")
        with open(header, "w", encoding="ascii") as out:
            out.write("#include <ddict/dictionary.h>\n")
        subprocess.run([*self.command, "-xc++-header", header, "-o", header + ".gch"], check=True)
        self.command += ["-include", header, "-fsyntax-only", "-xc++", "-"]

    def compile(self, call):
        return subprocess.run(self.command, input=PROGRAM % call, capture_output=True, text=True)

    def judge(self, call, *expected):
        done = self.compile(call)
        errors = [line for line in done.stderr.splitlines() if "error:" in line]
        if done.returncode == 0:
            return f"{call}: compiles"
        missing = [words for words in expected if words not in done.stderr]
        if len(errors) != 1 or missing:
            return f"{call}: {len(errors)} errors, without {missing}:\n" + done.stderr
        return None


def main():
    with tempfile.TemporaryDirectory() as folder:
        compiler = Compiler(*sys.argv[1:], folder)
        good = compiler.compile('dict.put("k", Padded{})')
        problems = [] if good.returncode == 0 else [good.stderr]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            problems += filter(None, pool.map(lambda call: compiler.judge(*call), CALLS))
    print("\n".join(problems) or f"{len(CALLS)} calls")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
