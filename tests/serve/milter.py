"""Hands one mail to a milter, as a mail server does, and tells what it decided (libmilter's protocol, version 6)."""

from __future__ import annotations

import socket
import struct

FINAL = b"acrtdy"  # accept, continue, reject, temporary failure, discard, reply code
ACTIONS = 0x1FF  # that we could carry out: all
STEPS = 0x37F  # that the milter may leave out: all; it is asked nevertheless


def decision_on(path: str, headers: dict[str, str], body: bytes) -> tuple[bytes, list[bytes]]:
    """The final answer, and everything that was said at the end of the message."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.connect(path)
        _tell(connection, b"O", struct.pack(">III", 6, ACTIONS, STEPS))
        _hear(connection)
        _step(connection, b"C", b"client.example.test\x004" + struct.pack(">H", 25) + b"192.0.2.1\0")
        _step(connection, b"H", b"client.example.test\0")
        _step(connection, b"M", b"<from@example.test>\0")
        _step(connection, b"R", b"<to@example.test>\0")
        for name, value in headers.items():
            _step(connection, b"L", f"{name}\0{value}\0".encode())
        _step(connection, b"N")
        for start in range(0, len(body), 60_000):
            _step(connection, b"B", body[start : start + 60_000])
        _tell(connection, b"E")
        said = [_hear(connection)]
        while said[-1][:1] not in (bytes([b]) for b in FINAL):
            said.append(_hear(connection))
        _tell(connection, b"Q")
        return said[-1], said


def _step(connection: socket.socket, command: bytes, data: bytes = b"") -> None:
    _tell(connection, command, data)
    assert _hear(connection) == b"c"


def _tell(connection: socket.socket, command: bytes, data: bytes = b"") -> None:
    connection.sendall(struct.pack(">I", 1 + len(data)) + command + data)


def _hear(connection: socket.socket) -> bytes:
    (size,) = struct.unpack(">I", _exactly(connection, 4))
    return _exactly(connection, size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        got = connection.recv(size - len(data))
        assert got, "the milter hung up"
        data += got
    return data
