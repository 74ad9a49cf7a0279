"""What was delivered is asked again when more is known: by its fingerprint, its scores, its copy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from assay.desk.retrohunt import Hunt, changes, changes_of
from assay.desk.signatures import loaded, remember
from assay.errors import Failed
from assay.signatures import testfile
from assay.signatures.entries import Digest, PictureCode, Signature
from assay.signatures.pdq import pixels_print
from assay.signatures.prints import stored
from assay.signatures.references import boxed, reference_of
from assay.testing.images import scene
from assay.types import Action, Coverage, Decision, Kind, Label, Traces, Verdict, Why

PIXELS = scene(320, 240, seed=4, grain=1.0)
BOX = boxed(40, 40, 120, 110, width=320, height=240)
PRINT = pixels_print(PIXELS)


def judged(screening) -> Verdict:
    """A fusion that believes what the lookups say, and weighs nothing else."""
    codes = {r.code for e in screening.verdict.evidence for r in e.finding.reasons}
    fake = bool(codes & {"known_fake", "shows_known_fake"})
    verdict = screening.verdict
    return replace(
        verdict,
        label=Label.FAKE if fake else Label.INCONCLUSIVE,
        why=None if fake else Why.NOTHING_FOUND,
        kinds=(Kind.KNOWN_FAKE,) if fake else (),
    )


@pytest.fixture
def delivered(stores, screening):
    def add(name="a.jpg", content=b"content", **more):
        one = screening(name, content, label=Label.INCONCLUSIVE)
        one = replace(
            one,
            verdict=replace(one.verdict, evidence=(), coverage=Coverage()),
            decision=Decision(Action.DELIVER, "inconclusive", "p1"),
            traces=Traces(dict([stored(PRINT)])),
            **more,
        )
        stores.records.add([one])
        return one

    return add


@pytest.fixture
def hunt(stores, settings):
    def made(**more):
        return Hunt(stores=stores, library=loaded(stores.database, settings), fuse=judged, **more)

    return made


def known(stores, deed, *, crops: bool, name="fake"):
    reference = reference_of(PIXELS, [BOX]) if crops else None
    signature = Signature(name, "known_fake", PictureCode(PRINT.code, PRINT.quality), reference=reference)
    with stores.database.write() as connection:
        remember(connection, [signature], deed)


def test_nothing_new_changes_nothing(hunt, delivered) -> None:
    delivered()
    assert list(hunt().run()) == []


def test_the_test_file_is_known_to_a_hunt_as_it_is_to_a_screening(hunt, delivered) -> None:
    one = delivered("t.png", testfile.content())
    (step,) = hunt().run()
    assert (step.record_id, step.after["label"]) == (one.sample.id, "fake")
    assert list(hunt().run()) == []  # and stays known


def test_a_new_signature_finds_what_was_delivered_and_tells_it_once(stores, deed, hunt, delivered) -> None:
    one = delivered()
    known(stores, deed, crops=False)
    told = []
    ask = hunt(tell=(lambda connection, source, before, after: told.append((before, after)),))
    (step,) = ask.run()
    assert (step.record_id, step.outcome) == (one.sample.id, "changed")
    assert [(b["action"], a["action"], a["rule"]) for b, a in told] == [
        ("deliver", "hold", "near_known_fake")
    ]
    assert list(ask.run()) == []
    assert len(told) == 1
    (change,) = changes_of(stores, [one.sample.id])
    assert change.after["rule"] == "near_known_fake"
    assert [c.record_id for c in changes(stores)] == [one.sample.id]


def test_pixels_are_compared_where_a_copy_was_kept(stores, deed, hunt, delivered, monkeypatch) -> None:
    delivered()
    known(stores, deed, crops=True)
    monkeypatch.setattr(type(stores.blobs), "holds", lambda *_: True)
    (step,) = hunt(kept_pixels=lambda record: PIXELS).run()
    assert (step.after["label"], step.after["rule"]) == ("fake", "known_fake")
    other = np.ascontiguousarray(PIXELS)
    other = other.copy()
    other[40:110, 40:120] = scene(80, 70, seed=9, grain=1.0)
    known(stores, deed, crops=True, name="again")
    (step,) = hunt(kept_pixels=lambda record: other).run()
    assert step.after["label"] == "inconclusive"


def test_what_lies_in_quarantine_needs_an_identity(stores, deed, hunt, delivered) -> None:
    one = delivered()
    held = replace(one, quarantine_id=one.sample.sha256)
    stores.records.add([held])
    known(stores, deed, crops=True)
    told = []
    (step,) = hunt(tell=(lambda *said: told.append(said),)).run()
    assert step.outcome == "needs_identity"
    assert not told
    (step,) = hunt(held_pixels=lambda record: PIXELS).run()
    assert (step.outcome, step.after["label"]) == ("changed", "fake")


def test_a_copy_that_cannot_be_decoded_any_more_leaves_the_near_match(
    stores, deed, hunt, delivered, monkeypatch
) -> None:
    delivered()
    known(stores, deed, crops=True)
    monkeypatch.setattr(type(stores.blobs), "holds", lambda *_: True)

    def broken(record):
        raise Failed("gone")

    (step,) = hunt(kept_pixels=broken).run()
    assert step.after["rule"] == "near_known_fake"


def test_a_digest_of_a_list_is_found_in_the_history(stores, deed, hunt, delivered) -> None:
    one = delivered()
    with stores.database.write() as connection:
        remember(connection, [Signature("d", "known_fake", Digest(one.sample.sha256))], deed, listed="theirs")
    (step,) = hunt().run()
    assert step.after["rule"] == "known_fake"


def test_another_calibration_is_another_cause(hunt, delivered, settings) -> None:
    delivered()
    first = hunt()
    assert first.cause == hunt().cause
    second = replace(first, library=type(first.library)((), serial=9))
    assert second.cause != first.cause


def test_todays_detectors_examine_the_copy(stores, hunt, delivered, monkeypatch) -> None:
    one = delivered()
    (step,) = hunt(screen=lambda record: one, detectors="x/2").run()
    assert step.outcome == "needs_sample"
    monkeypatch.setattr(type(stores.blobs), "holds", lambda *_: True)
    fresh = replace(one, decision=Decision(Action.DELIVER, "inconclusive", "p1"))
    assert list(hunt(screen=lambda record: fresh, detectors="x/3").run()) == []


def test_a_record_that_is_gone_is_passed_over(hunt) -> None:
    assert hunt().step("f" * 32) is None
