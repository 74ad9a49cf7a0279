"""One cell of the matrix: a sample, a laundering, and the detectors that have to examine it.

Sources are decoded in the jail, as strangers' bytes are. Renditions are written by our own encoder from pixels, so they
are read back in this process (docs/decisions/0005-bench-reads-in-process.md).
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.bench import regions
from assay.bench.cache import Key, Result
from assay.bench.manifest import Entry
from assay.bench.panel import Panel
from assay.case import MALFORMED, malformed
from assay.errors import AssayError, Failed, SampleError, Unsupported
from assay.evidence import runner
from assay.evidence.detector import Card
from assay.evidence.windows import merge
from assay.ingest.admission import Arrival, admit_path
from assay.media.decoder import Decoder, Packed, decoder
from assay.media.identify import family_of, identify
from assay.media.image import read_image
from assay.media.jail.arena import read_arena
from assay.media.jail.process import DECODER, Zygote
from assay.media.quality import estimated_quality
from assay.media.views import AudioClip, Container, Image, expect
from assay.range import laundering
from assay.settings import Limits
from assay.types import Finding, Outcome

AS_IS = "as_is"
LONGEST_S = 60.0  # of a sound that is laundered
DECODING, LAUNDERING = "decoding", "laundering"  # steps; any other is a detector's name


@dataclass(frozen=True, slots=True)
class Want:
    """One laundering of a task, and the detectors whose results are missing."""

    laundering: str
    keys: Mapping[str, Key]  # by detector


@dataclass(frozen=True, slots=True)
class Task:
    """One sample and all that has to be computed of it."""

    entry: Entry
    seed: int
    wants: tuple[Want, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What a worker is about to do: whoever kills it knows what it died of."""

    laundering: str
    what: str


@dataclass(frozen=True, slots=True)
class Row:
    """A result and its key."""

    key: Key
    result: Result


@dataclass(slots=True)
class Rendition:
    """Views that detectors examine, and what figures need to know of them."""

    views: dict[type, tuple[Any, ...]]  # windows of a sound, in order
    sha256: str
    width: int = 0
    height: int = 0
    quality: int | None = None
    mask: NDArray[np.bool_] | None = None
    spans: list[tuple[float, float]] = field(default_factory=list)


@dataclass(slots=True)
class Source:
    """A decoded sample."""

    family: str
    as_is: Rendition
    pixels: NDArray[np.uint8] | None = None  # (H, W, 3), upright
    samples: NDArray[np.float32] | None = None  # (C, N)
    rate_hz: int = 0
    mask: NDArray[np.bool_] | None = None


