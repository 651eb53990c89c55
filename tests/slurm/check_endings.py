# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""How jobs end: the command's status, scancel, a killed wrapper."""

import re
import time

from cluster import wait_until

# The cluster's KillWait is above this: what has gone by then was not killed by Slurm.
GONE_WITHIN = 6.0


def statuses(cluster, report):
    """A wrapper returns what its command returned."""
    cases = [
        ("command not found", "no-such-command", 127),
        ("a file that cannot be run", "/etc/passwd", 126),
        ("command ends with 3", "bash -c 'exit 3'", 3),
        ("command killed by KILL", "bash -c 'kill -KILL $$'", 137),
        ("command killed by SEGV", "bash -c 'ulimit -c 0; kill -SEGV $$'", 139),
        ("command ends with 3 under srun", "srun -N2 -n2 -K0 bash -c 'exit 3'", 3),
        ("command killed by KILL under srun", "srun -N1 -n1 bash -c 'kill -KILL $$'", 137),
        ("command not found by srun", "srun -N1 -n1 no-such-command", 2),
    ]
    script = "".join(f"ddict-launch --total-mem 16M -- {command}; echo status $?\n" for _, command, _ in cases)
    state, _, output = cluster.submit(script, "--nodes=2").wait()
    seen = [int(status) for status in re.findall(r"status (\d+)\n", output)]
    report.check("the job ends", state == "COMPLETED" and len(seen) == len(cases), output)
    for (what, command, wanted), status in zip(cases, seen):
        report.check(f"{what}: {wanted}", status == wanted, output if status != wanted else "")


def wait_until_gone(cluster, report, what, begin):
    gone = wait_until(lambda: not cluster.remains(), GONE_WITHIN)
    took = time.monotonic() - begin
    report.check(f"{what}: all is gone from all hosts", gone, f"after {took:.1f} s" if gone else "\n".join(cluster.remains()))


def start_stuck(cluster):
    """A job whose dictionary never comes up, since one manager says nothing."""
    stuck = cluster.path("stuck_manager")
    stuck.write_text("#!/bin/bash\n[[ $(hostname) = n2 ]] && { touch $W/stuck; exec sleep 1000; }\nexec ddict-manager \"$@\"\n")
    stuck.chmod(0o755)
    cluster.path("stuck")
    job = cluster.submit(f"DDICT_MANAGER_PROGRAM={stuck} exec ddict-launch --total-mem 16M -- echo RAN",
                         "--nodes=2", "--nodelist=n1,n2")
    return job, wait_until((cluster.work / "stuck").exists, 20)


def start_running(cluster):
    """A job whose command runs on both nodes: a signal to a step that has not begun would be lost."""
    running = [cluster.path(f"running.{rank}") for rank in range(2)]
    job = cluster.submit("exec ddict-launch --total-mem 16M -- "
                         "srun -N2 -n2 sh -c 'touch $W/running.$SLURM_PROCID; exec sleep 1000'",
                         "--nodes=2", "--nodelist=n1,n2")
    return job, wait_until(lambda: all(path.exists() for path in running), 20)


CANCELS = [
    ("scancel", (), "CANCELLED"),
    # To the batch script alone, which is ddict-launch: also what `sbatch --signal=B:TERM@60` does before the time limit.
    ("scancel --batch --signal=TERM", ("--batch", "--signal=TERM"), "FAILED"),
    # To everything there is.
    ("scancel --full --signal=TERM", ("--full", "--signal=TERM"), "FAILED"),
    # To all steps, ours among them, and not to the batch script.
    ("scancel --signal=INT", ("--signal=INT",), "FAILED"),
]


def cancel_each(cluster, report, start, when):
    for name, options, wanted_state in CANCELS:
        what = f"{name} {when}"
        job, started = start(cluster)
        if not report.check(f"{what}: the job has come so far", started, job.output()):
            job.cancel()
            continue
        begin = time.monotonic()
        job.cancel(*options)
        wait_until_gone(cluster, report, what, begin)
        state, status, output = job.wait(20)
        # The status is 128+n, or what srun makes of its killed tasks.
        good = state == wanted_state and "RAN" not in output and status in (1, 130, 137, 143)
        report.check(f"{what}: the job's end", good, f"{state}, status {status}: {output}")


def cancelled_while_coming_up(cluster, report):
    cancel_each(cluster, report, start_stuck, "during bring-up")


def cancelled_while_running(cluster, report):
    cancel_each(cluster, report, start_running, "during the run")


def killed_wrapper(cluster, report):
    """The job itself goes on, so that Slurm does not clean up for us."""
    cluster.path("running")
    cluster.path("wrapper")
    cluster.path("stop")
    job = cluster.submit("""
        ddict-launch --total-mem 16M -- bash -c 'touch $W/running; exec srun -N2 -n2 sleep 1000' & echo $! >$W/wrapper
        wait $!; echo "its status $?"
        deadline=$((SECONDS + 30))
        until [[ -e $W/stop ]] || ((SECONDS > deadline)); do sleep 0.1; done
        """, "--nodes=2", "--nodelist=n1,n2")
    report.check("the command runs", wait_until((cluster.work / "running").exists, 20), job.output())
    begin = time.monotonic()
    cluster.run("kill", "-KILL", (cluster.work / "wrapper").read_text().strip(), node="n1")

    def remains():
        # What is ours must go while the job goes on.
        return [line for line in cluster.remains() if "ddict" in line]

    gone = wait_until(lambda: not remains(), GONE_WITHIN)
    report.check("kill -9 of ddict-launch: its dictionary goes", gone,
                 f"after {time.monotonic() - begin:.1f} s" if gone else "\n".join(remains()))
    (cluster.work / "stop").touch()
    state, status, output = job.wait(20)
    report.check("the job sees that it was killed", state == "COMPLETED" and "its status 137" in output, (state, status, output))


GROUPS = [statuses, cancelled_while_coming_up, cancelled_while_running, killed_wrapper]
