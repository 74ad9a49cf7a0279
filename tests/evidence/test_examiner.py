"""The detectors of one examiner: opened once, and each on its own feet."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from assay.errors import ModelError
from assay.evidence import examiner, models, registry
from assay.evidence.detector import Card
from assay.evidence.registry import Entry
from assay.media.views import Image
from assay.types import Finding, Kind, Outcome


def made(name: str, *wanted: str) -> Entry:
    class Made:
        card: ClassVar[Card] = Card(
            name=name,
            version=1,
            reads=Image,
            family=name,
            claims=frozenset({Kind.SPLICE}),
            summary="",
            source="",
            licence="",
            models=wanted,
        )

        def __init__(self, *sessions: dict[str, Any]) -> None:
            self.sessions = sessions

        def examine(self, _: Image) -> Finding:
            return Finding.not_applicable("never", "It is only here to be constructed.")

    return Entry(name, Made)


@pytest.fixture
def bench(monkeypatch, tmp_path):
    opened: list[str] = []

    def sessions(names, folder):
        assert folder == tmp_path
        for name in names:
            if name == "missing":
                raise ModelError("the model missing is missing", code="model_missing", hint="pull it")
            opened.append(name)
        return {name: object() for name in names}

    def build(*entries: Entry) -> tuple[examiner.Bench, list[str]]:
        monkeypatch.setattr(registry, "entries", lambda: iter(entries))
        monkeypatch.setattr(models, "sessions", sessions)
        return examiner.Bench(tmp_path), opened

    return build


def test_detectors_that_share_a_model_share_its_session(bench):
    built, opened = bench(made("one", "encoder"), made("two", "encoder", "faces"), made("three"))
    assert opened == ["encoder", "faces"]
    one, two = (built.detectors[name].sessions[0] for name in ("one", "two"))
    assert set(one) == {"encoder"}
    assert set(two) == {"encoder", "faces"}
    assert one["encoder"] is two["encoder"]
    assert built.detectors["three"].sessions == ()


def test_a_missing_model_silences_only_those_that_need_it(bench):
    built, _ = bench(made("one", "missing"), made("two", "encoder"))
    assert set(built.detectors) == {"two"}
    finding, elapsed = built.examine("one", None)
    assert (finding.outcome, finding.reasons[0].code, elapsed) == (
        Outcome.NOT_APPLICABLE,
        "weight_missing",
        0.0,
    )
    assert "pull it" in finding.reasons[0].text
