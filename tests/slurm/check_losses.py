# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What is lost while a job runs: a manager, a cable, a node, and clients, again and again."""

import json
import os
import pathlib
import random
import re
import sys
import time

from cluster import wait_until

CHURN = pathlib.Path(__file__).resolve().parent / "churn.py"

# An operation on the keys of a manager that has gone fails within this, and nobody else waits for longer.
SECONDS_MAX = 2.0


class Watch:
    """A job in which one client keeps using all managers; ends with status 5 once told to."""

    def __init__(self, cluster, report, nodes, *options, besides="true", managers_on=None, restart=True):
        self.cluster, self.report = cluster, report
        ready, self.stop_file = cluster.path("ready"), cluster.path("stop")
        self.job = cluster.submit(f"""
            ddict-launch --nodes {managers_on or nodes} --total-mem 128M {"" if restart else "--no-restart"} -- bash -c '
                job_client watch $W/ready $W/stop >$W/seen.json & {besides}
                wait $! && exit 5'
            echo "ended with $?"
            """, f"--nodes={nodes}", f"--nodelist=n[1-{nodes}]", *options)
        self.ready = wait_until(ready.exists, 20)
        report.check("the dictionary is in use", self.ready, self.job.output())

    def stop(self):
        """Only the script's end counts: Slurm itself waits for a node that has gone."""
        self.stop_file.touch()
        begin = time.monotonic()
        self.output = wait_until(self.job.output_of_ended, 30)
        self.report.check("the command's status is returned", self.output.endswith("ended with 5\n"),
                          self.output or "it has not ended: " + self.job.output())
        self.report.note(f"it was {time.monotonic() - begin:.1f} s from the command's end to that of ddict-launch")
        self.seen = json.loads((self.cluster.work / "seen.json").read_text())

    def check_lost(self, manager, node, since):
        seen = self.seen[manager]
        error = seen["first_error"] or {}
        self.report.check(f"operations on manager {manager} fail with manager_lost, which names {node}",
                          error.get("code") == "manager_lost" and f"manager {manager} ({node})" in error["message"], seen)
        self.report.check(f"the first one within {SECONDS_MAX} s", error and error["took"] < SECONDS_MAX,
                          error and f"took {error['took']:.2f} s, {error['at'] - since:.2f} s after the loss")
        self.report.check(f"all within {SECONDS_MAX} s", seen["longest_failed"] < SECONDS_MAX,
                          f"{seen['failed']}, the longest {seen['longest_failed']:.2f} s")

    def check_others(self, lost=()):
        for manager, seen in enumerate(self.seen):
            if manager in lost:
                continue
            self.report.check(f"manager {manager} goes on", seen["failed"] == 0 and seen["longest_done"] < SECONDS_MAX,
                              f"{seen['done']} done, {seen['failed']} failed {seen['first_error'] or ''}, "
                              f"longest {seen['longest_done'] * 1000:.0f} ms")


def pids_of(cluster, node, name="ddict-manager"):
    return cluster.run("ps", "-C", name, "-o", "pid=", node=node).stdout.split()


def killed_manager(cluster, report):
    """It comes back, and its clients on three nodes notice a pause."""
    watch = Watch(cluster, report, 3)
    for kill in (1, 2):
        (pid,) = pids_of(cluster, "n2")
        cluster.run("kill", "-KILL", pid, node="n2")
        back = wait_until(lambda: pids_of(cluster, "n2") not in ([], [pid]), 10)
        report.check(f"another manager runs after kill {kill}", back, watch.job.output())
        time.sleep(1)
    watch.stop()
    watch.check_others()
    said = [line for line in watch.output.splitlines() if line.startswith("ddict-launch:")]
    report.check("the wrapper says so, each time", len(said) == 2 and all(
        re.search(r"manager 1 on n2 was killed by signal 9 \(Killed\); back after \d+ ms, with \d+ pairs?$", line)
        for line in said), watch.output)


def moved_managers(cluster, report):
    """All that the handle names are elsewhere, and a new program has nothing but the handle on its node."""
    killed, put = cluster.path("killed"), cluster.path("put")
    watch = Watch(cluster, report, 4, managers_on=3, besides="""
        while [[ ! -e $W/killed ]]; do sleep 0.05; done
        srun -N1 -n1 --nodelist=n4 ddict put after moved >$W/put.new 2>&1; echo "status $?" >>$W/put.new
        mv $W/put.new $W/put""")
    for node in ("n1", "n2", "n3"):
        (pid,) = pids_of(cluster, node)
        cluster.run("kill", "-KILL", pid, node=node)
        back = wait_until(lambda: pids_of(cluster, node) not in ([], [pid]), 10)
        report.check(f"another manager runs on {node}", back, watch.job.output())
    wait_until(lambda: watch.job.output().count("; back after") == 3, 10)
    killed.touch()
    wait_until(put.exists, 60)
    watch.stop()
    report.check("a program that has only the handle finds them", put.exists() and put.read_text() == "status 0\n",
                 put.exists() and put.read_text())
    watch.check_others()


