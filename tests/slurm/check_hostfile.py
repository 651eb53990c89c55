# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Hosts without a job: ddict-launch --hosts over a real sshd on each of the cluster's hosts. Needs openssh-server, as root."""

import os
import re
import subprocess

from cluster import DEVCLUSTER, wait_until

SSHD = "/usr/sbin/sshd"


class Sshd:
    """An sshd on each host, with a key of its own for hosts and user, in the work directory."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.config = cluster.path("sshd_config")
        for name in ("host_key", "user_key"):
            key = cluster.path(name)
            cluster.path(name + ".pub")
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        self.config.write_text(f"""
            Port 22
            HostKey {cluster.work}/host_key
            AuthorizedKeysFile {cluster.work}/user_key.pub
            PidFile none
            StrictModes no
            UsePAM no
            PermitRootLogin yes
            PasswordAuthentication no
            Banner {cluster.work}/banner
            """)
        cluster.path("banner").write_text("Authorized users only.\n")
        cluster.path("ssh_config").write_text(f"""
            IdentityFile {cluster.work}/user_key
            IdentitiesOnly yes
            UserKnownHostsFile {cluster.work}/known_hosts
            StrictHostKeyChecking accept-new
            """)
        for node in cluster.nodes:
            self.start(node)

    def start(self, node):
        started = self.cluster.run("sh", "-c", f"mkdir -p /run/sshd && {SSHD} -f {self.config}", node=node)
        if started.returncode != 0:
            raise RuntimeError(f"sshd on {node}: {started.stdout}")


def sshd_of(cluster):
    if not hasattr(cluster, "sshd"):
        cluster.sshd = Sshd(cluster)
        cluster.environment["DDICT_RSH"] = f"ssh -F {cluster.work}/ssh_config"
        cluster.path("hosts").write_text("# as Open MPI has it\nn1 slots=4\nn2\nn3 slots=2 max_slots=4\nn2\n")
    return cluster.sshd


def bash(cluster, script, node="n1", timeout=60):
    done = cluster.run("bash", "-c", script, node=node, timeout=timeout)
    return done.returncode, done.stdout


def lacks_sshd(report):
    """An sshd for others needs root; where there is root, it has to be installed."""
    if os.getuid() != 0:
        report.note("NO SSHD WITHOUT ROOT, its checks are left out")
        return True
    return not report.check("openssh-server and openssh-client are installed", os.path.exists(SSHD),
                            "apt-get install openssh-server openssh-client")


def by_ssh(cluster, report):
    if lacks_sshd(report):
        return
    sshd_of(cluster)
    status, output = bash(cluster, """
        ddict-launch --hosts $W/hosts --managers-per-node 2 --total-mem 64M -- bash -c '
            for host in n1 n2 n3; do
                $DDICT_RSH -o LogLevel=ERROR $host "DDICT_HANDLE=$DDICT_HANDLE $(type -P ddict) put from-$host $host"; done
            ddict get from-n3; echo; ddict size; ddict health; exit 7'""")
    report.check("three hosts have a dictionary, whose clients come by ssh",
                 status == 7 and re.search(r"^n3\n3\n", output) and all(f"n{i}" in output for i in (1, 2, 3)), (status, output))
    report.check("and nothing else is said", "srun" not in output and "ddict-launch" not in output and "Authorized" not in output, output)
    status, output = bash(cluster, "ddict-launch --hosts $W/hosts --check --total-mem 64M")
    report.check("--check", status == 0 and "reached 2 other nodes" in output and "n[1-3]" in output and
                 "failed" not in output, output)
    status, output = bash(cluster, """printf '%s\\n' n2 n2 n3 >$W/nodefile
        ddict-launch --hosts $W/nodefile --total-mem 64M -- ddict health""")
    report.check("a file of PBS, without this host", status == 0 and "n2" in output and "n3" in output, output)


def started_by_ssh(cluster, report):
    if lacks_sshd(report):
        return
    sshd_of(cluster)
    status, output = bash(cluster, """eval "$(ddict-launch --hosts $W/hosts start --export --total-mem 64M)" || exit
        ddict put key value; ddict-launch status | sed 's/since.*//'""".replace("--hosts $W/hosts start", "start --hosts $W/hosts"))
    report.check("it runs in the background", status == 0 and re.search(r"default: alive, 3 managers on 3 nodes \(n\[1-3\]\)", output), (status, output))
    status, output = bash(cluster, "ddict-launch status | sed 's/since.*//'; ddict-launch exec -- ddict get key", node="n4")
    report.check("seen and used from another host", status == 0 and "default: alive" in output and output.endswith("value"), (status, output))
    status, output = bash(cluster, "ddict-launch stop; echo $?; ddict-launch status", node="n4")
    report.check("and ended from there", output.startswith("0\n"), output)


