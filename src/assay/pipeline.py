"""The order of the stages, from bytes to an action. The only file that knows it."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import BinaryIO, Self

from assay import __version__
from assay.action.policy import decide
from assay.config import Settings
from assay.errors import Failed, Refused, SampleError, Unsupported
from assay.evidence.panel import Answers, Member, Panel, Request, evidence_of
from assay.evidence.windows import merge
from assay.ingest.admission import Arrival, Found, admit_bytes, admit_path, admit_stream, walk
from assay.media.decoder import IMAGE_ARENA, Decoder, Packed, decoder, picture
from assay.media.identify import declared_type, family_of, identify, lies
from assay.media.jail.arena import read_arena
from assay.media.jail.process import DECODER, EXAMINER, Zygote
from assay.media.quality import estimated_quality
from assay.media.views import Container
from assay.signatures import digests
from assay.types import (
    Evidence,
    Finding,
    Label,
    Preview,
    Problem,
    Sample,
    Screening,
    Status,
)
from assay.verdict.calibration import Context
from assay.verdict.fusion import fuse
from assay.verdict.members import verdict_of_members

PICTURES = ("image",)
CARRIERS = ("archive", "mail", "document")


@dataclass(slots=True)
class Budget:
    """What all members of one outermost sample may cost together, however deep they lie."""

    members: int
    unpacked: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def spend(self, size: int) -> None:
        with self.lock:
            self.members -= 1
            self.unpacked -= size
            if self.members < 0:
                raise Refused(
                    "too many members", code="over_members", hint="Raise limits.members if this is expected."
                )
            if self.unpacked < 0:
                raise Refused(
                    "unpacks to too much",
                    code="over_unpacked",
                    hint="Raise limits.unpacked_bytes if this is expected.",
                )


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
    children: list[Screening] = field(default_factory=list)
    preview: Preview | None = None
    size_px: tuple[int, int] | None = None
    duration_s: float | None = None
    unread: list[str] = field(default_factory=list)  # what was not looked at, in words


class Screener:
    """Screens samples on this machine. Keeps two pools of processes warm; use it as a context manager.

    Parameters
    ----------
    settings
        What the operator decided.
    known
        Looks up a SHA-256: "known_fake", "known_original" or None.
    trust
        PEM bundles of certificate authorities whose credentials count: "capture" and "editor".
    source
        Where the samples come from; noted in every record.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        jobs: int | None = None,
        known: Callable[[str], str | None] = lambda _: None,
        trust: dict[str, str] | None = None,
        source: str = "",
    ) -> None:
        self.settings = settings
        self.jobs = jobs or settings.jobs or len(os.sched_getaffinity(0))
        self._known = known
        self._trust = trust or {}
        self._source = source
        self._decoders = Zygote(
            "assay.media.operations:prepare",
            DECODER.serving(
                "assay.media.operations:handle",
                memory_bytes=settings.limits.memory_bytes,
                arena_bytes=IMAGE_ARENA,
            ),
        )
        self._panel = Panel(
            Zygote("assay.evidence.examiner:prepare", EXAMINER.serving("assay.evidence.examiner:handle")),
            settings.paths.models,
            jobs=self.jobs,
            detector_s=settings.limits.detector_s,
            memory_bytes=settings.limits.examiner_bytes,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._panel.close()
        self._decoders.close()

    @property
    def warnings(self) -> list[str]:
        """What this installation lacks: layers of the jail, detectors that cannot be loaded."""
        return [*self._decoders.warnings, *self._panel.warnings]

    @property
    def members(self) -> tuple[Member, ...]:
        """The detectors of this installation."""
        return self._panel.members

    # ---------------------------------------------------------------- arrival

    def screen_all(
        self, paths: Iterable[str], done: Callable[[Screening, Arrival | None], Screening]
    ) -> Iterator[Screening]:
        """Screen files and folders on all cores; yields in the order of the walk.

        `done` is called in the worker while the sample's descriptor is open, for what has to happen with its bytes
        (quarantine, keeping); it returns the screening as it shall be recorded.
        """
        waiting: collections.deque[Future[Screening]] = collections.deque()
        pool = ThreadPoolExecutor(self.jobs, "screen")
        try:
            for found in walk(list(paths)):
                waiting.append(pool.submit(self._screen_found, found, done))
                while len(waiting) > 8 * self.jobs or (waiting and waiting[0].done()):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def screen_path(
        self, path: str, done: Callable[[Screening, Arrival | None], Screening] | None = None
    ) -> Screening:
        return self._screen_found(Found(path), done or (lambda screening, _: screening))

    def screen_stream(
        self,
        stream: BinaryIO,
        name: str,
        done: Callable[[Screening, Arrival | None], Screening] | None = None,
    ) -> Screening:
        finish = done or (lambda screening, _: screening)
        try:
            with admit_stream(stream, name, self.settings.limits.size_bytes) as arrival:
                return finish(self.screen(arrival), arrival)
        except SampleError as e:
            return finish(self._unread(name, e), None)

    def screen_bytes(self, data: bytes, name: str) -> Screening:
        try:
            with admit_bytes(data, name, self.settings.limits.size_bytes) as arrival:
                return self.screen(arrival)
        except SampleError as e:
            return self._unread(name, e)

    def _screen_found(
        self, found: Found, done: Callable[[Screening, Arrival | None], Screening]
    ) -> Screening:
        if found.problem is not None:
            return done(self._unread(found.path, found.problem), None)
        try:
            with admit_path(found.path, self.settings.limits.size_bytes) as arrival:
                screening = self.screen(arrival)
                if arrival.changed():
                    raise Failed(
                        "it changed while it was screened",
                        code="changed",
                        hint="Screen it again when nobody writes to it any more.",
                    )
                return done(screening, arrival)
        except SampleError as e:
            return done(self._unread(found.path, e), None)

    def _unread(self, path: str, e: SampleError, *, parent: str | None = None) -> Screening:
        kind = "application/octet-stream"
        sample = Sample(uuid.uuid4().hex, "", 0, kind, declared_type(path), _now(), self._source, parent)
        return self._troubled(sample, path, e)

    # ---------------------------------------------------------------- one sample

    def screen(
        self, arrival: Arrival, *, parent: str | None = None, depth: int = 0, budget: Budget | None = None
    ) -> Screening:
        """Examine one admitted sample and all that it carries; decide on it."""
        limits = self.settings.limits
        sample = Sample(
            id=uuid.uuid4().hex,
            sha256=arrival.sha256,
            size=arrival.size,
            media_type=identify(arrival.head, arrival.tail, arrival.size),
            declared_type=declared_type(arrival.path),
            received_at=_now(),
            source=self._source,
            parent=parent,
        )
        case = Case(
            sample, arrival.path, arrival, depth, budget or Budget(limits.members, limits.unpacked_bytes)
        )
        if sample.declared_type and lies(sample.declared_type, sample.media_type):
            case.warnings.append(f"its name says {sample.declared_type}, its bytes are {sample.media_type}")
        trouble: SampleError | None = None
        try:
            self._examine(case)
        except SampleError as e:
            trouble = e
        return self._conclude(case, trouble)

    def _examine(self, case: Case) -> None:
        known = digests.known(case.sample.sha256, self._known)
        if known is not None:
            case.evidence.append(known)
            return  # decided: nothing else could change it
        family = family_of(case.sample.media_type)
        if family == "other":
            raise Unsupported(
                f"not media that Assay reads ({case.sample.media_type})",
                hint="Images, video, audio, mail, PDF, Office files, zip and tar are read.",
            )
        with self._decoder(case) as worker:
            if family in CARRIERS:
                self._examine_members(case, worker)
                return
            self._triage(case, worker)
            if family == "image":
                self._examine_image(case, worker)
            elif family == "video":
                self._examine_video(case, worker)
            if family == "audio" or (family == "video" and case.container is not None):
                self._examine_audio(case, worker, optional=family == "video")

    @contextlib.contextmanager
    def _decoder(self, case: Case) -> Iterator[Decoder]:
        worker: Decoder | None = None
        try:
            with decoder(self._decoders, case.arrival.descriptor, self.settings.limits.as_json()) as worker:
                yield worker
        finally:
            if worker is not None and worker.usage is not None:
                case.cpu_s += worker.usage.cpu_s

    def _triage(self, case: Case, worker: Decoder) -> None:
        sample = case.sample
        packed, case.container = worker.triage(sample.media_type, sample.size, sample.sha256, self._trust)
        case.warnings += case.container.warnings
        answers = self._panel.examine(Request(packed, self._readers("Container")))
        self._collect(case, answers, lambda findings: findings[0])

    def _examine_image(self, case: Case, worker: Decoder) -> None:
        with worker.image() as packed:
            self._note(case, packed)
            names = self._readers("Image")
            answers = self._panel.examine(Request(packed.view, names, packed.arena_fd, packed.used))
            self._collect(case, answers, lambda findings: findings[0])
        if has_stills(case.container) and case.depth < self.settings.limits.depth:
            self._examine_members(case, worker)

    def _examine_video(self, case: Case, worker: Decoder) -> None:
        opened = worker.open("video")
        case.duration_s = float(opened.get("duration_s") or 0.0) or None
        case.size_px = (int(opened["width"]), int(opened["height"]))
        per_frame = tuple(m.name for m in self.members if m.reads == "Image" and m.frames)
        frames: Gathered = Gathered("frame")
        clips: Gathered = Gathered("window")
        for packed in self._windows(case, worker):
            self._note(case, packed)
            times = [float(f["time_s"]) for f in packed.view["frames"]]
            request = Request(packed.view, per_frame, packed.arena_fd, packed.used, each=True)
            frames.add(self._panel.examine(request), [(t, t) for t in times])
            names = self._readers("VideoClip")
            if names:
                request = dataclasses.replace(request, names=names, each=False)
                clips.add(self._panel.examine(request), [(times[0], times[-1])])
        self._collect(case, frames.answers, frames.merge)
        self._collect(case, clips.answers, clips.merge)

    def _examine_audio(self, case: Case, worker: Decoder, *, optional: bool) -> None:
        opened = worker.open("audio", stream=0, optional=optional)
        if not opened.get("audio_streams", 1):
            return
        heard: Gathered = Gathered("window")
        end_s = 0.0
        for packed in self._windows(case, worker):
            length = packed.view["samples"]["shape"][1] / packed.view["rate_hz"]
            span = (float(packed.view["start_s"]), float(packed.view["start_s"]) + length)
            end_s = span[1]
            names = self._readers("AudioClip")
            if names:
                heard.add(
                    self._panel.examine(Request(packed.view, names, packed.arena_fd, packed.used)), [span]
                )
        case.duration_s = case.duration_s or end_s
        self._collect(case, heard.answers, heard.merge)

    def _windows(self, case: Case, worker: Decoder) -> Iterator[Packed]:
        """All windows of what is open; a stream that breaks off leaves what was read before, and says so."""
        count = 0
        try:
            for packed in worker.windows():
                if not isinstance(packed, Packed):
                    case.warnings += packed["warnings"]
                    case.unread += packed.get("unread", [])
                    return
                count += 1
                yield packed
        except Failed as e:
            if not count:
                raise
            case.warnings.append(f"it breaks off: {e.message}")
            case.unread.append("what comes after the damage")

    def _examine_members(self, case: Case, worker: Decoder) -> None:
        limits = self.settings.limits
        if case.depth >= limits.depth:
            raise Refused(
                f"nested deeper than {limits.depth}",
                code="over_depth",
                hint="Raise limits.depth if this is expected.",
            )
        for member in worker.members(case.sample.media_type):
            case.budget.spend(len(member.data))
            path = f"{case.path}!{member.name}"
            try:
                if member.problem is not None:
                    raise member.problem
                with admit_bytes(member.data, path, limits.size_bytes) as arrival:
                    child = self.screen(
                        arrival, parent=case.sample.id, depth=case.depth + 1, budget=case.budget
                    )
            except SampleError as e:
                child = self._unread(path, e, parent=case.sample.id)
            case.children.append(child)

    # ---------------------------------------------------------------- evidence

    def _readers(self, view: str) -> tuple[str, ...]:
        return tuple(m.name for m in self.members if m.reads == view)

    def _collect(self, case: Case, answers: Answers, merged: Callable[[list[Finding]], Finding]) -> None:
        cards = {m.name: m for m in self.members}
        for name, findings in answers.findings.items():
            case.evidence.append(evidence_of(cards[name], merged(findings), answers.elapsed_s[name]))
            case.cpu_s += answers.elapsed_s[name]

    def _note(self, case: Case, packed: Packed) -> None:
        """Keep what the report needs of a decoded view: warnings, the upright size, small pictures."""
        case.warnings += [str(w) for w in packed.answer.get("warnings", [])]
        frame = packed.view["frames"][0] if "frames" in packed.view else packed.view
        height, width = frame["coded"]["shape"][:2]
        case.size_px = (height, width) if frame["orientation"] in (5, 6, 7, 8) else (width, height)
        described = packed.answer.get("preview")
        if described is not None:
            arena = read_arena(packed.arena_fd, packed.used)
            before = case.preview or Preview(())
            times = before.times_s + ((float(frame["time_s"]),) if "frames" in packed.view else ())
            case.preview = Preview((*before.pictures, picture(described, arena)), times)

    # ---------------------------------------------------------------- verdict

    def _conclude(self, case: Case, trouble: SampleError | None) -> Screening:
        context = self.context(case)
        verdict = fuse(case.evidence, context=context, settings=self.settings)
        children = [c.verdict for c in case.children if c.verdict is not None]
        if children:
            verdict = verdict_of_members(verdict, [(c.path, c.verdict) for c in case.children if c.verdict])
        if trouble is not None and verdict.label is not Label.FAKE and not children:
            return self._finished(case, self._troubled(case.sample, case.path, trouble))
        if trouble is not None:
            case.warnings.append(f"{trouble.message} ({trouble.code})")
        decision = decide(verdict, self.settings.policy)
        screening = Screening(
            case.sample, case.path, Status.SCREENED, _now(), __version__, verdict=verdict, decision=decision
        )
        return self._finished(case, screening)

    def context(self, case: Case) -> Context:
        """What fusion must know of the sample beside its findings."""
        return Context(
            media_family=family_of(case.sample.media_type),
            size_px=case.size_px,
            quality=quality_of(case),
            claims={m.name: m.claims for m in self.members},
            unread=tuple(case.unread),
        )

    def _finished(self, case: Case, screening: Screening) -> Screening:
        return dataclasses.replace(
            screening,
            warnings=tuple(dict.fromkeys(case.warnings)),
            elapsed_s=time.perf_counter() - case.started,
            cpu_s=case.cpu_s + time.thread_time(),
            size_px=case.size_px,
            duration_s=case.duration_s,
            preview=case.preview,
            quality=quality_of(case),
            children=tuple(case.children),
        )

    def _troubled(self, sample: Sample, path: str, e: SampleError) -> Screening:
        status = (
            Status.REFUSED
            if isinstance(e, Refused)
            else Status.UNSUPPORTED
            if isinstance(e, Unsupported)
            else Status.FAILED
        )
        problem = Problem(e.code, e.message, e.hint)
        decision = decide(problem, self.settings.policy, status=status)
        return Screening(sample, path, status, _now(), __version__, decision=decision, error=problem)


@dataclass(slots=True)
class Gathered:
    """What detectors said of one part after the other of a clip."""

    unit: str
    answers: Answers = field(default_factory=Answers)
    spans: list[tuple[float, float]] = field(default_factory=list)

    def add(self, answers: Answers, spans: list[tuple[float, float]]) -> None:
        self.spans += spans
        for name, findings in answers.findings.items():
            for finding in findings:
                self.answers.add(name, finding, 0.0)
            self.answers.elapsed_s[name] += answers.elapsed_s[name]

    def merge(self, findings: list[Finding]) -> Finding:
        return merge(findings, self.spans[: len(findings)], self.unit)


def quality_of(case: Case) -> int | None:
    """The JPEG quality that its first table stands for, None where there is none."""
    tables = case.container.quantisation if case.container is not None else ()
    return estimated_quality(tables[0]) if tables else None


def has_stills(container: Container | None) -> bool:
    """Does a picture hold more than the one that is shown: an animation, or further pages?"""
    if container is None:
        return False
    kinds = collections.Counter(part.kind for part in container.parts)
    moving = kinds["acTL"] or kinds["ANIM"] or kinds["moov/trak"] or kinds["image"] > 1
    return bool(moving) or container.media_type == "image/tiff"


def _now() -> datetime:
    return datetime.now(UTC)
