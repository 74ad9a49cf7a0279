"""Take the photographs out of resource files, whole and as they were coded: Qt's .rcc, Edje's .edj.

    python tools/calibration/unpack.py usr/share/gcompris-qt/rcc/{erase,explore_*}.rcc usr/share/enlightenment/data/backgrounds/*.edj

Each picture is written beside its file: `pictures/erase-07.webp` by its place in there. An .edj holds one photograph
at many sizes: the largest is kept.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image as Pillow

MOST = 32 << 20  # bytes of one picture
SHORTEST = 480  # pixels of the short side
Found = tuple[int, bytes]  # pixels, file


def pictures(data: bytes) -> Iterator[Found]:
    """Every WebP and JPEG stream that decodes and is not small."""
    for mark in (b"RIFF", b"\xff\xd8\xff"):
        at = data.find(mark)
        while at >= 0:
            if (found := whole(data, at)) is not None:
                yield found
            at = data.find(mark, at + 1)


def whole(data: bytes, at: int) -> Found | None:
    """The picture that starts here, up to its own end."""
    webp = data[at : at + 4] == b"RIFF"
    if webp and data[at + 8 : at + 12] != b"WEBP":
        return None
    length = int.from_bytes(data[at + 4 : at + 8], "little") + 8 if webp else ended(data, at)
    stream = data[at : at + length]
    try:
        with Pillow.open(io.BytesIO(stream)) as opened:
            opened.load()
            return (opened.width * opened.height, stream) if min(opened.size) >= SHORTEST else None
    except (OSError, ValueError, SyntaxError):  # the mark stood there by chance
        return None


def ended(data: bytes, at: int) -> int:
    """Bytes of a JPEG, to the mark that ends it; a thumbnail inside of it has one of its own."""
    end = data.find(b"\xff\xd9", at)
    nested = data.find(b"\xff\xd8\xff", at + 2)
    while 0 <= nested < end:
        end, nested = data.find(b"\xff\xd9", end + 2), data.find(b"\xff\xd8\xff", nested + 2)
    return min(end + 2 - at, MOST) if end >= 0 else MOST


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        found = list(pictures(path.read_bytes()))
        if path.suffix == ".edj":
            found = [max(found)] if found else []
        folder = path.parent / "pictures"
        folder.mkdir(exist_ok=True)
        for k, (_, stream) in enumerate(found):
            suffix = "webp" if stream.startswith(b"RIFF") else "jpg"
            (folder / f"{path.stem}-{k:02}.{suffix}").write_bytes(stream)
        print(f"{path.name}: {len(found)} pictures")


if __name__ == "__main__":
    main()
