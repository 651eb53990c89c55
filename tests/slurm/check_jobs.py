# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Jobs as users write them: the examples, many clients, several dictionaries, preflight, wrong requests."""

import json
import re
import statistics

from cluster import DEVCLUSTER, NOT_THERE, wait_until

EXAMPLES = DEVCLUSTER.parents[1] / "examples"

THREE_LINES = """\
Storing key:Hello and value:Dragon from client id:1 into the dictionary
Retrieving value:Dragon for key:Hello for client id:2 from the dictionary
Done here. Closing the Distributed Dictionary
"""


def example_job(cluster, report):
    ended = cluster.submit(EXAMPLES / "job.sbatch").wait()
    report.check("job.sbatch prints the three lines and nothing else", ended == ("COMPLETED", 0, THREE_LINES), ended)


def example_python(cluster, report):
    if not (cluster.build / "python/ddict").exists():
        return report.note("the Python package is not built")
    ended = cluster.submit(EXAMPLES / "python.sbatch").wait()
    report.check("python.sbatch prints the three lines and nothing else", ended == ("COMPLETED", 0, THREE_LINES), ended)


def example_on_one_node(cluster, report):
    """Two clients, the second of which has no node of its own."""
    for program in ("distributed_dict_client", f"/usr/bin/python3 {EXAMPLES}/distributed_dict_client.py"):
        if "python" in program and not (cluster.build / "python/ddict").exists():
            continue
        script = f"PYTHONPATH={cluster.build}/python PATH={cluster.build}/examples:$PATH {program} --total_mem_size 0.1"
        ended = cluster.submit(script, "--nodes=1").wait()
        report.check(f"{program} prints the three lines in a job of one node", ended == ("COMPLETED", 0, THREE_LINES), ended)


FILTER = """
import os, ddict

def found(local):
    for key in sorted(local.keys(local=True)):
        yield key, os.environ["SLURMD_NODENAME"], local.local_managers

def wrong(local):
    if os.environ["SLURMD_NODENAME"] == "n2":
        raise ValueError("of n2")
    yield from range(10**9)

with ddict.attach() as d:
    d.update({i: i for i in range(300)})
    nodes = d.manager_nodes()
    with d.filter(found, key=lambda one: one[0]) as pairs:
        pairs = list(pairs)
    assert [key for key, *_ in pairs] == list(range(300))
    assert all(nodes[d.which_manager(key)] == node for key, node, _ in pairs)
    print(sorted({(node, *managers) for _, node, managers in pairs}))
    assert list(d.filter(lambda local: None)) == []  # is done here before srun has begun elsewhere
    try:
        for _ in d.filter(wrong):
            pass
    except ValueError as error:
        print(error, "in wrong" in str(error.__cause__))
"""


def python_filter(cluster, report):
    """A function of a program on n1 runs on all nodes of the managers, and what it finds comes in order."""
    if not (cluster.build / "python/ddict").exists():
        return report.note("the Python package is not built")
    cluster.path("filter.py").write_text(FILTER)
    script = f"PYTHONPATH={cluster.build}/python ddict-launch --total-mem 64M -- /usr/bin/python3 $W/filter.py"
    ended = cluster.submit(script, "--nodes=3", "--nodelist=n1,n2,n3").wait()
    report.check("functions run on three nodes, and an error of one ends all",
                 ended == ("COMPLETED", 0, "[('n1', 0), ('n2', 1), ('n3', 2)]\nof n2 True\n"), ended)


def example_wrapper(cluster, report):
    ended = cluster.submit(EXAMPLES / "wrapper.sbatch").wait()
    report.check("wrapper.sbatch prints the three lines and nothing else", ended == ("COMPLETED", 0, THREE_LINES), ended)


def managers_placed_by(cluster, report, options, what):
    """What the managers that a job on n2, n3 and n4 starts with these options say of themselves."""
    stats = cluster.path("stats.json")
    job = cluster.submit(f"ddict-launch {options} --total-mem 64M -- ddict stats --json >$W/stats.json",
                         "--nodes=3", "--nodelist=n2,n3,n4")
    state, status, output = job.wait()
    report.check(what, (state, status, output) == ("COMPLETED", 0, ""), (state, status, output))
    return [(one["manager"], one["node"], one["transport"]) for one in json.loads(stats.read_text())["managers"]]


