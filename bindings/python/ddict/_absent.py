# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What stands for "no such key" in compare_and_swap."""

from __future__ import annotations


class Absent:
    """The class of ABSENT alone."""

    def __repr__(self) -> str:
        return "ddict.ABSENT"

    def __reduce__(self) -> str:
        return "ABSENT"


ABSENT = Absent()
