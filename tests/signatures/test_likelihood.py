from __future__ import annotations

import math

import pytest

from assay.signatures.likelihood import RADIUS, Table, clip_llr, llr, measured, strongest

TABLE = Table(
    copies=(700, 200, 60, 20, 10, 5, 3, 1, 1),
    others=300_000,
    pictures=800,
    nearest=70,
    hundredth=96.0,
    slope=0.25,
)


@pytest.mark.parametrize("table", [TABLE, None], ids=["made", "shipped"])
@pytest.mark.parametrize("searched", [1, 1000, 10_000_000])
def test_a_ratio_never_rises_with_the_distance(table: Table | None, searched: int) -> None:
    row = [llr(d, searched=searched, table=table) for d in range(RADIUS + 1)]
    assert row == sorted(row, reverse=True)
    assert all(math.isfinite(v) for v in row)


def test_an_empty_near_bin_does_not_make_farther_copies_likelier() -> None:
    odd = Table(
        copies=(0, 50, 0, 20, 0, 0, 0, 0, 0), others=1000, pictures=50, nearest=60, hundredth=90.0, slope=0.2
    )
    row = [llr(d, table=odd) for d in range(RADIUS + 1)]
    assert row == sorted(row, reverse=True)


def test_it_falls_with_what_was_searched() -> None:
    for distance in (0, 12, 31):
        row = [llr(distance, searched=10**n, table=TABLE) for n in range(0, 13, 3)]
        assert row == sorted(row, reverse=True)
    assert llr(31, searched=10**13, table=TABLE) < llr(31, table=TABLE)


def test_it_is_never_stronger_than_the_counts_carry() -> None:
    assert llr(0, table=TABLE) < strongest(TABLE) == pytest.approx(math.log(100_000))
    assert llr(0) < strongest()


def test_more_pairs_make_a_stronger_ratio() -> None:
    more = Table(
        copies=TABLE.copies, others=30_000_000, pictures=8000, nearest=70, hundredth=96.0, slope=0.25
    )
    assert llr(0, table=more) > llr(0, table=TABLE)


def test_a_clip_counts_as_its_median_frame() -> None:
    assert clip_llr([30, 2, 3], table=TABLE) == llr(3, table=TABLE)
    assert clip_llr([3] * 50, table=TABLE) == llr(3, table=TABLE)


@pytest.mark.parametrize(("distance", "searched"), [(-1, 1), (32, 1), (3, 0)])
def test_what_no_search_answers_is_refused(distance: int, searched: int) -> None:
    with pytest.raises(ValueError, match="0 to 31 bits"):
        llr(distance, searched=searched)


@pytest.mark.parametrize(
    "fields",
    [{"copies": (1, 2)}, {"copies": (0,) * 9}, {"copies": (-1, *(1,) * 8)}, {"others": 99}, {"slope": 0.0}],
)
def test_a_table_that_cannot_be_one_is_refused(fields: dict) -> None:
    usual = {
        "copies": TABLE.copies,
        "others": 1000,
        "pictures": 50,
        "nearest": 60,
        "hundredth": 90.0,
        "slope": 0.2,
    }
    with pytest.raises(ValueError, match="a table has"):
        Table(**(usual | fields))


def test_the_shipped_table_says_what_it_was_measured_on() -> None:
    table = measured()
    assert table.pictures >= 500
    assert table.others >= 100_000
    assert table.nearest > RADIUS
    assert sum(table.copies) >= 500
