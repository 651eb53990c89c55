# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Saving before the end: signals to a whole job, the time between TERM and KILL, filtered environments."""

import re
import time

from cluster import DEVCLUSTER, NOT_THERE, wait_until

EXAMPLES = DEVCLUSTER.parents[1] / "examples"
# By their names, as far as scancel knows them: 27 is PROF, 26 VTALRM, 24 XCPU, 50 a real-time signal.
SIGNALS = ["USR1", "USR2", "QUIT", "ALRM", "INT", "TERM", "HUP", "27", "26", "24", "50"]

# A task that saves at each signal: it stores the signal's name and reads it back.
SAVER = r"""
me=$SLURM_PROCID
save() { ddict put $1.$me saved && ddict get $1.$me >$W/$1.$me.new && mv $W/$1.$me.new $W/$1.$me; }
for name in %s; do trap "save $name" $name; done
touch $W/ready.$me
until [[ -e $W/stop ]]; do sleep 0.1; done
"""


def submit_saver(cluster, script, *options):
    """Two tasks on two nodes under ddict-launch."""
    task = cluster.path("saver.sh")
    task.write_text("#!/bin/bash\n" + script)
    ready = [cluster.path(f"ready.{i}") for i in (0, 1)]
    cluster.path("stop")
    job = cluster.submit("ddict-launch --total-mem 32M -- srun bash $W/saver.sh; echo \"status $?\"",
                         "--nodes=2", "--nodelist=n1,n2", "--ntasks-per-node=1", *options)
    return job, wait_until(lambda: all(path.exists() for path in ready), 20)


def signals_to_all_steps(cluster, report):
    job, ready = submit_saver(cluster, SAVER % " ".join(SIGNALS))
    if not report.check("two tasks wait for signals", ready, job.output()):
        return job.cancel()
    for name in SIGNALS:
        saved = [cluster.path(f"{name}.{i}") for i in (0, 1)]
        job.cancel(f"--signal={name}")
        good = wait_until(lambda: all(path.exists() for path in saved), 20)
        if not report.check(f"scancel --signal={name}: both tasks save", good, job.output()):
            break
    (cluster.work / "stop").touch()
    ended = job.wait(20)
    report.check("the job ends as if nothing had been", ended[:2] == ("COMPLETED", 0) and "status 0\n" in ended[2] and
                 "ddict-launch:" not in ended[2], ended)


def example_saving(cluster, report):
    """examples/saving.sbatch; the signal comes from scancel, so that nobody has to wait for the time limit."""
    job = cluster.submit(EXAMPLES / "saving.sbatch")

    def both_compute():
        return all(cluster.run("pgrep", "-x", "sleep", node=node).returncode == 0 for node in ("n1", "n2"))

    if not report.check("saving.sbatch computes", wait_until(both_compute, 30), job.output()):
        return job.cancel()
    job.cancel("--signal=USR1")
    state, status, output = job.wait(30)
    report.check("saving.sbatch ends by itself", (state, status) == ("COMPLETED", 0) and
                 sorted(line.split(" after")[0] for line in output.splitlines()) == ["task 0 ends", "task 1 ends"], output)
    saved = cluster.work / f"ddict-saving-{job.id}.txt"
    lines = saved.read_text().splitlines() if saved.exists() else []
    report.check("it has saved what both have put", [line.split()[0] for line in sorted(lines)] == ["steps/0", "steps/1"], lines)


AT_THE_END = r"""
me=$SLURM_PROCID
ddict put state.$me data
last_words() {
  for ((i = 0; i < 6; i++)); do ddict get state.$((1 - me)) >/dev/null 2>>$W/said.$me || echo "failed after $i s" >>$W/said.$me; sleep 1; done
  echo "task $me has saved" >$W/saved.$me
  [[ $me = 0 ]] || exec sleep 1000
  # With its last task a node gives up its managers.
  until [[ -e $W/saved.1 ]]; do sleep 0.1; done
  exit 0
}
trap last_words TERM
touch $W/ready.$me
for ((i = 0; i < 600; i++)); do sleep 0.1; done
"""


def time_between_term_and_kill(cluster, report):
    """The batch script is an ordinary one, which TERM ends at once, and ddict-launch with it. One task waits to be killed.
    Nobody reads what tasks print then: they write it to files."""
    saved, said = ([cluster.path(f"{name}.{i}") for i in (0, 1)] for name in ("saved", "said"))
    job, ready = submit_saver(cluster, AT_THE_END)
    if not report.check("two tasks run", ready, job.output()):
        return job.cancel()
    job.cancel()
    good = wait_until(lambda: all(path.exists() for path in saved), 30)
    failures = "".join(path.read_text() for path in said if path.exists())
    report.check("scancel: for 6 s both tasks can read", good and not failures, failures + job.output())
    state, _, output = job.wait(40)
    report.check("the job is over", state == "CANCELLED", (state, output))
    gone = wait_until(lambda: not cluster.remains(), 10)
    report.check("although KILL came, nothing is left", gone, "\n".join(cluster.remains()) if not gone else "")


