"""What arrives goes into a nameless file, hashed in passing: never into memory, never under the client's name."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from typing import BinaryIO

from assay.closing import Closing
from assay.serve.exchange import Gap, Submission
from assay.serve.threads import in_thread

BLOCK = 1 << 20  # bytes held before they are written
SMALL = 1 << 16  # bytes that are written and hashed sooner than a thread is woken


class SpoolError(Exception):
    """The spool cannot take or give bytes: a full disk, or a client's descriptor that cannot be read."""


class OverSize(Exception):
    """More bytes than the limit."""


def _nameless(folder: str) -> BinaryIO:
    """A file without a name. Made without O_EXCL, unlike those of `tempfile`, so that it can be given one: a sample that
    is admitted is not copied again."""
    try:
        descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:  # a file system without such files
        return tempfile.TemporaryFile(dir=folder, buffering=0)
    return open(descriptor, "r+b", buffering=0)


class Spool(Closing):
    """One sample on its way. The file has no name and vanishes with its descriptors.

    Parameters
    ----------
    folder
        Where the file lies, on a disk with room for what may arrive at once; None: the system's temporary folder.
    limit
        Bytes that it takes at most.
    """

    def __init__(self, folder: str | None, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._waiting = bytearray()
        self._digest = hashlib.sha256()
        self._reader = -1
        try:
            self._file = _nameless(folder or tempfile.gettempdir())
        except OSError as e:
            raise SpoolError(f"no spool file can be made: {e.strerror}") from e

    def close(self) -> None:
        self._file.close()
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1

    async def add(self, data: bytes | bytearray | memoryview) -> None:
        """Append.

        Raises
        ------
        OverSize
            If it would grow beyond its limit; nothing of `data` is kept.
        SpoolError
            If the disk is full.
        """
        if self.size + len(data) > self.limit:
            raise OverSize
        self.size += len(data)
        self._waiting += data
        if len(self._waiting) >= BLOCK:
            await self.flush()

    async def flush(self) -> None:
        """Write what waits. From here on `descriptor` shows all that has arrived."""
        if not self._waiting:
            return
        block, self._waiting = self._waiting, bytearray()
        if len(block) <= SMALL:
            self._write(block)
        else:
            await in_thread(self._write, block)

    def write(self, data: bytes | memoryview) -> None:
        """`add`, for work that runs in a thread anyway."""
        if self.size + len(data) > self.limit:
            raise OverSize
        self.size += len(data)
        self._write(data)

    async def copy(self, source: int) -> None:
        """Take over a regular file's content from its first byte, wherever its descriptor stands.

        Raises
        ------
        OverSize
            If it is larger than the limit, or grows beyond it meanwhile.
        SpoolError
            If it is no regular file, or cannot be read.
        """
        await in_thread(self._copy, source)

    def read(self, size: int, offset: int) -> bytes:
        return os.pread(self.descriptor, size, offset)

    async def block(self, offset: int) -> bytes:
        """Read a block at `offset`; b"" behind the end."""
        if self.size - offset <= SMALL:
            return self.read(BLOCK, offset)
        return await in_thread(self.read, BLOCK, offset)

    @property
    def descriptor(self) -> int:
        """A second descriptor that can only read: whoever examines the sample cannot change what is delivered."""
        if self._reader < 0:
            try:
                self._reader = os.open(f"/proc/self/fd/{self._file.fileno()}", os.O_RDONLY | os.O_CLOEXEC)
            except OSError as e:
                raise SpoolError(f"the spool file cannot be read: {e.strerror}") from e
        return self._reader

    async def submission(  # its fields are those of the noun
        self,
        *,
        protocol: str,
        command: str,
        client: str,
        name: str = "",
        declared_type: str | None = None,
        gap: Gap | None = None,
    ) -> Submission:
        """Describe what has arrived so far."""
        await self.flush()
        return Submission(
            descriptor=self.descriptor,
            size=self.size,
            sha256=self._digest.hexdigest(),
            protocol=protocol,
            command=command,
            client=client,
            name=name,
            declared_type=declared_type,
            gap=gap,
        )

    def _copy(self, source: int) -> None:
        try:
            status = os.fstat(source)
            if not stat.S_ISREG(status.st_mode):
                raise SpoolError("this is not a regular file")
            if status.st_size > self.limit:
                raise OverSize
            while block := os.pread(source, BLOCK, self.size):
                self.write(block)
        except OSError as e:
            raise SpoolError(f"it cannot be read: {e.strerror}") from e

    def _write(self, data: bytes | bytearray | memoryview) -> None:
        self._digest.update(data)
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file.fileno(), view) :]
        except OSError as e:
            raise SpoolError(f"the spool cannot be written: {e.strerror}") from e
