# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs of Slurm's less usual kinds: arrays on one node, heterogeneous ones, steps that share nothing."""

from cluster import wait_until


def job_array(cluster, report):
    """Tasks of an array are jobs of their own, also on one node: each has its dictionary, of the same name."""
    script = "\n".join([
        "exec >$W/array.$SLURM_ARRAY_TASK_ID.out 2>&1",
        "ddict-launch --total-mem 32M -- bash -c '",
        "  ddict put who $SLURM_ARRAY_TASK_ID; touch $W/array.$SLURM_ARRAY_TASK_ID",
        "  until [ -e $W/array.1 ] && [ -e $W/array.2 ]; do sleep 0.1; done",
        "  echo $(srun -n1 ddict get who) of $(ddict size) on $SLURMD_NODENAME; ddict-launch status | grep -c alive",
        "  touch $W/array.$SLURM_ARRAY_TASK_ID.seen; until [ -e $W/array.1.seen ] && [ -e $W/array.2.seen ]; do sleep 0.1; done'",
        "echo ended $?",
    ])
    cluster.submit(script, "--array=1-2", "--nodes=1", "--ntasks=1", "--mem=400", "--nodelist=n1")
    outputs = [cluster.work / f"array.{task}.out" for task in (1, 2)]
    wait_until(lambda: all(path.exists() and "ended" in path.read_text() for path in outputs), 60)
    seen = [path.read_text() if path.exists() else None for path in outputs]
    report.check("two tasks of an array on one node have a dictionary each",
                 seen == [f"{task} of 1 on n1\n2\nended 0\n" for task in (1, 2)], seen)


def heterogeneous_job(cluster, report):
    """The managers are on the nodes of all components, and so are the programs."""
    script = "\n".join([
        "ddict-launch --total-mem 64M -- bash -c '",
        "  srun --het-group=0,1 --mpi=none sh -c \"ddict put \\$SLURMD_NODENAME x; ddict wait n1 >/dev/null && ddict wait n2 >/dev/null &&",
        "    echo \\$SLURMD_NODENAME sees \\$(ddict size)\" | sort",
        "  srun --het-group=1 --mpi=none ddict health | cut -d: -f1'",
        "echo ended $?",
    ])
    ended = cluster.submit(script, "-N1", "-n1", "--mem=400", "--nodelist=n1", ":", "-N1", "-n1", "--mem=400", "--nodelist=n2").wait()
    report.check("a heterogeneous job: managers and programs on the nodes of all components",
                 ended[2] == "n1 sees 2\nn2 sees 2\nmanager 0 on n1\nmanager 1 on n2\nended 0\n", ended)


def steps_that_share_nothing(cluster, report):
    """The managers take no processor and no memory from steps that want theirs for themselves."""
    for how in ("--exact", "--exclusive"):
        step = f"srun -N1 -n1 -c1 --mem=50 {how} sh -c"
        script = "\n".join([
            "ddict-launch --total-mem 32M -- bash -c '",
            f"  {step} \"ddict put a 1; ddict wait b >/dev/null && echo first\" & {step} \"ddict put b 1; ddict wait a >/dev/null && echo second\"; wait' | sort",
        ])
        ended = cluster.submit(script, "-N1", "-n2", "--cpus-per-task=1", "--mem=600").wait(60)
        report.check(f"two steps with {how} run at once beside the managers", ended == ("COMPLETED", 0, "first\nsecond\n"), ended)


GROUPS = [job_array, heterogeneous_job, steps_that_share_nothing]
