"""The signatures of this installation: which are in force, adding and withdrawing, and those that match too much."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import numpy as np
import sqlalchemy as sa

from assay.desk import columns
from assay.errors import AssayError, StoreError
from assay.report.contract import flatten
from assay.signatures import pdq
from assay.signatures.entries import About, Fingerprint, PackError, PictureCode, Signature, decoded, encoded
from assay.signatures.library import Known, Library, State
from assay.signatures.pdq import ImagePrint
from assay.signatures.references import Box, boxed, reference_of
from assay.signatures.video import VideoPrint
from assay.store.audit import Audit
from assay.store.signatures import Signatures, StoredSignature, Tally
from assay.store.tables import records
from assay.types import Kind, Region

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sqlalchemy.engine import Connection

    from assay.desk.stores import Deed
    from assay.desk.taking import Taken
    from assay.settings import Settings
    from assay.signatures.references import Reference
    from assay.store.database import Database
    from assay.types import Screening

LOCAL = "local"  # the list of what this installation's own people confirmed
WHOLE = (Kind.FULL_SYNTHESIS,)
REGIONS = 8  # of a fake are kept, the largest


class Shelf:
    """The library in force, kept up to date while others change it. Give `library` to a `Screener`.

    A change is noticed within ``signatures.reload_s``: whoever asks then goes on with the library that there is, while
    the newer one is built beside it. What cannot be read leaves the older one in force; `problem` says why, and `tell` is
    told once when that begins or becomes another.
    """

    def __init__(
        self,
        database: Database,
        settings: Settings,
        *,
        background: bool = True,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._background = background
        self._tell = tell
        self._lock = threading.Lock()
        self._library: Library | None = None
        self._looked = 0.0
        self._building: threading.Thread | None = None
        self.problem = ""

    def library(self) -> Library:
        """The newest library that is ready; the first call builds it. Safe from any thread."""
        with self._lock:
            due = time.monotonic() - self._looked >= self._settings.signatures.reload_s
            if self._library is None:
                self._refresh()
            elif due and (self._building is None or not self._building.is_alive()):
                self._looked = time.monotonic()
                if not self._background:
                    self._refresh()
                else:
                    self._building = threading.Thread(target=self._refresh, name="signatures", daemon=True)
                    self._building.start()
            return self._library or Library()

    def reload(self) -> Library:
        """Look for changes now and wait for them: for a signal, and for clamd's RELOAD."""
        building = self._building
        if building is not None:
            building.join()
        self._refresh()
        return self._library or Library()

    def edition(self) -> tuple[int, datetime]:
        """The serial and the time of what is in force here: for clamd's VERSION and ICAP's ISTag."""
        library = self.library()
        return library.serial, library.published_at

    def close(self) -> None:
        """Wait for a library that is being built."""
        building = self._building
        if building is not None:
            building.join()

    def _refresh(self) -> None:
        self._looked = time.monotonic()
        problem = ""
        try:
            if self._library is None or self._library.serial != _serial(self._database):
                self._library = loaded(self._database, self._settings)
        except AssayError as e:  # the older one goes on answering
            problem = f"the signatures could not be read: {e.message}. {e.hint}".strip()
        except OSError as e:
            problem = f"the signatures could not be read: {(e.strerror or str(e)).lower()}"
        if problem and problem != self.problem:
            left = f"serial {self._library.serial} stays in force" if self._library else "none are in force"
            self._tell(f"{problem} ({left})")
        self.problem = problem


def loaded(database: Database, settings: Settings) -> Library:
    """Build the library of what is in force: local signatures, imports and packs.

    Raises
    ------
    StoreError, PackError
        If the database or a pack cannot be read.
    """
    if database.path is not None and not database.path.exists():
        return Library()
    store = Signatures(database)
    serial, changed_at = store.edition()
    long = columns.long_lists(store)
    suspended = {(t.listed, t.id) for t in store.tallies(suspended=True)}
    packed = [columns.packed(store, settings, name, suspended) for name in long]
    but = [(name, pdq.FORMAT) for name in long]
    return Library(known(database, settings, but=but), serial=serial, published_at=changed_at, packed=packed)


def known(
    database: Database, settings: Settings, listed: str | None = None, *, but: Sequence[tuple[str, str]] = ()
) -> Iterator[Known]:
    """Yield every signature of every list, or of one, with its state; what matched too much is suspended.

    Those of a list of the database and a format in `but` are left out.
    """
    from assay.desk.packs import installed

    store = Signatures(database)
    suspended = {(t.listed, t.id) for t in store.tallies(suspended=True)}
    for one in _stored(store, listed, but):
        yield replace(one, state="suspended") if one.name in suspended else one
    for pack in store.packs():
        if listed is None or pack.name == listed:
            for signature in installed(settings.paths.packs, pack):
                name = (pack.name, signature.id)
                state = "suspended" if name in suspended else cast("State", pack.state)
                yield Known(pack.name, signature, state)


def remember(
    connection: Connection, signatures: Sequence[Signature], deed: Deed, *, listed: str = LOCAL,
    state: State = "active",
) -> int:  # fmt: skip
    """Enter signatures into a list of this installation, with an entry in the audit; returns the new serial."""
    now = datetime.now(UTC)
    rows = [
        StoredSignature(
            listed, s.id, s.about, _format(s.fingerprint), state, deed.actor, now, encoded(s).decode()
        )
        for s in signatures
    ]
    count = Signatures.put(connection, rows)
    Audit.append(connection, deed.actor, "signatures-add", f"{listed}: {count}", deed.reason)
    return Signatures.changed(connection, listed, f"{count} added")


