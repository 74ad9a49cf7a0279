"""Requests and responses of ICAP (RFC 3507, with its errata): the heads, and the map of what they enclose."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

from assay.serve.http_message import Headers, HttpHead
from assay.serve.wire import TooLong, Wire

HEAD_BYTES = 1 << 14
PREVIEW_BYTES = 1 << 16  # that a client may announce
ENCLOSED_BYTES = 1 << 17  # of all enclosed HTTP heads together
PHRASES = {
    100: "Continue",
    200: "OK",
    204: "No Modifications Needed",
    400: "Bad Request",
    404: "ICAP Service Not Found",
    405: "Method Not Allowed For Service",
    408: "Request Timeout",
    500: "Server Error",
    501: "Method Not Implemented",
    503: "Service Overloaded",
    505: "ICAP Version Not Supported",
}
REQUEST = re.compile(rb"([!-~]{1,32}) +([!-~]{1,4096}) +ICAP/(\d{1,3}\.\d{1,3})")
SECTIONS = {
    "REQMOD": (("req-hdr",), ("req-body", "null-body")),
    "RESPMOD": (("req-hdr", "res-hdr"), ("res-body", "null-body")),
    "OPTIONS": ((), ("opt-body", "null-body")),
}


class Malformed(Exception):
    """A request that cannot be served: the status of the answer, and why, for the log."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """The head of a request."""

    method: str
    service: str  # the path of its URI, without slashes around it
    headers: Headers
    sections: tuple[tuple[str, int], ...]  # of Encapsulated: names and offsets, the body last

    @property
    def allows_204(self) -> bool:
        return "204" in self.headers.tokens("allow")

    @property
    def preview(self) -> int | None:
        """Bytes that the client sends before it waits for an answer; None: all at once."""
        text = self.headers.first("preview")
        if text is None:
            return None
        if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) > PREVIEW_BYTES:
            raise Malformed(400, "Preview is no number, or too large")
        return int(text)

    @property
    def has_body(self) -> bool:
        return bool(self.sections) and self.sections[-1][0] != "null-body"


@dataclass(frozen=True, slots=True)
class Enclosed:
    """The HTTP message that a request carries, but for its body."""

    request: HttpHead
    response: HttpHead


async def read_request(wire: Wire) -> Request:
    """Read one request's head.

    Raises
    ------
    Malformed
        If it is none, or one that is not served.
    HungUp, TooSlow
    """
    first = await _head_line(wire, HEAD_BYTES)
    while not first:  # empty lines before a request are allowed, as in HTTP
        first = await _head_line(wire, HEAD_BYTES)
    lines, left = [], HEAD_BYTES - len(first)
    while line := await _head_line(wire, left):
        lines.append(line)
        left -= len(line) + 2
    return parse_request(first, b"\n".join(lines))


async def _head_line(wire: Wire, most: int) -> bytes:
    try:
        return await wire.line(b"\r\n", max(0, most))
    except TooLong as e:
        raise Malformed(400, "the head is too long") from e


def parse_request(first: bytes, rest: bytes) -> Request:
    """Understand a request line and the header lines after it."""
    found = REQUEST.fullmatch(first)
    if not found:
        raise Malformed(400, "no ICAP request line")
    method, uri = found[1].decode(), found[2].decode()
    if found[3] != b"1.0":
        raise Malformed(505, "another version of ICAP")
    if method not in SECTIONS:
        raise Malformed(501, "no method of ICAP")
    headers = Headers.parse(rest)
    return Request(method, _service(uri), headers, _sections(method, headers.first("encapsulated")))


def _service(uri: str) -> str:
    found = re.fullmatch(r"(?:icaps?://[^/?]*)?(?P<path>[^?]*)(?:\?.*)?", uri, re.IGNORECASE)
    return found["path"].strip("/") if found else ""


def _sections(method: str, text: str | None) -> tuple[tuple[str, int], ...]:
    """Read Encapsulated (RFC 3507, 4.4.1): heads in their order, then one body, at offsets that grow from 0."""
    if text is None:
        if method == "OPTIONS":
            return ()
        raise Malformed(400, "Encapsulated is missing")
    found: list[tuple[str, int]] = []
    for item in text.split(","):
        name, _, offset = (part.strip() for part in item.partition("="))
        if not re.fullmatch(r"[0-9]{1,9}", offset):
            raise Malformed(400, "Encapsulated has no offset")
        found.append((name.lower(), int(offset)))
    heads, bodies = SECTIONS[method]
    names, offsets = [name for name, _ in found], [offset for _, offset in found]
    expected = [name for name in heads if name in names]
    if names[:-1] != expected or names[-1] not in bodies:
        raise Malformed(400, "Encapsulated lists what this method does not carry")
    if offsets[0] != 0 or offsets != sorted(set(offsets)) or offsets[-1] > ENCLOSED_BYTES:
        raise Malformed(400, "Encapsulated has impossible offsets")
    return tuple(found)


async def read_enclosed(wire: Wire, request: Request) -> Enclosed:
    """Read the HTTP heads that a request carries; its body, if any, comes next on the wire."""
    heads = {"req-hdr": b"", "res-hdr": b""}
    for (name, start), (_, end) in zip(request.sections, request.sections[1:], strict=False):
        heads[name] = await wire.exactly(end - start)
    return Enclosed(HttpHead(heads["req-hdr"]), HttpHead(heads["res-hdr"]))


def response(status: int, lines: dict[str, str]) -> bytes:
    """Write the head of a response."""
    head = [f"ICAP/1.0 {status} {PHRASES.get(status) or HTTPStatus(status).phrase}"]
    head += [f"{name}: {value}" for name, value in lines.items()]
    return "\r\n".join((*head, "", "")).encode("latin-1", "replace")
