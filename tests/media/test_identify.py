"""Media types from bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.media.identify import HEAD, TAIL, UNKNOWN, declared_type, family_of, identify, lies
from assay.testing import containers

SAMPLES = containers.samples()
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def typed(data: bytes) -> str:
    return identify(data[:HEAD], data[-TAIL:], len(data))


@pytest.mark.parametrize("name", SAMPLES)
def test_each_kind_is_told_from_its_bytes(name):
    media_type, data = SAMPLES[name]
    assert typed(data) == media_type


@pytest.mark.parametrize("name", SAMPLES)
def test_an_honest_extension_is_no_lie(name):
    media_type, _ = SAMPLES[name]
    assert declared_type(name) is not None
    assert not lies(declared_type(name), media_type)


def test_bytes_of_nothing_known_are_a_stream_of_octets():
    assert identify(b"", b"", 0) == UNKNOWN
    assert identify(b"\0", b"\0", 1) == UNKNOWN
    assert identify(bytes(range(256)) * 4) == UNKNOWN


def test_a_polyglot_is_what_its_head_says():
    assert typed(containers.jpeg() + containers.zipped("a.txt")) == "image/jpeg"


def test_an_image_sequence_has_the_type_of_its_still_form():
    assert identify(b"\0\0\0\x18ftypmsf1\0\0\0\0msf1hevc") == "image/heic"
    assert identify(b"\0\0\0\x18ftypavis\0\0\0\0avismiaf") == "image/avif"


def test_quicktime_without_a_brand_is_told_by_its_first_box():
    assert identify(b"\0\0\x10\0moov\0\0\0\x6cmvhd") == "video/quicktime"


def test_a_fragment_counts_as_mp4():
    assert identify(b"\0\0\0\x18stypmsdh\0\0\0\0msdhmsix") == "video/mp4"


def test_an_office_file_is_told_by_the_directory_at_its_end():
    archive = containers.zipped(
        "[Content_Types].xml", *(f"customXml/item{n}.xml" for n in range(100)), "word/document.xml"
    )
    assert typed(archive) == SAMPLES["a.docx"][0]


def test_a_note_with_one_header_like_line_is_text_and_not_mail():
    assert identify(b"Subject: shopping\n\nmilk, bread\n") == "text/plain"


def test_mail_may_begin_with_the_line_of_a_mailbox():
    assert identify(b"From a@example.invalid Mon Jan  1\n" + containers.mail()) == "message/rfc822"


def test_legacy_and_wide_charsets_are_text():
    assert identify("Grüße aus Köln, schöne Wörter überall".encode("latin-1")) == "text/plain"
    assert identify("wide".encode("utf-16")) == "text/plain"


def test_a_flac_behind_an_id3_tag_is_flac():
    assert identify(b"ID3\x03\0\0\0\0\0\0" + containers.flac()) == "audio/flac"


def test_extensions_count_in_any_case_and_the_last_one_wins():
    assert declared_type("HOLIDAY.JPG") == "image/jpeg"
    assert declared_type("invoice.pdf.png") == "image/png"
    assert declared_type("backup.tar.gz") == "application/gzip"
    assert declared_type("a\\b/c.Mp4") == "video/mp4"


@pytest.mark.parametrize("name", ["README", ".jpg", "a.", "game.dat", "a.unheardof", ""])
def test_names_that_promise_nothing(name):
    assert declared_type(name) is None


@pytest.mark.parametrize(
    ("declared", "actual"),
    [
        ("image/png", "image/jpeg"),
        ("text/plain", "image/jpeg"),
        ("image/jpeg", "video/mp4"),
        ("application/pdf", "application/zip"),
        ("image/jpeg", "text/html"),
    ],
)
def test_a_type_that_contradicts_the_bytes_is_a_lie(declared, actual):
    assert lies(declared, actual)


@pytest.mark.parametrize(
    ("declared", "actual"),
    [
        (None, "image/jpeg"),
        ("application/octet-stream", "image/jpeg"),
        ("image/jpg", "image/jpeg"),
        ("IMAGE/JPEG; name=a.jpg", "image/jpeg"),
        ("video/quicktime", "video/mp4"),
        ("audio/x-m4a", "video/mp4"),
        ("audio/ogg", "audio/opus"),
        ("audio/x-wav", "audio/wav"),
        ("image/png", UNKNOWN),
        ("video/avi", "video/x-msvideo"),
        ("application/vnd.ms-excel.sheet.macroenabled.12", "application/zip"),
    ],
)
def test_names_that_software_mixes_up_are_no_lie(declared, actual):
    assert not lies(declared, actual)


@pytest.mark.parametrize(
    ("media_type", "family"),
    [
        ("image/heic", "image"),
        ("image/svg+xml", "other"),
        ("video/webm", "video"),
        ("audio/opus", "audio"),
        ("application/zip", "archive"),
        ("application/pdf", "document"),
        (SAMPLES["a.docx"][0], "document"),
        ("message/rfc822", "mail"),
        ("application/vnd.ms-tnef", "mail"),
        ("text/plain", "other"),
        (UNKNOWN, "other"),
    ],
)
def test_every_type_has_a_family(media_type, family):
    assert family_of(media_type) == family


@given(st.binary(max_size=600), st.binary(max_size=200), st.integers(0, 1 << 40))
def test_any_bytes_have_a_type(head, tail, size):
    assert "/" in identify(head, tail, size)


@given(st.sampled_from(sorted(SAMPLES)), st.integers(0, 200))
def test_any_beginning_has_a_type(name, length):
    assert "/" in identify(SAMPLES[name][1][:length])


@given(st.text(max_size=60))
def test_any_name_promises_a_known_type_or_nothing(name):
    said = declared_type(name)
    assert said is None or family_of(said) is not None


@pytest.mark.shared
def test_no_sample_at_hand_lies():
    if not SHARED.is_dir():
        pytest.skip("the shared media are not here")
    for path in sorted(SHARED.rglob("*.*")):
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(HEAD)
            assert not lies(declared_type(path.name), identify(head, b"", path.stat().st_size)), path.name
