"""`assay screen --bulk`: hands a folder or a bucket's prefix over to the workers, and shows how far they are."""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assay.errors import Overloaded, SampleError
from assay.report.escape import printable

if TYPE_CHECKING:
    from assay.desk.intake import Intake
    from assay.ingest.admission import Arrival
    from assay.settings import Settings

LOOK_S = 0.5


@dataclass(slots=True)
class Batch:
    """What was handed over, and what has come back."""

    ids: list[str] = field(default_factory=list)
    done: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    unread: list[str] = field(default_factory=list)


def run(settings: Settings, paths: tuple[str, ...], source: str, stopping: Callable[[], bool]) -> int:
    """Submit everything, then wait for the verdicts; 1 if something was diverted, 2 if something could not be read.

    Whoever stops it loses nothing: what was handed over is worked on, and the same command again goes on where it was.
    """
    from assay.action.policy import effective
    from assay.desk.intake import Intake
    from assay.desk.stores import Stores
    from assay.verdict.calibration import shipped

    effective(settings.policy)
    with Stores.open(settings) as stores:
        intake = Intake(
            stores,
            stores.waiting,
            put=lambda *_: None,  # the workers' reaper finds it
            rules=lambda: (settings.policy, shipped(settings.reasons, settings.paths.calibration).version),
            backlog=settings.serve.backlog,
        )
        batch, shown = Batch(), _Shown()
        for name, opened in _found(settings, paths):
            if stopping():
                break
            _submit(intake, batch, name, opened, source, shown, stopping)
        while not stopping() and _look(intake, batch) < len(batch.ids):
            shown.show(batch)
            time.sleep(LOOK_S)
        shown.end(batch, stopped=stopping())
    diverted = sum(batch.actions[a] for a in ("quarantine", "reject", "hold"))
    return 1 if diverted else 2 if batch.unread else 0


def _submit(
    intake: Intake,
    batch: Batch,
    name: str,
    opened: Callable[[], object],
    source: str,
    shown: _Shown,
    stopping: Callable[[], bool],
) -> None:
    from assay.store.jobs import Priority

    try:
        with opened() as arrival:  # type: ignore[attr-defined]
            while not stopping():
                try:
                    job = intake.submit(
                        descriptor=arrival.descriptor,
                        sha256=arrival.sha256,
                        size=arrival.size,
                        name=name,
                        source=source or "bulk",
                        priority=Priority.BULK,
                        key=f"{name}\0{arrival.sha256}",
                    )
                except Overloaded:  # the spool stays small: wait for the workers
                    _look(intake, batch)
                    shown.show(batch)
                    time.sleep(LOOK_S)
                else:
                    batch.ids.append(job.id)
                    shown.show(batch)
                    return
    except SampleError as e:
        batch.unread.append(f"{name}: {e.message}")


def _look(intake: Intake, batch: Batch) -> int:
    """Count what is done, and what was decided."""
    waiting = intake.jobs.unfinished(batch.ids)
    if len(batch.ids) - len(waiting) != batch.done:
        batch.done = len(batch.ids) - len(waiting)
        batch.actions = intake.stores.records.actions(i for i in batch.ids if i not in waiting)
    return batch.done


def _found(settings: Settings, paths: tuple[str, ...]) -> Iterator[tuple[str, Callable[[], object]]]:
    from assay.ingest.admission import admit_path, walk

    limit = settings.limits.size_bytes
    for path in paths:
        if "://" in path:
            yield from _objects(path, limit)
            continue
        for found in walk([path]):
            yield found.path, (lambda f=found: admit_path(f.path, limit))  # type: ignore[misc]


def _objects(url: str, limit: int) -> Iterator[tuple[str, Callable[[], object]]]:
    """Everything below a prefix of an object store, each brought here only when its turn comes."""
    from pathlib import Path

    import obstore

    from assay.objects import place

    store = place(url, Path())
    for batch in obstore.list(store):  # type: ignore[arg-type]
        for meta in batch:
            path = meta["path"]
            yield f"{url.rstrip('/')}/{path}", (lambda p=path: _fetched(store, p, limit))  # type: ignore[misc]


@contextmanager
def _fetched(store: object, path: str, limit: int) -> Iterator[Arrival]:
    import obstore

    from assay.ingest.admission import admit_descriptor

    with tempfile.TemporaryFile() as file:
        for piece in obstore.get(store, path).stream():  # type: ignore[arg-type]
            file.write(piece)
        file.flush()
        with admit_descriptor(file.fileno(), path, limit) as arrival:
            yield arrival


class _Shown:
    """One line on a terminal, moving; a line now and then elsewhere."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._live = sys.stderr.isatty()
        self._next = 0.0

    def show(self, batch: Batch) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (0.2 if self._live else 30.0)
        text = f"{batch.done} of {len(batch.ids)} screened{self._estimate(batch, now)}"
        print(
            f"\r\x1b[K{text}" if self._live else text,
            end="" if self._live else "\n",
            file=sys.stderr,
            flush=True,
        )

    def _estimate(self, batch: Batch, now: float) -> str:
        if not batch.done or batch.done == len(batch.ids):
            return ""
        rate = batch.done / max(1e-3, now - self._started)
        return f", {rate:.1f} a second, {_span((len(batch.ids) - batch.done) / rate)} left"

    def end(self, batch: Batch, *, stopped: bool) -> None:
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        told = ", ".join(f"{n} {action}" for action, n in sorted(batch.actions.items()))
        print(
            f"{batch.done} of {len(batch.ids)} screened in {_span(time.monotonic() - self._started)}: {told or 'none'}"
        )
        for line in batch.unread:
            print(f"  not read: {printable(line)}")
        if stopped:
            print(
                "Stopped here; the workers go on with what was handed over. The same command goes on where it was."
            )


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
