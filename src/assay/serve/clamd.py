"""A server that speaks clamd's protocol: software that asks ClamAV today asks Assay without being changed.

What the five actions become is in `clamd_commands.verdict_words`; docs/protocols.md has the table.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from assay import __version__
from assay.serve.clamd_session import ClamdSettings, Service, Session
from assay.serve.counters import Counters
from assay.serve.exchange import Edition, Editions, Screen
from assay.serve.gate import Gate
from assay.serve.listener import Listener
from assay.serve.roots import Roots
from assay.serve.wire import Wire

__all__ = ["Clamd", "ClamdSettings"]

log = logging.getLogger(__name__)

# c-icap refuses a server whose version does not begin like this, and reads three numbers behind it.
LIKE = "ClamAV 1.4.0"


class Clamd:
    """The server. Call `listener.listen_tcp` and `listener.listen_unix` inside of a running event loop.

    Parameters
    ----------
    screen
        Answers for what arrives.
    settings
        What the operator decided.
    editions
        Tells the signatures in force, for VERSION.
    reload
        What RELOAD starts; None: the command is refused.
    """

    def __init__(
        self,
        screen: Screen,
        settings: ClamdSettings | None = None,
        *,
        editions: Editions = Edition,
        reload: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.settings = settings or ClamdSettings()
        self.counters = Counters()
        self._editions = editions
        self._reload = reload
        self._reloading: asyncio.Future[None] | None = None
        self._service = Service(
            settings=self.settings,
            gate=Gate(screen, budget_s=self.settings.budget_s, counters=self.counters),
            roots=Roots(self.settings.roots),
            counters=self.counters,
            version=self.version,
            statistics=self.statistics,
            reload=self._start_reloading if reload else None,
        )
        self.listener = Listener(
            self._serve,
            patience=self.settings.patience,
            counters=self.counters,
            refusal=b"Too many connections. ERROR\n",
            most_connections=self.settings.most_connections,
        )

    def version(self) -> str:
        """What VERSION answers: a version that clients can read, the serial of the signatures, and their time."""
        edition = self._editions()
        return f"{LIKE}-assay-{__version__}/{edition.serial}/{edition.published_at:%a %b %e %H:%M:%S %Y}"

    def statistics(self) -> str:
        """What STATS answers, in the lines that clamdtop looks for."""
        threads = f"live {self.counters.active}  idle 0 max {self.settings.most_connections}"
        memory = "heap N/A mmap N/A used N/A free N/A releasable N/A pools 0 pools_used N/A pools_total N/A"
        return "\n".join(
            (
                "POOLS: 1\n",
                "STATE: VALID PRIMARY",
                f"THREADS: {threads} idle-timeout {self.settings.patience.idle_s:.0f}",
                "QUEUE: 0 items\n",
                f"MEMSTATS: {memory}",
                "END",
            )
        )

    async def stop(self, grace_s: float = 10.0) -> None:
        await self.listener.stop(grace_s)
        if self._reloading is not None:
            await asyncio.wait({self._reloading}, timeout=grace_s)

    async def _serve(self, wire: Wire) -> None:
        session = Session(self._service, wire)
        try:
            await session.run()
        finally:
            await session.stop()

    def _start_reloading(self) -> None:
        """Start it unless it runs already; RELOAD is answered before it is done."""
        if self._reload is None or (self._reloading is not None and not self._reloading.done()):
            return
        self._reloading = asyncio.ensure_future(self._reload())
        self._reloading.add_done_callback(_reloaded)


def _reloaded(reloading: asyncio.Future[None]) -> None:
    if not reloading.cancelled() and (error := reloading.exception()) is not None:
        log.error("reloading failed", exc_info=error)
