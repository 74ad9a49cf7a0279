"""One connected socket: bounded reads and writes, each with a deadline, and the descriptors that come along.

asyncio's streams cannot receive descriptors (SCM_RIGHTS) and know no deadlines, so this reads the socket itself. What
may be held in memory is bounded by the caller's limits and one block.
"""

from __future__ import annotations

import array
import asyncio
import collections
import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

BLOCK = 1 << 18  # bytes received at once
MOST_DESCRIPTORS = 16  # that wait for their command; further ones are closed


class HungUp(Exception):
    """The peer has ended the connection, or its half of it, before all was there."""


class TooSlow(Exception):
    """The peer was idle, or slower than a client may be."""


class TooLong(Exception):
    """No end of a line or head within its limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a client may take, and what for."""

    idle_s: float = 60.0  # between two commands
    head_s: float = 30.0  # for a whole command or head, from its first byte
    stall_s: float = 30.0  # without progress inside of a body
    rate_bytes_s: float = 512.0  # a body's average after that: one byte now and then is an attack
    linger_s: float = 2.0  # in silence, for the peer to read the last reply
    drain_s: float = 300.0  # to take what is left of a body that is not wanted


class Wire:
    """Reads and writes one socket. One task reads; several may write. Closes what it has received and nobody took."""

    def __init__(self, connection: socket.socket, patience: Patience, peer: str) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._patience = patience
        self.peer = peer
        self.is_unix = connection.family == socket.AF_UNIX
        self.received = 0  # bytes, from the first
        self.waiting = False  # for the first byte of a command
        self.begun = False  # a command has begun since `begins` was called
        self.jobs = 0  # replies that are still due
        self._buffer = bytearray()
        self._descriptors: collections.deque[int] = collections.deque()
        self._ended = False
        self._sending = asyncio.Lock()
        self._deadline: float | None = None  # of the event loop's clock, for all reads
        self._body: tuple[float, int] | None = None  # when it began, and after how many bytes

    @property
    def idle(self) -> bool:
        return self.waiting and not self.jobs

    async def begins(self) -> bool:
        """Wait for the first byte of a command or head; False if the peer has ended the connection instead."""
        self._allow(self._patience.idle_s)
        self.waiting, self.begun = True, False
        try:
            while not self._buffer:
                await self._fill()
        except HungUp:
            return False
        finally:
            self.waiting = False
        self.begun = True
        self._allow(self._patience.head_s)
        return True

    def body_begins(self) -> None:
        """From here on the peer may take long, if it makes progress."""
        self._deadline, self._body = None, (_now(), self.received)

    def drain_begins(self) -> None:
        self.body_begins()
        self._deadline = _now() + self._patience.drain_s

    def head_begins(self) -> None:
        self._allow(self._patience.head_s)

    def starts_with(self) -> bytes:
        """What has arrived and was not read yet, at most 8 KiB of it."""
        return bytes(self._buffer[: 1 << 13])

    async def line(self, end: bytes, limit: int) -> bytes:
        """Read up to `end` and return it without that.

        Raises
        ------
        TooLong
            If there is no `end` within `limit` bytes.
        HungUp, TooSlow
        """
        searched = 0
        while (found := self._buffer.find(end, searched, limit + len(end))) < 0:
            if len(self._buffer) >= limit + len(end):
                raise TooLong
            searched = max(0, len(self._buffer) - len(end) + 1)
            await self._fill()
        line = bytes(self._buffer[:found])
        del self._buffer[: found + len(end)]
        return line

    async def more(self, within_s: float) -> bool:
        """Wait for further bytes for a short while; False if none came."""
        try:
            async with asyncio.timeout(within_s):
                await self._fill()
        except (TimeoutError, HungUp):
            return False
        return True

    async def exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            await self._fill()
        return self.take(size)

    async def some(self, most: int) -> bytes:
        """Read at least one byte and at most `most` or a block."""
        if self._buffer:
            return self.take(most)
        data = await self._arrived()
        while not data:
            data = await self._arrived()
        if len(data) > most:
            self._buffer += data[most:]
            return data[:most]
        return data  # as it came: bodies are large, and every copy costs

    def take(self, most: int) -> bytes:
        """What is there already, at most `most` bytes."""
        with memoryview(self._buffer) as view:
            data = bytes(view[:most])
        del self._buffer[:most]
        return data

    def take_descriptor(self) -> int | None:
        """The oldest descriptor that has arrived; the caller closes it."""
        return self._descriptors.popleft() if self._descriptors else None

    async def send(self, data: bytes) -> None:
        """Write all of `data`.

        Raises
        ------
        HungUp
            If the peer does not read any more, or hardly.
        """
        async with self._sending:
            when = _now() + self._patience.stall_s + len(data) / self._patience.rate_bytes_s
            view = memoryview(data)
            while view:
                try:
                    view = view[self._socket.send(view) :]
                except BlockingIOError:
                    loop = asyncio.get_running_loop()
                    try:
                        await self._ready(loop.add_writer, loop.remove_writer, when)
                    except TooSlow as e:
                        raise HungUp from e
                except OSError as e:
                    raise HungUp from e

    async def finish(self, *, within_s: float | None = None) -> None:
        """End our half, so that the peer reads the last reply, and wait for it to end its own.

        Closing at once, with bytes unread, would make the kernel reset the connection and throw that reply away. Who
        still sends is read over for `within_s` seconds (else `Patience.drain_s`), who is silent is not waited for long.
        """
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        end = _now() + (self._patience.drain_s if within_s is None else within_s)
        with contextlib.suppress(HungUp, TooSlow):
            while (left_s := end - _now()) > 0:
                self._buffer.clear()
                self._allow(min(left_s, self._patience.linger_s))
                await self._fill()

    def close(self) -> None:
        self._socket.close()
        while self._descriptors:
            os.close(self._descriptors.popleft())

    def _allow(self, seconds: float) -> None:
        self._deadline, self._body = _now() + seconds, None

    async def _fill(self) -> None:
        self._buffer += await self._arrived()

    async def _arrived(self) -> bytes:
        """Wait for bytes; b"" if there were none after all."""
        if self._ended:
            raise HungUp
        loop = asyncio.get_running_loop()
        await self._ready(loop.add_reader, loop.remove_reader, self._read_until())
        try:
            data = self._receive()
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._ended = True
            raise HungUp
        self.received += len(data)
        return data

    def _read_until(self) -> float | None:
        """Until when the next byte must be here."""
        if self._body is None:
            return self._deadline
        began, before = self._body
        stall_s = self._patience.stall_s
        average = began + stall_s + (self.received - before) / self._patience.rate_bytes_s
        when = min(_now() + stall_s, average)
        return when if self._deadline is None else min(when, self._deadline)

    async def _ready(
        self, watch: Callable[..., None], ignore: Callable[[int], object], when: float | None
    ) -> None:
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        number = self._socket.fileno()
        watch(number, _settle, ready)
        try:
            async with asyncio.timeout_at(when):
                await ready
        except TimeoutError as e:
            raise TooSlow from e
        finally:
            ignore(number)

    def _receive(self) -> bytes:
        if not self.is_unix:
            return self._socket.recv(BLOCK)
        room = socket.CMSG_SPACE(MOST_DESCRIPTORS * array.array("i").itemsize)
        data, extras, _, _ = self._socket.recvmsg(BLOCK, room, socket.MSG_CMSG_CLOEXEC)
        for level, kind, payload in extras:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._keep(payload)
        return data

    def _keep(self, payload: bytes) -> None:
        numbers = array.array("i")
        numbers.frombytes(payload[: len(payload) // numbers.itemsize * numbers.itemsize])
        for number in numbers:
            if len(self._descriptors) < MOST_DESCRIPTORS:
                self._descriptors.append(number)
            else:
                os.close(number)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
