#!/usr/bin/env python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A parameter sweep: any number of processes take the next case of a queue until all are done, and put what came of it. The case of one
that is killed goes to another.

    python3 parameter_sweep.py                                  # four processes of this machine, by multiprocessing
    ddict-launch -- srun -n 64 python3 parameter_sweep.py run   # in a job: each rank takes cases, one of them tells
"""

import multiprocessing
import sys

import numpy as np

import ddict

CASES = [(dt, order) for dt in (0.1, 0.05, 0.025) for order in (1, 2, 3)]


def simulate(dt, order):
    return np.cumsum(np.full(int(1 / dt), dt**order))


def fill(d):
    cases = d.queue("cases", items=len(CASES))
    for case in CASES:
        cases.push(case)
    cases.close()


def run(d):
    """Until all are done, also those that others have: if one of them is killed, its case comes back."""
    for item in d.queue("cases"):
        with item:
            d["result", *item.value] = simulate(*item.value)


def report(d):
    for dt, order in CASES:
        print(f"dt {dt:5}  order {order}  last {d['result', dt, order][-1]:.6f}")


def main():
    if sys.argv[1:] == ["run"]:
        d = ddict.attach()
        if d.put_if_absent("filled", True):
            fill(d)
        run(d)
        if d.put_if_absent("reported", True):
            report(d)
        return
    with ddict.create(total_mem="64M") as d:
        fill(d)
        workers = [multiprocessing.Process(target=run, args=(d,)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        report(d)
        d.destroy()


if __name__ == "__main__":
    main()
