#!/usr/bin/env python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A data loader: samples are put once, and every epoch reads batches of them, in a new order, into one array.

    ddict-launch --total-mem 1G -- python3 data_loader.py
"""

import numpy as np

import ddict

SAMPLES, FEATURES, BATCH = 1024, 768, 128


def main():
    d = ddict.attach()
    d.put_many((("sample", i), np.full(FEATURES, i, "f4")) for i in range(SAMPLES))
    order = np.random.default_rng(1).permutation(SAMPLES)
    batch = np.empty((BATCH, FEATURES), "f4")  # used again and again
    total = 0.0
    for begin in range(0, SAMPLES, BATCH):
        d.get_batch([("sample", int(i)) for i in order[begin:begin + BATCH]], out=batch)
        total += batch[:, 0].sum()
    print(f"{SAMPLES} samples, mean {total / SAMPLES}")


if __name__ == "__main__":
    main()
