from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path

import corpora
import numpy as np
import planted
import pytest

from assay.bench import diagrams, manifest, metrics, parquet
from assay.bench.bootstrap import Estimate
from assay.bench.fused import fused
from assay.bench.panel import Fixed
from assay.bench.report import page, write_text
from assay.bench.rows import read_scores
from assay.bench.run import Order, run
from assay.bench.summary import summarise
from assay.bench.table import Told, interval_text, lines, summary_json
from assay.config import load
from assay.errors import AssayError
from assay.evidence import registry
from assay.settings import Limits
from assay.testing import clips
from assay.verdict.calibration import shipped

pytestmark = pytest.mark.usefixtures("unjailed")


def told(path: Path, *detectors, **options) -> Told:
    usual = {"launderings": ("jpeg95", "half"), "cache": path.parent / "cache", "limits": Limits(), "jobs": 0}
    order = Order(manifest=manifest.read(path), panel=Fixed(detectors), **(usual | options))
    done = run(order)
    settings = load(environ={"HOME": str(path.parent)})
    verdicts = list(fused(done.rows, order.panel.cards, settings))
    about = parquet.about(order, "test")
    parquet.write_scores(path.parent / parquet.SCORES, done.rows, about)
    parquet.write_verdicts(path.parent / parquet.VERDICTS, verdicts, about)
    summary = summarise(done.rows, verdicts, shipped(), 0.01, replicates=60)
    return Told(order, done, summary, about, 0.01, "assay bench run <corpus> & more")


@pytest.fixture
def small(tmp_path) -> Told:
    path = corpora.small(tmp_path, each=4)
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with path.open("a") as file:
        file.write("torn.jpg,bona_fide,scene,,torn <source>\n")
    return told(path, planted.Brightness(), planted.Marks(), with_metadata=True)


class Tags(html.parser.HTMLParser):
    VOID = ("meta", "rect", "circle", "path", "polyline", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs): ...

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_a_panel_of_metadata_alone_is_worth_a_coin_without_them_and_the_second_column_shows_it_with(small):
    panel = small.summary.removed["panel"]
    assert panel.auc.value == 0.5
    assert panel.auc.low < 0.5 < panel.auc.high
    assert "marks" not in small.summary.removed
    assert small.summary.kept["marks"].auc.value == 1.0
    text = "\n".join(page(small))
    assert "reads metadata or marks: switched off" in text
    assert "With metadata: AUC" in text


def test_the_page_needs_nothing_from_outside_and_is_whole(small):
    text = "\n".join(page(small))
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert not re.search(r"(?:src|href)\s*=|@import|url\(", text)
    assert "<script" not in text
    for words in ("ROC", "DET", "By laundering", "By generator", "torn.jpg", "What failed: 1 of 9 samples"):
        assert words in text
    assert "&lt;corpus&gt; &amp; more" in text
    assert "torn <source>" not in text
    assert small.about["manifest"] in text


def test_the_terminal_tells_intervals_counts_and_failures(small):
    text = "\n".join(lines(small))
    assert "5 bona fide samples, 4 fakes" in text
    assert re.search(r"brightness\s+\S+ \[\S+-\S+\]", text)
    assert "8+8 (4+4)" in text
    assert "1 sample failed" in text


def test_json_holds_every_figure_and_no_nan(small):
    plain = json.loads(json.dumps(summary_json(small), allow_nan=False))
    assert plain["metadata_removed"]["brightness"]["auc"]["sources"] == 4
    assert plain["metadata_removed"]["brightness"]["tpr"] is None  # 8 bona fide renditions cannot promise 1 %
    assert plain["parts"]["laundering"].keys() == {"jpeg95", "half"}
    assert plain["failed"][0]["path"] == "torn.jpg"


def test_scores_are_read_back_by_who_calibrates(small):
    folder = small.order.manifest.path.parent
    read = read_scores([folder / parquet.SCORES])
    assert len({r.name for r in read.rows}) == 18
    assert {r.source for r in read.rows if r.fake} == {f"scene {k}" for k in range(4, 8)}
    assert parquet.told_of(folder / parquet.SCORES)["manifest"] == small.order.manifest.digest
    with pytest.raises(AssayError, match="no scores file"):
        parquet.told_of(folder / "manifest.csv")


def test_parquet_holds_the_columns_of_the_contract(small):
    from pyarrow import parquet as pq

    table = pq.read_table(small.order.manifest.path.parent / parquet.SCORES)
    wanted = "sample path label kind family generator source laundering rendition media_family width height quality"
    wanted += " detector version outcome score region_f1 elapsed_s metadata"
    assert set(wanted.split()) <= set(table.column_names)
    assert table.num_rows == 9 * (2 + 2)
    verdicts = pq.read_table(small.order.manifest.path.parent / parquet.VERDICTS)
    assert verdicts.num_rows == 8 * 3  # the torn one has none
    assert set(verdicts["verdict"].to_pylist()) <= {"fake", "bona_fide", "inconclusive"}


