"""A signature: what is known of one medium, and its one serialisation as canonical JSON.

Canonical means: keys sorted, no spaces, ASCII, whole numbers only. Reading insists on it, so that a signature has one
text and a digest of it means something in any language.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from assay.errors import AssayError
from assay.signatures import audio, pdq, video
from assay.signatures.audio import AudioPrint
from assay.signatures.codes import Codes, from_hex, to_hex
from assay.signatures.references import FRAME, PATCH, PATCHES, UNIT, Box, Patch, Reference, Small
from assay.signatures.video import VideoPrint
from assay.types import JSON, Kind

About = Literal["known_fake", "known_original"]
ABOUT: tuple[About, ...] = ("known_fake", "known_original")
LINE = 4 << 20  # bytes of one signature
ITEMS = 400_000  # of a recording: 13 hours
TEXT = 500  # characters of a source or a note
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_KEYS = {"about", "format", "id", "kinds", "note", "print", "reference", "source"}


class PackError(AssayError):
    """A pack or one of its signatures cannot be used; nothing of it was."""

    code = "pack"


@dataclass(frozen=True, slots=True)
class Digest:
    """The SHA-256 of a file, 64 lower-case digits: matches that very file only."""

    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class PictureCode:
    """The PDQ code of a picture."""

    code: Codes  # (4,)
    quality: int | None = None  # 50 to 100; None: whoever made it did not say


Fingerprint = Digest | PictureCode | VideoPrint | AudioPrint
FORMATS: dict[str, type] = {
    "sha256": Digest,
    pdq.FORMAT: PictureCode,
    video.FORMAT: VideoPrint,
    audio.FORMAT: AudioPrint,
}


@dataclass(frozen=True, slots=True, eq=False)
class Signature:
    """One known fake or original."""

    id: str  # letters, digits and ._:/- ; unique within its pack
    about: About
    fingerprint: Fingerprint
    kinds: tuple[Kind, ...] = ()  # of a fake: what was done
    source: str = ""  # who says so
    note: str = ""
    reference: Reference | None = None  # what a near match is compared with

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"not an id of a signature: {self.id[:80]!r}")
        if self.about not in ABOUT:
            raise ValueError(f"a signature is about a known_fake or a known_original, not {self.about!r}")
        if max(len(self.source), len(self.note)) > TEXT:
            raise ValueError(f"a signature's source and note have at most {TEXT} characters")


def canonical(value: Any) -> bytes:
    """The one JSON text of a value without floating numbers."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def encoded(signature: Signature) -> bytes:
    """The canonical text of a signature, without a newline."""
    name, printed = _fingerprint_json(signature.fingerprint)
    return canonical(
        {
            "about": signature.about,
            "format": name,
            "id": signature.id,
            "kinds": sorted(k.value for k in set(signature.kinds)),
            "note": signature.note,
            "print": printed,
            "reference": None if signature.reference is None else _reference_json(signature.reference),
            "source": signature.source,
        }
    )


def decoded(line: bytes) -> Signature:
    """Read a signature's canonical text.

    Raises
    ------
    PackError
        ``pack_entry``: it is anything else.
    """
    if len(line) > LINE:
        raise PackError("a signature is longer than 4 MiB", code="pack_entry")
    try:
        return _parsed(line)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError, zlib.error) as e:
        raise PackError(f"a signature cannot be read ({str(e)[:200]})", code="pack_entry") from e


def _parsed(line: bytes) -> Signature:
    value: JSON = json.loads(line)
    if not isinstance(value, dict) or value.keys() != _KEYS:
        raise ValueError("its keys are others")
    signature = _signature(value)
    if encoded(signature) != line:
        raise ValueError("it is not in the canonical form")
    return signature


def _signature(value: JSON) -> Signature:
    return Signature(
        id=_text(value["id"]),
        about=cast("About", _text(value["about"])),
        fingerprint=_fingerprint(_text(value["format"]), value["print"]),
        kinds=tuple(Kind(k) for k in value["kinds"]),
        source=_text(value["source"]),
        note=_text(value["note"]),
        reference=None if value["reference"] is None else _reference(value["reference"]),
    )


