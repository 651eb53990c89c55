# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The record that `ddict-launch start` leaves, and folders of saves, where others may write: docs/security.md, "The
record" and "Save folders"."""

import json
import os
import socket
import subprocess
import unittest

from users import OTHER, STRANGERS, SecurityTest, as_user, end_of, program, start_sleeper


def start_time_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[19])


class Records(SecurityTest):
    def setUp(self):
        super().setUp()
        self.shared = os.path.join(self.folder, "shared")
        os.mkdir(self.shared)
        os.chmod(self.shared, 0o1777)
        self.ran = os.path.join(self.folder, "ran")
        self.path = os.path.join(self.shared, f"local@{socket.gethostname()}-default.json")
        self.environment["DDICT_STATE_DIR"] = self.shared
        self.alive = start_sleeper((0, 0))
        self.addCleanup(end_of, self.alive)

    def write(self, user, mode=0o644, path=None, **changes):
        """A record of a dictionary that lives, with these changes, written by this user."""
        def namespace(name):
            return os.readlink(f"/proc/self/ns/{name}")

        with open("/proc/sys/kernel/random/boot_id") as boot:
            launcher = {"host": socket.gethostname(), "boot_id": boot.read().strip(), "pid_namespace": namespace("pid"),
                          "pid": self.alive, "start_time": start_time_of(self.alive)}
        launcher.update(changes.pop("launcher", {}))
        record = {"format": 1, "name": "default", "handle": self.good_handle, "dictionary": "0123456789abcdef", "job": "",
                  "job_restart": "", "step": "", "launcher": launcher, "nodes": ["n1"], "managers": 1,
                  "total_bytes": 1 << 20, "created": 1, "lost": []}
        record.update(changes)

        def written():
            with open(path or self.path, "w") as out:
                json.dump(record, out)
            os.chmod(out.name, mode)

        as_user(user, written)

    def evaluate(self):
        """What `eval "$(ddict-launch env)"` says in a shell."""
        done = subprocess.run(["/bin/sh", "-c", f'eval "$({program("ddict-launch")} env)" && echo "got $DDICT_HANDLE"'],
                              capture_output=True, text=True, env=self.environment, timeout=60)
        self.assertFalse(os.path.exists(self.ran), "a command of the record was executed")
        return done

    def expect_not_believed(self, why, status=1):
        done = self.evaluate()
        self.assertNotIn("got", done.stdout)
        self.assertIn(why, done.stderr)
        for verb in ("stop", "start"):
            done = self.run_program("ddict-launch", verb)
            self.assertEqual(done.returncode, 1, verb)
            self.assertIn(why, done.stderr)
        listed = self.run_program("ddict-launch", "status")
        self.assertEqual(listed.returncode, status)
        self.assertIn(why, listed.stdout)
        self.assertTrue(os.path.lexists(self.path))

    @property
    def good_handle(self):
        if not hasattr(Records, "handle_once"):
            state = dict(self.environment, DDICT_STATE_DIR=os.path.join(self.folder, "once"))
            done = self.run_program("ddict-launch", "start", "--total-mem", "8M", environment=state)
            self.assertEqual(done.returncode, 0, done.stderr)
            Records.handle_once = done.stdout.strip()
            self.run_program("ddict-launch", "stop", environment=state)
        return Records.handle_once

    def test_the_record_of_another_user_is_not_believed(self):
        for user in STRANGERS:
            sleeper = start_sleeper((0, 0))
            self.write(user, handle=f"$(touch {self.ran})", name="default",
                       launcher={"pid": sleeper, "start_time": start_time_of(sleeper)})
            self.expect_not_believed(f"belongs to user {user[0]}")
            self.assertTrue(end_of(sleeper), "stop signalled whom the record named")
            os.unlink(self.path)

    def test_nor_one_that_others_may_write_to(self):
        self.write((0, 0), mode=0o664)
        # Its own dictionary may run: that is not known.
        self.expect_not_believed("others may write to this file (mode 0664)", status=3)
        os.unlink(self.path)

    def test_nor_a_link_nor_a_pipe(self):
        own = os.path.join(self.folder, "own")
        self.write((0, 0), path=own)
        as_user(OTHER, os.symlink, own, self.path)
        self.expect_not_believed("this is a link")
        os.unlink(self.path)
        as_user(OTHER, os.mkfifo, self.path, 0o666)
        self.expect_not_believed("no file of ddict-launch")
        os.unlink(self.path)

    def test_words_of_a_shell_in_an_own_record_are_not_executed(self):
        for field in ("handle", "name", "dictionary"):
            for text in (f"$(touch {self.ran})", f"x; touch {self.ran}", f"x\ntouch {self.ran}", f"`touch {self.ran}`",
                         self.good_handle + " ", ""):
                self.write((0, 0), **{field: text})
                done = self.evaluate()
                self.assertNotIn("got", done.stdout, (field, text))
                self.assertIn("no rendezvous file", done.stderr, (field, text))
        for changes in ({"job": "1;x"}, {"step": "--all"}, {"nodes": ["a b"]}, {"managers": 0}, {"created": -1},
                        {"launcher": {"pid": 0}}, {"launcher": {"pid": -1}}, {"launcher": {"pid": 1}},
                        {"launcher": {"pid": 1 << 32}}, {"launcher": {"pid": 2.5}}, {"managers": 1 << 40}):
            self.write((0, 0), **changes)
            self.assertIn("no rendezvous file", self.evaluate().stderr, changes)
        os.unlink(self.path)

    def test_stop_signals_no_process_of_another_user(self):
        sleeper = start_sleeper(OTHER)
        self.waits_until(lambda: os.stat(f"/proc/{sleeper}").st_uid == OTHER[0], "it is somebody else")
        self.write((0, 0), launcher={"pid": sleeper, "start_time": start_time_of(sleeper)})
        self.assertIn("had ended already", self.run_program("ddict-launch", "stop").stderr)
        self.assertTrue(end_of(sleeper), "stop signalled a process of another user")

    def test_nor_one_that_started_at_another_time(self):
        sleeper = start_sleeper((0, 0))
        self.write((0, 0), launcher={"pid": sleeper, "start_time": start_time_of(sleeper) - 1})
        self.assertIn("had ended already", self.run_program("ddict-launch", "stop").stderr)
        self.assertTrue(end_of(sleeper))

    def test_an_own_record_in_a_shared_folder_is_believed(self):
        self.write((0, 0), mode=0o600)
        done = self.evaluate()
        self.assertEqual(done.stdout, f"got {self.good_handle}\n", done.stderr)
        os.unlink(self.path)

    def test_a_record_that_was_moved_to_another_name_is_not_taken_for_it(self):
        self.write((0, 0), mode=0o600, name="another")
        done = self.evaluate()
        self.assertNotIn("got", done.stdout)
        self.assertIn("a dictionary named 'another'", done.stderr)
        os.unlink(self.path)

    def test_start_refuses_a_folder_where_anybody_may_replace_files(self):
        os.chmod(self.shared, 0o777)
        done = self.run_program("ddict-launch", "start", "--total-mem", "8M")
        self.assertEqual(done.returncode, 1)
        self.assertIn("any user may replace the files", done.stderr)
        self.assertEqual(os.listdir(self.shared), [])


class SaveFolders(SecurityTest):
    """docs/security.md, "Save folders"."""

    def test_nothing_is_written_through_what_a_stranger_has_put_there(self):
        for stranger in STRANGERS:
            saves = os.path.join(self.folder, f"saves-{stranger[0]}")
            precious = os.path.join(self.folder, f"precious-{stranger[0]}")
            with open(precious, "w") as out:
                out.write("precious")
            os.chmod(precious, 0o600)
            os.mkdir(saves)
            os.chmod(saves, 0o777)

            def lay_a_link():
                os.mkdir(os.path.join(saves, "default"))
                os.chmod(os.path.join(saves, "default"), 0o777)
                os.symlink(precious, os.path.join(saves, "default", ".ddict-launch"))

            as_user(stranger, lay_a_link)
            done = self.run_program("ddict-launch", "--total-mem", "8M", "--save", saves, "--", "true")
            self.assertEqual(done.returncode, 1)
            self.assertIn(".ddict-launch: it is a link", done.stderr)
            with open(precious) as kept:
                self.assertEqual(kept.read(), "precious")


if __name__ == "__main__":
    unittest.main()
