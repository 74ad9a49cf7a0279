from __future__ import annotations

import io
import math
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image as Pillow

from assay.evidence.detectors import invisible_watermark
from assay.evidence.detectors.invisible_watermark import MESSAGES, InvisibleWatermark, Message
from assay.media.views import Image
from assay.testing import images
from assay.testing.check import check_detector
from assay.types import Finding, Outcome


def marked(
    pixels: np.ndarray, message: Message, *, order: tuple[int, int, int] = (2, 1, 0), offset: float = 128.0
) -> np.ndarray:
    """Embed as the method says, written anew: move each block's greatest low coefficient of U in its step of 36."""
    blue, green, red = (pixels[..., c].astype(float) for c in order)
    luma = 0.114 * blue + 0.587 * green + 0.299 * red
    u = 0.492 * (blue - luma) + offset
    height, width = u.shape[0] // 4 * 4, u.shape[1] // 4 * 4
    low = (
        u[:height:2, :width:2] + u[1:height:2, :width:2] + u[:height:2, 1:width:2] + u[1:height:2, 1:width:2]
    ) / 2
    change = np.zeros_like(low)
    number = 0
    for y in range(0, low.shape[0] - 3, 4):
        for x in range(0, low.shape[1] - 3, 4):
            block = low[y : y + 4, x : x + 4].ravel()
            at = int(np.abs(block[1:]).argmax()) + 1
            bit = message.bits[number % len(message.bits)]
            aim = math.copysign((abs(block[at]) // 36 + 0.25 + 0.5 * bit) * 36, block[at])
            change[y + at // 4, x + at % 4] = (aim - block[at]) / 2
            number += 1
    u[:height, :width] += change.repeat(2, axis=0).repeat(2, axis=1)
    difference = (u - offset) / 0.492
    changed_blue = luma + difference
    changed_red = red  # luma and V are kept, so green makes up for blue
    changed_green = (luma - 0.114 * changed_blue - 0.299 * changed_red) / 0.587
    out = np.empty_like(pixels)
    for c, plane in zip(order, (changed_blue, changed_green, changed_red), strict=True):
        out[..., c] = plane.clip(0, 255).round().astype(np.uint8)
    return out


def examined(pixels: np.ndarray) -> Finding:
    return InvisibleWatermark().examine(Image(coded=pixels))


def code(found: Finding) -> str:
    return found.reasons[0].code


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m.generator)
@pytest.mark.parametrize("order", [(2, 1, 0), (0, 1, 2)])
@pytest.mark.parametrize("offset", [128.0, 0.5])
def test_every_mark_is_read_and_named(message: Message, order: tuple[int, int, int], offset: float) -> None:
    found = examined(marked(images.scene(512, 512, seed=1), message, order=order, offset=offset))
    assert code(found) == "watermark_generator"
    assert message.generator in found.reasons[0].text
    assert found.score is not None
    assert found.score > 6


@pytest.mark.parametrize("quality", [95, 90])
def test_a_mark_outlives_a_mild_save(quality: int) -> None:
    pixels = marked(images.scene(512, 512, seed=2), MESSAGES[3], offset=0.5)
    saved = np.asarray(Pillow.open(io.BytesIO(images.jpeg(pixels, quality=quality, subsampling="4:4:4"))))
    assert code(examined(saved)) == "watermark_generator"


@pytest.mark.parametrize("text", ["Nobody", "test", "A longer text"])
def test_another_message_is_not_mistaken_for_a_known_one(text: str) -> None:
    other = Message.text("nobody", text)
    assert code(examined(marked(images.scene(512, 512, seed=3), other))) == "watermark_none"


def test_a_message_can_be_added() -> None:
    mine = Message.text("Mine", "MineMine")
    pixels = marked(images.scene(320, 320, seed=4), mine)
    found = InvisibleWatermark((*MESSAGES, mine)).examine(Image(coded=pixels))
    assert "Mine" in found.reasons[0].text


def test_unmarked_pictures_are_silent() -> None:
    scores = [examined(images.scene(320, 288, seed=s)).score for s in range(12)]
    assert all(s is not None and s < 3 for s in scores)


def test_a_crop_removes_the_mark() -> None:
    pixels = marked(images.scene(512, 512, seed=1), MESSAGES[0])
    assert code(examined(np.ascontiguousarray(pixels[3:, 5:]))) == "watermark_none"


def test_large_pictures_are_read_in_part() -> None:
    pixels = marked(images.scene(512, 512, seed=5), MESSAGES[0])
    tall = np.concatenate([pixels, images.scene(512, 4096, seed=6)])
    assert code(examined(tall)) == "watermark_generator"


def test_grey_and_small_pictures_are_not_applicable() -> None:
    grey = np.repeat(images.noise(300, 300)[..., :1], 3, axis=2)
    assert (examined(grey).outcome, code(examined(grey))) == (Outcome.NOT_APPLICABLE, "no_colour")
    assert code(examined(images.noise(200, 200))) == "too_small"


def test_the_tail_is_that_of_drawing_without_replacement() -> None:
    assert invisible_watermark.log10_overlap(0, ((6, 3),)) == pytest.approx(0.0)
    assert 10 ** invisible_watermark.log10_overlap(3, ((6, 3),)) == pytest.approx(1 / 20)
    assert 10 ** invisible_watermark.log10_overlap(2, ((6, 3),)) == pytest.approx(10 / 20)
    assert 10 ** invisible_watermark.log10_overlap(5, ((6, 3), (4, 2))) == pytest.approx(1 / 120)


def test_messages_have_the_published_lengths() -> None:
    assert [len(m.bits) for m in MESSAGES] == [136, 224, 32, 48, 46]


def test_it_keeps_the_promises_of_a_detector() -> None:
    wide = Image(coded=marked(images.scene(400, 300, seed=7), MESSAGES[2]))
    check_detector(InvisibleWatermark(), views={"a marked picture": wide})


@pytest.mark.slow
def test_the_package_writes_what_is_read() -> None:
    if find_spec("imwatermark") is None or find_spec("pywt") is None:
        pytest.skip("the package invisible-watermark is not installed")
    from imwatermark.maxDct import EmbedMaxDct

    for message in MESSAGES:
        embedder = EmbedMaxDct(message.bits, wmLen=len(message.bits))
        pixels = embedder.encode(images.scene(512, 512, seed=8)[..., ::-1].copy())[..., ::-1]
        assert message.generator in examined(np.ascontiguousarray(pixels)).reasons[0].text
