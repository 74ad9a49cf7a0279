"""Which detectors there are: a declared tuple of built-in ones, and the entry-point group ``assay.detectors``.

A detector of somebody else comes in through the same interface; a broken one is reported and left out, it never
takes the others down.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any

from assay.evidence.detector import Card

GROUP = "assay.detectors"
BUILT_IN = (
    "assay.evidence.detectors.content_credentials:ContentCredentials",
    "assay.evidence.detectors.generator_metadata:GeneratorMetadata",
    "assay.evidence.detectors.container_structure:ContainerStructure",
    "assay.evidence.detectors.jpeg_grid:JpegGrid",
    "assay.evidence.detectors.double_jpeg:DoubleJpeg",
    "assay.evidence.detectors.jpeg_ghost:JpegGhost",
    "assay.evidence.detectors.copy_move:CopyMove",
    "assay.evidence.detectors.demosaicing:Demosaicing",
    "assay.evidence.detectors.invisible_watermark:InvisibleWatermark",
    "assay.evidence.detectors.learned_image:LearnedImage",
    "assay.evidence.detectors.learned_edit:LearnedEdit",
    "assay.evidence.detectors.decoder_residual:DecoderResidual",
    "assay.evidence.detectors.face_blend:FaceBlend",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A registered detector class, or why it cannot be used."""

    reference: str  # "module:Class"
    detector: type[Any] | None
    problem: str = ""

    @property
    def card(self) -> Card:
        if self.detector is None:
            raise LookupError(self.problem)
        card: Card = self.detector.card
        return card


def references() -> tuple[str, ...]:
    """Every registered detector, built-in ones first, in the order in which they examine."""
    foreign = sorted({point.value for point in entry_points(group=GROUP)} - set(BUILT_IN))
    return (*BUILT_IN, *foreign)


def entries() -> Iterator[Entry]:
    """Load every registered class; names are unique, the first one wins."""
    seen: set[str] = set()
    for reference in references():
        entry = load(reference)
        if entry.detector is not None and entry.card.name in seen:
            entry = Entry(reference, None, f"another detector is called {entry.card.name} already")
        elif entry.detector is not None:
            seen.add(entry.card.name)
        yield entry


def load(reference: str) -> Entry:
    module, _, name = reference.partition(":")
    try:
        detector = getattr(importlib.import_module(module), name)
        if not isinstance(detector.card, Card):
            return Entry(reference, None, f"{reference} has no Card")
    except (ImportError, AttributeError, SyntaxError, TypeError, ValueError) as e:
        return Entry(reference, None, f"{reference} cannot be loaded: {e}")
    return Entry(reference, detector)
