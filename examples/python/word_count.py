#!/usr/bin/env python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Counts words with many processes: every word is a counter, and incr makes it right however many add at once. Each process reads every
n-th line; the first one waits for the others and prints the ten words that are most frequent.

    ddict-launch -- srun --ntasks=8 python3 word_count.py FILE...     # in a Slurm job
    ddict-launch -- python3 word_count.py FILE...                     # one process
"""

import collections
import fileinput
import heapq
import os
import re
import sys

import ddict


def main():
    rank, size = int(os.environ.get("SLURM_PROCID", 0)), int(os.environ.get("SLURM_NTASKS", 1))
    counts = collections.Counter()
    for number, line in enumerate(fileinput.input(sys.argv[1:])):
        if number % size == rank:
            counts.update(re.findall(r"[a-z]+", line.lower()))
    with ddict.attach() as d:
        for word, count in counts.items():
            d.incr(f"count/{word}", count)
        d["done", rank] = True
        if rank == 0:
            for other in range(size):
                d.wait(("done", other), timeout=600)
            for key, count in heapq.nsmallest(10, d.items("count/"), key=lambda pair: (-pair[1], pair[0])):
                print(count, key.removeprefix("count/"))


if __name__ == "__main__":
    main()
