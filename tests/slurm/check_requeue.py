# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs that run out of time: saved before the limit, requeued, and going on where they stopped."""

import fcntl
import os
import pathlib
import re
import signal
import time

from cluster import DEVCLUSTER, wait_until

EXAMPLES = DEVCLUSTER.parents[1] / "examples"
LIMIT, PRIMES = 30_000_000, 1_857_859


def runs_again(cluster, job, restarts):
    """Slurm lets a requeued job wait for two minutes. It may begin earlier, but not in the second in which its credential
    has been revoked: it would fail."""
    if not wait_until(lambda: job.fields().get("JobState") == "PENDING", 20):
        return False
    time.sleep(2)
    cluster.run("scontrol", "update", f"jobid={job.id}", "StartTime=now")

    def is_running():
        fields = job.fields()
        return fields.get("Restarts") == str(restarts) and fields.get("JobState") == "RUNNING"

    return wait_until(is_running, 20)


def both_compute(cluster):
    return all(cluster.run("pgrep", "-x", "primes", node=node).returncode == 0 for node in ("n1", "n2"))


def saving_processes():
    """Those of this user that run 'ddict save', as this machine numbers them: it sees into the cluster's hosts."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ddict\0save\0--until-input-ends\0"):
                found.append(int(entry.name))
        except OSError:  # it has ended
            pass
    return found


def stop_in_the_middle(saves, process, number):
    """Lets a save that waits for the lock go on, a millisecond at a time, until it has begun to write and has not committed."""
    folder = saves / "default" / f"{number:06}"
    for _ in range(2000):
        os.kill(process, signal.SIGSTOP)
        if (folder / "commit").exists():
            return False
        if (folder / "manager-000000.ddict").exists():
            return True
        os.kill(process, signal.SIGCONT)
        time.sleep(0.001)
    return False


def generations(saves):
    return sorted(path.parent.name for path in (saves / "default").glob("*/commit"))


def requeued_three_times(cluster, report):
    """examples/requeue.sbatch; the signals come from scancel, so that nobody has to wait for the time limit."""
    job = cluster.submit(EXAMPLES / "requeue.sbatch", "--nodelist=n1,n2", arguments=[str(LIMIT)])
    saves = cluster.work / f"ddict-requeue-{job.id}"
    for life in (1, 2, 3):
        if not report.check(f"life {life}: both tasks compute", wait_until(lambda: both_compute(cluster), 30), job.output()):
            return job.cancel()
        job.cancel("--batch", "--signal=USR2")
        good = report.check(f"life {life}: it is saved and requeued", runs_again(cluster, job, life) and f"restart {life}\n" in job.output(),
                            job.output())
        if not good:
            return job.cancel()
    killed_while_it_saves(cluster, report, job, saves)
    state, status, output = job.wait(60)
    report.check("it ends with the right answer", (state, status) == ("COMPLETED", 0) and f"\n{PRIMES} primes below {LIMIT}\n" in output, output)
    sizes = [int(number) for number in re.findall(r"loaded .*/default/\d+: (\d+) pairs", output)]
    report.check("each life goes on where the one before stopped", len(sizes) == 4 and sizes == sorted(sizes) and sizes[0] > 0, sizes)
    report.check("two saves are kept", len(generations(saves)) == 2, generations(saves))
    report.check("of the one that was killed nothing is left", len([path for path in (saves / "default").iterdir() if path.is_dir()]) == 2,
                 list((saves / "default").iterdir()))


def killed_while_it_saves(cluster, report, job, saves):
    report.check("life 4: both tasks compute", wait_until(lambda: both_compute(cluster), 30), job.output())
    before = generations(saves)
    with open(saves / "default" / ".lock", "r+", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        job.cancel("--batch", "--signal=USR2")
        found = wait_until(saving_processes, 9)
        if report.check("life 4: it begins to save", len(found) == 1, found):
            os.kill(found[0], signal.SIGSTOP)
    middle = bool(found) and stop_in_the_middle(saves, found[0], int(before[-1]) + 1)
    report.check("life 4: the kill comes in the middle of the save", middle and generations(saves) == before, generations(saves))
    job.cancel("--full", "--signal=KILL")
    ended = wait_until(lambda: job.fields().get("JobState") not in ("RUNNING", "COMPLETING"), 20)
    cluster.run("scontrol", "requeue", job.id)
    report.check("life 4: it is requeued", ended and runs_again(cluster, job, 4), job.fields().get("JobState"))


def before_the_time_limit(cluster, report):
    """Slurm's own limit of a minute, 55 s before which is 5 s from now; the command notices nothing."""
    begin = time.monotonic()
    job = cluster.submit("exec ddict-launch --total-mem 32M --save $W/before --save-before 55 -- "
                         "bash -c 'ddict put a b; until [[ -e $W/stop ]]; do sleep 0.1; done; echo the end'",
                         "--nodes=1", "--time=1")
    cluster.path("stop")
    saved = wait_until(lambda: "saved " in job.output(), 25)
    took = time.monotonic() - begin
    report.check("saved before the time limit", saved and 3 < took < 20 and "/default/000001: 1 pair" in job.output(), f"{took:.1f} s {job.output()}")
    (cluster.work / "stop").touch()
    ended = job.wait(20)
    report.check("and once more at the end", ended[:2] == ("COMPLETED", 0) and "the end\n" in ended[2] and "/default/000002: " in ended[2], ended)


GROUPS = [requeued_three_times, before_the_time_limit]
