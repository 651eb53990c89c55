#!/usr/bin/env python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""How fast the Python package is, beside a plain dict, Redis by its own package for Python over a Unix socket, and
ddict-bench (C++), one after the other in one run.

usage: PYTHONPATH=build/release/python bench/python/compare.py [--seconds S] [--json FILE] [--without-redis]

Each figure is the best of five repetitions. Redis and ddict-bench are those in PATH, or of build/release/bin.
"""

import argparse
import contextlib
import json
import os
import pathlib
import pickle
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

import ddict

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCH, ROWS, ROW_BYTES, LARGE_BYTES = 64, 128, 3072, 64 << 20
KEYS = [f"key-{i:026d}" for i in range(8192)]
NUMBER = 12345678


def best_rate(call, seconds, items=1):
    """Items per second of the best repetition."""
    count, begin = 1, time.perf_counter()
    while True:
        for _ in range(count):
            call()
        if (taken := time.perf_counter() - begin) > 0.02:
            break
        count, begin = count * 2, time.perf_counter()
    count = max(1, int(count * seconds / taken))
    best = 0.0
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(count):
            call()
        best = max(best, count * items / (time.perf_counter() - begin))
    return best


class OfDdict:
    def __init__(self):
        self.d = ddict.create(total_mem="512M")
        self.rows = np.empty((ROWS, ROW_BYTES // 4), "f4")
        self.large = np.ones(LARGE_BYTES // 4, "f4")
        self.d.update(dict.fromkeys(KEYS, NUMBER))
        self.d.update((f"row {i}", np.ones(ROW_BYTES // 4, "f4")) for i in range(ROWS))

    def calls(self):
        d, key, some, pairs = self.d, KEYS[0], KEYS[:BATCH], dict.fromkeys(KEYS[:BATCH], NUMBER)
        row_keys, rows, large = [f"row {i}" for i in range(ROWS)], self.rows, self.large
        yield "get", lambda: d[key], 1
        yield "put", lambda: d.__setitem__(key, NUMBER), 1
        yield "get, missing", lambda: d.get("nobody"), 1
        yield "get_many", lambda: d.get_many(some), BATCH
        yield "put_many", lambda: d.put_many(pairs), BATCH
        yield "get_batch, rows", lambda: d.get_batch(row_keys, rows), ROWS
        yield "put 64 MiB, bytes", lambda: d.__setitem__("large", large), LARGE_BYTES
        yield "get 64 MiB, bytes", lambda: d["large"], LARGE_BYTES
        yield "get_into 64 MiB, bytes", lambda: d.get_into("large", large), LARGE_BYTES
        d.freeze()
        yield "view 64 MiB", lambda: d.view("large"), 1
        d.unfreeze()

    def close(self):
        self.d.destroy()


class OfDict:
    def __init__(self):
        self.d = dict.fromkeys(KEYS, NUMBER)

    def calls(self):
        d, key, some, pairs = self.d, KEYS[0], KEYS[:BATCH], dict.fromkeys(KEYS[:BATCH], NUMBER)
        yield "get", lambda: d[key], 1
        yield "put", lambda: d.__setitem__(key, NUMBER), 1
        yield "get, missing", lambda: d.get("nobody"), 1
        yield "get_many", lambda: [d[one] for one in some], BATCH
        yield "put_many", lambda: d.update(pairs), BATCH

    def close(self):
        pass


class OfRedis:
    """A server of its own on a socket; objects are pickled, as its users do."""

    def __init__(self):
        import redis

        self.folder = tempfile.TemporaryDirectory()
        socket = os.path.join(self.folder.name, "socket")
        self.server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no",
                                        "--dir", self.folder.name], stdout=subprocess.DEVNULL)
        self.d = redis.Redis(unix_socket_path=socket)
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(redis.exceptions.ConnectionError):
                self.d.ping()
                break
            if time.monotonic() > deadline:
                raise TimeoutError("redis-server does not answer")
        self.d.mset(dict.fromkeys(KEYS, pickle.dumps(NUMBER)))

    def calls(self):
        d, key, some = self.d, KEYS[0], KEYS[:BATCH]
        large = np.ones(LARGE_BYTES // 4, "f4")
        yield "get", lambda: pickle.loads(d.get(key)), 1
        yield "put", lambda: d.set(key, pickle.dumps(NUMBER)), 1
        yield "get, missing", lambda: d.get("nobody"), 1
        yield "get_many", lambda: [pickle.loads(one) for one in d.mget(some)], BATCH
        yield "put_many", lambda: d.mset({one: pickle.dumps(NUMBER) for one in some}), BATCH
        as_bytes = large.data.cast("B")  # of another, its package would count the elements
        yield "put 64 MiB, bytes", lambda: d.set("large", as_bytes), LARGE_BYTES
        yield "get 64 MiB, bytes", lambda: np.frombuffer(d.get("large"), "f4"), LARGE_BYTES

    def close(self):
        self.d.close()
        self.server.terminate()
        self.server.wait(10)
        self.folder.cleanup()


def of_cpp(seconds):
    """Rates of the same by ddict-bench: of pairs, and of bytes for large values."""
    program = shutil.which("ddict-bench") or ROOT / "build/release/bin/ddict-bench"
    small = {"get": "get", "put": "put", "batch_get": "get_many", "batch_put": "put_many"}
    large = {"get": "get 64 MiB, bytes", "put": "put 64 MiB, bytes"}
    for size, pairs, names in ((8, 8192, small), (LARGE_BYTES, 2, large)):
        with tempfile.NamedTemporaryFile() as file:
            subprocess.run([program, "--value-bytes", str(size), "--pairs", str(pairs), "--operations", ",".join(names),
                            "--seconds", str(seconds), "--json", file.name], check=True, stdout=subprocess.DEVNULL)
            with open(file.name) as results:
                for record in json.load(results)["records"]:
                    if record["op"] in names:
                        yield names[record["op"]], record["ops_per_second_max"] * (size if size == LARGE_BYTES else 1)


def start_seconds(program):
    best = 1e9
    for _ in range(5):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        best = min(best, time.perf_counter() - begin)
    return best


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=0.2)
    options.add_argument("--json", metavar="FILE")
    options.add_argument("--without-redis", action="store_true")
    options = options.parse_args()
    rates = {}
    for name, kind in (("dict", OfDict), ("ddict", OfDdict), *([] if options.without_redis else [("redis", OfRedis)])):
        peer = kind()
        for operation, call, items in peer.calls():
            rates.setdefault(operation, {})[name] = best_rate(call, options.seconds, items)
        if name == "ddict":
            os.environ["DDICT_HANDLE"] = peer.d.handle
            rates["import and attach, ms over numpy"] = {"ddict": 1e3 * (start_seconds("import numpy, ddict; ddict.attach()")
                                                                         - start_seconds("import numpy"))}
        peer.close()
    for operation, rate in of_cpp(options.seconds):
        rates[operation]["C++"] = rate
    columns = ("dict", "ddict", "redis", "C++")
    print(f"{'':34}" + "".join(f"{name:>14}" for name in columns))
    for operation, found in rates.items():
        print(f"{operation:34}" + "".join(f"{found[name]:14,.0f}" if name in found else f"{'':14}"
                                          for name in columns))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rates, file, indent=2)


if __name__ == "__main__":
    main()
