"""The test file is the same everywhere, opens everywhere, and is a stranger to nobody."""

from __future__ import annotations

import io

from PIL import Image

from assay.media.container import read_container
from assay.signatures import testfile
from assay.types import sha256_of

DIGEST = "635d8315cbc8d24209b45c563535ac9331579d64bf853d8a6a187866c5c9bb07"


def test_its_bytes_are_the_same_on_every_machine() -> None:
    assert testfile.digest() == sha256_of(testfile.content()) == DIGEST


def test_it_is_a_picture_that_opens() -> None:
    with Image.open(io.BytesIO(testfile.content())) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (testfile.SIZE, testfile.SIZE))
        assert len(set(picture.tobytes())) == 2


def test_it_says_that_it_is_harmless() -> None:
    data = testfile.content()
    container = read_container(io.BytesIO(data), "image/png", len(data), testfile.digest(), {})
    assert "harmless" in container.metadata["png:Comment"]
    assert container.trailing == 0
    assert not container.warnings