class Hands:
    """What one worker process does; the decoders' zygote is started with the first sample."""

    def __init__(self, panel: Panel, limits: Limits) -> None:
        self._panel = panel
        self._limits = limits
        self._cards = {c.name: c for c in panel.cards}
        self._zygote: Zygote | None = None

    def work(self, task: Task) -> Iterator[Step | Row]:
        """Compute all that a task wants; trouble with the sample becomes rows that say so."""
        yield Step("", DECODING)
        try:
            source = self.open(task)
        except SampleError as e:
            yield from self._unread(task, e)
            return
        except MALFORMED as e:
            yield from self._unread(task, malformed(e))
            return
        detectors = self._panel.detectors_for(task.entry)
        for want in task.wants:
            yield Step(want.laundering, LAUNDERING)
            try:
                rendition = self._rendition(source, want.laundering, seed_of(task.entry, task.seed))
            except (AssayError, ValueError, OSError) as e:
                yield from failures(want, getattr(e, "code", "laundering"), str(e))
                continue
            for name, key in want.keys.items():
                yield Step(want.laundering, name)
                yield Row(key, examined(self._cards[name], detectors.get(name), rendition))

    def close(self) -> None:
        if self._zygote is not None:
            self._zygote.close()

    def _unread(self, task: Task, e: SampleError) -> Iterator[Row]:
        for want in task.wants:
            yield from failures(want, e.code, e.message)

    def open(self, task: Task) -> Source:
        """Decode a task's sample in the jail.

        Raises
        ------
        SampleError
            If it cannot be had.
        """
        entry = task.entry
        with admit_path(str(entry.path), self._limits.size_bytes) as arrival:
            if arrival.sha256 != entry.sha256:
                raise Failed("it changed since the manifest was read", code="changed")
            media_type = identify(arrival.head, arrival.tail, arrival.size)
            family = family_of(media_type)
            with self._decoder(arrival) as worker:
                container = self._container(task, worker, arrival, media_type)
                if family == "image":
                    source = _picture(worker, arrival, container)
                elif family == "audio":
                    source = _sound(worker, arrival, container)
                else:
                    raise Unsupported(f"the bench reads pictures and sound, not {media_type}")
        if entry.mask is not None and source.pixels is not None:
            source.mask = source.as_is.mask = self._mask(entry, source.pixels.shape[:2])
        return source

    def _container(self, task: Task, worker: Decoder, arrival: Arrival, media_type: str) -> Container | None:
        if not any(self._cards[name].reads is Container for want in task.wants for name in want.keys):
            return None
        return worker.triage(media_type, arrival.size, arrival.sha256, {})[1]

    def _mask(self, entry: Entry, shape: tuple[int, int]) -> NDArray[np.bool_]:
        try:
            with (
                admit_path(str(entry.mask), self._limits.size_bytes) as arrival,
                self._decoder(arrival) as worker,
                worker.image() as packed,
            ):
                mask = _view(packed).upright[..., 0] > 127
        except SampleError as e:
            raise Failed(f"its mask cannot be read: {e.message}", code="mask") from e
        if mask.shape != shape:
            raise Failed(
                f"its mask is {mask.shape[1]} x {mask.shape[0]} pixels, it is {shape[1]} x {shape[0]}"
            )
        return mask

    def _decoder(self, arrival: Arrival) -> AbstractContextManager[Decoder]:
        if self._zygote is None:
            serving = DECODER.serving("assay.media.operations:handle", memory_bytes=self._limits.memory_bytes)
            self._zygote = Zygote("assay.media.operations:prepare", serving)
        return decoder(self._zygote, arrival.descriptor, self._limits.as_json())

    def _rendition(self, source: Source, name: str, seed: int) -> Rendition:
        if name == AS_IS:
            return source.as_is
        if source.pixels is not None:
            made = laundering.launder(source.pixels, name, seed=seed, mask=source.mask)
            view = read_image(io.BytesIO(made.data), self._limits.as_json()).view
            return _of_picture(view, hashlib.sha256(made.data).hexdigest(), made.mask)
        assert source.samples is not None
        heard = laundering.launder_audio(source.samples, source.rate_hz, name, seed=seed)
        return read_sound(heard.data, heard.media_type, self._limits)


def seed_of(entry: Entry, seed: int) -> int:
    """What a sample's launderings are drawn from: its digest and the run's seed."""
    return int.from_bytes(hashlib.sha256(f"{entry.sha256}/{seed}".encode()).digest()[:8])


def failures(want: Want, code: str, text: str) -> Iterator[Row]:
    """Rows of a cell that could not be examined."""
    for key in want.keys.values():
        yield Row(key, Result(Outcome.FAILED, None, (code,), problem=text[:300]))


