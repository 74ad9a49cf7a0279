"""Lists of fingerprints from elsewhere: ThreatExchange's signal files and CSV, in and out.

A ThreatExchange signal file has one signal a line, ``pdq HEX``, or the bare digits where a file holds one type; the
output of the reference hasher, ``HEX,name`` or ``HEX,quality,name``, is read too. CSV needs a line of column names. What
cannot be used is handed out as `Skipped`, with its line and why, and reading goes on.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, TextIO

import numpy as np

from assay.signatures.codes import from_hex, to_hex
from assay.signatures.entries import ABOUT, TEXT, About, Digest, PictureCode, Signature
from assay.signatures.pdq import QUALITY
from assay.types import Kind

LONGEST = 16 << 10  # characters of a line
# Words for a column or a type that other programs write.
COLUMNS = {
    "hash": "hash", "pdq": "hash", "pdq_hash": "hash", "signal": "hash", "signal_str": "hash", "indicator": "hash",
    "value": "hash", "type": "type", "signal_type": "type", "indicator_type": "type", "quality": "quality", "id": "id",
    "about": "about", "kinds": "kinds", "source": "source", "note": "note",
}  # fmt: skip
TYPES = {"pdq": "pdq", "hash_pdq": "pdq", "photo_pdq": "pdq", "sha256": "sha256", "hash_sha256": "sha256"}
WRITTEN = ("id", "type", "hash", "quality", "about", "kinds", "source", "note")
# Codes with fewer bits set, or more than 256 less these, are not from a picture: PDQ sets half. They would match
# whatever is damaged in the same way.
LEAN = 64
_SPACES = re.compile(r"[\x00-\x20\x7f]+")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line that was not taken over."""

    line: int  # from 1
    why: str


def read_threatexchange(
    source: BinaryIO, *, name: str, about: About = "known_fake", default: str | None = "pdq"
) -> Iterator[Signature | Skipped]:
    """Read a signal file.

    Parameters
    ----------
    source : BinaryIO
        UTF-8 text; what is not is skipped.
    name : str
        Who says so: the signatures' `source`.
    about : str
        What the list is of.
    default : str or None
        The type of a line that names none; None: such a line is skipped.
    """
    for number, line in _lines(source):
        words = (
            line.replace(",", " ", 1).split(maxsplit=1)
            if "," in line.split(" ")[0]
            else line.split(maxsplit=1)
        )
        if not words:
            continue
        kind = TYPES.get(words[0].lower())
        if kind is None and re.fullmatch(r"[0-9A-Fa-f]{64}", words[0]):
            rest = words[1] if len(words) > 1 else ""
            yield _taken(number, default, words[0], _hasher_quality(rest), {"about": about, "source": name})
        elif kind is not None and len(words) == 2:
            yield _taken(number, kind, words[1].strip(), "", {"about": about, "source": name})
        else:
            yield Skipped(number, f"signals of the type {_plain(words[0])[:40]!r} are not read")


def read_csv(source: BinaryIO, *, name: str, about: About = "known_fake") -> Iterator[Signature | Skipped]:
    """Read CSV with a line of column names: ``hash``, and any of ``type, quality, id, about, kinds, source, note``.

    Raises
    ------
    ValueError
        If no column holds hashes.
    """
    rows = _rows(_lines(source, blank=True))
    first = next(rows, None)
    titles = (
        []
        if first is None or isinstance(first, Skipped)
        else [COLUMNS.get(t.strip().lower(), "") for t in first[1]]
    )
    if titles.count("hash") != 1:
        known = ", ".join(n for n, c in COLUMNS.items() if c == "hash")
        raise ValueError(f"the first line names no column of hashes, or several ({known})")
    for row in rows:
        if isinstance(row, Skipped):
            yield row
            continue
        number, cells = row
        if not any(c.strip() for c in cells):
            continue
        fields = {t: c.strip() for t, c in zip(titles, cells, strict=False) if t}
        given = {"about": about, "source": name} | {k: v for k, v in fields.items() if v}
        yield _taken(number, TYPES.get(fields.get("type", "pdq").lower() or "pdq"), fields.get("hash", ""),
                     fields.get("quality", ""), given)  # fmt: skip