def by_ssh_that_dies(cluster, report):
    if lacks_sshd(report):
        return
    sshd = sshd_of(cluster)
    launch = """ddict-launch --hosts $W/hosts --total-mem 64M -- bash -c '
        ddict put key value; touch $W/ready; until [[ -e $W/stop ]]; do sleep 0.1; done' >$W/said 2>&1"""

    def begin():
        ready = cluster.path("ready")
        cluster.path("stop"), cluster.path("said")
        running = subprocess.Popen([DEVCLUSTER, "--dir", cluster.work / "cluster", "exec", "--node", "n1", "--",
                                    "bash", "-c", launch + "; echo status $? >>$W/said"], cwd=cluster.work, env=cluster.environment,
                                   stdin=subprocess.DEVNULL)
        report.check("the dictionary is in use", wait_until(ready.exists, 30), said())
        return running

    def said():
        path = cluster.work / "said"
        return path.read_text() if path.exists() else ""

    def pid(pattern, node="n1"):
        return cluster.run("sh", "-c", f"pgrep -f -- '{pattern}' | head -n 1", node=node).stdout.strip()

    def end(running):
        (cluster.work / "stop").touch()
        running.wait(60)

    running = begin()
    cluster.run("kill", "-KILL", pid("^ssh .* n3 "), node="n1")
    heard = wait_until(lambda: re.search(r"the node launcher on n3 has ended \(ssh was killed by signal 9 \(Killed\)\), and with it "
                                         r"manager 2: the keys there are lost", said()), 10)
    report.check("kill -9 of an ssh is told", heard, said())
    report.check("and leaves nothing there", wait_until(lambda: not cluster.remains(["n3"]), 10), cluster.remains(["n3"]))
    end(running)
    report.check("the command ends as ever", "status 0\n" in said(), said())

    running = begin()
    cluster.run("kill", "-KILL", pid("^ddict-launch --hosts"), node="n1")
    gone = wait_until(lambda: not [line for line in cluster.remains() if "sleep" not in line], 15)
    report.check("kill -9 of ddict-launch leaves nothing on any host", gone, cluster.remains())
    end(running)

    running = begin()
    cluster.power("kill", "n3")
    heard = wait_until(lambda: "nothing heard from n3 for 15 s" in said() or "the node launcher on n3 has ended" in said(), 60)
    report.check("a host that is gone is told", heard, said())
    end(running)
    report.check("and the command ends as ever", "status 0\n" in said(), said())
    cluster.power("boot", "n3")
    sshd.start("n3")


def hosts_that_are_wrong(cluster, report):
    if lacks_sshd(report):
        return
    sshd_of(cluster)
    status, output = bash(cluster, """
        ddict-launch --hosts $W/nowhere -- true; echo "status $?"
        printf '%s\\n' n1 '-oProxyCommand=x' >$W/wrong; ddict-launch --hosts $W/wrong -- true; echo "status $?"
        printf '%s\\n' n1 nosuchhost >$W/wrong; ddict-launch --hosts $W/wrong --timeout 20 -- true; echo "status $? $SECONDS"
        DDICT_RSH=/no/ssh ddict-launch --hosts $W/hosts -- true; echo "status $?"
        SLURM_JOB_ID=1 ddict-launch --hosts $W/hosts -- true; echo "status $?" """)
    said = re.split(r"(?m)^status.*\n", output)
    report.check("a file that is not there", "--hosts" in said[0] and "cannot be read" in said[0], output)
    report.check("an option in place of a host", "line 2 ('-oProxyCommand=x') does not begin with the name of a host" in said[1], output)
    report.check("a host that is not reached", re.search(r"nosuchhost: ssh ended with status 255: ssh: Could not resolve", said[2]), output)
    report.check("a remote shell that is not there", "/no/ssh" in said[3] and "--rsh" in said[3], output)
    report.check("in a job of Slurm", "leave it out" in said[4], output)


GROUPS = [by_ssh, started_by_ssh, by_ssh_that_dies, hosts_that_are_wrong]
