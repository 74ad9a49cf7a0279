"""What people do with the quarantine: look, release, confirm, purge, change the keys. Each deed is in the audit."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.action.identity import Recipients, without
from assay.action.quarantine import Origin
from assay.action.vault import Holding
from assay.desk import feedback, signatures
from assay.desk.history import screening_of
from assay.desk.stores import Deed, Stores
from assay.errors import QuarantineError
from assay.store.audit import Audit
from assay.store.judgements import Judgements
from assay.store.records import Record, Records
from assay.store.signatures import Signatures
from assay.types import Kind, Label

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sqlalchemy.engine import Connection

    from assay.desk.taking import Taken
    from assay.signatures.entries import Signature


@dataclass(frozen=True, slots=True)
class Entry:
    """A content in quarantine, and the records that speak of it: empty where the history was not kept."""

    holding: Holding
    records: tuple[Record, ...]

    @property
    def record(self) -> Record | None:
        """The newest record of the held file itself."""
        own = [r for r in self.records if r.quarantine_id == self.holding.id]
        return own[-1] if own else None


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """How many holdings were encrypted anew, how many were already, and what failed."""

    changed: int
    already: int
    failures: tuple[str, ...]


def entries(stores: Stores) -> list[Entry]:
    """Everything in quarantine, the newest first."""
    return [entry(stores, holding) for holding in stores.quarantine.vault.holdings()]


def entry(stores: Stores, holding: Holding) -> Entry:
    return Entry(holding, tuple(stores.records.held(holding.id)))


def release(
    stores: Stores,
    holding: Holding,
    to: Path | None,
    identities: Sequence[Any],
    deed: Deed,
    *,
    known_original: bool = False,
    keep: bool = False,
    taken: Taken | None = None,
) -> list[Path]:
    """Give a content back, with name, mode and times; never over anything that exists.

    Parameters
    ----------
    to : Path, optional
        A folder (each name that the content had appears there) or the path of one file; without it the content returns
        to where it was.
    known_original : bool
        Enter its digest as a known original: it will not be held again.
    keep : bool
        Leave it in quarantine, too: nothing is said of it then.
    taken : Taken, optional
        Its fingerprint and pixels: with `known_original` they become a signature, so that splices of it are found.

    Returns
    -------
    paths : list of Path
        What was written.
    """
    origins = stores.quarantine.origins(holding, identities)
    plan = _plan(holding, origins, to)
    for target, _ in plan:
        if os.path.lexists(target):
            raise QuarantineError(
                f"{target} exists",
                code="exists",
                hint="name another place with --to; release never overwrites",
            )
    for target, origin in plan:
        stores.quarantine.restore(holding, origin, os.fsencode(target), identities)
    with stores.database.write() as connection:
        Audit.append(connection, deed.actor, "release", holding.id, deed.reason)
        if not keep:
            Records.note_release(connection, holding.id)
        if known_original or not keep:
            _take_back(connection, holding.id, deed)
            feedback.label(connection, holding.id, "bona_fide", deed)
        if known_original:
            said = {"actor": deed.actor, "reason": deed.reason}
            Judgements.mark_known(connection, holding.id, "known_original", **said)
            Signatures.changed(connection, signatures.LOCAL, "a digest was entered")
            if taken is not None and taken.prints:
                made = signatures.signatures_of(taken, "known_original", source=deed.actor)
                signatures.remember(connection, made, deed)
    if not keep:
        stores.quarantine.vault.remove(holding)
    return [target for target, _ in plan]


def confirm(
    stores: Stores,
    holding: Holding,
    deed: Deed,
    *,
    taken: Taken | None = None,
    original: NDArray[np.uint8] | None = None,
    kinds: Sequence[Kind] = (),
) -> list[str]:
    """Say that a content is fake indeed: it and what was called fake inside of it become known fakes.

    Parameters
    ----------
    taken : Taken, optional
        Its fingerprint and pixels: they become a signature, by which copies are found that differ in their bytes. Of the
        regions that its record names, crops are kept: copies are told from its original by them.
    original : ndarray of uint8, shape (H, W, 3), optional
        The picture before it was changed, if it is known.
    kinds : sequence of Kind
        What was done; by default what its verdict says.

    Returns
    -------
    digests : list of str
    """
    inside = [r.sha256 for r in stores.records.held(holding.id) if r.document["label"] == Label.FAKE]
    digests = list(dict.fromkeys([holding.id, *(d for d in inside if d)]))
    with stores.database.write() as connection:
        if taken is not None and taken.prints:
            made = _confirmed(entry(stores, holding), taken, original, kinds, deed)
            signatures.remember(connection, made, deed)
        Signatures.changed(connection, signatures.LOCAL, f"{len(digests)} digests were entered")
        for digest in digests:
            feedback.label(connection, digest, "fake", deed)
            Judgements.mark_known(connection, digest, "known_fake", actor=deed.actor, reason=deed.reason)
            Audit.append(connection, deed.actor, "confirm", digest, deed.reason)
    return digests


def _confirmed(
    found: Entry, taken: Taken, original: NDArray[np.uint8] | None, kinds: Sequence[Kind], deed: Deed
) -> list[Signature]:
    """The signatures of a confirmed fake, with the regions and kinds of its own record."""
    verdict = screening_of(found.record).verdict if found.record else None
    evidence = verdict.evidence if verdict else ()
    regions = [r for e in evidence if (e.llr or 0.0) > 0 for r in e.finding.regions if r.time_s is None]
    named = verdict.kinds if verdict else ()
    chosen = kinds or tuple(k for k in named if k not in (Kind.KNOWN_FAKE, Kind.TAMPERED_CREDENTIAL))
    return signatures.signatures_of(
        taken, "known_fake", kinds=chosen, regions=() if original is not None else regions, original=original,
        source=deed.actor,
    )  # fmt: skip


def _take_back(connection: Connection, sha256: str, deed: Deed) -> None:
    """What was released is no known fake any more."""
    Judgements.remove_known(connection, sha256)
    signatures.withdraw_of(connection, sha256, deed)
    Signatures.changed(connection, signatures.LOCAL, "a digest was taken back")


def purge(stores: Stores, holding: Holding, deed: Deed) -> None:
    """Destroy a content in quarantine. The audit is written first: no deed without its entry."""
    with stores.database.write() as connection:
        Audit.append(connection, deed.actor, "purge", holding.id, deed.reason)
        Records.note_release(connection, holding.id)
    stores.quarantine.vault.remove(holding)


def change_recipients(stores: Stores, add: Iterable[str], remove: Iterable[str], deed: Deed) -> Recipients:
    """Add and remove public keys; `rekey` then brings what is held in line."""
    keys = stores.quarantine.keys
    recipients = keys.read()
    changed = Recipients(tuple(dict.fromkeys([*recipients.keys, *(key.strip() for key in add)])))
    for key in remove:
        changed = without(changed, key.strip())
    if changed != recipients:
        changed.parsed()
        stores.audit.record(deed.actor, "recipients", f"{recipients.digest} -> {changed.digest}", deed.reason)
        keys.replace(changed)
    return changed


def rekey(
    stores: Stores,
    identities: Sequence[Any],
    deed: Deed,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Rekeyed:
    """Encrypt everything in quarantine to the current recipients. Interrupted, it resumes when called again."""
    recipients = stores.quarantine.keys.read()
    holdings = stores.quarantine.vault.holdings()
    changed, failures = 0, []
    for n, holding in enumerate(holdings):
        progress(n, len(holdings))
        try:
            changed += stores.quarantine.vault.rekey(holding, identities, recipients)
        except QuarantineError as e:
            failures.append(e.message)
    progress(len(holdings), len(holdings))
    done = Rekeyed(changed, len(holdings) - changed - len(failures), tuple(failures))
    stores.audit.record(
        deed.actor, "rekey", recipients.digest, f"{changed} encrypted anew. {deed.reason}".strip()
    )
    return done


def _plan(holding: Holding, origins: Sequence[Origin], to: Path | None) -> list[tuple[Path, Origin]]:
    """Decide what is written where."""
    if not origins:
        raise QuarantineError(
            f"nothing is known of where {holding.id[:12]} was", hint="restore it from a backup"
        )
    if to is None:
        return _back(origins)
    if not to.is_dir():
        return [(to, origins[0])]
    named: dict[bytes, Origin] = {}
    for origin in origins:
        named.setdefault(origin.name or os.fsencode(_made_up(holding)), origin)
    return [(to / os.fsdecode(name), origin) for name, origin in named.items()]


def _back(origins: Sequence[Origin]) -> list[tuple[Path, Origin]]:
    placed = [(Path(os.fsdecode(o.path)), o) for o in origins if o.path is not None]
    if not placed:
        raise QuarantineError(
            "it came through a stream and has no place to return to",
            code="no_place",
            hint="name one with --to",
        )
    for target, _ in placed:
        if not target.parent.is_dir():
            raise QuarantineError(
                f"the folder {target.parent} does not exist any more",
                code="no_place",
                hint="name another with --to",
            )
    return placed


def _made_up(holding: Holding) -> str:
    return f"{holding.id[:16]}{mimetypes.guess_extension(holding.media_type) or '.bin'}"
