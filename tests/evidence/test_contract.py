"""Every registered detector on every awkward view, and golden scores of those that need no weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.evidence import registry
from assay.media.coefficients import read_jpeg
from assay.media.views import Image
from assay.testing import images
from assay.testing.check import awkward_views, complaints

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
    }


def _view(data: bytes) -> Image:
    return Image(coded=_pixels(data), planes=read_jpeg(data, pixels=10**7).planes, media_type="image/jpeg")


def _pixels(data: bytes) -> np.ndarray:
    import io

    from PIL import Image as Pillow

    with Pillow.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def test_golden_scores_are_kept() -> None:
    found: dict[str, Any] = {}
    for entry in PLAIN:
        if entry.detector is None or entry.card.reads is not Image:
            continue
        detector = entry.detector()
        for name, view in golden_views().items():
            finding = detector.examine(view)
            found[f"{entry.card.name}/{entry.card.version}: {name}"] = {
                "outcome": finding.outcome.value,
                "score": finding.score,
                "reasons": [r.code for r in finding.reasons],
            }
    kept = json.loads(GOLDEN.read_text())
    assert found.keys() == kept.keys()
    for name, values in kept.items():
        assert found[name]["outcome"] == values["outcome"], name
        assert found[name]["reasons"] == values["reasons"], name
        if values["score"] is not None:
            assert found[name]["score"] == pytest.approx(values["score"], rel=0.02, abs=0.05), name
