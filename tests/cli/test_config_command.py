"""`assay config`: explain, paths, check."""

from __future__ import annotations

import json

import pytest

from assay.cli import main
from assay.evidence.registry import entries
from assay.verdict import calibration as tables


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("assay.places.SYSTEM", tmp_path / "etc")
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*arguments])
        out = capsys.readouterr()
        return int(ended.value.code or 0), out.out, out.err

    return call


def test_explain_shows_value_origin_and_words(run, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[limits]\npixels = "9 MP"\n', encoding="utf-8")
    code, out, _ = run("--config", str(file), "config", "explain", "limits.pixels")
    assert code == 0
    assert out.startswith(f"limits.pixels = 9000000  [{file}]")
    assert "refused before decoding" in out


def test_explain_lists_every_setting_and_names_the_nearest_of_an_unknown_one(run):
    _, out, _ = run("config", "explain")
    assert "policy.known_fake" in out
    assert "reasons.generator_metadata.generator_comfyui" in out
    code, _, err = run("config", "explain", "limts")
    assert code == 2
    assert "limits" in err


def test_paths_name_files_and_places(run, tmp_path):
    code, out, _ = run("config", "paths")
    assert code == 0
    assert str(tmp_path / "etc" / "assay.override.toml") in out
    assert "quarantine" in out


def test_check_is_0_for_good_and_2_for_bad(run, tmp_path):
    assert run("config", "check")[0] == 0
    (tmp_path / "assay").mkdir()
    (tmp_path / "assay" / "assay.toml").write_text("jobs = 'many'", encoding="utf-8")
    code, _, err = run("config", "check")
    assert code == 2
    assert "jobs = 'many' will not do" in err


@pytest.fixture
def own(tmp_path, monkeypatch):
    file = tmp_path / "own.json"
    monkeypatch.setenv("ASSAY_PATHS_CALIBRATION", str(file))
    return file


@pytest.fixture
def fitted():
    """A calibration of the installed versions."""
    found = json.loads((tables.HERE / "calibration.json").read_text(encoding="utf-8"))
    for entry in entries():
        found["detectors"].get(entry.card.name, {})["version"] = entry.card.version
    return found


def test_check_reads_a_calibration_of_ones_own(run, own, fitted):
    for text in ("x", ""):
        own.write_text(text, encoding="utf-8")
        code, out, err = run("config", "check")
        assert code == 2
        assert "will do" not in out
        assert f"paths.calibration: the calibration {own} cannot be read" in err
        assert "assay bench calibrate" in err
    own.unlink()
    assert run("config", "check")[0] == 2
    own.write_text(json.dumps(fitted), encoding="utf-8")
    code, out, err = run("config", "check")
    assert (code, err) == (0, "")
    assert out.startswith("The configuration will do")


def test_check_names_the_detectors_that_a_calibration_is_void_for(run, own, fitted):
    fitted["detectors"]["learned_image"]["version"] = 1
    own.write_text(json.dumps(fitted), encoding="utf-8")
    code, out, err = run("config", "check")
    assert code == 2
    assert "will do" not in out
    assert (
        f"paths.calibration: {own} is void for learned_image (its calibration is of version 1, it is version "
        in err
    )
    assert "Calibrate anew with `assay bench calibrate` (docs/calibrate.md)." in err
