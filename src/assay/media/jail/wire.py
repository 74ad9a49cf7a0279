"""Messages over a stream socket: a length, then JSON; descriptors ride on the first byte.

The parent's side (`Channel`) has deadlines and distrusts every byte. The child's side (`receive`, `send`) blocks and
keeps to the system calls that its filter allows: recvmsg, read and write.
"""

from __future__ import annotations

import array
import json
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from assay.errors import Failed

if TYPE_CHECKING:
    from assay.types import JSON

LONGEST = 32 << 20  # bytes of one message
MOST_VALUES = 2_000_000  # in one message: a list of empty lists weighs 30 times its text once parsed
MOST_FDS = 8
_LENGTH = struct.Struct("<I")


class TooLate(Exception):
    """No whole message came or went before the deadline."""


class Channel:
    """The parent's end."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock

    def send(self, message: JSON, fds: Sequence[int] = (), *, timeout_s: float) -> None:
        """Raises TooLate, or OSError (EPIPE) if the other end is gone."""
        deadline = time.monotonic() + timeout_s
        rest = memoryview(_encoded(message))
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        while rest:
            self._wait(select.POLLOUT, deadline, None)
            try:
                sent = self._sock.sendmsg([rest], control, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                continue
            rest, control = rest[sent:], []

    def receive(
        self,
        *,
        timeout_s: float,
        while_waiting: Callable[[], None] | None = None,
        fds: list[int] | None = None,
    ) -> JSON:
        """One message from a process that may lie.

        Parameters
        ----------
        while_waiting
            Called about 20 times a second.
        fds
            Filled with the descriptors that came along. Without it the kernel drops them: only a process of our own
            may send any.

        Raises
        ------
        EOFError
            If the other end is gone.
        TooLate
            If no whole message came in time.
        Failed
            If the message is malformed.
        """
        deadline = time.monotonic() + timeout_s
        head = b"" if fds is None else self._head(deadline, while_waiting, fds)
        head += self._exactly(_LENGTH.size - len(head), deadline, while_waiting)
        (length,) = _LENGTH.unpack(head)
        if length > LONGEST:
            raise Failed("a sandboxed process announced an answer that is too long", code="malformed_answer")
        return _decoded(self._exactly(length, deadline, while_waiting))

    def close(self) -> None:
        self._sock.close()

    def _head(self, deadline: float, tick: Callable[[], None] | None, fds: list[int]) -> bytes:
        while True:
            self._wait(select.POLLIN, deadline, tick)
            try:
                head, sent = _first_bytes(self._sock)
            except BlockingIOError:
                continue
            except OSError as e:
                raise EOFError from e
            fds += sent
            return head

    def _exactly(self, length: int, deadline: float, tick: Callable[[], None] | None) -> bytes:
        data = bytearray()  # grows with what came, not with what was announced
        while len(data) < length:
            self._wait(select.POLLIN, deadline, tick)
            try:
                part = self._sock.recv(min(length - len(data), 1 << 20))
            except BlockingIOError:
                continue
            except OSError:  # reset by the other end, or closed by another thread of ours
                part = b""
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def _wait(self, event: int, deadline: float, tick: Callable[[], None] | None) -> None:
        poll = select.poll()
        poll.register(self._sock, event)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TooLate
            if poll.poll(1000 * (min(left, 0.05) if tick else left)):
                return
            if tick:
                tick()


def receive(sock: socket.socket) -> tuple[JSON, list[int]]:
    """In the child: one message and its descriptors. Raises EOFError if the parent is gone."""
    head, fds = _first_bytes(sock)
    head += _read(sock.fileno(), _LENGTH.size - len(head))
    return _decoded(_read(sock.fileno(), _LENGTH.unpack(head)[0])), fds


def send(sock: socket.socket, message: JSON, fds: Sequence[int] = ()) -> None:
    """In the child: one message. Raises BrokenPipeError if the parent is gone, ValueError or TypeError if not JSON."""
    rest = memoryview(_encoded(message))
    if fds:
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        rest = rest[sock.sendmsg([rest], control) :]
    while rest:
        rest = rest[os.write(sock.fileno(), rest) :]


def _first_bytes(sock: socket.socket) -> tuple[bytes, list[int]]:
    space = socket.CMSG_SPACE(MOST_FDS * array.array("i").itemsize)
    head, ancillary, _, _ = sock.recvmsg(_LENGTH.size, space, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    if not head:
        raise EOFError
    return head, fds.tolist()


def _read(fd: int, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = os.read(fd, length - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def _encoded(message: JSON) -> bytes:
    text = json.dumps(message, allow_nan=False, separators=(",", ":")).encode()
    if len(text) > LONGEST:
        raise Failed(
            f"an answer of {len(text)} bytes is longer than a message may be", code="answer_too_long"
        )
    return _LENGTH.pack(len(text)) + text


def _decoded(data: bytes) -> JSON:
    if data.count(b",") + data.count(b"[") + data.count(b"{") > MOST_VALUES:
        raise Failed("a sandboxed process answered with too many values", code="malformed_answer")
    try:
        message = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError) as e:
        raise Failed(
            f"a sandboxed process answered with malformed JSON ({e})", code="malformed_answer"
        ) from e
    if not isinstance(message, dict):
        raise Failed(
            "a sandboxed process answered with something other than an object", code="malformed_answer"
        )
    return message


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
