# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""The prefix of those who keep their own keys in a dictionary beside others, and may remove all of them."""

from __future__ import annotations

from ddict import _errors


def folder(prefix: str) -> str:
    """With the "/" at its end, so that "run7" is not the beginning of "run70/x" too. InvalidArgument if it is empty: all texts begin
    with that."""
    if not isinstance(prefix, str):
        raise TypeError(f"a prefix is a str, not a {type(prefix).__name__!r}")
    if not prefix:
        raise _errors.InvalidArgument("an empty prefix: the keys would not be apart from those of others; choose one, such as 'run7/'")
    return prefix if prefix.endswith("/") else prefix + "/"
