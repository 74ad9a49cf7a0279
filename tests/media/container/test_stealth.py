"""Text hidden in lowest bits."""

from __future__ import annotations

import numpy as np
import pytest

from assay.media.container import stealth
from assay.media.container.source import Malformed
from assay.testing import containers, images


@pytest.mark.parametrize("channels", ["alpha", "rgb"])
@pytest.mark.parametrize("compressed", [True, False])
def test_hidden_text_is_found_in_every_variant(channels, compressed):
    data = containers.stealth_png(channels=channels, compressed=compressed)
    metadata = containers.describe(data, "image/png").metadata
    assert metadata["stealth"] == containers.A1111
    assert metadata["stealth:channels"] == channels


def test_a_low_picture_holds_its_signature_over_several_columns():
    pixels = containers.stealth_pixels(containers.A1111, size=(400, 20))
    assert containers.describe(images.png(pixels), "image/png").metadata["stealth"] == containers.A1111


def test_a_lossless_webp_is_read_too():
    data = images.encoded(containers.stealth_pixels("words"), "WEBP", lossless=True, exact=True)
    assert containers.describe(data, "image/webp").metadata["stealth"] == "words"


def test_a_picture_without_a_signature_has_no_hidden_text():
    assert "stealth" not in containers.describe(containers.png(), "image/png").metadata
    noise = np.random.default_rng(0).integers(0, 256, (200, 50, 4), dtype=np.uint8)
    container = containers.describe(images.png(noise), "image/png")
    assert "stealth" not in container.metadata
    assert container.warnings == ()


def test_a_picture_over_the_limit_is_not_decoded():
    container = containers.describe(containers.stealth_png(), "image/png", pixels=1000)
    assert "stealth" not in container.metadata


def test_a_length_beyond_the_picture_is_malformed():
    pixels = containers.stealth_pixels("words", compressed=False)
    alpha = pixels[:, :, 3]
    alpha[120:128, 0] = 255  # the highest byte of the length
    with pytest.raises(Malformed, match="length"):
        stealth.hidden_text(pixels)


def test_a_bomb_in_lowest_bits_is_cut():
    pixels = containers.stealth_pixels("y" * (8 << 20), size=(400, 400))
    found = stealth.hidden_text(pixels)
    assert found is not None
    assert len(found[1]) == stealth.TEXT


@pytest.mark.parametrize("filtered", range(5))
def test_the_first_column_is_right_under_every_row_filter(filtered):
    """Filters as libpng writes them, chosen row by row, checked against a full decode."""
    pixels = np.random.default_rng(filtered).integers(0, 256, (150, 7, 4), dtype=np.uint8)
    data = _filtered_png(pixels, filtered)
    draft = containers_draft(data)
    column = stealth._first_column(draft[0], draft[1], 4)
    assert column is not None
    assert np.array_equal(column, pixels[:120, 0])


def containers_draft(data: bytes):
    import io

    from assay.media.container import draft_of
    from assay.media.container.source import Source

    return Source.of(data), draft_of(io.BytesIO(data), "image/png", len(data), "0", {})


def _filtered_png(pixels, kind: int) -> bytes:
    import zlib

    rows = []
    above = np.zeros_like(pixels[0]).astype(int)
    for row in pixels.astype(int):
        left = np.vstack([np.zeros((1, 4), int), row[:-1]])
        corner = np.vstack([np.zeros((1, 4), int), above[:-1]])
        guess = left + above - corner
        near = np.stack([abs(guess - left), abs(guess - above), abs(guess - corner)]).argmin(axis=0)
        paeth = np.choose(near, [left, above, corner])
        predicted = [np.zeros_like(row), left, above, (left + above) // 2, paeth][kind]
        rows.append(bytes([kind]) + ((row - predicted) & 0xFF).astype(np.uint8).tobytes())
        above = row
    return images.png_from_chunks(7, 150, zlib.compress(b"".join(rows)), colour=6)