def placement(cluster, report):
    seen = managers_placed_by(cluster, report, "--nodes 2 --managers-per-node 2", "a job with --nodes 2 of its three")
    report.check("managers are where they were asked for", [s[:2] for s in seen] == [(0, "n2"), (1, "n2"), (2, "n3"), (3, "n3")], seen)
    report.check("memory of our own within the node", all(s[2] == "same host" for s in seen[:2]), seen[:2])
    report.check("the network between nodes", all(s[2] == "tcp/eth0" for s in seen[2:]), seen[2:])


def nodelist(cluster, report):
    seen = managers_placed_by(cluster, report, "--nodelist n[3-4]", "a job with managers on the named nodes")
    report.check("they are there, though the batch script is elsewhere", [s[:2] for s in seen] == [(0, "n3"), (1, "n4")], seen)


def local_managers(cluster, report):
    """What is local on a node is what is on that node, and nothing where there is no manager."""
    job = cluster.submit("""
        ddict-launch --nodes 2 --managers-per-node 2 --total-mem 64M -- bash -c '
            job_client roundtrip key 100 && for node in n2 n3 n4; do srun -N1 -n1 -w $node job_client where; done'""",
                         "--nodes=3", "--nodelist=n2,n3,n4")
    state, status, output = job.wait()
    report.check("clients on three nodes, managers on two", (state, status) == ("COMPLETED", 0), (state, status, output))
    seen = [json.loads(line) for line in output.splitlines()]
    report.check("all know who is where", all(one["nodes"] == ["n2", "n2", "n3", "n3"] for one in seen), seen)
    report.check("the local managers are those of the node", [one["local_managers"] for one in seen] == [[0, 1], [2, 3], []], seen)
    report.check("one of them is the local and the main manager", seen[0]["local_manager"] == seen[0]["main_manager"] in (0, 1) and
                 seen[1]["local_manager"] == seen[1]["main_manager"] in (2, 3), seen)
    report.check("elsewhere there is no local one, but a main one", seen[2]["local_manager"] is None and 0 <= seen[2]["main_manager"] < 4, seen[2])
    report.check("what is local is what is on them", all(
        one["local_size"] == one["local_keys"] == one["local_items"] == one["on_them"] for one in seen), seen)
    report.check("together that is all", [one["size"] for one in seen] == [100] * 3 and
                 seen[0]["local_size"] + seen[1]["local_size"] == 100 and seen[0]["local_size"] > 0 and seen[2]["local_size"] == 0, seen)


def forked_children(cluster, report):
    """They reach the managers of other nodes through those of their own; where there are none, not at all."""
    job = cluster.submit("""
        ddict-launch --nodes 2 --managers-per-node 2 --total-mem 128M -- bash -c '
            srun -N3 -n3 bash -c "job_client forked client\\$SLURM_PROCID. 30"'""", "--nodes=3", "--nodelist=n2,n3,n4")
    state, status, output = job.wait()
    report.check("parents and children find again what they have put", (state, status) == ("COMPLETED", 0), (state, status, output))
    seen = {one["node"]: one for one in map(json.loads, output.splitlines())}
    through = "through a manager of the client's node"
    report.check("children beside managers", [seen[node].get("ways") for node in ("n2", "n3")] ==
                 [["same host"] * 2 + [through] * 2, [through] * 2 + ["same host"] * 2], seen)
    report.check("children elsewhere are told what to do", all(word in seen["n4"].get("refused", "") for word in ("fork", "exec")), seen)


def many_clients(cluster, report):
    stats = cluster.path("stats.json")
    job = cluster.submit("""
        ddict-launch --managers-per-node 2 --total-mem 1G -- bash -c '
            srun -N4 -n8 bash -c "job_client roundtrip client\\$SLURM_PROCID. 50" && ddict size &&
            ddict stats --json >$W/stats.json
            exit 7'""", "--nodes=4", "--ntasks-per-node=2", "--mem=1500")
    state, status, output = job.wait()
    report.check("8 clients on 4 nodes find again what they have put", output == "400\n", output)
    report.check("the command's status is the job's", (state, status) == ("FAILED", 7), (state, status))
    seen = [(one["node"], one["keys"], one["sessions"]) for one in json.loads(stats.read_text())["managers"]]
    report.check("all 8 managers have keys, none a session of a client that has gone",
                 len(seen) == 8 and all(keys > 0 and sessions <= 1 for _, keys, sessions in seen), seen)


