"""The nouns. Frozen, without behaviour beyond what their fields imply; every other module speaks in them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SCHEMA = "assay/screening/1"


class Outcome(StrEnum):
    """What became of one examination. Only SCORED carries a number."""

    SCORED = "scored"
    NOT_APPLICABLE = "not_applicable"
    FAILED = "failed"
    TIMED_OUT = "timed_out"


class Kind(StrEnum):
    """What a manipulation is, a closed list."""

    FULL_SYNTHESIS = "full_synthesis"
    INPAINTING = "inpainting"
    SPLICE = "splice"
    COPY_MOVE = "copy_move"
    RETOUCH = "retouch"
    FACE_SWAP = "face_swap"
    REENACTMENT = "reenactment"
    SPEECH_SYNTHESIS = "speech_synthesis"
    VOICE_CONVERSION = "voice_conversion"
    KNOWN_FAKE = "known_fake"
    TAMPERED_CREDENTIAL = "tampered_credential"


class Label(StrEnum):
    FAKE = "fake"
    BONA_FIDE = "bona_fide"
    INCONCLUSIVE = "inconclusive"


class Why(StrEnum):
    """Why a verdict is inconclusive."""

    NOTHING_FOUND = "nothing_found"
    CONFLICTING = "conflicting"
    UNSTABLE = "unstable"
    TOO_LITTLE = "too_little"
    NOT_COVERED = "not_covered"
    FAILED = "failed"


class Action(StrEnum):
    DELIVER = "deliver"
    LABEL = "label"
    HOLD = "hold"
    QUARANTINE = "quarantine"
    REJECT = "reject"


class Status(StrEnum):
    SCREENED = "screened"
    REFUSED = "refused"
    UNSUPPORTED = "unsupported"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that was found: a code (a symbol, weighed by configuration) and a sentence for people."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Region:
    """A polygon in pixels of the upright picture; a box is its four corners, clockwise from the upper left."""

    points: tuple[tuple[float, float], ...]
    width: int  # of the upright picture, in pixels
    height: int
    score: float | None = None
    time_s: float | None = None  # in a video: the frame's time

    @classmethod
    def box(
        cls, x: float, y: float, w: float, h: float, *, width: int, height: int, score: float | None = None
    ) -> Region:
        return cls(((x, y), (x + w, y), (x + w, y + h), (x, y + h)), width, height, score)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of sound or video, in seconds from its start."""

    start_s: float
    end_s: float
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector may say of one view: a raw score, never a weight or a verdict.

    `heat` is an optional map (h, w) of uint8, any size up to 512 x 512, stretched over the upright picture by the
    report; 0 is nothing, 255 the strongest trace.
    """

    outcome: Outcome
    score: float | None = None
    reasons: tuple[Reason, ...] = ()
    regions: tuple[Region, ...] = ()
    segments: tuple[Segment, ...] = ()
    heat: NDArray[np.uint8] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if (self.score is not None) != (self.outcome is Outcome.SCORED):
            raise ValueError("only a scored finding carries a number, and it must")
        if self.score is not None and not math.isfinite(self.score):
            raise ValueError("a score must be finite")

    @classmethod
    def not_applicable(cls, code: str, text: str) -> Finding:
        return cls(Outcome.NOT_APPLICABLE, reasons=(Reason(code, text),))


@dataclass(frozen=True, slots=True)
class Sample:
    """Bytes that arrived: hashed, typed from their content, never from their name."""

    id: str
    sha256: str
    size: int
    media_type: str
    declared_type: str | None = None  # from the name's extension or the protocol
    received_at: datetime | None = None
    source: str = ""
    parent: str | None = None  # id of the sample this one was found in


@dataclass(frozen=True, slots=True)
class Evidence:
    """A finding, as the core records it. `llr` is None where no calibration covers it."""

    detector: str
    version: int
    family: str
    finding: Finding
    llr: float | None = None  # nats
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was examined, how well that works, and what was not looked at."""

    examined: tuple[str, ...] = ()
    recall: tuple[float, float] | None = None  # 90 % interval of the measured recall, None: not measured
    n: int = 0
    blind_spots: tuple[str, ...] = ()
    recall_kind: Kind | None = None  # of fakes that `recall` is about


@dataclass(frozen=True, slots=True)
class Rescored:
    """What the detectors that carried a decision say of a mildly re-encoded copy of the sample."""

    name: str  # of the re-encoding: "saved again at 92"
    size_px: tuple[int, int]  # (width, height) of the upright copy
    quality: int  # JPEG quality that it was saved at
    scores: Mapping[str, float | None]  # detector -> raw score; None: it did not speak


@dataclass(frozen=True, slots=True)
class Stability:
    """How a decision near its threshold fares when the sample is saved again."""

    llr: tuple[float, float]  # nats: the range over the sample and its copies
    flips: bool  # does any copy get the other answer?
    copies: tuple[Rescored, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    label: Label
    why: Why | None  # only of an inconclusive verdict
    summary: str
    llr: float
    threshold: float | None  # None: no threshold covers this group
    probability: float
    prior: float
    kinds: tuple[Kind, ...]
    disclosed: bool | None  # does the medium itself declare it? None: unknown
    evidence: tuple[Evidence, ...]
    coverage: Coverage
    calibration: str
    stability: Stability | None = None  # None: not near a threshold, or not asked


@dataclass(frozen=True, slots=True)
class Decision:
    action: Action
    rule: str
    policy_digest: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a sample has no verdict, and what to do about it."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Screening:
    """All that is known of one sample after one pass: the record, and one line of JSON."""

    sample: Sample
    path: str  # as given; surrogate escapes where the name is not UTF-8; "outer!member" inside a container
    status: Status
    screened_at: datetime
    assay_version: str
    verdict: Verdict | None = None
    decision: Decision | None = None
    error: Problem | None = None
    warnings: tuple[str, ...] = ()
    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    quarantine_id: str | None = None
    size_px: tuple[int, int] | None = None  # (width, height) of the upright picture or frame
    duration_s: float | None = None
    preview: Preview | None = field(default=None, compare=False)
    children: tuple[Screening, ...] = ()
    quality: int | None = None  # of a JPEG, estimated: kept in the record, since calibration depends on it
    traces: Traces | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Traces:
    """What the record keeps of a sample beside its findings, so that later questions need no sample."""

    prints: Mapping[str, bytes] = field(default_factory=dict)  # format -> fingerprint (`signatures.prints`)
    matched: tuple[tuple[str, str], ...] = ()  # signatures that it is near to: (list, id)


@dataclass(frozen=True, slots=True)
class Preview:
    """Small upright pictures for reviewers: one of an image, several (with times) of a video."""

    pictures: tuple[NDArray[np.uint8], ...]  # each (h, w, 3), at most 480 pixels long
    times_s: tuple[float, ...] = ()


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


MediaFamily = Literal["image", "video", "audio", "archive", "document", "mail", "other"]
JSON = dict[str, Any]
