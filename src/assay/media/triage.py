"""What a sample says of itself before a pixel is decoded: structure, metadata and content credentials, in one view."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from assay.media.container import read_container
from assay.media.credentials import carries, read_credentials

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    Parameters are those of `read_container` and `read_credentials`; the credentials of a fragmented file without
    media carry ``incomplete``, since the hash over the whole cannot hold.
    """
    container = read_container(file, media_type, size, sha256, limits)
    if not carries(container):
        return container
    credentials = read_credentials(file, media_type, trust)
    if credentials and is_init_segment(container):
        credentials["incomplete"] = "an initialisation segment: the media it belongs to are elsewhere"
    return replace(container, credentials=credentials)


def is_init_segment(container: Container) -> bool:
    """Say whether an ISO file announces fragments (mvex) and holds none."""
    kinds = {part.kind for part in container.parts}
    return "moov/mvex" in kinds and not kinds & {"moof", "mdat"}
