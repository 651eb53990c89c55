# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The arguments of the reference's DDict: which go together, and what they are for ddict.create()."""

from __future__ import annotations

import random
import string
from typing import Any, Optional

from ddict._checkpoint_store import CheckpointStore
from ddict._dragon_errors import SAVING, DDictError, DDictUnableToCreateError, not_there

WORKING_SET_MAX = 8
MANAGER_BYTES_MIN = 1 << 20
_AVAILABLE_POLICIES = "a policy names a host (host_name); on which processors managers run is left to Slurm"


class NULLCheckpointPersister:
    """No persister: the reference's default."""


class PosixCheckpointPersister:
    """Files in persist_path, of the format of ddict."""


# What a class of the program's derives from.
CheckpointPersister = CheckpointStore


class DAOSCheckpointPersister:
    """Stands for the reference's, which is not there."""


def check(managers_per_node: Any, n_nodes: Any, total_mem: Any, options: dict[str, Any]) -> None:
    """Raises what the reference raises for arguments that do not go together, and not_there() for what ddict has not."""
    read_only, restore_from, waits = options["read_only"], options["restore_from"], options["wait_for_keys"] or options["wait_for_writers"]
    if read_only:
        for wrong, what in ((not options["name"], "needs a name"), (restore_from is None, "needs restore_from"), (waits, "waits for nobody"),
                            (options["working_set_size"] != 1, "has a working set of 1"), (options["persist_count"] != 0, "persists nothing")):
            if wrong:
                raise AttributeError(f"a dictionary that is read_only {what}")
    if restore_from is not None and not options["name"]:
        raise AttributeError("restore_from needs the name of the dictionary that was persisted")
    if options["persister_class"] is NULLCheckpointPersister and options["persist_freq"] != 0 and restore_from is None:
        raise AttributeError("persist_freq needs a persister_class that persists")
    if options["working_set_size"] < 1:
        raise ValueError("working_set_size is 1 or more")
    if options["working_set_size"] > WORKING_SET_MAX:
        raise not_there(f"a working_set_size above {WORKING_SET_MAX}")
    if options["working_set_size"] == 1 and waits:
        raise ValueError("wait_for_keys and wait_for_writers need a working_set_size of 2 or more")
    if options["persist_freq"] < 0 or options["persist_count"] < -1:
        raise ValueError("persist_freq is 0 or more, persist_count -1 or more")
    if options["restart"] and options["policy"] is not None:
        raise AttributeError("restart takes no policy: managers are where they were")
    for name, number in (("managers_per_node", managers_per_node), ("n_nodes", n_nodes), ("total_mem", total_mem)):
        none = number is None and name != "total_mem" and isinstance(options["policy"], list)
        if not none and (not isinstance(number, int) or isinstance(number, bool)):
            raise AttributeError(f"{name} is an int, not {number!r}")
    if isinstance(options["policy"], list) and (managers_per_node is not None or n_nodes is not None):
        raise AttributeError("a list of policies says where managers are: managers_per_node=None and n_nodes=None go with it")
    if options["restart"] and not options["name"]:
        raise AttributeError("restart needs the name of the dictionary that was destroyed")
    _check_persisting(options)


def is_own(persister_class: Any) -> bool:
    """Whether it is a class of the program's."""
    return isinstance(persister_class, type) and issubclass(persister_class, CheckpointStore)


def persist_to(made: Any, store: CheckpointStore, restore_from: Optional[int]) -> None:
    """A DDict goes there from now on, and begins with that checkpoint, if there is to be one; else it is not made."""
    made.dictionary.set_checkpoint_store(store)
    made._has_store = True  # pylint: disable=protected-access
    if restore_from is None:
        return
    try:
        made.restore(restore_from)
    except DDictError as error:
        made.destroy()
        raise DDictUnableToCreateError("DRAGON_DDICT_PERSIST_CHECKPOINT_UNAVAILABLE", str(error)) from error


def _check_persisting(options: dict[str, Any]) -> None:
    if is_own(options["persister_class"]):
        if options["persist_freq"] != 0 or options["persist_count"] > 0 or options["read_only"]:
            raise not_there("persist_freq, persist_count or read_only with a class of one's own", "dictionary.persist_every()")
    elif options["persister_class"] not in (NULLCheckpointPersister, PosixCheckpointPersister):
        raise not_there("this persister_class", "a class that derives from ddict.CheckpointStore, PosixCheckpointPersister, or " + SAVING)
    if options["restore_from"] is not None and options["persister_class"] is NULLCheckpointPersister:
        raise DDictUnableToCreateError("DRAGON_NOT_IMPLEMENTED", "restore_from needs a persister_class that persists")


def create_arguments(managers_per_node: Any, n_nodes: Any, total_mem: int, options: dict[str, Any]) -> dict[str, Any]:
    """What ddict.create() takes."""
    nodes, each, hosts = n_nodes, managers_per_node, _hosts(options["policy"])
    if isinstance(options["policy"], list):
        nodes, each = len(hosts), options["managers_per_policy"]
    count = nodes * each
    if count < 1 or total_mem < 1:
        raise AttributeError("managers_per_node, n_nodes and total_mem are 1 or more")
    name = options["name"] or random_name()
    persists = options["persister_class"] is PosixCheckpointPersister
    return {"persist_path": (options["persist_path"] or ".") if persists else None, "persist_count": max(options["persist_count"], 0),
            "persist_freq": options["persist_freq"] if persists and not options["read_only"] else 0,
            "restore_from": options["restore_from"] if persists else None, "read_only": options["read_only"], "nodes": nodes, "managers_per_node": each, "total_mem": max(total_mem, count * MANAGER_BYTES_MIN), "name": name,
            "nodelist": ",".join(hosts), "resume": options["restart"], "allow_empty": options["restart"],
            "working_set": options["working_set_size"], "wait_for_keys": options["wait_for_keys"],
            "wait_for_writers": options["wait_for_writers"]}


def random_name() -> str:
    return "".join(random.SystemRandom().choices(string.ascii_lowercase + string.digits, k=10))


def _hosts(policy: Any) -> list[str]:
    policies = policy if isinstance(policy, list) else [] if policy is None else [policy]
    hosts = [_host(one) for one in policies]
    if len(set(hosts)) < len(hosts):
        raise not_there("several policies for one host", "managers_per_policy says how many managers a host has")
    return hosts


def _host(policy: Any) -> str:
    host: Optional[str] = getattr(policy, "host_name", None)
    if not host:
        raise not_there("this policy", _AVAILABLE_POLICIES)
    return str(host)
