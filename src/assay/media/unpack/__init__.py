"""What a container carries, member by member, in the jail: zip, tar, gzip, mail, TNEF, Office, PDF, animated images.

Nothing is believed that a header says of sizes: every member is read up to a limit, and counted. What cannot be read is
a `Member` with a problem, and the rest goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from assay.errors import Unsupported
from assay.media.unpack.member import Allowance, Member

Unpacker = Callable[[BinaryIO, Allowance], Iterator[Member]]


def members(file: BinaryIO, media_type: str, limits: Mapping[str, Any]) -> Iterator[Member]:
    """Yield the members of a container, in the order in which they stand in it.

    Parameters
    ----------
    file
        The container's bytes, seekable.
    media_type
        As `identify` told it.
    limits
        ``members``, ``unpacked_bytes``, ``ratio``, ``pixels``.

    Raises
    ------
    Refused
        Over a limit, or encrypted as a whole.
    Failed
        If its structure cannot be read at all.
    """
    file.seek(0)
    return _unpacker(media_type)(file, Allowance(limits))


def _unpacker(media_type: str) -> Unpacker:
    from assay.media.unpack import animation, archives, mail, pdf, tnef

    exact: dict[str, Unpacker] = {
        "application/x-tar": archives.tar_members,
        "application/gzip": archives.gzip_members,
        "application/x-bzip2": archives.bzip2_members,
        "application/x-xz": archives.xz_members,
        "message/rfc822": mail.mail_members,
        "application/vnd.ms-tnef": tnef.tnef_members,
        "application/pdf": pdf.pdf_members,
    }
    if media_type in exact:
        return exact[media_type]
    if media_type.startswith("image/"):
        return animation.still_members
    if media_type in ("application/zip", "application/java-archive"):
        return archives.zip_members
    if media_type.startswith(("application/vnd.openxmlformats", "application/vnd.oasis", "application/epub")):
        return archives.office_members
    hint = "Unpack it in a safe place and screen the folder."
    if media_type in ("application/x-ole-storage", "application/rtf"):
        hint = "Open it in a safe place, save it as PDF, and screen that."
    raise Unsupported(
        f"what it carries is not unpacked: it is of the type {media_type}",
        code="unsupported_archive",
        hint=hint,
    )
