"""Who examines: the detectors that ship, or whatever else follows the same protocol.

A panel travels to worker processes, so it must be picklable; its detectors are made there. What decides a score beside
the detector's version and the bytes (which fold a head was trained on) goes into the stamp, and with it into the cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from assay.bench.manifest import Entry
from assay.errors import AssayError, ModelError
from assay.evidence import models, registry
from assay.evidence.detector import Card
from assay.media.views import Container


class Panel(Protocol):
    """Detectors by sample."""

    @property
    def cards(self) -> tuple[Card, ...]:
        """All detectors, in the order in which they examine."""
        ...

    def stamp(self, name: str, entry: Entry) -> str:
        """What decides a score beside version and bytes; a word without blanks, "" if nothing does."""
        ...

    def detectors_for(self, entry: Entry) -> Mapping[str, Any]:
        """Open the detectors that may examine this sample; called in the worker, cheap the second time."""
        ...


class Shipped:
    """The registered detectors as they are, with the weights of this machine.

    Parameters
    ----------
    names : sequence of str
        Of those to take; none: all that can be opened here.
    models_dir : Path

    Raises
    ------
    AssayError
        If there is no such detector, or one that was named lacks its weights.
    """

    def __init__(self, names: Sequence[str], models_dir: Path) -> None:
        self._models_dir = models_dir
        self._open: dict[str, Any] | None = None
        self.warnings: list[str] = []
        known = {e.card.name: e.card for e in registry.entries() if e.detector is not None}
        unknown = [n for n in names if n not in known]
        if unknown:
            raise AssayError(
                f"there is no detector {', '.join(unknown)}",
                code="detector",
                hint=f"There are {', '.join(known)}.",
            )
        self._cards = tuple(
            c for n, c in known.items() if (not names or n in names) and self._has_weights(c, names)
        )

    def _has_weights(self, card: Card, names: Sequence[str]) -> bool:
        known = models.catalogue()
        lacking = [
            n
            for n in card.models
            if n not in known or models.state(known[n], self._models_dir) is not models.State.PRESENT
        ]
        if not lacking:
            return True
        message, hint = f"{card.name} lacks its weights ({', '.join(lacking)})", "assay models pull"
        if card.name in names:
            raise ModelError(message, code="model_missing", hint=hint)
        self.warnings.append(f"{message} and is left out: {hint}")
        return False

    @property
    def cards(self) -> tuple[Card, ...]:
        return self._cards

    def stamp(self, name: str, entry: Entry) -> str:  # noqa: ARG002 - the protocol's
        return ""

    def detectors_for(self, entry: Entry) -> Mapping[str, Any]:  # noqa: ARG002 - one set serves all
        if self._open is None:
            self._open = opened(self._cards, self._models_dir)
        return self._open

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}  # sessions stay where they were opened


def opened(cards: Sequence[Card], models_dir: Path) -> dict[str, Any]:
    """Construct registered detectors, each model opened once."""
    names = {c.name for c in cards}
    classes = {e.card.name: e.detector for e in registry.entries() if e.detector and e.card.name in names}
    wanted = sorted({m for c in cards for m in c.models})
    sessions = models.sessions(wanted, models_dir) if wanted else {}
    made: dict[str, Any] = {}
    for card in cards:
        detector = classes[card.name]
        own = {m: sessions[m] for m in card.models}
        made[card.name] = detector(own) if own else detector()
    return made


@dataclass(frozen=True, slots=True)
class Fixed:
    """Detectors that are at hand already, for tests and for detectors under development."""

    detectors: tuple[Any, ...]

    @property
    def cards(self) -> tuple[Card, ...]:
        return tuple(d.card for d in self.detectors)

    def stamp(self, name: str, entry: Entry) -> str:  # noqa: ARG002
        return ""

    def detectors_for(self, entry: Entry) -> Mapping[str, Any]:  # noqa: ARG002
        return {d.card.name: d for d in self.detectors}


def reads_metadata(card: Card) -> bool:
    """Does it read what stands around the pixels, or a mark in them, so that it is switched off where both are removed?"""
    return card.reads is Container or card.family == "watermark"
