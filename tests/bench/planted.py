"""Tiny detectors for the tests of the bench; importable, since worker processes unpickle them."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from assay.evidence.detector import Card
from assay.media.views import AudioClip, Container, Image
from assay.types import Finding, Kind, Outcome, Reason, Region


def card(name: str, reads: type, version: int = 1) -> Card:
    return Card(
        name=name,
        version=version,
        reads=reads,
        family=name,
        claims=frozenset({Kind.FULL_SYNTHESIS}),
        summary="planted by a test",
        source="none",
        licence="Apache-2.0",
    )


def scored(value: float, *regions: Region) -> Finding:
    return Finding(Outcome.SCORED, float(value), (Reason("planted", "it was planted"),), regions)


@dataclass(frozen=True)
class Brightness:
    """Scores the mean of the pixels, and counts its examinations in a file."""

    tally: Path | None = None
    card: ClassVar[Card] = card("brightness", Image)

    def examine(self, view: Image) -> Finding:
        if self.tally is not None:
            descriptor = os.open(self.tally, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, (hashlib.sha256(view.coded.tobytes()).hexdigest() + "\n").encode())
            os.close(descriptor)
        height, width = view.upright.shape[:2]
        left = Region.box(0, 0, width / 2, height, width=width, height=height)
        return scored(float(np.mean(view.coded)), left)


@dataclass(frozen=True)
class Newer(Brightness):
    card: ClassVar[Card] = card("brightness", Image, version=2)


@dataclass(frozen=True)
class Marks:
    """Reads metadata alone: whether any text chunk or comment says how it was made."""

    card: ClassVar[Card] = card("marks", Container)

    def examine(self, view: Container) -> Finding:
        return scored(1.0 if any("steps" in text for text in view.metadata.values()) else 0.0)


@dataclass(frozen=True)
class Wrapping:
    """Reads of a picture what is no pixel: its type, tables, profile, orientation."""

    card: ClassVar[Card] = card("wrapping", Image)

    def examine(self, view: Image) -> Finding:
        return scored(2.0 * (view.media_type == "image/png") + len(view.icc) + view.orientation)


@dataclass(frozen=True)
class Landscape(Brightness):
    """Speaks of pictures that are wider than high, and of no other."""

    card: ClassVar[Card] = card("landscape", Image)

    def examine(self, view: Image) -> Finding:
        height, width = view.upright.shape[:2]
        if width <= height:
            return Finding.not_applicable("upright", "It is not wider than high.")
        return super().examine(view)


@dataclass(frozen=True)
class Watermark(Brightness):
    """Reads a mark in the pixels."""

    card: ClassVar[Card] = replace(card("watermark", Image), family="watermark")


@dataclass(frozen=True)
class Loudness:
    card: ClassVar[Card] = card("loudness", AudioClip)

    def examine(self, view: AudioClip) -> Finding:
        return scored(float(np.abs(view.samples).mean()))


@dataclass(frozen=True)
class Crashing:
    card: ClassVar[Card] = card("crashing", Image)

    def examine(self, view: Image) -> Finding:
        raise RuntimeError("it broke")


@dataclass(frozen=True)
class Deadly:
    """Takes its process down, as a fault in native code does."""

    card: ClassVar[Card] = card("deadly", Image)

    def examine(self, view: Image) -> Finding:
        os.abort()


@dataclass(frozen=True)
class Slow:
    seconds: float = 3600.0
    card: ClassVar[Card] = card("slow", Image)

    def examine(self, view: Image) -> Finding:
        time.sleep(self.seconds)
        return scored(0.0)
