"""Zip (and Office files, which are zips), tar, and single compressed streams."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from assay.errors import Failed, Refused, SampleError, Unsupported
from assay.media.identify import family_of, identify
from assay.media.unpack.member import Allowance, Member, Readable, TooLarge

BROKEN = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError, UnicodeError)
ENCRYPTED = Refused(
    "encrypted",
    code="encrypted",
    hint="Ask the sender for the password, unpack it and screen what is inside.",
)


def zip_members(file: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    """Every file of a zip. A member that is broken or encrypted carries its problem; a bomb ends the whole."""
    with _opened_zip(file) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            allowance.count()
            if info.flag_bits & 0x1:
                yield Member(info.filename, problem=ENCRYPTED)
                continue
            try:
                with archive.open(info) as stream:
                    data = allowance.read(cast("Readable", stream), info.compress_size)
            except NotImplementedError:
                problem: SampleError = Unsupported(
                    f"packed with method {info.compress_type}, which is not read",
                    code="unsupported_archive",
                    hint="Pack it again with deflate.",
                )
                yield Member(info.filename, problem=problem)
            except TooLarge as e:
                yield Member(info.filename, problem=e)
            except (*BROKEN, RuntimeError) as e:
                yield Member(info.filename, problem=_broken(e))
            else:
                yield Member(info.filename, data)


def office_members(file: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    """The media inside of an Office file, an e-book or the like; its text and markup are passed over."""
    for member in zip_members(file, allowance):
        if member.problem is not None or carries_media(member.data):
            yield member


def tar_members(file: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    """Every regular file of a tar; links and devices are passed over."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for info in archive:
                stream = archive.extractfile(info) if info.isreg() else None
                if stream is not None:
                    allowance.count()
                    try:
                        member = Member(info.name, allowance.read(cast("Readable", stream)))
                    except TooLarge as e:
                        member = Member(info.name, problem=e)
                    yield member
    except (tarfile.TarError, RecursionError, *BROKEN) as e:
        raise _broken(e) from e


def gzip_members(file: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    with gzip.GzipFile(fileobj=file) as stream:
        yield _stream(stream, file, allowance)


def bzip2_members(file: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    with bz2.BZ2File(file) as stream:
        yield _stream(stream, file, allowance)


def xz_members(file: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    with lzma.LZMAFile(file) as stream:
        yield _stream(stream, file, allowance)


def carries_media(data: bytes) -> bool:
    return family_of(identify(data[: 1 << 16], data[-4096:], len(data))) != "other"


def _stream(
    unpacked: gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile, file: BinaryIO, allowance: Allowance
) -> Member:
    allowance.count()
    packed = os.fstat(file.fileno()).st_size
    try:
        return Member("content", allowance.read(cast("Readable", unpacked), packed))
    except BROKEN as e:
        raise _broken(e) from e


def _opened_zip(file: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (*BROKEN, NotImplementedError) as e:
        raise _broken(e) from e


def _broken(e: Exception) -> Failed:
    return Failed(
        f"the archive is damaged: {str(e)[:120] or type(e).__name__}",
        code="undecodable",
        hint="It may have been cut off on its way: ask for it again.",
    )
