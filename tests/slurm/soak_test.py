#!/usr/bin/env python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A dictionary on a cluster of four hosts (slurm/devcluster), while managers, clients, cables and hosts fail at random.

usage: soak_test.py BUILD_DIRECTORY [--seconds N | --minutes N] [--seed S] [--round-seconds N]

Managers on n1, n2 and n3, two each; a client on each of the four hosts, which checks every answer against what it has
written down outside of the dictionary (tests/faults/cluster_client.cpp). On n4 a new one has only the handle, and the
dictionary's record. Rounds of --round-seconds (60), each with a new dictionary, until --seconds (20) are over. In a round managers and clients are killed (kill -9) and stopped for a while, and
cables of hosts pulled and put back; at its end n2 or n3 is powered off, and on again. What was acknowledged must be there,
nothing may be made twice, no operation may hang; only keys of a host that is away may be lost, for as long as it is.
"""

import argparse
import collections
import json
import mmap
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from cluster import DEVCLUSTER, Cluster, Report, wait_until

HOSTS = ["n1", "n2", "n3", "n4"]
MANAGER_HOSTS = HOSTS[:3]
MANAGERS_PER_HOST = 2
# Three ends of a manager within ten seconds would be its last.
KILLS_MAX, KILLS_WITHIN = 2, 10.5
# A session is kept for 10 s, and the clients of a host whose cable is back have 8 s to find all managers, also those that
# have begun without a network.
CUT_SECONDS_MAX, PAUSE_AFTER_CUT = 6.0, 9.0
STOP_SECONDS_MAX = 1.0
# Of an operation that fails since its manager is away; it is 1.8 s by design, and this machine is busy.
REFUSED_MS_MAX = 4000
EVENT_NAMES = ("manager killed", "manager killed again", "manager stopped", "client killed", "client stopped", "host cut")


class Control:
    """The words of cluster_client's Control: stop, then for each host whether it is away, lost, and when it came back."""

    HOSTS_MAX = 16

    def __init__(self, path):
        path.write_bytes(bytes(8 * (1 + 3 * self.HOSTS_MAX)))
        with path.open("r+b") as file:
            self.words = mmap.mmap(file.fileno(), 0)

    def _set(self, word, value):
        struct.pack_into("=Q", self.words, 8 * word, value)

    def _first_of(self, host):
        return 1 + 3 * int(host[1:])

    def stop(self):
        self._set(0, 1)

    def away(self, host):
        self._set(self._first_of(host), 1)

    def back(self, host):
        self._set(self._first_of(host) + 2, time.monotonic_ns())
        self._set(self._first_of(host), 0)

    def lost(self, host):
        self._set(self._first_of(host) + 1, 1)


class Processes:
    """Those of the cluster's hosts, by the numbers that they have on this machine."""

    def __init__(self, cluster):
        self.cluster = cluster

    def _all(self, host, name):
        """(pid, words of its command line) of the programs of that name on a host."""
        try:
            first = (self.cluster.work / "cluster/run" / host).read_text().split()[0]
            there = os.readlink(f"/proc/{first}/ns/pid")
        except OSError:
            return
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "comm").read_text().strip() == name \
                        and os.readlink(entry / "ns/pid") == there:
                    words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                    yield int(entry.name), words
            except OSError:
                pass  # it has ended meanwhile

    def managers(self, host):
        """{number: pid}"""
        found = {}
        for pid, words in self._all(host, "ddict-manager"):
            number = next((re.search(r"-m(\d+)$", word) for word in words if re.search(r"-m\d+$", word)), None)
            if number:
                found[int(number[1])] = pid
        return found

    def client(self, host):
        return next((pid for pid, words in self._all(host, "cluster_client") if "run" in words), None)


