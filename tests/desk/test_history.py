from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.desk.history import history, moment
from assay.errors import AssayError, StoreError
from assay.store.records import Filter

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)


def test_a_store_that_was_never_used_is_empty_and_is_not_made(stores, settings):
    assert list(history(stores, Filter())) == []
    assert not settings.paths.data.exists()


def test_the_newest_comes_first(stores, screening):
    stores.records.add([screening("old", at=NOW - timedelta(days=1)), screening("new", at=NOW)])
    assert [r.document["path"] for r in history(stores, Filter())] == ["new", "old"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7d", NOW - timedelta(days=7)),
        ("90min", NOW - timedelta(minutes=90)),
        (" 24h ", NOW - timedelta(days=1)),
        ("2w", NOW - timedelta(days=14)),
        ("2026-03-01T12:00+01:00", datetime(2026, 3, 1, 11, tzinfo=UTC)),
        ("2026-03-01T12:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_people_write_them(text, expected):
    assert moment(text, NOW) == expected


def test_a_day_without_an_offset_is_local():
    assert moment("2026-03-01") == datetime(2026, 3, 1).astimezone()


@pytest.mark.parametrize("text", ["", "yesterday", "7", "7 days", "-7d", "2026-13-01", "999999w"])
def test_what_is_not_a_time_is_refused_with_an_example(text):
    with pytest.raises(StoreError) as error:
        moment(text, NOW)
    assert "2026-03-01" in error.value.hint


@given(st.text(max_size=12))
def test_any_text_is_a_time_or_a_clear_error(text):
    try:
        assert moment(text, NOW).tzinfo is not None
    except AssayError as e:
        assert e.code == "not_a_time"