def test_one_class_gives_false_alarms_and_no_auc(tmp_path):
    corpora.small(tmp_path, each=3)
    path = corpora.write(tmp_path, [corpora.row(f"{k}.jpg", fake=False, source=f"s{k}") for k in range(3)])
    single = told(path, planted.Brightness())
    f = single.summary.removed["brightness"]
    assert not f.auc.known
    assert not f.cllr.known
    assert single.summary.removed["panel"].decided.n == 0  # nothing here is calibrated
    text = "\n".join(lines(single))
    assert "need both classes" in text
    assert "One class alone" in "\n".join(page(single))
    json.dumps(summary_json(single), allow_nan=False)


def test_a_detector_without_a_map_calls_nothing_fake_and_nothing_honest(small):
    f = small.summary.removed["brightness"]
    assert f.auc.known
    assert not any(e.known for e in (f.false_alarms, f.found, f.decided))
    panel = small.summary.removed["panel"]
    assert panel.auc.known
    assert not any(e.known for e in (panel.false_alarms, panel.found, panel.decided, panel.cllr))
    assert "<h1>Panel AUC .50, nothing calibrated</h1>" in "\n".join(page(small))


def test_n_says_on_how_many_a_detector_spoke(tmp_path):
    path = corpora.small(tmp_path, each=3)
    half = told(path, planted.Brightness(), planted.Landscape())
    f = half.summary.removed["landscape"]
    assert f.heard == (0, 0)
    assert f.n == (6, 6)
    assert "0+0 of 6+6" in "\n".join(lines(half))
    assert "0 + 0 scored" in "\n".join(page(half))


def test_samples_that_nobody_reads_are_counted_where_the_figures_stand(tmp_path):
    corpora.small(tmp_path, each=3)
    (tmp_path / "voice.flac").write_bytes(clips.silence(0.5))
    with (tmp_path / "manifest.csv").open("a") as file:
        file.write("voice.flac,bona_fide,scene,,voice\n")
    mixed = told(tmp_path / "manifest.csv", planted.Brightness())
    assert mixed.unread == 1
    assert "1 samples were examined by nobody" in "\n".join(lines(mixed))
    assert "Not examined:" in "\n".join(page(mixed))


def test_every_curve_of_a_full_panel_has_a_colour_of_its_own(small):
    style = Path(diagrams.__file__).with_name("report.css").read_text(encoding="utf-8")
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for part in (light, dark):
        colours = dict(re.findall(r"\.(c\d+) \{ --c: (#\w{6})", part))
        assert len(set(colours.values())) == len(colours) == diagrams.COLOURS
    assert len(registry.references()) <= diagrams.COLOURS


def test_nothing_but_unreadable_samples_still_gives_a_report(tmp_path):
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    broken = told(
        corpora.write(tmp_path, [corpora.row("torn.jpg", fake=False, source="s")]), planted.Brightness()
    )
    assert "Nothing could be scored" in "\n".join(page(broken))
    json.dumps(summary_json(broken), allow_nan=False)


def test_a_report_that_cannot_be_written_is_said_and_the_last_one_stays(tmp_path):
    with pytest.raises(AssayError, match="cannot be written"):
        write_text(tmp_path / "no" / "folder" / "r.html", "page")
    (tmp_path / "r.html").write_text("the last one")
    (tmp_path / "r.html.part").mkdir()
    with pytest.raises(AssayError, match="cannot be written"):
        write_text(tmp_path / "r.html", "page")
    assert (tmp_path / "r.html").read_text() == "the last one"


def test_numbers_are_short():
    assert interval_text(Estimate(1.0, 0.5, 1.0, 10, 3)) == "1.00 [.50-1.00]"
    assert interval_text(Estimate(float("nan"), 0, 0, 10, 3)) == "-"
    assert interval_text(Estimate(1.2, 0.9, float("inf"), 10, 3)) == "1.20 [.90-∞]"


def test_curves_with_many_points_are_thinned_and_stay_inside():
    rng = np.random.default_rng(0)
    fake = rng.random(5000) < 0.5
    scores = rng.normal(size=5000) + fake
    for drawing in (diagrams.roc({"one": (scores, fake)}), diagrams.det({"one": (scores, fake)})):
        points = re.findall(r'class="c0" points="([^"]+)"', drawing)[0].split()
        assert 20 < len(points) <= diagrams.MOST_POINTS
        assert all(
            58 <= float(p.split(",")[0]) <= 378 and 10 <= float(p.split(",")[1]) <= 330 for p in points
        )
    told = metrics.reliability(scores, fake)
    assert diagrams.reliability({"one": told}).count("<circle") == 10
