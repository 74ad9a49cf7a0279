"""What everything that has to be closed shares: the end of a `with` block closes it, whatever happened inside."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """Give a class that has `close` its `with` block; a closed one may be closed again."""

    __slots__ = ()

    def close(self) -> object:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