def write_threatexchange(signatures: Iterable[Signature], out: TextIO) -> int:
    """Write the PDQ codes among signatures as a signal file; return how many."""
    count = 0
    for signature in signatures:
        if isinstance(signature.fingerprint, PictureCode):
            out.write(f"pdq {to_hex(signature.fingerprint.code)}\n")
            count += 1
    return count


def write_csv(signatures: Iterable[Signature], out: TextIO) -> int:
    """Write the PDQ codes and digests among signatures as CSV that `read_csv` reads; return how many."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(WRITTEN)
    count = 0
    for signature in signatures:
        match signature.fingerprint:
            case PictureCode(code, quality):
                kind, text, quality_text = "pdq", to_hex(code), "" if quality is None else str(quality)
            case Digest(sha256):
                kind, text, quality_text = "sha256", sha256, ""
            case _:
                continue
        kinds = " ".join(sorted(k.value for k in signature.kinds))
        words = (_plain(signature.source), _plain(signature.note))
        writer.writerow((signature.id, kind, text, quality_text, signature.about, kinds, *words))
        count += 1
    return count


def _taken(
    number: int, kind: str | None, text: str, quality: str, given: Mapping[str, str]
) -> Signature | Skipped:
    """Make a signature of one line's fields."""
    try:
        fingerprint = _fingerprint(kind, text, quality)
        return Signature(
            id=given.get("id") or f"{kind}:{text.lower()}", about=_about(given["about"]), fingerprint=fingerprint,
            kinds=tuple(Kind(k) for k in given.get("kinds", "").split()),
            source=_plain(given.get("source", ""))[:TEXT], note=_plain(given.get("note", ""))[:TEXT],
        )  # fmt: skip
    except ValueError as e:
        return Skipped(number, _plain(str(e))[:200])


def _about(word: str) -> About:
    if word not in ABOUT:
        raise ValueError(f"it is about {word[:40]!r}, not a known_fake or known_original")
    return word


def _fingerprint(kind: str | None, text: str, quality: str) -> PictureCode | Digest:
    if kind == "sha256":
        from_hex(text)  # as many digits as a code
        return Digest(text.lower())
    if kind != "pdq":
        raise ValueError("its type is not read")
    code = from_hex(text)
    if not LEAN <= int(np.bitwise_count(code).sum()) <= 256 - LEAN:
        raise ValueError("no picture has such a code: too few of its bits are set, or too many")
    if not quality:
        return PictureCode(code)
    if not re.fullmatch(r"[0-9]{1,3}", quality) or not QUALITY <= int(quality) <= 100:
        raise ValueError(f"its quality is {quality[:20]!r}; {QUALITY} to 100 can be matched")
    return PictureCode(code, int(quality))


def _hasher_quality(rest: str) -> str:
    """The quality in the reference hasher's output after the code, where there is one."""
    first = rest.partition(",")[0].strip()
    return first if re.fullmatch(r"[0-9]{1,3}", first) and "," in rest else ""


def _lines(source: BinaryIO, *, blank: bool = False) -> Iterator[tuple[int, str]]:
    """Lines of text with their numbers, none of them longer than `LONGEST`: the rest of such a one is passed over."""
    text = io.TextIOWrapper(source, encoding="utf-8-sig", errors="replace", newline=None)
    number, within = 0, False
    try:
        while line := text.readline(LONGEST):
            number += not within
            if not within and (blank or line.strip()):
                yield number, line.rstrip("\r\n")
            within = not line.endswith("\n")
    finally:
        text.detach()  # the file is the caller's


def _rows(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, list[str]] | Skipped]:
    """Cells of each line; a quoted cell does not go on in the next one, or one stray quote would eat the file."""
    for number, line in lines:
        try:
            cells = next(csv.reader([line], strict=True), [])
        except csv.Error as e:
            yield Skipped(number, f"not CSV: {e}")
        else:
            yield number, cells


def _plain(text: str) -> str:
    """Text on one line, without control characters."""
    return _SPACES.sub(" ", "".join(c if c.isprintable() else " " for c in text)).strip()
