#!/usr/bin/env python3
# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The first program of the Distributed Dragon Dictionary's documentation: it makes a dictionary over several nodes, has one
client process store a pair, and another one, on another node, read it.

    python3 distributed_dict_client.py --num_nodes 2 --managers_per_node 1 --total_mem_size 2

In a Slurm job the managers are placed on its nodes and each client is started by srun; elsewhere everything runs on this
machine.
"""

import argparse
import os
import subprocess
import sys

import ddict


def run_client(client_id):
    """A client process: it knows nothing but the handle, which it finds in the environment."""
    with ddict.attach() as d:
        key = "Hello"
        if client_id == 1:
            value = "Dragon"
            print(f"Storing key:{key} and value:{value} from client id:{client_id} into the dictionary")
            d[key] = value
        else:
            print(f"Retrieving value:{d[key]} for key:{key} for client id:{client_id} from the dictionary")


def start_client(client_id, handle):
    """Starts this program again as a client: on the client_id-th node of the job (from the first one again where there are fewer),
    or here."""
    command = [sys.executable, os.path.abspath(__file__), "--client_id", str(client_id)]
    if "SLURM_JOB_ID" in os.environ:
        node = (client_id - 1) % int(os.environ.get("SLURM_JOB_NUM_NODES", 1))
        command[:0] = ["srun", "--overlap", "--nodes=1", "--ntasks=1", "--ntasks-per-node=1", f"--relative={node}"]
    subprocess.run(command, env={**os.environ, "DDICT_HANDLE": handle}, check=True)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--num_nodes", type=int, default=1, help="nodes to place managers on")
    options.add_argument("--managers_per_node", type=int, default=1, help="managers on each node")
    options.add_argument("--total_mem_size", type=float, default=1, help="memory of the whole dictionary, in GB")
    options.add_argument("--client_id", type=int, help="be this client (the program starts its clients itself)")
    options = options.parse_args()
    if options.client_id:
        return run_client(options.client_id)
    d = ddict.create(nodes=options.num_nodes, managers_per_node=options.managers_per_node,
                     total_mem=int(options.total_mem_size * 2**30))
    for client_id in (1, 2):
        start_client(client_id, d.handle)
    print("Done here. Closing the Distributed Dictionary")
    d.destroy()


if __name__ == "__main__":
    main()
