# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""How Dictionary.filter and its processes speak over a socket: both show that they know a secret, and so does all that they send.

    filter to process   nonce (32 bytes)
    process to filter   nonce (32), length of the node's name (1), the name, proof (32)
    filter to process   proof (32)
    then, both ways, frames of records: bytes that follow (4, little endian), whether another record of the frame follows (1),
    the bytes, proof (32)

A proof is HMAC-SHA-256. Those of the frames have a key for each direction, made of the secret and both nonces, and are over the
number of the record too: a record that somebody else has made, changed, repeated, left out or sent back is refused unread.
"""

from __future__ import annotations

import hmac
import io
import secrets
import socket
import struct
from typing import Optional

_HEADER = struct.Struct("<I?")
_RECORD_BYTES_MAX = 1 << 20
_NUMBER = struct.Struct("<Q")
_PROOF_BYTES = _NONCE_BYTES = 32


class Forged(ConnectionError):
    """What has come is not what the other side has sent, or the other side is somebody else."""


class _Direction:
    """The proofs of the records that go one way."""

    def __init__(self, secret: bytes, of: bytes, nonces: bytes) -> None:
        self._key = _proof(secret, b"records of the " + of + nonces)
        self._count = 0

    def next_proof(self, header: bytes, content: bytes) -> bytes:
        proof = hmac.new(self._key, _NUMBER.pack(self._count) + header, "sha256")
        proof.update(content)
        self._count += 1
        return proof.digest()


class Channel:
    """Frames of bytes, each way. One thread at a time may send, and one receive."""

    def __init__(self, other: socket.socket, secret: bytes, nonces: bytes, side: bytes, other_side: bytes) -> None:
        self.socket = other
        self._sent = _Direction(secret, side, nonces)
        self._received = _Direction(secret, other_side, nonces)
        other.settimeout(None)
        _set_options(other)

    def send(self, content: bytes) -> None:
        view = memoryview(content)
        while True:
            piece, view = view[:_RECORD_BYTES_MAX], view[_RECORD_BYTES_MAX:]
            header = _HEADER.pack(len(piece), bool(view))
            self.socket.sendall(b"".join((header, piece, self._sent.next_proof(header, piece))))
            if not view:
                return

    def receive(self) -> bytes:
        """EOFError where the other side has ended, Forged where something is not from it."""
        content = io.BytesIO()
        follows = True
        while follows:
            header = _exactly(self.socket, _HEADER.size)
            size, follows = _HEADER.unpack(header)
            if size > _RECORD_BYTES_MAX:
                raise Forged("a record is longer than any that is sent")
            piece = _exactly(self.socket, size)
            if not hmac.compare_digest(_exactly(self.socket, _PROOF_BYTES), self._received.next_proof(header, piece)):
                raise Forged("a record is not what the other side has sent")
            content.write(piece)
        return content.getvalue()


class Handshake:
    """The filter's side of a connection that anybody may have made. It never waits, and says nothing of the secret to whoever has
    not shown to know it."""

    def __init__(self, other: socket.socket, secret: bytes) -> None:
        self.socket = other
        self._secret = secret
        self._nonce = secrets.token_bytes(_NONCE_BYTES)
        self._received = b""
        other.setblocking(False)
        other.sendall(self._nonce)  # into an empty buffer

    def advance(self) -> Optional[tuple[Channel, str]]:
        """Takes what has come. The process and its node once it is known to be one; OSError or EOFError if it is none."""
        try:
            piece = self.socket.recv(self._missing())
        except BlockingIOError:
            return None
        if not piece:
            raise EOFError("the other side has ended")
        self._received += piece
        if self._missing() > 0:
            return None
        nonce, node = self._received[:_NONCE_BYTES], self._received[_NONCE_BYTES + 1:-_PROOF_BYTES]
        nonces = self._nonce + nonce
        if not hmac.compare_digest(self._received[-_PROOF_BYTES:], _proof(self._secret, b"process" + nonces + node)):
            raise Forged("the other side does not know the secret")
        self.socket.sendall(_proof(self._secret, b"filter" + nonces))
        return Channel(self.socket, self._secret, nonces, b"filter", b"process"), node.decode(errors="replace")

    def _missing(self) -> int:
        """Bytes, for now: the length of the name says how many there are in all."""
        fixed = _NONCE_BYTES + 1
        whole = fixed + (self._received[_NONCE_BYTES] + _PROOF_BYTES if len(self._received) >= fixed else 0)
        return whole - len(self._received)


def join(other: socket.socket, secret: bytes, node: str) -> Channel:
    """The process's side of the handshake. The socket has a time-out; OSError or EOFError if the other side is no filter of this secret."""
    name = node.encode()[:255]
    filter_nonce = _exactly(other, _NONCE_BYTES)
    nonce = secrets.token_bytes(_NONCE_BYTES)
    nonces = filter_nonce + nonce
    other.sendall(nonce + bytes([len(name)]) + name + _proof(secret, b"process" + nonces + name))
    if not hmac.compare_digest(_exactly(other, _PROOF_BYTES), _proof(secret, b"filter" + nonces)):
        raise Forged("the other side does not know the secret")
    return Channel(other, secret, nonces, b"process", b"filter")


def _proof(secret: bytes, of: bytes) -> bytes:
    return hmac.digest(secret, of, "sha256")


def _exactly(of: socket.socket, size: int) -> bytes:
    content = io.BytesIO()
    while (missing := size - content.tell()) > 0:
        piece = of.recv(missing)
        if not piece:
            raise EOFError("the other side has ended")
        content.write(piece)
    return content.getvalue()


def _set_options(other: socket.socket) -> None:
    """What is sent goes at once. A host that has gone without a word is noticed after half a minute, whoever of the two it was; while
    something is on its way, when TCP gives up. No TCP_USER_TIMEOUT: it would end the connection of a reader who takes his time."""
    if other.family not in (socket.AF_INET, socket.AF_INET6):
        return
    other.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_NODELAY, 1), (socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 4)):
        other.setsockopt(socket.IPPROTO_TCP, option, value)
