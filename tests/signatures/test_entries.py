from __future__ import annotations

import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.signatures.audio import AudioPrint
from assay.signatures.codes import from_hex
from assay.signatures.entries import (
    Digest,
    Fingerprint,
    PackError,
    PictureCode,
    Signature,
    canonical,
    decoded,
    encoded,
)
from assay.signatures.references import reference_of
from assay.signatures.video import VideoPrint
from assay.testing.images import scene
from assay.types import Kind

RNG = np.random.default_rng(5)
CODE = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"
FINGERPRINTS: dict[str, Fingerprint] = {
    "digest": Digest("ab" * 32),
    "picture": PictureCode(from_hex(CODE), 87),
    "picture of unknown quality": PictureCode(from_hex(CODE)),
    "video": VideoPrint(np.arange(5) * 0.25, RNG.integers(0, 1 << 64, (5, 1, 4), dtype=np.uint64)),
    "sound": AudioPrint(RNG.integers(0, 1 << 32, 50, dtype=np.uint32)),
}


def made(fingerprint: Fingerprint, **fields) -> Signature:
    return Signature("known:1", "known_fake", fingerprint, **fields)


def changed(**fields) -> bytes:
    return canonical(json.loads(encoded(made(FINGERPRINTS["picture"]))) | fields)


@pytest.mark.parametrize("fingerprint", FINGERPRINTS.values(), ids=FINGERPRINTS)
def test_a_signature_survives_its_text(fingerprint: Fingerprint) -> None:
    before = made(fingerprint, kinds=(Kind.SPLICE, Kind.FACE_SWAP), source="Prüfstelle", note="a\nb")
    line = encoded(before)
    after = decoded(line)
    assert encoded(after) == line
    assert b"\n" not in line
    assert type(after.fingerprint) is type(fingerprint)
    assert set(after.kinds) == set(before.kinds)
    assert (after.source, after.note) == (before.source, before.note)


def test_stored_pictures_survive_their_text() -> None:
    pixels, original = scene(320, 240, seed=1), scene(300, 225, seed=1)
    before = reference_of(pixels, [(10_000, 10_000, 30_000, 30_000), (40_000, 0, 65_536, 9_000)], original)
    after = decoded(encoded(made(FINGERPRINTS["picture"], reference=before))).reference
    assert after is not None
    assert (after.frame == before.frame).all()
    for a, b in zip(after.patches, before.patches, strict=True):
        assert (a.region, a.around) == (b.region, b.around)
        assert (a.fake == b.fake).all()
        assert a.original is not None
        assert b.original is not None
        assert (a.original == b.original).all()


def test_only_one_text_means_a_signature() -> None:
    line = encoded(made(FINGERPRINTS["picture"]))
    value = json.loads(line)
    for other in (
        json.dumps(value).encode(),
        line + b" ",
        line.replace(b'"quality":87', b'"quality":87.0'),
        line.replace(b'"note":""', b'"note":"","note":""'),
        line.replace(CODE.encode(), CODE.upper().encode()),
    ):
        with pytest.raises(PackError) as caught:
            decoded(other)
        assert caught.value.code == "pack_entry"


@pytest.mark.parametrize(
    "fields",
    [
        {"about": "known_thing"},
        {"format": "pdq/2"},
        {"format": "sha256"},
        {"id": ""},
        {"id": "a b"},
        {"id": "a\n"},
        {"id": 7},
        {"kinds": ["splicing"]},
        {"kinds": "splice"},
        {"kinds": ["splice", "face_swap"]},  # not sorted
        {"note": "x" * 501},
        {"source": None},
        {"more": 1},
        {"print": {"code": CODE, "quality": 49}},
        {"print": {"code": CODE, "quality": 101}},
        {"print": {"code": CODE, "quality": True}},
        {"print": {"code": CODE[1:], "quality": None}},
        {"print": {"code": CODE}},
        {"print": []},
        {"format": "pdq-frames/1", "print": {"codes": "", "times_ms": []}},
        {
            "format": "pdq-frames/1",
            "print": {"codes": base64.b64encode(b"x" * 64).decode(), "times_ms": [2, 1]},
        },
        {"format": "pdq-frames/1", "print": {"codes": base64.b64encode(b"x" * 33).decode(), "times_ms": [1]}},
        {"format": "pdq-frames/1", "print": {"codes": "????", "times_ms": [1]}},
        {"format": "chromaprint-2/1", "print": {"items": "AAAAA"}},
        {"format": "sha256", "print": {"sha256": "AB" * 32}},
        {"reference": {}},
        {"reference": {"frame": None, "patches": []}},
        {"reference": 1},
    ],
    ids=str,
)
def test_what_is_no_signature_is_refused(fields: dict) -> None:
    with pytest.raises(PackError) as caught:
        decoded(changed(**fields))
    assert caught.value.code == "pack_entry"


@pytest.mark.parametrize(
    ("width", "height", "raw"),
    [
        (4, 4, zlib.compress(bytes(17))),
        (4, 4, zlib.compress(bytes(15))),
        (4, 4, zlib.compress(bytes(16)) + b"more"),
        (4, 4, zlib.compress(bytes(16))[:-3]),
        (4, 4, b"not deflated"),
        (257, 4, zlib.compress(bytes(257 * 4))),
        (0, 4, zlib.compress(b"")),
        (4, 4, zlib.compress(bytes(50_000_000), 9)),  # inflates to 50 MB unless it is stopped
    ],
)
def test_a_stored_picture_that_lies_about_its_size_is_refused(width: int, height: int, raw: bytes) -> None:
    frame = {"width": width, "height": height, "luma": base64.b64encode(raw).decode()}
    with pytest.raises(PackError):
        decoded(changed(reference={"frame": frame, "patches": []}))


def test_a_line_of_any_length_and_depth_is_refused_without_harm() -> None:
    for line in (
        b"x" * (5 << 20),
        b"[" * 100_000,
        b'{"id":' + b"9" * 10_000 + b"}",
        b"\xff\xfe",
        b"",
        b"null",
    ):
        with pytest.raises(PackError):
            decoded(line)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_bytes_of_any_kind_are_a_signature_or_an_error(data: bytes) -> None:
    try:
        decoded(data)
    except PackError as e:
        assert e.code == "pack_entry"


JSONS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["about", "format", "id", "kinds", "note", "print", "reference", "source"]), JSONS)
def test_any_value_in_any_field_is_a_signature_or_an_error(field: str, value) -> None:
    line = changed(**{field: value})
    try:
        assert encoded(decoded(line)) == line
    except PackError as e:
        assert e.code == "pack_entry"


@pytest.mark.parametrize("fields", [{"id": "no spaces"}, {"about": "rumour"}, {"note": "x" * 501}])
def test_a_signature_that_could_not_be_read_again_cannot_be_made(fields: dict) -> None:
    usual = {"id": "a", "about": "known_fake", "fingerprint": FINGERPRINTS["digest"]}
    with pytest.raises(ValueError, match="signature"):
        Signature(**(usual | fields))
