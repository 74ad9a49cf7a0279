"""New scores of one detector in the place of the committed ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra `bench` is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "train"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
import scoreboard
from pyarrow import parquet as pq

from assay.bench import parquet
from assay.bench.cache import Result
from assay.bench.manifest import Entry
from assay.bench.run import Scored
from assay.errors import AssayError
from assay.types import Outcome


def scored(number: int, detector: str, score: float, *, version: int = 1, rendition: str = "r") -> Scored:
    name = f"{number}.jpg"
    entry = Entry(name, Path(name), f"{number:064}", 9, "image", number % 2 == 1, "scene", "", f"s{number}")
    result = Result(Outcome.SCORED, score, (), rendition=f"{rendition}{number}")
    return Scored(entry, "as_is", metadata=False, detector=detector, version=version, result=result)


@pytest.fixture
def committed(tmp_path):
    path = tmp_path / "corpus.parquet"
    rows = [scored(n, d, n + 0.5) for n in range(3) for d in ("one", "two")]
    cards = [{"name": name, "version": 1} for name in ("one", "two")]
    parquet.write_scores(path, rows, {"detectors": cards, "corpus": "corpus", "rows": 6})
    return path


def test_scores_of_one_are_replaced_and_the_others_stay_where_they_were(committed):
    rows = [scored(n, "two", n - 9, version=2) for n in (2, 0, 1)]
    scoreboard.replace_scores(committed, rows, {"detectors": [{"name": "two", "version": 2}]})
    found = [
        (r["path"], r["detector"], r["version"], r["score"]) for r in pq.read_table(committed).to_pylist()
    ]
    assert found == [
        row for n in range(3) for row in ((f"{n}.jpg", "one", 1, n + 0.5), (f"{n}.jpg", "two", 2, n - 9))
    ]
    told = parquet.told_of(committed)
    assert [(c["name"], c["version"]) for c in told["detectors"]] == [("one", 1), ("two", 2)]
    assert (told["corpus"], told["rows"]) == ("corpus", 6)
    assert [p.name for p in committed.parent.iterdir()] == [committed.name]


def test_a_new_detector_comes_beside_the_others(committed):
    rows = [scored(n, "three", n + 7) for n in range(3)]
    scoreboard.replace_scores(committed, rows, {"detectors": [{"name": "three", "version": 1}]})
    found = [(r["detector"], r["score"]) for r in pq.read_table(committed).to_pylist()]
    assert found[:6] == [(d, n + 0.5) for n in range(3) for d in ("one", "two")]
    assert found[6:] == [("three", n + 7.0) for n in range(3)]
    told = parquet.told_of(committed)
    assert [c["name"] for c in told["detectors"]] == ["one", "two", "three"]
    assert told["rows"] == 9


@pytest.mark.parametrize("what", ["fewer", "others"])
def test_scores_of_other_renditions_replace_nothing(committed, what):
    before = committed.read_bytes()
    rows = [
        scored(n, "two", 0, rendition="r" if what == "fewer" else "x")
        for n in range(2 if what == "fewer" else 3)
    ]
    with pytest.raises(AssayError, match="other renditions"):
        scoreboard.replace_scores(committed, rows, {"detectors": [{"name": "two", "version": 2}]})
    assert committed.read_bytes() == before
    assert [p.name for p in committed.parent.iterdir()] == [committed.name]
