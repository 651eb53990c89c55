# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""What Dictionary.filter and its processes say to each other: pickles over a socket, once both have shown that they know a secret."""

from __future__ import annotations

import hmac
import io
import pickle
import secrets
import socket
import struct
from typing import Any, cast

_LENGTH = struct.Struct("<Q")
_PROOF_BYTES = 32


def dumps(value: Any) -> bytes:
    """A pickle that another program can read: with cloudpickle, of functions of the program itself and of closures too."""
    try:
        import cloudpickle  # type: ignore[import]
    except ImportError:
        return pickle.dumps(value, protocol=5)
    return cast(bytes, cloudpickle.dumps(value, protocol=5))


def send(to: socket.socket, content: bytes) -> None:
    to.sendall(_LENGTH.pack(len(content)))
    to.sendall(content)


def receive(of: socket.socket) -> bytes:
    """EOFError where the other side has ended."""
    (size,) = _LENGTH.unpack(_exactly(of, _LENGTH.size))
    return _exactly(of, size)


def _exactly(of: socket.socket, size: int) -> bytes:
    content = io.BytesIO()
    while (missing := size - content.tell()) > 0:
        piece = of.recv(min(missing, 1 << 20))
        if not piece:
            raise EOFError("the other side has ended")
        content.write(piece)
    return content.getvalue()


def watch(other: socket.socket) -> None:
    """A host that has gone without a word is noticed after half a minute, whoever of the two it was; while something is on its way,
    when TCP gives up. No TCP_USER_TIMEOUT: it would end the connection of a reader who takes his time."""
    other.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 4)):
        other.setsockopt(socket.IPPROTO_TCP, option, value)


def _proof(secret: bytes, side: bytes, nonce: bytes) -> bytes:
    return hmac.digest(secret, side + nonce, "sha256")


def is_trusted(other: socket.socket, secret: bytes, side: bytes, other_side: bytes) -> bool:
    """Each proves to the other that it knows the secret. Nothing is unpickled before that; the socket has a time-out."""
    nonce = secrets.token_bytes(_PROOF_BYTES)
    other.sendall(nonce)
    other.sendall(_proof(secret, side, _exactly(other, _PROOF_BYTES)))
    return hmac.compare_digest(_exactly(other, _PROOF_BYTES), _proof(secret, other_side, nonce))
