"""What all members of one outermost sample may cost together, however deep they lie."""

from __future__ import annotations

import threading

from assay.errors import Refused

MOST_PREVIEWS = 64  # an archive of a thousand pictures must not fill the memory with small copies of them


class Budget:
    """Counts members, unpacked bytes and kept previews; shared by everything inside of one sample."""

    def __init__(self, members: int, unpacked_bytes: int) -> None:
        self._members = members
        self._bytes = unpacked_bytes
        self._previews = MOST_PREVIEWS
        self._lock = threading.Lock()

    def spend(self, size: int) -> None:
        """Admit one more member of `size` bytes.

        Raises
        ------
        Refused
            If there are too many, or they are too large together.
        """
        with self._lock:
            self._members -= 1
            self._bytes -= size
            if self._members < 0:
                raise Refused(
                    "too many members", code="over_members", hint="Raise limits.members if this is expected."
                )
            if self._bytes < 0:
                raise Refused(
                    "unpacks to too much",
                    code="over_unpacked",
                    hint="Raise limits.unpacked_bytes if this is expected.",
                )

    def wants_preview(self, depth: int) -> bool:
        """Small pictures are kept of a sample that arrived by itself, and of the first members."""
        if depth == 0:
            return True
        with self._lock:
            self._previews -= 1
            return self._previews >= 0
