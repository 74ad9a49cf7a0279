"""Structure, metadata and credentials in one view."""

from __future__ import annotations

import io

import pytest

from assay.media import triage
from assay.media.credentials import warm_sample
from assay.testing import containers, images, signing


@pytest.fixture(scope="module")
def by() -> signing.Authority:
    return signing.authority()


def read(data: bytes, media_type: str = "image/jpeg", **trust: str):
    return triage.read(io.BytesIO(data), media_type, len(data), "0" * 64, trust, {})


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        ("image/jpeg", containers.camera_jpeg()),
        ("image/png", containers.png()),
        ("image/webp", images.webp(images.gradient(32, 32))),
    ],
)
def test_a_signed_sample_shows_both_its_structure_and_its_credentials(by, media_type, data):
    container = read(signing.signed(data, media_type, by), media_type, anchors=by.root)
    assert container.credentials["state"] == "Trusted"
    assert any(p.note == "C2PA" for p in container.parts)


def test_a_sample_without_a_trace_of_a_manifest_skips_the_reader(monkeypatch):
    monkeypatch.setattr(triage, "read_credentials", lambda *_: pytest.fail("the reader was asked"))
    assert read(containers.camera_jpeg()).credentials == {}


def test_the_thumbnail_is_compared_only_where_no_manifest_binds_the_sample(by):
    assert read(containers.camera_jpeg()).thumbnail_distance is not None
    assert read(signing.signed(containers.camera_jpeg(), "image/jpeg", by)).thumbnail_distance is None


def test_a_remote_manifest_is_named():
    url = "https://manifests.example.invalid/4711"
    data = containers.with_segments(containers.jpeg(), containers.xmp_segment({"dcterms:provenance": url}))
    assert read(data).credentials == {"remote": url}


def test_preparing_reads_a_signed_sample_from_end_to_end():
    triage.prepare()
    sample = warm_sample()
    assert read(sample).credentials["state"] == "Valid"


def test_a_malformed_structure_does_not_hide_a_manifest(by):
    data = signing.signed(containers.png(), "image/png", by)
    cut = data[: data.index(b"IDAT") + 8]
    container = read(cut, "image/png")
    assert container.warnings
    assert container.credentials


def test_an_initialisation_segment_is_called_incomplete(by):
    mvex = containers.box(b"moov", containers.box(b"mvhd", bytes(100)), containers.box(b"mvex", bytes(16)))
    container = containers.describe(containers.box(b"ftyp", b"dash", bytes(4), b"dash") + mvex, "video/mp4")
    assert triage.is_init_segment(container)
    assert not triage.is_init_segment(containers.describe(containers.mp4(), "video/mp4"))
