#!/usr/bin/python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""compiler_says_test.py COMPILER INCLUDE: what does not compile says in one line what to do about it."""
import concurrent.futures
import subprocess
import sys

PROGRAM = """
#include <ddict/dictionary.h>
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


def judge(compiler, include, call, *expected):
    done = subprocess.run([compiler, "-std=c++20", "-fsyntax-only", "-I" + include, "-xc++", "-"],
                          input=PROGRAM % call, capture_output=True, text=True)
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    if done.returncode == 0:
        return f"{call}: compiles"
    missing = [words for words in expected if words not in done.stderr]
    if len(errors) != 1 or missing:
        return f"{call}: {len(errors)} errors, without {missing}:\n" + "\n".join(errors)
    return None


def main():
    compiler, include = sys.argv[1:]
    good = subprocess.run([compiler, "-std=c++20", "-fsyntax-only", "-I" + include, "-xc++", "-"],
                          input=PROGRAM % 'dict.put("k", Padded{})', capture_output=True, text=True)
    problems = [] if good.returncode == 0 else [good.stderr]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        problems += filter(None, pool.map(lambda call: judge(compiler, include, *call), CALLS))
    print("\n".join(problems) or f"{len(CALLS)} calls")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
