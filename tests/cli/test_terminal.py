import io
import re
from datetime import UTC, datetime

import click
import pytest

from assay.cli.terminal import count, deed, local, size_text, sure, table


def test_times_for_people_carry_their_offset():
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}", local(datetime.now(UTC)))


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB")]
)
def test_sizes_are_short(size, text):
    assert size_text(size) == text


def test_columns_are_aligned_and_cells_escaped():
    assert table(("A", "B"), [("x\n", "y"), ("long cell", "\x1b")]).splitlines() == [
        "A          B",
        "x\\n        y",
        "long cell  \\x1b",
    ]


def test_words_are_counted():
    assert [count(1, "record"), count(2, "record"), count(0, "entry", "entries")] == [
        "1 record",
        "2 records",
        "0 entries",
    ]


def test_without_a_terminal_nobody_is_asked(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(click.UsageError, match="--reason"):
        deed(None)
    with pytest.raises(click.UsageError, match="--reason"):
        deed("  ")
    with pytest.raises(click.UsageError, match="--yes"):
        sure("Really?", yes=False)
    sure("Really?", yes=True)
    assert deed(" why ").reason == "why"
