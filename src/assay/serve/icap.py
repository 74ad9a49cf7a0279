"""A server that speaks ICAP (RFC 3507): proxies and mail filters send messages here before they let them through.

What the five actions become is in docs/protocols.md.
"""

from __future__ import annotations

import hashlib

from assay import __version__
from assay.serve.counters import Counters
from assay.serve.exchange import Edition, Editions, Screen
from assay.serve.gate import Gate
from assay.serve.icap_messages import response
from assay.serve.icap_screening import Examination
from assay.serve.icap_session import IcapSettings, Service, Session
from assay.serve.listener import Listener
from assay.serve.wire import Wire

__all__ = ["Icap", "IcapSettings"]

PROGRAM = f"Assay/{__version__}"


class Icap:
    """The server. Call `listener.listen_tcp` inside of a running event loop.

    Parameters
    ----------
    screen
        Answers for what arrives.
    settings
        What the operator decided.
    editions
        Tells the signatures and the calibration in force, for ISTag.
    """

    def __init__(
        self, screen: Screen, settings: IcapSettings | None = None, *, editions: Editions = Edition
    ) -> None:
        self.settings = settings or IcapSettings()
        self.counters = Counters()
        self._editions = editions
        gate = Gate(screen, budget_s=self.settings.budget_s, counters=self.counters)
        self._service = Service(
            settings=self.settings,
            examination=Examination(gate, self.settings.spool, self.settings.decoded_bytes),
            counters=self.counters,
            istag=self.istag,
            program=PROGRAM,
        )
        self.listener = Listener(
            self._serve,
            patience=self.settings.patience,
            counters=self.counters,
            refusal=response(503, {"Connection": "close", "Encapsulated": "null-body=0"}),
            most_connections=self.settings.most_connections,
        )

    def istag(self) -> str:
        """The state of this service, at most 32 characters (RFC 3507, 4.7): other signatures make another tag."""
        edition = self._editions()
        digest = hashlib.sha256(f"{__version__} {edition.calibration}".encode()).hexdigest()
        return f'"{edition.serial % 10**12}-{digest[:12]}"'

    async def stop(self, grace_s: float = 10.0) -> None:
        await self.listener.stop(grace_s)

    async def _serve(self, wire: Wire) -> None:
        await Session(self._service, wire).run()
