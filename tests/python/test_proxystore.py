# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The connector keeps what ProxyStore's protocol of connectors says (ProxyStore itself is not in Debian)."""

import json
import pickle

import pytest

import ddict
from ddict.proxystore import Connector


def test_it_is_a_connector(d):
    d["other"] = 1
    with Connector(d.handle, timeout=20) as connector:
        key = connector.put(b"one")
        keys = connector.put_batch([b"two", b"x" * 100000])
        other = Connector.from_config(json.loads(json.dumps(connector.config())))
        assert other.get(key) == b"one" and other.get_batch([*keys, key]) == [b"two", b"x" * 100000, b"one"]
        assert other.exists(key) and pickle.loads(pickle.dumps(key)) == key
        connector.evict(key)
        connector.evict(key)
        assert not other.exists(key) and other.get(key) is None and other.get_batch([key, keys[0]]) == [None, b"two"]
        later = other.new_key(b"three")
        assert connector.get(later) is None
        other.set(later, b"three")
        assert connector.get(later) == b"three" and "proxy/" in repr(connector)
        assert d.count_prefix("proxy/") == 3
        other.close(clear=True)
    assert list(d) == ["other"]


def test_closing_one_leaves_the_others(d):
    """What comes out of a pickle shares the connector's attachment, whose handle and options it has."""
    connector = Connector(d.handle, timeout=20)
    key = connector.put(b"one")
    other = pickle.loads(pickle.dumps(connector))
    connector.close()
    connector.close()
    assert other.get(key) == b"one" and "closed" in repr(connector)
    with pytest.raises(ddict.NotAttached, match="was closed"):
        connector.get(key)


def test_its_keys_are_apart_from_others(d):
    d["proxy"], d["proxy2/x"] = 1, 2
    with Connector(d.handle, prefix="proxy") as connector:
        connector.put(b"one")
        assert connector.config()["prefix"] == "proxy/"
        connector.close(clear=True)
    assert sorted(d) == ["proxy", "proxy2/x"]
    with pytest.raises(ddict.InvalidArgument, match="empty prefix"):
        Connector(d.handle, prefix="")
