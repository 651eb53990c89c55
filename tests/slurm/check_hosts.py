# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Hosts with more than one network interface, of which some lead nowhere."""

import contextlib
import re

BRIDGE = "ip link add docker0 type bridge && ip addr add 172.17.0.1/16 dev docker0 && ip link set docker0 up && " \
         "ip link add inner0 type veth peer name inner1 && ip link set inner0 master docker0 && " \
         "ip link set inner0 up && ip link set inner1 up"


def usb(address):
    """A link to a board controller, say; as fast as eth0."""
    return f"ip link add usb0 type veth peer name usbp && ip link set usbp up && ip addr add {address} dev usb0 && " \
           "ip link set usb0 up"


@contextlib.contextmanager
def interfaces(cluster, commands, names):
    """`commands` by host, and none of the interfaces afterwards."""
    try:
        for host, command in commands.items():
            made = cluster.run("sh", "-c", command, node=None if host == "head" else host)
            if made.returncode != 0:
                raise RuntimeError(f"{host}: {command}: {made.stdout}")
        yield
    finally:
        for host in commands:
            for name in names:
                cluster.run("ip", "link", "del", name, node=None if host == "head" else host)


def use_it(cluster, variables=""):
    """Launches, puts and gets from every node; the same with --check. What the job said, in two parts."""
    job = cluster.submit(f"""
        export {variables or "W"}
        ddict-launch --nodes 2 --total-mem 64M --timeout 30 -- sh -c \\
            'ddict health && ddict put from head && srun -N4 -n4 ddict get from && srun -N4 -n4 ddict put to node'
        echo "launch $?"; echo ----
        ddict-launch --check --nodes 2 --total-mem 64M; echo "check $?"
        """, "--nodes=4")
    state, _, output = job.wait(120)
    launch, _, check = output.partition("----\n")
    return state, launch, check


def an_address_on_all_nodes(cluster, report):
    for what, command in (("link-local", usb("169.254.3.1/24")), ("private", usb("10.9.9.1/24"))):
        hosts = {host: command for host in cluster.nodes}
        with interfaces(cluster, hosts, ["usb0"]):
            state, launch, check = use_it(cluster)
            report.check(f"a {what} address that all nodes have is left out",
                         state == "COMPLETED" and "launch 0" in launch and launch.count("head") >= 4, launch)
            report.check("--check says so", "check 0" in check and "lead to no other node: usb0" in check.replace("\n         ", " "), check)


def a_bridge_of_containers(cluster, report):
    with interfaces(cluster, {host: BRIDGE for host in cluster.nodes}, ["inner0", "docker0"]):
        state, launch, check = use_it(cluster)
        report.check("a bridge of containers is left out", state == "COMPLETED" and "launch 0" in launch, launch)
        report.check("--check says so", "check 0" in check and "docker0" in check, check)


def a_network_that_does_not_work(cluster, report):
    """Its addresses differ, as they should: only trying shows it."""
    hosts = {host: usb(f"10.9.8.{i + 1}/24") for i, host in enumerate(cluster.nodes)}
    with interfaces(cluster, hosts, ["usb0"]):
        state, launch, check = use_it(cluster)
        text = check.replace("\n         ", " ")
        report.check("--check names the interface and the address that fail",
                     "check 1" in check and re.search(r"could not reach n[12] at 10\.9\.8\.[12] \(usb0", text), check)
        report.check("--check names what works", "set DDICT_UCX_NET_DEVICES to what works (eth0)" in text, check)
        report.check("a launch that fails names the variable and the interfaces",
                     "launch 0" in launch or ("UCX_NET_DEVICES" in launch and "usb0" in launch), launch)
        state, launch, check = use_it(cluster, "UCX_NET_DEVICES=usb0 DDICT_UCX_NET_DEVICES=eth0")
        report.check("with that it works, on all nodes and whatever is set for others", "launch 0" in launch and "check 0" in check, launch + check)


GROUPS = [an_address_on_all_nodes, a_bridge_of_containers, a_network_that_does_not_work]
