import hashlib
import tempfile
from dataclasses import replace

import pytest

from assay.desk.replay import examine_again, replay
from assay.errors import StoreError
from assay.types import Action, Decision, Label, Problem, Status, Why


def _decide(verdict):
    action = Action.QUARANTINE if verdict.label is Label.FAKE else Action.DELIVER
    return Decision(action, "undisclosed" if verdict.label is Label.FAKE else "default", "p1")


def _as_before(screening):
    (evidence,) = screening.verdict.evidence
    assert evidence.llr is None, "the old weight must not reach the new fusion"
    return replace(screening.verdict, evidence=(replace(evidence, llr=4.0),))


def _weaker(screening):
    (evidence,) = screening.verdict.evidence
    assert evidence.finding.score == 2.5
    return replace(
        screening.verdict,
        label=Label.INCONCLUSIVE,
        why=Why.NOTHING_FOUND,
        llr=0.5,
        calibration="c2",
        evidence=(replace(evidence, llr=0.5),),
    )


def test_the_same_calibration_gives_the_same_verdict(stores, screening):
    one = screening()
    stores.records.add([one])
    done = replay(stores.records, one.sample.id[:8], _as_before, _decide)
    assert done.changes == ()
    assert done.after.verdict.label is Label.FAKE


def test_another_calibration_shows_what_changed(stores, screening):
    one = screening()
    stores.records.add([one])
    done = replay(stores.records, one.sample.id, _weaker, _decide)
    changed = {c.field: (c.before, c.after) for c in done.changes}
    assert changed["label"] == ("fake", "inconclusive")
    assert changed["calibration"] == ("c1", "c2")
    assert changed["action"] == ("quarantine", "deliver")
    assert changed["llr of jpeg_grid"] == (4.0, 0.5)
    assert done.before.verdict.label is Label.FAKE
    assert stores.records.find(one.sample.id).document["label"] == "fake", "nothing is stored"


def test_a_kept_sample_is_examined_again(stores, screening):
    content = b"as it came"
    digest = hashlib.sha256(content).hexdigest()
    one = screening()
    one = replace(one, sample=replace(one.sample, sha256=digest))
    stores.records.add([one])
    with pytest.raises(StoreError, match="no copy") as raised:
        examine_again(stores.records, one.sample.id, stores.blobs, lambda *_: one)
    assert "--keep" in raised.value.hint
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        stores.blobs.put_descriptor(file.fileno(), digest)
    seen = []

    def screen(stream, name):
        seen.append((stream.read(), name))
        return replace(one, verdict=_weaker(one))

    done = examine_again(stores.records, one.sample.id[:8], stores.blobs, screen)
    assert seen == [(content, one.path)]
    assert {c.field: (c.before, c.after) for c in done.changes}["llr of jpeg_grid"] == (4.0, 0.5)


def test_calibration_gets_the_quality_and_the_source_of_then(stores, screening):
    one = replace(screening(source="inbox"), quality=87)
    stores.records.add([one])
    seen = []
    replay(stores.records, one.sample.id, lambda s: seen.append(s) or _as_before(s), _decide)
    assert (seen[0].quality, seen[0].sample.source) == (87, "inbox")


def test_a_container_is_judged_by_its_members_of_today(stores, screening):
    outer = screening("z.zip", b"zip", label=Label.INCONCLUSIVE)
    inner = screening("z.zip!a.jpg", b"inner", parent=outer.sample.id)
    stores.records.add([replace(outer, children=(inner,))])
    done = replay(stores.records, outer.sample.id, _as_before, _decide)
    assert done.after.verdict.label is Label.FAKE
    assert "a.jpg" in done.after.verdict.summary


def test_what_was_refused_cannot_be_judged(stores, screening):
    refused = replace(
        screening(),
        status=Status.REFUSED,
        verdict=None,
        decision=None,
        error=Problem("over_size", "too large"),
    )
    stores.records.add([refused])
    with pytest.raises(StoreError, match="too large") as error:
        replay(stores.records, refused.sample.id, _as_before, _decide)
    assert error.value.code == "no_verdict"


def test_a_damaged_record_is_said_to_be_damaged(stores, screening):
    one = screening()
    stores.records.add([one])
    with stores.database.write() as connection:
        connection.exec_driver_sql("update records set document = '{}'")
    with pytest.raises(StoreError) as error:
        replay(stores.records, one.sample.id, _as_before, _decide)
    assert error.value.code == "store_corrupt"
