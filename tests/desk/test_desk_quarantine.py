import os
from dataclasses import replace

import pytest

from assay.desk import quarantine as desk
from assay.errors import QuarantineError
from assay.types import Label, sha256_of


def _audited(stores):
    return [(e.actor, e.action, e.target, e.reason) for e in stores.audit.entries()]


def test_what_is_held_is_listed_with_its_records(stores, taken):
    holding = taken()
    (entry,) = desk.entries(stores)
    assert entry.holding == holding
    assert entry.record.document["path"].endswith("inbox/a.jpg")


def test_what_is_held_without_a_record_is_listed_too(stores, taken):
    holding = taken()
    stores.records.remove(sha256=holding.id)
    (entry,) = desk.entries(stores)
    assert entry.record is None


def test_a_release_puts_it_back_where_it_was_and_empties_the_quarantine(
    stores, taken, identity, deed, tmp_path
):
    holding = taken()
    (path,) = desk.release(stores, holding, None, [identity], deed)
    assert path == tmp_path / "inbox" / "a.jpg"
    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o640
    assert desk.entries(stores) == []
    assert next(stores.records.select()).quarantine_id is None
    assert _audited(stores) == [("ann", "release", holding.id, "for the test")]


def test_a_release_can_leave_it_in_quarantine_and_vouch_for_it(stores, taken, identity, deed, tmp_path):
    holding = taken()
    desk.release(stores, holding, tmp_path / "copy", [identity], deed, keep=True, known_original=True)
    assert len(desk.entries(stores)) == 1
    assert stores.judgements.known(holding.id) == "known_original"
    assert stores.judgements.labels_of(holding.id) == ["bona_fide"]


def test_a_release_into_a_folder_keeps_the_name(stores, taken, identity, deed, tmp_path):
    (tmp_path / "out").mkdir()
    name = os.fsdecode(b"caf\xe9\n.jpg")
    assert desk.release(stores, taken(name), tmp_path / "out", [identity], deed) == [tmp_path / "out" / name]


def test_a_release_of_several_paths_gives_each_its_file(stores, taken, identity, deed, tmp_path):
    taken("one.jpg")
    holding = taken("two.jpg")
    desk.release(stores, holding, None, [identity], deed)
    assert sorted(p.name for p in (tmp_path / "inbox").iterdir()) == ["one.jpg", "two.jpg"]


@pytest.mark.parametrize("to", [None, "inbox/a.jpg", "inbox"])
def test_a_release_never_overwrites_and_then_changes_nothing(stores, taken, identity, deed, tmp_path, to):
    holding = taken()
    (tmp_path / "inbox" / "a.jpg").write_bytes(b"newer")
    with pytest.raises(QuarantineError) as error:
        desk.release(stores, holding, tmp_path / to if to else None, [identity], deed)
    assert error.value.code == "exists"
    assert (tmp_path / "inbox" / "a.jpg").read_bytes() == b"newer"
    assert len(desk.entries(stores)) == 1
    assert _audited(stores) == []


def test_a_place_that_is_gone_asks_for_another(stores, taken, identity, deed, tmp_path):
    holding = taken()
    (tmp_path / "inbox").rmdir()
    with pytest.raises(QuarantineError, match="does not exist any more"):
        desk.release(stores, holding, None, [identity], deed)


