# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What a stranger can do over the network, with UCX and without the secret: docs/security.md, "Over the network"."""

import ctypes
import encodings.idna  # which other users may not be able to load when an address is looked up
import os
import socket
import struct
import subprocess
import threading
import time
import unittest

from users import BUILD, DEADLINE, OTHER, SecurityTest, end_of, program, start_as, text_of

FEW = 2_000
FLOOD = 100_000


def resident_bytes(pid):
    with open(f"/proc/{pid}/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


class Liars(SecurityTest):
    def setUp(self):
        super().setUp()
        self.environment.update(UCX_NET_DEVICES="lo", DDICT_SAME_HOST="0")  # managers and clients as on two nodes
        self.start()

    def lie(self, kind, count, manager=0):
        return subprocess.Popen([os.path.join(BUILD, "tests", "liar"), str(OTHER[0]), str(OTHER[1]), kind, str(count),
                                 str(manager)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                text=True)

    def finish(self, liar):
        out, errors = liar.communicate(self.handle + "\n", timeout=3 * DEADLINE)
        self.assertEqual(liar.returncode, 0, errors)
        return int(out)

    def rejected(self, manager=0):
        return self.stats()[manager]["rejected_messages"]

    def expect_ignored(self, kind):
        before = self.rejected()
        files = descriptors(self.managers[0])
        self.assertEqual(self.finish(self.lie(kind, FEW)), 0, "the manager answered a stranger")
        self.waits_until(lambda: self.rejected() >= before + FEW, f"{kind}: not all are counted")
        self.waits_until(lambda: descriptors(self.managers[0]) <= files, f"{kind}: descriptors stay")
        self.assertEqual([manager["alive"] for manager in self.stats()], [True, True])

    def test_a_wrong_secret_is_ignored_and_counted(self):
        self.expect_ignored("secret")

    def test_the_log_tells_of_strangers_without_a_line_for_each(self):
        """What managers write is seen where ddict-launch stays in the foreground."""
        handle = os.path.join(self.folder, "handle")
        errors = os.path.join(self.folder, "foreground")
        with open(errors, "w") as log:
            launcher = subprocess.Popen([program("ddict-launch"), "--total-mem", "8M", "--", "/bin/sh", "-c",
                                         f'echo "$DDICT_HANDLE" >{handle}.new && mv {handle}.new {handle} && cat'],
                                        stdin=subprocess.PIPE, stderr=log, env=self.environment)
        try:
            self.waits_until(lambda: os.path.exists(handle), "it comes up")
            self.handle = text_of(handle).strip()
            began = time.monotonic()
            self.finish(self.lie("secret", FEW))
            said = "that do not prove to know this dictionary were ignored"
            self.waits_until(lambda: said in text_of(errors), "the manager says nothing")
            lines = text_of(errors).count(said)
            self.assertLessEqual(lines, 1 + (time.monotonic() - began) / 10)
        finally:
            launcher.stdin.close()
            launcher.wait(DEADLINE)

    def test_another_dictionary_is_ignored_and_counted(self):
        self.expect_ignored("id")

    def test_an_address_that_was_changed_reaches_no_parser(self):
        self.expect_ignored("proof")

    def test_nor_does_a_damaged_one_from_somebody_who_knows_the_secret(self):
        self.expect_ignored("address")

    def test_wrong_versions_and_lengths_are_ignored_and_counted(self):
        self.expect_ignored("version")
        self.expect_ignored("length")

    def test_guessed_sessions_are_ignored_and_counted(self):
        self.assertEqual(self.run_program("ddict", "put", "k", "v").returncode, 0)
        self.expect_ignored("session")
        self.assertEqual(self.run_program("ddict", "get", "k").stdout, "v")

    def test_noise_is_ignored_and_counted(self):
        self.expect_ignored("noise")

    def test_a_flood_of_strangers_costs_nothing_that_stays(self):
        pid = self.managers[0]
        self.finish(self.lie("secret", FEW))  # what is there after the first few is there for good
        before = self.rejected()
        bytes_before, files_before = resident_bytes(pid), descriptors(pid)
        served, most_files, done = [], [], threading.Event()

        def serve():
            while not done.is_set():
                began = time.monotonic()
                one = self.run_program("ddict", "--timeout", "20", "put", f"key{len(served)}", "value")
                served.append((one.returncode, time.monotonic() - began, one.stderr))
                most_files.append(descriptors(pid))

        client = threading.Thread(target=serve)
        client.start()
        try:
            answers = self.finish(self.lie("secret", FLOOD))
        finally:
            done.set()
            client.join()
        self.assertEqual(answers, 0)
        self.waits_until(lambda: self.rejected() >= before + FLOOD, "not all are counted")
        self.assertGreater(len(served), 0)
        self.assertEqual([one for one in served if one[0] != 0], [])
        self.assertLess(max(most_files), files_before + 16, "descriptors of the liar's and of one client at a time")
        self.waits_until(lambda: descriptors(pid) <= files_before, "descriptors stay")
        self.assertLess(resident_bytes(pid) - bytes_before, 16 << 20)


def stays(connection):
    """Closes it if the other side has; what that has sent is taken."""
    try:
        if connection.recv(4096) != b"":
            return True
    except BlockingIOError:
        return True
    except OSError:
        pass
    connection.close()
    return False


class Holders(SecurityTest):
    """Of connections that they do not use, while the manager may open few files."""

    LIMIT = 64

    def setUp(self):
        super().setUp()
        self.environment.update(UCX_NET_DEVICES="lo", DDICT_SAME_HOST="0")
        self.start(files_max=self.LIMIT)

    def port(self):
        """Of manager 0."""
        files = [os.readlink(f"/proc/{self.managers[0]}/fd/{fd}") for fd in os.listdir(f"/proc/{self.managers[0]}/fd")]
        listening = [line.split() for line in text_of("/proc/net/tcp").splitlines()[1:] if line.split()[3] == "0A"]
        (port,) = {fields[1].split(":")[1] for fields in listening if f"socket:[{fields[9]}]" in files}
        return int(port, 16)

    def hold(self, user, data_of):
        """A process of this user that connects again and again, sends data_of(i), and holds what it has."""
        port = self.port()

        def connect_again_and_again():
            held = []
            for i in range(1_000_000):
                try:
                    held.append(socket.create_connection(("127.0.0.1", port), 1))
                    held[-1].setblocking(False)
                    held[-1].send(data_of(i))
                except OSError:
                    pass
                if len(held) > 4 * self.LIMIT:
                    held = [one for one in held if stays(one)]
                time.sleep(0.01)

        return start_as(user, connect_again_and_again)

    def first_message(self, i):
        """What a connection of UCX 1.13 begins with: a magic number, an active message, a request to connect."""
        address = struct.pack("<H", socket.AF_INET) + struct.pack(">H", 1024 + i) + bytes([127, 0, 0, 1]) + bytes(8)
        return struct.pack("<QBI", 0xCAFEBABE12345678, 0x20, 29) + struct.pack("<IBQ", 1, 0, 0) + address

    def expect_service(self, data_of):
        holder = self.hold(OTHER, data_of)
        served = []

        def is_served():
            served.append(self.run_program("ddict", "--timeout", "5", "size").returncode)
            return served[-3:] == [0, 0, 0] and time.monotonic() > all_held

        try:
            # By then it has tried to connect a thousand times: without a bound it has all that there is, for good.
            all_held = time.monotonic() + 12
            self.waits_until(is_served, "nobody else is served")
        finally:
            held_until_now = end_of(holder)
        self.assertTrue(held_until_now, "nothing was held: the other user's process has ended")
        self.assertEqual([manager["alive"] for manager in self.stats()], [True, True])

    def test_a_byte_does_not_keep_a_connection(self):
        self.expect_service(lambda i: b"\x00")

    def test_nor_does_a_beginning_of_a_message(self):
        self.expect_service(lambda i: self.first_message(i)[:20])

    def test_whole_messages_keep_a_share_for_one_user(self):
        self.expect_service(self.first_message)


class WrongHandles(SecurityTest):
    def test_a_handle_with_another_secret_is_told_so_at_once_on_the_node(self):
        self.start()
        status, text, took = self.size_with(self.environment)
        self.assertGreater(status, 1, "an error, and not 'no such key'")
        self.assertIn("access_denied", text)
        self.assertIn("another secret than the dictionary", text)

    def test_and_in_bounded_time_from_elsewhere(self):
        self.environment.update(UCX_NET_DEVICES="lo", DDICT_SAME_HOST="0")
        self.start()
        pid = os.fork()
        if pid == 0:  # a mount namespace with an empty /dev/shm stands for the other node
            status = 1
            try:
                if ctypes.CDLL(None).unshare(0x00020000) == 0:
                    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
                    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/dev/shm"], check=True)
                    code, text, took = self.size_with(self.environment)
                    print(text)
                    status = 0 if code > 1 and took < DEADLINE / 2 else 1
            finally:
                os._exit(status)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)

    def size_with(self, environment):
        """The handle with another secret, whose own checksum is right."""
        wrong = subprocess.run([os.path.join(BUILD, "tests", "liar"), "0", "0", "handle", "0", "0"],
                               input=self.handle + "\n", capture_output=True, text=True, timeout=DEADLINE).stdout.strip()
        self.assertTrue(wrong.startswith("ddict3."), wrong)
        began = time.monotonic()
        done = self.run_program("ddict", "size", environment=dict(environment, DDICT_HANDLE=wrong))
        return done.returncode, done.stdout + done.stderr, time.monotonic() - began


if __name__ == "__main__":
    unittest.main()
