"""Lists of signatures: imported from elsewhere, exported, verified, put on trial and off it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from assay.desk import packs
from assay.desk.signatures import LOCAL, known, remember
from assay.errors import AssayError, StoreError
from assay.signatures import exchange
from assay.signatures.entries import About, PackError, Signature
from assay.signatures.exchange import Skipped
from assay.signatures.packs import key_id, new_key, open_pack, write_pack
from assay.store.audit import Audit
from assay.store.signatures import Signatures

if TYPE_CHECKING:
    from assay.desk.stores import Deed, Stores

BATCH = 5000  # signatures entered in one transaction
SHOWN = 100  # lines that were skipped, of which the reason is kept
_PACK = b'{"chunks":'


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a list's lines."""

    taken: int
    skipped: tuple[Skipped, ...]  # the first ones
    more: int  # how many there were in all


def form_of(file: Path) -> str:
    """Tell a pack, a CSV file and a signal file apart by their first bytes and the name."""
    with open(file, "rb") as source:
        head = source.read(len(_PACK))
    if head == _PACK:
        return "pack"
    return "csv" if file.suffix.lower() == ".csv" else "threatexchange"


def named(text: str) -> str:
    """A plain name for a list, from a file's."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:60] or "list"
    return f"{plain}-import" if plain == LOCAL else plain


def bring_in(stores: Stores, source: BinaryIO, listed: str, form: str, about: About, deed: Deed) -> Imported:
    """Read a list into the store; its signatures start on trial. A list of the same name is added to.

    Raises
    ------
    PackError
        ``list_malformed``: it is no such file. What was entered before stays, on trial.
    """
    reader = exchange.read_csv if form == "csv" else exchange.read_threatexchange
    skipped: list[Skipped] = []
    more = taken = 0
    batch: list[Signature] = []
    if listed in {p.name for p in Signatures(stores.database).packs()}:
        raise PackError(f"a pack is called {listed}; give another --name", code="list_name")
    try:
        for one in reader(source, name=listed, about=about):
            if isinstance(one, Skipped):
                more += 1
                skipped += [one] if len(skipped) < SHOWN else []
                continue
            batch.append(one)
            if len(batch) >= BATCH:
                taken += _entered(stores, batch, listed, deed)
                batch = []
    except ValueError as e:
        raise PackError(f"the list cannot be read: {e}", code="list_malformed") from e
    taken += _entered(stores, batch, listed, deed)
    return Imported(taken, tuple(skipped), more)


def export(
    stores: Stores, out: Path, listed: Sequence[str], form: str, *, key: Path | None = None,
    name: str = LOCAL, serial: int | None = None, days: int = 30,
) -> int:  # fmt: skip
    """Write lists into one file, which appears as a whole or not at all; returns how many signatures.

    Raises
    ------
    StoreError, PackError
        If it cannot be written, or the key is none.
    """
    chosen = (k.signature for n in listed for k in known(stores.database, stores.settings, n) if k.counts)
    part = out.with_name(f".{out.name}.part")
    try:
        if form == "pack":
            count = _write_pack(stores, chosen, part, key, name, serial, days)
        else:
            write = exchange.write_csv if form == "csv" else exchange.write_threatexchange
            with part.open("w", encoding="utf-8") as file:
                count = write(chosen, file)
        part.replace(out)
    except OSError as e:
        raise StoreError(f"{out} cannot be written: {(e.strerror or str(e)).lower()}", code="output") from e
    except ValueError as e:
        raise PackError(f"no pack can be made: {e}", code="pack_export") from e
    finally:
        part.unlink(missing_ok=True)
    return count


def new_signing_key(out: Path) -> tuple[str, str]:
    """Write a new private key to a file that must not exist (mode 0600); returns the key's id and its public half."""
    private, public = new_key()
    try:
        with open(os.open(out, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(private.hex() + "\n")
    except OSError as e:
        raise StoreError(f"{out} cannot be written: {(e.strerror or str(e)).lower()}", code="output") from e
    return key_id(public), public.hex()


def verified(stores: Stores, file: Path | None) -> Iterator[tuple[str, str, bool]]:
    """Verify a pack, or all that is installed: name, what was found, and if it is good."""
    trusted = packs.trusted(stores.settings.paths.packs)
    if file is not None:
        try:
            with file.open("rb") as source:
                pack = open_pack(source, trusted, now=datetime.now(UTC))
                n = sum(1 for _ in pack.signatures())
            yield str(file), f"{pack.header.name}, serial {pack.header.serial}, {n} signatures, until {pack.header.expires_at:%Y-%m-%d}", True  # fmt: skip
        except PackError as e:
            yield str(file), f"{e.message} ({e.code})", False
        return
    if stores.database.path is not None and not stores.database.path.exists():
        return
    store = Signatures(stores.database)
    for listed in sorted({name for name, _ in store.counts()}):
        yield _checked(stores, listed, "")
    for one in store.packs():
        late = " (expired: pull a newer one)" if one.expires_at <= datetime.now(UTC) else ""
        yield _checked(stores, one.name, f", serial {one.serial}, until {one.expires_at:%Y-%m-%d}{late}")


def restate(stores: Stores, listed: str, state: str, deed: Deed, *, id: str | None = None) -> int:  # noqa: A002 - a signature's
    """Let a list or one of its signatures count, put it on trial, or suspend it; returns how many rows changed."""
    target = listed if id is None else f"{listed}: {id}"
    with stores.database.write() as connection:
        count = Signatures.restate(connection, listed, state, id=id)
        if count:
            Audit.append(connection, deed.actor, f"signatures-{state}", target, deed.reason)
            Signatures.changed(connection, listed, f"{id or 'all'}: {state}")
    return count


def remove(stores: Stores, name: str, deed: Deed) -> int:
    """Remove a pack, or an imported list with all its signatures."""
    if name in {p.name for p in Signatures(stores.database).packs()}:
        packs.remove(stores, name, deed)
        return 1
    with stores.database.write() as connection:
        count = Signatures.remove(connection, name)
        if count:
            Audit.append(connection, deed.actor, "signatures-remove", f"{name}: {count}", deed.reason)
            Signatures.changed(connection, name, f"{count} removed")
    return count


def _entered(stores: Stores, batch: Sequence[Signature], listed: str, deed: Deed) -> int:
    if not batch:
        return 0
    with stores.database.write() as connection:
        remember(connection, batch, deed, listed=listed, state="shadow")
    return len(batch)


def _write_pack(
    stores: Stores, signatures: Iterator[Signature], part: Path, key: Path | None, name: str,
    serial: int | None, days: int,
) -> int:  # fmt: skip
    if key is None:
        raise ValueError("a pack needs a key")
    private = bytes.fromhex(key.read_text(encoding="ascii").strip())
    now = datetime.now(UTC).replace(microsecond=0)
    number = serial or max(1, Signatures(stores.database).edition()[0])
    with part.open("wb") as file:
        header = write_pack(
            signatures, file, name=name, serial=number, issued_at=now, expires_at=now + timedelta(days=days),
            private=private,
        )  # fmt: skip
        file.flush()
        os.fsync(file.fileno())
    return header.count


def _checked(stores: Stores, listed: str, more: str) -> tuple[str, str, bool]:
    try:
        n = sum(1 for _ in known(stores.database, stores.settings, listed))
    except AssayError as e:
        return listed, f"{e.message} ({e.code})", False
    return listed, f"{n} signatures{more}", True
