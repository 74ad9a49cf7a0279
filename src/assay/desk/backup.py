"""One file with all that cannot be made again: records, quarantine and its keys, kept media, pictures, trust lists,
configuration.

A plain tar. Its first member, ``manifest.json``, lists every other with its SHA-256; a restore reads nothing that is
not listed, checks each digest, and swaps the finished folders in only at the end. Model weights and caches are left out.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from assay.action.identity import sync_folder
from assay.action.vault import Vault
from assay.errors import StoreError
from assay.store.database import Database
from assay.store.tables import REVISION
from assay.types import JSON

if TYPE_CHECKING:
    from assay.settings import Settings

FORMAT = "assay/backup/1"
MANIFEST = "manifest.json"
MANIFEST_LIMIT = 1 << 28  # bytes: millions of members
DATABASE = "assay.db"
FOLDERS = ("quarantine", "media", "pictures", "trust", "packs")  # below the data folder
CONFIGURATION = "config-from-backup"
PASSED_OVER = re.compile(r"(^|/)(lock|keys\.lock|incoming|removing|\.fresh-[0-9a-f]+|[^/]*#\d+)(/|$)")
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class BackedUp:
    """What was written."""

    path: Path
    files: int
    size: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """What was brought back, and where what had been there before lies now."""

    files: int
    made_at: datetime
    aside: Path | None
    configuration: Path | None


@dataclass(frozen=True, slots=True)
class _Part:
    """One file on its way into the backup."""

    name: str
    path: Path


def backup(settings: Settings, target: Path) -> BackedUp:
    """Write a backup to a file that must not exist; it appears as a whole or not at all.

    The database is a consistent snapshot; purges and changes of keys wait until the backup is done.

    Raises
    ------
    StoreError
        If the target exists or cannot be written, or the stores cannot be read.
    """
    if os.path.lexists(target):
        raise StoreError(
            f"{target} exists", code="exists", hint="a backup overwrites nothing; name another file"
        )
    paths = settings.paths
    with (
        _explained(target),
        tempfile.TemporaryDirectory(prefix="assay-backup-", dir=target.absolute().parent) as work,
    ):
        parts: list[_Part] = []
        if paths.database.exists():
            with Database(paths.database) as database:
                parts.append(_Part(DATABASE, database.copy_to(Path(work) / DATABASE)))
        with _still(paths.quarantine):
            parts += [part for folder in FOLDERS for part in _parts(paths.data / folder, folder)]
            parts += [_Part(f"config/{n}-{path.name}", path) for n, path in enumerate(paths.config)]
            parts, notes = _without_secrets(parts)
            notes += _elsewhere(settings)
            finished = Path(work) / "backup.tar"
            _write(finished, parts)
        size = finished.stat().st_size
        os.link(finished, target)  # refuses to overwrite what appeared meanwhile
        sync_folder(target.absolute().parent)
    return BackedUp(target, len(parts), size, tuple(notes))


def restore(settings: Settings, source: Path, *, force: bool = False) -> Restored:
    """Bring a backup back. What is stored now is in its way: `force` moves that aside, and removes nothing.

    Raises
    ------
    StoreError
        If the file is not a whole backup, is from a newer Assay, or would overwrite something.
    """
    data = settings.paths.data
    with _explained(source), tarfile.open(source, "r:") as tar:
        manifest = _manifest(tar)
        occupied = [n for n in (DATABASE, *FOLDERS) if _occupied(data / n)]
        if occupied and not force:
            raise StoreError(
                f"there are records or media in {data} already",
                code="exists",
                hint="--force moves them aside (nothing is removed) and restores",
            )
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = data / f"restoring-{secrets.token_hex(4)}"
        try:
            _unpack(tar, manifest, fresh)
            with Vault(data / "quarantine").locked(alone=True):
                aside = _swap(data, fresh, occupied)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    made = datetime.fromisoformat(manifest["made_at"])
    configuration = data / CONFIGURATION
    return Restored(len(manifest["files"]), made, aside, configuration if configuration.is_dir() else None)


def _parts(folder: Path, name: str) -> Iterator[_Part]:
    if not folder.is_dir():
        return
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder).as_posix()
        if path.is_file() and not path.is_symlink() and not PASSED_OVER.search(inner):
            yield _Part(f"{name}/{inner}", path)


def _elsewhere(settings: Settings) -> list[str]:
    """Say what is not in the backup, since it does not lie on this machine."""
    notes = []
    if settings.store.database:
        notes.append(
            "the records lie in a database server and are not in this backup: use the server's own (pg_dump)"
        )
    if settings.store.media:
        notes.append(
            f"quarantine, its keys, kept media and pictures lie in {settings.store.media} and are not in this backup: "
            "use the object store's own replication or copy"
        )
    return notes


def _without_secrets(parts: list[_Part]) -> tuple[list[_Part], list[str]]:
    """Leave out identities that no passphrase protects: a backup travels."""
    kept, notes = [], []
    for part in parts:
        if part.name.startswith("quarantine/keys/") and b"AGE-SECRET-KEY-1" in part.path.read_bytes():
            notes.append(
                f"{part.path} is not protected by a passphrase and was left out: keep it safe yourself"
            )
        else:
            kept.append(part)
    return kept, notes


def _write(target: Path, parts: list[_Part]) -> None:
    files = {part.name: {"size": part.path.stat().st_size, "sha256": _digest(part.path)} for part in parts}
    made = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = {
        "format": FORMAT,
        "assay": version("assay"),
        "schema": REVISION,
        "made_at": made,
        "files": files,
    }
    with _created(target) as file, tarfile.open(fileobj=file, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, MANIFEST, io.BytesIO(content := json.dumps(manifest).encode()), len(content), 0)
        for part in parts:
            with open(part.path, "rb") as opened:
                status = os.fstat(opened.fileno())
                passing = _Digesting(opened)
                _add(tar, part.name, passing, int(str(files[part.name]["size"])), int(status.st_mtime))
            if passing.digest.hexdigest() != files[part.name]["sha256"]:
                raise StoreError(
                    f"{part.path} changed meanwhile", code="changed", hint="run the backup again"
                )


class _Digesting(io.RawIOBase):
    """A file on its way into the tar: hashed once more, since it may have changed since the manifest."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data


