"""Reviewers' labels wait; clients' notes are notes; a share of what was delivered is drawn for review."""

from __future__ import annotations

from dataclasses import replace

import pytest

from assay.desk import feedback, quarantine
from assay.errors import StoreError
from assay.store.feedback import Feedback
from assay.types import Action, Decision, Label


@pytest.fixture
def delivered(stores, settings, screening):
    def add(content: bytes, share: float = 1.0):
        one = screening(f"{content!r}.jpg", content, label=Label.INCONCLUSIVE)
        one = replace(one, decision=Decision(Action.DELIVER, "inconclusive", "p1"))
        stores.records.add([one])
        own = replace(settings, signatures=replace(settings.signatures, review_share=share))
        with stores.database.write() as connection:
            return one, feedback.draw(connection, one, own)

    return add


def test_about_the_share_is_drawn_and_always_the_same(settings) -> None:
    assert settings.signatures.review_share == 0.005
    ids = [f"{n:032x}" for n in range(20_000)]
    drawn = [i for i in ids if feedback.drawn(i, 0.005)]
    assert 60 < len(drawn) < 140
    assert drawn == [i for i in ids if feedback.drawn(i, 0.005)]
    assert not any(feedback.drawn(i, 0.0) for i in ids)
    assert all(feedback.drawn(i, 1.0) for i in ids)


def test_what_was_drawn_is_offered_until_it_is_answered(stores, delivered, deed) -> None:
    one, drawn = delivered(b"a")
    _, not_drawn = delivered(b"b", share=0.0)
    assert (drawn, not_drawn) == (True, False)
    store = Feedback(stores.database)
    assert [o.record_id for o in store.offers()] == [one.sample.id]
    feedback.review(stores, one.sample.id, "bona_fide", deed)
    assert store.offers() == []
    (label,) = store.labels(pending=True)
    assert (label.said, label.chosen, label.share) == ("bona_fide", "review", 1.0)


def test_what_was_quarantined_is_not_drawn(stores, settings, screening) -> None:
    everything = replace(settings, signatures=replace(settings.signatures, review_share=1.0))
    one = screening("a.jpg")
    stores.records.add([one])
    with stores.database.write() as connection:
        assert not feedback.draw(connection, one, everything)


def test_confirm_and_release_are_pending_labels_of_what_a_verdict_chose(stores, taken, identity, deed, tmp_path) -> None:  # fmt: skip
    first, second = taken("a.jpg", b"one"), taken("b.jpg", b"two")
    quarantine.confirm(stores, first, deed)
    quarantine.release(stores, second, tmp_path / "copy", [identity], deed, keep=True)
    assert len(Feedback(stores.database).labels()) == 1, "a copy says nothing"
    quarantine.release(stores, second, tmp_path / "out", [identity], deed)
    labels = Feedback(stores.database).labels(pending=True)
    assert [(one.said, one.chosen) for one in labels] == [("fake", "quarantine"), ("bona_fide", "quarantine")]


def test_a_client_can_only_leave_a_note(stores, delivered) -> None:
    one, _ = delivered(b"a")
    feedback.note(stores, one.sample.sha256, "fake", "client-7", "surely!")
    store = Feedback(stores.database)
    assert [(n.said, n.client) for n in store.notes(one.sample.sha256)] == [("fake", "client-7")]
    assert store.labels() == []
    assert stores.judgements.known(one.sample.sha256) is None


def test_nothing_is_answered_for_a_record_that_is_not_there(stores, deed) -> None:
    with pytest.raises(StoreError):
        feedback.review(stores, "0" * 32, "fake", deed)


def test_used_labels_wait_no_more(stores, delivered, deed) -> None:
    one, _ = delivered(b"a")
    feedback.review(stores, one.sample.id, "fake", deed)
    (label,) = Feedback(stores.database).labels(pending=True)
    with stores.database.write() as connection:
        Feedback.mark_used(connection, [label.id], "c2")
    assert Feedback(stores.database).labels(pending=True) == []
    assert Feedback(stores.database).labels()[0].used_in == "c2"
