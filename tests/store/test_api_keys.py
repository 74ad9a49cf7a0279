"""Keys as rows: nothing of a token is stored, and what is asked is asked anew each time."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.errors import StoreError
from assay.store.database import Database
from assay.store.keys import SCOPES, Keys

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def keys(tmp_path) -> Keys:
    with Database(tmp_path / "assay.db") as database:
        yield Keys(database)


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Keys:
    with Database(tmp_path_factory.mktemp("keys") / "assay.db") as database:
        yield Keys(database)


def test_the_right_token_is_known_and_its_secret_is_nowhere_on_the_disk(keys, tmp_path):
    key, token = keys.create("a", ["read"], actor="ann")
    assert keys.check(token).id == key.id
    keys.database.close()
    stored = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    assert key.id.encode() in stored
    assert token.split("_", 2)[2].encode() not in stored


@given(st.text(max_size=100))
def test_no_text_is_a_key_by_chance(kept, token):
    assert kept.check(token) is None


def test_two_keys_with_one_beginning_are_not_confused(keys):
    _, one = keys.create("a", ["read"], actor="ann")
    _, two = keys.create("b", ["read"], actor="ann")
    mixed = one[:15] + two[15:]
    assert keys.check(mixed) is None


def test_expired_and_revoked_keys_are_no_keys(keys):
    key, token = keys.create("a", ["read"], actor="ann", expires_at=NOW)
    assert keys.check(token, NOW - timedelta(seconds=1)) is not None
    assert keys.check(token, NOW) is None
    assert keys.active(key.id, NOW) is None
    key, token = keys.create("b", ["read"], actor="ann")
    keys.revoke(key.prefix, actor="ann", reason="lost")
    assert keys.check(token) is None
    assert [k.standing(NOW) for k in keys.all()] == ["expired", "revoked"]


def test_a_scope_that_does_not_exist_is_refused(keys):
    with pytest.raises(StoreError, match="root is not a scope"):
        keys.create("a", ["read", "root"], actor="ann")
    assert keys.all() == []


def test_admin_may_everything_and_others_what_they_have(keys):
    admin, _ = keys.create("a", ["admin"], actor="ann")
    reader, _ = keys.create("b", ["read"], actor="ann")
    assert all(admin.may(scope) for scope in SCOPES)
    assert [scope for scope in SCOPES if reader.may(scope)] == ["read"]


def test_a_quota_is_counted_by_day_and_not_beyond_it(keys):
    key, _ = keys.create("a", ["submit"], actor="ann")
    assert [keys.spend(key.id, 2, NOW) for _ in range(3)] == [True, True, False]
    assert keys.spend(key.id, 2, NOW + timedelta(days=1))
    keys.spend(key.id, 9, NOW + timedelta(days=60))
    with sqlite3.connect(keys.database.path) as raw:
        assert raw.execute("select count(*) from key_usage").fetchone() == (1,)
    raw.close()


def test_the_last_use_is_noted_once_a_minute(keys):
    _, token = keys.create("a", ["read"], actor="ann")
    for seconds, expected in ((0, 0), (30, 0), (61, 61)):
        keys.check(token, NOW + timedelta(seconds=seconds))
        assert keys.all()[0].used_at == NOW + timedelta(seconds=expected)
