# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A development cluster for the tests, jobs on it, and what has been seen of them."""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import time

DEVCLUSTER = pathlib.Path(__file__).resolve().parents[2] / "slurm" / "devcluster"

# By the kernel's short names: everything of ddict, and what the tests start.
OURS = ("ddict", "ddict-launch", "ddict-manager", "job_client", "cluster_client", "client", "distributed_dic", "primes", "sleep")
# What a client says of a dictionary that has ended: nobody on another node can tell that from a network that is down.
NOT_THERE = r"(dictionary_gone|attach on manager \d+ \(\S+\): manager_lost)"
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE")


class Report:
    """Prints each check with what was seen; knows which have failed."""

    def __init__(self):
        self.failed = []
        self.count = 0

    def check(self, what, good, seen=""):
        self.count += 1
        lines = str(seen).strip().splitlines()
        if good:
            print(f"ok: {what}" + (f" ({' | '.join(lines)[:300]})" if lines else ""), flush=True)
        else:
            self.failed.append("\n".join([f"FAILED: {what}; seen:", *["    " + line for line in lines[-25:]]]))
            print(self.failed[-1], flush=True)
        return good

    @staticmethod
    def note(text):
        print(f"   {text}", flush=True)


def without_waits(text):
    """What was printed, without what srun says where the step before has not quite ended on a node."""
    return re.sub(r"^srun: (Job \d+ step creation temporarily disabled|Step created for ).*\n", "", text, flags=re.MULTILINE)


def wait_until(condition, seconds):
    """The first true value of condition(), or its last one after so many seconds."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.03)
    return value


class Cluster:
    """`work` is a directory that all hosts see; `build` the build tree whose programs are tested."""

    def __init__(self, work, build, nodes):
        self.work = pathlib.Path(work)
        self.build = pathlib.Path(build).resolve()
        self.nodes = [f"n{i + 1}" for i in range(nodes)]
        self.memory_limits = False
        self.jobs = 0
        keep = ("HOME", "LANG", "USER", "LOGNAME", "TMPDIR")
        self.environment = {name: os.environ[name] for name in keep if name in os.environ}
        self.environment |= {
            "PATH": f"{self.build}/bin:{self.build}/tests:" + os.environ["PATH"],
            "DDICT_BUILD_DIR": str(self.build),
            "DDICT_STATE_DIR": str(self.work / "state"),
            # What jobs print is compared as a whole.
            "DDICT_QUIET": "1",
            "W": str(self.work),
        }

    def _devcluster(self, *words, timeout=60):
        command = [DEVCLUSTER, "--dir", self.work / "cluster", *words]
        return subprocess.run(command, cwd=self.work, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)

    def _must(self, *words):
        done = self._devcluster(*words)
        if done.returncode != 0:
            raise RuntimeError(f"devcluster {' '.join(words)}: {done.stdout.strip()}")
        return done.stdout

    def up(self, *options):
        options += ("--nodes", str(len(self.nodes)), "--share", str(self.work), "--isolation", "namespaces")
        done = self._devcluster("up", "--cgroup", *options)
        self.memory_limits = done.returncode == 0
        if not self.memory_limits:
            print("NO MEMORY LIMITS, their checks are left out:", done.stdout.strip(), flush=True)
            print(self._must("up", *options).strip(), flush=True)

    def down(self):
        self._must("down")

    def power(self, verb, node):
        """verb: kill, boot, cut, heal"""
        return self._must(verb, node)

    def run(self, *words, node=None, timeout=60):
        """A command on the head, or on a node."""
        where = ("--node", node) if node else ()
        done = self._devcluster("exec", *where, "--", *words, timeout=timeout)
        done.stdout = without_waits(done.stdout)
        return done

    def submit(self, script, *options, arguments=()):
        """A job of a script's text, or of a script's path with `examples` in it; `arguments` are the script's."""
        self.jobs += 1
        output = self.work / f"job{self.jobs}.out"
        if not isinstance(script, pathlib.Path):
            text, script = script, self.work / f"job{self.jobs}.sh"
            script.write_text("#!/bin/bash\n" + text)
        done = self.run("sbatch", "--parsable", f"--output={output}", *options, str(script), *arguments)
        if done.returncode != 0:
            raise RuntimeError(f"sbatch: {done.stdout.strip()}")
        return Job(self, done.stdout.strip(), output)

    def remains(self, hosts=None):
        """What of ddict is left on the hosts: segments, files, processes. All, unless told which."""
        hosts = ["head", *self.nodes] if hosts is None else hosts
        look = ("ls -d /dev/shm/ddict-* /dev/shm/ucx_shm* /tmp/ddict-* 2>/dev/null; "
                "ps -eo stat=,comm:20= | grep -v '^Z'")

        def of(host):
            done = self.run("sh", "-c", look, node=None if host == "head" else host)
            lines = [line.strip() for line in done.stdout.splitlines()]
            return [f"{host}: {line}" for line in lines if line.startswith("/") or line.split(None, 1)[-1] in OURS]

        with concurrent.futures.ThreadPoolExecutor(len(hosts)) as pool:
            return [line for lines in pool.map(of, hosts) for line in lines]

    def path(self, name):
        """A file in the work directory that does not exist yet."""
        path = self.work / name
        path.unlink(missing_ok=True)
        return path


class Job:
    def __init__(self, cluster, number, output):
        self.cluster = cluster
        self.id = number
        self.output_path = output
        self.begin = time.monotonic()

    def fields(self):
        text = self.cluster.run("scontrol", "--oneliner", "show", "job", self.id).stdout
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def wait(self, seconds=60):
        """Returns (state, exit status of the script, its output)."""
        def ended():
            fields = self.fields()
            return fields if fields.get("JobState") in ENDED else None

        fields = wait_until(ended, seconds)
        if not fields:
            self.cluster.run("scancel", self.id)
            return "NOT ENDED", None, self.output()
        return fields["JobState"], int(fields["ExitCode"].split(":")[0]), self.output()

    def output(self):
        return without_waits(self.output_path.read_text(errors="replace")) if self.output_path.exists() else ""

    def output_of_ended(self):
        """The same of a script whose last words are "ended with STATUS"; "" until it says so."""
        text = self.output()
        return text if re.search(r"^ended with \d+\n\Z", text, re.MULTILINE) else ""

    def cancel(self, *options):
        self.cluster.run("scancel", *options, self.id)
