import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from assay.desk.retention import enforce, enforce_daily
from assay.settings import Retention
from assay.types import sha256_of

NOW = datetime.now(UTC)


@pytest.fixture
def days(settings):
    def kept(**given):
        return replace(settings, retention=Retention(**{"records_days": 0, "kept_days": 0} | given))

    return kept


def test_a_store_that_was_never_used_is_not_made(settings):
    assert not enforce(settings).anything
    assert enforce_daily(settings) is None
    assert not settings.paths.data.exists()


def test_each_class_has_its_own_days(stores, days, taken, screening, tmp_path):
    holding = taken()
    stores.records.add([screening("old.jpg", at=NOW - timedelta(days=50)), screening("new.jpg", at=NOW)])
    (tmp_path / "sample").write_bytes(b"kept")
    with open(tmp_path / "sample", "rb") as file:
        stores.blobs.put_descriptor(file.fileno(), sha256_of(b"kept"))
    done = enforce(days(records_days=30), NOW)
    assert (done.records, done.kept, done.quarantined) == (1, 0, 0)
    done = enforce(days(kept_days=30), NOW + timedelta(days=31))
    assert (done.records, done.kept, done.quarantined) == (0, 1, 0)
    done = enforce(days(quarantine_days=30), NOW + timedelta(days=31))
    assert (done.records, done.kept, done.quarantined) == (0, 0, 1)
    assert not (stores.quarantine.vault.folder / "vault" / holding.id).exists()
    entries = stores.audit.entries()
    assert {e.actor for e in entries} == {"retention"}
    assert [e.action for e in entries] == ["expire", "expire", "purge"]


def test_nothing_goes_where_every_class_is_kept_for_ever(stores, days, taken):
    taken()
    assert not enforce(days(), NOW + timedelta(days=9999)).anything


def test_records_of_what_is_still_held_stay(stores, days, taken):
    taken()
    assert enforce(days(records_days=1), NOW + timedelta(days=9)).records == 0
    assert stores.records.count() == 1


def test_the_audit_is_cut_and_still_verifies(stores, days):
    stores.audit.record("ann", "purge", "x", "")
    assert enforce(days(audit_days=1), NOW + timedelta(days=2)).audit == 1
    assert stores.audit.verify().faults == ()


def test_the_daily_job_runs_once_a_day(stores, days, screening):
    stores.records.add([screening()])
    settings = days(records_days=30)
    assert enforce_daily(settings, NOW) is not None
    assert enforce_daily(settings, NOW + timedelta(hours=23)) is None
    assert enforce_daily(settings, NOW + timedelta(hours=25)) is not None


def test_a_clock_that_was_wrong_does_not_stop_the_job_for_ever(stores, days, screening):
    stores.records.add([screening()])
    assert enforce_daily(days(), NOW + timedelta(days=3650)) is not None
    assert enforce_daily(days(), NOW) is not None


def test_leftovers_of_kept_media_go(stores, days, screening, settings):
    stores.records.add([screening()])
    left = settings.paths.media / "incoming" / "half"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    enforce(days(), NOW)
    assert not left.exists()
