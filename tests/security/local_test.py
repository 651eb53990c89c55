# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What other users of a node can do to a dictionary there without its handle: docs/security.md, "On the node"."""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import unittest

from users import (DEADLINE, OTHER, STRANGERS, SecurityTest, as_user, end_of, error_of, open_error, program,
                   start_sleeper, text_of)

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
NO_ACCESS = ("PermissionError",)


def read_memory(pid):
    class Piece(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]

    buffer = ctypes.create_string_buffer(16)
    here = Piece(ctypes.cast(buffer, ctypes.c_void_p), 16)
    there = Piece(0x1000, 16)
    if libc.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Segments(SecurityTest):
    def test_nobody_has_segments_without_a_name(self):
        """Neither managers nor clients: all that they share within the host is in files of their own."""
        def creators():
            with open("/proc/sysvipc/shm") as lines:
                return {int(line.split()[4]) for line in list(lines)[1:]}

        self.start()
        client = subprocess.Popen([program("ddict"), "--timeout", str(2 * DEADLINE), "wait", "never"],
                                  env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.waits_until(lambda: sum(manager["waiting"] for manager in self.stats()) == 1, "the client waits")
            self.assertFalse(creators() & {*self.managers, client.pid})
        finally:
            client.kill()
            client.wait()

    def test_strangers_cannot_connect_to_managers(self):
        self.start()
        sockets = [f"/dev/shm/{name}" for name in os.listdir("/dev/shm") if name.endswith("-socket")]
        self.assertEqual(len(sockets), 2)
        for path in sockets:
            for user in STRANGERS:
                connect = lambda: error_of(socket.socket(socket.AF_UNIX).connect, path)
                self.assertEqual(as_user(user, connect), "PermissionError", (user, path))

    def test_pools_and_directory_are_the_owners_alone(self):
        self.start()
        names = [name for name in os.listdir("/dev/shm") if name.startswith("ddict-")]
        self.assertEqual(len(names), 7)  # two pools with their replies and sockets, and the directory
        for name in names:
            path = os.path.join("/dev/shm", name)
            self.assertEqual(oct(os.stat(path).st_mode & 0o7777), "0o600")
            for user in STRANGERS:
                for flags in (os.O_RDONLY, os.O_RDWR):
                    self.assertEqual(as_user(user, open_error, path, flags), "PermissionError", (user, path))
                self.assertEqual(as_user(user, error_of, os.unlink, path), "PermissionError")

    def test_what_is_kept_is_its_users_alone(self):
        self.start()
        self.assertEqual(self.run_program("ddict-launch", "stop", "--keep").returncode, 0)
        self.started = False
        names = sorted(name for name in os.listdir("/dev/shm") if name.startswith("ddict-"))
        self.assertEqual(len(names), 5)  # two pools with their replies, and the mark
        folder = self.programs_for_strangers()
        for name in ("ddict-launch", "ddict-manager"):
            shutil.copy(program(name), folder)
        environment = {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": folder, "DDICT_STATE_DIR": "/nonexistent"}

        def launch(*words):
            done = subprocess.run([os.path.join(folder, "ddict-launch"), *words], capture_output=True, text=True,
                                  timeout=DEADLINE, env=environment, cwd="/")
            return [done.returncode, done.stdout + done.stderr]

        for user in STRANGERS:
            for name in names:
                path = os.path.join("/dev/shm", name)
                self.assertEqual(oct(os.stat(path).st_mode & 0o7777), "0o600")
                for flags in (os.O_RDONLY, os.O_RDWR):
                    self.assertEqual(as_user(user, open_error, path, flags), "PermissionError", (user, path))
            for words in (("discard", "--name", "default"),
                          ("--resume", "--managers-per-node", "2", "--total-mem", "16M", "--", "/bin/true")):
                status, said = as_user(user, launch, *words)
                self.assertTrue(status == 1 and "nothing " in said, (user, status, said))
        self.assertEqual(sorted(name for name in os.listdir("/dev/shm") if name.startswith("ddict-")), names)
        self.assertEqual(self.run_program("ddict-launch", "discard", "--name", "default").returncode, 0)

    def test_state_folder_and_record_are_the_owners_alone(self):
        before = os.umask(0)
        try:
            self.start()
        finally:
            os.umask(before)
        self.assertEqual(oct(os.stat(self.state).st_mode & 0o7777), "0o700")
        self.assertEqual(oct(os.stat(self.record).st_mode & 0o7777), "0o600")
        os.chmod(self.state, 0o755)
        for user in STRANGERS:
            self.assertEqual(as_user(user, open_error, self.record, os.O_RDONLY), "PermissionError", user)
            self.assertEqual(as_user(user, error_of, os.unlink, self.record), "PermissionError", user)

    def test_so_are_those_of_a_command(self):
        before = os.umask(0)
        try:
            command = subprocess.Popen([program("ddict-launch"), "--total-mem", "16M", "--", "sh", "-c", "echo ready; read line"],
                                       env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        finally:
            os.umask(before)
        try:
            self.assertEqual(command.stdout.readline(), b"ready\n")
            [record] = [os.path.join(self.state, name) for name in os.listdir(self.state)]
            self.assertEqual(oct(os.stat(self.state).st_mode & 0o7777), "0o700")
            self.assertEqual(oct(os.stat(record).st_mode & 0o7777), "0o600")
            os.chmod(self.state, 0o755)
            for user in STRANGERS:
                self.assertEqual(as_user(user, open_error, record, os.O_RDONLY), "PermissionError", user)
                self.assertEqual(as_user(user, error_of, os.unlink, record), "PermissionError", user)
        finally:
            command.communicate(b"\n", timeout=DEADLINE)
        self.assertEqual(os.listdir(self.state), [])


class Processes(SecurityTest):
    def test_strangers_neither_look_into_nor_signal_processes(self):
        self.start()
        for pid in (*self.managers, self.launcher()):
            for user in STRANGERS:
                for name in ("environ", "mem", "maps"):
                    self.assertIn(as_user(user, open_error, f"/proc/{pid}/{name}", os.O_RDONLY), NO_ACCESS, name)
                self.assertIn(as_user(user, error_of, os.listdir, f"/proc/{pid}/fd"), NO_ACCESS)
                self.assertIn(as_user(user, error_of, read_memory, pid), NO_ACCESS)
                for number in (0, signal.SIGTERM, signal.SIGSTOP, signal.SIGKILL):
                    self.assertIn(as_user(user, error_of, os.kill, pid, number), NO_ACCESS, number)
        self.assertEqual([manager["alive"] for manager in self.stats()], [True, True])

    def test_the_secret_is_in_no_arguments_no_log_and_no_statistics(self):
        self.start()
        secret = self.secret()
        forms = [secret.hex(), secret.hex().upper(), self.handle.split(".")[1]]
        texts = {}
        pids = {*self.managers, self.launcher()}
        for pid in self.managers:
            with open(f"/proc/{pid}/stat") as stat:
                pids.add(int(stat.read().rpartition(")")[2].split()[1]))  # its node launcher
            with open(f"/proc/{pid}/environ", "rb") as environment:
                self.assertNotIn(b"DDICT_SECRET", environment.read())
        for pid in pids:
            with open(f"/proc/{pid}/cmdline", "rb") as arguments:
                texts[f"arguments of {pid}"] = arguments.read().decode(errors="replace")
        texts["log"] = text_of(self.errors)
        for command in (("ddict", "stats"), ("ddict", "stats", "--json"), ("ddict-launch", "status"),
                        ("ddict-launch", "status", "--json"), ("ddict-launch", "--check")):
            done = self.run_program(*command)
            texts[" ".join(command)] = done.stdout + done.stderr
        wrong = dict(self.environment, DDICT_HANDLE=self.handle[:-1] + ("0" if self.handle[-1] != "0" else "1"))
        texts["a wrong handle"] = self.run_program("ddict", "size", environment=wrong).stderr
        for where, text in texts.items():
            self.assertTrue(text or where == "log", where)
            for form in forms:
                self.assertNotIn(form, text, where)

    def test_without_a_handle_nobody_attaches(self):
        self.start()
        for user in STRANGERS:
            status, text = self.run_as(user, "size", handle="ddict3.AAAA.00000000")
            self.assertGreater(status, 1, text)
            self.assertIn("bad_handle", text)

    def test_whoever_has_the_handle_is_in(self):
        """Stated as what it is: the handle is the key, and no other question is asked."""
        self.start()
        self.assertEqual(self.run_program("ddict", "put", "k", "v").returncode, 0)
        for user in STRANGERS:
            self.assertEqual(self.run_as(user, "get", "k"), [0, "v"], user)


class Squatters(SecurityTest):
    """Names in /dev/shm that somebody else has taken."""

    def on_another_node(self, squat):
        """`ddict get` where no manager is, and a stranger has taken the name of the directory."""
        name = "/dev/shm/ddict-" + self.packed_handle()[:8][::-1].hex() + "-directory"
        self.assertTrue(os.path.exists(name))
        child = os.fork()
        if child == 0:
            status = 1
            try:
                # A mount namespace with an empty /dev/shm stands for the other node.
                if libc.unshare(0x00020000) == 0:
                    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
                    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm"], check=True)
                    as_user(OTHER, squat, name)
                    done = self.run_program("ddict", "--timeout", "20", "get", "k")
                    status = 0 if (done.returncode, done.stdout) == (0, "v") else 1
                    if status != 0:
                        print(done.returncode, done.stdout, done.stderr, flush=True)
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        return status

    def test_a_taken_directory_name_keeps_nobody_out(self):
        self.start()
        self.assertEqual(self.run_program("ddict", "put", "k", "v").returncode, 0)

        def file(name):
            with open(name, "w") as out:
                out.write("x" * 100_000)
            os.chmod(name, 0o666)

        squats = {"file": file, "pipe": lambda name: os.mkfifo(name, 0o666), "folder": os.mkdir,
                  "link": lambda name: os.symlink("/etc/passwd", name),
                  "link to itself": lambda name: os.symlink(name, name)}
        for what, squat in squats.items():
            self.assertEqual(self.on_another_node(squat), 0, what)

    def test_what_is_left_is_removed_although_a_stranger_has_the_directory(self):
        stale = "/dev/shm/ddict-00000000000000ab-m0"
        taken = "/dev/shm/ddict-00000000000000ab-directory"
        with open(stale, "w") as out:
            out.write("left over")
        as_user(OTHER, lambda: open(taken, "w").close())
        try:
            with open(taken) as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # as a live owner does
                self.start()
            self.assertFalse(os.path.exists(stale))
            self.assertTrue(os.path.exists(taken), "it is not ours to remove")
        finally:
            os.unlink(taken)


class Sleepers(SecurityTest):
    def test_the_tests_own_tools(self):
        """A sleeper is who it should be, and a stranger is refused what root may do."""
        sleeper = start_sleeper(OTHER)
        self.waits_until(lambda: os.stat(f"/proc/{sleeper}").st_uid == OTHER[0], "it is somebody else")
        self.assertTrue(end_of(sleeper))
        with open(os.path.join(self.folder, "secret"), "w") as out:
            os.chmod(out.name, 0o600)
        self.assertEqual(as_user(OTHER, open_error, out.name, os.O_RDONLY), "PermissionError")
        os.chmod(out.name, 0o604)
        self.assertIsNone(as_user(OTHER, open_error, out.name, os.O_RDONLY))


if __name__ == "__main__":
    unittest.main()
