"""TFLite weights behind the face of an onnxruntime session."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from assay.errors import ModelError
from assay.evidence.litert import LiteSession
from assay.evidence.models import path_of
from assay.media import faces
from face_weights import FOLDER, network


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\0" * 4096, b"not a network"])
def test_what_is_no_network_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError) as told:
        LiteSession(path)
    assert told.value.code == "model_unusable"


def test_a_missing_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        LiteSession(tmp_path / "none.tflite")


def test_inputs_and_outputs_are_named_and_shaped() -> None:
    session = network(faces.MESH)
    (given,) = session.get_inputs()
    assert given.shape == (1, 192, 192, 3)
    assert given.type == "float32"
    assert sorted(t.shape for t in session.get_outputs()) == [(1, 1, 1, 1), (1, 1, 1, 1404)]


def test_answers_are_arrays_of_their_own() -> None:
    session = network(faces.MESH)
    (given,), rng = session.get_inputs(), np.random.default_rng(0)
    x = rng.random(given.shape, np.float32)
    first = session.run(None, {given.name: x})
    kept = [a.copy() for a in first]
    session.run(None, {given.name: 1 - x})
    assert all(np.array_equal(a, b) for a, b in zip(first, kept, strict=True))
    again = session.run([t.name for t in session.get_outputs()], {given.name: x})
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_wrong_shape_is_refused() -> None:
    session = network(faces.MESH)
    with pytest.raises(ValueError, match="Dimension"):
        session.run(None, {session.get_inputs()[0].name: np.zeros((1, 5, 5, 3), np.float32)})


def test_opening_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    network(faces.MESH)
    path = path_of(faces.MESH, FOLDER)
    assert path is not None
    LiteSession(path)
    told = capfd.readouterr()
    assert told.out == told.err == ""
