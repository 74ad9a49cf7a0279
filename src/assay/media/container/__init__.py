"""What stands around the pixels: bounded parsers in pure Python, one module a format.

Readers meet hostile bytes in the decoder jail. They believe no length, recurse to a fixed depth, take time linear in
the sample, and turn what they stumble over into warnings of the Container.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, BinaryIO

from assay.errors import Failed
from assay.media.container import gif, isobmff, jpeg, matroska, png, riff, sound, still, thumbnail
from assay.media.container.draft import Draft
from assay.media.container.source import Malformed, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assay.media.views import Container

# Python loads a charset when it is first used, which the jail does not allow: load those that metadata come in
for _charset in (
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32-le",
    "utf-32-be",
    "latin-1",
    "mac_roman",
    "iso2022_jp",
):
    codecs.lookup(_charset)

READERS: dict[str, Callable[[Source, Draft], None]] = {
    "image/jpeg": jpeg.read,
    "image/png": png.read,
    "image/webp": riff.read,
    "image/gif": gif.read,
    "image/tiff": still.read_tiff,
    "image/x-canon-cr2": still.read_tiff,
    "image/bmp": still.read_bmp,
    **dict.fromkeys(("image/heic", "image/heif", "image/avif", "image/x-canon-cr3"), isobmff.read),
    **dict.fromkeys(("video/mp4", "video/quicktime", "audio/mp4", "video/3gpp", "video/3gpp2"), isobmff.read),
    **dict.fromkeys(("video/webm", "video/x-matroska"), matroska.read),
    **dict.fromkeys(("video/x-msvideo", "audio/wav"), riff.read),
    "audio/flac": sound.read_flac,
    **dict.fromkeys(("audio/ogg", "audio/opus", "video/ogg"), sound.read_ogg),
    "audio/mpeg": sound.read_mp3,
}


def read_container(
    file: BinaryIO, media_type: str, size: int, sha256: str, limits: Mapping[str, float] | None = None
) -> Container:
    """Describe a sample's structure, tables and metadata; what cannot be read becomes a warning.

    Parameters
    ----------
    file : BinaryIO
        Seekable; read from offset 0 whatever its position.
    media_type : str
        As `assay.media.identify.identify` named it. Other types yield a Container without parts.
    size : int
        Bytes of the sample, measured, not believed.
    sha256 : str
        Of the sample.
    limits : mapping, optional
        ``pixels``: larger pictures are not decoded for their thumbnail or hidden text.

    Raises
    ------
    Failed
        If the bytes cannot be read at all.
    """
    draft = draft_of(file, media_type, size, sha256, limits or {})
    thumbnail.compare(Source(file, size), draft)
    return draft.finish()


def draft_of(file: BinaryIO, media_type: str, size: int, sha256: str, limits: Mapping[str, float]) -> Draft:
    """Collect what `read_container` returns, still open for additions, without the comparison of the thumbnail."""
    if size <= 0:
        raise Failed("the sample is empty", code="empty", hint="Send the sample again.")
    draft = Draft(media_type, size, sha256, limits)
    source = Source(file, size)
    reader = READERS.get(media_type)
    if reader:
        try:
            reader(source, draft)
        except Malformed as e:
            draft.malformed = True
            draft.warn(f"the structure is malformed: {e.message}")
    return draft
