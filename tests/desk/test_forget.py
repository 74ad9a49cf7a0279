import os
from datetime import UTC, datetime

from assay.desk import quarantine as desk
from assay.desk.forget import forget_sample, forget_source
from assay.types import sha256_of


def _kept(stores, tmp_path, content):
    (tmp_path / "sample").write_bytes(content)
    descriptor = os.open(tmp_path / "sample", os.O_RDONLY)
    try:
        stores.blobs.put_descriptor(descriptor, sha256_of(content))
    finally:
        os.close(descriptor)


def test_forgetting_a_sample_removes_everything_of_it_and_says_how_much(stores, taken, deed, tmp_path):
    holding = taken()
    _kept(stores, tmp_path, b"content")
    desk.confirm(stores, holding, deed)
    gone = forget_sample(stores, holding.id, deed)
    assert (gone.records, gone.fingerprints, gone.labels, gone.kept, gone.quarantined) == (1, 1, 1, 1, 1)
    assert stores.records.count() == 0
    assert not stores.blobs.holds(holding.id)
    assert not (stores.quarantine.vault.folder / "vault" / holding.id).exists()
    assert (gone.known_removed, gone.known_left) == (0, 1)
    assert stores.judgements.known(holding.id) == "known_fake"
    assert forget_sample(stores, holding.id, deed, known=True).known_removed == 1
    assert stores.judgements.known(holding.id) is None


def test_no_trace_of_a_forgotten_name_remains_in_the_data_folder(stores, settings, taken, deed):
    holding = taken("very-telling-name.jpg", source="very-telling-source")
    stores.records.add([])
    forget_source(stores, "very-telling-source", deed)
    for path in settings.paths.data.rglob("*"):
        if path.is_file():
            assert b"very-telling" not in path.read_bytes(), path
    assert not (stores.quarantine.vault.folder / "vault" / holding.id).exists()


def test_the_audit_keeps_that_something_was_forgotten_but_not_what(stores, deed, screening):
    stores.records.add([screening("secret.jpg", source="mail from bob")])
    forget_source(stores, "mail from bob", deed)
    (entry,) = stores.audit.entries()
    assert entry.action == "forget"
    assert "bob" not in str(entry)
    assert "secret" not in str(entry)
    assert stores.audit.verify().faults == ()


def test_forgetting_a_member_forgets_the_archive_that_still_holds_it(stores, taken, deed, screening):
    holding = taken("z.zip", b"zip")
    outer = next(stores.records.select())
    stores.records.add([screening("z.zip!a", b"inner", parent=outer.id)])
    gone = forget_sample(stores, sha256_of(b"inner"), deed)
    assert (gone.records, gone.quarantined) == (1, 1)
    assert not (stores.quarantine.vault.folder / "vault" / holding.id).exists()
    assert stores.records.count() == 1, "the archive's own record says nothing of its content"


def test_others_are_left_alone(stores, taken, deed):
    taken("a.jpg", b"one", source="mail")
    other = taken("b.jpg", b"two", source="web")
    forget_source(stores, "mail", deed)
    assert stores.quarantine.vault.holds(other.id)
    assert stores.records.count() == 1


def test_forgetting_what_was_never_there_removes_nothing_and_is_audited(stores, deed):
    gone = forget_sample(stores, "0" * 64, deed)
    assert gone.records == gone.kept == gone.quarantined == 0
    assert len(stores.audit.entries()) == 1


def test_copies_that_were_not_looked_into_are_named(stores, settings, deed, screening):
    stores.records.add([screening(at=datetime.now(UTC))])
    settings.paths.backups.mkdir()
    (settings.paths.backups / "assay-schema0001.db").write_bytes(b"")
    (settings.paths.data / "before-restore-x").mkdir()
    assert len(forget_sample(stores, sha256_of(b"content"), deed).copies) == 2
