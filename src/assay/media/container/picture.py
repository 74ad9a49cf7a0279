"""Pictures that triage has to decode after all: small, scaled, or checked beforehand."""

from __future__ import annotations

import struct
import warnings
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from PIL import Image

from assay.media.container.source import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PIXELS = 100_000_000  # where no limit is given

# What Pillow's plug-ins raise on broken samples
_UNDECODABLE = (
    OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RuntimeError,
    struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


def affordable(width: int, height: int, limits: Mapping[str, float]) -> bool:
    """Say whether a picture of that size, as its header has it, may be decoded."""
    return 0 < width * height <= limits.get("pixels", PIXELS)


@contextmanager
def opened(file: BinaryIO, kind: str) -> Iterator[Image.Image]:
    """Open a picture of one kind ("JPEG", "PNG", "WEBP"); whatever goes wrong inside the block is Malformed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(file, formats=[kind]) as image:
                yield image
    except _UNDECODABLE as e:
        raise Malformed(f"the picture cannot be decoded ({type(e).__name__}: {str(e)[:100]})") from e
