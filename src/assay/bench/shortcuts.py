"""What can be told of a sample without looking at its content: numbers and words from its bytes, read in the jail."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from assay.bench import tags
from assay.bench.manifest import Entry
from assay.case import MALFORMED, malformed
from assay.errors import SampleError, Unsupported
from assay.ingest.admission import admit_path
from assay.media.decoder import decoder
from assay.media.identify import family_of, identify
from assay.media.jail.process import DECODER, Zygote
from assay.media.quality import estimated_quality
from assay.media.views import Container
from assay.settings import Limits

NUMBERS = (
    "file size",
    "bytes per pixel",
    "width",
    "height",
    "aspect",
    "JPEG quality",
    "duration",
    "sampling rate",
)
WORDS = ("format", "channels and depth", "quantisation tables", "chroma subsampling", "structure", "metadata")
BYTES = ("file size", "bytes per pixel")  # under one and the same encoder they measure content
ENCODER = ("format", "channels and depth", "quantisation tables", "chroma subsampling", "sampling rate")
NAMES = (*NUMBERS, *WORDS)
_PNG = {
    "0": "grey",
    "2": "RGB",
    "3": "palette",
    "4": "grey and alpha",
    "6": "RGB and alpha",
}  # by colour type
_SAMPLES = {1: "grey", 2: "grey and alpha", 3: "RGB", 4: "RGB and alpha"}  # of a TIFF's pixel
_COMPONENTS = {1: "grey", 3: "RGB", 4: "CMYK"}  # of a JPEG


@dataclass(frozen=True, slots=True)
class Traits:
    """One sample without its content. A number that does not apply is NaN."""

    numbers: dict[str, float]
    words: dict[str, str]
    tags: dict[str, str] = field(default_factory=dict)  # metadata, kept short


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a sample's traits could not be had."""

    name: str
    why: str


def traits(entries: Sequence[Entry], limits: Limits) -> Iterator[Traits | Unread]:
    """Read the traits of every sample, in order."""
    serving = DECODER.serving("assay.media.operations:handle", memory_bytes=limits.memory_bytes)
    with Zygote("assay.media.operations:prepare", serving) as zygote:
        for entry in entries:
            try:
                yield _traits(entry, zygote, limits)
            except SampleError as e:
                yield Unread(entry.name, e.message)
            except MALFORMED as e:
                yield Unread(entry.name, malformed(e).message)


def _traits(entry: Entry, zygote: Zygote, limits: Limits) -> Traits:
    with admit_path(str(entry.path), limits.size_bytes) as arrival:
        media_type = identify(arrival.head, arrival.tail, arrival.size)
        if family_of(media_type) not in ("image", "audio", "video"):
            raise Unsupported(f"no picture, sound or video ({media_type})")
        with decoder(zygote, arrival.descriptor, limits.as_json()) as worker:
            _, container = worker.triage(media_type, arrival.size, arrival.sha256, {})
            rate_hz = math.nan
            if family_of(media_type) == "audio":
                rate_hz = float(worker.open("audio", stream=0)["rate_hz"])
    return of_container(container, entry.size, rate_hz)


def of_container(c: Container, size: int, rate_hz: float = math.nan) -> Traits:
    """Reduce a container to what may betray a label."""
    pixels = c.width * c.height
    quality = (
        estimated_quality(c.quantisation[0]) if c.quantisation and len(c.quantisation[0]) == 64 else math.nan
    )
    return Traits(
        numbers={
            "file size": float(size),
            "bytes per pixel": size / pixels if pixels else math.nan,
            "width": float(c.width) if pixels else math.nan,
            "height": float(c.height) if pixels else math.nan,
            "aspect": c.width / c.height if pixels else math.nan,
            "JPEG quality": float(quality),
            "duration": c.duration_s or math.nan,
            "sampling rate": rate_hz,
        },
        words={
            "format": c.media_type + (", progressive" if c.progressive else ""),
            "channels and depth": mode(c),
            "quantisation tables": _digest(repr(c.quantisation)) if c.quantisation else "none",
            "chroma subsampling": c.sampling or "none",
            "structure": " ".join(_once([p.kind for p in c.parts])),
            "metadata": " ".join(sorted({*(_namespace(k) for k in c.metadata), *_extras(c)})) or "none",
        },
        tags=tags.kept(_facts(c) | c.metadata),
    )


def _facts(c: Container) -> dict[str, str]:
    """What stands beside the metadata and is as telling."""
    facts = {
        "trailing": c.trailing_note,
        "thumbnail": "x".join(map(str, c.thumbnail_size or ())),
        "credentials": str(c.credentials.get("state") or "yes") if c.credentials else "",
    }
    return {key: value for key, value in facts.items() if value}


def mode(c: Container) -> str:
    """Name channels and depth as a container tells them, alike for all formats."""
    told = c.metadata
    png = re.fullmatch(r"depth (\d+), colour (\d+), .*", told.get("png:header", ""))
    if png:
        alpha = " and alpha" if png[2] in "023" and any(p.kind == "tRNS" for p in c.parts) else ""
        return f"{_PNG.get(png[2], 'unknown')}{alpha}, {png[1]} bit"
    if c.sampling:
        components = c.sampling.count(",") + 1
        return (
            f"{_COMPONENTS.get(components, f'{components} channels')}, {told.get('jpeg:precision', '8')} bit"
        )
    if c.media_type == "image/webp":
        clear = "alpha" in f"{told.get('webp:flags')} {told.get('webp:codec')}"
        return f"RGB{' and alpha' if clear else ''}, 8 bit"
    if c.media_type == "image/tiff":
        depths = told.get("exif:BitsPerSample", "1").split(" ")
        return f"{_SAMPLES.get(len(depths), f'{len(depths)} channels')}, {depths[0][:8]} bit"
    if c.media_type == "image/gif":
        return "palette, 8 bit"
    written = f"{told.get('bmp:header', '')} {told.get('stream.0:codec', '')}"
    return ", ".join(re.findall(r"\d{1,8} (?:channels|bit)", written)) or "unknown"


def _namespace(key: str) -> str:
    return key.partition(":")[0].partition(".")[0]


def _extras(c: Container) -> Iterator[str]:
    if c.credentials:
        yield "credentials"
    if c.thumbnail_size:
        yield "thumbnail"
    if c.trailing:
        yield "trailing"
    yield from (p.note for p in c.parts if p.note in ("ICC_PROFILE", "Exif"))


def _once(kinds: Sequence[str]) -> list[str]:
    """Kinds of parts in order, repeated ones once."""
    return [k for n, k in enumerate(kinds) if n == 0 or kinds[n - 1] != k][:40]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
