# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A dictionary in memory that the programs of a Slurm job share, and that feels like a dict.

    import ddict

    d = ddict.attach()          # the dictionary of the job; or ddict.create()
    d["hello"] = "Dragon"
    d["hello"], len(d), "nobody" in d, d.get("nobody", 0)

docs/python.md of the project goes through all of it.
"""

from ddict._absent import ABSENT
from ddict._ddict import NEWEST, Dictionary, Future, Queue, QueueItem, attach, checkpoints, create
from ddict._errors import (AccessDenied, BadHandle, Busy, CheckpointRetired, DictionaryGone, Error, Frozen, Incompatible,
                           InvalidArgument, ManagerLost, NoSpace, NotAttached, NotFound, ProtocolError, SystemFailure, Timeout, TooLarge,
                           Unreadable, WrongType)
from ddict import _async, _checkpoints, _mapping
from ddict._checkpoint_store import CheckpointStore
from ddict._checkpoints import CheckpointInfo, DamagedCheckpoint, PersistStatus, load
from ddict._typed import TypedKey, TypedValue

_mapping.install()
_async.install()
_checkpoints.install()

__all__ = [
    "ABSENT", "AccessDenied", "BadHandle", "Busy", "CheckpointInfo", "CheckpointRetired", "CheckpointStore", "DamagedCheckpoint",
    "Dictionary", "DictionaryGone", "Error", "Frozen", "Future", "Incompatible", "InvalidArgument", "ManagerLost",
    "NEWEST", "NoSpace", "NotAttached", "NotFound", "PersistStatus", "ProtocolError", "Queue", "QueueItem", "SystemFailure", "Timeout", "TooLarge", "TypedKey",
    "TypedValue", "Unreadable", "WrongType", "attach", "checkpoints", "create", "load",
]
