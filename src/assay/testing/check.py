"""check_detector: does a detector keep its promises? For authors of detectors, in their own tests."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.media.views import AudioClip, Container, Image, JpegPlane, Part, VideoClip
from assay.types import Finding, Kind, Outcome

SLOWEST_S = 30.0  # on one awkward view, none of which is large
Views = Mapping[str, Any]
# Named here and not imported: makers of small media stand below the evidence that is tested with them.
CARD = ("name", "version", "reads", "family", "claims", "summary", "source", "licence", "models", "frames")
RAISED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def check_detector(detector: Any, *, views: Views | None = None) -> None:
    """Try a detector on every awkward view that its card reads and raise one error with all complaints.

    Parameters
    ----------
    detector : object
        An instance, as the core would construct it.
    views : mapping of str to view, optional
        More views to try, beside `awkward_views`; their names appear in the complaints.

    Raises
    ------
    AssertionError
        With one line for each broken promise.

    Examples
    --------
    >>> from assay.evidence.detectors.jpeg_grid import JpegGrid
    >>> check_detector(JpegGrid())
    """
    found = complaints(detector, views=views)
    if found:
        raise AssertionError("\n".join(found))


def complaints(detector: Any, *, views: Views | None = None) -> list[str]:
    """List what a detector does wrong, one sentence each; an empty list is the aim."""
    card: Any = getattr(type(detector), "card", None)
    missing = [name for name in CARD if not hasattr(card, name)]
    if missing:
        return [
            f"{type(detector).__name__} has no class attribute `card` of type Card (it lacks {', '.join(missing)})"
        ]
    found = list(_of_card(card, type(detector)))
    tried = {name: view for name, view in awkward_views().items() if isinstance(view, card.reads)} | dict(
        views or {}
    )
    for name, view in tried.items():
        found += [f"{card.name} on {name}: {text}" for text in _of_view(detector, view)]
    return found


def awkward_views() -> dict[str, Any]:
    """Small views of every kind on which detectors stumble. All arrays are read-only, as in the examiner."""
    pixels = _pictures()
    views: dict[str, Any] = {name: Image(coded=_frozen(array)) for name, array in pixels.items()}
    noise, rng = _frozen(pixels["noise"]), np.random.default_rng(7)
    views |= {
        "alpha": Image(coded=noise, alpha=_frozen(rng.integers(0, 256, noise.shape[:2], dtype=np.uint8))),
        "16 bit": Image(coded=noise, bit_depth=16, media_type="image/tiff"),
        "a still": Image(coded=noise, origin="still", media_type="image/gif"),
        "a frame": Image(coded=noise, origin="frame", time_s=1.5, media_type="video/mp4"),
        "a JPEG": Image(coded=noise, planes=_planes(noise.shape[:2], rng), media_type="image/jpeg"),
        "a CMYK JPEG": Image(coded=noise, planes=_planes(noise.shape[:2], rng, 4), media_type="image/jpeg"),
        "a JPEG of zeros": Image(coded=noise, planes=_planes(noise.shape[:2], None), media_type="image/jpeg"),
        "a JPEG whose planes are too small": Image(
            coded=noise, planes=_planes((16, 16), rng), media_type="image/jpeg"
        ),
    }
    views |= {f"orientation {n}": Image(coded=_frozen(pixels["scene"]), orientation=n) for n in range(2, 9)}
    seconds = np.zeros((2, 16000), np.float32)
    loud = rng.uniform(-1, 1, (1, 16000)).astype(np.float32)
    views |= {
        "silence": AudioClip(samples=_frozen(seconds), rate_hz=16000),
        "noise of one second": AudioClip(samples=_frozen(loud), rate_hz=16000),
        "one sample": AudioClip(samples=_frozen(loud[:, :1]), rate_hz=8000),
        "no sample": AudioClip(samples=_frozen(loud[:, :0]), rate_hz=48000),
        "one frame": VideoClip(frames=(views["a frame"],), duration_s=0.04, rate_hz=25.0),
        "no frame": VideoClip(frames=(), duration_s=0.0, rate_hz=0.0),
        "an empty container": Container(
            media_type="application/octet-stream", size=0, sha256=hashlib.sha256().hexdigest()
        ),
        "an odd container": Container(
            media_type="image/jpeg",
            size=9,
            sha256="0" * 64,
            parts=(Part(kind="SOI", offset=0, length=2), Part(kind="?\x00", offset=2, length=0)),
            metadata={"exif:Make": "\u202e\x00", "xmp": "<", "": ""},
            quantisation=((0,) * 64, (1,)),
            trailing=5,
        ),
    }
    return views


def _pictures() -> dict[str, NDArray[np.uint8]]:
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:160, :176]
    slow = 128 + 60 * np.sin(x / 23.0) * np.cos(y / 31.0) + rng.normal(0, 3, (160, 176))
    return {
        "noise": rng.integers(0, 256, (160, 176, 3), dtype=np.uint8),
        "flat": np.full((160, 176, 3), 127, np.uint8),
        "black": np.zeros((160, 176, 3), np.uint8),
        "white": np.full((160, 176, 3), 255, np.uint8),
        "checkerboard": np.repeat((((x // 8 + y // 8) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2),
        "stripes": np.repeat(((x % 2) * 255).astype(np.uint8)[..., None], 3, axis=2),
        "scene": np.repeat(slow.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2),
        "1 x 1": np.full((1, 1, 3), 9, np.uint8),
        "one row": rng.integers(0, 256, (1, 200, 3), dtype=np.uint8),
        "one column": rng.integers(0, 256, (200, 1, 3), dtype=np.uint8),
        "7 x 7": rng.integers(0, 256, (7, 7, 3), dtype=np.uint8),
        "65 x 67": rng.integers(0, 256, (65, 67, 3), dtype=np.uint8),
    }


def _planes(
    shape: tuple[int, ...], rng: np.random.Generator | None, number: int = 3
) -> tuple[JpegPlane, ...]:
    """Planes of random (or zero) coefficients for a picture of `shape`; zeros in the tables where there is no chance."""
    rows, columns = -(-shape[0] // 8), -(-shape[1] // 8)
    size = (rows, columns, 8, 8)
    values = np.zeros(size, np.int16) if rng is None else rng.integers(-1024, 1024, size).astype(np.int16)
    table = np.full((8, 8), 0 if rng is None else 3, np.uint16)
    plane = JpegPlane(coefficients=_frozen(values), quantisation=_frozen(table), horizontal=1, vertical=1)
    return (plane,) * number


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    copy = np.ascontiguousarray(array).copy()
    copy.flags.writeable = False
    return copy


def _of_card(card: Any, detector: type) -> Iterable[str]:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", card.name):
        yield f"the name {card.name!r} is not in snake_case"
    if detector.__module__.startswith("assay.") and detector.__module__.rpartition(".")[2] != card.name:
        yield f"the module of {card.name} bears another name: {detector.__module__}"
    if card.version < 1:
        yield f"{card.name}: versions count from 1"
    if card.reads not in {Image, AudioClip, VideoClip, Container}:
        yield f"{card.name} reads {card.reads!r}, which is no view"
    if not all(isinstance(kind, Kind) for kind in card.claims):
        yield f"{card.name} claims something that is not in the closed list of kinds"
    for name in ("family", "summary", "source", "licence"):
        text = getattr(card, name)
        if not text.strip() or "\n" in text:
            yield f"{card.name}: `{name}` must be one line of text"


def _of_view(detector: Any, view: Any) -> Iterable[str]:
    before = _digest(view)
    began = time.perf_counter()
    try:
        first, second = detector.examine(view), detector.examine(view)
    except RAISED as e:
        yield f"raised {type(e).__name__}: {e}"
        return
    if time.perf_counter() - began > 2 * SLOWEST_S:
        yield f"took more than {SLOWEST_S:.0f} s"
    if _digest(view) != before:
        yield "modified its view"
    if not isinstance(first, Finding):
        yield f"returned {type(first).__name__}, not a Finding"
        return
    if first != second or not _same_heat(first, second):
        yield "gave two answers to the same view"
    yield from _of_finding(first, view)


def _of_finding(found: Finding, view: Any) -> Iterable[str]:
    if found.outcome not in {Outcome.SCORED, Outcome.NOT_APPLICABLE}:
        yield f"says {found.outcome}: only the runner may"
    if not found.reasons:
        yield "gives no reason"
    for reason in found.reasons:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", reason.code):
            yield f"the code {reason.code!r} is not in snake_case"
        if not reason.text.strip():
            yield f"the reason {reason.code} has no text"
    for region in found.regions:
        if isinstance(view, Image) and (region.height, region.width) != view.upright.shape[:2]:
            yield f"a region is said to lie in {region.width} x {region.height}, which is not the upright picture"
        if any(not (0 <= x <= region.width and 0 <= y <= region.height) for x, y in region.points):
            yield "a region reaches out of its picture"
    if any(not 0 <= s.start_s <= s.end_s for s in found.segments):
        yield "a segment ends before it starts"
    if found.heat is not None and (
        found.heat.dtype != np.uint8 or found.heat.ndim != 2 or max(found.heat.shape, default=0) > 512
    ):
        yield "its heat map is not (h, w) of uint8, at most 512 on a side"


def _same_heat(a: Finding, b: Finding) -> bool:
    if a.heat is None or b.heat is None:
        return a.heat is b.heat
    return bool(np.array_equal(a.heat, b.heat))


def _digest(value: Any) -> str:
    """A digest of a view with all its arrays."""
    if isinstance(value, np.ndarray):
        return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    if is_dataclass(value):
        return "".join(_digest(getattr(value, f.name)) for f in fields(value))
    if isinstance(value, tuple):
        return "".join(map(_digest, value))
    return repr(value)
