"""The gateway: every protocol on one engine, started together, stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.errors import AssayError
from assay.serve.answers import Asked
from assay.serve.clamd import Clamd, ClamdSettings
from assay.serve.counters import Counters
from assay.serve.folder import Folder
from assay.serve.icap import Icap, IcapSettings

if TYPE_CHECKING:
    from assay.serve.api.server import Server
    from assay.serve.engine import Engine

log = logging.getLogger(__name__)

HUNT_S = 30.0  # between two looks whether the rules have changed


@dataclass(slots=True)
class Gateway:
    """The servers of one process. `start` inside of a running loop, `stop` at the end.

    Parameters
    ----------
    engine
        Opened already.
    """

    engine: Engine
    listening: dict[str, str] = field(default_factory=dict)  # what listens, and where
    _clamd: Clamd | None = None
    _icap: Icap | None = None
    _http: Server | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def start(self) -> None:
        """Bind everything that the settings name, then serve.

        Raises
        ------
        ConfigError
            If an address cannot be bound, or is open to others without an allow list; nothing listens then.
        """
        try:
            self._listen()
        except BaseException:
            await self.stop()
            raise

    def _listen(self) -> None:
        serve, limit = self.engine.settings.serve, self.engine.settings.limits.size_bytes
        screen = Asked(self.engine.intake)
        spool = str(self.engine.spool)
        if serve.clamd or serve.clamd_socket:
            chosen = ClamdSettings(
                stream_bytes=limit,
                spool=spool,
                roots=serve.roots,
                hold_is_error=serve.hold_is_error,
                budget_s=serve.budget_s,
            )
            self._clamd = Clamd(screen, chosen, editions=self.engine.edition, reload=self._reload)
            if serve.clamd:
                host, port = _split(serve.clamd)
                port = self._clamd.listener.listen_tcp(host, port, allow=serve.allow)
                self.listening["clamd"] = f"{host}:{port}"
            if serve.clamd_socket:
                self._clamd.listener.listen_unix(serve.clamd_socket)
                self.listening["clamd socket"] = serve.clamd_socket
        if serve.icap:
            host, port = _split(serve.icap)
            self._icap = Icap(
                screen,
                IcapSettings(body_bytes=limit, spool=spool, budget_s=serve.budget_s),
                editions=self.engine.edition,
            )
            port = self._icap.listener.listen_tcp(host, port, allow=serve.allow)
            self.listening["icap"] = f"icap://{host}:{port}/"
        for path in serve.folders:
            folder = Folder(path, self.engine.intake, self.engine.stores, limit)
            self._tasks.append(asyncio.create_task(folder.run(), name=f"folder {path}"))
            self.listening[f"folder {path}"] = "watched"
        self._tasks.append(asyncio.create_task(self._hunt(), name="retrohunt"))
        if serve.http:
            self._serve_http(*_split(serve.http))

    def _serve_http(self, host: str, port: int) -> None:
        from assay.serve.api.app import application
        from assay.serve.api.server import Server

        settings, counters = self.engine.settings, Counters()
        others = {"clamd": self._clamd, "icap": self._icap}
        app = application(
            self.engine.intake,
            self.engine.stores,
            settings,
            counters,
            webhooks=self.engine.webhooks,
            protocols={name: s.counters for name, s in others.items() if s is not None},
        )
        self._http = Server(
            app,
            most_connections=settings.api.requests,
            counters=counters,
            grace_s=settings.serve.drain_s,
        )
        port = self._http.listen_tcp(host, port, allow=settings.serve.allow)
        self._tasks.append(asyncio.create_task(self._http.run(), name="http"))
        self.listening["http"] = f"http://{host}:{port}/"

    async def stop(self) -> None:
        """Accept nothing more, let requests finish within `serve.drain_s`, then cut them off."""
        grace = self.engine.settings.serve.drain_s
        ends: list[Awaitable[None]] = [s.stop(grace) for s in (self._clamd, self._icap) if s is not None]
        if self._http is not None:
            self._http.stop()
        await asyncio.gather(*ends)
        for task in self._tasks:
            if task.get_name() != "http":
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace + 5)
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        self.listening.clear()

    async def _hunt(self) -> None:
        while True:
            await asyncio.sleep(HUNT_S)
            try:
                await asyncio.to_thread(self.engine.hunt)
            except AssayError as e:
                log.warning("the retrohunt waits: %s", e.message)
            except Exception:
                log.exception("the retrohunt failed and goes on")

    async def _reload(self) -> None:
        await asyncio.to_thread(self.engine.reload)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
