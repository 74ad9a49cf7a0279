"""Accepts connections, gives each a task of its own, bounds their number, and drains them when the server stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence

from assay.serve.addresses import Network, listening_tcp, listening_unix, may_connect, networks
from assay.serve.counters import Counters
from assay.serve.wire import HungUp, Patience, TooSlow, Wire

log = logging.getLogger(__name__)

PAUSE_S = 0.1  # after an accept that failed: descriptors may be free again by then
LOOK_S = 0.02  # between two looks for connections that have become idle while draining


class Listener:
    """The sockets of one protocol server.

    Parameters
    ----------
    session
        Serves one connection; returns when it is over.
    refusal
        What a connection over the limit is told.
    most_connections
        Open at once; each has a descriptor, a task, and a spool file while it sends.
    """

    def __init__(
        self,
        session: Callable[[Wire], Awaitable[None]],
        *,
        patience: Patience,
        counters: Counters,
        refusal: bytes,
        most_connections: int,
    ) -> None:
        self._session = session
        self._patience = patience
        self._counters = counters
        self._refusal = refusal
        self._most = most_connections
        self._sockets: dict[socket.socket, asyncio.TimerHandle | None] = {}  # and the end of its pause
        self._paths: dict[str, os.stat_result] = {}
        self._open: dict[asyncio.Task[None], Wire] = {}
        self._turning_away: dict[asyncio.Task[None], Wire] = {}

    def listen_tcp(self, host: str = "127.0.0.1", port: int = 0, *, allow: Sequence[str] = ()) -> int:
        """Listen on an address; returns the port. See `addresses` for what is refused."""
        allowed = networks(allow)
        listening = listening_tcp(host, port, allowed)
        self._accept_on(listening, allowed)
        return int(listening.getsockname()[1])

    def listen_unix(self, path: str, *, mode: int = 0o660) -> None:
        """Listen on a unix socket that its owner and group may use."""
        listening = listening_unix(path, mode)
        self._paths[path] = os.lstat(path)
        self._accept_on(listening, ())

    async def stop(self, grace_s: float = 10.0) -> None:
        """Accept no more, end what is idle, let what is under way finish for `grace_s` seconds, then cut it off."""
        loop = asyncio.get_running_loop()
        for listening, pause in self._sockets.items():
            if pause is not None:
                pause.cancel()
            loop.remove_reader(listening)
            listening.close()
        self._sockets.clear()
        for path, made in self._paths.items():
            with contextlib.suppress(OSError):
                if os.path.samestat(os.lstat(path), made):  # else another server has taken the name over
                    os.unlink(path)
        self._paths.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while self._open:
                    self._end(lambda wire: wire.idle)
                    await asyncio.sleep(LOOK_S)
        self._end(lambda _: True)
        if left := {*self._open, *self._turning_away}:
            await asyncio.wait(left)

    def _end(self, which: Callable[[Wire], bool]) -> None:
        for task, wire in list(self._open.items()):
            if which(wire):
                task.cancel()

    def _accept_on(self, listening: socket.socket, allowed: tuple[Network, ...]) -> None:
        # A callback, no task: cancelling one that waits for a connection may lose the one that has just come.
        self._sockets[listening] = None
        asyncio.get_running_loop().add_reader(listening, self._accept, listening, allowed)

    def _accept(self, listening: socket.socket, allowed: tuple[Network, ...]) -> None:
        try:
            connection, address = listening.accept()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as e:  # out of descriptors; a client that is gone already
            log.warning("a connection could not be accepted: %s", e.strerror)
            loop = asyncio.get_running_loop()
            loop.remove_reader(listening)
            self._sockets[listening] = loop.call_later(PAUSE_S, self._accept_on, listening, allowed)
            return
        connection.setblocking(False)
        peer = "unix" if listening.family == socket.AF_UNIX else str(address[0])
        self._admit(Wire(connection, self._patience, peer), allowed)

    def _admit(self, wire: Wire, allowed: tuple[Network, ...]) -> None:
        self._counters.connections += 1
        create = asyncio.get_running_loop().create_task
        if not wire.is_unix and not may_connect(wire.peer, allowed):
            self._counters.turned_away += 1
            wire.close()
            return
        if len(self._open) >= self._most:
            self._counters.turned_away += 1
            if len(self._turning_away) >= self._most:
                wire.close()
                return
            telling = create(self._turn_away(wire))
            self._turning_away[telling] = wire
            telling.add_done_callback(lambda told: self._turning_away.pop(told).close())
            return
        task = create(self._serve(wire))
        self._open[task] = wire
        self._counters.active = len(self._open)
        task.add_done_callback(self._over)

    async def _serve(self, wire: Wire) -> None:
        try:
            await self._session(wire)
            await wire.finish()
        except HungUp:
            pass
        except TooSlow:
            self._counters.timeouts += 1
        finally:
            self._counters.received_bytes += wire.received

    async def _turn_away(self, wire: Wire) -> None:
        try:
            await wire.send(self._refusal)
            await wire.finish(within_s=self._patience.linger_s)
        except (HungUp, TooSlow):
            pass

    def _over(self, task: asyncio.Task[None]) -> None:
        self._open.pop(task).close()  # here, since a task that is cancelled before it starts closes nothing
        self._counters.active = len(self._open)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._counters.faults += 1
            log.error("a connection ended in a fault", exc_info=error)
