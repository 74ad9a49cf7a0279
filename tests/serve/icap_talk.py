"""Writes ICAP requests as clients do, and takes the responses apart."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Self

GET = b"GET http://example.test/picture HTTP/1.1\r\nHost: example.test\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n"


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    head: bytes  # of the enclosed HTTP message
    body: bytes | None  # None: there is none

    @property
    def http_status(self) -> int:
        return int(re.match(rb"HTTP/1.1 (\d+)", self.head)[1])


def chunks(*data: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(d), d) for d in data) + end


def respmod(
    head: bytes = OK,
    *,
    allow: bool = False,
    preview: int | None = None,
    body: bool = True,
    service="respmod",
    more="",
) -> bytes:
    sections = f"req-hdr=0, res-hdr={len(GET)}, {'res' if body else 'null'}-body={len(GET) + len(head)}"
    return request("RESPMOD", service, sections, GET + head, allow=allow, preview=preview, more=more)


def reqmod(head: bytes, *, allow: bool = False, preview: int | None = None, body: bool = True) -> bytes:
    sections = f"req-hdr=0, {'req' if body else 'null'}-body={len(head)}"
    return request("REQMOD", "reqmod", sections, head, allow=allow, preview=preview)


def request(
    method: str, service: str, sections: str, heads: bytes, *, allow=False, preview=None, more=""
) -> bytes:
    lines = [f"{method} icap://127.0.0.1/{service} ICAP/1.0", "Host: 127.0.0.1", f"Encapsulated: {sections}"]
    lines += ["Allow: 204"] if allow else []
    lines += [f"Preview: {preview}"] if preview is not None else []
    lines += [more] if more else []
    return "\r\n".join((*lines, "", "")).encode() + heads


class Talk:
    """Reads responses from one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._file = connection.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self._file.close()
        self.connection.close()

    def send(self, data: bytes) -> None:
        self.connection.sendall(data)

    def ask(self, data: bytes) -> Response:
        self.send(data)
        return self.response()

    def response(self) -> Response:
        first = self._file.readline()
        status = int(re.fullmatch(rb"ICAP/1\.0 (\d{3}) [^\r\n]+\r\n", first)[1])
        headers = {}
        while (line := self._file.readline()) != b"\r\n":
            assert line, "the server ended in the middle of a head"
            name, _, value = line.decode().partition(": ")
            headers[name] = value.rstrip("\r\n")
        return Response(status, headers, *self._enclosed(headers.get("Encapsulated", "null-body=0")))

    def ended(self) -> bool:
        return self._file.read() == b""

    def _enclosed(self, sections: str) -> tuple[bytes, bytes | None]:
        name, _, size = sections.rpartition(",")[2].strip().partition("=")
        head = self._file.read(int(size))
        return head, None if name == "null-body" else self._body()

    def _body(self) -> bytes:
        data = b""
        while size := int(self._file.readline(), 16):
            data += self._file.read(size)
            assert self._file.read(2) == b"\r\n"
        assert self._file.readline() == b"\r\n"
        return data
