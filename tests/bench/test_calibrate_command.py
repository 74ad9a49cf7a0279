"""`assay bench calibrate` at the terminal."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from test_calibrate import made, stored

from assay.bench import audit
from assay.cli.bench_calibrate import calibrate
from assay.errors import AssayError
from assay.verdict import calibration as tables


@pytest.fixture
def scores(tmp_path):
    return stored(tmp_path / "scores.parquet", made(240))


def call(*arguments):
    return CliRunner().invoke(calibrate, [str(a) for a in arguments])


def test_it_writes_a_calibration_that_can_be_used_and_says_what_it_holds(scores, tmp_path):
    out = tmp_path / "calibration.json"
    done = call(scores, "--out", out, "--draws", 4, "--force-confounded")
    assert done.exit_code == 0, done.output
    assert tables.shipped(None, out).version.startswith(json.loads(out.read_text("utf-8"))["version"])
    assert "learned_image" in done.output
    assert "120/120" in done.output
    assert "nats [" in done.output, "thresholds with the range of their false alarms"


def test_a_confounded_corpus_is_refused_before_anything_is_written(scores, tmp_path, monkeypatch):
    def refuse(path, **limits):
        assert path == scores
        assert limits in ({}, {"limit": 0.9})
        raise AssayError("size alone tells the label (AUC .97)", code="confounded", hint="--align")

    monkeypatch.setattr(audit, "refuse_if_confounded", refuse)
    for more in ((), ("--limit", 0.9)):
        done = call(scores, "--out", tmp_path / "c.json", "--draws", 2, *more)
        assert done.exit_code == 2
        assert "size alone tells the label" in done.output
        assert "what to do: --align" in done.output
    assert not (tmp_path / "c.json").exists()


def test_scores_of_a_version_that_is_not_installed_are_named(scores, tmp_path, monkeypatch):
    import dataclasses

    from assay.evidence import registry

    known = [e for e in registry.entries() if e.card.name == "learned_image"]
    newer = dataclasses.replace(known[0].card, version=99)
    monkeypatch.setattr(type(known[0]), "card", property(lambda _: newer))
    done = call(scores, "--out", tmp_path / "c.json", "--draws", 2, "--force-confounded")
    assert done.exit_code == 0
    assert "version 99 is installed: its map is void here" in done.output


def test_verdicts_instead_of_scores_and_a_file_that_is_not_there_end_in_a_sentence(scores, tmp_path):
    from pyarrow import parquet

    table = parquet.read_table(scores)
    parquet.write_table(table.drop_columns(["detector", "score"]), tmp_path / "verdicts.parquet")
    for path, told in (
        (tmp_path / "verdicts.parquet", "it has no"),
        (tmp_path / "none.parquet", "there is no file"),
    ):
        done = call(path, "--out", tmp_path / "c.json", "--force-confounded")
        assert (done.exit_code, told in done.output) == (2, True), done.output


def test_too_few_sources_and_a_folder_that_is_not_there_end_in_a_sentence(tmp_path):
    few = stored(tmp_path / "few.parquet", made(3))
    done = call(few, "--out", tmp_path / "c.json", "--force-confounded")
    assert (done.exit_code, "too few sources" in done.output) == (2, True)
    full = stored(tmp_path / "full.parquet", made(120))
    done = call(full, "--out", tmp_path / "nowhere" / "c.json", "--draws", 2, "--force-confounded")
    assert (done.exit_code, "cannot be written" in done.output) == (2, True)
