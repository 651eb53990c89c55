#!/usr/bin/env python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The plugin for Slurm: srun --ddict and #SBATCH --ddict. Used like jobs_test.py."""


import os
import pwd
import subprocess

import jobs_test
from cluster import wait_until

USE = "ddict put $SLURM_PROCID x && ddict wait 0 >/dev/null && ddict wait 1 >/dev/null && echo sum $(ddict size)"
NOT_STARTED = "the dictionary could not be started, so nothing is run: no_space: "
PLUGSTACK = None


def plugstack(work, build, how="optional"):
    """The site's file, which names the plugin."""
    global PLUGSTACK
    PLUGSTACK = work / "plugstack.conf"
    PLUGSTACK.write_text(f"{how} {build}/lib/ddict/spank_ddict.so\n")
    return "--conf", f"PlugStackConfig={PLUGSTACK}"


def help_names_it(cluster, report):
    for program in ("srun", "sbatch"):
        said = cluster.run(program, "--help").stdout
        report.check(f"{program} --help", "--ddict=[SIZE]" in said and "start a dictionary" in said, said[-600:])


def srun(cluster, report):
    done = cluster.run("srun", "-N2", "--ddict=64M", "sh", "-c", USE)
    report.check("srun in an allocation of its own: both tasks see one dictionary",
                 done.returncode == 0 and done.stdout.count("sum 2\n") == 2, done.stdout)
    done = cluster.run("srun", "-N2", "--ddict=64M", "--export=NONE", str(cluster.build / "bin/ddict"), "size")
    report.check("srun --export=NONE", done.returncode == 0 and done.stdout == "0\n0\n", done.stdout)
    done = cluster.run("srun", "-N1", "--ddict", "ddict", "stats")
    report.check("without a size it is that of ddict-launch", done.returncode == 0 and "  256M  " in done.stdout, done.stdout)
    done = cluster.run("srun", "-N1", "--ddict=64M", "sh", "-c", "exit 7")
    report.check("the exit status is the step's", done.returncode == 7, done.stdout)
    done = cluster.run("srun", "-N1", "sh", "-c", "echo handle ${DDICT_HANDLE-none} ${SLURM_DDICT_HANDLE-none}")
    report.check("who does not ask for one has none", done.stdout == "handle none none\n", done.stdout)
    done = cluster.run("srun", "-N2", "--ddict=64M", "sh", "-c",
                       "[ $SLURM_PROCID = 1 ] || SLURM_OVERLAP=1 srun -N2 -n2 --mem=0 ddict size")
    report.check("srun within such a step shares its dictionary", done.stdout.count("0\n0\n") == 1, done.stdout)
    done = cluster.run("srun", "-N1", "--ddict=64M", "sh", "-c", "env | grep -e SPANK_OPTION -e _DDICT_SIZE; echo none more")
    report.check("a task does not hand the option on", done.stdout == "none more\n", done.stdout)


def srun_that_fails(cluster, report):
    ran = cluster.path("ran")
    for how in ("optional", "required"):
        plugstack(cluster.work, cluster.build, how)
        done = cluster.run("srun", "-N2", "--ddict=90G", "touch", str(ran))
        report.check(f"no memory, plugin {how}: srun fails and says why",
                     done.returncode != 0 and NOT_STARTED in done.stdout and not ran.exists(), done.stdout)
        gone = wait_until(lambda: not cluster.run("squeue", "--noheader").stdout.strip(), 20)
        report.check("no job stays behind", gone, cluster.run("squeue").stdout)
    plugstack(cluster.work, cluster.build)
    for program, more in (("srun", ["true"]), ("sbatch", ["--wrap=true"])):
        done = cluster.run(program, "--ddict=2Q", *more)
        report.check(f"{program} refuses what is no size", done.returncode != 0 and "invalid size '2Q'" in done.stdout, done.stdout)
    done = cluster.run("salloc", "--ddict", "true")
    report.check("salloc says what to do instead", done.returncode != 0 and "ddict-launch start" in done.stdout, done.stdout)
    done = cluster.run("env", "DDICT_LAUNCH=/nowhere/ddict-launch", "srun", "--ddict", "true")
    report.check("no ddict-launch there", done.returncode != 0 and "cannot run /nowhere/ddict-launch" in done.stdout, done.stdout)


def srun_that_is_killed(cluster, report):
    for name in ("INT", "KILL"):
        ready = cluster.path("ready")
        # srun ends by the second SIGINT within a second; two at once are one to it.
        job = cluster.submit(f"srun --ddict=64M sh -c 'touch {ready}; sleep 60' & p=$!\n"
                             f"until [ -e {ready} ]; do sleep 0.1; done\n"
                             f"while kill -{name} $p; do sleep 0.2; done; wait $p; echo killed", "-N2", "-n2")
        ended = job.wait(40)
        report.check(f"srun ends by SIG{name}: the job goes on and ends", "killed\n" in ended[2], ended)
        left = wait_until(lambda: not cluster.remains(), 30)
        report.check("and nothing stays", left, cluster.remains())


