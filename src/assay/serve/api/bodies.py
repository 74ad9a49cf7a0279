"""A sample on its way in: raw, or as one part of a form; into the spool, hashed in passing, never into memory."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from assay.serve.api.errors import ApiError
from assay.serve.api.front import told_of
from assay.serve.spool import OverSize, Spool, SpoolError

if TYPE_CHECKING:
    from fastapi import Request

    from assay.serve.exchange import Submission
    from assay.settings import Settings

MULTIPART_EXTRA = 1 << 16  # bytes around the sample: boundaries, heads, small fields
MOST_FIELDS = 16
MEDIA_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]{1,64}/[a-z0-9!#$&^_.+-]{1,64}")
SAYS_NOTHING = frozenset(
    {"application/octet-stream", "application/x-www-form-urlencoded", "binary/octet-stream"}
)
LONGEST_NAME = 255


def declared_name(given: str) -> str:
    """Reduce what a client calls its sample to a word for people: no folders, no control or direction marks."""
    last = re.split(r"[/\\]", given)[-1]
    shown = "".join(c for c in last if unicodedata.category(c)[0] != "C").strip()
    return "" if shown in (".", "..") else shown[:LONGEST_NAME]


def declared_type(given: str | None) -> str | None:
    """Read a Content-Type; None where it says nothing."""
    essence = (given or "").partition(";")[0].strip().lower()
    return essence if MEDIA_TYPE.fullmatch(essence) and essence not in SAYS_NOTHING else None


@asynccontextmanager
async def received(request: Request, settings: Settings, *, name: str = "") -> AsyncIterator[Submission]:
    """Take the sample of a request into the spool.

    Raises
    ------
    ApiError
        If it is too large, too slow, no form that can be read, or none at all.
    """
    told = told_of(cast("dict[str, object]", request.scope))
    told.most = settings.limits.size_bytes
    content_type = request.headers.get("content-type", "")
    is_form = content_type.partition(";")[0].strip().lower() == "multipart/form-data"
    with Spool(_folder(settings.paths.spool), settings.limits.size_bytes) as spool:
        if is_form and request.method == "POST":
            told.most += MULTIPART_EXTRA
            form = _Form(content_type)
            await _read_form(request, form, spool)
            name, kind = declared_name(form.name), declared_type(form.type)
        else:
            async for chunk in _chunks(request):
                await _add(spool, chunk)
            name, kind = declared_name(name), declared_type(content_type)
        if not spool.size:
            raise ApiError(
                422,
                "empty",
                "The sample is empty.",
                "Send its bytes as the body, or in a form's part `file`.",
            )
        submission = await spool.submission(
            protocol="http", command=request.method, client="", name=name, declared_type=kind
        )
        told.digest = submission.sha256
        yield submission


def _folder(spool: Path) -> str:
    """The spool lies beside the stores, where the operator made room; its files have no names and outlive nobody."""
    try:
        spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as e:
        raise SpoolError(f"the spool's folder cannot be made: {e.strerror}") from e
    return os.fspath(spool)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if body := message.get("body", b""):
            yield body
        if not message.get("more_body", False):
            return


async def _add(spool: Spool, data: bytes) -> None:
    try:
        await spool.add(data)
    except OverSize as e:
        raise ApiError(
            413, "over_limit", "The sample is larger than the limit.", "limits.size_bytes sets it."
        ) from e


async def _read_form(request: Request, form: _Form, spool: Spool) -> None:
    async for chunk in _chunks(request):
        for data in form.feed(chunk):
            await _add(spool, data)
    form.end()


@dataclass(slots=True)
class _Head:
    field: bytes = b""
    value: bytes = b""
    disposition: bytes = b""
    type: bytes = b""


class _Form:
    """A form with exactly one file in it; other fields are read over."""

    def __init__(self, content_type: str) -> None:
        _, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        self.name = ""
        self.type: str | None = None
        self._files = 0
        self._fields = 0
        self._head = _Head()
        self._in_file = False
        self._is_over = False
        self._found: list[bytes] = []
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._data,
                    "on_end": self._end,
                },
            )
        except (FormParserError, ValueError) as e:
            raise _unreadable() from e
        if not boundary:
            raise _unreadable()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Parse on; returns what belongs to the file."""
        try:
            self._parser.write(chunk)
        except (FormParserError, ValueError) as e:
            raise _unreadable() from e
        found, self._found = self._found, []
        return found

    def end(self) -> None:
        if not self._is_over:
            raise _unreadable()
        if not self._files:
            raise ApiError(
                422, "no_file", "The form has no file.", "Send it as the part `file`, with a filename."
            )

    def _part(self) -> None:
        self._head = _Head()
        self._in_file = False

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._head.field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._head.value += data[start:end]

    def _header_end(self) -> None:
        head = self._head
        if head.field.lower() == b"content-disposition":
            head.disposition = head.value
        elif head.field.lower() == b"content-type":
            head.type = head.value
        head.field = head.value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._head.disposition)
        if b"filename" not in options and b"filename*" not in options:
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise _unreadable()
            return
        self._files += 1
        if self._files > 1:
            raise ApiError(
                422, "many_files", "The form has more than one file.", "Send each in a request of its own."
            )
        self._in_file = True
        self.name = options.get(b"filename", b"").decode("utf-8", "replace")
        self.type = self._head.type.decode("latin-1")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._found.append(data[start:end])

    def _end(self) -> None:
        self._is_over = True


def _unreadable() -> ApiError:
    return ApiError(
        400,
        "bad_form",
        "The form cannot be read.",
        "Send multipart/form-data with one file, or PUT the bytes.",
    )
