"""Heads of HTTP messages as they travel in ICAP: looked into, never rebuilt; one header is put in or taken out.

Hostile heads are the rule. What cannot be understood is treated as absent, and the body is screened all the same.
"""

from __future__ import annotations

import email.message
import email.parser
import re
from dataclasses import dataclass
from functools import cached_property

VERDICT = "X-Assay-Verdict"
VALUE_LENGTH = 2000  # of a header whose parameters are read: the standard library takes a day over long ones
STATUS = re.compile(rb"HTTP/\d(?:\.\d)? +(\d{3})\b")
FORGED = re.compile(rb"^x-assay-[^:\r\n]*:.*(?:\r?\n[ \t].*)*(?:\r?\n|\Z)", re.MULTILINE | re.IGNORECASE)


class Headers:
    """Names and values of header lines, in their order, found without regard to case."""

    def __init__(self, lines: list[tuple[str, str]]) -> None:
        self._lines = lines

    @classmethod
    def parse(cls, text: bytes) -> Headers:
        """Read header lines; folded ones are joined, what is no header line is passed over."""
        lines: list[tuple[str, list[str]]] = []
        for line in text.decode("latin-1").replace("\r\n", "\n").split("\n"):
            if line[:1] in (" ", "\t") and lines:
                lines[-1][1].append(line.strip())
                continue
            name, colon, value = line.partition(":")
            if colon:
                lines.append((name.strip().lower(), [value.strip()]))
        return cls([(name, " ".join(values)) for name, values in lines])

    def first(self, name: str) -> str | None:
        return next((value for known, value in self._lines if known == name.lower()), None)

    def tokens(self, name: str) -> list[str]:
        """All comma-separated tokens of all lines of this name, in lower case."""
        values = [value for known, value in self._lines if known == name.lower()]
        return [token for v in values for part in v.split(",") if (token := part.strip().lower())]


@dataclass(frozen=True)
class HttpHead:
    """One head, with the empty line that ends it; no bytes at all if the client sent none."""

    raw: bytes = b""

    @cached_property
    def headers(self) -> Headers:
        return Headers.parse(self.raw.partition(b"\n")[2])

    @property
    def status(self) -> int | None:
        """Of a response."""
        found = STATUS.match(self.raw)
        return int(found[1]) if found else None

    @property
    def is_partial(self) -> bool:
        """Does its body hold a range of something, so that the whole is not there to be seen?

        A range that is the whole is none: players of videos ask for ``bytes=0-`` and get a 206 with everything in it.
        """
        text = self.headers.first("content-range")
        if text is None:
            return self.status == 206
        whole = re.fullmatch(r"bytes +0-(\d{1,18})/(\d{1,18})", text, re.IGNORECASE)
        return self.status != 416 and not (whole and int(whole[1]) + 1 == int(whole[2]))

    @property
    def codings(self) -> list[str]:
        """Content codings in the order in which they were applied."""
        return [coding for coding in self.headers.tokens("content-encoding") if coding != "identity"]

    @property
    def length(self) -> int | None:
        text = self.headers.first("content-length") or ""
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None

    @property
    def media_type(self) -> str | None:
        """Type and subtype as declared, without parameters."""
        value = self.headers.first("content-type")
        return value.partition(";")[0].strip().lower()[:100] or None if value else None

    @property
    def is_multipart(self) -> bool:
        return (self.media_type or "").startswith("multipart/")

    @property
    def boundary(self) -> bytes | None:
        """What separates the parts of a multipart body; None if it cannot be told."""
        value = parameter(self.headers.first("content-type") or "", "boundary")
        return value.encode("latin-1", "ignore") or None if 0 < len(value) <= 200 else None

    @property
    def name(self) -> str:
        """What the sender calls the body."""
        return parameter(self.headers.first("content-disposition") or "", "filename")

    @property
    def claims_verdict(self) -> bool:
        """Did somebody else write our header into it?"""
        return bool(FORGED.search(self.raw))

    def marked(self, verdict: str | None) -> bytes:
        """The head with our verdict in it, and without one that somebody else wrote."""
        first, end, rest = self.raw.partition(b"\n")
        line = f"{VERDICT}: {verdict}\r\n".encode("ascii", "replace") if verdict else b""
        return first + end + line + FORGED.sub(b"", rest) if end else self.raw


def parameter(value: str, name: str) -> str:
    """Read one parameter of a header's value, quoted, encoded or plain; "" if there is none that can be read."""
    message = email.message.Message()
    try:
        message["x"] = value[:VALUE_LENGTH].replace("\n", " ").replace("\r", " ")
        found = message.get_param(name, "", header="x")
        text = "".join(str(part) for part in found[2:]) if isinstance(found, tuple) else str(found or "")
    except (
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ):  # the standard library trips over hostile headers
        return ""
    return text.strip()
