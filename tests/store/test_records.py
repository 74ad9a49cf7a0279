import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.errors import StoreError
from assay.store.records import Filter, Records, hex_prefix
from assay.types import Label, sha256_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def records(database, encode):
    return Records(database, encode)


def _paths(found):
    return [r.document["path"] for r in found]


def test_what_is_added_is_found_again(records, screening):
    records.add([screening("a.jpg", source="inbox")])
    record = records.find("id-a")
    assert record.document["path"] == "a.jpg"
    assert record.screened_at == NOON
    assert record.source == "inbox"
    assert record.document["evidence"][0]["score"] == 2.5


def test_what_was_found_inside_is_stored_with_its_container(records, screening):
    inner = screening("z.zip!a.jpg", b"inner", parent="id-z.zip")
    records.add([screening("z.zip", b"outer", children=(inner,))])
    assert records.count() == 2


def test_a_repeated_step_changes_nothing(records, screening):
    for _ in range(2):
        records.add([screening()])
    assert records.count() == 1
    with records.database.read() as connection:
        assert connection.exec_driver_sql("select count(*) from findings").scalar() == 1


def test_adding_nothing_is_fine(records):
    records.add([])
    assert records.count() == 0


def test_a_batch_is_stored_as_a_whole_or_not_at_all(records, screening):
    good = screening("good")
    bad = replace(screening("bad"), sample=replace(good.sample, id="bad", sha256="not hex"))
    with pytest.raises(ValueError, match="hex"):
        records.add([good, bad])
    assert records.count() == 0


@pytest.mark.parametrize(
    "name",
    [os.fsdecode(b"caf\xe9\n.jpg"), "a\x1b[31m'; drop table records;--.jpg", "nul\0.jpg", "\u202egpj.exe"],
)
def test_any_name_and_source_can_be_stored(records, screening, name):
    one = screening("a")
    records.add([replace(one, path=name, sample=replace(one.sample, source=name))])
    assert records.count(Filter(source=name)) == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(name=st.text(st.characters(categories=None, codec=None), min_size=1, max_size=30))
def test_no_name_breaks_the_store(records, screening, name):
    one = screening("x")
    records.add([replace(one, path=name, sample=replace(one.sample, source=name))])
    assert records.count(Filter(source=name)) == 1


def test_an_unknown_or_ambiguous_id_is_refused(records, screening):
    records.add([screening("a1"), screening("a2"), screening("a")])
    with pytest.raises(StoreError) as missing:
        records.find("zzz")
    assert missing.value.code == "not_found"
    assert records.find("id-a").id == "id-a", "an exact id wins over longer ones"
    with pytest.raises(StoreError) as several:
        records.find("id-")
    assert several.value.code == "ambiguous"
    with pytest.raises(StoreError):
        records.find("")
    with pytest.raises(StoreError):
        records.find("%")


def test_filters_narrow_the_history_newest_first(records, screening):
    records.add(
        [
            screening("old", b"1", at=NOON - timedelta(days=2)),
            screening("new", b"2", at=NOON),
            screening("fine", b"3", label=Label.BONA_FIDE, at=NOON - timedelta(hours=1)),
        ]
    )
    assert _paths(records.select()) == ["new", "fine", "old"]
    assert _paths(records.select(Filter(label="fake"))) == ["new", "old"]
    assert _paths(records.select(Filter(since=NOON - timedelta(days=1)))) == ["new", "fine"]
    assert _paths(records.select(Filter(before=NOON - timedelta(days=1)))) == ["old"]
    assert _paths(records.select(Filter(sha256=sha256_of(b"2")[:12].upper()))) == ["new"]
    assert _paths(records.select(Filter(limit=1))) == ["new"]
    assert _paths(records.select(Filter(action="deliver"))) == []


def test_records_are_found_by_detector_and_by_reason(records, screening):
    records.add([screening()])
    assert records.count(Filter(evidence="jpeg_grid")) == 1
    assert records.count(Filter(evidence="grid_shifted")) == 1
    assert records.count(Filter(evidence="grid")) == 0
    assert records.count(Filter(evidence="%")) == 0


def test_a_wrong_digest_prefix_is_refused():
    with pytest.raises(StoreError):
        hex_prefix("xyz%")


def test_removing_a_digest_removes_what_was_inside_and_its_evidence(records, screening):
    inner = replace(screening("z!a", b"inner", parent="id-z"), quarantine_id="q1")
    records.add([screening("z", b"outer", children=(inner,)), screening("other", b"other")])
    records.fingerprint("id-z!a", "pdq", [b"\1" * 32, b"\2" * 32])
    removed = records.remove(sha256=sha256_of(b"outer"))
    assert removed.records == 2
    assert removed.fingerprints == 4
    assert removed.digests == {sha256_of(b"outer"), sha256_of(b"inner")}
    assert removed.quarantine_ids == {"q1"}
    assert _paths(records.select()) == ["other"]
    with records.database.read() as connection:
        assert connection.exec_driver_sql("select count(*) from findings").scalar() == 1
        assert connection.exec_driver_sql("select count(*) from fingerprints").scalar() == 1


def test_removing_what_was_found_inside_names_its_carriers(records, screening):
    inner = screening("z!y!a", b"inner", parent="id-z!y")
    middle = screening("z!y", b"middle", parent="id-z", children=(inner,))
    outer = replace(screening("z", b"outer", children=(middle,)), quarantine_id="q1")
    records.add([outer])
    removed = records.remove(sha256=sha256_of(b"inner"))
    assert removed.records == 1
    assert removed.carriers == {sha256_of(b"middle"), sha256_of(b"outer")}
    assert removed.quarantine_ids == {"q1"}


def test_removing_a_source_leaves_the_others(records, screening):
    records.add([screening("a", source="mail"), screening("b", source="web")])
    assert records.remove(source="mail").records == 1
    assert _paths(records.select()) == ["b"]


def test_old_records_expire_but_not_those_of_what_is_still_held(records, screening):
    old = NOON - timedelta(days=100)
    inner = screening("held!a", parent="id-held", at=old)
    held = replace(screening("held", at=old, children=(inner,)), quarantine_id="q1")
    records.add([screening("old", at=old), screening("new", at=NOON), held])
    assert records.expire(NOON - timedelta(days=90), {"q1", "q2"}) == 1
    assert {r.id for r in records.select()} == {"id-new", "id-held", "id-held!a"}
    assert records.expire(NOON - timedelta(days=90)) == 2


def test_many_records_are_removed_in_batches(records, screening):
    records.add([screening(f"n{n}", source="s") for n in range(1203)])
    assert records.remove(source="s").records == 1203


def test_a_release_is_noted_in_the_column_and_in_the_document(records, screening, encode):
    records.add([replace(screening(), quarantine_id="q1")])
    with records.database.write() as connection:
        records.note_release(connection, "q1")
    record = records.find("id-a")
    assert record.quarantine_id is None
    assert record.document["quarantine_id"] is None


def test_what_is_held_and_what_was_found_inside_belong_together(records, screening):
    inner = screening("z!a", b"inner", parent="id-z")
    records.add(
        [replace(screening("z", b"outer", children=(inner,)), quarantine_id="q1"), screening("other")]
    )
    assert {r.id for r in records.held("q1")} == {"id-z", "id-z!a"}
    assert [r.id for r in records.inside("id-z")] == ["id-z!a"]
    assert records.held("q2") == []
