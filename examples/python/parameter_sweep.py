#!/usr/bin/env python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A parameter sweep: any number of processes draw the next case until all are done, and put what came of it.

    python3 parameter_sweep.py                                  # four processes of this machine, by multiprocessing
    ddict-launch -- srun -n 64 python3 parameter_sweep.py run   # in a job: each rank draws, the last one tells
"""

import multiprocessing
import sys

import numpy as np

import ddict

CASES = [(dt, order) for dt in (0.1, 0.05, 0.025) for order in (1, 2, 3)]


def simulate(dt, order):
    return np.cumsum(np.full(int(1 / dt), dt**order))


def run(d):
    """Draws cases until there are none; each is drawn once, whoever asks."""
    while (n := d.incr("drawn") - 1) < len(CASES):
        d["result", *CASES[n]] = simulate(*CASES[n])
        if d.incr("done") == len(CASES):
            d["all done"] = True


def report(d):
    d.wait("all done", timeout=60)
    for dt, order in CASES:
        print(f"dt {dt:5}  order {order}  last {d['result', dt, order][-1]:.6f}")


def main():
    if sys.argv[1:] == ["run"]:
        d = ddict.attach()
        run(d)
        if d.put_if_absent("reported", True):
            report(d)
        return
    with ddict.create(total_mem="64M") as d:
        workers = [multiprocessing.Process(target=run, args=(d,)) for _ in range(4)]
        for worker in workers:
            worker.start()
        report(d)
        for worker in workers:
            worker.join()
        d.destroy()


if __name__ == "__main__":
    main()
