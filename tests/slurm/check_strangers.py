# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Which hosts may connect to the managers of a job: its nodes, by any of their addresses, and the wrapper's host."""

import re

from cluster import wait_until

# From an address of one's own to one of a manager's: says whether the connection is kept or closed unread. What a
# stranger sends would end UCX if it were read.
CONNECT = """
import socket, sys
host, port, source, word = sys.argv[1:]
peer = socket.create_connection((host, int(port)), 10, (source, 0) if source else None)
if word: peer.sendall(b"\\xfe\\xca" * 4 + b"\\x01\\xff\\xff\\xff\\x7f")
peer.settimeout(1)
try:
    print("closed" if peer.recv(1) == b"" else "answered")
except ConnectionResetError:
    print("closed")
except socket.timeout:
    print("kept")
"""

def connect(cluster, node, where, source="", word=""):
    return cluster.run("python3", "-c", CONNECT, *where, source, word, node=node, timeout=30).stdout.strip()


def address_of(cluster, node):
    shown = cluster.run("ip", "-4", "-oneline", "address", "show", "dev", "eth0", node=node).stdout
    return re.search(r"inet ([0-9.]+)/", shown)[1]


def begin(cluster, variables=""):
    """A job on n1 to n3 with managers on n1 and n2, which serves until the file `end` is there."""
    end = cluster.path("strangers.end")
    handle = cluster.path("strangers.handle")
    job = cluster.submit(f"""
        export {variables or "W"}
        ddict-launch --nodes 2 --total-mem 64M -- bash -c '
            ddict put from head && srun --overlap -N3 -n3 ddict get from
            echo "$DDICT_HANDLE" >$W/strangers.new && mv $W/strangers.new $W/strangers.handle
            until [[ -e $W/strangers.end ]]; do sleep 0.1; done
            srun --overlap -N3 -n3 ddict get from && ddict stats | head -n 3'
        """, "--nodes=3", "--nodelist=n1,n2,n3")
    return job, handle, end


def listener(cluster, node):
    """The address and the port that a manager on the node listens on."""
    listening = cluster.run("ss", "--tcp", "--listening", "--numeric", "--processes", node=node).stdout
    found = re.search(rf"({re.escape(address_of(cluster, node))}):([0-9]+) .*ddict-manager", listening)
    return found.groups() if found else None


def get_from(cluster, node, handle):
    text = handle.read_text().strip()
    return cluster.run("env", f"DDICT_HANDLE={text}", "timeout", "60", "ddict", "get", "from", node=node, timeout=90)


def strangers_of_a_job(cluster, report):
    network = address_of(cluster, "n3").rsplit(".", 1)[0]
    cluster.run("ip", "address", "add", f"{network}.77/24", "dev", "eth0", node="n3")
    try:
        refused(cluster, report)
    finally:
        cluster.run("ip", "address", "del", f"{network}.77/24", "dev", "eth0", node="n3")


def refused(cluster, report):
    job, handle, end = begin(cluster)
    wait_until(handle.exists, 60)
    report.check("clients on all nodes of the job, managers on two", job.output().count("head") == 3, job.output())
    where = listener(cluster, "n1")
    if not report.check("a manager listens on eth0", where):
        end.touch()
        return
    report.check("a node without managers is permitted", connect(cluster, "n3", where) == "kept")
    second = where[0].rsplit(".", 1)[0] + ".77"
    report.check("by each of its addresses", connect(cluster, "n3", where, second) == "kept")
    stranger = address_of(cluster, "n4")
    report.check("a node of no part of the job is closed unread", connect(cluster, "n4", where, word="abuse") == "closed")
    got = get_from(cluster, "n4", handle)
    report.check("a client there is told what to do", got.returncode != 0 and "DDICT_ALLOW_HOSTS" in got.stdout, got.stdout)
    end.touch()
    state, status, output = job.wait(60)
    report.check("the managers live", (state, status) == ("COMPLETED", 0) and output.count("head") == 6, output)
    report.check("the log names the stranger", re.search(rf"connections refused, the last from {re.escape(stranger)}, ", output), output)


def hosts_that_are_allowed(cluster, report):
    """The node of another job of the same user, say."""
    job, handle, end = begin(cluster, "DDICT_ALLOW_HOSTS=n4")
    wait_until(handle.exists, 60)
    report.check("DDICT_ALLOW_HOSTS adds to the nodes of the job", job.output().count("head") == 3, job.output())
    got = get_from(cluster, "n4", handle)
    report.check("a client on the allowed host", (got.returncode, got.stdout) == (0, "head"), got.stdout)
    end.touch()
    state, status, output = job.wait(60)
    report.check("nobody is refused", (state, status) == ("COMPLETED", 0) and "refused" not in output, output)


def wrapper_outside_of_the_nodes(cluster, report):
    """As from a login node."""
    done = cluster.run("salloc", "--quiet", "--nodes=2", "--nodelist=n1,n2", "sh", "-c",
                       "ddict-launch --total-mem 64M -- sh -c 'ddict put from head && srun -N2 -n2 ddict get from'", timeout=90)
    report.check("clients beside the wrapper", done.returncode == 0 and done.stdout.count("head") == 2, done.stdout)


def hosts_in_the_check(cluster, report):
    job = cluster.submit("""
        ddict-launch --check --nodes 2 --total-mem 64M; echo "known $?"
        mkdir $W/path
        printf '#!/bin/bash\ncase "$*" in *--addresses) echo "no such step" >&2; exit 1; esac; exec %s "$@"\n' "$(type -P srun)" >$W/path/srun
        chmod +x $W/path/srun
        export PATH=$W/path:$PATH
        ddict-launch --check --nodes 2 --total-mem 64M; echo "unknown $?"
        ddict-launch --nodes 2 --total-mem 64M -- sh -c 'ddict put from head && srun -N3 -n3 ddict get from'; echo "launch $?"
        """, "--nodes=3", "--nodelist=n1,n2,n3")
    text = re.sub(r"\s+", " ", job.wait(120)[2])
    report.check("--check says which hosts may connect", "ok hosts of clients: the nodes of the job and this host" in text and "known 0" in text, text)
    report.check("and if that could not be found out, that all may", re.search(
        r"warning hosts of clients: the addresses of n3 could not be found out \(srun .*no such step\): connections from all hosts", text)
        and "unknown 0" in text, text)
    report.check("as they can then", "launch 0" in text and text.count("head") == 3, text)


GROUPS = [strangers_of_a_job, hosts_that_are_allowed, wrapper_outside_of_the_nodes, hosts_in_the_check]
