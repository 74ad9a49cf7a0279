from __future__ import annotations

import numpy as np
import pytest

from assay.errors import AssayError
from assay.range.generator import changed, generator, names
from assay.testing import images
from assay.types import Kind


@pytest.mark.parametrize("name", names())
def test_every_built_in_maker_says_what_it_is(name) -> None:
    made = generator(name)
    assert made.name == name
    assert isinstance(made.kind, Kind)
    assert made.version >= 1
    assert 0 <= made.area[0] < made.area[1] <= 1
    assert made.summary.endswith(".")


def test_another_name_says_which_there_are() -> None:
    with pytest.raises(AssayError, match="no generator") as e:
        generator("magic")
    assert "splice" in e.value.hint


def test_the_mask_is_what_differs() -> None:
    pristine = images.scene(120, 100, seed=1)
    output = pristine.copy()
    output[20:60, 30:80] = 255 - output[20:60, 30:80]
    mask = changed(output, pristine, np.zeros((100, 120), bool))
    truth = np.zeros((100, 120), bool)
    truth[20:60, 30:80] = True
    assert (mask & truth).sum() / (mask | truth).sum() > 0.98


def test_what_differs_beside_the_intention_is_in_the_mask_and_an_untouched_intention_is_not() -> None:
    pristine = images.scene(120, 100, seed=1)
    output = pristine.copy()
    output[20:40, 30:50] ^= 0x80
    intended = np.zeros((100, 120), bool)
    intended[60:90, 60:110] = True
    mask = changed(output, pristine, intended)
    assert mask[22:38, 32:48].all()
    assert not mask[intended].any()


def test_equal_pixels_inside_of_a_paste_belong_to_it() -> None:
    pristine = images.flat(100, 100)
    output = pristine.copy()
    output[20:80, 20:80] = 200
    output[40:60, 40:60] = 128  # by chance as before
    inside = np.zeros((100, 100), bool)
    inside[20:80, 20:80] = True
    assert changed(output, pristine, inside)[20:80, 20:80].all()


def test_a_change_at_the_edge_of_the_picture_is_kept() -> None:
    pristine = images.flat(60, 60)
    output = pristine.copy()
    output[:10] = 0
    mask = changed(output, pristine, np.zeros((60, 60), bool))
    assert mask[:10].all()
    assert not mask[10:].any()


def test_invisible_differences_are_none() -> None:
    pristine = images.flat(60, 60)
    assert not changed(pristine + np.uint8(2), pristine, np.ones((60, 60), bool)).any()
