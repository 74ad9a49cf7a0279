"""Packs over HTTP: pulled from a publisher, and served to others."""

from __future__ import annotations

import http.client
import socket
import ssl
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from assay.desk import packs
from assay.outbound import Unreachable, resolved
from assay.signatures.entries import PackError
from assay.store.signatures import Signatures

if TYPE_CHECKING:
    from pathlib import Path

    from assay.desk.packs import Issue
    from assay.desk.stores import Deed, Stores
    from assay.outbound import Place

PIECE = 1 << 16
MEDIA_TYPE = "application/vnd.assay.pack"


@dataclass(frozen=True, slots=True)
class PackResponse:
    """What a server answers to a request for a pack."""

    status: int  # 200, 304 or 404
    headers: dict[str, str]
    body: Path | None  # the file to send


def pull(stores: Stores, url: str, deed: Deed, *, name: str = "") -> Issue:
    """Fetch a pack and install it if it is good and new. The address is resolved once, and private ranges are refused
    unless ``signatures.inside`` allows them; redirects are not followed; size and time are bounded.

    Raises
    ------
    AssayError
        It cannot be reached, or is too large or too slow, or PackError: nothing was changed.
    """
    limits = stores.settings.signatures
    with tempfile.TemporaryFile() as file:
        until = time.monotonic() + limits.pull_s
        _fetch(url, limits.inside, file, most=limits.pack_bytes, until=until)
        file.seek(0)
        return packs.install(stores, file, deed, url=url, name=name)


def sources(stores: Stores, name: str | None = None) -> list[tuple[str, str]]:
    """Name and URL of the packs that were pulled before, or of one.

    Raises
    ------
    PackError
        If there is no such pack, or it came from no URL.
    """
    store = Signatures(stores.database)
    if name is None:
        return [(p.name, p.url) for p in store.packs() if p.url]
    pack = packs.find(store, name)
    if not pack.url:
        raise PackError(
            f"the pack {name} was imported from a file", hint="Give its URL once.", code="pack_url"
        )
    return [(pack.name, pack.url)]


def pack_response(stores: Stores, name: str, if_none_match: str = "") -> PackResponse:
    """Answer a request for an installed pack: its file, 304 where the client has it, 404 where there is none.

    A pack is signed by its publisher, so any server may pass it on. One that is suspended here is not.
    """
    try:
        pack = packs.find(Signatures(stores.database), name)
    except PackError:
        return PackResponse(404, {}, None)
    path = stores.settings.paths.packs / pack.name / f"{pack.serial}.pack"
    if pack.state == "suspended" or not path.is_file():
        return PackResponse(404, {}, None)
    headers = {"ETag": f'"{pack.digest}"', "Cache-Control": "public, max-age=300", "Content-Type": MEDIA_TYPE}
    if f'"{pack.digest}"' in if_none_match:
        return PackResponse(304, headers, None)
    return PackResponse(200, headers | {"Content-Length": str(path.stat().st_size)}, path)


def _fetch(url: str, inside: tuple[str, ...], target: BinaryIO, *, most: int, until: float) -> None:
    import asyncio

    place = asyncio.run(resolved(url, inside))
    try:
        connection = _Pinned(place, max(0.1, until - time.monotonic()))
        try:
            connection.request("GET", place.target, headers={"Accept": MEDIA_TYPE, "User-Agent": "assay"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise Unreachable(f"{place.host} answered {answer.status}", hint="Check the address.")
            for piece in _pieces(answer, connection, until):
                if target.tell() + len(piece) > most:
                    raise PackError("the pack is larger than signatures.pack_bytes", code="pack_too_large")
                target.write(piece)
        finally:
            connection.close()
    except TimeoutError as e:
        raise Unreachable(f"{place.host} is too slow: see signatures.pull_s") from e
    except ssl.SSLError as e:
        raise Unreachable(f"{place.host}: TLS failed ({e.reason})") from e
    except (OSError, http.client.HTTPException) as e:
        raise Unreachable(f"{place.host} cannot be reached, or broke off ({type(e).__name__})") from e


def _pieces(answer: http.client.HTTPResponse, connection: _Pinned, until: float) -> Iterator[bytes]:
    """The body, piece by piece, as long as there is time for all of it."""
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if connection.sock is not None:
            connection.sock.settimeout(left)
        piece = answer.read1(PIECE)
        if not piece:
            if answer.length:
                raise http.client.IncompleteRead(b"", answer.length)
            return
        yield piece


class _Pinned(http.client.HTTPConnection):
    """A connection to the very address that was checked, whatever the name says by now."""

    def __init__(self, place: Place, timeout_s: float) -> None:
        super().__init__(place.host, place.port, timeout=timeout_s)
        self._place = place

    def connect(self) -> None:
        plain = socket.create_connection((str(self._place.address), self._place.port), self.timeout)
        if self._place.is_tls:
            self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self._place.host)
        else:
            self.sock = plain
