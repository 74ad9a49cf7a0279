"""The examiners as the pipeline sees them: hand in a packed view, get evidence back, whatever happens inside.

A detector that overruns its time, swells or crashes costs its examiner its life: it is killed and replaced, the
detector's finding says so, and the remaining detectors go on in the new one.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from assay.errors import AssayError, Failed, JailError
from assay.evidence.runner import failed
from assay.media.jail.process import Child, Zygote
from assay.plain import finding_of
from assay.types import JSON, Evidence, Finding, Kind, Outcome, Reason

OPENING_S = 60.0  # for opening the weights


@dataclass(frozen=True, slots=True)
class Member:
    """A detector of the panel: its card, without its code."""

    name: str
    version: int
    reads: str  # "Image" | "AudioClip" | "VideoClip" | "Container"
    family: str
    claims: frozenset[Kind]
    summary: str
    source: str
    licence: str
    models: tuple[str, ...]
    frames: bool
    unavailable: str = ""  # why it cannot examine here, "" if it can


@dataclass(frozen=True, slots=True)
class Request:
    """One view in an arena, and who shall examine it."""

    view: JSON  # as `media.views.pack` described it
    names: tuple[str, ...]
    arena_fd: int | None = None  # None: a view without arrays
    used: int = 0  # bytes of the arena
    each: bool = False  # examine every frame of a clip on its own
    rendition: str = ""  # examine this re-encoding of the picture instead: a name in `renditions.BY_NAME`
    cut: tuple[int, int, int, int] | None = None  # the part of it to re-encode


@dataclass(slots=True)
class Answers:
    """What came back: findings per detector in the order of parts, and the seconds of computing."""

    findings: dict[str, list[Finding]] = field(default_factory=dict)
    elapsed_s: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, finding: Finding, elapsed_s: float) -> None:
        self.findings.setdefault(name, []).append(finding)
        self.elapsed_s[name] = self.elapsed_s.get(name, 0.0) + elapsed_s


class Panel:
    """A pool of examiners, started on demand, at most `jobs` at once."""

    def __init__(
        self, zygote: Zygote, models_dir: Path, *, jobs: int, detector_s: float, memory_bytes: int
    ) -> None:
        self._zygote = zygote
        self._models_dir = models_dir
        self._detector_s = detector_s
        self._memory_bytes = memory_bytes
        self._idle: queue.LifoQueue[Child | None] = queue.LifoQueue()  # one that is started goes first
        for _ in range(jobs):
            self._idle.put(None)  # a place for a child that is not started yet
        self._lock = threading.Lock()
        self._opening: threading.Thread | None = None
        self._members: tuple[Member, ...] | None = None
        self._problems: list[str] = []

    @property
    def warnings(self) -> list[str]:
        """Detectors that cannot be loaded, layers of the jail that are missing."""
        return [*self._problems, *self._zygote.warnings]

    @property
    def members(self) -> tuple[Member, ...]:
        """The detectors, asked of the first examiner."""
        if self._opening is not None:
            self._opening.join()
        if self._members is None:
            with self._examiner() as slot:
                self._child(slot)
        assert self._members is not None
        return self._members

    @property
    def members_so_far(self) -> tuple[Member, ...]:
        """The detectors, once an examiner has told of them: before that none of them can have said anything."""
        return self._members or ()

    def examine(self, request: Request) -> Answers:
        """Let every named detector examine the view; each one answers, if only with FAILED or TIMED_OUT."""
        answers, left = Answers(), list(request.names)
        with self._examiner() as slot:
            while left:
                try:
                    self._run(slot, request, left, answers)
                except Failed as e:
                    slot.child = None
                    answers.add(left.pop(0), self._obituary(e), 0.0)
        return answers

    def _run(self, slot: _Slot, request: Request, left: list[str], answers: Answers) -> None:
        message = {
            "op": "examine",
            "view": request.view,
            "used": request.used,
            "detectors": list(left),
            "each": request.each,
            "rendition": request.rendition,
            "cut": request.cut,
        }
        fds = () if request.arena_fd is None else (request.arena_fd,)
        child = self._child(slot)
        for answer in child.stream(message, fds, timeout_s=self._detector_s, memory_bytes=self._memory_bytes):
            name = answer["detector"]
            while left and left[0] != name:
                left.pop(0)
            try:
                finding = finding_of(answer["finding"])
            except (KeyError, TypeError, ValueError) as e:
                finding = failed("malformed_finding", f"the finding cannot be read: {e}")
            answers.add(name, finding, float(answer["elapsed_s"]))
        left.clear()

    def _obituary(self, e: Failed) -> Finding:
        timed_out = e.code == "worker_timed_out"
        text = f"stopped after {self._detector_s:g} s" if timed_out else e.message
        return Finding(Outcome.TIMED_OUT if timed_out else Outcome.FAILED, reasons=(Reason(e.code, text),))

    def _read_cards(self, answer: JSON) -> tuple[Member, ...]:
        members = []
        for card in answer["cards"]:
            if card["problem"]:
                self._problems.append(card["problem"])
                continue
            members.append(
                Member(
                    **{
                        k: card[k]
                        for k in ("name", "version", "reads", "family", "summary", "source", "licence")
                    },
                    claims=frozenset(Kind(k) for k in card["claims"]),
                    models=tuple(card["models"]),
                    frames=card["frames"],
                    unavailable=answer["unavailable"].get(card["name"], ""),
                )
            )
        return tuple(members)

    def _child(self, slot: _Slot) -> Child:
        if slot.child is None:
            child = self._spawned()
            answer = child.call({"op": "open", "models_dir": str(self._models_dir)}, timeout_s=OPENING_S)
            with self._lock:
                if self._members is None:
                    self._members = self._read_cards(answer)
            slot.child = child
        return slot.child

    def _spawned(self) -> Child:
        try:
            return self._zygote.spawn()
        except JailError as e:
            if e.code != "jail_gone":
                raise
            return self._zygote.spawn()  # it was killed, for want of memory perhaps, and is started anew once

    @contextmanager
    def _examiner(self) -> Iterator[_Slot]:
        slot = _Slot(self._idle.get())
        try:
            yield slot
        finally:
            self._idle.put(slot.child)

    def open_first(self) -> None:
        """Open one examiner in the background, weights and all, while the first sample is being decoded."""
        self._opening = threading.Thread(target=self._open_quietly, name="open-examiner", daemon=True)
        self._opening.start()

    def _open_quietly(self) -> None:
        with (
            suppress(AssayError),
            self._examiner() as slot,
        ):  # whoever needs it meets the same error, and tells it
            self._child(slot)

    def close(self) -> None:
        self._close_idle()
        self._zygote.close()
        if self._opening is not None:
            self._opening.join()
            self._close_idle()  # it may have been opened in the meantime

    def _close_idle(self) -> None:
        while not self._idle.empty():
            child = self._idle.get_nowait()
            if child is not None:
                child.close()


@dataclass(slots=True)
class _Slot:
    child: Child | None


def evidence_of(member: Member, finding: Finding, elapsed_s: float) -> Evidence:
    return Evidence(member.name, member.version, member.family, finding, None, elapsed_s)