def wrong_requests(cluster, report):
    """Each is one line that says what to do, before anything of the user's runs."""
    cases = [
        ("more nodes than the job has", "--nodes 3", 2, "asked for 3 nodes, job * has 2"),
        ("more memory than /dev/shm", "--total-mem 8G", 1, "needs 4G, /dev/shm has 3G free"),
        ("an option that is none", "--fly", 2, "*--fly*"),
    ]
    if cluster.memory_limits:
        cases.append(("more memory than the job", "--total-mem 1G", 1, "needs 5*M, the cgroup * has 2*M free"))
    script = "".join(f"ddict-launch {options} -- echo RAN; echo status $?\n" for _, options, _, _ in cases)
    job = cluster.submit(script, "--nodes=2", "--mem=300")
    state, _, output = job.wait()
    report.check("the job ends", state == "COMPLETED", state)
    answers = re.findall(r"(.*?)status (\d+)\n", output, re.S)
    report.check("as many answers as questions", len(answers) == len(cases), output)
    for (what, options, wanted, pattern), (text, status) in zip(cases, answers):
        regex = ".*".join(re.escape(part) for part in pattern.split("*"))
        report.check(f"{what} ({options})", int(status) == wanted and text.count("\n") == 1 and re.search(regex, text), text)


def two_dictionaries(cluster, report):
    job = cluster.submit("""
        eval "$(ddict-launch start --name a --managers-per-node 2 --total-mem 32M --export)"; a=$DDICT_HANDLE
        eval "$(ddict-launch start --name b --total-mem 32M --export)"; b=$DDICT_HANDLE
        [[ $a != "$b" ]] && echo differ
        ddict --handle "$a" put key of-a; ddict --handle "$b" put key of-b
        srun -N1 -n1 --relative=1 ddict --handle "$a" get key; echo
        srun -N1 -n1 --relative=1 ddict --handle "$b" get key; echo
        ddict-launch status
        ddict-launch stop --name a; echo "stop of a $?"
        ddict-launch status; echo "status $?"
        ddict --handle "$a" get key; echo "get of a $?"
        ddict --handle "$b" get key; echo
        ddict-launch stop --name b; echo "stop of b $?"
        ddict-launch status; echo "status $?"
        """, "--nodes=2")
    state, status, output = job.wait()
    report.check("two dictionaries in one job", (state, status) == ("COMPLETED", 0), output)
    wanted = [r"^differ\nof-a\nof-b\n", r"\na: alive, 4 managers on 2 nodes .*\nb: alive, 2 managers on 2 nodes ",
              r"\nstop of a 0\nb: alive.*\nstatus 0\n", rf"{NOT_THERE}.*\nget of a 4\nof-b\n", r"\nstop of b 0\n(.*\n)?status 1\n$"]
    for pattern in wanted:
        report.check(f"its output has /{pattern}/", re.search(pattern, output), output if not re.search(pattern, output) else "")


def seen_from_outside(cluster, report):
    """By the job's number: from the head, which its managers refuse, from a node of it, and from another node."""
    script = 'ddict put Hello Dragon; touch $W/seen; while [[ -e $W/seen ]]; do sleep 0.05; done'
    job = cluster.submit(f"DDICT_QUIET= ddict-launch --name seen --total-mem 32M -- bash -c '{script}'", "--nodes=2", "--nodelist=n1,n2")
    seen = cluster.path("seen")
    report.check("the command runs", wait_until(seen.exists, 30), job.output())
    listed = cluster.run("ddict-launch", "status", "--job", job.id)
    report.check("status on the head", re.search(r"^seen: alive, 2 managers on 2 nodes .*of the command of", listed.stdout), listed.stdout)
    for where in (None, "n2", "n3"):
        name = where or "the head"
        for chosen in (("--job", job.id), ("--name", "seen")):
            got = cluster.run("ddict", "get", "Hello", *chosen, node=where)
            report.check(f"get by {chosen[0]} on {name}", (got.returncode, got.stdout) == (0, "Dragon"), f"{got.returncode}: {got.stdout}")
        missing = cluster.run("ddict", "get", "nothing", "--job", job.id, node=where)
        report.check(f"no such key, on {name}", missing.returncode == 1, f"{missing.returncode}: {missing.stdout}")
    put = cluster.run("sh", "-c", f"echo -n from the head | ddict put head - --job {job.id}; ddict get head --job {job.id}")
    report.check("standard input goes there too", put.stdout == "from the head", put.stdout)
    top = cluster.run("ddict", "top", "--once", "--job", job.id)
    report.check("top on the head", top.returncode == 0 and "2 managers on 2 nodes" in top.stdout, top.stdout)
    seen.unlink()
    state, status, output = job.wait()
    report.check("it ends", (state, status) == ("COMPLETED", 0), output)
    report.check("and says how it was, all managers together", re.search(
        r"^ddict-launch: the fullest pool was up to \d+% full \(.* of 16M, manager [01] on n[12]\); 2 pairs at the end, \d+ requests, "
        r"(\d+ reads? from shared memory, )?no puts refused, nothing lost$", output, re.M), output)
    gone = cluster.run("ddict", "get", "Hello", "--job", job.id)
    report.check("and is not found any more", gone.returncode == 4, f"{gone.returncode}: {gone.stdout}")
    report.check("no record is left", not list((cluster.work / "state").iterdir()), list((cluster.work / "state").iterdir()))


