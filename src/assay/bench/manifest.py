"""Corpora by manifest: a CSV that says of every sample what it is, and whom it must not be on both sides of a split with.

Required columns: path, label (bona_fide or fake), family, generator (empty for bona fide), source. Optional: kind, mask,
recipe, parents, rights, sha256, note. Paths are relative to the manifest. Anything else in it is an error that says
where, so that no figure rests on a typing mistake.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from assay.errors import AssayError
from assay.ingest.admission import HEAD, TAIL
from assay.media.identify import family_of, identify
from assay.types import Kind

REQUIRED = ("path", "label", "family", "generator", "source")
OPTIONAL = ("kind", "mask", "recipe", "parents", "rights", "sha256", "note")
COLUMNS = (*REQUIRED, *OPTIONAL)
LABELS = ("bona_fide", "fake")
SHOWN = 3  # examples in a message
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample of a corpus and its truth."""

    name: str  # its path as the manifest gives it
    path: Path
    sha256: str
    size: int  # bytes
    media_family: str  # types.MediaFamily, told from its bytes
    fake: bool
    family: str  # content or manipulation, free text
    generator: str  # "" of bona fide ones
    source: str  # camera, person, scene, recipe's parent: never on both sides of a split
    kind: Kind | None = None
    mask_sha256: str = ""
    mask: Path | None = None  # a picture, over half its range where something was changed
    recipe: Path | None = None
    parents: tuple[str, ...] = ()
    rights: str = ""
    note: str = ""

    @property
    def label(self) -> str:
        return LABELS[self.fake]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A corpus whose files were all there when it was read."""

    path: Path
    digest: str  # SHA-256 of the manifest's own bytes
    entries: tuple[Entry, ...]

    @property
    def fakes(self) -> int:
        return sum(e.fake for e in self.entries)

    @property
    def sources(self) -> int:
        return len({e.source for e in self.entries})

    def needs_both_classes(self) -> None:
        """Refuse a corpus of one class.

        Raises
        ------
        AssayError
            If it has bona fide samples alone, or fakes alone.
        """
        if self.fakes in (0, len(self.entries)):
            only = "fake" if self.fakes else "bona fide"
            raise _error(
                f"{self.path} holds {only} samples alone: this needs both classes",
                "Add samples of the other class, of the same sources where possible.",
            )


def read(path: Path) -> Manifest:
    """Read and check a manifest, and hash every sample that it names.

    Raises
    ------
    AssayError
        With code "manifest": what is wrong, in which lines, and what to do.
    """
    raw = _bytes(path)
    rows = _rows(raw, path)
    base = path.parent
    _check_values(rows, path)
    _check_files(rows, base, path)
    entries = tuple(_entry(row, base) for _, row in rows)
    _check_digests(rows, entries, path)
    _check_duplicates(rows, entries, path)
    return Manifest(path, hashlib.sha256(raw).hexdigest(), entries)


def write(path: Path, rows: Iterable[dict[str, str]]) -> None:
    """Write rows as a manifest, columns in their order, those that are empty throughout left out."""
    rows = list(rows)
    used = [c for c in COLUMNS if c in REQUIRED or any(r.get(c) for r in rows)]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, used, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({c: row.get(c, "") for c in used} for row in rows)
    temporary = path.with_name(f"{path.name}.part")
    temporary.write_text(buffer.getvalue(), encoding="utf-8")
    temporary.replace(path)


Rows = list[tuple[int, dict[str, str]]]  # with the number of the line


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as e:
        raise _error(
            f"{path} cannot be read: {(e.strerror or str(e)).lower()}",
            "Name a manifest: a CSV file, see docs/bench-guide.md.",
        ) from e


def _rows(raw: bytes, path: Path) -> Rows:
    try:
        text = raw.decode("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        head = reader.fieldnames or []
        _check_columns(head, path)
        rows: Rows = []
        for row in reader:
            if None in row or None in row.values():
                raise _error(f"{path}, line {reader.line_num}: it has not as many fields as the first line")
            rows.append((reader.line_num, {k: v.strip() for k, v in row.items()}))
    except UnicodeDecodeError as e:
        raise _error(f"{path} is not UTF-8", "Save it as UTF-8.") from e
    except csv.Error as e:
        raise _error(f"{path} is no CSV file: {e}", "Quote fields that hold commas or line breaks.") from e
    if not rows:
        raise _error(f"{path} names no sample", "Add a line for each sample.")
    return rows


def _check_columns(head: Sequence[str], path: Path) -> None:
    unknown = [name for name in head if name not in COLUMNS]
    missing = [name for name in REQUIRED if name not in head]
    twice = [name for name, n in Counter(head).items() if n > 1]
    if unknown:
        raise _error(
            f"{path} has columns that nobody reads: {_some(unknown)}",
            f"Remove or rename them; known are {', '.join(COLUMNS)}.",
        )
    if missing:
        raise _error(
            f"{path} lacks columns: {', '.join(missing)}", f"The first line names {', '.join(REQUIRED)}."
        )
    if twice:
        raise _error(f"{path} has columns twice: {', '.join(twice)}")


def _check_values(rows: Rows, path: Path) -> None:
    for number, row in rows:
        where = f"{path}, line {number}"
        if not row["path"]:
            raise _error(f"{where}: the path is empty")
        if "\0" in row["path"]:
            raise _error(f"{where}: the path holds a NUL")
        if row["label"] not in LABELS:
            raise _error(f"{where}: the label is {row['label'][:40]!r}, not bona_fide or fake")
        if not row["source"]:
            raise _error(
                f"{where}: the source is empty",
                "Name the camera, person, scene or parent; for a picture of its own its name will do.",
            )
        if row["label"] == "bona_fide" and (row["generator"] or row.get("kind")):
            raise _error(f"{where}: a bona fide sample has no generator and no kind")
        if row.get("kind") and row["kind"] not in set(Kind):
            raise _error(f"{where}: there is no kind {row['kind'][:40]!r}", f"Kinds are {', '.join(Kind)}.")


def _check_files(rows: Rows, base: Path, path: Path) -> None:
    named = [(n, row[c]) for n, row in rows for c in ("path", "mask") if row.get(c)]
    missing = [(n, name) for n, name in named if not os.path.isfile(base / name)]
    if missing:
        told = "; ".join(f"line {n}: {name[:120]}" for n, name in missing[:SHOWN])
        more = f"; and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise _error(
            f"{path}: {len(missing)} of {len(named)} files are missing ({told}{more})",
            f"Paths are relative to {base.resolve()}.",
        )


def _entry(row: dict[str, str], base: Path) -> Entry:
    path = base / row["path"]
    digest, size, media_family = _measured(path)
    return Entry(
        name=row["path"],
        path=path,
        sha256=digest,
        size=size,
        media_family=media_family,
        fake=row["label"] == "fake",
        family=row["family"],
        generator=row["generator"],
        source=row["source"],
        kind=Kind(row["kind"]) if row.get("kind") else None,
        mask_sha256=_measured(base / row["mask"])[0] if row.get("mask") else "",
        mask=base / row["mask"] if row.get("mask") else None,
        recipe=base / row["recipe"] if row.get("recipe") else None,
        parents=tuple(p for p in row.get("parents", "").split(";") if p),
        rights=row.get("rights", ""),
        note=row.get("note", ""),
    )


def _measured(path: Path) -> tuple[str, int, str]:
    """Digest, size and family of media of a file, read once."""
    total, size, head, tail = hashlib.sha256(), 0, b"", b""
    try:
        with path.open("rb") as file:
            while piece := file.read(CHUNK):
                total.update(piece)
                size += len(piece)
                head = head or piece[:HEAD]
                tail = (tail + piece)[-TAIL:]
    except OSError as e:
        raise _error(f"{path} cannot be read: {(e.strerror or str(e)).lower()}") from e
    return total.hexdigest(), size, family_of(identify(head, tail, size))


def _check_digests(rows: Rows, entries: Sequence[Entry], path: Path) -> None:
    for (number, row), entry in zip(rows, entries, strict=True):
        told = row.get("sha256", "").lower()
        if told and told != entry.sha256:
            raise _error(
                f"{path}, line {number}: {entry.name[:120]} is not the file that was listed: its SHA-256 differs",
                "Bring the file back, or write the manifest anew.",
            )


def _check_duplicates(rows: Rows, entries: Sequence[Entry], path: Path) -> None:
    """The same bytes under two labels, two sources, or counted twice make every figure wrong."""
    first: dict[str, int] = {}
    found: list[str] = []
    for k, entry in enumerate(entries):
        before = first.setdefault(entry.sha256, k)
        if before == k:
            continue
        other = entries[before]
        if other.fake != entry.fake:
            what = "with both labels"
        elif other.source != entry.source:
            what = "of two sources, so on both sides of a split"
        else:
            what = "twice"
        found.append(f"lines {rows[before][0]} and {rows[k][0]} {what}")
    if found:
        raise _error(
            f"{path} lists the same bytes more than once: {_some(found, '; ')}",
            "Keep one line for each sample.",
        )


def _some(things: Sequence[str], comma: str = ", ") -> str:
    shown = comma.join(t[:120] for t in things[:SHOWN])
    return shown + (f"{comma}and {len(things) - SHOWN} more" if len(things) > SHOWN else "")


def _error(message: str, hint: str = "") -> AssayError:
    return AssayError(message, code="manifest", hint=hint)
