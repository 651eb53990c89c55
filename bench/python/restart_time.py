# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""How long a client waits for its answer when its manager is killed: kills the only manager of the dictionary in the
environment, some times, and adds one to a counter at once.

    ddict-launch --total-mem 3G -- python3 bench/python/restart_time.py PAIRS BYTES [TIMES]

With --steady before the numbers: how long a client stalls that puts one value after the other, and does not know of
the kill: its longest put within the second in which the manager is killed at some moment.
"""

import os
import random
import signal
import statistics
import subprocess
import sys
import time

import numpy as np

import ddict

# Three ends within ten seconds would be the last.
SECONDS_BETWEEN_KILLS = 5.2


def fill(dictionary, pairs, value_bytes):
    for begin in range(0, pairs, 50_000):
        numbers = range(begin, min(pairs, begin + 50_000))
        if value_bytes == 8:
            dictionary.update({f"key-{number:024d}": number for number in numbers})
        else:
            for number in numbers:
                dictionary[f"key-{number:024d}"] = np.full(value_bytes, number % 256, "u1")


def first_answer(dictionary, manager, count):
    """Milliseconds."""
    begin = time.perf_counter()
    os.kill(manager, signal.SIGKILL)
    added = dictionary.incr("restarts")
    if added != count + 1:
        sys.exit("something was lost, or made twice")
    return (time.perf_counter() - begin) * 1e3


def stall(dictionary, manager, value):
    """Milliseconds: of the longest put while it is killed, and of the median one."""
    took = []
    end = time.perf_counter() + 1
    killer = subprocess.Popen(["sh", "-c", f"sleep {random.uniform(0.2, 0.4):.3f}; kill -KILL {manager}"])
    while killer.poll() is None or time.perf_counter() < end:
        begin = time.perf_counter()
        dictionary["restarts"] = value
        took.append((time.perf_counter() - begin) * 1e3)
    return max(took), statistics.median(took)


def main(is_steady, pairs, value_bytes, times=3):
    dictionary = ddict.attach()
    fill(dictionary, pairs, value_bytes)
    value = 0 if value_bytes == 8 else np.zeros(value_bytes, "u1")
    used = dictionary.stats()[0]["used_bytes"] / 2**20
    waits, medians = [], []
    for count in range(times):
        time.sleep(SECONDS_BETWEEN_KILLS if count else 0.5)
        manager = dictionary.stats()[0]["pid"]
        if is_steady:
            longest, median = stall(dictionary, manager, value)
            waits.append(longest)
            medians.append(median)
        else:
            waits.append(first_answer(dictionary, manager, count))
        if dictionary.stats()[0]["pid"] == manager or len(dictionary) != pairs + 1:
            sys.exit("something was lost, or nothing was killed")
    what = f"{pairs} pairs of {value_bytes} bytes, {used:.0f} MiB:"
    if is_steady:
        print(what, f"stall {statistics.median(waits):.0f} ms ({min(waits):.0f} to {max(waits):.0f}, {times} kills),",
              f"a put besides {statistics.median(medians):.3f} ms")
    else:
        print(what, "first answer after", ", ".join(f"{wait:.0f} ms" for wait in waits))


if __name__ == "__main__":
    words = sys.argv[1:]
    steady = words[:1] == ["--steady"]
    numbers = words[steady:]
    if len(numbers) not in (2, 3):
        sys.exit(__doc__)
    main(steady, *map(int, numbers))