def _fingerprint_json(fingerprint: Fingerprint) -> tuple[str, JSON]:
    name = next(n for n, kind in FORMATS.items() if isinstance(fingerprint, kind))
    match fingerprint:
        case Digest(sha256):
            return name, {"sha256": sha256}
        case PictureCode():
            return name, {"code": to_hex(fingerprint.code), "quality": fingerprint.quality}
        case VideoPrint():
            times = np.rint(fingerprint.times_s * 1000).astype(np.int64).tolist()
            return name, {"codes": _base64(fingerprint.codes[:, 0].astype("<u8")), "times_ms": times}
        case AudioPrint():
            return name, {"items": _base64(fingerprint.items.astype("<u4"))}


def _fingerprint(name: str, value: JSON) -> Fingerprint:
    if name == "sha256" and value.keys() == {"sha256"}:
        if not _DIGEST.fullmatch(_text(value["sha256"])):
            raise ValueError("no SHA-256")
        return Digest(value["sha256"])
    if name == pdq.FORMAT and value.keys() == {"code", "quality"}:
        quality = value["quality"]
        return PictureCode(
            from_hex(_text(value["code"])), None if quality is None else _whole(quality, pdq.QUALITY, 100)
        )
    if name == video.FORMAT and value.keys() == {"codes", "times_ms"}:
        return _video(value)
    if name == audio.FORMAT and value.keys() == {"items"}:
        items = np.frombuffer(_bytes(value["items"], 4 * ITEMS), "<u4").astype(np.uint32)
        return AudioPrint(items)
    raise ValueError(f"a fingerprint of the format {name[:40]!r} is not known, or has other keys")


def _video(value: JSON) -> VideoPrint:
    times = np.array([_whole(t, 0, 1 << 31) for t in value["times_ms"]], np.int64)
    codes = (
        np.frombuffer(_bytes(value["codes"], 32 * video.LONGEST), "<u8").astype(np.uint64).reshape(-1, 1, 4)
    )
    if not 0 < len(times) == len(codes) or (np.diff(times) < 0).any():
        raise ValueError("a video has frames, each with a code and a time, in order")
    return VideoPrint(times / 1000, codes)


def _reference_json(reference: Reference) -> JSON:
    patches = [
        {
            "around": list(p.around),
            "fake": _small_json(p.fake),
            "original": None if p.original is None else _small_json(p.original),
            "region": list(p.region),
        }
        for p in reference.patches
    ]
    return {"frame": _small_json(reference.frame), "patches": patches}


def _reference(value: JSON) -> Reference:
    if value.keys() != {"frame", "patches"} or len(value["patches"]) > PATCHES:
        raise ValueError("its reference has other keys, or too many patches")
    return Reference(_small(value["frame"], FRAME), tuple(_patch(p) for p in value["patches"]))


def _patch(value: JSON) -> Patch:
    if value.keys() != {"around", "fake", "original", "region"}:
        raise ValueError("a patch has other keys")
    fake = _small(value["fake"], PATCH)
    original = None if value["original"] is None else _small(value["original"], PATCH)
    if original is not None and original.shape != fake.shape:
        raise ValueError("a patch's pictures differ in size")
    return Patch(_box(value["region"]), _box(value["around"]), fake, original)


def _box(value: Any) -> Box:
    left, top, right, bottom = (_whole(v, 0, UNIT) for v in value)
    if left >= right or top >= bottom:
        raise ValueError("an empty region")
    return left, top, right, bottom


def _small_json(picture: Small) -> JSON:
    """Luma as differences along rows, deflated: about half of what deflating alone makes."""
    differences = np.diff(picture, axis=1, prepend=np.uint8(0))
    packed = base64.b64encode(zlib.compress(differences.tobytes(), 9)).decode()
    return {"height": picture.shape[0], "luma": packed, "width": picture.shape[1]}


def _small(value: JSON, longest: int) -> Small:
    if value.keys() != {"height", "luma", "width"}:
        raise ValueError("a picture has other keys")
    height, width = (_whole(value[k], 1, longest) for k in ("height", "width"))
    inflater = zlib.decompressobj()
    raw = inflater.decompress(_bytes(value["luma"], 2 * longest * longest), height * width + 1)
    if len(raw) != height * width or not inflater.eof or inflater.unused_data:
        raise ValueError("a picture's size differs from what it says")
    differences = np.frombuffer(raw, np.uint8).reshape(height, width)
    return np.cumsum(differences, axis=1, dtype=np.uint8)


def _base64(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def _bytes(value: Any, most: int) -> bytes:
    data = base64.b64decode(_text(value), validate=True)
    if len(data) > most:
        raise ValueError("a fingerprint or picture is too long")
    return data


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text was expected, not {type(value).__name__}")
    return value


def _whole(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"a whole number from {least} to {most} was expected")
    return value
