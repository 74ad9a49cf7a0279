"""What becomes of a screening beside being shown: recorded, quarantined, its sample kept."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from assay.desk import feedback, retention, signatures, stores
from assay.desk.signatures import Shelf
from assay.errors import QuarantineError, StoreError
from assay.report.contract import flatten, to_json
from assay.signatures import trust
from assay.signatures.library import Library
from assay.store.audit import Audit
from assay.store.database import Database
from assay.store.judgements import Judgements
from assay.store.records import Records
from assay.types import Action, Screening

if TYPE_CHECKING:
    from assay.action.quarantine import Quarantine
    from assay.ingest.admission import Arrival
    from assay.settings import Settings

DIVERTED = (Action.QUARANTINE, Action.REJECT)


@dataclasses.dataclass(slots=True)
class Desk:
    """One batch's place to put things. Used by several threads at once.

    Parameters
    ----------
    settings
        Where things lie.
    history
        Record every screening.
    keep
        Keep a copy of every sample that was screened.
    quarantine
        Encrypt and remove what the policy diverts; None: leave everything where it is.
    """

    settings: Settings
    database: Database
    history: bool
    keep: bool
    quarantine: Quarantine | None
    dry_run: bool = False
    shelf: Shelf | None = None
    notes: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        history: bool,
        keep: bool,
        quarantine: bool,
        dry_run: bool,
        passphrase: Callable[[], str],
    ) -> Desk:
        """Open the store; make the quarantine's identity now, while somebody can be asked for a passphrase.

        Raises
        ------
        StoreError, QuarantineError
            If what was asked for cannot be done; nothing was screened then.
        """
        database = Database(settings.database)
        desk = cls(settings, database, history, keep, None, dry_run)
        desk.shelf = Shelf(database, settings)
        if quarantine and not dry_run:
            desk.quarantine = stores.quarantine(settings, database)
            note = desk.quarantine.keys.ensure(passphrase)
            desk.notes += [note] if note else []
            desk.notes += desk.quarantine.sweep()
        return desk

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.history:
            with self._noting("what is too old was not removed"):
                retention.enforce_daily(self.settings)
        if self.shelf is not None:
            self.shelf.close()
        self.database.close()

    def known(self, sha256: str) -> str | None:
        """Look up what people said of a digest."""
        if self.database.path is not None and not self.database.path.exists():
            return None
        standing: str | None = None
        with self._noting("known fakes and originals were not looked up"):
            standing = Judgements(self.database).known(sha256)
        return standing  # noqa: RET504 - None where the lookup failed

    def library(self) -> Library:
        """The signatures in force; none where they cannot be read, which is noted."""
        if self.shelf is None:
            return Library()
        found = self.shelf.library()
        if self.shelf.problem and self.shelf.problem not in self.notes:
            self.notes.append(self.shelf.problem)
        return found

    def trust(self) -> dict[str, str]:
        return trust.load(self.settings.paths.trust)

    def finish(self, screening: Screening, arrival: Arrival | None) -> Screening:
        """Divert the sample if the policy says so, then record it; called while its descriptor is open."""
        cause = cause_of_diversion(screening)
        if cause is not None and arrival is not None:
            screening = self._divert(screening, cause, arrival)
        if self.keep and arrival is not None:
            with self._noting("copies were not kept"):
                self._keep(screening, arrival)
        if self.history:
            with self._noting("not recorded in the history"):
                self._record(screening)
        return screening

    def _record(self, screening: Screening) -> None:
        with self.database.write() as connection:
            Records(self.database, to_json).add_within(connection, [screening])
            signatures.note_matches(connection, screening, self.settings)
            feedback.draw(connection, screening, self.settings)

    def _divert(self, screening: Screening, cause: Screening, arrival: Arrival) -> Screening:
        if self.dry_run:
            return _warned(screening, "dry run: it would be quarantined")
        if self.quarantine is None:
            return screening
        outermost = None if cause is screening else screening.sample
        try:
            taken = self.quarantine.take(
                arrival.descriptor, arrival.path, cause.sample, to_json(screening), outermost
            )
        except QuarantineError as e:
            return _warned(screening, f"it was not quarantined: {e.message}. {e.hint}".strip())
        with self._noting("not recorded in the audit"):
            Audit(self.database).record(_actor(), "quarantine", screening.sample.sha256, rule_of(cause))
        if taken.note:
            screening = _warned(screening, taken.note)
        return dataclasses.replace(screening, quarantine_id=taken.quarantine_id)

    def _keep(self, screening: Screening, arrival: Arrival) -> None:
        from assay.objects import place
        from assay.store.blobs import Blobs

        if screening.quarantine_id is None:
            Blobs(place(self.settings.store.media, self.settings.paths.media)).put_descriptor(
                arrival.descriptor, screening.sample.sha256
            )

    @contextlib.contextmanager
    def _noting(self, what: str) -> Iterator[None]:
        """A store that fails must not cost anybody a verdict: say so once, and go on."""
        try:
            yield
        except (StoreError, OSError) as e:
            said = f"{e.message}. {e.hint}" if isinstance(e, StoreError) else (e.strerror or str(e)).lower()
            note = f"{what}: {said}".strip()
            if note not in self.notes:
                self.notes.append(note)


def cause_of_diversion(screening: Screening) -> Screening | None:
    """What calls for quarantine: the sample itself, or the first thing inside of it that does."""
    return next((s for s in flatten(screening) if s.decision and s.decision.action in DIVERTED), None)


def _warned(screening: Screening, warning: str) -> Screening:
    return dataclasses.replace(screening, warnings=(*screening.warnings, warning))


def rule_of(screening: Screening) -> str:
    return f"policy rule {screening.decision.rule}" if screening.decision else ""


def _actor() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