def _add(tar: tarfile.TarFile, name: str, content: io.IOBase, size: int, mtime: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, mtime
    tar.addfile(member, content)


def _manifest(tar: tarfile.TarFile) -> JSON:
    first = tar.next()
    if first is None or first.name != MANIFEST or not first.isreg() or first.size > MANIFEST_LIMIT:
        raise _no_backup("it does not begin with a manifest")
    content = tar.extractfile(first)
    assert content is not None
    try:
        manifest: JSON = json.loads(content.read())
        for name, described in manifest["files"].items():
            _safe(name)
            int(described["size"]), str(described["sha256"])
        if manifest["format"] != FORMAT:
            raise _no_backup("its format is of another Assay")
        if str(manifest["schema"]) > REVISION:
            raise StoreError(
                f"the backup was made by Assay {manifest['assay']}, newer than this program",
                code="store_newer",
                hint="restore it with that version",
            )
        datetime.fromisoformat(manifest["made_at"])
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        raise _no_backup(f"its manifest is damaged ({e})") from e
    return manifest


def _safe(name: str) -> None:
    """Refuse a name that could lead out of the folder or is not of a backup."""
    parts = name.split("/")
    known = name == DATABASE or parts[0] in (*FOLDERS, "config")
    if (
        not known
        or any(p in {"", ".", ".."} or "\0" in p for p in parts)
        or (name != DATABASE and len(parts) < 2)
    ):
        raise ValueError(f"a name that does not belong there: {name!r}")


def _unpack(tar: tarfile.TarFile, manifest: JSON, fresh: Path) -> None:
    missing = dict(manifest["files"])
    while (member := tar.next()) is not None:
        described = missing.pop(member.name, None)
        content = tar.extractfile(member) if member.isreg() else None
        if described is None or content is None or member.size != described["size"]:
            raise _no_backup(f"it holds {member.name!r}, which is not as its manifest says")
        path = fresh / member.name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with _created(path) as file:
            while chunk := content.read(CHUNK):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != described["sha256"]:
            raise _no_backup(f"{member.name!r} was altered")
        os.utime(path, (member.mtime, member.mtime))
    if missing:
        raise _no_backup(f"{len(missing)} of its files are missing: it was cut off")


def _swap(data: Path, fresh: Path, occupied: list[str]) -> Path | None:
    """Move what is there aside and the restored in its place, by renaming only."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = data / f"before-restore-{stamp}-{secrets.token_hex(2)}"
    aside.mkdir(mode=0o700)
    for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm", *FOLDERS, CONFIGURATION):
        if (data / name).exists():
            (data / name).rename(aside / name)
    if (fresh / "config").is_dir():
        (fresh / "config").rename(data / CONFIGURATION)
    for name in (*FOLDERS, DATABASE):  # the database last: it is what makes the rest be seen
        if (fresh / name).exists():
            (fresh / name).rename(data / name)
    sync_folder(data)
    if occupied:
        return aside
    shutil.rmtree(aside, ignore_errors=True)  # at most empty folders and a lock
    return None


def _occupied(path: Path) -> bool:
    if path.is_dir():
        return any(
            p.is_file() and not PASSED_OVER.search(p.relative_to(path).as_posix()) for p in path.rglob("*")
        )
    return path.exists()


@contextmanager
def _still(quarantine: Path) -> Iterator[None]:
    """Keep holdings from being removed meanwhile; more may come."""
    if not quarantine.is_dir():
        yield
        return
    with Vault(quarantine).locked():
        yield


@contextmanager
def _created(path: Path) -> Iterator[BinaryIO]:
    with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except tarfile.TarError as e:
        raise _no_backup(str(e)) from e
    except OSError as e:
        full = e.errno == 28  # ENOSPC
        raise StoreError(
            f"{path}: {(e.strerror or str(e)).lower()}",
            code="store_full" if full else "backup",
            hint="free space on the disk; nothing was changed"
            if full
            else "check the path and its permissions",
        ) from e


def _no_backup(why: str) -> StoreError:
    return StoreError(f"this is not a whole backup: {why}", code="no_backup", hint="nothing was changed")


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
