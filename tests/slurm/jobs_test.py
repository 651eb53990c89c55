#!/usr/bin/env python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""ddict in jobs of a real Slurm: a cluster of four hosts on this machine (slurm/devcluster), one for all checks.

usage: jobs_test.py BUILD_DIRECTORY [NAME...]      only the groups of checks whose names contain one of NAME

Each check prints a line with what was seen. After each group nothing of ddict may be left on any host.
"""

import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback

import check_bootstrap
import check_corners
import check_endings
import check_hostfile
import check_hosts
import check_jobs
import check_losses
import check_strangers
from cluster import Cluster, Report, wait_until

GROUPS = [
    *check_jobs.GROUPS, *check_corners.GROUPS, *check_bootstrap.GROUPS, *check_hostfile.GROUPS, *check_endings.GROUPS,
    *check_losses.GROUPS, *check_hosts.GROUPS, *check_strangers.GROUPS,
]


def run_group(group, cluster, report):
    begin = time.monotonic()
    name = group.__name__
    try:
        group(cluster, report)
    except Exception:  # a broken check must not keep the others from running
        report.check(f"{name} runs to its end", False, traceback.format_exc())
    nothing_left = wait_until(lambda: not cluster.remains(), 5)
    report.check(f"{name}: nothing is left on any host", nothing_left, "\n".join(cluster.remains() if not nothing_left else []))
    report.note(f"{name}: {time.monotonic() - begin:.1f} s")
    if not nothing_left:
        cluster.run("scancel", "--user=" + str(os.getuid()))


def main(all_groups, options_of_up=lambda work, build: ()):
    """`options_of_up` says what else the cluster is to be brought up with."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    wanted = sys.argv[2:]
    groups = [g for g in all_groups if not wanted or any(word in g.__name__ for word in wanted)]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begin = time.monotonic()
    report = Report()
    work = pathlib.Path(tempfile.mkdtemp(prefix="jobs-test."))
    cluster = Cluster(work, sys.argv[1], nodes=4)
    try:
        cluster.up("--kill-wait", "15", *options_of_up(work, cluster.build))
        for group in groups:
            run_group(group, cluster, report)
    finally:
        cluster.down()
        shutil.rmtree(work)
    # Once more at the end, which is what is left of a long log that is cut.
    print(*report.failed, f"{report.count} checks, {len(report.failed)} failed, {time.monotonic() - begin:.0f} s", sep="\n")
    sys.exit(1 if report.failed or not groups else 0)


if __name__ == "__main__":
    main(GROUPS)
