from __future__ import annotations

import dataclasses

import pytest

from assay.desk import hunting
from assay.desk.signatures import loaded
from assay.types import Action, Decision, Label


@pytest.fixture
def delivered(stores, screening):
    """Records of what was let through; the oldest will be a known fake by its digest."""
    for n in range(3):
        one = screening(f"{n}.jpg", b"content %d" % n, label=Label.INCONCLUSIVE)
        stores.records.add(
            [dataclasses.replace(one, decision=Decision(Action.DELIVER, "inconclusive", "p1"))]
        )
    return stores


def test_a_hunt_is_due_once_under_the_same_rules(delivered):
    library = loaded(delivered.database, delivered.settings)
    assert hunting.hunt_if_due(delivered, library, ()) is not None
    assert hunting.hunt_if_due(delivered, library, ()) is None


def test_a_hunt_that_is_stopped_begins_anew(delivered):
    library = loaded(delivered.database, delivered.settings)
    assert hunting.hunt_if_due(delivered, library, (), stopping=lambda: True) == 0
    assert hunting.hunt_if_due(delivered, library, ()) is not None


def test_a_pack_that_cannot_be_had_stops_nobody(delivered, monkeypatch):
    from assay.errors import AssayError

    asked = []

    def refuse(_stores, url, _deed, *, name):
        asked.append((name, url))
        raise AssayError("it is away")

    monkeypatch.setattr("assay.desk.pulling.sources", lambda _stores: [("a", "u1"), ("b", "u2")])
    monkeypatch.setattr("assay.desk.pulling.pull", refuse)
    hunting.pull_all(delivered)
    assert asked == [("a", "u1"), ("b", "u2")]
