from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pyrage import x25519

from assay.action.identity import Recipients
from assay.config import Paths, Settings
from assay.desk.stores import Deed, Stores
from assay.types import (
    Action,
    Coverage,
    Decision,
    Evidence,
    Finding,
    Label,
    Outcome,
    Reason,
    Sample,
    Screening,
    Status,
    Verdict,
    sha256_of,
)


@pytest.fixture
def settings(tmp_path):
    return Settings(Paths(tmp_path / "data", tmp_path / "cache"))


@pytest.fixture
def stores(settings):
    with Stores.open(settings) as opened:
        yield opened


@pytest.fixture
def deed():
    return Deed("ann", "for the test")


@pytest.fixture
def identity(settings):
    """An identity without the slow protection, and the quarantine's keys made of it."""
    made = x25519.Identity.generate()
    folder = settings.paths.quarantine / "keys"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "recipients.txt").write_text(f"{made.to_public()}\n")
    return made


@pytest.fixture
def screening():
    def make(
        path="a.jpg", content=b"content", *, at=None, label=Label.FAKE, source="", parent=None, children=()
    ):
        finding = Finding(Outcome.SCORED, 2.5, (Reason("grid_shifted", "The grid is shifted."),))
        verdict = Verdict(
            label=label,
            why=None,
            summary="Its grid is shifted.",
            llr=4.0,
            threshold=2.0,
            probability=0.982,
            prior=0.5,
            kinds=(),
            disclosed=None,
            evidence=(Evidence("jpeg_grid", 1, "jpeg", finding, 4.0),),
            coverage=Coverage(("jpeg_grid",)),
            calibration="c1",
        )
        sample = Sample(
            sha256_of(os.fsencode(path) + content)[:32],
            sha256_of(content),
            len(content),
            "image/jpeg",
            source=source,
            parent=parent,
        )
        return Screening(
            sample=sample,
            path=path,
            status=Status.SCREENED,
            screened_at=at or datetime.now(UTC),
            assay_version="0.1",
            verdict=verdict,
            decision=Decision(Action.QUARANTINE, "undisclosed", "p1"),
            children=children,
        )

    return make


@pytest.fixture
def taken(stores, identity, tmp_path, screening):
    """Quarantine a file as a screening does: take it, then record it. Returns the holding."""

    def take(name="a.jpg", content=b"content", **more):
        path = tmp_path / "inbox" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o640)
        one = screening(str(path), content, **more)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            done = stores.quarantine.take(descriptor, str(path), one.sample, {})
        finally:
            os.close(descriptor)
        assert done.removed
        stores.records.add([replace(one, quarantine_id=done.quarantine_id)])
        return stores.quarantine.vault.find(done.quarantine_id)

    return take


@pytest.fixture
def other():
    identity = x25519.Identity.generate()
    return identity, Recipients((str(identity.to_public()),))
