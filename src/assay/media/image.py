"""Pictures: from a file of any image type to pixels, alpha, orientation, profile and, for a JPEG, its coefficients.

Runs in the jail. Size is judged by the header before a pixel is decoded; what a broken file still holds is decoded,
with a warning; a file without usable pixels has failed.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import PIL.AvifImagePlugin
import PIL.ImageFile
import PIL.PngImagePlugin
from PIL import Image as Pillow

from assay.errors import Failed, Refused, SampleError, Unsupported
from assay.media import pixels
from assay.media.animation import count_frames
from assay.media.pixels import BROKEN
from assay.media.views import Image, JpegPlane, upright

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

FORMATS = {
    "JPEG": "image/jpeg",
    "MPO": "image/jpeg",  # a JPEG with further pictures behind it
    "PNG": "image/png",
    "WEBP": "image/webp",
    "GIF": "image/gif",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
    "AVIF": "image/avif",
    "HEIF": "image/heic",
}
ICC_BYTES = 1 << 20
JPEG_BYTES = 512 << 20  # a longer one is shown without its coefficients
PREVIEW = 480  # pixels, of the longer side
RESEND = "ask the sender for the complete file"


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture, and what went wrong on the way in words."""

    view: Image
    warnings: tuple[str, ...] = ()
    frames: int = 1  # of an animated picture; the view is the first
    pending: bool = False  # a JPEG's coefficients were put off: `read_planes` reads them


@cache
def plug_in() -> None:
    """Set Pillow up once: its HEIF plug-in, one thread everywhere, limits of ours instead of its own."""
    import pillow_heif

    Pillow.init()
    pillow_heif.register_heif_opener(thumbnails=False)
    pillow_heif.options.DECODE_THREADS = 1
    PIL.AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    PIL.PngImagePlugin.MAX_TEXT_CHUNK = 16 << 20  # ComfyUI's workflows outgrow the default of 1 MiB


def read_image(file: BinaryIO, limits: Mapping[str, float], *, planes: bool = True) -> Decoded:
    """Decode one picture.

    Parameters
    ----------
    file : BinaryIO
        The sample, seekable.
    limits : mapping
        ``pixels``: how many are decoded at most.
    planes : bool
        False: put off a JPEG's coefficients, which what only looks at pixels does without. Those of a damaged file are
        read all the same, since they may say that it holds no picture.

    Raises
    ------
    Refused
        If the header promises more pixels than allowed.
    Failed
        If no pixel can be had.
    """
    notes: list[str] = []
    picture = opened(file, limits, notes)
    kind = str(picture.format)
    depth = _bit_depth(picture, file)
    frames = count_frames(picture, file, limits)
    picture, damaged = _loaded(picture, file, limits, notes)
    orientation = (
        1 if kind in ("HEIF", "TIFF") else _orientation(picture)
    )  # those two are turned by their decoders
    icc = _profile(picture, notes)
    coded, alpha = pixels.as_rgb(picture, notes)
    size = picture.size
    del picture  # frees its pixels before the coefficients need memory
    is_jpeg = kind in ("JPEG", "MPO")
    pending = is_jpeg and not planes and not damaged
    read = _planes(file, size, notes, damaged=damaged) if is_jpeg and not pending else ()
    if damaged and _is_flat(coded):
        raise _broken_off()
    view = Image(
        coded=coded, orientation=orientation, alpha=alpha, planes=read,
        media_type=FORMATS[kind], bit_depth=depth, icc=icc,
    )  # fmt: skip
    return Decoded(view, tuple(dict.fromkeys(notes)), frames, pending)


def read_planes(file: BinaryIO, size: tuple[int, int]) -> tuple[tuple[JpegPlane, ...], tuple[str, ...]]:
    """Read the coefficients that `read_image` put off: of an undamaged JPEG of `size` (width, height). With warnings."""
    notes: list[str] = []
    planes = _planes(file, size, notes, damaged=False)
    return planes, tuple(dict.fromkeys(notes))


def opened(file: BinaryIO, limits: Mapping[str, float], notes: list[str]) -> Pillow.Image:
    """Read the header alone and judge the size that it promises."""
    plug_in()
    allowed = int(limits["pixels"])
    file.seek(0)
    _check_webp(file, allowed)
    file.seek(0)
    try:
        with watched(notes, limits):
            picture = Pillow.open(file, formats=list(FORMATS.keys() - {"MPO"}))
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as e:
        raise _over_pixels(allowed) from e
    except PIL.UnidentifiedImageError as e:
        raise Failed("no picture can be read from it", code="undecodable", hint=RESEND) from e
    except BROKEN as e:
        raise _undecodable(e) from e
    if picture.format not in FORMATS:
        raise Unsupported(f"pictures of type {picture.format} are not read", code="unsupported")
    if picture.width * picture.height > allowed:
        raise _over_pixels(allowed, picture.size)
    return picture


