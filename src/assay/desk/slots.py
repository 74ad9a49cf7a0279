"""Slots: how many jobs one process works on at once, by whichever way they came, and the line before them."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

SOON_S = 1.0  # the longest line that somebody joins who could go elsewhere
_FIRST_S = 2.0  # what a job is thought to take before the first has ended
_NEWEST = 0.2  # weight of the latest job in the running mean


class Slots:
    """Slots are given in the order in which they were asked for."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = count
        self._usual_s = _FIRST_S
        self._line: collections.deque[object] = collections.deque()
        self._closed = False
        self._changed = threading.Condition()

    def join(self) -> object | None:
        """Take a place in the line, if a slot is free or will be soon; `hold` must follow, or `leave`."""
        with self._changed:
            before = len(self._line) + 1 - self._free  # jobs that must end first
            if self._closed or (before > 0 and before * self._usual_s / self._count >= SOON_S):
                return None
            return self._place()

    def leave(self, place: object) -> None:
        """Give up a place in the line."""
        with self._changed:
            self._line.remove(place)
            self._changed.notify_all()

    @contextmanager
    def hold(self, place: object | None = None) -> Iterator[None]:
        """Wait for a slot, at this place of the line or at its end, however long it is; hold it within the block."""
        with self._changed:
            mine = place or self._place()
            self._changed.wait_for(lambda: self._free and self._line[0] is mine)
            self._line.popleft()
            self._free -= 1
            self._changed.notify_all()  # the next one may find a slot, too
        began = time.monotonic()
        try:
            yield
        finally:
            with self._changed:
                self._usual_s += _NEWEST * (time.monotonic() - began - self._usual_s)
                self._free += 1
                self._changed.notify_all()

    def close(self) -> None:
        """Let nobody join the line any more."""
        with self._changed:
            self._closed = True

    def all_free(self, timeout_s: float) -> bool:
        """Wait until nothing is under way, nor about to be; False if the time was up before."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._free == self._count and not self._line, max(0.0, timeout_s)
            )

    def _place(self) -> object:
        place = object()
        self._line.append(place)
        return place
