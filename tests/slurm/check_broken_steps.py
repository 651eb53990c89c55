# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The step of the managers ends otherwise than in good order, and the job goes on: nothing may be left in its nodes' memory."""

import re

from cluster import wait_until


class Broken:
    """A job whose command waits for a file; ends with status 5."""

    def __init__(self, cluster, report, what):
        self.cluster, self.report, self.what = cluster, report, what
        ready = cluster.path("ready")
        self.stop_file = cluster.path("stop")
        self.after = cluster.path("after")
        self.job = cluster.submit("""
            ddict-launch --managers-per-node 2 --total-mem 48M -- bash -c '
                ddict put key value; touch $W/ready
                until [[ -e $W/stop ]]; do sleep 0.1; done; exit 5'
            echo "status $?"; touch $W/after
            deadline=$((SECONDS + 60)); until [[ -e $W/over ]] || ((SECONDS > deadline)); do sleep 0.1; done
            """, "--nodes=3", "--nodelist=n[1-3]")
        cluster.path("over")
        self.ready = report.check(f"{what}: the dictionary is in use", wait_until(ready.exists, 20), self.job.output())

    def says(self, pattern, seconds):
        found = wait_until(lambda: re.search(pattern, self.job.output()), seconds)
        return self.report.check(f"{self.what}: the user reads /{pattern}/", found, self.job.output())

    def segments(self):
        def of(node):
            return self.cluster.run("sh", "-c", "ls /dev/shm/ddict-* 2>/dev/null", node=node).stdout.split()
        return [f"{node}: {name}" for node in ("n1", "n2", "n3") for name in of(node)]

    def managers(self):
        def of(node):
            return self.cluster.run("ps", "-C", "ddict-manager", "-o", "pid=", node=node).stdout.split()
        return [f"{node}: {pid}" for node in ("n1", "n2", "n3") for pid in of(node)]

    def nothing_is_left(self, seconds):
        gone = wait_until(lambda: not self.segments() and not self.managers(), seconds)
        self.report.check(f"{self.what}: while the job lives, nothing is left", gone, "\n".join(self.segments() + self.managers()))

    def stop(self):
        self.stop_file.touch()
        ended = wait_until(self.after.exists, 30)
        self.report.check(f"{self.what}: the command's status is returned", ended and "status 5\n" in self.job.output(), self.job.output())

    def end(self):
        (self.cluster.work / "over").touch()
        state, _, output = self.job.wait(30)
        self.report.check(f"{self.what}: the job ends", state == "COMPLETED", (state, output))


def pid_of(cluster, node, pattern):
    return cluster.run("sh", "-c", f"pgrep -f -- '{pattern}' | head -n 1", node=node).stdout.strip()


def cancelled_step(cluster, report):
    broken = Broken(cluster, report, "scancel of the managers' step")
    cluster.run("scancel", broken.job.id + ".0")
    broken.says(r"the node launchers? on n\S+ ha\w+ ended \(Slurm says: Killed\), and with \w+ managers? \d", 20)
    broken.says(r"srun ended with status 137: the dictionary is gone", 20)
    broken.nothing_is_left(20)
    broken.stop()
    broken.end()


def killed_srun(cluster, report):
    broken = Broken(cluster, report, "kill -9 of srun")
    cluster.run("kill", "-KILL", pid_of(cluster, "n1", "^srun .*--job-name=ddict"), node="n1")
    broken.says(r"srun was killed by signal 9 \(Killed\): ending the managers that it has left", 10)
    broken.says(r"srun was killed by signal 9 \(Killed\): the dictionary is gone", 20)
    broken.nothing_is_left(20)
    broken.stop()
    broken.end()


def killed_node_launcher(cluster, report):
    broken = Broken(cluster, report, "kill -9 of a node launcher")
    cluster.run("kill", "-KILL", pid_of(cluster, "n3", "^[^ ]*ddict-launch --node"), node="n3")
    broken.says(r"the node launcher on n3 has ended \(Slurm says: Killed\), and with it managers 4-5: "
                r"the keys there are lost \(manager_lost\); those of the other managers are not affected", 20)
    report.check("only Slurm's words are left out", "srun: error" not in broken.job.output(), broken.job.output())
    broken.stop()
    broken.nothing_is_left(20)
    broken.end()


def killed_step_daemon(cluster, report):
    """Slurm itself never notices."""
    broken = Broken(cluster, report, "kill -9 of slurmstepd")
    cluster.run("kill", "-KILL", pid_of(cluster, "n2", r"^slurmstepd: \[[0-9]*\.0\]"), node="n2")
    broken.says(r"nothing heard from n2 for 15 s: .*managers 2-3 with it; ddict stats shows", 40)
    broken.stop()
    broken.nothing_is_left(20)
    broken.end()


GROUPS = [cancelled_step, killed_srun, killed_node_launcher, killed_step_daemon]