def withdraw(connection: Connection, ids: Sequence[str], deed: Deed, *, listed: str = LOCAL) -> int:
    """Take signatures out of a list of this installation; returns how many there were."""
    count = Signatures.remove(connection, listed, ids)
    if count:
        Audit.append(connection, deed.actor, "signatures-withdraw", f"{listed}: {count}", deed.reason)
        Signatures.changed(connection, listed, f"{count} withdrawn")
    return count


def withdraw_of(connection: Connection, sha256: str, deed: Deed) -> int:
    """Take out what this installation's people entered of one sample."""
    return withdraw(connection, [f"{kind}:{sha256}" for kind in ("picture", "clip", "sound")], deed)


def signatures_of(
    taken: Taken,
    about: About,
    *,
    kinds: Iterable[Kind] = (),
    regions: Sequence[Region] = (),
    original: NDArray[np.uint8] | None = None,
    source: str = "",
    note: str = "",
) -> list[Signature]:
    """Make the signatures of one sample: of its picture, or of its frames and its sound.

    Parameters
    ----------
    regions
        What was changed in a known fake, in pixels of the upright picture. Without them a fake is compared as a whole
        where `kinds` say that all of it is fake; else near matches of it are held at most.
    original : ndarray of uint8, shape (H, W, 3), optional
        The picture before the change: regions that were not named are found by comparing both.
    """
    chosen = tuple(dict.fromkeys(kinds))
    found = []
    for one in taken.prints:
        name, fingerprint = _fingerprint(one)
        reference = None
        if isinstance(one, ImagePrint) and taken.pixels is not None:
            reference = _reference(taken.pixels, about, regions, original)
        found.append(Signature(f"{name}:{taken.sha256}", about, fingerprint, chosen, source, note, reference))
    return found


def note_matches(connection: Connection, screening: Screening, settings: Settings) -> list[Tally]:
    """Count what a screening matched, in the transaction that records it; imported signatures that match too much are
    suspended. Returns those."""
    matched = {name for s in flatten(screening) if s.traces for name in s.traces.matched}
    if not matched:
        return []
    tallies = Signatures.note_matches(connection, matched, screening.screened_at)
    doubted = [t for t in tallies if t.listed != LOCAL and t.suspended_at is None]
    over = [t for t in doubted if _too_often(connection, t, settings)]
    for t in over:
        Signatures.suspend(connection, t.listed, t.id, screening.screened_at)
        rate = f"it matched {t.matches} times, over signatures.match_rate"
        Audit.append(connection, "assay", "signatures-suspend", f"{t.listed}: {t.id}", rate)
        Signatures.changed(connection, t.listed, f"{t.id} suspended")
    return over


def _too_often(connection: Connection, tally: Tally, settings: Settings) -> bool:
    if tally.matches < settings.signatures.match_least:
        return False
    since = records.c.screened_at >= tally.since
    screened = connection.execute(sa.select(sa.func.count()).select_from(records).where(since)).scalar_one()
    return tally.matches > settings.signatures.match_rate * max(1, int(screened))


def _stored(store: Signatures, listed: str | None, but: Sequence[tuple[str, str]]) -> Iterator[Known]:
    for row in store.rows(listed, but=but):
        try:
            yield Known(row.listed, decoded(row.line.encode()), cast("State", row.state))
        except PackError as e:
            raise StoreError(
                f"the signature {row.id} of the list {row.listed} cannot be read ({e.message})",
                code="store_corrupt",
                hint=f"assay signatures withdraw --list {row.listed} {row.id}",
            ) from e


def _fingerprint(one: object) -> tuple[str, Fingerprint]:
    if isinstance(one, ImagePrint):
        return "picture", PictureCode(one.code, one.quality)
    if isinstance(one, VideoPrint):
        return "clip", one.stored()
    return "sound", cast("Fingerprint", one)


def _format(fingerprint: Fingerprint) -> str:
    from assay.signatures.entries import FORMATS

    return next(name for name, kind in FORMATS.items() if isinstance(fingerprint, kind))


def _reference(
    pixels: NDArray[np.uint8],
    about: About,
    regions: Sequence[Region],
    original: NDArray[np.uint8] | None,
) -> Reference:
    boxes: list[Box] = []
    if about == "known_fake":
        boxes = [b for r in regions if (b := _box(r)) is not None]
        if not boxes and original is not None:
            boxes = _changed(pixels, original)
    boxes.sort(key=lambda b: -(b[2] - b[0]) * (b[3] - b[1]))
    return reference_of(pixels, boxes[:REGIONS], original if boxes else None)


def _box(region: Region) -> Box | None:
    xs, ys = [p[0] for p in region.points], [p[1] for p in region.points]
    if not xs or min(region.width, region.height) < 1:
        return None
    return boxed(min(xs), min(ys), max(xs), max(ys), width=region.width, height=region.height)


def _changed(pixels: NDArray[np.uint8], original: NDArray[np.uint8]) -> list[Box]:
    """Where a fake differs from its original, both being there."""
    from assay.signatures.difference import against_original

    return list(against_original(pixels, 1, reference_of(original)).regions)


def _serial(database: Database) -> int:
    if database.path is not None and not database.path.exists():
        return 0
    return Signatures(database).edition()[0]
