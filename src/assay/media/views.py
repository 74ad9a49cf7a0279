"""The read-only views that decoders hand over and detectors examine.

A view is built in the jail, packed into an arena (a sealed memfd) as arrays plus a small JSON description, and rebuilt
by an examiner. `pack` and `unpack` are the only way across; unpacking trusts nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from assay.errors import Failed

Origin = Literal["picture", "frame", "still"]
DTYPES = ("uint8", "int16", "uint16", "int32", "float32", "float64")


@dataclass(frozen=True, slots=True, kw_only=True)
class JpegPlane:
    """One colour component of a JPEG, as coded."""

    coefficients: NDArray[
        np.int16
    ]  # (block rows, block columns, 8, 8), quantised, natural order [vertical, horizontal]
    quantisation: NDArray[np.uint16]  # (8, 8), natural order
    horizontal: int  # sampling factors
    vertical: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A decoded picture, or a frame of a video."""

    coded: NDArray[np.uint8]  # (H, W, 3) sRGB-like, as stored, before orientation
    orientation: int = 1  # EXIF, 1 to 8
    alpha: NDArray[np.uint8] | None = None  # (H, W)
    planes: tuple[JpegPlane, ...] = ()  # the JPEG's own coefficients; empty for any other format
    media_type: str = "image/png"
    origin: Origin = "picture"  # "frame": of a video; "still": of an animated image
    time_s: float = 0.0  # of a frame
    bit_depth: int = 8  # as coded
    icc: bytes = b""

    @property
    def upright(self) -> NDArray[np.uint8]:
        """The picture as people see it: (H, W, 3), a view without a copy."""
        return upright(self.coded, self.orientation)


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioClip:
    """One bounded window of a sound track."""

    samples: NDArray[np.float32]  # (C, N), full scale is 1
    rate_hz: int
    start_s: float = 0.0
    codec: str = ""
    media_type: str = "audio/wav"


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoClip:
    """One bounded window of a video: sampled frames with their times."""

    frames: tuple[Image, ...]
    duration_s: float
    rate_hz: float  # nominal frames a second of the stream
    codec: str = ""
    media_type: str = "video/mp4"

    @property
    def times_s(self) -> tuple[float, ...]:
        return tuple(f.time_s for f in self.frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One structural unit of a container: a JPEG segment, an ISO box, a PNG or RIFF chunk."""

    kind: str  # "SOI", "APP1", "moov/trak", "IHDR"
    offset: int
    length: int  # header included
    note: str = ""  # "Exif", "ICC_PROFILE" ... where the kind alone does not say


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What stands around the pixels: structure, tables, metadata, content credentials. No pixels are decoded for it.

    `metadata` maps a namespaced key to text. Keys: ``exif:Make`` (tag names), ``exif.thumbnail:...``, ``gps:...``,
    ``xmp`` (the whole packet) and ``xmp:DigitalSourceType``-like extracted properties, ``iptc:...``,
    ``png:parameters`` (text chunks by keyword), ``jpeg:comment``, ``stealth`` (text hidden in alpha's lowest bits),
    ``riff:ISFT``, ``id3:...``, ``format:encoder``, ``stream.0:handler_name`` and other tags that FFmpeg reads.
    Each value is at most 1 MiB of text; `truncated` says if any was cut.

    `credentials` is the C2PA reader's own JSON (manifest store) under "store", plus "state" and "error"; empty where
    the sample carries none.
    """

    media_type: str
    size: int
    sha256: str
    width: int = 0  # pixels, as coded; 0 where it does not apply
    height: int = 0
    duration_s: float = 0.0
    parts: tuple[Part, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    quantisation: tuple[tuple[int, ...], ...] = ()  # JPEG tables in file order, 64 values each, natural order
    huffman: tuple[
        str, ...
    ] = ()  # per DHT table: "standard:dc0" ... or "custom:<sha256 of its bytes, 12 hex>"
    progressive: bool = False
    sampling: str = ""  # "2x2,1x1,1x1"
    trailing: int = 0  # bytes after the last structural unit
    trailing_note: str = ""  # "zip", "jpeg", "mpf", "zeros", "unknown" ...
    thumbnail_distance: float | None = (
        None  # mean |difference| of blurred luma (0-255) between thumbnail and picture
    )
    thumbnail_size: tuple[int, int] | None = None  # (width, height)
    credentials: dict[str, Any] = field(default_factory=dict)
    truncated: bool = False
    warnings: tuple[str, ...] = ()  # what the parsers stumbled over, in words


View = Image | AudioClip | VideoClip | Container
VIEWS: dict[str, type] = {t.__name__: t for t in (Image, AudioClip, VideoClip, Container, JpegPlane, Part)}
V = TypeVar("V")


class Writer(Protocol):
    """Where arrays go: an arena. Returns the array's offset in bytes."""

    def put(self, array: NDArray[Any]) -> int: ...


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn and mirror `pixels` (H, W, ...) as the EXIF orientation says; a view, no copy."""
    turned = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: a.swapaxes(0, 1)[:, ::-1],
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: a.swapaxes(0, 1)[::-1],
    }
    return cast("NDArray[np.uint8]", turned[orientation](pixels)) if orientation in turned else pixels


def upright_box(
    box: tuple[float, float, float, float], shape: tuple[int, int], orientation: int
) -> tuple[float, float, float, float]:
    """Carry a box (x, y, w, h) of the coded picture of `shape` (H, W) into the upright one."""
    x, y, w, h = box
    height, width = shape
    moved = {
        2: (width - x - w, y, w, h),
        3: (width - x - w, height - y - h, w, h),
        4: (x, height - y - h, w, h),
        5: (y, x, h, w),
        6: (height - y - h, x, h, w),
        7: (height - y - h, width - x - w, h, w),
        8: (y, width - x - w, h, w),
    }
    return moved.get(orientation, box)


def pack(view: Any, writer: Writer) -> Any:
    """Describe a view as JSON, its arrays put into `writer`."""
    if isinstance(view, np.ndarray):
        array = np.ascontiguousarray(view)
        return {"$array": writer.put(array), "dtype": str(array.dtype), "shape": list(array.shape)}
    if isinstance(view, bytes):
        return {"$bytes": view.hex()}
    if type(view).__name__ in VIEWS:
        return {"$view": type(view).__name__} | {
            f.name: pack(getattr(view, f.name), writer) for f in fields(view)
        }
    if isinstance(view, tuple | list):
        return [pack(v, writer) for v in view]
    return view


def unpack(described: Any, arena: memoryview) -> Any:
    """Rebuild a view from `pack`'s description, its arrays read-only in `arena`.

    Raises
    ------
    Failed
        If the description names arrays outside of the arena or is not of the form that `pack` writes.
    """
    try:
        return _unpack(described, arena)
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise Failed(f"a decoder answered with a malformed view ({e})", code="malformed_view") from e


def expect(kind: type[V], described: Any, arena: memoryview) -> V:
    """Rebuild a view and insist on its type."""
    view = unpack(described, arena)
    if not isinstance(view, kind):
        raise Failed(
            f"a decoder answered with {type(view).__name__}, not {kind.__name__}", code="malformed_view"
        )
    return view


def _unpack(described: Any, arena: memoryview) -> Any:
    if isinstance(described, list):
        return tuple(_unpack(v, arena) for v in described)
    if not isinstance(described, dict):
        return described
    if "$array" in described:
        return _array(int(described["$array"]), str(described["dtype"]), described["shape"], arena)
    if "$bytes" in described:
        return bytes.fromhex(described["$bytes"])
    if "$view" in described:
        kind = VIEWS[described["$view"]]
        raw = {"metadata", "credentials"}  # plain JSON, kept as it is
        return kind(**{k: v if k in raw else _unpack(v, arena) for k, v in described.items() if k != "$view"})
    return described


def _array(offset: int, dtype: str, shape: list[int], arena: memoryview) -> NDArray[Any]:
    if dtype not in DTYPES or len(shape) > 5 or any(not isinstance(n, int) or n < 0 for n in shape):
        raise ValueError("array of a forbidden type or shape")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if offset < 0 or offset + size > len(arena):
        raise ValueError("array outside of the arena")
    array: NDArray[Any] = np.frombuffer(arena[offset : offset + size], dtype).reshape(shape)
    array.flags.writeable = False
    return array
