"""TFLite weights, opened so that they look like an onnxruntime session: one thread, nothing written, nothing printed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assay.errors import ModelError


@dataclass(frozen=True, slots=True)
class Tensor:
    """What goes in or comes out."""

    name: str
    shape: tuple[int, ...]
    type: str  # numpy's name of it
    index: int


class LiteSession:
    """One TFLite network.

    Examples
    --------
    >>> session = LiteSession(Path("face_landmark.tflite"))        # doctest: +SKIP
    >>> points, presence = session.run(None, {"input_1": square})  # doctest: +SKIP
    """

    def __init__(self, path: Path) -> None:
        """Open the weights.

        Raises
        ------
        ModelError
            If LiteRT cannot read them.
        """
        from ai_edge_litert.interpreter import Interpreter

        try:
            with _silence():
                self._interpreter = Interpreter(model_path=str(path), num_threads=1)
                self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as e:
            first = str(e).partition("\n")[0][:300]
            raise ModelError(
                f"{path.name} cannot be loaded: {first}", code="model_unusable", hint="is it a TFLite file?"
            ) from e
        self._inputs = tuple(_tensor(d) for d in self._interpreter.get_input_details())
        self._outputs = tuple(_tensor(d) for d in self._interpreter.get_output_details())

    def get_inputs(self) -> tuple[Tensor, ...]:
        return self._inputs

    def get_outputs(self) -> tuple[Tensor, ...]:
        return self._outputs

    def run(self, names: Sequence[str] | None, feeds: Mapping[str, Any], /) -> list[Any]:
        """Compute the named outputs (all of them for None) as arrays of their own.

        Raises
        ------
        KeyError
            If an input is missing or a name is unknown.
        ValueError
            If an input has another shape or type than the network takes.
        """
        for tensor in self._inputs:
            self._interpreter.set_tensor(tensor.index, np.ascontiguousarray(feeds[tensor.name]))
        self._interpreter.invoke()
        known = {t.name: t for t in self._outputs}
        wanted = self._outputs if names is None else [known[n] for n in names]
        return [self._interpreter.get_tensor(t.index) for t in wanted]


def _tensor(described: Mapping[str, Any]) -> Tensor:
    shape = tuple(int(n) for n in described["shape"])
    return Tensor(str(described["name"]), shape, np.dtype(described["dtype"]).name, int(described["index"]))


@contextmanager
def _silence() -> Iterator[None]:
    """LiteRT announces its delegate on the standard error stream and offers no switch: hold that stream shut."""
    try:
        kept = os.dup(2)
    except OSError:  # closed already
        yield
        return
    try:
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
