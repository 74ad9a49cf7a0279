"""Ctrl-C, a polite kill and a closed terminal: the first one ends a batch in order, the second ends it at once."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """While it is open, `signal` is the number of the one that came, 0 before."""

    def __init__(self) -> None:
        self.signal = 0
        self._stop: Callable[[], None] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or in the background of a script
                self._before[number] = signal.signal(number, self._on)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def calling(self, stop: Callable[[], None]) -> Iterator[None]:
        """Let the first signal call `stop` instead of raising KeyboardInterrupt wherever the program stands."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    def _on(self, number: int, _frame: FrameType | None) -> None:
        first = not self.signal
        self.signal = number
        if not first or self._stop is None:
            raise KeyboardInterrupt
        self._stop()
