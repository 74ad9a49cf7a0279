"""Arenas: memory that a decoder fills and the parent and examiners read.

The parent makes it, sparse and sealed against resizing, so that a decoder can neither grow it nor pull it away under a
reader. What a decoder says about its contents is checked by whoever reads it (`views.unpack`); a reader that must not
see later changes kills the decoder first.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from assay.errors import Failed

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALIGNMENT = 64  # bytes: a cache line, and any dtype
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class Arena:
    """The parent's side. `capacity` is virtual: pages cost memory once they are written."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.fd = os.memfd_create("assay-arena", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.fd, capacity)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        except OSError:
            self.close()
            raise

    def view(self, used: int | None = None) -> memoryview:
        """Map the first `used` bytes, read-only; all of them by default. The map lives as long as the view."""
        return read_arena(self.fd, self.capacity if used is None else used)

    def close(self) -> None:
        """Give up the descriptor; views that are still held stay valid."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ArenaWriter:
    """The child's side: takes over the descriptor, maps all of it, and puts arrays one after another."""

    def __init__(self, fd: int) -> None:
        try:
            self._map = mmap.mmap(fd, os.fstat(fd).st_size)
            with suppress(OSError):  # where the kernel allows it: a fault for 2 MiB instead of one for 4 KiB
                self._map.madvise(mmap.MADV_HUGEPAGE)
        finally:
            os.close(fd)
        self.capacity = len(self._map)
        self.used = 0

    def put(self, array: NDArray[Any]) -> int:
        """Copy the array in, C order; returns its offset in bytes, a multiple of 64.

        Raises
        ------
        Failed
            If it does not fit.
        """
        import numpy as np

        offset = -(-self.used // ALIGNMENT) * ALIGNMENT
        if offset + array.nbytes > self.capacity:
            raise Failed(
                f"the decoded medium needs more than {self.capacity >> 20} MiB",
                code="over_memory",
                hint="raise limits.memory_bytes if such media are expected",
            )
        if array.nbytes:
            np.ndarray(array.shape, array.dtype, self._map, offset)[...] = array
        self.used = offset + array.nbytes
        return offset

    def close(self) -> None:
        """Unmap it; arrays put into it stay where they are for the readers."""
        self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_arena(fd: int, length: int) -> memoryview:
    """Map the first `length` bytes of an arena read-only. `fd` stays the caller's.

    Raises
    ------
    Failed
        If the arena is shorter than that.
    """
    if not 0 <= length <= os.fstat(fd).st_size:
        raise Failed("a decoder used more of its arena than there is", code="malformed_view")
    if not length:
        return memoryview(b"")
    return memoryview(mmap.mmap(fd, length, prot=mmap.PROT_READ))
