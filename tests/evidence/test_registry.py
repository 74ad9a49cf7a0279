"""Built-in and foreign detectors come in through one door; a broken one is left out and reported."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from assay.evidence import registry
from assay.evidence.detector import Card
from assay.media.views import Image
from assay.types import Kind

CARD = Card(
    name="mine",
    version=1,
    reads=Image,
    family="mine",
    claims=frozenset({Kind.SPLICE}),
    summary="a test",
    source="none",
    licence="Apache-2.0",
)


class Mine:
    card = CARD


class Again:
    card = CARD


class Cardless:
    pass


class CardOfAnotherKind:
    card = "mine"


def points(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    found = [EntryPoint(n, f"{__name__}:{n}", registry.GROUP) for n in names]
    monkeypatch.setattr(registry, "entry_points", lambda group: found if group == registry.GROUP else [])


def test_every_built_in_detector_loads_and_is_named_like_its_module() -> None:
    for reference in registry.BUILT_IN:
        entry = registry.load(reference)
        assert entry.problem == ""
        assert reference.partition(":")[0].rpartition(".")[2] == entry.card.name


def test_built_in_detectors_stand_first_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    points(monkeypatch, "Mine", "Mine")
    assert registry.references() == (*registry.BUILT_IN, f"{__name__}:Mine")


def test_a_foreign_detector_is_loaded_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    points(monkeypatch, "Mine")
    assert [e.card.name for e in registry.entries()][-1] == "mine"


def test_a_name_that_is_taken_is_reported_and_the_first_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    points(monkeypatch, "Again", "Mine")
    *_, first, second = registry.entries()
    assert first.detector is Again
    assert second.detector is None
    assert "called mine already" in second.problem


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("no.such.module:Thing", "cannot be loaded"),
        (f"{__name__}:NoSuchClass", "cannot be loaded"),
        (f"{__name__}:Cardless", "cannot be loaded"),
        (f"{__name__}:CardOfAnotherKind", "has no Card"),
        ("nothing", "cannot be loaded"),
        ("", "cannot be loaded"),
    ],
)
def test_what_cannot_be_loaded_says_why_and_takes_nobody_down(reference: str, words: str) -> None:
    entry = registry.load(reference)
    assert entry.detector is None
    assert words in entry.problem
    with pytest.raises(LookupError):
        _ = entry.card