def made_by_a_program(cluster, report):
    cluster.path("handle")
    cluster.path("stop")
    job = cluster.submit("""
        srun -N1 -n1 -w n1 job_client create 2 $W/handle $W/stop &
        deadline=$((SECONDS + 20))
        until [[ -e $W/handle ]]; do ((SECONDS < deadline)) || exit 9; sleep 0.05; done
        export DDICT_HANDLE=$(<$W/handle)
        srun -N1 -n1 -w n3 ddict put from n3 && srun -N1 -n1 -w n2 ddict get from; echo
        touch $W/stop
        wait $!; echo "its status $?"
        srun -N1 -n1 -w n3 ddict get from; echo "get $?"
        """, "--nodes=3", "--nodelist=n[1-3]")
    ended = job.wait()
    wanted = ended[0] == "COMPLETED" and re.search(rf"^n3\nits status 0\n(.*\n)*ddict: .*{NOT_THERE}.*\n(.*\n)*get 4\n$", ended[2])
    report.check("a dictionary that a program on n1 made, used on n3 and n2", wanted, ended)


def kept_and_resumed(cluster, report):
    """From one step of a job to the next, and to the next job on the same nodes."""
    launch = "ddict-launch --name kept --managers-per-node 2 --total-mem 64M"
    job = cluster.submit(f"""
        {launch} --keep -- srun -N2 -n2 bash -c 'for i in {{1..10}}; do ddict put key-$SLURM_PROCID-$i $i; done'; echo "first $?"
        {launch} --resume --keep -- srun -N1 -n1 -w n3 bash -c 'ddict size && ddict get key-0-7 && ddict get key-1-9'; echo " second $?"
        ddict-launch --name kept --total-mem 64M --resume -- true; echo "other settings $?"
        ddict-launch --check --name kept --managers-per-node 2 --total-mem 64M --resume | grep resume:
        """, "--nodes=2", "--nodelist=n2,n3")
    ended = job.wait()
    output = ended[2]
    report.check("a step keeps a dictionary of two nodes, and the next one goes on with it",
                 ended[:2] == ("COMPLETED", 0) and "first 0\n" in output and "20\n79 second 0\n" in output, ended)
    report.check("each node says what it has resumed", sum(map(int, re.findall(r"n[23] has resumed what it has kept: (\d+) pair", output))) == 20, output)
    report.check("other settings are refused, with both named", "other settings 1\n" in output and re.search(
        "kept on 2 nodes of 2 managers with 64M in all, and 2 nodes of 1 manager with 64M in all are asked for", output), output)
    report.check("--check --resume says what is there", "resume: 'kept' was kept at " in output, output)
    left = [cluster.run("bash", "-c", "ls /dev/shm | grep -c '^ddict-.*-m[0-3]$'", node=node).stdout.strip() for node in ("n2", "n3")]
    report.check("it is there when the job has ended", left == ["2", "2"], left)
    job = cluster.submit(f"""
        srun -N1 -n1 -w n3 bash -c 'rm /dev/shm/ddict-*-m2'
        {launch} --resume -- true; echo "part $?"
        {launch} --resume --allow-empty --keep -- bash -c 'ddict size; ddict stats --json >$0' $W/stats.json; echo "empty $?"
        ddict-launch discard --name kept; echo "discard $?"
        ddict-launch discard --name kept; echo "again $?"
        """, "--nodes=2", "--nodelist=n2,n3")
    stats = cluster.path("stats.json")
    ended = job.wait()
    output = ended[2]
    report.check("a part that is missing is named", "part 1\n" in output and "that of manager 2 on n3 is not there" in output, ended)
    begun = [one["manager"] for one in json.loads(stats.read_text())["managers"] if one["without_kept"]]
    report.check("its manager begins empty if that is allowed", "empty 0\n" in output and begun == [2], (output, begun))
    report.check("discard gives it back on all nodes", "discard 0\n" in output and "again 1\n" in output, output)


