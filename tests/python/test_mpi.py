# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""mpi4py: ranks that share a dictionary, which travels as any object does."""

import os
import shutil
import subprocess
import sys

import pytest

MPIRUN = shutil.which("mpirun")

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


IN_ANY_ORDER = """
import sys
import mpi4py
mpi4py.rc.initialize = mpi4py.rc.finalize = False
from mpi4py import MPI
import ddict

begun_first, ended_first = sys.argv[2:]
if begun_first == "mpi":
    MPI.Init()
d = ddict.attach(sys.argv[1])
d["before"] = 1
if begun_first == "ddict":
    MPI.Init()
world = MPI.COMM_WORLD
d["rank", world.rank] = [world.rank] * 1000
world.Barrier()
assert sum(d["rank", i][0] for i in range(world.size)) == sum(range(world.size))
world.Barrier()
if ended_first == "mpi":
    MPI.Finalize()
    assert d["before"] == 1
d.detach()
if ended_first == "ddict":
    MPI.Finalize()
print("right")
"""


def ranks(program, *arguments, **variables):
    """What three ranks have printed."""
    assert MPIRUN is not None, "scripts/install-packages test"
    environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", **variables}
    done = subprocess.run([MPIRUN, "-n", "3", "--oversubscribe", sys.executable, "-c", program, *arguments], capture_output=True, text=True,
                          timeout=100, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ranks_share_a_dictionary(d):
    assert ranks(PROGRAM, d.handle) == "3 9000.0\n"


@pytest.mark.parametrize("same_host", ["1", "0"])
@pytest.mark.parametrize("ended_first", ["mpi", "ddict"])
@pytest.mark.parametrize("begun_first", ["mpi", "ddict"])
def test_either_may_begin_and_end_first(d, begun_first, ended_first, same_host):
    # Words of several ranks may stand in one line.
    assert ranks(IN_ANY_ORDER, d.handle, begun_first, ended_first, DDICT_SAME_HOST=same_host).count("right") == 3
