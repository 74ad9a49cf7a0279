"""What a sample says of itself before a pixel is decoded: structure, metadata and content credentials, in one view."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from assay.media.container import draft_of, thumbnail
from assay.media.container.source import Source
from assay.media.credentials import carries, read_credentials, warm_sample

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assay.media.container.draft import Draft
    from assay.media.views import Container


def read(
    file: BinaryIO,
    media_type: str,
    size: int,
    sha256: str,
    trust: Mapping[str, str] | None = None,
    limits: Mapping[str, float] | None = None,
) -> Container:
    """Read a sample's container and, where its structure shows or names a manifest, its credentials.

    Parameters are those of `read_container` and `read_credentials`. The credentials of a fragmented file without media
    carry ``incomplete``, since the hash over the whole cannot hold. The thumbnail is compared only where no manifest
    was read: a manifest binds the whole sample, and the comparison has to decode it.
    """
    draft = draft_of(file, media_type, size, sha256, limits or {})
    credentials: dict[str, Any] = (
        read_credentials(file, media_type, trust) if carries(draft) or draft.malformed else {}
    )
    if credentials and is_init_segment(draft):
        credentials["incomplete"] = "an initialisation segment: the media it belongs to are elsewhere"
    if "store" not in credentials:
        thumbnail.compare(Source(file, size), draft)
    return draft.finish(credentials)


def prepare() -> None:
    """Read a signed sample from end to end, before the jail closes: later there is no module or charset to load."""
    sample = warm_sample()
    read(BytesIO(sample), "image/jpeg", len(sample), "")


def is_init_segment(described: Container | Draft) -> bool:
    """Say whether an ISO file announces fragments (mvex) and holds none."""
    kinds = {part.kind for part in described.parts}
    return "moov/mvex" in kinds and not kinds & {"moof", "mdat"}
