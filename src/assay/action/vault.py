"""Where quarantined media lie encrypted, and how nothing there is ever half there.

    vault/SHA256/content-KEYS.age       the bytes
    vault/SHA256/origin-PATH-KEYS.age   name, mode, times and screening of one path that held them; several are possible
    vault/SHA256/holding.json           digest, size, type and time: no names, readable without an identity

KEYS names the set of recipients, PATH is a digest of the path. Each object appears as a whole, `holding.json` last: with it
the holding is there. It goes first when one is removed. The vault is in the quarantine's folder, or in the bucket that
several machines share. On each machine the folder has, besides:

    lock                   held shared by whoever works here, alone by the sweep and by what removes
    incoming/RANDOM        an object being written; left over only by a kill
    removing/RANDOM.json   a path of this machine about to be removed (see removal.py)
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from assay.action.identity import Recipients, sync_folder
from assay.action.sealing import Pieces, Sink, Source, decrypt, resealed, sealed, sealed_size
from assay.errors import QuarantineError, StoreError
from assay.objects import objects
from assay.types import JSON

if TYPE_CHECKING:
    from obstore.store import ObjectStore

STALE = timedelta(
    days=1
)  # what is unfinished for so long was left over by a kill: nobody takes one content for longer
READERS = 8  # that ask a distant store at once


@dataclass(frozen=True, slots=True)
class Holding:
    """One content in quarantine. Its id is its SHA-256."""

    id: str
    size: int
    media_type: str
    taken_at: datetime


class Lock(Protocol):
    """A lock that all machines see, shared or alone; yields False where it would have to wait and must not."""

    def __call__(
        self, name: str, *, alone: bool = False, wait: bool = True
    ) -> AbstractContextManager[bool]: ...


class Vault:
    """The holdings below one folder, or of all machines that share a bucket.

    Parameters
    ----------
    folder : Path
        Of this machine; made on first use.
    place : Path or ObjectStore, optional
        Where the holdings lie, if not in that folder.
    lock : Lock, optional
        Of all machines that share `place`, content by content; without it they are on this machine only.
    """

    def __init__(
        self, folder: Path, place: Path | ObjectStore | None = None, lock: Lock | None = None
    ) -> None:
        self.folder = folder
        self.incoming = folder / "incoming"
        self.removing = folder / "removing"
        self.objects = objects(place or folder, "quarantine")
        self._lock = lock

    @contextmanager
    def locked(self, sha256: str = "", *, alone: bool = False, wait: bool = True) -> Iterator[bool]:
        """Hold the vault, or one content of a vault that is shared; yields False where that would have to wait."""
        if not sha256 or self._lock is None:
            with self._machine(alone=alone, wait=wait) as mine:
                yield mine
            return
        with self._machine(alone=False, wait=wait) as mine:
            if not mine:
                yield False
                return
            with self._lock(f"quarantine {sha256}", alone=alone, wait=wait) as ours:
                yield ours

    @contextmanager
    def _machine(self, *, alone: bool, wait: bool) -> Iterator[bool]:
        try:
            for place in (self.folder, self.removing):
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
        found = [h for h in self._each(self._ids()) if isinstance(h, Holding)]
        return sorted(found, key=lambda h: (h.taken_at, h.id), reverse=True)

    def damaged(self) -> list[str]:
        """What is wrong with the holdings that cannot be read."""
        problems = []
        for found in self._each(self._ids()):
            try:
                if isinstance(found, QuarantineError):
                    raise found
                if found is not None:
                    self._newest(found.id, "content")
            except QuarantineError as e:
                problems.append(f"{e.message} ({e.hint})" if e.hint else e.message)
        return problems

    def _ids(self) -> list[str]:
        return [n for n in self.objects.folders("vault") if re.fullmatch("[0-9a-f]{64}", n)]

    def _each(self, ids: Sequence[str]) -> Iterator[Holding | QuarantineError | None]:
        """Read holdings; None for what is not, or not yet, a holding."""

        def one(name: str) -> Holding | QuarantineError | None:
            try:
                return self._read(name)
            except QuarantineError as e:
                return None if e.code == "not_found" else e

        if not self.objects.shared:
            yield from map(one, ids)
            return
        with ThreadPoolExecutor(READERS) as pool:
            yield from pool.map(one, ids)

    def find(self, prefix: str) -> Holding:
        """Return the one holding whose id begins with `prefix`.

        Raises
        ------
        QuarantineError
            If there is none or more than one.
        """
        wanted = prefix.lower()
        whole = re.fullmatch("[0-9a-f]{64}", wanted)
        ids = [wanted] if whole else [n for n in self._ids() if wanted and n.startswith(wanted)]
        found = [h for h in self._each(ids) if isinstance(h, Holding)]
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
        try:
            least = sealed_size(self._read(sha256).size)
            return (self.objects.size(self._newest(sha256, "content")) or 0) >= least
        except QuarantineError:
            return False

    def store(
        self, descriptor: int, described: JSON, origin: JSON, path_key: bytes, recipients: Recipients
    ) -> None:
        """Encrypt a descriptor's bytes and what is known of its path; complete and durable on return.

        The caller holds the content's lock.

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
        StoreError
            If the disk or the bucket fails or is full; nothing half-written stays.
        """
        sha256, keys = str(described["sha256"]), recipients.parsed()
        whole, content = self.holds(sha256), f"content-{recipients.digest}.age"
        if not whole:
            with closing(_sealed_content(descriptor, keys, sha256)) as pieces:
                self.objects.put(f"vault/{sha256}/{content}", pieces)
        self._put_origin(sha256, path_key, origin, recipients)
        if not whole:
            self.objects.put(f"vault/{sha256}/holding.json", (_dumped(described),))
            self._drop_others(sha256, "content", content)  # of a damaged one, whose place it takes

    def _put_origin(self, sha256: str, path_key: bytes, origin: JSON, recipients: Recipients) -> None:
        import pyrage

        name = f"origin-{hashlib.sha256(path_key).hexdigest()[:16]}-{recipients.digest}.age"
        self.objects.put(f"vault/{sha256}/{name}", (pyrage.encrypt(_dumped(origin), recipients.parsed()),))

    def origins(self, holding: Holding, identities: Sequence[Any]) -> list[JSON]:
        """Decrypt what is known of each path that held this content."""
        import pyrage

        stems = sorted(s for s in self._stems(holding.id) if s.startswith("origin-"))
        found: list[JSON] = []
        for stem in stems:
            try:
                content = self.objects.read(self._newest(holding.id, stem))
                found.append(json.loads(pyrage.decrypt(content, identities)))
            except (pyrage.DecryptError, ValueError) as e:
                raise _locked_out(holding.id, e) from e
        return found

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
            decrypt(Source(self.objects.pieces(self._newest(holding.id, "content"))), sink, identities)
        except ValueError as e:
            raise _locked_out(holding.id, e) from e
        if sink.digest != holding.id:
            raise QuarantineError(f"the content of {holding.id[:12]} is not what was taken", code="altered")

    def rekey(self, holding: Holding, identities: Sequence[Any], recipients: Recipients) -> bool:
        """Encrypt one holding to other recipients; False where it is already. Killed at any moment, it resumes."""
        changed = False
        with self.locked(holding.id, alone=True):
            for stem in self._stems(holding.id):
                old, new = self._newest(holding.id, stem), f"{stem}-{recipients.digest}.age"
                if old != f"vault/{holding.id}/{new}":
                    self._reseal(holding.id, old, new, identities, recipients.parsed())
                    changed = True
                self._drop_others(holding.id, stem, new)
        return changed

    def remove(self, holding: Holding) -> None:
        """Remove a holding; nobody is reading or adding to it meanwhile."""
        with self.locked(holding.id, alone=True):
            self._remove(holding.id)

    def _remove(self, sha256: str) -> None:
        self.objects.remove(f"vault/{sha256}/holding.json")  # first out of sight, then piece by piece
        for one in list(self.objects.listed(f"vault/{sha256}")):
            self.objects.remove(one.path)

    def sweep(self, settle: Callable[[Path], str | None]) -> list[str]:
        """Clear away what a kill left; `settle` finishes one removal and says what it found.

        Does nothing while anybody else works here.
        """
        if not self.folder.is_dir() and not self.objects.shared:
            return []
        notes: list[str] = []
        with self._machine(alone=True, wait=False) as mine:
            if not mine:
                return []
            self.objects.sweep()
            for intent in sorted(self.removing.glob("*.json")):
                notes += [note] if (note := settle(intent)) else []
            if self.objects.shared:
                notes += self._bring()
        self._drop_unfinished(datetime.now(UTC) - STALE)
        return notes

    def _drop_unfinished(self, before: datetime) -> None:
        """Remove what has no `holding.json` and is so old that nobody is still taking it, or removing it."""
        latest: dict[str, datetime] = {}
        finished = set()
        for one in self.objects.listed("vault"):
            sha256, _, name = one.path.removeprefix("vault/").partition("/")
            latest[sha256] = max(latest.get(sha256, one.stored_at), one.stored_at)
            finished |= {sha256} if name == "holding.json" else set()
        for sha256 in sorted(s for s, at in latest.items() if s not in finished and at < before):
            with self.locked(sha256, alone=True, wait=False) as mine:
                if mine and self.objects.size(f"vault/{sha256}/holding.json") is None:
                    self._remove(sha256)

    def _bring(self) -> list[str]:
        """Move what this machine held by itself, before it had a bucket, into the bucket; it is encrypted already."""
        own = Vault(self.folder)
        moved = 0
        for holding in own.holdings():
            with self._lock(f"quarantine {holding.id}") if self._lock else nullcontext():
                listed = sorted(
                    own.objects.listed(f"vault/{holding.id}"), key=lambda s: s.path.endswith(".json")
                )
                for one in listed:  # holding.json last
                    self.objects.put(one.path, own.objects.pieces(one.path))
            own._remove(holding.id)  # the machine's lock is held
            moved += 1
        return (
            [f"{moved} contents of this machine's quarantine lie in {self.objects.name()} now"]
            if moved
            else []
        )

    def _reseal(
        self, sha256: str, old: str, new: str, identities: Sequence[Any], keys: Sequence[Any]
    ) -> None:
        check = sha256 if new.startswith("content-") else None
        try:
            with closing(resealed(Source(self.objects.pieces(old)), identities, keys, check)) as pieces:
                self.objects.put(f"vault/{sha256}/{new}", pieces)
        except ValueError as e:
            raise _locked_out(sha256, e) from e
        except (OSError, StoreError) as e:
            why = e.message if isinstance(e, StoreError) else e.strerror or str(e)
            raise QuarantineError(
                f"{sha256[:12]} cannot be encrypted anew: {why}",
                hint="its old encryption stays; free space on the disk and run rekey again",
            ) from e

    def _read(self, sha256: str) -> Holding:
        path = f"vault/{sha256}/holding.json"
        try:
            data = json.loads(self.objects.read(path))
            taken = datetime.fromisoformat(data["taken_at"])
            return Holding(sha256, int(data["size"]), str(data["media_type"]), taken)
        except (StoreError, ValueError, KeyError, TypeError) as e:
            missing = isinstance(e, StoreError) and e.code == "not_found"
            if isinstance(e, StoreError) and self.objects.shared and not missing:
                raise  # the bucket cannot be asked: that says nothing of the holding
            raise QuarantineError(
                f"the holding {sha256[:12]} is damaged: {e}",
                code="not_found" if missing else "altered",
                hint=f"look into {self.objects.name(path)}; restore it from a backup",
            ) from e

    def _stems(self, sha256: str) -> list[str]:
        names = (one.path.rpartition("/")[2] for one in self.objects.listed(f"vault/{sha256}"))
        return sorted({n.rpartition("-")[0] for n in names if re.fullmatch(r".+-[0-9a-f]{8}\.age", n)})

    def _newest(self, sha256: str, stem: str) -> str:
        """The newest object of the content, or of one origin: there are several while recipients change."""
        named = re.compile(rf"vault/{sha256}/{stem}-[0-9a-f]{{8}}\.age")
        found = [one for one in self.objects.listed(f"vault/{sha256}") if named.fullmatch(one.path)]
        if not found:
            raise QuarantineError(f"the holding {sha256[:12]} is damaged: {stem} is missing", code="altered")
        return max(found, key=lambda one: (one.stored_at, one.path)).path

    def _drop_others(self, sha256: str, stem: str, keep: str) -> None:
        for one in list(self.objects.listed(f"vault/{sha256}")):
            name = one.path.rpartition("/")[2]
            if name.rpartition("-")[0] == stem and name != keep:
                self.objects.remove(one.path)


def unusable(e: OSError | StoreError) -> QuarantineError:
    """Say what a failing disk or bucket means: nothing was moved, and what to do."""
    if isinstance(e, StoreError):
        full, why = e.code == "store_full", e.message
    else:
        full, why = e.errno in (errno.ENOSPC, errno.EDQUOT), (e.strerror or str(e)).lower()
    return QuarantineError(
        f"it cannot be quarantined: {why}",
        code="disk_full" if full else "quarantine",
        hint=f"{'free space on the disk of' if full else 'check the folder and the disk of'} the quarantine; nothing was moved",
    )


def _make_folder(place: Path) -> None:
    if not place.is_dir():
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(place.parent)


def _sealed_content(descriptor: int, keys: Sequence[Any], sha256: str) -> Pieces:
    """Yield the ciphertext of a descriptor's bytes, and fail at its end where they are not those that were screened."""
    source = Source(descriptor)
    with closing(sealed(source, keys)) as pieces:
        yield from pieces
    if source.digest != sha256:
        raise QuarantineError(
            "it changed after it was screened; nothing was moved", code="changed", hint="screen it again"
        )


def _dumped(data: JSON) -> bytes:
    return json.dumps(data, ensure_ascii=True, separators=(",", ":")).encode()


def _locked_out(name: str, e: Exception) -> QuarantineError:
    return QuarantineError(
        f"{name[:12]} cannot be opened: {e}",
        code="not_opened",
        hint="use an identity that it was encrypted to; if that fails too, the file was altered",
    )
