"""Every registered detector on every awkward view, and golden scores of those that need no weights."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.bench.panel import opened
from assay.evidence import models, registry
from assay.media.coefficients import read_jpeg
from assay.media.views import Image
from assay.testing import images
from assay.testing.check import awkward_views, complaints
from face_weights import FOLDER as WEIGHTS
from face_weights import astronaut

ENTRIES = list(registry.entries())
PLAIN = [e for e in ENTRIES if e.detector is not None and not e.card.models]
GOLDEN = Path(__file__).parent / "golden" / "pixels.json"
VIEWS = awkward_views()


def test_every_detector_can_be_loaded() -> None:
    assert [e.problem for e in ENTRIES if e.problem] == []


def test_names_are_unique() -> None:
    names = [e.card.name for e in ENTRIES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("entry", PLAIN, ids=lambda e: e.card.name)
def test_a_detector_keeps_its_promises_on_every_awkward_view(entry: registry.Entry) -> None:
    assert entry.detector is not None
    assert complaints(entry.detector()) == []


def golden_views() -> dict[str, Image]:
    """Pictures whose scores are kept; they change when numbers change, and a person looks at the difference."""
    scene, other = images.scene(320, 256, seed=21), images.scene(320, 256, seed=22)
    once, quiet = images.jpeg(scene, quality=80), np.asarray(_pixels(images.jpeg(other, quality=75)))
    sent = _pixels(once).copy()
    sent[75:203, 85:213] = quiet[64:192, 64:192]
    filled = _pixels(once).copy()
    filled[75:203, 85:213] = other[64:192, 64:192]
    return {
        "saved once": _view(once),
        "saved twice": _view(images.jpeg(_pixels(once), quality=93)),
        "patch, saved without loss": Image(coded=sent),
        "patch that never was a JPEG": Image(coded=filled),
        "patch, saved again": _view(images.jpeg(sent, quality=95)),
        "noise": VIEWS["noise"],
        "place copied": Image(coded=_copied(images.scene(448, 384, seed=23, grain=4))),
        "patch on other colour filters": Image(coded=_filtered(images.scene(448, 384, seed=24, grain=4))),
        "patch enlarged": Image(coded=_enlarged(np.random.default_rng(25))),
    }


def _copied(pixels: np.ndarray) -> np.ndarray:
    forged = pixels.copy()
    forged[200:330, 270:400] = pixels[40:170, 50:180]
    return forged


def _filtered(pixels: np.ndarray) -> np.ndarray:
    """Green is measured at every other pixel and averaged between; in a patch at the others."""
    green = pixels[..., 1].astype(int)
    between = sum(np.roll(green, shift, axis) for axis in (0, 1) for shift in (-1, 1)) // 4
    y, x = np.indices(green.shape)
    measured = (x + y) % 2 == 0
    measured[160:320, 200:376] ^= True
    forged = pixels.copy()
    forged[..., 1] = np.where(measured, green, between)
    return forged


def _enlarged(rng: np.random.Generator) -> np.ndarray:
    """Blurred noise with grain, and in it a patch of more, enlarged by a third."""
    from PIL import Image as Pillow

    forged, more = (_blurred(rng) for _ in range(2))
    larger = Pillow.fromarray(more).resize((683, 555), Pillow.Resampling.BICUBIC)
    forged[96:352, 128:416] = np.asarray(larger)[100:356, 150:438]
    return forged


def _blurred(rng: np.random.Generator) -> np.ndarray:
    from PIL import Image as Pillow

    total = np.full((416, 512), 128.0)
    for step, strength in ((4, 12), (16, 25), (64, 40)):
        coarse = rng.normal(0, strength, (416 // step + 2, 512 // step + 2)).astype(np.float32)
        total += np.asarray(Pillow.fromarray(coarse).resize((512, 416), Pillow.Resampling.BICUBIC))
    return (total[..., None] + rng.normal(0, 3, (416, 512, 3))).clip(2, 253).round().astype(np.uint8)


def _view(data: bytes) -> Image:
    return Image(coded=_pixels(data), planes=read_jpeg(data, pixels=10**7).planes, media_type="image/jpeg")


def _pixels(data: bytes) -> np.ndarray:
    import io

    from PIL import Image as Pillow

    with Pillow.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def test_golden_scores_are_kept() -> None:
    cards = [e.card for e in PLAIN if e.card.reads is Image]
    compare(GOLDEN, opened(cards, WEIGHTS), golden_views())


@pytest.mark.parametrize("name", [e.card.name for e in ENTRIES if e.detector is not None and e.card.models])
def test_golden_scores_of_detectors_with_weights_are_kept(name: str) -> None:
    card = next(e.card for e in ENTRIES if e.card.name == name)
    lacking = [m for m in card.models if models.path_of(m, WEIGHTS) is None]
    if lacking:
        pytest.skip(f"needs weights: assay models pull {' '.join(lacking)}")
    portrait = astronaut()
    views = golden_views() | {
        "portrait": Image(coded=portrait),
        "portrait, saved": _view(images.jpeg(portrait)),
    }
    # Quantised networks differ a little from processor to processor.
    compare(GOLDEN.with_name(f"{name}.json"), opened([card], WEIGHTS), views, within=0.3)


def compare(golden: Path, detectors: dict[str, Any], views: dict[str, Image], within: float = 0.05) -> None:
    found: dict[str, Any] = {}
    for detector in detectors.values():
        for name, view in views.items():
            finding = detector.examine(view)
            found[f"{detector.card.name}/{detector.card.version}: {name}"] = {
                "outcome": finding.outcome.value,
                "score": None if finding.score is None else round(finding.score, 3),
                "reasons": [r.code for r in finding.reasons],
            }
    if "ASSAY_WRITE_GOLDEN" in os.environ:  # then look at the difference
        golden.write_text(json.dumps(found, indent=1) + "\n")
    kept = json.loads(golden.read_text())
    assert found.keys() == kept.keys()
    for name, values in kept.items():
        assert found[name]["outcome"] == values["outcome"], name
        assert found[name]["reasons"] == values["reasons"], name
        if values["score"] is not None:
            assert found[name]["score"] == pytest.approx(values["score"], rel=0.02, abs=within), name
