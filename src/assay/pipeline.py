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
from typing import BinaryIO, Self

from assay import __version__
from assay.action.policy import decide
from assay.case import (
    MALFORMED,
    Case,
    changed,
    context_of,
    malformed,
    overtaxed,
    quality_of,
    strictest,
    unknown_type,
)
from assay.closing import Closing
from assay.errors import AssayError, Failed, Refused, SampleError, Unsupported
from assay.evidence.panel import Member, Panel
from assay.examination.clip import examine_clip, examine_sound
from assay.examination.container import examine_container
from assay.examination.members import examine_members
from assay.examination.opened import Opened
from assay.examination.picture import examine_picture
from assay.ingest.admission import Arrival, Found, admit_bytes, admit_path, admit_stream, walk
from assay.ingest.budget import Budget
from assay.media.compiled import compile_all
from assay.media.decoder import Decoder, decoder
from assay.media.decoder import Member as Carried
from assay.media.identify import declared_type, family_of, identify, lies
from assay.settings import Settings
from assay.signatures import matching
from assay.signatures.library import Library
from assay.traces import Tracer
from assay.types import (
    Label,
    Problem,
    Sample,
    Screening,
    Status,
)
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


class Screener(Closing):
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
        self._warming: threading.Thread | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._panel.open_first()
        return self

    def close(self) -> None:
        self._panel.close()
        self._zygotes.close()
        if self._warming is not None:
            self._warming.join()

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
        known = matching.of_digest(case.tracer.library, self._known, case.sample.sha256)
        if known is not None:
            case.evidence.append(known)
            return  # decided: nothing else could change it
        family = family_of(case.sample.media_type)
        if family == "other":
            raise unknown_type(case.sample)
        self.warm()
        with self._decoder(case) as worker:
            opened = Opened(case, worker, self._panel, self.settings)
            if family in CARRIERS:
                examine_members(opened, self._screen_member)
                return
            examine_container(opened, self._trust)
            if family == "image":
                examine_picture(opened, self._screen_member)
            elif family == "audio":
                examine_sound(opened)
            else:
                examine_clip(opened)

    def warm(self) -> None:
        """Load the kernels that fingerprints need, in the background: before the first sample, or while it is decoded."""
        with self._lock:
            if self._warming is None:
                self._warming = threading.Thread(target=compile_all, name="kernels")
                self._warming.start()

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

    def _screen_member(self, case: Case, member: Carried) -> Screening:
        path = f"{case.path}!{member.name}"
        source, parent = case.sample.source, case.sample.id
        try:
            if member.problem is not None:
                raise member.problem
            with admit_bytes(member.data, path, self.settings.limits.size_bytes) as arrival:
                return self.screen(
                    arrival, parent=parent, depth=case.depth + 1, budget=case.budget, source=source
                )
        except SampleError as e:
            return self.unread(path, e, self._nothing(path, source, parent))

    def _conclude(self, case: Case, trouble: SampleError | None) -> Screening:
        case.evidence += case.tracer.evidence
        verdict = fuse(
            case.evidence,
            context=context_of(case, self._panel.members_so_far),
            settings=self.settings,
            rescored=case.rescored,
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
