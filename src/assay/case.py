"""One sample while the pipeline examines it: what has been gathered, what was left out, what its troubles are called."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from assay.errors import Failed, SampleError, Unsupported
from assay.evidence.panel import Member
from assay.ingest.admission import Arrival
from assay.ingest.budget import Budget
from assay.media.decoder import Packed, picture
from assay.media.identify import UNKNOWN, family_of
from assay.media.jail.arena import read_arena
from assay.media.quality import estimated_quality
from assay.media.views import Container
from assay.signatures.library import Library
from assay.traces import Tracer
from assay.types import Action, Decision, Evidence, Preview, Rescored, Sample, Screening, Status
from assay.verdict.calibration import Context

# What reading an answer raises that is not of the form that a decoder of ours gives.
MALFORMED = (LookupError, TypeError, ValueError, ArithmeticError, AttributeError)

WORKER_LOST = ("worker_crashed", "worker_timed_out", "worker_out_of_memory", "malformed_answer")


@dataclass(slots=True)
class Case:
    """One sample while it is examined."""

    sample: Sample
    path: str
    arrival: Arrival
    depth: int
    budget: Budget
    started: float = field(default_factory=time.perf_counter)
    cpu_s: float = field(default_factory=lambda: -time.thread_time())
    warnings: list[str] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    container: Container | None = None
    rescored: tuple[Rescored, ...] = ()  # what re-encoded copies of it score
    children: list[Screening] = field(default_factory=list)
    preview: Preview | None = None
    size_px: tuple[int, int] | None = None
    duration_s: float | None = None
    unread: list[str] = field(default_factory=list)  # what was not looked at, in words
    tracer: Tracer = field(default_factory=lambda: Tracer(Library()))

    def note(self, packed: Packed) -> None:
        """Keep what the report needs of a decoded view: warnings, the upright size, small pictures."""
        self.warnings += [str(w) for w in packed.answer.get("warnings", [])]
        frame = packed.view["frames"][0] if "frames" in packed.view else packed.view
        height, width = frame["coded"]["shape"][:2]
        self.size_px = (height, width) if frame["orientation"] in (5, 6, 7, 8) else (width, height)
        shown = packed.answer.get("previews", [])
        if "preview" in packed.answer:
            shown = [{"picture": packed.answer["preview"]}]
        if not shown or not self.budget.wants_preview(self.depth):
            return
        arena = read_arena(packed.arena_fd, packed.used)
        before = self.preview or Preview(())
        pictures = tuple(picture(one["picture"], arena) for one in shown)
        times = tuple(float(one["time_s"]) for one in shown if "time_s" in one)
        self.preview = Preview((*before.pictures, *pictures), (*before.times_s, *times))

    def leave_out(self, what: str, e: SampleError) -> None:
        """Go on without a part of the sample, and say so."""
        self.warnings.append(f"{what} could not be examined: {e.message}")
        self.unread.append(what)

    def unread_members(self) -> list[str]:
        """Name and trouble of each member that could not be examined."""
        return [
            f"{c.path.rpartition('!')[2]}: {c.error.message}"
            for c in self.children
            if c.error is not None and c.status is not Status.UNSUPPORTED
        ]


def quality_of(case: Case) -> int | None:
    """The JPEG quality that its first table stands for, None where there is none."""
    tables = case.container.quantisation if case.container is not None else ()
    return estimated_quality(tables[0]) if tables and len(tables[0]) == 64 else None


def context_of(case: Case, members: Iterable[Member]) -> Context:
    """What fusion must know of the sample beside its findings; `members` are the detectors of the panel."""
    return Context(
        media_family=family_of(case.sample.media_type),
        size_px=case.size_px,
        quality=quality_of(case),
        claims={m.name: m.claims for m in members},
        unread=tuple(case.unread),
    )


def malformed(e: Exception) -> Failed:
    return Failed(
        f"a decoder's answer cannot be understood ({type(e).__name__}: {str(e)[:100]})",
        code="malformed_answer",
        hint="The sample may have taken the decoder over: keep it apart, and report this.",
    )


def overtaxed(e: OSError) -> Failed:
    reason = (e.strerror or str(e)).lower()
    hint = "Run fewer jobs (-j 1), close other programs, then screen it again."
    return Failed(f"this machine has run out of something: {reason}", code="machine", hint=hint)


def changed() -> Failed:
    hint = "Screen it again when nobody writes to it any more."
    return Failed("it changed while it was screened", code="changed", hint=hint)


def nothing_in_it() -> Failed:
    hint = "Ask the sender for the complete file."
    return Failed("it holds neither pictures nor sound that can be decoded", code="undecodable", hint=hint)


def strictest(own: Decision, others: Iterable[Decision]) -> Decision:
    """A container is treated as the strictest of its members is."""
    order = list(Action)
    return max((own, *others), key=lambda decision: order.index(decision.action))


def unknown_type(sample: Sample) -> SampleError:
    """Why a sample of a type that is not read has no verdict; one whose name promises a medium has failed."""
    if family_of(sample.declared_type or "") != "other":
        found = "of no type that is known" if sample.media_type == UNKNOWN else sample.media_type
        return Failed(
            f"its name says {sample.declared_type}, but its bytes are not: they are {found}",
            code="undecodable",
            hint="It may be damaged, encrypted or misnamed: ask for it again.",
        )
    hint = "Images, video, audio, mail, PDF, Office files, zip and tar are read."
    return Unsupported(f"not media that Assay reads ({sample.media_type})", hint=hint)
