#!/usr/bin/env python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Training with a parameter server: in every round the server broadcasts the weights, so that each worker reads a copy on its own node;
workers send gradients of their part of the data, and the server waits for them. What is learnt here: the line y = 3 x - 1.

    python3 parameter_server.py         # workers by multiprocessing; in a job, each rank calls work() with ddict.attach()
"""

import multiprocessing

import numpy as np

import ddict

WORKERS, ROUNDS, STEP = 3, 300, 0.15


def work(d, worker):
    x = np.arange(worker, 300, WORKERS) / 300  # this worker's part of the data
    for i in range(ROUNDS):
        d.wait(("round", i), timeout=60)  # the weights are everywhere
        slope, offset = d.bget("weights")
        error = slope * x + offset - (3 * x - 1)
        d["gradient", i, worker] = 2 * np.array([(error * x).mean(), error.mean()])


def serve(d):
    weights = np.zeros(2)
    for i in range(ROUNDS):
        d.bput("weights", weights)
        d["round", i] = True
        for worker in range(WORKERS):
            weights -= STEP * d.wait(("gradient", i, worker), timeout=60)
            del d["gradient", i, worker]
    return weights


def main():
    with ddict.create(total_mem="64M", managers_per_node=2) as d:
        workers = [multiprocessing.Process(target=work, args=(d, worker)) for worker in range(WORKERS)]
        for worker in workers:
            worker.start()
        slope, offset = serve(d)
        for worker in workers:
            worker.join()
        print(f"y = {slope:.2f} x {offset:+.2f}")
        d.destroy()


if __name__ == "__main__":
    main()
