"""A session that detectors share without running it twice on the same picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Arrays = dict[str, NDArray[Any]]


class Remembering:
    """An ONNX session that keeps its last input and all that it said of it; anything else is the session's own.

    onnxruntime computes the whole graph whichever outputs are asked for, so a second question about the same input costs nothing.
    """

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._names: list[str] = [o.name for o in session.get_outputs()]
        self._last: tuple[Arrays, Arrays] | None = None  # one assignment: threads may share it

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(
        self, names: Sequence[str] | None, feeds: Mapping[str, NDArray[Any]], options: Any = None
    ) -> list[NDArray[Any]]:
        """The outputs of these names, or all, read-only; options as `InferenceSession.run` takes them."""
        last = self._last
        if last is None or not _same(last[0], feeds):
            said = self._session.run(self._names, dict(feeds), options)
            for array in said:
                array.flags.writeable = False
            kept = {name: np.array(array) for name, array in feeds.items()}  # the caller may write to its own
            last = self._last = kept, dict(zip(self._names, said, strict=True))
        return [last[1][name] for name in (self._names if names is None else names)]


def _same(a: Mapping[str, NDArray[Any]], b: Mapping[str, NDArray[Any]]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)
