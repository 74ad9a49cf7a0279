"""A small calibration of made-up detectors, and short words for evidence."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.settings import Paths, Settings
from assay.types import Evidence, Finding, Kind, Outcome, Reason
from assay.verdict import calibration as tables
from assay.verdict.calibration import Calibration, Context

FITTED = {
    "format": 3,
    "version": "test",
    "detectors": {
        name: {
            "version": 1,
            "media_family": "image",
            "family": family,
            "claims": [],  # of fakes of any kind
            "cells": [
                {"size": "medium", "quality": [0, 100], "n_bona_fide": 99, "n_fake": 99, "knots": knots}
            ],
        }
        for name, family, knots in (
            ("jpeg_grid", "jpeg", [[0.0, -1.0], [2.0, 0.0], [10.0, 4.5]]),
            ("double_jpeg", "jpeg", [[0.0, -0.5], [5.0, 3.0]]),
            ("learned_image", "learned", [[-3.0, -3.0], [3.0, 3.0]]),
        )
    },
    "pools": {
        "image/medium": {  # rows of source, quality, hundredths of a nat of each detector
            "detectors": ["double_jpeg", "jpeg_grid", "learned_image"],
            "bona_fide": [
                [n, 0, -100 if n < 50 else None, llr, 0]
                for n, llr in enumerate([-100] * 95 + [0, 50, 100, 150, 200])
            ],
            "fakes": {"splice": [[n, 0, None, -100 if n < 20 else 400, 0] for n in range(50)]},
        }
    },
}
FAMILIES = {
    "jpeg_grid": "jpeg",
    "double_jpeg": "jpeg",
    "learned_image": "learned",
    "generator_metadata": "metadata",
    "container_structure": "structure",
    "content_credentials": "credentials",
    "known_digest": "records",
}


@pytest.fixture(scope="session")
def known() -> Calibration:
    reasons = tomllib.loads((tables.HERE / "reasons.toml").read_text(encoding="utf-8"))
    return tables.read(reasons, json.loads(json.dumps(FITTED)), {})


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(paths=Paths(Path("/data"), Path("/cache")))


@pytest.fixture(scope="session")
def context() -> Context:
    return Context(
        media_family="image",
        size_px=(800, 600),
        claims={"jpeg_grid": frozenset({Kind.SPLICE}), "learned_image": frozenset({Kind.FULL_SYNTHESIS})},
    )


@pytest.fixture(scope="session")
def said() -> Callable[..., Evidence]:
    """Make evidence: `said("jpeg_grid", "grid_foreign_region", score=4.0)`."""

    def make(detector: str, *codes: str, score: float | None = None, version: int = 1, **more) -> Evidence:
        reasons = tuple(Reason(code, f"{code} in the detector's words") for code in codes)
        number = float(len(codes)) if score is None else score
        finding = Finding(Outcome.SCORED, number, reasons, **more)
        return Evidence(detector, version, FAMILIES.get(detector, detector), finding)

    return make


@pytest.fixture(scope="session")
def broke() -> Callable[..., Evidence]:
    def make(detector: str, outcome: Outcome = Outcome.FAILED) -> Evidence:
        return Evidence(detector, 1, FAMILIES[detector], Finding(outcome, reasons=(Reason("x", "x"),)))

    return make