def send(pid, number):
    """False if it has ended."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def go_on(pid):
    """The same for an nsenter that has started it: it stops with it, and does not go on with it."""
    send(pid, signal.SIGCONT)
    try:
        parent = int(re.search(r"^PPid:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])
        if pathlib.Path(f"/proc/{parent}/comm").read_text().strip() == "nsenter":
            send(parent, signal.SIGCONT)
    except OSError:
        pass  # it has ended


class Round:
    """One dictionary, its clients, and what is done to them."""

    def __init__(self, cluster, report, chance, seconds, number):
        self.cluster, self.report, self.chance, self.number = cluster, report, chance, number
        self.folder = cluster.work / f"round{number}"
        self.folder.mkdir()
        self.control = Control(self.folder / "control")
        self.processes = Processes(cluster)
        self.seconds, self.end = seconds, None
        self.counts = collections.Counter()
        self.kills = collections.defaultdict(collections.deque)  # times, by manager
        self.clients = {}  # by host
        self.killed_clients = set()
        self.cut, self.cut_until, self.no_cut_before = None, 0, 0
        self.stopped = []  # (pid, when to go on)
        self.begin, self.story = time.monotonic(), []  # lines: what was done, and when

    def tell(self, what):
        self.story.append(f"{time.monotonic() - self.begin:6.2f} s  {what}")

    def start(self):
        self.job = self.cluster.submit(f"""
            ddict-launch --nodes {len(MANAGER_HOSTS)} --managers-per-node {MANAGERS_PER_HOST} --total-mem 576M -- bash -c '
                printf "%s\\n" "$DDICT_HANDLE" >{self.folder}/handle.new && mv {self.folder}/handle.new {self.folder}/handle
                while [[ ! -e {self.folder}/end ]]; do sleep 0.1; done
                exit 5'
            echo "ended with $?"
            """, f"--nodes={len(HOSTS)}", "--nodelist=" + ",".join(HOSTS), "--no-kill", "--no-requeue")
        if not self.report.check(f"round {self.number}: the dictionary is there",
                                 wait_until((self.folder / "handle").exists, 30), self.job.output()):
            return False
        for host in HOSTS:
            self.start_client(host)
        return True

    def exec(self, host, *words):
        command = [DEVCLUSTER, "--dir", self.cluster.work / "cluster", "exec", "--node", host, "--", "cluster_client", *words]
        return subprocess.Popen(command, cwd=self.folder, env=self.cluster.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def start_client(self, name, host=None):
        """The client that has the name of a host, there or elsewhere."""
        host = host or name
        self.clients[name] = self.exec(host, "run", self.folder, host[1:], str(HOSTS.index(name)), str(self.chance.getrandbits(32)))

    def one_event(self):
        what = self.chance.choices(EVENT_NAMES, (30, 0, 8, 25, 8, 6))[0]
        host = self.chance.choice(MANAGER_HOSTS if what.startswith("manager") else HOSTS)
        {"manager killed": self.kill_manager, "manager stopped": self.stop_manager, "client killed": self.kill_client,
         "client stopped": self.stop_client, "host cut": self.cut_host}[what](host)

    def kill_manager(self, host):
        number = HOSTS.index(host) * MANAGERS_PER_HOST + self.chance.randrange(MANAGERS_PER_HOST)
        again = self.chance.random() < 0.25
        pause = self.chance.uniform(0, 0.012)
        for what in ("manager killed", "manager killed again")[:1 + again]:
            kills = self.kills[number]
            while kills and time.monotonic() - kills[0] > KILLS_WITHIN:
                kills.popleft()
            pid = self.processes.managers(host).get(number)
            if len(kills) == KILLS_MAX or pid is None:
                return
            if send(pid, signal.SIGKILL):
                kills.append(time.monotonic())
                self.counts[what] += 1
                self.tell(f"{what}: {number} on {host}")
            time.sleep(pause)

    def stop_manager(self, host):
        managers = list(self.processes.managers(host).values())
        if managers:
            self.stop_process(self.chance.choice(managers), "manager stopped")

    def kill_client(self, host):
        pid = self.processes.client(host)
        if pid is not None and send(pid, signal.SIGKILL):
            self.killed_clients.add(host)
            self.counts["client killed"] += 1
            self.tell(f"client killed: of {host}")

    def stop_client(self, host):
        pid = self.processes.client(host)
        if pid is not None:
            self.stop_process(pid, "client stopped")

    def stop_process(self, pid, what):
        if not self.stopped and send(pid, signal.SIGSTOP):
            seconds = self.chance.uniform(0, STOP_SECONDS_MAX)
            self.stopped.append((pid, time.monotonic() + seconds))
            self.counts[what] += 1
            self.tell(f"{what}: process {pid}, for {seconds:.2f} s")

    def cut_host(self, host):
        """Only where there is time enough to put the cable back and look at what comes of it."""
        seconds = self.chance.uniform(0.05, min(CUT_SECONDS_MAX, self.seconds / 4))
        now = time.monotonic()
        if self.cut or now < self.no_cut_before or now + seconds + PAUSE_AFTER_CUT > self.end:
            return
        self.control.away(host)
        self.cluster.power("cut", host)
        self.cut, self.cut_until = host, now + seconds
        self.counts["host cut"] += 1
        self.tell(f"host cut: {host}, for {seconds:.2f} s")

    def undo_what_is_due(self, all_of_it=False):
        now = time.monotonic()
        for pid, when in list(self.stopped):
            if all_of_it or now >= when:
                go_on(pid)
                self.stopped.remove((pid, when))
        if self.cut and (all_of_it or now >= self.cut_until):
            self.cluster.power("heal", self.cut)
            self.control.back(self.cut)
            self.tell(f"host joined again: {self.cut}")
            self.cut, self.no_cut_before = None, time.monotonic() + PAUSE_AFTER_CUT

    def ended_well(self, host):
        """False if the client that has ended has found something wrong."""
        said = self.clients.pop(host).communicate()[0]
        if host in self.killed_clients:
            self.killed_clients.remove(host)
            return True
        if not said:
            return True
        self.tell(f"client ended: of {host}")
        self.report.check(f"round {self.number}: the client of {host} finds all right", False, said)
        for line in ["what was done:", *self.story, "what the wrapper has said:", *self.job.output().splitlines()]:
            self.report.note(line)
        return False

    def see_to_clients(self):
        """False if one has found something wrong. One that was killed is followed by another."""
        for host in [host for host, client in self.clients.items() if client.poll() is not None]:
            if not self.ended_well(host):
                return False
            self.start_client(host)
        return True

    def fail_at_random(self):
        good = True
        self.end = time.monotonic() + self.seconds
        quarter = self.end - self.seconds * 3 / 4
        while good and time.monotonic() < self.end:
            time.sleep(self.chance.uniform(0, 0.5))
            if time.monotonic() > quarter and not self.counts["host cut"]:
                self.cut_host(self.chance.choice(HOSTS))
            self.one_event()
            self.undo_what_is_due()
            good = self.see_to_clients()
        self.undo_what_is_due(all_of_it=True)
        return good

    def power_off(self, host):
        """For good: the host is on again, but its managers are not. Its client is followed by another on n1."""
        self.control.away(host)
        self.control.lost(host)
        self.killed_clients.add(host)
        self.cluster.power("kill", host)
        self.tell(f"host killed: {host}")
        self.counts["host killed"] += 1
        time.sleep(4)
        self.ended_well(host)
        self.cluster.power("boot", host)
        self.control.back(host)
        self.start_client(host, "n1")
        time.sleep(2)
        return self.see_to_clients()

    def check_clients(self):
        self.control.stop()
        wait_until(lambda: all(client.poll() is not None for client in self.clients.values()), 20)
        hung = [host for host, client in self.clients.items() if client.poll() is None]
        self.report.check(f"round {self.number}: no client hangs", not hung, hung)
        for host in hung:
            self.report.note(f"{host}: {self.what_it_does(host)}")
            if (pid := self.processes.client(host)) is not None:
                send(pid, signal.SIGKILL)
                self.killed_clients.add(host)
        for host in list(self.clients):
            self.ended_well(host)

    def what_it_does(self, host):
        pid = self.processes.client(host)
        return f"{pid}: " + (pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()[2] if pid else "its program has ended")

    def check_all(self):
        """By a client that has seen nothing."""
        checker = self.exec("n1", "check", self.folder, "1", str(len(HOSTS)))
        try:
            said = checker.communicate(timeout=90)[0]
        except subprocess.TimeoutExpired:
            checker.kill()
            said = "it hangs"
        if not self.report.check(f"round {self.number}: all that was acknowledged is there, and nothing else",
                                 checker.returncode == 0, said):
            return {}
        seen = json.loads(said.splitlines()[-1])
        self.report.check(f"round {self.number}: those whose manager is away are told in time",
                          seen["longest_refused_ms"] < REFUSED_MS_MAX, f"after {seen['longest_refused_ms']} ms at the most")
        lost = MANAGERS_PER_HOST if self.counts["host killed"] else 0
        self.report.check(f"round {self.number}: the managers of the host that is gone are lost, and no others",
                          seen["lost_managers"] == lost, seen)
        return seen

    def finish(self):
        self.undo_what_is_due(all_of_it=True)
        (self.folder / "end").touch()
        output = wait_until(self.job.output_of_ended, 30)
        self.report.check(f"round {self.number}: the command's status is returned", output.endswith("ended with 5\n"),
                          output or "it has not ended: " + self.job.output())

    def run(self):
        seen = {}
        try:
            if self.start() and self.fail_at_random():
                time.sleep(max(0.2, self.no_cut_before - time.monotonic()))
                self.power_off(self.chance.choice(MANAGER_HOSTS[1:]))
            self.check_clients()
            seen = self.check_all()
        finally:
            self.finish()
        left = wait_until(lambda: not self.cluster.remains(), 10)
        self.report.check(f"round {self.number}: nothing is left on any host", left,
                          "\n".join(self.cluster.remains()) if not left else "")
        return self.counts, seen


def options_of_command_line():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("build")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--minutes", type=lambda text: 60 * float(text), dest="seconds")
    parser.add_argument("--round-seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("DDICT_TEST_SEED", random.randrange(1 << 32))))
    return parser.parse_args()


def main():
    options = options_of_command_line()
    print("seed", options.seed, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begin = time.monotonic()
    report = Report()
    work = pathlib.Path(tempfile.mkdtemp(prefix="soak-test."))
    cluster = Cluster(work, options.build, nodes=len(HOSTS))
    totals, seen = collections.Counter(), collections.Counter()
    longest = 0
    try:
        cluster.up("--kill-wait", "15")
        until, number = time.monotonic() + options.seconds, 0
        while time.monotonic() < until and not report.failed:
            seconds = min(options.round_seconds, until - time.monotonic())
            chance = random.Random(f"{options.seed}.{number}")
            counts, one = Round(cluster, report, chance, seconds, number).run()
            totals.update(counts)
            longest = max(longest, one.get("longest_ms", 0))
            seen.update({name: one.get(name, 0) for name in ("operations", "refused", "lives")})
            number += 1
    finally:
        cluster.down()
        shutil.rmtree(work)
    print(f"{number} rounds: " + ", ".join(f"{count} x {name}" for name, count in sorted(totals.items())))
    print(f"{seen['operations']} operations checked, {seen['refused']} of them on managers that were away; the longest of the "
          f"others took {longest} ms; {seen['lives']} lives of {len(HOSTS)} clients")
    print(*report.failed, f"{report.count} checks, {len(report.failed)} failed, seed {options.seed}, {time.monotonic() - begin:.0f} s",
          sep="\n")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
