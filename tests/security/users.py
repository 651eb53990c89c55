# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A dictionary of this user, root, and strangers: real users of their own, in root's group and in another one."""

import base64
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import unittest

BUILD = sys.argv.pop(1) if len(sys.argv) > 1 else ""
DEADLINE = 60  # seconds, of every wait

MEMBER = (65532, 0)  # of root's group
OTHER = (65533, 65533)
STRANGERS = (MEMBER, OTHER)


def program(name):
    return os.path.join(BUILD, "bin", name)


def as_user(user, function, *arguments):
    """What the function returns (as JSON) when another process runs it as this user; raises if it raises there."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        try:
            os.setgroups([])
            os.setgid(user[1])
            os.setuid(user[0])
            answer = {"result": function(*arguments)}
        except BaseException:  # of whatever kind: the parent raises it again
            answer = {"error": traceback.format_exc()}
        with os.fdopen(write_end, "w") as out:
            json.dump(answer, out)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as answers:
        answer = json.loads(answers.read() or '{"error": "the process died"}')
    os.waitpid(child, 0)
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["result"]


def text_of(path):
    with open(path) as file:
        return file.read()


def error_of(function, *arguments):
    """Name of the OSError that the function raises; None if it succeeds."""
    try:
        function(*arguments)
    except OSError as error:
        return type(error).__name__
    return None


def open_error(path, flags):
    def opened():
        os.close(os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC))

    return error_of(opened)


class SecurityTest(unittest.TestCase):
    """A folder and an environment for each test, and nothing left of either afterwards."""

    def setUp(self):
        if os.geteuid() != 0:
            self.fail("these tests become other users, which takes root: run them with sudo, or leave them out with "
                      "ctest --label-exclude security")
        self.folder = tempfile.mkdtemp(prefix="ddict-security-test-")
        os.chmod(self.folder, 0o755)
        self.state = os.path.join(self.folder, "state")
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(("SLURM", "DDICT", "UCX"))}
        self.environment.update(DDICT_STATE_DIR=self.state, DDICT_LAUNCH=program("ddict-launch"))
        self.errors = os.path.join(self.folder, "errors")
        self.started = False

    def tearDown(self):
        if self.started:
            self.run_program("ddict-launch", "stop")
        left = [name for name in os.listdir("/dev/shm") if name.startswith("ddict-")]
        shutil.rmtree(self.folder, ignore_errors=True)
        self.assertEqual(left, [])

    def run_program(self, name, *arguments, environment=None, text=None):
        return subprocess.run([program(name), *arguments], input=text, capture_output=True, text=True,
                              timeout=DEADLINE, env=environment or self.environment)

    def start(self, *arguments, files_max=None):
        def limit():
            if files_max:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))

        # The managers write their log there, after the launcher's caller has gone.
        with open(self.errors, "w") as log:
            done = subprocess.run([program("ddict-launch"), "start", "--managers-per-node", "2", "--total-mem", "16M",
                                   *arguments], stdout=subprocess.PIPE, stderr=log, text=True, timeout=DEADLINE,
                                  env=self.environment, preexec_fn=limit)
        self.assertEqual(done.returncode, 0, text_of(self.errors))
        self.started = True
        self.handle = done.stdout.strip()
        self.environment["DDICT_HANDLE"] = self.handle
        self.managers = [manager["pid"] for manager in self.stats()]
        (record,) = os.listdir(self.state)
        self.record = os.path.join(self.state, record)

    def stats(self):
        done = self.run_program("ddict", "stats", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["managers"]

    def launcher(self):
        with open(self.record) as record:
            return json.load(record)["launcher"]["pid"]

    def packed_handle(self):
        """What the handle holds: the dictionary's id, then its secret, then more."""
        return base64.urlsafe_b64decode(self.handle.split(".")[1] + "==")

    def secret(self):
        return self.packed_handle()[8:24]

    def waits_until(self, condition, what):
        end = time.monotonic() + DEADLINE
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            time.sleep(0.02)

    def programs_for_strangers(self):
        """A folder with what other users need to run `ddict`: they may not be able to look into the build."""
        folder = os.path.join(self.folder, "for_strangers")
        if not os.path.exists(folder):
            os.mkdir(folder, 0o755)
            shutil.copy(program("ddict"), folder)
            libraries = os.path.join(BUILD, "lib")
            for name in os.listdir(libraries):
                if name.startswith(("libddict_client.so", "libddict_ucx")):
                    shutil.copy(os.path.join(libraries, name), folder)
        return folder

    def run_as(self, user, *arguments, handle=None):
        """`ddict` as another user: its exit status and all that it says."""
        folder = self.programs_for_strangers()
        environment = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": folder, "DDICT_HANDLE": handle or self.handle}

        def run():
            done = subprocess.run([os.path.join(folder, "ddict"), *arguments], capture_output=True, text=True,
                                  timeout=DEADLINE, env=environment, cwd="/")
            return [done.returncode, done.stdout + done.stderr]

        return as_user(user, run)


def start_as(user, function):
    """A process of this user that runs the function; the caller ends it with end_of(). What goes wrong there ends
    it: it must not go on as if it were the test."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(user[1])
            os.setuid(user[0])
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return child


def start_sleeper(user):
    return start_as(user, signal.pause)


def end_of(child):
    """Ends it. Whether it lived until now."""
    ended, _ = os.waitpid(child, os.WNOHANG)
    if ended == 0:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return ended == 0
