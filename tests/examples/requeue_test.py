# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""examples/requeue.sbatch with programs in place of ddict-launch and scontrol: whenever a signal comes, it reaches the
launcher, and the launcher's status is the job's.

usage: requeue_test.py EXAMPLES
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

EXAMPLES = pathlib.Path(sys.argv.pop(1))
USR2_STATUS, TERM_STATUS = 3, 4
LAUNCHER = f"""#!/bin/sh
trap 'exit {USR2_STATUS}' USR2
trap 'exit {TERM_STATUS}' TERM
touch "$WORK/up"
for i in $(seq ${{STEPS:-200}}); do sleep 0.02; done
"""
SCONTROL = """#!/bin/bash
echo "$@" >>"$WORK/requeued"
"""
# Once a signal is passed on, its receiver has ended before the next command.
SLOW_KILL = """
kill() {
    builtin kill "$@"
    local status=$?
    [[ $1 = -0 ]] || sleep 0.2
    return $status
}
"""


class Requeue(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name)
        (self.work / "bin").mkdir()
        for name, text in (("bin/ddict-launch", LAUNCHER), ("bin/scontrol", SCONTROL)):
            (self.work / name).write_text(text, encoding="ascii")
            (self.work / name).chmod(0o755)
        self.lines = (EXAMPLES / "requeue.sbatch").read_text(encoding="ascii").splitlines(keepends=True)

    def start(self, lines, **variables):
        script = self.work / "script"
        script.write_text("".join(lines), encoding="ascii")
        environment = {"PATH": os.environ["PATH"], "WORK": str(self.work), "DDICT_BUILD_DIR": str(self.work), "SLURM_JOB_ID": "77",
                       "SLURM_SUBMIT_DIR": str(self.work), **variables}
        return subprocess.Popen(["bash", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def end_of(self, script):
        output, _ = script.communicate(timeout=60)
        requeued = self.work / "requeued"
        asked = requeued.read_text(encoding="ascii") if requeued.exists() else ""
        requeued.unlink(missing_ok=True)
        (self.work / "up").unlink(missing_ok=True)
        return script.returncode, asked, output

    def test_without_a_signal(self):
        self.assertEqual(self.end_of(self.start(self.lines, STEPS="1"))[:2], (0, ""))

    def test_the_launcher_has_ended_before_the_script_looks(self):
        (self.work / "slow_kill").write_text(SLOW_KILL, encoding="ascii")
        for number, status, asked in ((signal.SIGUSR2, USR2_STATUS, "requeue 77\n"), (signal.SIGTERM, TERM_STATUS, "")):
            script = self.start(self.lines, BASH_ENV=str(self.work / "slow_kill"))
            deadline = time.monotonic() + 20
            while not (self.work / "up").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.1)  # it waits by now; if not, that is a moment of the other test
            script.send_signal(number)
            self.assertEqual(self.end_of(script)[:2], (status, asked))

    def test_a_signal_between_any_two_commands(self):
        """From when the script takes signals until it waits: the launcher ends by it, or has not begun to take signals itself."""
        first = next(i for i, line in enumerate(self.lines) if line.startswith("trap ") and " TERM" in line) + 1
        last = next(i for i, line in enumerate(self.lines) if line.lstrip().startswith("wait "))
        until = next(i for i, line in enumerate(self.lines) if line.startswith("until"))
        # All that is always executed: not what is in the loop over the signals that have come.
        places = [i for i in range(first, last + 1) if i > until or not self.lines[i].startswith((" ", "done"))]
        self.assertGreaterEqual(len(places), 3)
        for place in places:
            for name, statuses, asked in (("USR2", (USR2_STATUS, 128 + signal.SIGUSR2), "requeue 77\n"),
                                          ("TERM", (TERM_STATUS, 128 + signal.SIGTERM), "")):
                with self.subTest(place=self.lines[place], signal=name):
                    lines = self.lines[:place] + [f"((sent++)) || builtin kill -{name} $$\n"] + self.lines[place:]
                    status, requeued, output = self.end_of(self.start(lines))
                    self.assertIn(status, statuses, output)
                    self.assertEqual(requeued, asked, output)


if __name__ == "__main__":
    unittest.main()
