from __future__ import annotations

import io

import pytest
from PIL import Image

from assay.media.quality import estimated_quality, scaled
from assay.testing import images


@pytest.mark.parametrize("quality", [1, 10, 25, 49, 50, 51, 75, 90, 95, 99, 100])
def test_a_table_of_libjpeg_tells_its_quality(quality: int) -> None:
    table = scaled(quality)
    assert scaled(estimated_quality(table)) == table  # the lowest qualities share tables


@pytest.mark.parametrize("quality", [30, 60, 85, 97])
def test_tables_are_those_that_libjpeg_writes(quality: int) -> None:
    data = images.jpeg(images.flat(16, 16), quality=quality)
    with Image.open(io.BytesIO(data)) as picture:
        written = picture.quantization[0]
    assert tuple(written) == scaled(quality)


def test_of_equally_near_qualities_the_highest_is_told() -> None:
    assert estimated_quality((1,) * 64) == 100


def test_a_table_of_somebody_else_is_told_by_the_nearest() -> None:
    table = [value + (i % 3) - 1 for i, value in enumerate(scaled(70))]
    assert abs(estimated_quality(table) - 70) <= 2


@pytest.mark.parametrize("value", [0, 255, 65535])
def test_a_table_of_nonsense_has_some_quality(value: int) -> None:
    assert 1 <= estimated_quality((value,) * 64) <= 100


def test_a_table_of_another_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="64 values, not 63"):
        estimated_quality((1,) * 63)
