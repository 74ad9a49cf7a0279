"""Pictures and attached files in a PDF."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any, BinaryIO

from assay.errors import Failed, Refused, Unsupported
from assay.media.unpack.member import Allowance, Member


def pdf_members(file: BinaryIO, allowance: Allowance) -> Iterator[Member]:
    """Every picture that is stored as an object of its own, JPEGs as they are, and every embedded file."""
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError
    from pypdf.generic import IndirectObject

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    broken = (
        PyPdfError,
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        RecursionError,
        OSError,
    )
    try:
        reader = PdfReader(file, strict=False)
        if reader.is_encrypted and not _opens(reader):
            raise Refused("encrypted", code="encrypted", hint="Ask the sender for the password.")
        numbers = sorted({(n, g) for g, table in reader.xref.items() for n in table})
    except broken as e:
        raise Failed(
            f"the PDF is damaged: {str(e)[:120]}",
            code="undecodable",
            hint="It may have been cut off: ask for it again.",
        ) from e
    for number, generation in numbers:
        try:
            stream = reader.get_object(IndirectObject(number, generation, reader))
            member = _member(stream, number, allowance)
        except broken:
            continue  # an object that is not a stream of ours, or broken: the others stand on their own
        if member is not None:
            yield member


def _opens(reader: Any) -> bool:
    """Many PDFs are encrypted with an empty password, so that they open for everybody."""
    from pypdf.errors import PyPdfError

    try:
        return bool(reader.decrypt(""))
    except (PyPdfError, ImportError, ValueError, NotImplementedError):
        return False


def _member(stream: Any, number: int, allowance: Allowance) -> Member | None:
    from pypdf.generic import StreamObject

    if not isinstance(stream, StreamObject):
        return None
    if stream.get("/Subtype") == "/Image":
        allowance.count()
        return _picture(stream, number, allowance)
    if stream.get("/Type") == "/EmbeddedFile":
        allowance.count()
        return Member(f"embedded file {number}", allowance.take(stream.get_data()))
    return None


def _picture(stream: Any, number: int, allowance: Allowance) -> Member:
    filters = stream.get("/Filter", [])
    chain = [str(f) for f in (filters if isinstance(filters, list) else [filters])]
    if chain[-1:] == ["/DCTDecode"]:
        return Member(f"picture {number}.jpg", allowance.take(_as_coded(stream, chain[:-1])))
    if chain[-1:] in (["/JPXDecode"], ["/JBIG2Decode"], ["/CCITTFaxDecode"]):
        problem = Unsupported(
            f"a picture coded with {chain[-1][1:]}, which is not read",
            hint="Print the page to an image and screen that.",
        )
        return Member(f"picture {number}", problem=problem)
    return Member(f"picture {number}.png", allowance.take(_raster(stream, allowance)))


def _as_coded(stream: Any, outer: list[str]) -> bytes:
    """The JPEG itself, after the filters that stand around it."""
    from pypdf.filters import decode_stream_data
    from pypdf.generic import ArrayObject, NameObject

    if not outer:
        return bytes(stream._data)  # noqa: SLF001 - pypdf offers no other way to the bytes as they are stored
    stream[NameObject("/Filter")] = ArrayObject([NameObject(name) for name in outer])
    return bytes(decode_stream_data(stream))


def _raster(stream: Any, allowance: Allowance) -> bytes:
    """Samples that stand uncompressed or deflated in the PDF, as a PNG."""
    from PIL import Image

    width, height = int(stream["/Width"]), int(stream["/Height"])
    if width <= 0 or height <= 0 or width * height > int(allowance.limits["pixels"]):
        raise ValueError("picture of an impossible size")
    data = stream.get_data()
    bits = int(stream.get("/BitsPerComponent", 1))
    if bits == 1:
        picture = Image.frombytes("1", (width, height), data)
    else:
        components = len(data) // (width * height)
        palette = _palette(stream)
        mode = "P" if palette and components == 1 else {1: "L", 3: "RGB", 4: "CMYK"}[components]
        picture = Image.frombytes(mode, (width, height), data)
        if palette and mode == "P":
            picture.putpalette(palette)
        if mode in ("P", "CMYK"):
            picture = picture.convert("RGB")
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _palette(stream: Any) -> bytes:
    space = stream.get("/ColorSpace")
    space = space.get_object() if space is not None else None
    if not isinstance(space, list) or space[0] != "/Indexed":
        return b""
    table = space[3].get_object()
    if hasattr(table, "get_data"):
        return bytes(table.get_data())
    return bytes(table.original_bytes if hasattr(table, "original_bytes") else table)
