"""How often: requests of a key in a minute, wrong tokens of an address, uploads at once."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator

from assay.serve.api.errors import ApiError, again

MOST_BUCKETS = 10_000
WRONG_PER_MINUTE = 30


class Rates:
    """Token buckets by name: each holds a minute's worth and fills evenly. Of this process alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # what is left, and when that was

    def take(self, name: str, per_minute: int) -> float:
        """Take one; returns 0, or the seconds until there is one again."""
        if per_minute <= 0:
            return 0.0
        now = self._clock()
        left, at = self._buckets.get(name, (float(per_minute), now))
        left = min(float(per_minute), left + (now - at) * per_minute / 60)
        if left < 1:
            return (1 - left) * 60 / per_minute
        self._buckets.pop(name, None)  # the least recently used ones stand first
        self._buckets[name] = (left - 1, now)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.pop(next(iter(self._buckets)))
        return 0.0


class AtOnce:
    """A bound of what goes on at the same time; who comes beyond it is turned away, not kept waiting."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.count = 0

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        if self.count >= self._most:
            raise again(429, "busy", "Too many uploads are under way.", after_s=2)
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


def too_often(wait_s: float) -> ApiError:
    return again(429, "rate_limited", "Too many requests in a minute.", after_s=max(1, math.ceil(wait_s)))
