"""Signed packs of signatures: a complete list with a serial, that a client checks before it believes a line of it.

A pack is text. Line 1 is the header in canonical JSON; line 2 its Ed25519 signature in hexadecimal digits, made over
`DOMAIN` and the header; then one signature a line. The header names the length and SHA-256 of each chunk of lines, so a
pack of any size is checked as it streams in: no line is handed out before its chunk is known to be whole.

A newer serial replaces the older list: what it leaves out is withdrawn. An older serial is refused, or whoever can
answer a request could bring withdrawn signatures back and take new ones away; so is another list of the same serial.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from assay.signatures.entries import LINE, PackError, Signature, canonical, decoded, encoded
from assay.types import JSON

FORMAT = "assay-pack/1"
DOMAIN = b"assay-pack/1\n"  # signed before the header, so that a signature serves for nothing else
CHUNK = 1 << 20  # bytes, from which on a chunk ends with its line
HEADER = 16 << 20  # bytes of a header at most: 200,000 chunks
SLACK = timedelta(days=1)  # by which the publisher's clock may run ahead of ours
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEYS = {"chunks", "count", "expires_at", "format", "issued_at", "key", "name", "serial"}


@dataclass(frozen=True, slots=True)
class Header:
    """What a pack says of itself, signed."""

    name: str
    serial: int  # rises by any amount with each issue
    issued_at: datetime
    expires_at: datetime
    key: str  # id of the key that signed it
    count: int  # signatures
    chunks: tuple[tuple[int, str], ...]  # bytes and SHA-256 of each
    digest: str = ""  # SHA-256 of the header's line


@dataclass(frozen=True, slots=True)
class Installed:
    """The issue of a pack that a client has."""

    serial: int
    digest: str


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack whose header was verified; its lines are still to come."""

    header: Header
    _source: BinaryIO

    def signatures(self) -> Iterator[Signature]:
        """Read and verify the signatures, once, chunk by chunk.

        Raises
        ------
        PackError
            ``pack_truncated``, ``pack_altered``, ``pack_malformed`` or ``pack_entry``: what was handed out before was
            signed, but the list is not whole; use none of it.
        """
        count, last = 0, ""
        for size, digest in self.header.chunks:
            data = _read(self._source, size)
            if hashlib.sha256(data).hexdigest() != digest:
                raise _error("pack_altered", "the pack was altered after it was signed", "Get it again.")
            if not data.endswith(b"\n"):
                raise _malformed("a chunk ends within a line")
            for line in data[:-1].split(b"\n"):
                signature = decoded(line)
                if signature.id <= last:
                    raise _malformed(f"the id {signature.id} is out of order, or there twice")
                count, last = count + 1, signature.id
                yield signature
        if count != self.header.count:
            raise _malformed("it holds another number of signatures than its header says")
        if self._source.read(1):
            raise _malformed("something follows its end")


def key_id(public: bytes) -> str:
    """Name a public key (32 bytes): the first 16 digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


def new_key() -> tuple[bytes, bytes]:
    """Make a key to sign with: the private and the public half, 32 bytes each."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes_raw(), key.public_key().public_bytes_raw()


def write_pack(
    signatures: Iterable[Signature],
    out: BinaryIO,
    *,
    name: str,
    serial: int,
    issued_at: datetime,
    expires_at: datetime,
    private: bytes,
) -> Header:
    """Sign and write a pack; signatures stand in the order of their ids, so that equal lists make equal packs.

    Raises
    ------
    ValueError
        If the name, the serial, the times or the key are none, or two signatures have one id.
    """
    key = Ed25519PrivateKey.from_private_bytes(private)
    ordered = sorted(signatures, key=lambda s: s.id)
    if any(a.id == b.id for a, b in pairwise(ordered)):
        raise ValueError("two signatures have one id")
    if not _NAME.fullmatch(name) or not 0 < serial < 1 << 53 or issued_at >= expires_at:
        raise ValueError("a pack has a plain name, a serial of 1 or more, and expires after it was issued")
    with tempfile.TemporaryFile() as spool:
        chunks = _spooled(ordered, spool)
        header = canonical(
            {
                "chunks": chunks,
                "count": len(ordered),
                "expires_at": _stamp(expires_at),
                "format": FORMAT,
                "issued_at": _stamp(issued_at),
                "key": key_id(key.public_key().public_bytes_raw()),
                "name": name,
                "serial": serial,
            }
        )
        if len(header) > HEADER:
            raise ValueError("too many signatures for one pack")
        out.write(header + b"\n" + key.sign(DOMAIN + header).hex().encode() + b"\n")
        spool.seek(0)
        shutil.copyfileobj(spool, out)
    return _header(header)


