# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Commands as the consumers of a queue: ddict queue take NAME -- COMMAND.

usage: shell_worker_test.py BIN_DIRECTORY
"""

import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

from shell import NO_SUCH_KEY, OTHER_FAILURE, PARTIAL, TIMED_OUT, WRONG_CALL, ddict, main, seeded

NOT_RUNNABLE, NOT_FOUND = 126, 127
TELLS = 'printf "%s|%s|%s|" "${DDICT_ITEM-none}" "$DDICT_ITEM_NUMBER" "$DDICT_ITEM_ATTEMPT"; cat'


def wait_until(holds):
    deadline = time.monotonic() + 60
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError("it does not come")
        time.sleep(0.01)


def stat(name="work"):
    return json.loads(ddict("queue", "stat", name, "--json"))


def worker(*words, **options):
    return subprocess.Popen(["ddict", "queue", "take", "work", *words], stderr=subprocess.PIPE, text=True, **options)


def is_running(process):
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Workers(unittest.TestCase):
    def setUp(self):
        ddict("clear")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def make(self, *values, lease="10"):
        ddict("queue", "make", "work", "--items", "100", "--lease", lease)
        for value in values:
            ddict("queue", "push", "work", value)

    def test_a_command_has_the_value_and_finishes_it(self):
        self.make("case 7")
        ddict("queue", "push", "work", "--as", "int", "-5")
        ddict("queue", "push", "work", "-", stdin=b"x" * 200_000)
        ddict("queue", "push", "work", "--as", "bytes", "-", stdin=b"\0\1\n")
        take = ("queue", "take", "work", "--", "sh", "-c", TELLS)
        self.assertEqual(ddict(*take), b"case 7|0|1|case 7")
        self.assertEqual(ddict(*take), b"-5|1|1|-5")
        self.assertEqual(ddict(*take), b"none|2|1|" + b"x" * 200_000)
        self.assertEqual(ddict(*take, env={**os.environ, "DDICT_ITEM": "another one's"}), b"none|3|1|\0\1\n")
        self.assertEqual((stat()["finished"], stat()["items"]), (4, 0))
        ddict(*take, "--timeout", "0.3", status=TIMED_OUT, env={**os.environ, "DDICT_OPERATION_TIMEOUT": "0.3"})
        ddict("queue", "close", "work")
        ddict(*take, status=NO_SUCH_KEY)
        self.assertIn("is closed, and all is done", ddict.said)

    def test_what_fails_is_put_back(self):
        self.make("case 7")
        ddict("queue", "take", "work", "--", "sh", "-c", "exit 3", status=3)
        self.assertIn("item 0 of queue 'work' (case 7), attempt 1: sh ended with status 3; it was put back", ddict.said)
        ddict("queue", "take", "work", "--", "sh", "-c", "kill -KILL $$", status=128 + signal.SIGKILL)
        self.assertIn("attempt 2", ddict.said)
        ddict("queue", "take", "work", "--", "./nothing-here", status=NOT_FOUND)
        (self.folder / "program").write_text("#!/nothing/here\n")
        ddict("queue", "take", "work", "--", str(self.folder / "program"), status=NOT_RUNNABLE)
        (self.folder / "program").chmod(0o700)
        ddict("queue", "take", "work", "--", str(self.folder / "program"), status=NOT_RUNNABLE)
        self.assertIn("attempt 3", ddict.said)  # only the last of these has taken it
        self.assertEqual(ddict("queue", "take", "work", "--", "sh", "-c", TELLS), b"case 7|0|4|case 7")

    def test_signals_go_to_the_command(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            ddict("clear")
            self.make("case 7")
            told = self.folder / f"told {number}"
            script = f"trap 'touch \"{told}\"; exit 0' TERM INT; touch \"{told}.ready\"; while :; do sleep 0.05; done"
            process = worker("--all", "--", "sh", "-c", script)
            wait_until(pathlib.Path(f"{told}.ready").exists)
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
            self.assertEqual(process.returncode, -number, said)
            self.assertTrue(told.exists())
            self.assertIn("it was put back", said)
            self.assertEqual(ddict("queue", "take", "work", "--", "sh", "-c", TELLS), b"case 7|0|2|case 7")

    def test_other_signals_go_there_too(self):
        self.make("case 7")
        ready = self.folder / "ready"
        script = f"trap 'exit 0' USR1; touch \"{ready}\"; while :; do sleep 0.05; done"
        process = worker("--", "sh", "-c", script)
        wait_until(ready.exists)
        process.send_signal(signal.SIGUSR1)
        _, said = process.communicate(timeout=60)
        self.assertEqual((process.returncode, said, stat()["finished"]), (0, "", 1))

    def test_an_idle_worker_ends_by_a_signal(self):
        self.make()
        process = worker("--all", "--", "true")
        wait_until(lambda: stat()["waiting_consumers"] == 1)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGTERM)

    def test_a_killed_worker_takes_its_command_with_it(self):
        self.make("case 7", lease="2")
        pid = self.folder / "pid"
        process = worker("--", "sh", "-c", f"echo $$ >\"{pid}.new\"; mv \"{pid}.new\" \"{pid}\"; exec sleep 600")
        wait_until(pid.exists)
        command = int(pid.read_text())
        self.assertTrue(is_running(command))
        process.kill()
        process.communicate(timeout=60)
        wait_until(lambda: not is_running(command))
        self.assertEqual(ddict("queue", "take", "work", "--", "sh", "-c", TELLS), b"case 7|0|2|case 7")

    def test_who_was_stopped_for_too_long_is_told(self):
        self.make("case 7", lease="2")
        ready, go = self.folder / "ready", self.folder / "go"
        process = worker("--", "sh", "-c", f"touch \"{ready}\"; while ! test -e \"{go}\"; do sleep 0.05; done")
        wait_until(ready.exists)
        process.send_signal(signal.SIGSTOP)
        self.assertEqual(ddict("queue", "take", "work", "--", "sh", "-c", TELLS), b"case 7|0|2|case 7")
        go.touch()
        process.send_signal(signal.SIGCONT)
        _, said = process.communicate(timeout=60)
        self.assertEqual(process.returncode, OTHER_FAILURE, said)
        self.assertIn("lease lost", said)
        self.assertEqual(stat()["finished"], 1)

    @unittest.skipUnless("DDICT_STOPPED_AT_SIGNALFD" in os.environ, "a sanitizer's runtime has to come first")
    def test_who_was_stopped_before_it_had_the_value_is_told(self):
        stopped = {**os.environ, "LD_PRELOAD": os.environ.get("DDICT_STOPPED_AT_SIGNALFD", "")}
        for more, status in (((), OTHER_FAILURE), (("--all",), 0)):
            ddict("clear")
            self.make("case 7", lease="2")
            process = worker(*more, "--", "sh", "-c", TELLS, env=stopped, stdout=subprocess.PIPE)
            wait_until(lambda: stat()["taken"] == 1)
            ddict("queue", "close", "work")
            self.assertEqual(ddict("queue", "take", "work"), b"case 7")
            process.send_signal(signal.SIGCONT)
            told, said = process.communicate(timeout=60)
            self.assertEqual((process.returncode, told), (status, ""), said)
            self.assertIn("item 0 of queue 'work', attempt 1: queue 'work': lease lost", said)
            self.assertEqual(stat()["finished"], 1)

    def test_an_item_whose_value_is_lost_ends_a_worker(self):
        self.make("case 7")
        value, = [key for key in ddict("keys", "ddict.queue/work/").decode().split() if "/item/" in key]
        ddict("clear", value)
        for more in ((), ("--all",)):
            ddict("queue", "take", "work", *more, "--", "true", status=OTHER_FAILURE)
            self.assertIn("item 0 of queue 'work', attempt", ddict.said)
            self.assertIn("; it was put back", ddict.said)
        self.assertEqual((stat()["ready"], stat()["finished"]), (1, 0))

    def test_one_line_does_all(self):
        """Longer than any call may take, since another one holds the last item."""
        self.make("first", "second")
        go = self.folder / "go"
        holder = worker("--", "sh", "-c", f"while ! test -e \"{go}\"; do sleep 0.05; done; sleep 1; exit 1")
        wait_until(lambda: stat()["taken"] == 1)
        ddict("queue", "close", "work")
        brief = {**os.environ, "DDICT_OPERATION_TIMEOUT": "0.4"}
        ddict("queue", "take", "work", "--all", "--timeout", "0.4", "--", "sh", "-c", "exit 0", status=TIMED_OUT)
        self.assertIn("no item has come", ddict.said)
        ends = worker("--all", "--", "sh", "-c", TELLS, env=brief, stdout=subprocess.PIPE)
        wait_until(lambda: stat()["waiting_consumers"] == 1)
        go.touch()  # from here the holder has more than that time
        told, said = ends.communicate(timeout=60)
        self.assertEqual((ends.returncode, told), (0, "first|0|2|first"), said)
        holder.communicate(timeout=60)
        self.assertEqual((holder.returncode, stat()["finished"]), (1, 2))

    def test_whoever_started_it_may_ignore_what_becomes_of_children(self):
        self.make("case 7", "case 8")
        take = ("queue", "take", "work", "--", "sh", "-c")
        careless = {"preexec_fn": lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN)}
        ddict(*take, "exit 3", status=3, **careless)
        self.assertEqual(ddict(*take, TELLS, **careless), b"case 7|0|2|case 7")
        ignored = ddict(*take, 'exec grep SigIgn /proc/self/status', **careless).split()[1]
        self.assertEqual(int(ignored, 16) >> (signal.SIGCHLD - 1) & 1, 0)  # the command has the default
        self.assertEqual((stat()["finished"], stat()["items"]), (2, 0))

    def test_an_item_that_always_fails_is_given_up(self):
        self.make("good", "poison", "fine")
        ddict("queue", "close", "work")
        script = 'echo "$DDICT_ITEM" >>"$OUT"; test "$DDICT_ITEM" != poison'
        environment = {**os.environ, "OUT": str(self.folder / "out")}
        ddict("queue", "take", "work", "--all", "--attempts", "2", "--", "sh", "-c", script, status=PARTIAL, env=environment)
        self.assertIn("(poison), attempt 1: sh ended with status 1; it was put back", ddict.said)
        self.assertIn("(poison), attempt 2: sh ended with status 1; given up", ddict.said)
        self.assertEqual((self.folder / "out").read_text().split(), ["good", "poison", "poison", "fine"])
        self.assertEqual(stat()["finished"], 3)

    def test_a_sweep_whose_workers_are_killed(self):
        """Whoever is killed, and when: each case is done, and finished once."""
        chance = seeded()
        cases = [f"case-{n}" for n in range(40)]
        self.make(*cases, lease="2")  # longer than a worker may be without a processor
        ddict("queue", "close", "work")
        out = self.folder / "out"
        script = f'sleep 0.05; echo "$DDICT_ITEM" >>"{out}"'

        def start():
            return worker("--all", "--", "sh", "-c", script)

        workers = [start() for _ in range(3)]
        kills = 0
        while kills < 12:
            time.sleep(chance.uniform(0.02, 0.3))
            victim = chance.randrange(len(workers))
            if workers[victim].poll() is not None:
                break
            workers[victim].kill()
            workers[victim].communicate(timeout=60)
            kills += 1
            workers[victim] = start()
        for process in workers:
            _, said = process.communicate(timeout=100)
            self.assertEqual((process.returncode, said), (0, ""))
        self.assertGreater(kills, 3)
        done = out.read_text().split()
        self.assertEqual(set(done), set(cases))
        self.assertLessEqual(len(done), len(cases) + kills)
        self.assertEqual((stat()["finished"], stat()["items"]), (len(cases), 0))

    def test_wrong_calls(self):
        for wrong in (("take", "work", "--"), ("take", "work", "true"), ("take", "--", "work", "true"), ("take", "work", "--all"),
                      ("take", "work", "--attempts", "3"), ("take", "work", "--attempts", "0", "--", "true"),
                      ("make", "work", "--items", "1", "--", "x"), ("close", "work", "--all"), ("push", "work", "a", "b")):
            ddict("queue", *wrong, status=WRONG_CALL)


if __name__ == "__main__":
    main(__file__)
