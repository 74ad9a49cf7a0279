"""Import all that unpacking looks up lazily; in the jail no file can be opened."""

from __future__ import annotations

import encodings
import importlib
import io
import pkgutil
import zipfile
from email.message import EmailMessage

WINDOWS_ONLY = ("encodings.mbcs", "encodings.oem")


def warm() -> None:
    """Import every character set, and unpack one small sample of each kind."""
    from assay.media.unpack import archives, mail, members, pdf, tnef  # noqa: F401

    for module in pkgutil.iter_modules(encodings.__path__, "encodings."):
        if module.name not in WINDOWS_ONLY:
            importlib.import_module(module.name)
    limits = {"members": 10, "unpacked_bytes": 1 << 20, "ratio": 100.0, "pixels": 1 << 20}
    for media_type, data in (
        ("application/zip", _zip()),
        ("message/rfc822", _mail()),
        ("application/pdf", _pdf()),
    ):
        for _ in members(io.BytesIO(data), media_type, limits):
            pass


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            archive.writestr(f"ä{method}", b"x" * 100, method)
    return out.getvalue()


def _mail() -> bytes:
    message = EmailMessage()
    message["Subject"] = "ä"
    message.set_content("ä")
    message.add_attachment(b"x", maintype="image", subtype="png", filename="ä.png")
    return message.as_bytes()


def _pdf() -> bytes:
    from pypdf import PdfWriter

    out = io.BytesIO()
    writer = PdfWriter()
    writer.add_blank_page(10, 10)
    writer.write(out)
    return out.getvalue()