def lost_manager(cluster, report):
    watch = Watch(cluster, report, 3, restart=False)
    (pid,) = pids_of(cluster, "n2")
    since = time.monotonic()
    cluster.run("kill", "-KILL", pid, node="n2")
    time.sleep(1.5)  # for the others to go on in
    watch.stop()
    watch.check_lost(1, "n2", since)
    watch.check_others([1])
    said = [line for line in watch.output.splitlines() if line.startswith("ddict-launch:")]
    report.check("the wrapper says so", len(said) == 1 and re.search(r"manager 1 .*n2", said[0]), watch.output)


def cut_node(cluster, report):
    watch = Watch(cluster, report, 3)
    since = time.monotonic()
    cluster.power("cut", "n3")
    time.sleep(4)
    healed = time.monotonic()
    cluster.power("heal", "n3")
    time.sleep(1)
    watch.stop()
    watch.check_lost(2, "n3", since)
    watch.check_others([2])
    report.note("after the cable is back, the manager " +
                ("works again" if watch.seen[2]["last_done_at"] > healed else "stays lost to this client"))


def killed_while_cut_off(cluster, report):
    """The next process has no network to begin with: once there is one, it makes way for another."""
    watch = Watch(cluster, report, 3)
    cluster.power("cut", "n3")
    (pid,) = pids_of(cluster, "n3")
    cluster.run("kill", "-KILL", pid, node="n3")
    back = wait_until(lambda: pids_of(cluster, "n3") not in ([], [pid]), 10)
    report.check("another manager runs", back, watch.job.output())
    time.sleep(2)
    cluster.power("heal", "n3")
    healed = time.monotonic()
    time.sleep(4)
    watch.stop()
    watch.check_others([2])
    seen = watch.seen[2]
    report.check("once the cable is back others reach it", seen["last_done_at"] > healed + 2, seen)
    report.check("the wrapper says why it was started again", "manager 2 on n3 had begun without a network, and found one; back" in watch.output,
                 watch.output)


LATE_CLIENT = """
import os, pathlib, time
import ddict
with ddict.attach() as d:
    keys = [next(k for k in range(1000) if d.which_manager(k) == manager) for manager in (0, 1)]
    said = []
    for _ in range(2):
        for key in keys:
            try:
                d[key] = key
                said.append("done")
            except ddict.Error as error:
                said.append(type(error).__name__)
        pathlib.Path(os.environ["W"], "said").write_text(" ".join(said))
        while not os.path.exists(os.path.join(os.environ["W"], "healed")):
            time.sleep(0.05)
"""


def started_without_network(cluster, report):
    """A program whose first words to another node come while the cable of its own is out."""
    if not (cluster.build / "python/ddict").exists():
        return report.note("the Python package is not built")
    cluster.path("late.py").write_text(LATE_CLIENT)
    said, healed, ready = cluster.path("said"), cluster.path("healed"), cluster.path("ready")
    job = cluster.submit(f"""
        export PYTHONPATH={cluster.build}/python
        ddict-launch --nodes 2 --total-mem 64M -- srun -N1 -n1 --nodelist=n2 bash -c '
            touch $W/ready; while [[ ! -e $W/cut ]]; do sleep 0.05; done; exec /usr/bin/python3 $W/late.py'
        echo "ended with $?"
        """, "--nodes=2", "--nodelist=n1,n2")
    cut = cluster.path("cut")
    report.check("the dictionary is there", wait_until(ready.exists, 20), job.output())
    cluster.power("cut", "n2")
    cut.touch()
    first = wait_until(lambda: said.exists() and said.read_text(), 20)
    report.check("it reaches the manager of its own node alone", first == "ManagerLost done", first)
    cluster.power("heal", "n2")
    time.sleep(1)
    healed.touch()
    ended = job.wait()
    report.check("once the cable is back it reaches both", said.read_text() == "ManagerLost done done done", said.read_text())
    report.check("it ends well", ended == ("COMPLETED", 0, "ended with 0\n"), ended)


def killed_node(cluster, report):
    watch = Watch(cluster, report, 4, "--no-kill", "--no-requeue")
    since = time.monotonic()
    cluster.power("kill", "n4")
    time.sleep(4)
    watch.stop()
    watch.check_lost(3, "n4", since)
    watch.check_others([3])
    cluster.power("boot", "n4")


def dying_clients(cluster, report):
    """Clients on two nodes are killed at any moment, also while they connect."""
    seed = int(os.environ.get("DDICT_TEST_SEED", random.randrange(1 << 32)))
    seconds = float(os.environ.get("DDICT_TEST_CHURN_SECONDS", "10"))
    churn = f'srun -N2 -n2 --relative=2 "{sys.executable}" "{CHURN}" {seconds} {seed}; touch $W/churned;'
    cluster.path("churned")
    watch = Watch(cluster, report, 4, managers_on=2, besides=churn)
    before = [pids_of(cluster, node) for node in ("n1", "n2")]
    churned = wait_until((cluster.work / "churned").exists, seconds + 20)
    report.check(f"clients die for {seconds:.0f} s (DDICT_TEST_SEED={seed})", churned, watch.job.output())
    after = [pids_of(cluster, node) for node in ("n1", "n2")]
    report.check("no manager died of it", before == after and all(len(pids) == 1 for pids in after), (before, after))
    watch.stop()
    report.check("it was many", sum(map(int, re.findall(r"(\d+) killed", watch.output))) > 2 * seconds, watch.output)
    watch.check_others()


GROUPS = [killed_manager, moved_managers, lost_manager, cut_node, killed_while_cut_off, started_without_network, dying_clients, killed_node]
