"""Removing a path only if it still is the file that was screened.

Checking a name and then unlinking it leaves a gap in which another file may take the name. So the name is first moved
aside, then what was moved is checked, and only then removed; anything else goes back to its place. An intent, written
before, lets a sweep finish what a kill interrupted.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from assay.action.identity import write_new
from assay.action.sealing import Source
from assay.objects import CHUNK

PREFIX, SUFFIX = b".assay-", b".removing"


@dataclass(frozen=True, slots=True)
class Removal:
    """Whether the path is gone, and if not, why: a sentence for people."""

    removed: bool
    note: str = ""


def remove(path: bytes, descriptor: int, sha256: str, intents: Path) -> Removal:
    """Remove `path` if it still names the file behind `descriptor` with the content `sha256`.

    Raises
    ------
    OSError
        If the folder cannot be written: the path is where it was.
    """
    path = os.path.realpath(path)
    folder, name = os.path.split(path)
    ours = os.fstat(descriptor)
    try:
        parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Removal(removed=False, note="it was gone already; the copy in quarantine stays")
    with _closing(parent):
        try:
            found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except FileNotFoundError:
            return Removal(removed=False, note="it was gone already; the copy in quarantine stays")
        if not stat.S_ISREG(found.st_mode):
            return Removal(removed=False)  # a pipe or a device: there is nothing to remove
        if _identity(found) != _identity(ours):
            return Removal(removed=False, note="another file has its name now; that one was left alone")
        if _digest(descriptor) != sha256:
            return Removal(
                removed=False, note="it was changed after it was screened; it was left where it is"
            )
        return _take_away(parent, folder, name, _state(os.fstat(descriptor)), sha256, intents)


def settle(intent: Path, holds: Callable[[str], bool]) -> str | None:
    """Finish the removal that `intent` describes: remove what is safe in the vault, else put it back.

    Returns what a person should know, if anything is left over.
    """
    try:
        data = json.loads(intent.read_bytes())
        folder, name, aside = (base64.b64decode(data[key]) for key in ("folder", "name", "aside"))
        sha256, identity = str(data["sha256"]), (int(data["dev"]), int(data["ino"]))
    except (OSError, ValueError, KeyError, TypeError):
        intent.unlink(missing_ok=True)  # cut short: nothing had been moved yet
        return None
    try:
        parent = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as e:
        return f"{os.fsdecode(folder)} cannot be opened to finish a removal there ({e.strerror})"
    with _closing(parent):
        try:
            found = os.stat(aside, dir_fd=parent, follow_symlinks=False)
            same = _identity(found) == identity and _digest_at(aside, parent) == sha256
            note = None
            if same and holds(sha256):
                os.unlink(aside, dir_fd=parent)
            else:
                note = _put_back(parent, aside, name)
        except FileNotFoundError:
            note = None  # never moved, or removed already
        except OSError as e:
            return f"{os.fsdecode(os.path.join(folder, aside))} is left over ({e.strerror})"
    intent.unlink(missing_ok=True)
    return note


def _take_away(
    parent: int, folder: bytes, name: bytes, state: tuple[int, ...], sha256: str, intents: Path
) -> Removal:
    token = secrets.token_hex(8)
    aside = PREFIX + token.encode() + SUFFIX
    intent = intents / f"{token}.json"
    _write_intent(intent, folder, name, aside, sha256, state)
    try:
        try:
            os.rename(name, aside, src_dir_fd=parent, dst_dir_fd=parent)
        except FileNotFoundError:
            return Removal(removed=False, note="it was gone already; the copy in quarantine stays")
        moved = os.stat(aside, dir_fd=parent, follow_symlinks=False)
        if _state(moved) != state:
            note = (
                _put_back(parent, aside, name)
                or "it was replaced at the last moment; the new file was left alone"
            )
            return Removal(removed=False, note=note)
        os.unlink(aside, dir_fd=parent)
        with contextlib.suppress(
            OSError
        ):  # some file systems cannot sync a folder; the path is gone all the same
            os.fsync(parent)
    finally:
        # After an error the intent stays only where something is still aside, for the next sweep.
        if not _exists(aside, parent):
            intent.unlink(missing_ok=True)
    others = moved.st_nlink - 1
    note = f"{others} other name{'s' if others > 1 else ''} (hard links) of it remain" if others else ""
    return Removal(removed=True, note=note)


def _write_intent(
    intent: Path, folder: bytes, name: bytes, aside: bytes, sha256: str, state: tuple[int, ...]
) -> None:
    coded = {"folder": folder, "name": name, "aside": aside}
    data = {key: base64.b64encode(value).decode() for key, value in coded.items()}
    try:
        write_new(
            intent, json.dumps(data | {"sha256": sha256, "dev": state[0], "ino": state[1]}).encode("ascii")
        )
    except OSError:
        intent.unlink(missing_ok=True)
        raise


def _put_back(parent: int, aside: bytes, name: bytes) -> str | None:
    """Give a file its name back, unless somebody took the name."""
    taken = f"the name was taken again; what had it before is {os.fsdecode(aside)} beside it"
    try:
        os.link(aside, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
    except FileExistsError:
        one, other = (os.stat(n, dir_fd=parent, follow_symlinks=False) for n in (aside, name))
        if _identity(one) != _identity(other):
            return taken
    except OSError:  # no hard links on this file system
        if _exists(name, parent):
            return taken
        os.rename(aside, name, src_dir_fd=parent, dst_dir_fd=parent)
        return None
    os.unlink(aside, dir_fd=parent)
    return None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _state(status: os.stat_result) -> tuple[int, ...]:
    """Identity and content as far as the file system tells; the change time moves with the name."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _digest(descriptor: int) -> str:
    source = Source(descriptor)
    while source.read(CHUNK):
        pass
    return source.digest


def _digest_at(name: bytes, parent: int) -> str:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
    with _closing(descriptor):
        return _digest(descriptor)


def _exists(name: bytes, parent: int) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