def open_pack(
    source: BinaryIO,
    trusted: Mapping[str, bytes],
    *,
    now: datetime,
    installed: Mapping[str, Installed] | None = None,
) -> Pack:
    """Verify a pack's header, and hand out the pack for its lines to be read.

    Parameters
    ----------
    source : BinaryIO
        The pack from its first byte; read forwards only.
    trusted : mapping of str to bytes
        Public keys (32 bytes) by `key_id`.
    now : datetime
        Aware.
    installed : mapping of str to Installed, optional
        The issue that is there already, by the pack's name. The same issue again is accepted.

    Raises
    ------
    PackError
        ``pack_malformed``, ``pack_truncated``, ``pack_untrusted`` (no such key is trusted), ``pack_bad_signature``,
        ``pack_expired``, ``pack_early`` (issued in the future), ``pack_older`` or ``pack_forked`` (another list of the
        installed serial).
    """
    line, signature = _line(source, HEADER), _line(source, 128)
    header = _verified(line, signature, trusted)
    if header.expires_at <= now:
        raise _error("pack_expired", f"the pack {header.name} expired on {header.expires_at:%Y-%m-%d}",
                     "Get a newer one from its publisher.")  # fmt: skip
    if header.issued_at > now + SLACK:
        raise _error(
            "pack_early", f"the pack {header.name} was issued in the future", "Check this machine's clock."
        )
    before = (installed or {}).get(header.name)
    if before is not None and header.serial < before.serial:
        raise _error("pack_older", f"the pack {header.name} has serial {header.serial}; {before.serial} is installed",
                     "An older list brings back what was withdrawn: it is refused.")  # fmt: skip
    if before is not None and header.serial == before.serial and header.digest != before.digest:
        raise _error("pack_forked", f"another pack {header.name} of serial {header.serial} is installed",
                     "Ask its publisher which one is right.")  # fmt: skip
    return Pack(header, source)


def _verified(line: bytes, signature: bytes, trusted: Mapping[str, bytes]) -> Header:
    """Nothing but the key's name is believed before the signature is."""
    named = re.search(rb'"key":"([0-9a-f]{16})"', line)
    if not named or not re.fullmatch(rb"[0-9a-f]{128}", signature):
        raise _malformed("it does not begin like a pack")
    public = trusted.get(named[1].decode())
    if public is None:
        raise _error("pack_untrusted", f"the pack is signed with the key {named[1].decode()}, which is not trusted",
                     "Trust the key if its publisher gave it to you.")  # fmt: skip
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(bytes.fromhex(signature.decode()), DOMAIN + line)
    except (InvalidSignature, ValueError) as e:
        raise _error(
            "pack_bad_signature", "the pack's signature is not that of its header", "Get it again."
        ) from e
    return _header(line)


def _header(line: bytes) -> Header:
    try:
        value = _value(line)
        chunks = tuple((_size(n), str(digest)) for n, digest in value["chunks"])
        return Header(
            name=_name(value["name"]), serial=_count(value["serial"]), issued_at=_time(value["issued_at"]),
            expires_at=_time(value["expires_at"]), key=str(value["key"]), count=_count(value["count"]),
            chunks=chunks, digest=hashlib.sha256(line).hexdigest(),
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as e:
        raise _malformed(f"its header cannot be read: {str(e)[:100]}") from e


def _value(line: bytes) -> JSON:
    value: JSON = json.loads(line)
    if not isinstance(value, dict) or value.keys() != _KEYS or value["format"] != FORMAT:
        raise ValueError("another format")
    if canonical(value) != line:
        raise ValueError("not in the canonical form")
    return value


def _spooled(signatures: list[Signature], spool: BinaryIO) -> list[tuple[int, str]]:
    """Write lines, and answer the length and digest of each chunk of them."""
    chunks: list[tuple[int, str]] = []
    size, digest = 0, hashlib.sha256()
    for signature in signatures:
        line = encoded(signature) + b"\n"
        if len(line) > LINE:
            raise ValueError(f"the signature {signature.id} is longer than 4 MiB")
        spool.write(line)
        digest.update(line)
        size += len(line)
        if size >= CHUNK:
            chunks.append((size, digest.hexdigest()))
            size, digest = 0, hashlib.sha256()
    if size:
        chunks.append((size, digest.hexdigest()))
    return chunks


def _line(source: BinaryIO, most: int) -> bytes:
    line = source.readline(most + 1)
    if not line.endswith(b"\n"):
        if len(line) > most:
            raise _malformed("its header is too long")
        raise _truncated()
    return line[:-1]


def _read(source: BinaryIO, size: int) -> bytes:
    """Read exactly so many bytes, however many a read gives."""
    parts: list[bytes] = []
    while size:
        part = source.read(size)
        if not part:
            raise _truncated()
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("its name is not plain")
    return text


def _count(value: int) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise ValueError("no whole number")
    return value


def _size(value: int) -> int:
    if not 0 < _count(value) <= CHUNK + LINE:
        raise ValueError("a chunk of no or too many bytes")
    return value


def _malformed(what: str) -> PackError:
    return _error("pack_malformed", f"this is no pack that can be used: {what}", "Get it again.")


def _truncated() -> PackError:
    return _error("pack_truncated", "the pack is cut off", "Get it again.")


def _error(code: str, message: str, hint: str) -> PackError:
    return PackError(message, code=code, hint=hint)