def preview(coded: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Make the small upright picture for reviewers, shape (h, w, 3), at most 480 pixels long."""
    small = Pillow.fromarray(coded)
    small.thumbnail(
        (PREVIEW, PREVIEW), Pillow.Resampling.BICUBIC, reducing_gap=1.0
    )  # whole steps first: cheaper
    return np.ascontiguousarray(upright(np.asarray(small), orientation))


def _loaded(
    picture: Pillow.Image, file: BinaryIO, limits: Mapping[str, float], notes: list[str]
) -> tuple[Pillow.Image, bool]:
    """Decode strictly; if that fails, once more taking what is there. Says whether it was damaged."""
    try:
        with watched(notes, limits):
            picture.load()
    except (Pillow.DecompressionBombError, Pillow.DecompressionBombWarning) as e:
        raise _over_pixels(int(limits["pixels"])) from e
    except BROKEN as e:
        notes.append(f"the picture is damaged ({_words(e)}); what could be read was examined")
    else:
        return picture, False
    picture = opened(file, limits, notes)
    PIL.ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        with watched(notes, limits):
            picture.load()
    except BROKEN as e:
        raise _undecodable(e) from e
    finally:
        PIL.ImageFile.LOAD_TRUNCATED_IMAGES = False
    return picture, True


def _planes(
    file: BinaryIO, size: tuple[int, int], notes: list[str], *, damaged: bool
) -> tuple[JpegPlane, ...]:
    from assay.media.coefficients import read_jpeg  # numba takes a while to import

    file.seek(0)
    data = bytearray(file.read(JPEG_BYTES + 1))
    if len(data) > JPEG_BYTES:
        notes.append("the JPEG's coefficients were not read: the file is too long")
        return ()
    try:
        read = read_jpeg(data, pixels=size[0] * size[1])
    except SampleError as e:
        if damaged and e.code == "jpeg_empty":  # libjpeg makes a block up even then
            raise _broken_off() from e
        notes.append(f"the JPEG's coefficients could not be read: {e.message}")
        return ()
    if read.size != size:
        notes.append(
            "the JPEG's coefficients were not used: its frame differs in size from the decoded picture"
        )
        return ()
    notes.extend(read.warnings)
    return read.planes


def _orientation(picture: Pillow.Image) -> int:
    try:
        with warnings.catch_warnings(action="ignore"):
            value = picture.getexif().get(0x0112, 1)
    except BROKEN:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _profile(picture: Pillow.Image, notes: list[str]) -> bytes:
    icc = picture.info.get("icc_profile")
    if not isinstance(icc, bytes):
        return b""
    if len(icc) > ICC_BYTES:
        notes.append("the colour profile is over 1 MiB and was left out")
        return b""
    return icc


def _bit_depth(picture: Pillow.Image, file: BinaryIO) -> int:
    """How many bits a channel has as coded; 8 where the header does not say."""
    kind = picture.format
    if kind == "PNG":
        file.seek(24)  # signature 8, chunk header 8, width 4, height 4
        depth = file.read(1)
        return depth[0] if depth and depth[0] in (1, 2, 4, 8, 16) else 8
    if kind == "HEIF":
        return int(picture.info.get("bit_depth", 8))
    if kind == "AVIF":
        return _av1_depth(file)
    if kind == "TIFF":
        bits = picture.tag_v2.get(258, (8,))  # type: ignore[attr-defined]  # BitsPerSample
        return int(bits[0]) if isinstance(bits, tuple) and bits and 1 <= bits[0] <= 64 else 8
    return {"1": 1, "F": 32, "I": 32}.get(picture.mode, 8)


def _av1_depth(file: BinaryIO) -> int:
    """Read high_bitdepth and twelve_bit of the av1C box (AV1 in ISO-BMFF, section 2.3)."""
    file.seek(0)
    head = file.read(1 << 16)
    at = head.find(b"av1C")
    if at < 0 or at + 6 >= len(head):
        return 8
    flags = head[at + 6]
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10


def _check_webp(file: BinaryIO, allowed: int) -> None:
    """Refuse a WebP by its header before libwebp allocates the canvas, which it does on opening."""
    head = file.read(30)
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP" or len(head) < 30:
        return
    if head[12:16] == b"VP8X":
        size = 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    elif head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        size = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        size = int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    if size[0] * size[1] > allowed:
        raise _over_pixels(allowed, size)


def _over_pixels(allowed: int, size: tuple[int, int] | None = None) -> Refused:
    said = f" ({size[0]} x {size[1]})" if size else ""
    return Refused(
        f"the picture has more pixels than the limit{said}",
        code="over_pixels",
        hint=f"raise limits.pixels (now {allowed}) if such pictures are expected",
    )


def _broken_off() -> Failed:
    return Failed("the picture is broken off before its first pixels", code="undecodable", hint=RESEND)


def _undecodable(error: BaseException) -> Failed:
    return Failed(f"no picture can be read from it ({_words(error)})", code="undecodable", hint=RESEND)


def _words(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:200]


def _is_flat(coded: NDArray[np.uint8]) -> bool:
    return bool((coded == coded[:1, :1]).all())


@contextmanager
def watched(notes: list[str], limits: Mapping[str, float]) -> Iterator[None]:
    """Let Pillow know our limit, and turn Python's warnings into notes, except the one about a bomb, which is raised."""
    usual = Pillow.MAX_IMAGE_PIXELS
    Pillow.MAX_IMAGE_PIXELS = int(limits["pixels"])
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Pillow.DecompressionBombWarning)
        try:
            yield
        finally:
            Pillow.MAX_IMAGE_PIXELS = usual
            notes.extend(f"while decoding: {str(w.message)[:200]}" for w in seen[:8])
