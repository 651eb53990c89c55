# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The node launchers of a job meet without PMIx: over srun's standard streams."""

import re

from cluster import wait_until

# An srun that has no plugin of PMIx, and starts nothing with it.
NO_PMIX = """\
    mkdir -p $W/no_pmix
    cat >$W/no_pmix/srun <<'END'
#!/bin/bash
for word; do case $word in
    --mpi=list) echo "MPI plugin types are..." >&2; printf '%s\\n' none pmi2 >&2; exit 0 ;;
    --mpi=pmix*) echo "srun: error: Couldn't find the specified plugin name for mpi/pmix" >&2; exit 1 ;;
esac; done
echo "srun $*" >>$W/sruns
exec "$(PATH=${PATH#*:} type -P srun)" "$@"
END
    chmod +x $W/no_pmix/srun; PATH=$W/no_pmix:$PATH
"""


def without_pmix(cluster, report):
    """The whole life of a dictionary where srun has no PMIx: found out by itself, said by --check."""
    cluster.path("sruns")
    job = cluster.submit(NO_PMIX + """
        ddict-launch --check --total-mem 64M; echo "check $?"
        ddict-launch --managers-per-node 2 --total-mem 64M -- bash -c '
            srun -N4 -n4 bash -c "ddict put key-\\$SLURM_PROCID \\$SLURM_PROCID"
            srun -N1 -n1 -w n4 ddict size; ddict health >/dev/null && echo healthy'
        echo "ended $?"
        eval "$(ddict-launch start --export --total-mem 64M)"; ddict put a b
        srun -N1 -n1 -w n3 ddict get a; ddict-launch stop; echo "stopped $?"
        ddict-launch --bootstrap pmix --timeout 20 -- true; echo "forced $?"
        """, "--nodes=4")
    state, _, output = job.wait()
    report.check("the job ends", state == "COMPLETED", output)
    report.check("--check says over what they meet", re.search(
        r"ok +bootstrap: over srun's standard streams: srun --mpi=list does not name\s+the\s+PMIx plugin", output)
        and "check 0\n" in output, output)
    report.check("--check has tried the network between the nodes", "reached 3 other nodes" in output, output)
    report.check("clients of four nodes use it, and it ends", re.search(r"\n4\nhealthy\nended 0\n", output), output)
    report.check("in the background too", re.search(r"\nbstopped 0\n", output), output)
    report.check("PMIx, if it is forced, fails in words", re.search(
        r"cannot start the dictionary: .*(mpi/pmix|plugin).*\nforced 1\n", output), output)
    report.check("no step was started with PMIx", "--mpi=pmix" not in (cluster.work / "sruns").read_text())


def forced_streams(cluster, report):
    """Where there is PMIx: by the option, and by the variable."""
    state, _, output = cluster.submit("""
        ddict-launch --bootstrap streams --total-mem 64M -- bash -c 'ddict put a b; srun -N1 -n1 -w n3 ddict get a'
        export DDICT_BOOTSTRAP=streams
        ddict-launch --check | grep bootstrap
        ddict-launch --total-mem 64M -- srun -N4 -n4 ddict health >/dev/null; echo "ended $?"
        """, "--nodes=4").wait()
    report.check("streams that are asked for", state == "COMPLETED" and output ==
                 "bok       bootstrap: over srun's standard streams, as --bootstrap says\nended 0\n", (state, output))


def streams_and_a_lost_node(cluster, report):
    ready, stop = cluster.path("ready"), cluster.path("stop")
    job = cluster.submit("""
        DDICT_QUIET= ddict-launch --bootstrap streams --total-mem 64M --fail-on-loss --log $W/log -- bash -c '
            ddict put key value; touch $W/ready; until [[ -e $W/stop ]]; do sleep 0.1; done'
        echo "status $?"
        """, "--nodes=3", "--nodelist=n[1-3]", "--no-kill", "--no-requeue")
    report.check("the dictionary is in use", wait_until(ready.exists, 20), job.output())
    cluster.power("kill", "n3")
    heard = wait_until(lambda: "nothing heard from n3 for 15 s" in job.output(), 40)
    report.check("the user reads which node is silent", heard, job.output())
    stop.touch()
    state, _, output = job.wait(60)
    lost = "1 manager of 3 not heard any more: keys there may be lost"
    report.check("its keys count as lost", "status 3\n" in output and lost in output, (state, output))
    log = (cluster.work / "log").read_text()
    report.check("in the log, too", re.search(r" error \S+ end: " + lost, log), log)
    cluster.power("boot", "n3")


def streams_and_a_node_that_does_not_start(cluster, report):
    """Half of the nodes never say anything: in words, and in time."""
    cluster.path("silent.sh").write_text("#!/bin/bash\ncase $SLURMD_NODENAME in n1) exec ddict-manager \"$@\" ;; *) sleep 300 ;; esac\n")
    (cluster.work / "silent.sh").chmod(0o755)
    state, _, output = cluster.submit("""
        ddict-launch --bootstrap streams --timeout 4 --manager-program $W/silent.sh --total-mem 64M -- true
        echo "status $? $SECONDS"
        """, "--nodes=2", "--nodelist=n[1-2]").wait()
    report.check("not ready in time", re.search(
        r"not ready within 4 s: 2 of 2 nodes, 1 of 2 managers came up, manager 1 on n2 does not answer", output), output)
    ended = re.search(r"status 1 (\d+)", output)
    report.check("soon after its deadline", ended and int(ended[1]) <= 12, (state, output))


GROUPS = [without_pmix, forced_streams, streams_and_a_lost_node, streams_and_a_node_that_does_not_start]
