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
from datetime import UTC, datetime
from types import TracebackType
from typing import BinaryIO, Self

from assay import __version__
from assay.action.policy import decide
from assay.case import (
    MALFORMED,
    WORKER_LOST,
    Case,
    changed,
    malformed,
    nothing_in_it,
    overtaxed,
    quality_of,
    strictest,
    unknown_type,
)
from assay.errors import AssayError, Failed, Refused, SampleError, Unsupported
from assay.evidence.panel import Answers, Member, Panel, Request, evidence_of
from assay.evidence.windows import Gathered
from assay.ingest.admission import Arrival, Found, admit_bytes, admit_path, admit_stream, walk
from assay.ingest.budget import Budget
from assay.media.decoder import Decoder, Packed, decoder
from assay.media.identify import declared_type, family_of, identify, lies
from assay.rescoring import rescore
from assay.settings import Settings
from assay.signatures import digests, matching, testfile
from assay.signatures.library import Library
from assay.traces import Tracer
from assay.types import (
    Finding,
    Label,
    Problem,
    Sample,
    Screening,
    Status,
)
from assay.verdict import stability
from assay.verdict.calibration import Context
from assay.verdict.fusion import fuse
from assay.verdict.members import verdict_of_members, verdict_of_nothing
from assay.verdict.unfinished import unfinished
from assay.zygotes import Zygotes

CARRIERS = ("archive", "mail", "document")
STOPPED = Failed("stopped before it was finished", code="stopped", hint="Screen it again.")
Done = Callable[[Screening, Arrival | None], Screening]
Waiting = collections.deque[Future[Screening | None]]


def _unchanged(screening: Screening, _: Arrival | None) -> Screening:
    return screening


