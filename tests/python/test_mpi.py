# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""mpi4py, where it is installed: ranks that share a dictionary, which travels as any object does."""

import os
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("mpi4py")
MPIRUN = shutil.which("mpirun")
if MPIRUN is None:
    pytest.skip("no mpirun", allow_module_level=True)

PROGRAM = """
import sys
from mpi4py import MPI
import ddict, numpy as np

world = MPI.COMM_WORLD
made = ddict.attach(sys.argv[1]) if world.rank == 0 else None
d = world.bcast(made)
d["rank", world.rank] = np.full(1000, world.rank, "f8")
tickets = world.gather(d.incr("tickets"))
others = d.get_many([("rank", i) for i in range(world.size)], default=None)
world.Barrier()
total = world.reduce(sum(d["rank", i].sum() for i in range(world.size)))
if world.rank == 0:
    assert sorted(tickets) == list(range(1, world.size + 1)), tickets
    print(world.size, total)
"""


def test_ranks_share_a_dictionary(d):
    environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    done = subprocess.run([MPIRUN, "-n", "3", "--oversubscribe", sys.executable, "-c", PROGRAM, d.handle], capture_output=True, text=True,
                          timeout=100, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3 9000.0\n"
