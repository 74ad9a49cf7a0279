"""Certificates of a PEM bundle (RFC 7468), read strictly: only certificates, only of authorities, nothing half understood.

Just enough DER (X.690) to split a certificate (RFC 5280) and to say whose it is; signatures are checked by the C2PA
reader, not here.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from assay.errors import ConfigError

BUNDLE = 1 << 20  # bytes of a bundle
COUNT = 1000  # certificates in it
CERTIFICATE = 16 << 10  # bytes of one, in DER
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_BASIC_CONSTRAINTS = bytes.fromhex("0603551d13")  # 2.5.29.19, tag and length included
_NAMES = {bytes.fromhex("550403"): "CN", bytes.fromhex("55040a"): "O"}
_HINT = "Import a PEM bundle of the certificates of authorities, such as the C2PA publishes."


@dataclass(frozen=True, slots=True)
class Certificate:
    der: bytes
    subject: str  # organisation and name, as far as they are there
    not_after: datetime

    @property
    def pem(self) -> str:
        """The certificate anew, in lines of 64 characters."""
        text = base64.b64encode(self.der).decode()
        lines = (text[i : i + 64] for i in range(0, len(text), 64))
        return "\n".join((_BEGIN, *lines, _END, ""))


def read_bundle(data: bytes) -> tuple[Certificate, ...]:
    """Split a PEM bundle.

    Raises
    ------
    ConfigError
        If it is too large, holds no certificate, anything that is none, the certificate of no authority, or is damaged.
    """
    if len(data) > BUNDLE:
        raise _refused(f"the bundle is larger than {BUNDLE >> 10} KiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _refused("the bundle is not text") from None
    found: list[Certificate] = []
    body: list[str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        mark = line.strip()
        if mark == _BEGIN and body is None:
            body = []
        elif mark == _END and body is not None:
            found.append(_certificate("".join(body), number))
            body = None
        elif "-----BEGIN" in mark or "-----END" in mark:
            raise _refused(f"line {number} is {mark[:60]!r}, and only whole certificates belong here")
        elif body is not None:
            body.append(mark)
        if len(found) > COUNT:
            raise _refused(f"the bundle holds more than {COUNT} certificates")
    if body is not None or not found:
        raise _refused(
            "the last certificate has no end" if body is not None else "there is no certificate in it"
        )
    return tuple({c.der: c for c in found}.values())


def _refused(message: str) -> ConfigError:
    return ConfigError(f"this is no usable trust list: {message}", code="trust_list", hint=_HINT)


def _certificate(body: str, line: int) -> Certificate:
    try:
        der = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        raise _refused(f"the certificate that ends in line {line} is not base64") from None
    if len(der) > CERTIFICATE:
        raise _refused(f"the certificate that ends in line {line} is larger than {CERTIFICATE >> 10} KiB")
    try:
        return _parsed(der)
    except (ValueError, IndexError, OverflowError) as e:
        raise _refused(
            f"the certificate that ends in line {line} is damaged or of no authority ({e})"
        ) from None


def _parsed(der: bytes) -> Certificate:
    outer = _children(der, 0x30, whole=True)
    if len(outer) != 3 or [tag for tag, _ in outer] != [0x30, 0x30, 0x03]:
        raise ValueError("not of the form of a certificate")
    fields = _children(outer[0][1])
    if fields and fields[0][0] == 0xA0:  # version
        fields = fields[1:]
    tags = [tag for tag, _ in fields[:6]]
    if tags != [0x02, 0x30, 0x30, 0x30, 0x30, 0x30]:
        raise ValueError("not of the form of a certificate")
    validity = _children(fields[3][1])
    if len(validity) != 2:
        raise ValueError("no validity")
    extensions = next((_children(value, 0x30, whole=True) for tag, value in fields[6:] if tag == 0xA3), [])
    if not any(_authority(value) for tag, value in extensions if tag == 0x30):
        raise ValueError("it is not the certificate of an authority")
    return Certificate(der, _subject(fields[4][1]), _time(*validity[1]))


def _authority(extension: bytes) -> bool:
    """Tell basicConstraints with cA TRUE."""
    if not extension.startswith(_BASIC_CONSTRAINTS):
        return False
    tag, value = _children(extension)[-1]
    inner = _children(value, 0x30, whole=True) if tag == 0x04 else []
    return bool(inner) and inner[0][0] == 0x01 and inner[0][1] != b"\0"


def _subject(name: bytes) -> str:
    parts: dict[str, str] = {}
    for _, group in _children(name):
        for _, pair in _children(group):
            (_, oid), (_, value) = _children(pair)[:2]
            if oid in _NAMES:
                text = value.decode("utf-8", "replace")
                parts[_NAMES[oid]] = "".join(c if c.isprintable() else " " for c in text)[:100]
    return ", ".join(f"{k}={parts[k]}" for k in ("O", "CN") if k in parts) or "a certificate without a name"


def _time(tag: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if not re.fullmatch(r"\d{12}Z|\d{14}Z", text):
        raise ValueError("a date in an unknown form")
    year = text if tag == 0x18 else ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(year, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _children(data: bytes, expected: int = 0, *, whole: bool = False) -> list[tuple[int, bytes]]:
    """Split DER into (tag, value) pairs; with `whole`, one value of tag `expected` fills it and is split in turn."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 3:
                raise ValueError("a length in an unknown form")
            length, at = int.from_bytes(data[at : at + count], "big"), at + count
        if at + length > len(data):
            raise ValueError("a value is cut short")
        found.append((tag, data[at : at + length]))
        at += length
    if not whole:
        return found
    if len(found) != 1 or found[0][0] != expected:
        raise ValueError("bytes before or after it")
    return _children(found[0][1])
