#!/usr/bin/env python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Starts clients and kills them at random moments.  usage: churn.py SECONDS SEED"""

import os
import random
import subprocess
import sys
import time

AT_ONCE = 2


def main():
    seconds, seed = float(sys.argv[1]), int(sys.argv[2])
    process = os.environ.get("SLURM_PROCID", "0")
    chance = random.Random(f"{seed}.{process}")
    commands = [
        ["ddict", "put", f"small{process}", "x" * 100],
        ["ddict", "get", f"small{process}"],
        ["ddict", "stats"],
        ["job_client", "large", f"large{process}", "8000000", "3"],
        ["job_client", "roundtrip", f"trip{process}.", "14"],
    ]
    deadline = time.monotonic() + seconds
    running = []  # (process, when it is to be killed)
    counts = {"started": 0, "killed": 0, "ended before": 0}
    while time.monotonic() < deadline or running:
        if time.monotonic() < deadline and len(running) < AT_ONCE:
            # Most of them while they start and connect, some well into their work.
            life = chance.uniform(0, 0.06) if chance.random() < 0.7 else chance.uniform(0.05, 0.4)
            client = subprocess.Popen(chance.choice(commands), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            running.append((client, time.monotonic() + life))
            counts["started"] += 1
        time.sleep(0.001)
        for client, end in running:
            if client.poll() is not None:
                counts["ended before"] += 1
            elif time.monotonic() >= end:
                client.kill()
                client.wait()
                counts["killed"] += 1
        running = [one for one in running if one[0].returncode is None]
    print(", ".join(f"{count} {what}" for what, count in counts.items()))


if __name__ == "__main__":
    main()