def test_what_came_through_a_stream_needs_a_place_and_gets_a_name(
    stores, identity, deed, tmp_path, screening
):
    (tmp_path / "spooled").write_bytes(b"streamed")
    sample = screening("-", b"streamed").sample
    descriptor = os.open(tmp_path / "spooled", os.O_RDONLY)
    try:
        done = stores.quarantine.take(descriptor, "-", sample, {})
    finally:
        os.close(descriptor)
    holding = stores.quarantine.vault.find(done.quarantine_id)
    with pytest.raises(QuarantineError) as error:
        desk.release(stores, holding, None, [identity], deed)
    assert error.value.code == "no_place"
    (tmp_path / "out").mkdir()
    (path,) = desk.release(stores, holding, tmp_path / "out", [identity], deed)
    assert path.suffix == ".jpg"
    assert path.read_bytes() == b"streamed"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_confirmed_fake_is_known_from_then_on(stores, taken, deed):
    holding = taken()
    assert desk.confirm(stores, holding, deed) == [holding.id]
    assert stores.judgements.known(holding.id) == "known_fake"
    assert stores.judgements.labels_of(holding.id) == ["fake"]
    assert _audited(stores) == [("ann", "confirm", holding.id, "for the test")]


def test_confirming_an_archive_makes_its_fake_members_known_and_no_others(stores, taken, deed, screening):
    holding = taken("z.zip", b"zip", label=Label.FAKE)
    outer = stores.records.find(next(stores.records.select()).id)
    fake = screening("z.zip!fake", b"fake", parent=outer.id)
    fine = screening("z.zip!fine", b"fine", parent=outer.id, label=Label.BONA_FIDE)
    stores.records.add([fake, fine])
    assert set(desk.confirm(stores, holding, deed)) == {holding.id, sha256_of(b"fake")}
    assert stores.judgements.known(sha256_of(b"fine")) is None


def test_a_purge_destroys_and_is_audited(stores, taken, deed):
    holding = taken()
    desk.purge(stores, holding, deed)
    assert desk.entries(stores) == []
    assert not (stores.quarantine.vault.folder / "vault" / holding.id).exists()
    assert _audited(stores) == [("ann", "purge", holding.id, "for the test")]


def test_a_purge_that_cannot_be_audited_destroys_nothing(stores, taken, deed, monkeypatch):
    holding = taken()

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("assay.store.audit.Audit.append", fails)
    with pytest.raises(Exception, match=r"."):
        desk.purge(stores, holding, deed)
    assert stores.quarantine.vault.holds(holding.id)


def test_keys_change_and_everything_follows(stores, taken, identity, other, deed, tmp_path):
    holding = taken()
    taken("b.jpg", b"second")
    new, recipients = other
    old = str(identity.to_public())
    changed = desk.change_recipients(stores, recipients.keys, [old], deed)
    assert changed == recipients
    seen = []
    done = desk.rekey(stores, [identity], deed, lambda n, of: seen.append((n, of)))
    assert (done.changed, done.already, done.failures) == (2, 0, ())
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert desk.rekey(stores, [new], deed).already == 2
    desk.release(stores, holding, tmp_path / "back", [new], deed)
    assert [action for _, action, _, _ in _audited(stores)] == ["recipients", "rekey", "rekey", "release"]


def test_a_holding_that_cannot_be_opened_does_not_stop_the_others(stores, taken, identity, other, deed):
    taken()
    broken = taken("b.jpg", b"second")
    (content,) = (stores.quarantine.vault.folder / "vault" / broken.id).glob("content-*.age")
    content.write_bytes(b"broken")
    _, recipients = other
    desk.change_recipients(stores, recipients.keys, [], deed)
    done = desk.rekey(stores, [identity], deed)
    assert done.changed == 1
    assert len(done.failures) == 1


def test_the_last_key_cannot_be_taken_away(stores, taken, identity, deed):
    taken()
    with pytest.raises(QuarantineError, match="last recipient"):
        desk.change_recipients(stores, [], [str(identity.to_public())], deed)


def test_an_unchanged_list_of_keys_is_not_audited(stores, identity, deed):
    desk.change_recipients(stores, [], [], deed)
    assert _audited(stores) == []


def test_the_record_of_a_holding_is_the_newest(stores, taken, screening):
    holding = taken()
    later = screening("again.jpg")
    stores.records.add([replace(later, quarantine_id=holding.id)])
    assert desk.entry(stores, holding).record.document["path"] == "again.jpg"
