"""`assay models` as people use it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from assay.cli.models import models
from assay.evidence.models import Model

BYTES = b"weights" * 1000


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A catalogue of one model that lies in a file, and an empty models folder."""
    (tmp_path / "a.onnx").write_bytes(BYTES)
    digest = hashlib.sha256(BYTES).hexdigest()
    model = Model(
        name="small",
        source=f"file:{tmp_path}/a.onnx",
        sha256=digest,
        size=len(BYTES),
        licence="CC0",
        used_by=("some_detector",),
    )
    monkeypatch.setattr("assay.evidence.models.catalogue", lambda _own=None: {"small": model})
    return tmp_path / "models"


def run(shelf: Path, *words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(models, [words[0], "--folder", str(shelf), *words[1:]])
    return result.exit_code, result.stdout, result.stderr


def test_list_shows_state_size_licence_and_source(shelf: Path) -> None:
    code, out, _ = run(shelf, "list")
    assert code == 0
    for word in ("small", "missing", "MB", "CC0", "file:", "some_detector", "assay models pull"):
        assert word in out


def test_list_speaks_json(shelf: Path) -> None:
    _, out, _ = run(shelf, "list", "--json")
    assert json.loads(out)["state"] == "missing"


def test_pull_brings_a_model_and_says_so(shelf: Path) -> None:
    code, out, err = run(shelf, "pull")
    assert code == 0
    assert "pulled and verified" in out
    assert "copying 100 %" in err
    assert "present" in run(shelf, "list")[1]
    assert "already here" in run(shelf, "pull", "small")[1]


def test_pull_that_fails_says_what_to_do(shelf: Path) -> None:
    (shelf.parent / "a.onnx").unlink()
    code, _, err = run(shelf, "pull", "small")
    assert code == 2
    assert "what to do" in err


def test_what_no_detector_needs_is_pulled_by_name_alone(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.evidence import models as catalogues

    asked = replace(catalogues.catalogue()["small"], name="asked", on_request=True)
    monkeypatch.setattr("assay.evidence.models.catalogue", lambda _own=None: {"asked": asked})
    code, out, _ = run(shelf, "list")
    assert "assay models pull asked" in out
    assert (code, run(shelf, "pull")[:2]) == (0, (0, ""))
    assert "pulled and verified" in run(shelf, "pull", "asked")[1]


def test_verify_finds_an_altered_model(shelf: Path) -> None:
    run(shelf, "pull", "small")
    assert run(shelf, "verify")[:2] == (0, "small: present\n")
    next(shelf.glob("*.onnx")).write_bytes(b"rubbish")
    code, out, err = run(shelf, "verify")
    assert (code, out) == (2, "small: altered\n")
    assert "assay models pull small" in err


def test_verify_of_all_passes_over_what_was_never_pulled(shelf: Path) -> None:
    assert run(shelf, "verify")[:2] == (0, "small: missing\n")
    assert run(shelf, "verify", "small")[0] == 2
