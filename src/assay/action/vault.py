"""The folder where quarantined media lie encrypted, and how nothing in it is ever half there.

    lock                          held shared by whoever works here, alone by the sweep and by what removes
    incoming/RANDOM/              a holding being written; left over only by a kill
    removing/RANDOM.json          a path about to be removed (see removal.py)
    vault/SHA256/
        holding.json              digest, size, type and time: no names, readable without an identity
        content-KEYS.age          the bytes
        origin-PATH-KEYS.age      name, mode, times and screening of one path that held them; several are possible

KEYS names the set of recipients, PATH is a digest of the path. A holding appears by renaming its finished folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from assay.action.identity import Recipients, sync_folder, write_new
from assay.action.sealing import Sink, Source, decrypt, encrypt, reencrypt, sealed_size
from assay.errors import QuarantineError
from assay.types import JSON

ORIGIN_LIMIT = 64 << 20  # bytes of one origin's JSON


@dataclass(frozen=True, slots=True)
class Holding:
    """One content in quarantine. Its id is its SHA-256."""

    id: str
    folder: Path
    size: int
    media_type: str
    taken_at: datetime

    def content(self) -> Path:
        """Return the newest file of the content."""
        return _newest(self.folder, "content")

    def origins(self) -> list[Path]:
        """Return one file for each path that held this content."""
        names = {p.name.rsplit("-", 1)[0] for p in self.folder.glob("origin-*.age")}
        return [_newest(self.folder, name) for name in sorted(names)]


class Vault:
    """The holdings below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.holdings_folder = folder / "vault"
        self.incoming = folder / "incoming"
        self.removing = folder / "removing"

    @contextmanager
    def locked(self, *, alone: bool = False, wait: bool = True) -> Iterator[bool]:
        """Hold the vault, shared or alone; yields False where that would have to wait and `wait` is not wanted."""
        try:
            for place in (self.folder, self.holdings_folder, self.incoming, self.removing):
                _make_folder(place)
            descriptor = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as e:
            raise unusable(e) from e
        try:
            how = (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB)
            try:
                fcntl.flock(descriptor, how)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def holdings(self) -> list[Holding]:
        """All holdings that can be read, the newest first."""
        found = []
        for name in self._names():
            with contextlib.suppress(QuarantineError):
                found.append(self._read(self.holdings_folder / name))
        return sorted(found, key=lambda h: (h.taken_at, h.id), reverse=True)

    def damaged(self) -> list[str]:
        """What is wrong with the holdings that cannot be read."""
        problems = []
        for name in self._names():
            try:
                self._read(self.holdings_folder / name).content()
            except QuarantineError as e:
                problems.append(f"{e.message} ({e.hint})" if e.hint else e.message)
        return problems

    def _names(self) -> list[str]:
        if not self.holdings_folder.is_dir():
            return []
        return sorted(n for n in os.listdir(self.holdings_folder) if re.fullmatch("[0-9a-f]{64}", n))

    def find(self, prefix: str) -> Holding:
        """Return the one holding whose id begins with `prefix`.

        Raises
        ------
        QuarantineError
            If there is none or more than one.
        """
        wanted = prefix.lower()
        found = [h for h in self.holdings() if wanted and h.id.startswith(wanted)]
        if not found:
            raise QuarantineError(
                f"nothing in quarantine begins with {prefix}",
                code="not_found",
                hint="`assay quarantine list` shows what is there",
            )
        if len(found) > 1:
            raise QuarantineError(
                f"{len(found)} holdings begin with {prefix}", code="ambiguous", hint="give more of it"
            )
        return found[0]

    def holds(self, sha256: str) -> bool:
        """Is this content here, whole as far as its length tells?"""
        folder = self.holdings_folder / sha256
        try:
            holding = self._read(folder)
            return holding.content().stat().st_size >= sealed_size(holding.size)
        except (QuarantineError, OSError):
            return False

    def store(
        self, descriptor: int, described: JSON, origin: JSON, path_key: bytes, recipients: Recipients
    ) -> None:
        """Encrypt a descriptor's bytes and what is known of its path; complete and synced on return.

        Parameters
        ----------
        described : JSON
            ``sha256, size, media_type, taken_at``: kept readable beside the ciphertext.
        origin : JSON
            Kept encrypted.
        path_key : bytes
            Names the origin: the same path again replaces its own.

        Raises
        ------
        QuarantineError
            If the bytes are not those of ``described["sha256"]``.
        OSError
            If the disk fails or is full; nothing half-written stays.
        """
        sha256 = str(described["sha256"])
        keys = recipients.parsed()
        final = self.holdings_folder / sha256
        content, beside = f"content-{recipients.digest}.age", _origin_name(path_key, recipients)
        if not self.holds(sha256):
            staged = self.incoming / secrets.token_hex(8)
            try:
                staged.mkdir(mode=0o700)
                _seal_descriptor(descriptor, staged / content, keys, sha256)
                _seal_bytes(_dumped(origin), staged / beside, keys)
                write_new(staged / "holding.json", _dumped(described))
                sync_folder(staged)
                if final.is_dir() and not self.holds(
                    sha256
                ):  # a damaged one: the fresh content takes its place
                    (staged / content).replace(final / content)
                    (staged / "holding.json").replace(final / "holding.json")
                    sync_folder(final)
                    _drop_others(final, "content", content)
                else:
                    with contextlib.suppress(FileExistsError, NotADirectoryError):
                        _rename_folder(staged, final)
                    sync_folder(self.holdings_folder)
            finally:
                shutil.rmtree(staged, ignore_errors=True)
        self._add_origin(final, beside, origin, keys)

    def _add_origin(self, final: Path, name: str, origin: JSON, keys: Sequence[Any]) -> None:
        fresh = final / f".fresh-{secrets.token_hex(8)}"
        try:
            _seal_bytes(_dumped(origin), fresh, keys)
            fresh.replace(final / name)
            sync_folder(final)
        finally:
            fresh.unlink(missing_ok=True)

    def origin(self, file: Path, identities: Sequence[Any]) -> JSON:
        """Decrypt what is known of one path."""
        import pyrage

        try:
            loaded: JSON = json.loads(pyrage.decrypt(file.read_bytes()[:ORIGIN_LIMIT], identities))
        except (pyrage.DecryptError, ValueError) as e:
            raise _locked_out(file.parent.name, e) from e
        except OSError as e:
            raise QuarantineError(f"{file} cannot be read: {e.strerror}") from e
        return loaded

    def open(self, holding: Holding, descriptor: int, identities: Sequence[Any]) -> None:
        """Decrypt the content into a descriptor and check its digest.

        Raises
        ------
        QuarantineError
            If no identity fits, or the content was altered.
        OSError
            If the target cannot be written.
        """
        sink = Sink(descriptor)
        try:
            with _opened(holding.content()) as sealed:
                decrypt(Source(sealed), sink, identities)
        except ValueError as e:
            raise _locked_out(holding.id, e) from e
        if sink.digest != holding.id:
            raise QuarantineError(f"the content of {holding.id[:12]} is not what was taken", code="altered")

    def rekey(self, holding: Holding, identities: Sequence[Any], recipients: Recipients) -> bool:
        """Encrypt one holding to other recipients; False where it is already. Killed at any moment, it resumes."""
        ending = f"-{recipients.digest}.age"
        keys = recipients.parsed()
        changed = False
        with self.locked(alone=True):
            for old in [holding.content(), *holding.origins()]:
                if old.name.endswith(ending):
                    continue
                stem = old.name.rsplit("-", 1)[0]
                check = holding.id if stem == "content" else None
                self._reseal(old, holding.folder / f"{stem}{ending}", identities, keys, check)
                changed = True
            sync_folder(holding.folder)
            for stem in {p.name.rsplit("-", 1)[0] for p in holding.folder.glob("*.age")}:
                _drop_others(holding.folder, stem, f"{stem}{ending}")
        return changed

    def remove(self, holding: Holding) -> None:
        """Remove a holding; nobody is reading or adding to it meanwhile."""
        with self.locked(alone=True):
            doomed = self.incoming / secrets.token_hex(8)
            try:
                holding.folder.rename(doomed)  # first out of sight as a whole, then piece by piece
                sync_folder(self.holdings_folder)
            except FileNotFoundError:
                return
            shutil.rmtree(doomed)

    def sweep(self, settle: Callable[[Path], str | None]) -> list[str]:
        """Clear away what a kill left; `settle` finishes one removal and says what it found.

        Does nothing while anybody else works here.
        """
        if not self.folder.is_dir():
            return []
        notes: list[str] = []
        with self.locked(alone=True, wait=False) as mine:
            if not mine:
                return []
            for left in self.incoming.iterdir():
                shutil.rmtree(left, ignore_errors=True)
            for left in self.holdings_folder.glob("*/.fresh-*"):
                left.unlink(missing_ok=True)
            for intent in sorted(self.removing.glob("*.json")):
                notes += [note] if (note := settle(intent)) else []
        return notes

    def _reseal(
        self, old: Path, new: Path, identities: Sequence[Any], keys: Sequence[Any], check: str | None
    ) -> None:
        fresh = new.with_name(f".fresh-{secrets.token_hex(8)}")
        try:
            with _opened(old) as sealed, _created(fresh) as target:
                reencrypt(Source(sealed), Sink(target), identities, keys, check)
                os.fsync(target)
            fresh.replace(new)
        except ValueError as e:
            raise _locked_out(old.parent.name, e) from e
        except OSError as e:
            raise QuarantineError(
                f"{old.parent.name[:12]} cannot be encrypted anew: {(e.strerror or str(e)).lower()}",
                hint="its old encryption stays; free space on the disk and run rekey again",
            ) from e
        finally:
            fresh.unlink(missing_ok=True)

    def _read(self, folder: Path) -> Holding:
        try:
            data = json.loads((folder / "holding.json").read_bytes())
            taken = datetime.fromisoformat(data["taken_at"])
            return Holding(folder.name, folder, int(data["size"]), str(data["media_type"]), taken)
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise QuarantineError(
                f"the holding {folder.name[:12]} is damaged: {e}",
                hint=f"look into {folder}; restore it from a backup",
            ) from e


