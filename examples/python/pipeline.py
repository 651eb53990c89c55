#!/usr/bin/env python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline beside a simulation: it pushes its field after each step and goes on; analysts take the steps as they come, each step one of
them, and the simulation waits only when the analysts are too far behind. The step of an analyst that is killed goes to another.

    ddict-launch -- python3 pipeline.py                                  # all here
    ddict-launch -- bash -c 'srun -n 1 --overlap python3 pipeline.py simulate & srun -n 4 --overlap python3 pipeline.py analyse; wait'
"""

import multiprocessing
import sys

import numpy as np

import ddict

STEPS, AHEAD_MAX = 40, 8


def simulate(d):
    fields = d.queue("fields", items=AHEAD_MAX)
    field = np.zeros((64, 64))
    field[32, 32] = 1e6
    for step in range(STEPS):
        field += 0.2 * sum(np.roll(field, shift, axis) - field for shift in (1, -1) for axis in (0, 1))
        fields.push(field, timeout=60)  # stored when this returns: the next step may change it
    fields.close()


def analyse(d):
    for item in d.queue("fields").items(until_producers_gone=True):  # also if the simulation dies before it closes the queue
        with item:
            d["result", item.number] = (float(item.value.max()), float(item.value.sum()))  # numbers count the pushes


def report(d):
    results = [d.wait(("result", step), timeout=60) for step in range(STEPS)]
    assert all(abs(total - 1e6) < 1e-3 for _, total in results)  # nothing is lost
    print(f"{STEPS} steps, the peak falls from {results[0][0]:.0f} to {results[-1][0]:.0f}")


def main():
    d = ddict.attach()
    if len(sys.argv) > 1:
        {"simulate": simulate, "analyse": analyse}[sys.argv[1]](d)
        if sys.argv[1] == "simulate":
            report(d)
        return
    processes = [multiprocessing.Process(target=work, args=(d,)) for work in (simulate, analyse, analyse)]
    for process in processes:
        process.start()
    report(d)
    for process in processes:
        process.join()


if __name__ == "__main__":
    main()