def left_running(cluster, report):
    """A script that ends without ddict-launch stop does not keep the nodes until KillWait is over."""
    job = cluster.submit('eval "$(ddict-launch start --total-mem 32M --export)"; srun ddict put a b; echo "put $?"',
                         "--nodes=2", "--ntasks-per-node=1")
    begin = time.monotonic()
    state, status, output = job.wait(40)
    report.check("the job ends", (state, status, output) == ("COMPLETED", 0, "put 0\n"), (state, status, output))
    gone = wait_until(lambda: not cluster.remains(), 14)
    report.check("what it had started has ended before KILL", gone, f"after {time.monotonic() - begin:.1f} s")


def stopped_from_elsewhere(cluster, report):
    """ddict-launch start and stop on different nodes, and signals to all in between."""
    job = cluster.submit("""
        eval "$(ddict-launch start --total-mem 32M --export)"
        scancel --signal=TERM $SLURM_JOB_ID; scancel --signal=USR1 $SLURM_JOB_ID
        srun -N1 -n1 --relative=1 ddict put key value; echo "put $?"
        srun -N1 -n1 --relative=1 --overlap ddict-launch stop; echo "stop $?"
        srun -N1 -n1 --relative=1 ddict get key 2>&1; echo "get $?"
        """, "--nodes=2", "--ntasks-per-node=1")
    state, status, output = job.wait(60)
    # In between srun and the tool complain, in either order.
    good = state == "COMPLETED" and re.search(rf"^put 0\nstop 0\n(.*\n)*.*{NOT_THERE}(.*\n)*get 4\n$", output)
    report.check("it serves through the signals and ends by stop", good, (state, status, output))


def environments(cluster, report):
    """Whatever srun is told to export, its tasks find the dictionary, on nodes with managers and without."""
    script = """
        echo "batch: ${SLURM_EXPORT_ENV-unset}"
        ddict=$(type -P ddict)
        ddict-launch --quiet --nodes 1 --total-mem 32M -- bash -c '
            srun '$ddict' put key value; echo "put $?"
            srun --export=NONE '$ddict' get key >/dev/null; echo "none $?"
            srun --export=HOME,FOO=bar '$ddict' get key >/dev/null; echo "list $?"'
        export PATH=$(dirname $ddict):$PATH
        eval "$(ddict-launch start --nodes 1 --total-mem 32M --export)"
        srun --export=NONE $ddict put a b; echo "started $?"
        unset SLURM_DDICT_HANDLE; eval "$(ddict-launch env)"
        srun --export=NONE $ddict get a >/dev/null; echo "env $?"
        ddict-launch stop; echo "stop $?"
        """
    wanted = "put 0\nnone 0\nlist 0\nstarted 0\nenv 0\nstop 0\n"
    path = f"PATH={cluster.environment['PATH']},DDICT_STATE_DIR={cluster.work}/state"
    for export in ("NONE", path):
        text = script if export != "NONE" else f"export {path.replace(',', ' ')}\n" + script
        job = cluster.submit(text, "--nodes=2", "--ntasks-per-node=1", f"--export={export}")
        state, status, output = job.wait(60)
        report.check(f"sbatch --export={export[:4]}: every step finds the dictionary",
                     (state, status) == ("COMPLETED", 0) and output.endswith("\n" + wanted), (state, status, output))


def persisted_steps(cluster, report):
    """Tasks of two nodes persist their steps, and a job with one manager goes back to one of them, and looks at others."""
    job = cluster.submit("""
        cd $W && ddict-launch --name steps --working-set 2 --total-mem 64M --persist-path 'my steps' -- srun -N2 -n2 --chdir=/ bash -c '
            ddict put of-$SLURM_PROCID 0 && ddict incr arrived >/dev/null && ddict wait arrived 2 >/dev/null
            [[ $SLURM_PROCID = 1 ]] || exit 0
            ddict persist && ddict put of-1 1 && ddict persist --checkpoint 0'
        echo "persisted $?"
        ddict-launch --name steps --total-mem 32M --nodes 1 --persist-path "$W/my steps" --restore-from 0 -- ddict items of- --sort
        echo "restored $?"
        ddict-launch --name steps --total-mem 32M --persist-path "$W/my steps" --restore-from 0 --read-only -- srun -N2 -n2 ddict put of-0 2
        echo "read-only $?"
        """, "--nodes=2", "--nodelist=n1,n2", "--ntasks-per-node=1")
    folder = cluster.path("my steps")
    ended = job.wait()
    output = ended[2]
    report.check("a task of another node persists to the folder of the launcher", "persisted 0\n" in output and
                 f"persisted checkpoint 0 to {folder}/steps/000002: " in output, ended)
    report.check("a dictionary of one node begins with it", "of-0\t0\nof-1\t1\n" in output and "restored 0\n" in output, output)
    report.check("of two nodes, nobody writes to one that is read-only", output.count("read-only: restore") == 2 and
                 "read-only 6\n" in output, output)


GROUPS = [persisted_steps, signals_to_all_steps, example_saving, time_between_term_and_kill, left_running, stopped_from_elsewhere, environments]
