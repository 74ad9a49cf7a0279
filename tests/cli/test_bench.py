"""`assay bench`: what the command adds to the modules below it, which are tested in tests/bench."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from assay.bench import manifest
from assay.cli import root
from assay.cli.bench import _plain_progress
from assay.errors import AssayError


def picture(seed: int, kind: str) -> bytes:
    rng = np.random.default_rng(seed)
    ground = np.cumsum(rng.normal(0, 2, (64, 80, 3)), axis=1) + 128
    buffer = io.BytesIO()
    Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Three bona fide JPEGs and three fake PNGs."""
    rows = []
    for k in range(6):
        kind = "JPEG" if k < 3 else "PNG"
        (tmp_path / f"{k}").write_bytes(picture(k, kind))
        label = {"label": "bona_fide"} if k < 3 else {"label": "fake", "generator": "g"}
        rows.append({"path": f"{k}", "family": "scene", "source": f"s{k}", **label})
    manifest.write(tmp_path / "m.csv", rows)
    return tmp_path / "m.csv"


@pytest.fixture
def call(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: object):
        return CliRunner().invoke(root, ["bench", *map(str, arguments)], standalone_mode=False)

    return run


def test_the_group_names_its_commands(call):
    told = call("--help").output
    for name in ("run", "audit", "calibrate"):
        assert f"\n  {name} " in told


@pytest.mark.parametrize("command", ["run", "audit"])
def test_a_manifest_that_is_not_there_is_told_before_anything_starts(call, tmp_path, command):
    error = call(command, tmp_path / "none.csv").exception
    assert isinstance(error, AssayError)
    assert "cannot be read" in error.message


def test_unknown_detectors_and_launderings_are_told_with_what_there_is(call, corpus):
    error = call("run", corpus, "--detectors", "jpeg_grid,crystal_ball").exception
    assert isinstance(error, AssayError)
    assert "no detector crystal_ball" in error.message
    assert "jpeg_grid" in error.hint
    error = call("run", corpus, "--detectors", "jpeg_grid", "--laundering", "instagram").exception
    assert isinstance(error, AssayError)
    assert "social" in error.hint


def test_a_detector_that_was_named_and_lacks_its_weights_is_an_error(call, corpus):
    error = call("run", corpus, "--detectors", "learned_image").exception
    assert isinstance(error, AssayError)
    assert "lacks its weights" in error.message
    assert "assay models pull" in error.hint


def test_without_pyarrow_it_says_how_to_get_it(call, corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    error = call("run", corpus).exception
    assert isinstance(error, AssayError)
    assert ".[bench]" in error.hint


def test_progress_without_a_terminal_is_a_line_each_tenth(capsys):
    progress = _plain_progress()
    for done in range(100, 201):
        progress(done, 200)
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "200 results, 100 of them cached"
    assert told[-1] == "200 of 200, about 0 min left"
    assert len(told) == 7


def test_where_nobody_reads_the_corpus_the_run_says_so_and_fails(call, corpus, tmp_path):
    done = call("run", corpus, "--detectors", "generator_metadata", "--out", tmp_path / "out")
    assert done.return_value == 2
    assert "not one sample could be scored" in done.output
    assert "6 samples were examined by nobody" in done.output


def test_an_out_that_cannot_be_made_is_told(call, corpus):
    error = call("run", corpus, "--detectors", "generator_metadata", "--out", corpus / "sub").exception
    assert isinstance(error, AssayError)
    assert "cannot be made" in error.message


@pytest.mark.slow
def test_a_corpus_is_run_and_run_again_and_audited(home, corpus, tmp_path):
    def assay(*arguments: object) -> subprocess.CompletedProcess[bytes]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ASSAY_", "XDG_"))}
        return subprocess.run(
            [sys.executable, "-m", "assay", *map(str, arguments)],
            env=kept | {"HOME": str(home), "PYTHONWARNINGS": "error"},
            capture_output=True,
            check=False,
            timeout=600,  # three times a zygote, on a busy machine
        )

    arguments = (
        "bench",
        "run",
        corpus,
        "--detectors",
        "jpeg_grid,container_structure",
        "--laundering",
        "jpeg95,half",
    )
    out = tmp_path / "out"
    first = assay(*arguments, "--with-metadata", "--out", out, "--json", "-j", "1")
    assert first.returncode == 0, first.stderr
    told = json.loads(first.stdout)
    assert told["metadata_removed"].keys() == {"panel", "jpeg_grid"}
    assert told["with_metadata"].keys() == {"panel", "jpeg_grid", "container_structure"}
    assert {p.name for p in out.iterdir()} == {
        "report.html",
        "scores.parquet",
        "verdicts.parquet",
        "summary.json",
    }
    second = assay(*arguments, "--out", out)
    assert b"12 results, 12 of them cached" in second.stderr
    assert b"0 results computed, 12 from the cache" in second.stdout
    audited = assay("bench", "audit", corpus)
    assert audited.returncode in (0, 1)  # three a class: whether it is established depends on the interval
    assert b"3 bona fide samples, 3 fakes" in audited.stdout
    assert b"all together" in audited.stdout