def unusable(e: OSError) -> QuarantineError:
    """Say what a failing disk means: nothing was moved, and what to do."""
    full = e.errno in (errno.ENOSPC, errno.EDQUOT)
    return QuarantineError(
        f"it cannot be quarantined: {(e.strerror or str(e)).lower()}",
        code="disk_full" if full else "quarantine",
        hint=f"{'free space on the disk of' if full else 'check the folder and the disk of'} the quarantine; nothing was moved",
    )


def _make_folder(place: Path) -> None:
    if not place.is_dir():
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(place.parent)


def _seal_descriptor(descriptor: int, target: Path, keys: Sequence[Any], sha256: str) -> None:
    source = Source(descriptor)
    with _created(target) as sealed:
        encrypt(source, Sink(sealed), keys)
        os.fsync(sealed)
    if source.digest != sha256:
        raise QuarantineError(
            "it changed after it was screened; nothing was moved", code="changed", hint="screen it again"
        )


def _seal_bytes(content: bytes, target: Path, keys: Sequence[Any]) -> None:
    import pyrage

    write_new(target, pyrage.encrypt(content, keys))


@contextmanager
def _created(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _rename_folder(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise  # else another process stored the same content first


def _drop_others(folder: Path, stem: str, keep: str) -> None:
    for path in folder.glob(f"{stem}-????????.age"):
        if path.name != keep:
            path.unlink(missing_ok=True)


def _newest(folder: Path, stem: str) -> Path:
    found = [p for p in folder.glob(f"{stem}-????????.age") if p.name.rsplit("-", 1)[0] == stem]
    if not found:
        raise QuarantineError(f"the holding {folder.name[:12]} is damaged: {stem} is missing", code="altered")
    return max(found, key=lambda p: (p.stat().st_mtime_ns, p.name))


def _origin_name(path_key: bytes, recipients: Recipients) -> str:
    return f"origin-{hashlib.sha256(path_key).hexdigest()[:16]}-{recipients.digest}.age"


def _dumped(data: JSON) -> bytes:
    return json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode()


def _locked_out(name: str, e: Exception) -> QuarantineError:
    return QuarantineError(
        f"{name[:12]} cannot be opened: {e}",
        code="not_opened",
        hint="use an identity that it was encrypted to; if that fails too, the file was altered",
    )