def examined(card: Card, detector: Any, rendition: Rendition) -> Result:
    """Let one detector examine what it reads of a rendition."""
    parts = rendition.views.get(card.reads, ())
    elapsed_s = 0.0
    if detector is None or not parts:
        finding = Finding.not_applicable("not_read", "there is nothing here that it reads")
    else:
        findings: list[Finding] = []
        for part in parts:
            one, took_s = runner.run(detector, part)
            findings.append(one)
            elapsed_s += took_s
        finding = findings[0] if len(findings) == 1 else merge(findings, rendition.spans, "window")
    failed = finding.outcome is Outcome.FAILED
    measured = rendition.mask is not None and not failed
    return Result(
        outcome=finding.outcome,
        score=finding.score,
        codes=tuple(r.code for r in finding.reasons),
        rendition=rendition.sha256,
        width=rendition.width,
        height=rendition.height,
        quality=rendition.quality,
        region_f1=regions.f1(finding.regions, rendition.mask)
        if measured and rendition.mask is not None
        else None,
        elapsed_s=elapsed_s,
        problem=finding.reasons[0].text[:300] if failed else "",
    )


def _picture(worker: Decoder, arrival: Arrival, container: Container | None) -> Source:
    with worker.image() as packed:
        view = _view(packed)
        as_is = _of_picture(view, arrival.sha256, None)
        if container is not None:
            as_is.views[Container] = (container,)
        return Source("image", as_is, pixels=np.ascontiguousarray(view.upright))


def _view(packed: Packed) -> Image:
    return expect(Image, packed.view, read_arena(packed.arena_fd, packed.used))


def _of_picture(view: Image, sha256: str, mask: NDArray[np.bool_] | None) -> Rendition:
    height, width = view.upright.shape[:2]
    quality = estimated_quality(view.planes[0].quantisation.ravel().tolist()) if view.planes else None
    return Rendition({Image: (view,)}, sha256, width, height, quality, mask)


def _sound(worker: Decoder, arrival: Arrival, container: Container | None) -> Source:
    worker.open("audio", stream=0)
    clips: list[AudioClip] = []
    for packed in worker.windows():
        if not isinstance(packed, Packed):
            break
        clip = _clip(packed)
        if clips and (clip.rate_hz, clip.samples.shape[0]) != (clips[0].rate_hz, clips[0].samples.shape[0]):
            break  # another track's form in mid-stream: what came before is enough
        clips.append(clip)
        if clips[-1].start_s + clips[-1].samples.shape[1] / clips[-1].rate_hz >= LONGEST_S:
            break
    if not clips:
        raise Failed("there is no sound in it", code="undecodable")
    as_is = _of_sound(clips, arrival.sha256)
    if container is not None:
        as_is.views[Container] = (container,)
    samples = np.concatenate([c.samples for c in clips], axis=1)
    rate_hz = clips[0].rate_hz
    return Source("audio", as_is, samples=samples[:, : int(LONGEST_S * rate_hz)], rate_hz=rate_hz)


def _clip(packed: Packed) -> AudioClip:
    """Take a window; its pages stay mapped as long as it lives."""
    return expect(AudioClip, packed.view, read_arena(packed.arena_fd, packed.used))


def _of_sound(clips: list[AudioClip], sha256: str) -> Rendition:
    spans = [(c.start_s, c.start_s + c.samples.shape[1] / c.rate_hz) for c in clips]
    return Rendition({AudioClip: tuple(clips)}, sha256, spans=spans)


def read_sound(data: bytes, media_type: str, limits: Limits) -> Rendition:
    """Read a laundered sound back, window by window, as the pipeline's decoder does."""
    from assay.media.audio import AudioReader
    from assay.media.jail.arena import Arena, ArenaWriter

    reader = AudioReader(io.BytesIO(data), limits.as_json(), stream=0)
    clips: list[AudioClip] = []
    while True:
        with Arena(1 << 28) as arena:
            writer = ArenaWriter(os.dup(arena.fd))
            answer = reader.window(writer)
            writer.close()
            if answer.get("end"):
                break
            clips.append(expect(AudioClip, answer["view"], read_arena(arena.fd, int(answer["used"]))))
    if not clips:
        raise Failed(f"nothing was left of the sound ({media_type})", code="undecodable")
    return _of_sound(clips, hashlib.sha256(data).hexdigest())