def kept_although_a_node_did_not_hear(cluster, report):
    """Managers of one node are stopped when a client ends all: the launcher tells their node launcher."""
    launch = "ddict-launch --name kept --managers-per-node 2 --total-mem 64M"
    cluster.path("fill.sh").write_text("for i in {1..10}; do ddict put key-$SLURM_PROCID-$i $i; done\n")
    cluster.path("stop.sh").write_text("kill -STOP $(ps -C ddict-manager -o pid=)\n")
    job = cluster.submit(f"""
        {launch} -- bash -c 'srun -N2 -n2 bash $W/fill.sh; srun -N1 -n1 -w n3 bash $W/stop.sh
            ddict destroy --keep --timeout 1; echo "told $?"'; echo "ended $?"
        {launch} --resume -- ddict size; echo " are there $?"
        """, "--nodes=2", "--nodelist=n2,n3")
    ended = job.wait()
    report.check("the client says that managers did not answer, and all is kept", ended[:2] == ("COMPLETED", 0) and
                 re.search(r"told [34]\n(.*\n)*ended 0\n(.*\n)*20\n are there 0\n", ended[2]), ended)


def preflight(cluster, report):
    job = cluster.submit("""
        ddict-launch --check --total-mem 64M; echo "status $?"
        mkdir -p $W/no_pmix
        printf '%s\\n' '#!/bin/sh' 'echo "MPI plugin types are..." >&2; echo none >&2; echo pmi2 >&2' >$W/no_pmix/srun
        chmod +x $W/no_pmix/srun
        PATH=$W/no_pmix:$PATH ddict-launch --check; echo "status $?"
        PATH=$(dirname "$(type -P ddict-launch)") ddict-launch --check; echo "status $?"
        PATH=$(dirname "$(type -P ddict-launch)") ddict-launch -- /bin/true; echo "status $?"
        """, "--nodes=4")
    state, _, output = job.wait()
    answers = [text for text, _ in re.findall(r"(.*?)status (\d+)\n", output, re.S)]
    statuses = re.findall(r"status (\d+)\n", output)
    report.check("--check, thrice, and a launch end", state == "COMPLETED" and len(answers) == 4, output)
    good, without_pmix, without_srun, launch = answers
    lines = good.splitlines()
    report.check("--check: all is ok", statuses[0] == "0" and all(re.match("ok|  ", line) for line in lines), good)
    report.check("--check: on one screen", len(lines) <= 24 and max(map(len, lines)) <= 80, f"{len(lines)} lines")
    report.check("--check: names every node", all(f"{node}: memory" in good for node in cluster.nodes))
    report.check("--check without the PMIx plugin", statuses[1] == "1" and re.search("PMIx.*plugin", without_pmix), without_pmix)
    report.check("--check without srun", statuses[2] == "1" and "srun" in without_srun, without_srun)
    report.check("a launch without srun", statuses[3] == "1" and "srun" in launch and launch.count("\n") == 1, launch)


def bring_up(cluster, report):
    """A figure, not a check: the goal is 3 s."""
    job = cluster.submit("""
        now() { echo ${EPOCHREALTIME/./}; }
        for i in 1 2 3 4 5; do
            a=$(now); srun -N4 -n4 true; b=$(now); ddict-launch --total-mem 64M -- srun -N4 -n4 true; c=$(now)
            echo $(((c - b) - (b - a)))
        done""", "--nodes=4")
    state, status, output = job.wait()
    report.check("five dictionaries, one after the other", (state, status) == ("COMPLETED", 0), output)
    times = [int(line) / 1e6 for line in output.split()]
    report.note(f"bring-up and tear-down of 4 nodes x 1 manager: median {statistics.median(times):.2f} s of {times}; goal: below 3 s")


GROUPS = [example_job, example_python, example_on_one_node, python_filter, example_wrapper, placement, nodelist, local_managers, forked_children, many_clients, wrong_requests, two_dictionaries, seen_from_outside, made_by_a_program, kept_and_resumed,
          kept_although_a_node_did_not_hear, preflight, bring_up]
