"""The scoreboard's figures on made-up scores whose truth is known; its tools on media made here."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from assay.bench import scorepage
from assay.bench.calibrate import calibrate
from assay.bench.peers import Peer, PeerDetector
from assay.bench.rows import read_scores
from assay.bench.scoreboard import (
    contributions,
    detectors_table,
    figures,
    fused,
    judge,
    parts_by,
    regions_table,
)
from assay.media.views import Image
from assay.types import Outcome
from assay.verdict.mixture import UNTRACED

FAST = 4
DETECTORS = (
    ("seeing", "learned", ["full_synthesis"]),
    ("blind", "jpeg", ["splice"]),
    ("pasted", "noise", ["splice"]),
)


def rows(count=600, seed=5):
    """Sources of one bona fide and, every second, one fake rendition; `blind` says nothing of anything."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        for fake in (False, True) if i % 2 else (False,):
            kind = ("full_synthesis", "splice")[i % 4 == 1] if fake else None
            scores = {
                "seeing": rng.normal() + 3 * (kind == "full_synthesis"),
                "blind": rng.normal(),
                "pasted": rng.normal() + 2 * (kind == "splice"),
                "peer:other": rng.normal() + 1 * fake,
            }
            for name, score in scores.items():
                yield {
                    "sample": f"s{i}{fake}", "path": "x", "label": "fake" if fake else "bona_fide", "kind": kind,
                    "family": kind or "scene", "generator": kind, "source": f"s{i}", "laundering": "as_is" if fake and kind == "splice" else "jpeg95",
                    "rendition": "", "media_family": "image", "width": 800, "height": 600, "quality": 95, "detector": name,
                    "version": 1, "outcome": "scored", "score": float(score), "region_f1": 0.5 if name == "pasted" and kind == "splice" else None,
                    "elapsed_s": 0.1, "metadata": False,
                }  # fmt: skip


def stored(path, made):
    cards = [{"name": n, "family": f, "version": 1, "claims": c, "models": []} for n, f, c in DETECTORS]
    cards.append({"name": "peer:other", "family": "peer", "version": 1, "claims": [], "models": []})
    about = {
        "assay": "0",
        "laundering_version": 1,
        "detectors": cards,
        "samples": 3,
        "rows": 4,
        "settings": {"seed": 1},
    }
    table = pa.Table.from_pylist(list(made))
    parquet.write_table(table.replace_schema_metadata({b"assay": json.dumps(about).encode()}), path)
    return path


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("scores") / "pictures.parquet", rows())


@pytest.fixture(scope="module")
def found(path):
    return calibrate(read_scores([path]), replicates=FAST)


@pytest.fixture(scope="module")
def judged(found):
    return judge(found, budget=0.05)


def test_false_alarms_on_sources_that_were_not_seen_keep_to_the_budget(judged):
    honest = [j for j in judged if not j.row.fake]
    assert all(j.covered for j in honest)
    rate = np.mean([j.over for j in honest])
    assert 0.005 < rate < 0.05 + 3 * math.sqrt(0.05 / len(honest))
    assert np.mean([j.over for j in judged if j.row.fake]) > 5 * rate


def test_a_row_is_judged_without_its_own_source(tmp_path):
    """A bona fide source that scores higher than all others does not lift the threshold that it is held against."""
    made = list(rows(240))
    for r in made:
        if r["source"] == "s0" and r["detector"] != "blind":
            r["score"] = 9.0
    found = calibrate(read_scores([stored(tmp_path / "odd.parquet", made)]), replicates=2)
    (own,) = (j for j in judge(found, budget=0.02) if j.row.source == "s0")
    assert own.over


def test_the_fused_result_beats_its_best_part_and_what_adds_nothing_shows(found, judged):
    both = [j for j in judged if not j.row.fake or j.row.kind]
    panel = figures(both, fused)
    assert panel.auc.value > 0.9
    assert panel.auc.low < panel.auc.value < panel.auc.high
    told = {c.detector: c for c in contributions(found)}
    assert told["seeing"].auc[1] > 0, "its interval lies above nothing"
    assert told["pasted"].auc[1] > 0
    assert told["blind"].auc[1] <= 0.002
    assert abs(told["blind"].auc[0]) < 0.02


def test_every_detector_and_peer_has_its_row(found, judged):
    table = list(detectors_table(judged, found))
    assert [line.split(" | ")[0].strip("| ") for line in table[2:]] == ["panel", "blind", "pasted", "seeing", "peer:other"]  # fmt: skip
    peer = table[-1].split(" | ")
    assert peer[4:6] == ["-", "-"], "a peer's score is no LLR"


