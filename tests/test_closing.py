"""A `with` block closes what it opened, and lets errors through."""

from __future__ import annotations

import pytest

from assay.closing import Closing


class Door(Closing):
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def test_the_end_of_the_block_closes_whatever_happened_inside() -> None:
    with Door() as door:
        assert door.closed == 0
    assert door.closed == 1
    again = Door()
    with pytest.raises(KeyError), again:
        raise KeyError
    assert again.closed == 1


def test_what_cannot_be_closed_says_so() -> None:
    with pytest.raises(NotImplementedError):
        Closing().close()
