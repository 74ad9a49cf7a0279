"""The listening side of HTTP: uvicorn, with the deadlines and bounds that it lacks.

TLS is the proxy's in front. What uvicorn leaves open is closed here: a client that never ends its head, one that is gone
without a word, more connections than agreed, addresses that nobody allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, ClassVar

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from assay.serve.addresses import Network, listening_tcp, may_connect, networks

if TYPE_CHECKING:
    from fastapi import FastAPI

    from assay.serve.counters import Counters

log = logging.getLogger(__name__)

HEAD_S = 30.0  # for a whole head, from the connection or from its first byte
HEAD_BYTES = 1 << 14
IDLE_S = 30  # between two requests
LINGER_S = 2.0  # closing with bytes unread would throw the answer away
SILENT_S = 60  # after which the kernel asks whether the peer is still there
BAD = {"code": "bad_request", "message": "This is not HTTP, or its head is too large.", "hint": ""}


class Server:
    """One application on its addresses. Call `listen_tcp`, then `run` in the event loop; `stop` ends it.

    Parameters
    ----------
    app
        Made by `app.application`.
    most_connections
        With a request under way; beyond twice as many, connections are closed at once.
    counters
        Where connections are counted.
    grace_s
        How long what is under way may go on after `stop`.
    """

    def __init__(
        self,
        app: FastAPI,
        *,
        most_connections: int,
        counters: Counters,
        grace_s: float = 10.0,
        head_s: float = HEAD_S,
    ) -> None:
        self._sockets: list[socket.socket] = []
        agreed = {"most": most_connections, "counters": counters, "head_s": head_s}
        self._protocol: type[Protocol] = type("Agreed", (Protocol,), agreed)
        config = uvicorn.Config(
            app,
            http=self._protocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=max(1, round(grace_s)),
            h11_max_incomplete_event_size=HEAD_BYTES,
        )
        self._server = _Quiet(config)

    def listen_tcp(self, host: str = "127.0.0.1", port: int = 0, *, allow: Sequence[str] = ()) -> int:
        """Listen on an address; returns the port. See `addresses` for what is refused."""
        self._protocol.allowed = networks(allow)
        listening = listening_tcp(host, port, self._protocol.allowed)
        self._sockets.append(listening)
        return int(listening.getsockname()[1])

    async def run(self) -> None:
        """Serve until `stop` is called."""
        try:
            await self._server.serve(sockets=self._sockets)
        finally:
            for listening in self._sockets:
                listening.close()

    def stop(self) -> None:
        """Accept no more, let what is under way finish within the grace, then end `run`."""
        self._server.should_exit = True


class _Quiet(uvicorn.Server):
    """Leaves signals to whoever started the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


class Protocol(H11Protocol):
    """One connection."""

    most: ClassVar[int]
    counters: ClassVar[Counters]
    head_s: ClassVar[float]
    allowed: ClassVar[tuple[Network, ...]] = ()
    _late: asyncio.TimerHandle | None = None
    _is_refused = False  # answered, and only kept open until the peer has read that

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.access_log = False  # a line of uvicorn's would hold paths with names and signatures
        self.counters.connections += 1
        self.counters.active = len(self.connections)
        peer = transport.get_extra_info("peername")
        is_allowed = not isinstance(peer, tuple) or may_connect(str(peer[0]), self.allowed)
        if not is_allowed or len(self.connections) > 2 * self.most:  # the front tells the first half
            self.counters.turned_away += 1
            transport.abort()
            return
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENT_S)
        self._watch()

    def data_received(self, data: bytes) -> None:
        self.counters.received_bytes += len(data)
        if self._is_refused:
            return
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unwatch()
        self._unset_keepalive_if_required()
        self.counters.active = len(self.connections)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  it is not JSON
        self.counters.protocol_errors += 1
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        content = json.dumps({"error": BAD}).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(content)),
            (b"connection", b"close"),
        ]
        for event in (
            h11.Response(status_code=400, headers=headers),
            h11.Data(data=content),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self._is_refused = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._unwatch()
        self._late = self.loop.call_later(LINGER_S, self.transport.close)

    def _watch(self) -> None:
        """Hold a client to its time while it owes a head."""
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            if self._late is None and self.timeout_keep_alive_task is None:
                self._late = self.loop.call_later(self.head_s, self._too_late)
        else:
            self._unwatch()

    def _unwatch(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        self.counters.timeouts += 1
        log.info("a connection was ended: its head did not come in time")
        self.transport.abort()
