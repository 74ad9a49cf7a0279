"""A session that remembers its last input answers as the plain one does, and runs no more often than it must."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.evidence.remembering import Remembering


class Named:
    def __init__(self, name: str) -> None:
        self.name = name


class Doubling:
    """Stands for an onnxruntime session of two outputs."""

    def __init__(self) -> None:
        self.runs = 0

    def get_inputs(self) -> list[Named]:
        return [Named("x")]

    def get_outputs(self) -> list[Named]:
        return [Named("once"), Named("twice")]

    def run(self, names: list[str], feeds: dict[str, NDArray[Any]], options: Any) -> list[NDArray[Any]]:
        self.runs += 1
        said = {"once": feeds["x"].copy(), "twice": 2 * feeds["x"]}
        return [said[n] for n in names]


@pytest.fixture
def plain() -> Doubling:
    return Doubling()


def test_a_second_question_about_the_same_input_runs_nothing(plain: Doubling) -> None:
    session = Remembering(plain)  # type: ignore[arg-type]
    assert session.run(["twice"], {"x": np.array([1, 2])})[0].tolist() == [2, 4]
    assert [v.tolist() for v in session.run(None, {"x": np.array([1, 2])})] == [[1, 2], [2, 4]]
    assert plain.runs == 1


def test_another_input_is_answered_anew_even_in_the_same_array(plain: Doubling) -> None:
    session = Remembering(plain)  # type: ignore[arg-type]
    x = np.array([1, 2])
    session.run(None, {"x": x})
    x[0] = 5
    assert session.run(["once"], {"x": x})[0].tolist() == [5, 2]
    assert session.run(["twice"], {"x": np.array([5, 2, 1])})[0].tolist() == [10, 4, 2]
    assert plain.runs == 3


def test_what_is_remembered_cannot_be_written_to(plain: Doubling) -> None:
    session = Remembering(plain)  # type: ignore[arg-type]
    answer = session.run(["once"], {"x": np.array([1])})[0]
    with pytest.raises(ValueError, match="read-only"):
        answer[0] = 7


def test_everything_else_is_the_sessions_own(plain: Doubling) -> None:
    assert [i.name for i in Remembering(plain).get_inputs()] == ["x"]  # type: ignore[arg-type]
