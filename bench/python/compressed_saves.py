#!/usr/bin/env python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What compression makes of a save: bytes of the files, and time to save and to load, of data of several kinds.

usage: PYTHONPATH=build/release/python compressed_saves.py DIR [--repetitions N] [--mib M]

Saves with and without it take turns. DIR is on the file system of interest: where it is slower than the compressor, both save
and load gain by as much as the files get smaller. Medians, with least and most.
"""

import argparse
import json
import os
import shutil
import statistics
import time

import numpy as np

import ddict


def kinds(megabytes):
    """Name and values, each of 1 MiB but for the records."""
    random = np.random.default_rng(7)
    axis = np.linspace(0, 20, 512)
    smooth = (np.sin(axis)[:, None] * np.cos(0.7 * axis)[None, :]).astype("f4")
    yield "field of f4 that is 0 but for a tenth", [np.where(random.random((512, 512)) < 0.1, smooth, 0).astype("f4")] * megabytes
    yield "smooth field of f4", [smooth + np.float32(i) for i in range(megabytes)]
    yield "integers below 1000, i8", [random.integers(0, 1000, 2**17) for _ in range(megabytes)]
    line = {"step": 0, "loss": 0.5, "path": "/scratch/run/checkpoint", "accepted": True}
    yield "records of JSON, 80 bytes", [json.dumps(line | {"step": i, "loss": 1 / (i + 1)}) for i in range(megabytes * 13000)]
    yield "random bytes", [random.bytes(2**20) for _ in range(megabytes)]


def measured(d, folder, compress):
    begin = time.perf_counter()
    saved = d.save(folder, compress=compress)
    middle = time.perf_counter()
    d.load(saved.path)
    end = time.perf_counter()
    shutil.rmtree(saved.path)
    return middle - begin, end - middle, saved.bytes


def spread(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--mib", type=int, default=256, help="of each kind of data")
    options = parser.parse_args()
    folder = os.path.join(options.folder, f"compressed-saves-{os.getpid()}")
    os.mkdir(folder)
    print("| data | plain MiB | compressed | save, plain s | compressed s | load, plain s | compressed s |\n|---|---|---|---|---|---|---|")
    try:
        for name, values in kinds(options.mib):
            with ddict.create(managers_per_node=1, total_mem=f"{4 * options.mib + 64}M", name="compressed-saves") as d:
                d.update({f"{i}": value for i, value in enumerate(values)})
                runs = {False: [], True: []}
                for _ in range(options.repetitions):
                    for compress in (False, True):
                        runs[compress].append(measured(d, folder, compress))
                columns = [spread([run[i] for run in runs[compress]]) for i in (0, 1) for compress in (False, True)]
                sizes = [runs[compress][0][2] / 2**20 for compress in (False, True)]
                print(f"| {name} | {sizes[0]:.0f} | {sizes[1]:.1f} | " + " | ".join(columns) + " |", flush=True)
                d.destroy()
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
