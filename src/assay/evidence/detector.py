"""The public interface of a detector: a card and one method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from assay.media.views import AudioClip, Container, Image, VideoClip
from assay.types import Finding, Kind

View = TypeVar("View", Image, AudioClip, VideoClip, Container, contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a detector is. The core reads it; the detector never sets its own weight."""

    name: str  # snake_case, also the module's name: the trace it reads (jpeg_grid), not a paper's name
    version: int  # raise it whenever any score can change: its old calibration is void
    reads: type[Any]  # Image | AudioClip | VideoClip | Container
    family: str  # fusion caps the sum of a family
    claims: frozenset[Kind]
    summary: str  # one line for the reviewer
    source: str  # paper (DOI) or standard
    licence: str  # of code and weights
    models: tuple[str, ...] = ()  # names of weights; each reaches the constructor as an open session
    frames: bool = False  # for readers of Image: does it apply to frames of a video too?


class Detector(Protocol[View]):
    """Examine one decoded view. No clock, disk, network or global state.

    A detector whose card names `models` is constructed with one argument, a mapping from model name to an open
    ``onnxruntime.InferenceSession``; any other is constructed without arguments.
    """

    card: ClassVar[Card]

    def examine(self, view: View, /) -> Finding: ...
