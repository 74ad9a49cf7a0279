import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.report.escape import csv_cell, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain name.jpg", "plain name.jpg"),
        ("Zoë 写真.png", "Zoë 写真.png"),
        ("two\nlines", "two\\nlines"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b31m", "\\u009b31m"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("back\\slash", "back\\\\slash"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("blank\u3164", "blank\\u3164"),
        ("line\u2028sep", "line\\u2028sep"),
        ("nul\0", "nul\\x00"),
    ],
)
def test_what_fools_a_terminal_or_a_reader_is_escaped(text, shown):
    assert printable(text) == shown


def test_bytes_that_are_not_utf8_show_as_bytes():
    assert printable(os.fsdecode(b"caf\xe9.jpg")) == "caf\\xe9.jpg"


def test_a_literal_escape_and_the_character_itself_look_different():
    assert printable("\\x1b") != printable("\x1b")


def test_marks_heaped_on_one_letter_are_escaped_beyond_what_writing_needs():
    shown = printable("e" + "\u0301" * 50)
    assert shown.startswith("e" + "\u0301" * 4 + "\\u0301")


def test_a_limit_keeps_beginning_and_end():
    shown = printable("a" * 100 + ".jpeg", limit=20)
    assert len(shown) == 20
    assert shown.startswith("aaa")
    assert shown.endswith(".jpeg")


@given(st.text(st.characters(codec=None, categories=None), max_size=60))
def test_any_text_becomes_one_printable_line_of_utf8(text):
    shown = printable(text)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown


@given(st.text(max_size=40), st.integers(1, 30))
def test_a_limit_is_kept(text, limit):
    assert len(printable(text, limit=limit)) <= limit


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "  =1", "\t=1", "\uff1d1"])
def test_a_formula_becomes_text_in_a_cell(text):
    assert csv_cell(text).startswith("'")


def test_an_ordinary_cell_is_left_alone():
    assert csv_cell("photo-1.jpg") == "photo-1.jpg"
    assert csv_cell("") == ""
