"""Lists, texts and tables stay bounded."""

from __future__ import annotations

import json

import pytest

from assay.media.container import draft as drafts
from assay.media.container.draft import Draft, label, plain, text_of
from assay.media.container.source import Malformed


def made() -> Draft:
    return Draft("image/png", 1, "0")


def test_a_value_is_cut_and_the_cut_is_said():
    draft = made()
    draft.tag("a", "x" * (drafts.VALUE + 5))
    assert len(draft.metadata["a"]) == drafts.VALUE
    assert draft.truncated


def test_all_values_together_have_a_limit():
    draft = made()
    for n in range(9):
        draft.tag(f"key{n}", chr(97 + n) * drafts.VALUE)
    assert sum(map(len, draft.metadata.values())) <= drafts.TEXT
    assert draft.truncated


def test_equal_values_count_once_and_different_ones_are_numbered():
    draft = made()
    for value in ("one", "one", "two", *"abcdefghij"):
        draft.tag("key", value)
    assert list(draft.metadata) == ["key", *(f"key#{n}" for n in range(2, 10))]
    assert draft.truncated


def test_empty_values_are_left_out():
    draft = made()
    draft.tag("a", b"\0\0 ")
    assert draft.metadata == {}


def test_parts_and_warnings_have_a_limit():
    draft = made()
    for n in range(drafts.PARTS + 10):
        draft.part(str(n), n, 1)
        draft.warn(str(n))
    container = draft.finish()
    assert len(container.parts) == drafts.PARTS
    assert len(container.warnings) == drafts.WARNINGS
    assert container.truncated


def test_work_on_metadata_has_a_limit():
    draft = made()
    draft.spend(drafts.WORK)
    with pytest.raises(Malformed):
        draft.spend(1)


def test_any_text_can_be_encoded():
    text = plain("a\0b\ud800 ")
    assert text == "ab?"
    json.dumps(text).encode()


def test_charsets_that_nobody_named_are_guessed():
    assert text_of("Grüße".encode()) == "Grüße"
    assert text_of("Grüße".encode("latin-1")) == "Grüße"
    assert text_of("Grüße".encode("utf-16")) == "Grüße"


def test_codes_are_printable():
    assert label(b"\xa9too") == "\\xa9too"
    assert label(b"M4A ") == "M4A"
