"""Run detectors over a corpus and its launderings: what is cached is not computed again, the rest is spread over all cores.

All cells without metadata are renditions: pixels written by one encoder for both classes, detectors of metadata switched
off. The second set, on demand, is the files as they are, with every detector.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from assay.bench.cache import Cache, Key, Result
from assay.bench.cells import AS_IS, Hands, Row, Task, Want
from assay.bench.manifest import Entry, Manifest
from assay.bench.panel import Panel, reads_metadata
from assay.bench.workers import inline, spread
from assay.errors import AssayError
from assay.evidence.detector import Card
from assay.media.views import AudioClip, Container, Image
from assay.range import laundering
from assay.settings import Limits
from assay.types import Outcome

READS = {"image": Image, "audio": AudioClip}
STEP_FACTOR = 4.0  # times the screen's limit for one detector: here all cores are busy all the time
Progress = Callable[[int, int], None]  # results there, results in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to run.

    Attributes
    ----------
    launderings
        Names; `all_launderings` gives all of them. "as_is" is the untouched file, still without metadata detectors.
    with_metadata
        Also examine the files as they are with every detector.
    jobs
        Processes; 0: work in this one.
    keep_failures
        Take failures from the cache, too. Otherwise they are tried again: a disk may be back, a limit raised.
    """

    manifest: Manifest
    panel: Panel
    launderings: tuple[str, ...]
    cache: Path
    limits: Limits
    with_metadata: bool = False
    seed: int = 0
    jobs: int = 1
    keep_failures: bool = False


@dataclass(frozen=True, slots=True)
class Scored:
    """One detector on one rendition of one sample."""

    entry: Entry
    laundering: str
    metadata: bool
    detector: str
    version: int
    result: Result


@dataclass(slots=True)
class Done:
    """What a run gave."""

    rows: list[Scored] = field(default_factory=list)
    computed: int = 0
    reused: int = 0
    stopped: bool = False


def all_launderings(manifest: Manifest) -> tuple[str, ...]:
    """Every laundering of the families of media that the corpus holds."""
    families = {e.media_family for e in manifest.entries}
    return (
        tuple(n for family in ("image", "audio") if family in families for n in laundering.names(family))
        or (laundering.names("image")[:1])
    )


def check_launderings(names: Sequence[str]) -> tuple[str, ...]:
    """Insist that each of `names` is one.

    Raises
    ------
    AssayError
        With the names that there are.
    """
    known = (AS_IS, *laundering.names("image"), *laundering.names("audio"))
    unknown = [n for n in names if n not in known and not laundering.is_one(n, "image")]
    if unknown or not names:
        raise AssayError(
            f"there is no laundering {', '.join(unknown) or 'in an empty list'}",
            code="laundering",
            hint=f"There are {', '.join(known)}, and jpeg1 to jpeg100.",
        )
    return tuple(dict.fromkeys(names))


def run(
    order: Order,
    *,
    progress: Progress = lambda *_: None,
    stopped: Callable[[], bool] = lambda: False,
    hands: Callable[[Panel, Limits], Hands] = Hands,
) -> Done:
    """Fill the matrix sample x laundering x detector.

    Parameters
    ----------
    order
        What to run.
    progress
        Told how many results there are, of how many.
    stopped
        Asked now and then; True ends the run, what was computed is cached.
    hands
        Makes what opens samples in each worker process; picklable.

    Raises
    ------
    AssayError
        If the cache, the weights or the jail cannot be used. Trouble with a sample becomes rows that say so.
    """
    samples = {e.sha256 for e in order.manifest.entries}
    cache = Cache(order.cache, samples, failures=order.keep_failures)
    try:
        return _filled(order, cache, progress, stopped, hands)
    finally:
        cache.close()


def _filled(
    order: Order,
    cache: Cache,
    progress: Progress,
    stopped: Callable[[], bool],
    hands: Callable[[Panel, Limits], Hands],
) -> Done:
    done = Done()
    fresh: dict[Key, Result] = {}
    wanted = [key for e in order.manifest.entries for want in _wants(order, e) for key in want.keys.values()]
    tasks = [t for t in (_task(order, e, cache) for e in order.manifest.entries) if t.wants]
    total = len(set(wanted))
    missing = len({k for t in tasks for w in t.wants for k in w.keys.values()})
    progress(total - missing, total)
    for row in _computed(order, tasks, stopped, functools.partial(hands, order.panel, order.limits)):
        if row.result.outcome is Outcome.TIMED_OUT:
            fresh[row.key] = row.result  # perhaps the machine was busy: the next run tries again
        else:
            cache.add(row.key, row.result)
        done.computed += 1
        progress(total - missing + done.computed, total)
    done.reused = total - missing
    done.stopped = stopped()
    for entry in order.manifest.entries:
        for want, metadata in _cells(order, entry):
            for name, key in want.keys.items():
                result = fresh.get(key) or cache.find(key)
                if result is not None:
                    version = next(c.version for c in order.panel.cards if c.name == name)
                    done.rows.append(Scored(entry, want.laundering, metadata, name, version, result))
    return done


def _computed(
    order: Order, tasks: list[Task], stopped: Callable[[], bool], make: Callable[[], Hands]
) -> Iterator[Row]:
    if not tasks:
        return
    if not order.jobs:
        yield from inline(tasks, make)
        return
    step_s = STEP_FACTOR * order.limits.detector_s
    yield from spread(tasks, make, jobs=min(order.jobs, len(tasks)), step_s=step_s, stopped=stopped)


def _task(order: Order, entry: Entry, cache: Cache) -> Task:
    """All of a sample that is not cached; a key of two cells is computed once."""
    seen: set[Key] = set()
    wants = []
    for want in _wants(order, entry):
        keys = {n: k for n, k in want.keys.items() if cache.find(k) is None and k not in seen}
        seen |= set(keys.values())
        if keys:
            wants.append(Want(want.laundering, keys))
    return Task(entry, order.seed, tuple(wants))


def _wants(order: Order, entry: Entry) -> Iterator[Want]:
    for want, _ in _cells(order, entry):
        yield want


def _cells(order: Order, entry: Entry) -> Iterator[tuple[Want, bool]]:
    """The launderings of a sample with the detectors of each; whether metadata are on."""
    family = entry.media_family
    own = [c for c in order.panel.cards if c.reads is READS.get(family, Image)]
    pixels = [c for c in own if not reads_metadata(c)]
    unread = () if laundering.names(family) else order.launderings[:1]  # what cannot be read is told once
    for name in order.launderings:
        if name in (AS_IS, *unread) or laundering.is_one(name, family):
            yield Want(name, {c.name: _key(order, entry, name, c) for c in pixels}), False
    if order.with_metadata:
        every = [*(c for c in order.panel.cards if c.reads is Container), *own]
        yield Want(AS_IS, {c.name: _key(order, entry, AS_IS, c) for c in every}), True


def _key(order: Order, entry: Entry, name: str, card: Card) -> Key:
    stamp = order.panel.stamp(card.name, entry)
    way = AS_IS if name == AS_IS else f"{name}/{laundering.VERSION}/{order.seed}"
    return Key(
        entry.sha256, way, f"{card.name}/{card.version}" + (f"/{stamp}" if stamp else ""), entry.mask_sha256
    )