def test_a_kind_is_looked_for_where_one_who_spoke_claims_it(found):
    assert found.looks_for("splice", ["seeing", "pasted"])
    assert not found.looks_for("splice", ["seeing"])
    assert not found.looks_for("copy_move", ["seeing", "pasted", "blind"])
    assert not found.looks_for("splice", [])


def test_a_row_is_fused_by_those_who_spoke_on_it_alone(tmp_path):
    """Where only one of three speaks, the ratio is about its own kind: nobody's silence is counted against it."""
    made = [
        r | {"score": None, "outcome": "not_applicable"}
        if r["source"] == "s1" and r["detector"] != "seeing"
        else r
        for r in rows(240)
    ]
    found = calibrate(read_scores([stored(tmp_path / "one.parquet", made)]), replicates=2)
    (one,) = (j for j in judge(found) if j.row.source == "s1" and not j.row.fake)
    assert set(one.llrs) == {"seeing"}
    assert one.fused == pytest.approx(math.log((1 - UNTRACED) * math.exp(one.llrs["seeing"]) + UNTRACED))


def test_parts_hold_what_they_name(judged):
    parts = parts_by(judged, lambda r: r.kind, shared_bona_fide=True)
    assert set(parts) == {"full_synthesis", "splice"}
    assert sum(not j.row.fake for j in parts["splice"]) == 600
    assert {j.row.kind for j in parts["splice"] if j.row.fake} == {"splice"}
    own = parts_by(judged, lambda r: r.laundering, shared_bona_fide=False)
    assert {j.row.laundering for j in own["as_is"]} == {"as_is"}


def test_regions_are_those_of_the_detector_that_said_most(judged):
    table = list(regions_table(judged))
    assert any(line.startswith("| splice | pasted | .50") for line in table)
    panel = next(line for line in table if line.startswith("| splice | panel"))
    assert 0.2 < float(panel.split("|")[3].split("[")[0]) <= 0.5


def test_the_same_scores_give_the_same_page(tmp_path):
    path = stored(tmp_path / "pictures.parquet", rows(240))
    text = scorepage.page([path], replicates=2)
    assert text == scorepage.page([path], replicates=2)
    for heading in (
        "## Detectors, peers and the panel",
        "## False alarms",
        "## Forgeries saved as PNG",
        "| full_synthesis |",
    ):
        assert heading in text
    assert "nan" not in text


def test_forgeries_stand_in_the_tables_of_their_last_save(tmp_path):
    text = scorepage.page([stored(tmp_path / "pictures.parquet", rows(240))], replicates=2)
    tables = {t.split("\n")[0]: t for t in text.split("\n## ")}
    assert "| any, last save at 95-100 |" in tables["Forgeries saved at other JPEG qualities"]
    for other in ("saved once at JPEG 85", "of large size, saved as JPEG", "saved as PNG"):
        assert "No such rows." in tables[f"Forgeries {other}"]


ECHO = Peer(
    "echo", "echo==1", "MIT", "says how wide it is", "from PIL import Image", "Image.open(path).width"
)


def test_a_peer_answers_through_its_own_process():
    peer = PeerDetector(ECHO, Path(sys.executable))
    try:
        view = Image(coded=np.zeros((20, 33, 3), np.uint8))
        assert [peer.examine(view).score, peer.examine(view).score] == [33.0, 33.0]
    finally:
        peer.close()


def test_a_peer_that_cannot_answer_says_why():
    broken = Peer("broken", "x==1", "MIT", "x", "", "1 / 0")
    peer = PeerDetector(broken, Path(sys.executable))
    try:
        finding = peer.examine(Image(coded=np.zeros((8, 8, 3), np.uint8)))
    finally:
        peer.close()
    assert finding.outcome is Outcome.NOT_APPLICABLE
    assert "ZeroDivisionError" in finding.reasons[0].text


TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    monkeypatch.syspath_prepend(str(TOOLS / "train"))
    spec = importlib.util.spec_from_file_location("scoreboard_tool", TOOLS / "scoreboard.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_check_reports_what_differs(tool):
    class R:
        def __init__(self, sample, score, version=1):
            self.entry = type("E", (), {"sha256": sample, "name": sample})
            self.laundering, self.detector, self.version = "jpeg95", "d", version
            self.result = type("S", (), {"score": score})

    known = {(s, "jpeg95", "d"): {"version": 1, "score": 2.0} for s in "abc"}
    assert list(tool.differing([R("a", 2.00001)], known)) == []
    lines = list(tool.differing([R("a", 2.1), R("b", None), R("c", 2.0, 2), R("z", 1.0)], known))
    assert ["stored, 2.1 now" in lines[0], "None now" in lines[1], "make scoreboard" in lines[2], "not among" in lines[3]] == [True] * 4  # fmt: skip


def test_each_sample_draws_its_launderings_by_its_digest(tool):
    entry = type("E", (), {"sha256": "ab" * 32})
    assert tool.drawn(entry, "camera", 0, 1) == ("as_is",)
    ways = tool.drawn(entry, "pictures", 3, 1)
    assert ways == tool.drawn(entry, "pictures", 3, 1)
    assert (ways[0], len(set(ways))) == ("jpeg95", 4)
    assert tool.drawn(entry, "forgeries", 2, 1)[0] == "as_is"


def test_each_picture_is_brought_to_every_size_that_it_reaches_and_to_the_same_bytes(tool, tmp_path):
    from PIL import Image as Pillow

    from assay.bench import manifest

    rng = np.random.default_rng(1)
    (tmp_path / "photos").mkdir()
    group = {"root": "here", "folder": "photos", "label": "bona_fide", "content": "scene", "source": "picture", "views": 1, "native": False, "names": ("*.png",), "licence": "none"}  # fmt: skip
    media = tool.board_media
    files = []
    for name, side in (("a", 300), ("b", 120), ("c", 20)):
        path = tmp_path / "photos" / f"{name}.png"
        Pillow.fromarray(rng.integers(0, 255, (side, side + 9, 3), np.uint8)).save(path)
        files.append(media.Listed(path, media.corpus.Group(name="own", **group), tmp_path / "photos"))
    read = [
        manifest.read(media.pictures(media.in_turn(files, 1), tmp_path / out, 1)) for out in ("one", "two")
    ]
    assert [e.sha256 for e in read[0].entries] == [e.sha256 for e in read[1].entries]
    assert sorted((e.source, e.path.stem.split("-")[1]) for e in read[0].entries) == [
        ("own/a.png", "medium"), ("own/a.png", "small"), ("own/b.png", "small"),
    ]  # fmt: skip


@pytest.fixture
def photo(tool, tmp_path):
    """A listed picture of 300 x 309 pixels."""
    from PIL import Image as Pillow

    media = tool.board_media
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "a.png"
    noise = np.random.default_rng(2).integers(0, 255, (300, 309, 3), np.uint8)
    Pillow.fromarray(noise).resize((309, 300)).save(path)
    group = {"root": "here", "folder": "photos", "label": "bona_fide", "content": "scene", "source": "picture", "views": 1, "native": False, "names": ("*.png",), "licence": "none"}  # fmt: skip
    return media.Listed(path, media.corpus.Group(name="own", **group), tmp_path / "photos")


def test_what_was_saved_before_is_what_one_save_makes_of_the_picture(tool, photo, tmp_path):
    import io

    from PIL import Image as Pillow

    from assay.bench import manifest

    def pixels(name, saved):
        made = tool.board_media.pictures([photo], tmp_path / name, 1, ("medium",), saved)
        (entry,) = manifest.read(made).entries
        with Pillow.open(entry.path) as opened:
            return np.asarray(opened)

    file = io.BytesIO()
    Pillow.fromarray(pixels("plain", None)).save(file, "JPEG", quality=75)
    with Pillow.open(file) as once:
        assert (pixels("saved", (75, 75)) == np.asarray(once)).all()


def test_a_longer_list_leaves_the_older_corpora_as_they_are(tool):
    media = tool.board_media
    assert not {media.LATER, media.STOCK} & set(media.LISTS)
    assert not set(media.LONG_SIDES) & set(media.LATER_SIDES)
    assert set(tool.PARTS) == {*media.LONG_SIDES, *media.LATER_SIDES}
    assert set(tool.PARTS) | {"pictures", "camera", "saved", "more", "stock"} == set(tool.SHARES)


def test_photographs_come_out_of_a_resource_file_as_they_went_in(monkeypatch, tmp_path):
    import io

    from PIL import Image as Pillow

    spec = importlib.util.spec_from_file_location("unpack_tool", TOOLS / "calibration" / "unpack.py")
    unpack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(unpack)
    rng = np.random.default_rng(3)
    streams = []
    for side, kind in ((500, "WEBP"), (520, "JPEG"), (40, "JPEG")):
        buffer = io.BytesIO()
        Pillow.fromarray(rng.integers(0, 255, (side, side, 3), np.uint8)).save(buffer, kind)
        streams.append(buffer.getvalue())
    held = b"qres\xff\xd8\xffRIFF" + b"name".join(streams) + b"end"
    (tmp_path / "a.rcc").write_bytes(held)
    (tmp_path / "b.edj").write_bytes(held)
    monkeypatch.setattr(sys, "argv", ["unpack.py", str(tmp_path / "a.rcc"), str(tmp_path / "b.edj")])
    unpack.main()
    written = {p.name: p.read_bytes() for p in (tmp_path / "pictures").iterdir()}
    assert written == {"a-00.webp": streams[0], "a-01.jpg": streams[1], "b-00.jpg": streams[1]}
