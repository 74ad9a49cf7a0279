"""The nouns between a protocol and the gateway: what is submitted, what is answered, and who answers.

A protocol server spools what arrives, asks a `Screen`, and turns the `Answer` into its own words. It knows nothing of
pipelines, records or queues; whoever starts it hands it the callable.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol

from assay.types import Action, Decision, Kind, MediaFamily


class Gap(StrEnum):
    """Why a sample was not examined, or not to its end. The policy has a line for each; none is passed unsaid."""

    OVER_LIMIT = "over-limit"
    ENCRYPTED = "encrypted"
    UNDECODABLE = "undecodable"
    UNSUPPORTED = "unsupported"
    PARTIAL = "partial"  # a byte range of something: HTTP 206
    PENDING = "pending"  # not finished within the budget; a later attempt is answered by digest
    FAULT = "fault"  # the gateway itself failed


# Media that will be refused in the same way however often they are sent: deferring them would defer them for ever.
OF_THE_MEDIUM = frozenset({Gap.OVER_LIMIT, Gap.ENCRYPTED, Gap.UNDECODABLE, Gap.UNSUPPORTED, Gap.PARTIAL})


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """Bytes that a client handed over, spooled, and what the protocol knows of them.

    The descriptor belongs to the server and is closed as soon as the screen has answered or was cancelled: who goes on
    working with it (a thread, a queue) duplicates it first.
    """

    descriptor: int  # read-only
    size: int  # bytes behind the descriptor
    sha256: str  # of these bytes
    protocol: str  # "clamd" or "icap"
    command: str  # INSTREAM, FILDES, SCAN ..., REQMOD, RESPMOD
    client: str = ""  # the peer's address, or "unix"; personal data
    name: str = ""  # as declared; personal data, never believed, never logged
    declared_type: str | None = None
    gap: Gap | None = None  # the protocol knows already that it cannot be examined: only the policy is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What shall become of a submission, and enough of the verdict to name it."""

    decision: Decision
    summary: str = ""  # a sentence for people; may be shown to the client's user
    media: MediaFamily = "other"
    kinds: tuple[Kind, ...] = ()
    probability: float | None = None  # of being fake at the configured prior; the band in a name
    gap: Gap | None = None
    reference: str = ""  # by which a reviewer finds it
    threat: str = ""  # a name that stands for itself; else it is made from what is above

    @property
    def action(self) -> Action:
        return self.decision.action

    @property
    def blocks(self) -> bool:
        """Is it kept from its receiver, for now or for good?"""
        return self.action in (Action.HOLD, Action.QUARANTINE, Action.REJECT)


class Screen(Protocol):
    """Answers for one submission within `budget_s` seconds; what takes longer is answered with `Gap.PENDING`.

    It is cancelled if it overruns its budget, and an exception counts as `Gap.FAULT`; both are held.
    """

    def __call__(self, submission: Submission, /, *, budget_s: float) -> Awaitable[Answer]: ...


@dataclass(frozen=True, slots=True)
class Edition:
    """Which signatures and calibration answer: for clamd's VERSION and ICAP's ISTag. Clients drop their caches by it."""

    serial: int = 0  # of the signature packs
    published_at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    calibration: str = ""


Editions = Callable[[], Edition]


def strictest(answers: Iterable[Answer]) -> Answer | None:
    """The answer that is followed where several samples travel together; None of none."""
    order = list(Action)
    return max(answers, key=lambda answer: order.index(answer.action), default=None)


def held(gap: Gap, summary: str) -> Answer:
    """The answer where the screen gives none: nothing is passed unsaid."""
    return Answer(decision=Decision(Action.HOLD, str(gap), ""), summary=summary, gap=gap)
