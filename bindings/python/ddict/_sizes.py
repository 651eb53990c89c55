# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Sizes as people write them."""

from __future__ import annotations

import re
from typing import Union

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def bytes_of(size: Union[int, str, None]) -> int:
    """The number of bytes of 1024, "64G", "1.5 M"; 0 for None."""
    if size is None:
        return 0
    if isinstance(size, int) and not isinstance(size, bool):
        number = float(size)
    elif isinstance(size, str):
        found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:i?B)?\s*", size, re.IGNORECASE)
        if found is None:
            raise ValueError(f"invalid size {size!r}: bytes, or a number with K, M, G or T behind it")
        number = float(found[1]) * _UNITS[found[2].upper()]
    else:
        raise TypeError(f"a size is an int or a str such as '64G', not {type(size).__name__!r}")
    if not 0 < number < 2**63:
        raise ValueError(f"invalid size {size!r}: it is above 0, and below 2^63")
    return int(number)
