"""Packs as files of this installation: trusted keys, installing, rolling back, reading, making."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from assay.action.identity import sync_folder
from assay.errors import StoreError
from assay.signatures.entries import PackError, Signature
from assay.signatures.packs import Header, Installed, key_id, open_pack
from assay.store.audit import Audit
from assay.store.signatures import Signatures, StoredPack

if TYPE_CHECKING:
    from assay.desk.stores import Deed, Stores

KEPT = 3  # issues of a pack that stay on the disk, to go back to
_KEY = re.compile(r"[0-9a-f]{64}")
_ISSUE = re.compile(r"(\d+)\.pack")


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue that was installed, or brought back."""

    header: Header
    changed: bool  # False: it was installed already


def trusted(folder: Path) -> dict[str, bytes]:
    """The public keys whose packs are believed, by `key_id`.

    Raises
    ------
    PackError
        ``pack_key``: a file in the folder holds no key.
    """
    found: dict[str, bytes] = {}
    for path in sorted((folder / "keys").glob("*.pub")) if (folder / "keys").is_dir() else ():
        public = _public(path.read_text(encoding="ascii", errors="replace"))
        found[key_id(public)] = public
    return found


def trust(folder: Path, text: str, name: str = "") -> str:
    """Believe packs signed with a public key, given as 64 hexadecimal digits; returns its id."""
    public = _public(text)
    keys = folder / "keys"
    with _explained(keys):
        keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        plain = "".join(c if c.isprintable() else " " for c in name)[:100]
        _written(keys / f"{key_id(public)}.pub", f"{public.hex()} {plain}\n".encode())
    return key_id(public)


def distrust(folder: Path, key: str) -> None:
    """Believe no pack of this key any more; those installed stay until they are removed.

    Raises
    ------
    PackError
        ``pack_key``: no such key is trusted.
    """
    if key not in trusted(folder):
        raise PackError(f"no trusted key is called {key[:40]}", code="pack_key")
    with _explained(folder):
        (folder / "keys" / f"{key}.pub").unlink()


def install(stores: Stores, source: BinaryIO, deed: Deed, *, url: str = "", name: str = "") -> Issue:
    """Verify a pack to its last line, then put it in force in place of its older issue. A new pack starts in shadow.

    Parameters
    ----------
    source
        The pack from its first byte.
    url
        Where newer issues are pulled from.
    name
        The name that it must have; any by default.

    Raises
    ------
    PackError
        As `assay.signatures.packs.open_pack` and `Pack.signatures` say: nothing was changed then.
    StoreError
        If it cannot be stored: nothing was changed.
    """
    folder = stores.settings.paths.packs
    store = Signatures(stores.database)
    before = {p.name: p for p in store.packs()}
    with _explained(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        arriving = folder / f".arriving-{os.getpid()}-{os.urandom(4).hex()}"
        try:
            header = _copied(source, arriving, folder, before)
            if name and header.name != name:
                raise PackError(
                    f"this is the pack {header.name}, not {name}",
                    code="pack_malformed",
                    hint="Check the address.",
                )
            old = before.get(header.name)
            if old is not None and old.digest == header.digest:
                return Issue(header, changed=False)
            if old is not None and header.serial <= old.refused:
                raise PackError(
                    f"the serial {header.serial} of the pack {header.name} was rolled back here",
                    code="pack_older",
                    hint="Wait for a newer one.",
                )
            target = _file(folder, header.name, header.serial)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            arriving.replace(target)
            sync_folder(target.parent)
        finally:
            arriving.unlink(missing_ok=True)
    row = _row(header, old, url)
    with stores.database.write() as connection:
        Signatures.put_pack(connection, row)
        Audit.append(
            connection,
            deed.actor,
            "pack-install",
            f"{row.name} serial {row.serial} ({row.state})",
            deed.reason,
        )
        Signatures.changed(connection, row.name, f"serial {row.serial} installed")
    _prune(folder, row)
    return Issue(header, changed=True)


def roll_back(stores: Stores, name: str, deed: Deed) -> StoredPack:
    """Put the issue before the installed one in force again; the installed one is refused from now on.

    Raises
    ------
    PackError
        ``pack_unknown``: there is no such pack, or no older issue of it on the disk.
    """
    folder, store = stores.settings.paths.packs, Signatures(stores.database)
    pack = find(store, name)
    older = [serial for serial in _issues(folder, name) if serial < pack.serial]
    if not older:
        raise PackError(f"no older issue of the pack {name} is kept", code="pack_unknown")
    with _opened(_file(folder, name, older[-1])) as file:
        found = open_pack(file, trusted(folder), now=_before_expiry(file))
        for _ in found.signatures():
            pass
    row = _row(found.header, pack, pack.url, refused=pack.serial)
    with stores.database.write() as connection:
        Signatures.put_pack(connection, row)
        Audit.append(
            connection, deed.actor, "pack-rollback", f"{name} {pack.serial} -> {row.serial}", deed.reason
        )
        Signatures.changed(connection, name, f"rolled back to serial {row.serial}")
    return row


def remove(stores: Stores, name: str, deed: Deed) -> None:
    """Take a pack out of force and off the disk."""
    folder, store = stores.settings.paths.packs, Signatures(stores.database)
    find(store, name)
    with stores.database.write() as connection:
        Signatures.remove_pack(connection, name)
        Audit.append(connection, deed.actor, "pack-remove", name, deed.reason)
        Signatures.changed(connection, name, "removed")
    for serial in _issues(folder, name):
        _file(folder, name, serial).unlink(missing_ok=True)


def find(store: Signatures, name: str) -> StoredPack:
    """The installed pack of this name, or PackError ``pack_unknown``."""
    for pack in store.packs():
        if pack.name == name:
            return pack
    raise PackError(
        f"no pack {name[:64]!r} is installed", code="pack_unknown", hint="See: assay signatures list"
    )


def installed(folder: Path, pack: StoredPack) -> Iterator[Signature]:
    """Read an installed pack, verified line by line once more; one that has expired still counts, and is reported.

    Raises
    ------
    PackError
        If its file is gone, or was altered, or its key is no longer trusted.
    """
    try:
        with _opened(_file(folder, pack.name, pack.serial)) as file:
            found = open_pack(file, trusted(folder), now=_before_expiry(file))
            if found.header.digest != pack.digest:
                raise PackError(f"the pack {pack.name} is another than was installed", code="pack_altered",
                                hint=f"assay signatures pull {pack.name}")  # fmt: skip
            yield from found.signatures()
    except OSError as e:
        hint = f"Install it again, or: assay signatures remove {pack.name}"
        raise PackError(f"the pack {pack.name} cannot be read: {(e.strerror or str(e)).lower()}",
                        code="pack_missing", hint=hint) from e  # fmt: skip


def _copied(source: BinaryIO, target: Path, folder: Path, before: dict[str, StoredPack]) -> Header:
    """Write the pack down while it is verified; nothing of it is believed before its last line was read."""
    there = {p.name: Installed(p.serial, p.digest) for p in before.values()}
    with open(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600), "r+b") as file:
        while piece := source.read(1 << 20):
            file.write(piece)
        file.seek(0)
        pack = open_pack(file, trusted(folder), now=datetime.now(UTC), installed=there)
        for _ in pack.signatures():
            pass
        file.flush()
        os.fsync(file.fileno())
    return pack.header


