"""Pictures that triage decodes after all."""

from __future__ import annotations

import io

import pytest

from assay.media.container.picture import affordable, opened
from assay.media.container.source import Malformed
from assay.testing import containers, images


def test_the_limit_counts_pixels():
    assert affordable(10, 10, {"pixels": 100})
    assert not affordable(10, 11, {"pixels": 100})
    assert not affordable(0, 10, {})


def test_only_the_kind_that_was_asked_for_is_opened():
    with pytest.raises(Malformed), opened(io.BytesIO(containers.png()), "JPEG"):
        pass


def test_a_broken_picture_is_malformed():
    data = images.png(images.noise(64, 64))
    with pytest.raises(Malformed), opened(io.BytesIO(data[:500]), "PNG") as image:
        image.load()
