"""Which files a client may name: those below configured folders, found without following a single symbolic link."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Sequence
from dataclasses import dataclass

DEEPEST = 64  # folders within folders
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class OutOfBounds(Exception):
    """A path outside of the roots, or none that can be opened; the message is for the client."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A regular file below a root, open for reading, or why it cannot be had. Whoever gets it closes it."""

    path: str
    descriptor: int = -1
    problem: str = ""


class Roots:
    """Configured folders. Their own path may hold symbolic links; below them none is followed, whoever placed it."""

    def __init__(self, folders: Sequence[str]) -> None:
        self._folders = tuple(
            dict.fromkeys(name for f in folders for name in (_plain(f), os.path.realpath(f)))
        )

    def __bool__(self) -> bool:
        return bool(self._folders)

    def entries(self, path: str) -> Generator[Entry, None, None]:
        """The file that `path` names, or all files below it, sorted by name. Blocks: for a thread.

        Raises
        ------
        OutOfBounds
            If it lies below no root, is written with ``..``, leads over a symbolic link, or is no file or folder.
        """
        root, parts = self._below(path)
        holder = _open_folder(root, parts[:-1])
        try:
            if parts and not stat.S_ISDIR(_kind(parts[-1], holder)):
                yield Entry(path, _open_file(parts[-1], holder))
                return
        finally:
            os.close(holder)
        yield from _walk(root, tuple(parts), path.rstrip("/"))

    def _below(self, path: str) -> tuple[str, list[str]]:
        if not path.startswith("/") or "\0" in path:
            raise OutOfBounds("Not an absolute path.")
        names = [name for name in path.split("/") if name not in ("", ".")]
        if ".." in names:
            raise OutOfBounds("Access denied.")
        plain = "/" + "/".join(names)
        for root in self._folders:
            if plain == root or plain.startswith(root.rstrip("/") + "/"):
                return root, plain[len(root) :].strip("/").split("/") if plain != root else []
        raise OutOfBounds("Access denied.")


def _plain(folder: str) -> str:
    return os.path.normpath(os.path.abspath(folder))


def _open_folder(root: str, names: Sequence[str]) -> int:
    """Go down from `root` name by name, so that no name can be a link at the moment it is used."""
    try:
        here = os.open(root, FOLDER & ~os.O_NOFOLLOW)
        for name in names:
            try:
                below = os.open(name, FOLDER, dir_fd=here)
            finally:
                os.close(here)
            here = below
    except OSError as e:
        raise OutOfBounds(_why(e)) from e
    return here


def _open_file(name: str, holder: int) -> int:
    try:
        descriptor = os.open(name, FILE, dir_fd=holder)
    except OSError as e:
        raise OutOfBounds(_why(e)) from e
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OutOfBounds("Not supported file type.")
    return descriptor


def _walk(root: str, parts: tuple[str, ...], shown: str) -> Generator[Entry, None, None]:
    """Depth first. Folders are opened anew from the root, so that a deep tree holds no descriptors open."""
    waiting: list[tuple[tuple[str, ...], str]] = [(parts, shown)]
    while waiting:
        names, path = waiting.pop()
        if len(names) - len(parts) > DEEPEST:
            yield Entry(path, problem="Nested too deeply.")
            continue
        try:
            holder = _open_folder(root, names)
        except OutOfBounds as e:
            yield Entry(path, problem=str(e))
            continue
        try:
            folders: list[tuple[tuple[str, ...], str]] = []
            for name in sorted(os.listdir(holder)):
                kind = _kind(name, holder)
                if stat.S_ISDIR(kind):
                    folders.append(((*names, name), f"{path}/{name}"))
                elif stat.S_ISREG(kind):  # links, devices, sockets and pipes are passed over
                    yield _entry(f"{path}/{name}", name, holder)
            waiting += reversed(folders)
        finally:
            os.close(holder)


def _kind(name: str, holder: int) -> int:
    try:
        return os.stat(name, dir_fd=holder, follow_symlinks=False).st_mode
    except OSError:  # it has vanished meanwhile
        return 0


def _entry(path: str, name: str, holder: int) -> Entry:
    try:
        return Entry(path, _open_file(name, holder))
    except OutOfBounds as e:
        return Entry(path, problem=str(e))


def _why(e: OSError) -> str:
    if isinstance(e, FileNotFoundError):
        return "No such file or directory."
    return "Access denied."  # a symbolic link among them: its target is nobody's business
