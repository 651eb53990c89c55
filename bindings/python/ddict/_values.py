# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What the native module asks of Python's own libraries: pickles, element types, dates."""

from __future__ import annotations

import pickle
from typing import Any, Optional

from ddict import _errors


def dumps(value: Any) -> tuple[bytes, list[memoryview]]:
    """A pickle, and the buffers that stay where they are."""
    buffers: list[pickle.PickleBuffer] = []
    stream = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return stream, [buffer.raw() for buffer in buffers]


def loads(stream: memoryview, buffers: list[memoryview]) -> Any:
    try:
        return pickle.loads(stream, buffers=buffers)
    except (AttributeError, ImportError) as why:
        raise _errors.Unreadable(f"the pickle needs what is not here: {why}; import it, or put it where it can be "
                                 "imported") from why
    except Exception as why:
        raise _errors.Unreadable(f"the pickle cannot be read: {type(why).__name__}: {why}") from why


def describe(dtype: Any) -> Optional[str]:
    """A text that described() makes the same element type from; None if there is none."""
    if dtype.hasobject:
        return None
    import numpy as np

    text = repr(np.lib.format.dtype_to_descr(dtype))  # type: ignore[no-untyped-call]
    made = described(text)
    return text if made == dtype and made.metadata == dtype.metadata else None


def described(text: str) -> Any:
    import ast

    import numpy as np

    try:
        dtype = np.lib.format.descr_to_dtype(ast.literal_eval(text))  # type: ignore[no-untyped-call]
    except Exception:  # anybody may have written the text
        return None
    return None if dtype.hasobject else dtype


def date_text(value: Any) -> Optional[str]:
    """ISO 8601; None if that would lose something."""
    if value.fold or (value.tzinfo is not None and type(value.tzinfo).__name__ != "timezone"):
        return None
    text: str = value.isoformat()
    made = date_of(text)
    return text if made == value and repr(made) == repr(value) else None


def date_of(text: str) -> Any:
    import datetime

    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