def job(cluster, report):
    script = "\n".join([
        "#SBATCH --ddict=64M --nodes=2 --ntasks-per-node=1",
        "ddict put Hello Dragon",
        "srun sh -c 'echo task $(ddict get Hello)'",
        "echo none $(srun -n1 -N1 --export=NONE $(type -P ddict) get Hello)",
        "ddict-launch status",
        "exit 5",
    ])
    ended = cluster.submit(script).wait()
    report.check("#SBATCH --ddict: the script and its steps share one dictionary",
                 ended[1] == 5 and ended[2].count("task Dragon\n") == 2 and "none Dragon\n" in ended[2] and
                 "alive, 2 managers on 2 nodes" in ended[2] and "64M" in ended[2], ended)
    records = list((cluster.work / "state").iterdir())
    report.check("the end of the script ends it in good order: no record stays", not records, records)
    for export in ("PATH,DDICT_STATE_DIR", "ALL"):  # NONE is like the first, but for where ddict-launch keeps its records
        ended = cluster.submit("ddict stats; env | grep _DDICT_SIZE; env | grep SPANK_OPTION", "--ddict=17M",
                               f"--export={export}").wait()
        report.check(f"sbatch --export={export}: the dictionary is handed on, the option is not", " 17.0M " in ended[2] and
                     "SPANK" not in ended[2], ended)
    inner = cluster.path("inner.out")
    script = (f"sbatch --output={inner} --export=PATH,DDICT_STATE_DIR --wrap "
              "'echo ${DDICT_HANDLE-none}; srun --ddict=17M ddict stats; echo end'")
    cluster.submit(script, "--ddict=64M").wait()
    said = wait_until(lambda: inner.exists() and "end" in (text := inner.read_text()) and text, 30)
    report.check("a job that such a job submits has none, and its srun one of its own",
                 said and said.startswith("none\n") and " 17.0M " in said, said)
    ran = cluster.path("ran")
    ended = cluster.submit(f"touch {ran}", "--ddict=90G", "--nodes=2").wait()
    report.check("no memory: the script is not run", ended[0] == "FAILED" and not ran.exists() and
                 "its pool needs" in ended[2] and "so the script is not run" in ended[2], ended)
    ended = cluster.submit("echo handle ${DDICT_HANDLE-none}").wait()
    report.check("who does not ask for one has none", ended[2] == "handle none\n", ended)
    left = wait_until(lambda: not cluster.remains(), 30)
    report.check("nothing stays when the jobs are over", left, cluster.remains())


def job_of_another_user(cluster, report):
    """slurmstepd is root's then: all of ddict, and its end, are the user's."""
    if os.geteuid() != 0:
        return report.note("not run: only root submits jobs for others")
    user = pwd.getpwnam("nobody")
    prefix, state = cluster.path("prefix"), cluster.path("state of nobody")
    subprocess.run(["cmake", "--install", cluster.build, "--prefix", prefix, "--component", "programs"], check=True,
                   stdout=subprocess.DEVNULL)
    state.mkdir(mode=0o700)
    os.chown(state, user.pw_uid, user.pw_gid)
    cluster.work.chmod(0o711)
    output = state / "out"
    script = (f"export PATH={prefix}/bin:$PATH; id -un; ddict stats; ls {str(state)!r}; "
              "ps -o user= -C ddict-launch | sort -u | sed 's/^/launched by /'; echo end")
    done = cluster.run("env", f"DDICT_STATE_DIR={state}", f"DDICT_LAUNCH={prefix}/bin/ddict-launch", "sbatch", "--uid=nobody",
                       f"--gid={user.pw_gid}", "--chdir=/", f"--output={output}", "--ddict=64M", "--wrap", script)
    said = wait_until(lambda: output.exists() and output.read_text().endswith("end\n") and output.read_text(), 30)
    report.check("the job of another user", said and said.startswith("nobody\n") and "  64.0M  " in said and
                 "-default.json" in said and said.endswith("\nlaunched by nobody\nend\n"), said or done.stdout)
    records = wait_until(lambda: list(state.iterdir()) == [output], 20)
    report.check("its record is gone when it has ended", records, list(state.iterdir()))


if __name__ == "__main__":
    jobs_test.main([help_names_it, srun, srun_that_fails, srun_that_is_killed, job, job_of_another_user], plugstack)
