"""How many frames a picture has, found out cheaply."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from assay.media.pixels import BROKEN

if TYPE_CHECKING:
    from collections.abc import Mapping

    import PIL.Image

PAGES = 256  # directories of a TIFF that are looked for
HEADED = ("WEBP", "PNG", "AVIF", "HEIF")  # say the number in a header, which their libraries check


def count_frames(picture: PIL.Image.Image, file: BinaryIO, limits: Mapping[str, float]) -> int:
    """Number of frames of an opened picture, or pages of a TIFF, counted no further than ``limits["frames"]``.

    Further pictures of an MPO (previews, gain maps) are not frames.
    """
    most = int(limits["frames"])
    if picture.format in HEADED:
        return max(1, min(most, int(getattr(picture, "n_frames", 1))))
    if picture.format == "TIFF":
        return _pages(picture, min(most, PAGES))
    if picture.format != "GIF":
        return 1
    at = file.tell()
    try:
        file.seek(0)
        return gif_frames(file, most)
    finally:
        file.seek(at)  # Pillow reads on from there


def _pages(picture: PIL.Image.Image, most: int) -> int:
    """Step from directory to directory without decoding, and back to the first."""
    count = 1
    try:
        while count < most:
            picture.seek(count)
            count += 1
    except BROKEN:
        pass
    picture.seek(0)
    return count


def gif_frames(file: BinaryIO, most: int) -> int:
    """Count the image descriptors of a GIF (GIF89a, section 20), no further than `most`; 1 at least."""
    head = file.read(13)
    if len(head) == 13 and head[10] & 0x80:
        file.seek(3 << ((head[10] & 7) + 1), 1)  # the global colour table
    count = 0
    while count < most:
        kind = file.read(1)
        if kind == b"!":
            file.read(1)
        elif kind == b",":
            descriptor = file.read(9)
            if len(descriptor) < 9:
                break
            if descriptor[8] & 0x80:
                file.seek(3 << ((descriptor[8] & 7) + 1), 1)
            file.read(1)  # LZW minimum code size
            count += 1
        else:
            break  # the trailer, or the end
        while length := file.read(1):
            if length == b"\0":
                break
            file.seek(length[0], 1)
    return max(1, count)