class Screener:
    """Screens samples on this machine. Keeps two pools of processes warm; use it as a context manager.

    Parameters
    ----------
    settings
        What the operator decided.
    known
        Looks up a SHA-256: "known_fake", "known_original" or None.
    library
        The signatures in force; asked once for each sample, so that a newer library counts from the next one on.
    trust
        PEM bundles of certificate authorities whose credentials count: "capture" and "editor".
    source
        Where the samples come from; noted in every record.
    zygotes
        Those that were started already; the screener closes them.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        jobs: int | None = None,
        known: Callable[[str], str | None] = lambda _: None,
        library: Callable[[], Library] = Library,
        trust: dict[str, str] | None = None,
        source: str = "",
        zygotes: Zygotes | None = None,
    ) -> None:
        self.settings = settings
        self.jobs = jobs or settings.jobs or len(os.sched_getaffinity(0))
        self._known = known
        self._library = library
        self._trust = trust or {}
        self._source = source
        self._stopping = threading.Event()
        self._zygotes = zygotes or Zygotes.start(settings.limits)
        self._panel = Panel(
            self._zygotes.examiners,
            settings.paths.models,
            jobs=self.jobs,
            detector_s=settings.limits.detector_s,
            memory_bytes=settings.limits.examiner_bytes,
        )

    def __enter__(self) -> Self:
        self._panel.open_first()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._panel.close()
        self._zygotes.close()

    def reconfigure(self, settings: Settings, trust: dict[str, str]) -> None:
        """Judge by other settings from the next sample on; the pools of processes stay as they are."""
        self.settings, self._trust = settings, trust

    def stop(self) -> None:
        """Give up what is being examined; `screen_all` then yields what is finished and ends. From any thread."""
        self._stopping.set()
        self._zygotes.close()

    @property
    def warnings(self) -> list[str]:
        """What this installation lacks: layers of the jail, detectors that cannot be loaded."""
        return [*self._zygotes.decoders.warnings, *self._panel.warnings]

    @property
    def members(self) -> tuple[Member, ...]:
        """The detectors of this installation."""
        return self._panel.members

    def screen_all(self, paths: Iterable[str], done: Done) -> Iterator[Screening]:
        """Screen files and folders on all cores; yields in the order of the walk.

        `done` is called in the worker while the sample's descriptor is open, for what has to happen with its bytes
        (quarantine, keeping); it returns the screening as it shall be recorded.
        """
        waiting: Waiting = collections.deque()
        pool = ThreadPoolExecutor(self.jobs, "screen")
        try:
            for found in walk(list(paths)):
                if self._stopping.is_set():
                    break
                waiting.append(pool.submit(self._screen_found, found, done))
                while len(waiting) > 8 * self.jobs or (waiting and waiting[0].done()):
                    yield from self._told(waiting)
            while waiting:
                yield from self._told(waiting)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _told(self, waiting: Waiting) -> Iterator[Screening]:
        """Wait for the next sample. If this machine cannot go on, yield the others that are finished, then say why."""
        try:
            screening = waiting.popleft().result()
        except AssayError:
            self.stop()
            while waiting:
                with contextlib.suppress(AssayError):
                    yield from self._told(waiting)
            raise
        if screening is not None:
            yield screening

    def screen_path(self, path: str, done: Done | None = None) -> Screening:
        return self._screen_file(Found(path), done or _unchanged) or self.unread(path, STOPPED)

    def screen_stream(self, stream: BinaryIO | None, name: str, done: Done = _unchanged) -> Screening:
        """Screen what a stream holds; None is a standard input that is closed."""
        try:
            with admit_stream(stream, name, self.settings.limits.size_bytes) as arrival:
                return done(self.screen(arrival), arrival)
        except SampleError as e:
            return done(self.unread(name, e), None)

    def screen_bytes(self, data: bytes, name: str) -> Screening:
        try:
            with admit_bytes(data, name, self.settings.limits.size_bytes) as arrival:
                return self.screen(arrival)
        except SampleError as e:
            return self.unread(name, e)

    def _screen_found(self, found: Found, done: Done) -> Screening | None:
        """Screen one sample of a batch; None if `stop` was called before it was finished."""
        try:
            return None if self._stopping.is_set() else self._screen_file(found, done)
        except AssayError:
            if self._stopping.is_set():
                return None
            raise

    def _screen_file(self, found: Found, done: Done) -> Screening | None:
        try:
            if found.problem is not None:
                raise found.problem
            with admit_path(found.path, self.settings.limits.size_bytes) as arrival:
                screening = self.screen(arrival)
                if self._stopping.is_set():
                    return None  # its workers were killed: what they did not say is no finding
                if arrival.changed():
                    raise changed()
                moved = arrival.moved()
                if moved:
                    screening = dataclasses.replace(screening, warnings=(*screening.warnings, moved))
                return done(screening, arrival)
        except SampleError as e:
            return None if self._stopping.is_set() else done(self.unread(found.path, e), None)

    def unread(self, path: str, e: SampleError, sample: Sample | None = None) -> Screening:
        """Decide on what could not even be opened."""
        return self._troubled(sample or self._nothing(path, self._source, None), path, e)

    @staticmethod
    def _nothing(path: str, source: str, parent: str | None) -> Sample:
        kind = "application/octet-stream"
        return Sample(uuid.uuid4().hex, "", 0, kind, declared_type(path), _now(), source, parent)

    def screen(
        self,
        arrival: Arrival,
        *,
        parent: str | None = None,
        depth: int = 0,
        budget: Budget | None = None,
        sample_id: str = "",
        source: str | None = None,
    ) -> Screening:
        """Examine one admitted sample and all that it carries; decide on it."""
        limits = self.settings.limits
        source = self._source if source is None else source
        sample = Sample(
            id=sample_id or uuid.uuid4().hex,
            sha256=arrival.sha256,
            size=arrival.size,
            media_type=identify(arrival.head, arrival.tail, arrival.size),
            declared_type=declared_type(arrival.path),
            received_at=_now(),
            source=source,
            parent=parent,
        )
        case = Case(
            sample, arrival.path, arrival, depth, budget or Budget(limits.members, limits.unpacked_bytes)
        )
        case.tracer = Tracer(self._library())
        readable = family_of(sample.media_type) != "other"  # else that is its trouble
        if readable and lies(sample.declared_type, sample.media_type):
            case.warnings.append(f"its name says {sample.declared_type}, its bytes are {sample.media_type}")
        trouble: SampleError | None = None
        try:
            self._examine(case)
        except SampleError as e:
            trouble = e
        except MALFORMED as e:
            trouble = malformed(e)
        except OSError as e:
            trouble = overtaxed(e)
        finally:
            case.tracer.close()
        return self._conclude(case, trouble)

    def _examine(self, case: Case) -> None:
        library = case.tracer.library
        known = digests.known(
            case.sample.sha256,
            lambda sha256: (
                testfile.known(sha256) or self._known(sha256) or matching.of_digest(library, sha256)
            ),
        )
        if known is not None:
            case.evidence.append(known)
            return  # decided: nothing else could change it
        family = family_of(case.sample.media_type)
        if family == "other":
            raise unknown_type(case.sample)
        with self._decoder(case) as worker:
            if family in CARRIERS:
                self._examine_members(case, worker)
                return
            self._triage(case, worker)
            if family == "image":
                self._examine_image(case, worker)
            elif family == "audio":
                self._examine_audio(case, worker)
            else:
                self._examine_film(case, worker)

    @contextlib.contextmanager
    def _decoder(self, case: Case) -> Iterator[Decoder]:
        worker: Decoder | None = None
        try:
            with decoder(
                self._zygotes.decoders, case.arrival.descriptor, self.settings.limits.as_json()
            ) as worker:
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
            case.note(packed)
            case.tracer.picture(packed)
            if case.tracer.is_decided:
                return
            more = int(packed.answer["frames"]) > 1
            names = self._readers("Image")
            answers = self._panel.examine(Request(packed.view, names, packed.arena_fd, packed.used))
            self._collect(case, answers, lambda findings: findings[0])
            self._rescore(case, packed, names)
        if more and case.depth < self.settings.limits.depth:
            try:
                self._examine_members(case, worker)
            except SampleError as e:  # the picture itself was examined
                case.leave_out("later frames or pages", e)

    def _rescore(self, case: Case, packed: Packed, readers: tuple[str, ...]) -> None:
        """Ask whether a decision near its threshold would survive being saved again."""
        seconds = self.settings.limits.stability_s
        context = self.context(case)
        names = stability.carrying(case.evidence, readers, context=context, settings=self.settings)
        if names and seconds:
            case.rescored = rescore(self._panel, packed, case.evidence, names, seconds)

    def _examine_film(self, case: Case, worker: Decoder) -> None:
        """Examine the pictures and the sound of a video; one that has only one of them, or one damaged, is no failure."""
        missing: SampleError | None = None
        try:
            self._examine_video(case, worker)
        except (Failed, Unsupported) as e:
            if e.code in WORKER_LOST:
                raise
            missing = e
        try:
            heard = self._examine_audio(case, worker, optional=True)
        except SampleError as e:
            if missing is not None:
                raise missing from e
            case.leave_out("the sound", e)
            return
        if missing is not None and not heard:
            if missing.code != "no_video":
                raise missing
            raise nothing_in_it()
        if missing is not None and missing.code != "no_video":  # a sound track alone is no damage
            case.leave_out("the pictures", missing)

    def _examine_video(self, case: Case, worker: Decoder) -> None:
        opened = worker.open("video")
        case.duration_s = float(opened.get("duration_s") or 0.0) or None
        case.size_px = (int(opened["width"]), int(opened["height"]))
        per_frame = tuple(m.name for m in self.members if m.reads == "Image" and m.frames)
        frames: Gathered = Gathered("frame")
        clips: Gathered = Gathered("window")
        for packed in self._windows(case, worker):
            case.note(packed)
            case.tracer.window(packed)
            times = [float(f["time_s"]) for f in packed.view["frames"]]
            request = Request(packed.view, per_frame, packed.arena_fd, packed.used, each=True)
            frames.add(self._panel.examine(request), [(t, t) for t in times])
            names = self._readers("VideoClip")
            if names:
                request = dataclasses.replace(request, names=names, each=False)
                clips.add(self._panel.examine(request), [(times[0], times[-1])])
        case.tracer.close_clip()
        self._collect(case, frames.answers, frames.merge)
        self._collect(case, clips.answers, clips.merge)

    def _examine_audio(self, case: Case, worker: Decoder, *, optional: bool = False) -> bool:
        """Examine the sound track; says if there is one."""
        opened = worker.open("audio", stream=0, optional=optional)
        if not opened.get("audio_streams", 1):
            return False
        heard: Gathered = Gathered("window")
        end_s = 0.0
        for packed in self._windows(case, worker):
            length = packed.view["samples"]["shape"][1] / packed.view["rate_hz"]
            span = (float(packed.view["start_s"]), float(packed.view["start_s"]) + length)
            end_s = span[1]
            case.tracer.window(packed)
            names = self._readers("AudioClip")
            if names:
                heard.add(
                    self._panel.examine(Request(packed.view, names, packed.arena_fd, packed.used)), [span]
                )
        case.tracer.close_sound()
        case.duration_s = case.duration_s or end_s
        self._collect(case, heard.answers, heard.merge)
        return True

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
        picture = family_of(case.sample.media_type) == "image"
        for member in worker.members(case.sample.media_type):
            if picture and member.problem is not None:  # no sample of its own: a part of this one
                case.leave_out(member.name, member.problem)
                continue
            case.budget.spend(len(member.data))
            path = f"{case.path}!{member.name}"
            try:
                if member.problem is not None:
                    raise member.problem
                with admit_bytes(member.data, path, limits.size_bytes) as arrival:
                    child = self.screen(
                        arrival,
                        parent=case.sample.id,
                        depth=case.depth + 1,
                        budget=case.budget,
                        source=case.sample.source,
                    )
            except SampleError as e:
                child = self.unread(path, e, self._nothing(path, case.sample.source, case.sample.id))
            case.children.append(child)

    def _readers(self, view: str) -> tuple[str, ...]:
        return tuple(m.name for m in self.members if m.reads == view)

    def _collect(self, case: Case, answers: Answers, merged: Callable[[list[Finding]], Finding]) -> None:
        cards = {m.name: m for m in self.members}
        for name, findings in answers.findings.items():
            case.evidence.append(evidence_of(cards[name], merged(findings), answers.elapsed_s[name]))
            case.cpu_s += answers.elapsed_s[name]

    def _conclude(self, case: Case, trouble: SampleError | None) -> Screening:
        case.evidence += case.tracer.evidence
        verdict = fuse(
            case.evidence, context=self.context(case), settings=self.settings, rescored=case.rescored
        )
        inside = [(c.path, c.verdict) for c in case.children if c.verdict is not None]
        unread = case.unread_members()
        if inside:
            verdict = verdict_of_members(verdict, inside)
        elif family_of(case.sample.media_type) in CARRIERS and not case.evidence:
            verdict = verdict_of_nothing(verdict, len(case.children), len(unread))
        if trouble is not None and verdict.label is not Label.FAKE:
            screening = self._troubled(case.sample, case.path, trouble)
            return self._finished(case, unfinished(screening, verdict))
        if trouble is not None:
            case.warnings.append(f"{trouble.message} ({trouble.code})")
        if unread:
            count = f"{len(unread)} of its {len(case.children)} members could not be examined"
            case.warnings.append(f"{count} ({unread[0]})")
        decision = strictest(
            decide(verdict, self.settings.policy), [c.decision for c in case.children if c.decision]
        )
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
            traces=case.tracer.traces(),
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


def _now() -> datetime:
    return datetime.now(UTC)
