"""The quarantine: what is dangerous is encrypted to public keys, and its path removed. Opening it takes an identity."""

from __future__ import annotations

import base64
import contextlib
import errno
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assay.action import removal
from assay.action.identity import Keys, Recipients
from assay.action.vault import Holding, Lock, Vault, unusable
from assay.errors import QuarantineError, StoreError
from assay.types import JSON, Sample

if TYPE_CHECKING:
    from obstore.store import ObjectStore


@dataclass(frozen=True, slots=True)
class Taken:
    """What `Quarantine.take` did: the holding's id, and whether the path is gone or why not."""

    quarantine_id: str
    removed: bool
    note: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """A path that held a quarantined content, as decrypted: what `release` restores."""

    path: bytes | None  # None: it came through a stream
    mode: int
    uid: int
    gid: int
    atime_ns: int
    mtime_ns: int
    taken_at: datetime
    screening: JSON

    @property
    def name(self) -> bytes | None:
        return os.path.basename(self.path) or None if self.path else None


class Quarantine:
    """The quarantine below one folder, or of all machines that share a bucket.

    Parameters
    ----------
    folder : Path
        ``Settings.paths.quarantine``; made on first use.
    recipients : Recipients, optional
        Whom to encrypt to; by default what ``keys/recipients.txt`` lists at that moment.
    place : Path or ObjectStore, optional
        Where holdings and keys lie, if not in that folder. They are encrypted in this process.
    lock : Lock, optional
        Of all machines that share `place`.

    Notes
    -----
    Call `sweep` once at start. `take` may be called by several threads and processes at once.
    """

    def __init__(
        self,
        folder: Path,
        recipients: Recipients | None = None,
        *,
        place: Path | ObjectStore | None = None,
        lock: Lock | None = None,
    ) -> None:
        self.vault = Vault(folder, place, lock)
        shared = self.vault.objects if self.vault.objects.shared else None
        alone = partial(lock, "quarantine keys", alone=True) if lock is not None else nullcontext
        self.keys = Keys(folder / "keys", shared, alone)
        self._recipients = recipients

    def recipients(self) -> Recipients:
        return self._recipients or self.keys.read()

    def take(
        self,
        descriptor: int,
        path: str | None,
        sample: Sample,
        screening: JSON,
        outermost: Sample | None = None,
    ) -> Taken:
        """Encrypt the file behind `descriptor`, durably, then remove `path` if it still is that file.

        The same content again is not stored twice; each of its paths is noted and removed.

        Parameters
        ----------
        descriptor : int
            The one that was hashed; its position is not moved.
        path : str, optional
            Of the file, surrogate escapes included; None or "-" for a stream: there is nothing to remove.
        sample : Sample
            What called for quarantine: the file itself, or a member of it.
        screening : JSON
            Kept encrypted beside the content, so that a lost database loses no knowledge.
        outermost : Sample, optional
            The file itself, where `sample` is a member.

        Raises
        ------
        QuarantineError
            If nothing was moved: no key, a full disk, or a file that changed since it was hashed.
        """
        held = outermost or sample
        where = os.fsencode(os.path.abspath(path)) if path not in (None, "-", "") else None
        status = os.fstat(descriptor)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        described = {"sha256": held.sha256, "size": held.size, "media_type": held.media_type, "taken_at": now}
        origin = _described(where, status, now, screening) | {"found": sample.sha256}
        recipients = self.recipients()
        try:
            with self.vault.locked(held.sha256):
                self.vault.store(descriptor, described, origin, where or b"", recipients)
                return self._remove(where, descriptor, held.sha256)
        except (OSError, StoreError) as e:
            raise unusable(e) from e

    def _remove(self, where: bytes | None, descriptor: int, sha256: str) -> Taken:
        if where is None:
            return Taken(sha256, removed=False)
        try:
            done = removal.remove(where, descriptor, sha256, self.vault.removing)
        except OSError as e:
            reason = (e.strerror or str(e)).lower()
            return Taken(
                sha256, removed=False, note=f"it is encrypted, but its path cannot be removed ({reason})"
            )
        return Taken(sha256, done.removed, done.note)

    def sweep(self) -> list[str]:
        """Finish or undo what a kill interrupted; returns what a person should know."""
        return self.vault.sweep(lambda intent: removal.settle(intent, self.vault.holds))

    def origins(self, holding: Holding, identities: Sequence[Any]) -> list[Origin]:
        """Decrypt the paths that held a content, the earliest first."""
        found = [_origin(data) for data in self.vault.origins(holding, identities)]
        return sorted(found, key=lambda o: o.taken_at)

    def restore(self, holding: Holding, origin: Origin, target: bytes, identities: Sequence[Any]) -> None:
        """Write a held content to a path that must not exist, with the mode and times of `origin`.

        The file appears as a whole, checked and synced, or not at all.

        Raises
        ------
        QuarantineError
            If the path exists or cannot be written, no identity fits, or the content was altered.
        """
        folder, name = os.path.split(target)
        try:
            parent = os.open(folder or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as e:
            raise _unwritten(target, e) from e
        try:
            with self.vault.locked(holding.id):
                self._write(holding, origin, parent, name, identities)
        except OSError as e:
            raise _unwritten(target, e) from e
        finally:
            os.close(parent)

    def _write(
        self, holding: Holding, origin: Origin, parent: int, name: bytes, identities: Sequence[Any]
    ) -> None:
        if _taken(name, parent):
            raise FileExistsError(errno.EEXIST, "File exists")
        try:
            descriptor = os.open(b".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=parent)
            nameless = True
        except OSError:  # this file system has no nameless files
            flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o600, dir_fd=parent)
            nameless = False
        try:
            self.vault.open(holding, descriptor, identities)
            _restore_status(descriptor, origin)
            os.fsync(descriptor)
            if nameless:  # follows the link in /proc to the file without a name; fails if the target exists
                os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=parent, follow_symlinks=True)
            os.fsync(parent)
        except BaseException:
            if not nameless:
                os.unlink(name, dir_fd=parent)
            raise
        finally:
            os.close(descriptor)


