# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""How long a client waits for its answer when its manager is killed: kills the only manager of the dictionary in the
environment, some times, and adds one to a counter at once.

    ddict-launch --total-mem 3G -- python3 bench/python/restart_time.py PAIRS BYTES [TIMES]
"""

import os
import signal
import sys
import time

import numpy as np

import ddict

# Three ends within ten seconds would be the last.
SECONDS_BETWEEN_KILLS = 5.2


def main(pairs, value_bytes, times=3):
    dictionary = ddict.attach()
    for begin in range(0, pairs, 50_000):
        numbers = range(begin, min(pairs, begin + 50_000))
        if value_bytes == 8:
            dictionary.update({f"key-{number:024d}": number for number in numbers})
        else:
            for number in numbers:
                dictionary[f"key-{number:024d}"] = np.full(value_bytes, number % 256, "u1")
    waits = []
    for count in range(times):
        time.sleep(SECONDS_BETWEEN_KILLS if count else 0.5)
        manager = dictionary.stats()[0]["pid"]
        begin = time.perf_counter()
        os.kill(manager, signal.SIGKILL)
        added = dictionary.incr("restarts")
        waits.append((time.perf_counter() - begin) * 1e3)
        if added != count + 1 or len(dictionary) != pairs + 1:
            sys.exit("something was lost, or made twice")
    print(f"{pairs} pairs of {value_bytes} bytes: first answer after", ", ".join(f"{wait:.0f} ms" for wait in waits))


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    main(*map(int, sys.argv[1:]))
