# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The connector keeps what ProxyStore's protocol of connectors says (ProxyStore itself is not in Debian)."""

import json
import pickle

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