def _described(where: bytes | None, status: os.stat_result, now: str, screening: JSON) -> JSON:
    return {
        "path_b64": base64.b64encode(where).decode() if where is not None else None,
        "mode": status.st_mode & 0o7777 if where is not None else 0o600,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "atime_ns": status.st_atime_ns,
        "mtime_ns": status.st_mtime_ns,
        "taken_at": now,
        "screening": screening,
    }


def _origin(data: JSON) -> Origin:
    try:
        path = base64.b64decode(data["path_b64"]) if data["path_b64"] is not None else None
        numbers = (int(data[name]) for name in ("mode", "uid", "gid", "atime_ns", "mtime_ns"))
        mode, uid, gid, atime_ns, mtime_ns = numbers
        taken = datetime.fromisoformat(data["taken_at"])
        return Origin(path, mode, uid, gid, atime_ns, mtime_ns, taken, data["screening"])
    except (KeyError, TypeError, ValueError) as e:
        raise QuarantineError(f"what is known of the path is damaged ({e})", code="altered") from e


def _restore_status(descriptor: int, origin: Origin) -> None:
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):
            os.fchown(descriptor, origin.uid, origin.gid)
    os.fchmod(descriptor, origin.mode & 0o777)  # never set-uid: its owner may be another one now
    os.utime(descriptor, ns=(origin.atime_ns, origin.mtime_ns))


def _taken(name: bytes, parent: int) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _unwritten(target: bytes, e: OSError) -> QuarantineError:
    shown = os.fsdecode(target)
    if isinstance(e, FileExistsError):
        return QuarantineError(
            f"{shown} exists", code="exists", hint="name another place with --to; release never overwrites"
        )
    return QuarantineError(
        f"{shown} cannot be written: {(e.strerror or str(e)).lower()}", hint="nothing was released"
    )
