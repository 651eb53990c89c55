# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""Keys and values of types that Python has nothing for, as their bytes."""

from __future__ import annotations


class _Typed:
    """A type number of docs/values.md and the bytes that it is of."""

    __slots__ = ("type", "data")
    type: int
    data: bytes

    def __init__(self, type: int, data: bytes) -> None:
        if not isinstance(type, int) or not 0 <= type <= 0xFFFF:
            raise ValueError(f"a type is a number from 0 to 65535, not {type!r}")
        object.__setattr__(self, "type", type)
        object.__setattr__(self, "data", bytes(data))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} cannot be changed: make another {self.__class__.__name__}")

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        assert isinstance(other, _Typed)
        return (self.type, self.data) == (other.type, other.data)

    def __hash__(self) -> int:
        return hash((self.type, self.data))

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}(0x{self.type:04x}, {self.data!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return (self.__class__, (self.type, self.data))


class TypedKey(_Typed):
    """A key of another language's type. Iterations give it, and every call takes it in place of a key."""

    __slots__ = ()


class TypedValue(_Typed):
    """A value of another language's type: what ``d[key]`` gives for it; put, it is stored as it is."""

    __slots__ = ()
