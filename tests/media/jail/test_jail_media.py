"""The native decoders of every format work inside, with all layers on."""

from __future__ import annotations

import os
from pathlib import Path

import jailed_media
import pytest

from assay.media.jail.process import DECODER, Zygote

HERE = Path(__file__).parent
C2PA = HERE.parents[2].parent / "shared/data/provenance/c2pa-public/image/jpeg"


@pytest.fixture(scope="module")
def decoders():
    with Zygote("jailed_media:prepare", DECODER.serving("jailed_media:handle"), path=[HERE]) as z:
        yield z
        assert z.warnings == []


def decoded(zygote, data, **message):
    fd = os.memfd_create("sample")
    try:
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        with zygote.spawn() as child:
            return child.call(message, [fd], timeout_s=30)
    finally:
        os.close(fd)


@pytest.mark.parametrize("kind", jailed_media.IMAGES)
def test_a_picture_is_decoded(decoders, kind):
    told = decoded(decoders, jailed_media.picture(kind), op="image")
    assert told["shape"] == [48, 64, 3]
    assert 120 < told["mean"] < 135


@pytest.mark.parametrize("kind", jailed_media.CLIPS)
def test_a_clip_is_decoded(decoders, kind):
    told = decoded(decoders, jailed_media.clip(kind), op="clip")
    assert told["frames"] == 5 if kind == "mp4" else told["samples"] >= 47_000


def test_a_picture_without_credentials_has_none(decoders):
    data = jailed_media.picture("jpeg")
    assert decoded(decoders, data, op="credentials", media_type="image/jpeg") == {"store": None}


@pytest.mark.shared
def test_content_credentials_are_read(decoders):
    if not C2PA.is_dir():
        pytest.skip("the shared media are not here")
    data = (C2PA / "adobe-20220124-C.jpg").read_bytes()
    told = decoded(decoders, data, op="credentials", media_type="image/jpeg")
    assert told["store"]["active_manifest"]
