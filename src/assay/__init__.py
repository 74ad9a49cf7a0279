"""Assay: an antivirus and a spam filter for synthetic media.

``screen`` answers for one sample; ``Screener`` keeps its workers warm for many. Everything else in ``__all__`` is a noun
that they return.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from assay.version import __version__ as __version__

if TYPE_CHECKING:
    from assay.errors import AssayError
    from assay.evidence.detector import Card, Detector
    from assay.media.views import AudioClip, Container, Image, VideoClip
    from assay.pipeline import Screener
    from assay.settings import Settings
    from assay.types import (
        Action,
        Coverage,
        Decision,
        Evidence,
        Finding,
        Kind,
        Label,
        Outcome,
        Reason,
        Region,
        Sample,
        Screening,
        Segment,
        Status,
        Verdict,
        Why,
    )


_HOMES = {
    "assay.errors": ("AssayError",),
    "assay.evidence.detector": ("Card", "Detector"),
    "assay.media.views": ("AudioClip", "Container", "Image", "VideoClip"),
    "assay.pipeline": ("Screener",),
    "assay.settings": ("Settings",),
    "assay.types": (
        *("Action", "Coverage", "Decision", "Evidence", "Finding", "Kind", "Label", "Outcome", "Reason"),
        *("Region", "Sample", "Screening", "Segment", "Status", "Verdict", "Why"),
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Action",
    "AssayError",
    "AudioClip",
    "Card",
    "Container",
    "Coverage",
    "Decision",
    "Detector",
    "Evidence",
    "Finding",
    "Image",
    "Kind",
    "Label",
    "Outcome",
    "Reason",
    "Region",
    "Sample",
    "Screener",
    "Screening",
    "Segment",
    "Settings",
    "Status",
    "Verdict",
    "VideoClip",
    "Why",
    "screen",
]


def screen(
    source: str | Path | bytes | BinaryIO, *, name: str = "", settings: Settings | None = None
) -> Screening:
    """Screen one sample, with all that it carries, and store nothing.

    Starting the workers takes about a second; use `Screener` for more than a few.

    Parameters
    ----------
    source
        A path, the bytes themselves, or a binary stream that is read to its end.
    name
        What to call bytes or a stream; its extension is compared with the content.
    settings
        Instead of those of the usual configuration files.

    Returns
    -------
    screening : Screening
        `verdict` is None where `error` says why. What lies inside of a container is in `children`.
    """
    from assay import config
    from assay.pipeline import Screener

    with Screener(settings or config.load()) as screener:
        if isinstance(source, bytes):
            return screener.screen_bytes(source, name or "bytes")
        if isinstance(source, str | Path):
            return screener.screen_path(os.fspath(source))
        return screener.screen_stream(source, name or "stream")


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: `assay --help` needs none of it."""
    if name in _HOME_OF:
        return getattr(importlib.import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'assay' has no attribute {name!r}")
