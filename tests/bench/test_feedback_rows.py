"""`assay bench calibrate --with-feedback`: labels weigh by how their samples were chosen, and what changes is shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from test_calibrate import CARDS, made, stored

from assay.bench.calibrate import calibrate
from assay.bench.feedback import alarms, joined, pending
from assay.bench.rows import read_scores
from assay.cli.bench_calibrate import calibrate as command
from assay.desk.stores import Stores
from assay.settings import Paths, Settings
from assay.store.feedback import Feedback
from assay.store.judgements import Judgements
from assay.types import Evidence, Finding, Kind, Label, Outcome, Reason
from assay.verdict import calibration as tables
from screenings import screened

CARD = {c["name"]: c for c in CARDS}


@pytest.fixture
def stores(tmp_path):
    with Stores.open(Settings(Paths(tmp_path / "data", tmp_path / "cache"))) as opened:
        yield opened


def labelled(
    stores, number, said, *, score, chosen="review", share=0.005, version=4, kinds=(Kind.FULL_SYNTHESIS,)
):
    content = f"{said}{number}".encode()
    one = screened(f"{said}{number}.jpg", content, label=Label.INCONCLUSIVE)
    finding = Finding(Outcome.SCORED, score, (Reason("learned_nothing", "."),))
    evidence = (Evidence("learned_image", version, "learned", finding, 0.0),)
    verdict = replace(one.verdict, evidence=evidence, kinds=kinds if said == "fake" else ())
    stores.records.add([replace(one, verdict=verdict, size_px=(800, 600))])
    with stores.database.write() as connection:
        Judgements.label(
            connection, one.sample.sha256, said, actor="ann", reason="r", chosen=chosen, share=share
        )
    return one.sample.sha256


def test_a_drawn_label_stands_for_those_not_drawn_and_a_chosen_one_for_itself(stores) -> None:
    labelled(stores, 1, "bona_fide", score=0.1)
    labelled(stores, 2, "bona_fide", score=2.0, chosen="quarantine", share=1.0)
    found = pending(stores, CARD)
    drawn, chosen = sorted(found.rows, key=lambda r: -r.weight)
    assert drawn.weight == pytest.approx(200 * chosen.weight)
    assert drawn.weight + chosen.weight == pytest.approx(2)
    assert (drawn.drawn, chosen.drawn) == (True, False)
    assert found.drawn == (drawn,)


def test_what_cannot_be_used_is_counted_by_its_reason(stores) -> None:
    labelled(stores, 1, "bona_fide", score=0.1, version=3)
    labelled(stores, 2, "fake", score=0.1, kinds=(Kind.KNOWN_FAKE,))
    with stores.database.write() as connection:
        Judgements.label(connection, "0" * 64, "fake", actor="ann", reason="r")
    found = pending(stores, CARD)
    assert found.rows == ()
    assert sorted(found.left_out.values()) == [1, 1, 1]


def test_samples_that_a_verdict_chose_enter_no_pool(stores, tmp_path) -> None:
    scores = read_scores([stored(tmp_path / "scores.parquet", made(120))])
    labelled(stores, 1, "bona_fide", score=9.0, chosen="quarantine", share=1.0)
    labelled(stores, 2, "bona_fide", score=0.2)
    from assay.bench.calibrate import described

    def sources(of) -> int:
        pool = described(calibrate(of, replicates=3))["pools"]["image/medium"]
        return len({row[0] for row in pool["bona_fide"]})

    assert sources(joined(scores, pending(stores, CARD))) == sources(scores) + 1


def test_false_alarms_are_counted_where_there_is_a_threshold(stores, tmp_path) -> None:
    path = stored(tmp_path / "scores.parquet", made(400))
    done = CliRunner().invoke(command, [str(path), "--out", str(tmp_path / "c.json"), "--draws", "3", "--force-confounded"])  # fmt: skip
    assert done.exit_code == 0, done.output
    known = tables.shipped(None, tmp_path / "c.json")
    labelled(stores, 1, "bona_fide", score=-3.0)
    labelled(stores, 2, "bona_fide", score=8.0)
    labelled(stores, 3, "fake", score=8.0)
    assert alarms(known, pending(stores, CARD).rows, 0.05) == (1, 2)


def test_the_command_shows_both_and_marks_the_labels_as_used(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("ASSAY_PATHS_DATA", str(tmp_path / "data"))
    path = stored(tmp_path / "scores.parquet", made(240))
    arguments = [
        str(path),
        "--out",
        str(tmp_path / "c.json"),
        "--draws",
        "3",
        "--force-confounded",
        "--with-feedback",
    ]
    nothing = CliRunner().invoke(command, arguments)
    assert (nothing.exit_code, "no pending label can be used" in nothing.output) == (2, True)
    with Stores.open(Settings(Paths(tmp_path / "data", tmp_path / "cache"))) as stores:
        for n, score in enumerate(np.random.default_rng(1).normal(size=30).tolist()):
            labelled(stores, n, "bona_fide", score=score)
        done = CliRunner().invoke(command, arguments)
        assert done.exit_code == 0, done.output
        assert "30 labels: 30 of samples drawn at random, 0 of samples that a verdict chose" in done.output
        for words in ("thresholds before", "thresholds after", "false alarms before", "false alarms after"):
            assert words in done.output
        assert Feedback(stores.database).labels(pending=True) == []
        version = Feedback(stores.database).labels()[0].used_in
        assert tables.shipped(None, tmp_path / "c.json").version.startswith(version)
    assert not (tmp_path / "c.json.before").exists()