def _row(header: Header, old: StoredPack | None, url: str, *, refused: int | None = None) -> StoredPack:
    return StoredPack(
        header.name, header.serial, header.digest, header.key, header.issued_at, header.expires_at,
        datetime.now(UTC), header.count, old.state if old else "shadow", url or (old.url if old else ""),
        refused if refused is not None else (old.refused if old else 0),
    )  # fmt: skip


def _before_expiry(file: BinaryIO) -> datetime:
    """A moment at which an installed pack was valid: its expiry says when to pull, not when to forget."""
    import json

    line = file.readline()
    file.seek(0)
    try:
        return datetime.strptime(json.loads(line)["issued_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except (ValueError, KeyError, TypeError):
        return datetime.now(UTC)  # it is no pack: `open_pack` says so


def _file(folder: Path, name: str, serial: int) -> Path:
    return folder / name / f"{serial}.pack"


def _issues(folder: Path, name: str) -> list[int]:
    """Serials of the issues on the disk, rising."""
    place = folder / name
    found = [m for p in place.iterdir() if (m := _ISSUE.fullmatch(p.name))] if place.is_dir() else []
    return sorted(int(m[1]) for m in found)


def _prune(folder: Path, pack: StoredPack) -> None:
    for serial in _issues(folder, pack.name)[:-KEPT]:
        if serial != pack.serial:
            _file(folder, pack.name, serial).unlink(missing_ok=True)


def _public(text: str) -> bytes:
    digits = text.split(maxsplit=1)[0].lower() if text.split() else ""
    if not _KEY.fullmatch(digits):
        raise PackError("a public key is 64 hexadecimal digits", code="pack_key")
    return bytes.fromhex(digits)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with open(path, "rb") as file:
        yield file


def _written(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    with open(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        full = e.errno == 28  # ENOSPC
        raise StoreError(
            f"the packs in {folder} cannot be changed: {(e.strerror or str(e)).lower()}",
            code="store_full" if full else "store_packs",
            hint="free space on the disk; nothing was changed"
            if full
            else "check the folder's owner and mode",
        ) from e
