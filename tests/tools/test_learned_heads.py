"""The heads of `learned_image` on invented features: what is kept apart, what is balanced, what is left out."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("sklearn", reason="the extra `train` is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "train"))
import corpus
import embeddings
import heads
import learned_image as trainer

WIDE = {"late": 3072, "middle": 2304}


def row(number: int, set_: str, source: str, label: str, condition: str = "matched") -> corpus.Row:
    short = 80 + 100 * (number % 9)
    return corpus.Row(
        f"{set_}/{number}.jpg", set_, source, "scene", label, short, "jpeg", 80, condition, -1.0
    )


def invented() -> embeddings.Embedded:
    """Fakes of two generators differ in the first features of the late blocks, reconstructions in those of the middle."""
    rng = np.random.default_rng(0)
    rows = [row(i, "camera_scenes", f"camera:{i % 20}", "bona_fide") for i in range(80)]
    rows += [row(i, "gemini", f"gemini:{i % 10}", "fake") for i in range(40)]
    rows += [row(i, "sd3", f"sd3:{i}", "fake") for i in range(40)]
    for i in range(40):
        name = f"{('transposed', 'nearest')[i % 2]}_2"
        rows += [
            row(i, f"parent:{name}", f"camera:{i % 20}", "bona_fide", "pair"),
            row(i, f"reconstruct:{name}", f"camera:{i % 20}", "fake", "pair"),
        ]
    # Both of a pair share a name.
    rows = [
        corpus.Row(**{**vars_of(r), "name": f"pair/{r.name.split('/')[1]}"}) if r.condition == "pair" else r
        for r in rows
    ]
    fake = np.array([r.label == "fake" for r in rows])
    pair = np.array([r.condition == "pair" for r in rows])
    late, middle = (rng.normal(size=(len(rows), n)) for n in WIDE.values())
    late[fake & ~pair, :120] += 1.0
    middle[fake & pair, :20] += 4.0
    return embeddings.Embedded(tuple(rows), late.astype(np.float16), middle.astype(np.float16))


def vars_of(r: corpus.Row) -> dict[str, object]:
    return {name: getattr(r, name) for name in corpus.Row.__dataclass_fields__}


@pytest.fixture(scope="module")
def data() -> heads.Set:
    return heads.prepared(invented())


@pytest.fixture(scope="module")
def whole(data: heads.Set) -> heads.Family:
    return heads.family(data, heads.without(data, ""))


def test_a_camera_is_in_one_fold_however_a_manifest_spells_it() -> None:
    assert heads.fold_of("camera:Canon  Canon EOS") == heads.fold_of("Canon Canon EOS")


def test_out_of_fold_scores_tell_the_classes_apart_and_bona_fide_ones_are_standard(
    data: heads.Set, whole: heads.Family
) -> None:
    pictures = data.matched
    assert trainer.auc(whole.late[pictures & data.fake], whole.late[pictures & ~data.fake]) > 0.8
    assert trainer.auc(whole.middle[data.pair & data.fake], whole.middle[data.pair & ~data.fake]) > 0.8
    for part in (whole.late, whole.middle):
        assert part[~data.fake].mean() == pytest.approx(0, abs=1e-6)
        assert part[~data.fake].std() == pytest.approx(1, abs=1e-6)


def test_a_familys_head_gives_its_own_out_of_fold_scores(data: heads.Set, whole: heads.Family) -> None:
    for i in (0, 50, 150):
        head = whole.heads[data.fold[i]]
        scores = (
            head.late.score(data.late[i].astype(np.float32)),
            head.middle.score(data.middle[i].astype(np.float32)),
        )
        assert scores == pytest.approx((whole.late[i], whole.middle[i]), abs=1e-3)


def test_a_head_learned_nothing_from_its_own_fold(data: heads.Set, whole: heads.Family) -> None:
    turned = np.where((data.fold == 2)[:, None], -3 * data.middle, data.middle)
    other = heads.Set(**{**{n: getattr(data, n) for n in heads.Set.__dataclass_fields__}, "middle": turned})
    again = heads.fit_part(other, "middle", data.trained & (data.fold != 2))
    before = heads.fit_part(data, "middle", data.trained & (data.fold != 2))
    assert np.allclose(again.weight, before.weight)
    assert not np.allclose(heads.fit_part(other, "middle", data.trained).weight, before.weight)


def test_left_out_rows_are_the_generators_own(data: heads.Set) -> None:
    assert set(data.set[heads.without(data, "sd3")]) == {"sd3"}
    kind = heads.without(data, "reconstruct:nearest")
    assert set(data.set[kind]) == {"parent:nearest_2", "reconstruct:nearest_2"}
    assert heads.without(data, "reconstruct").sum() == data.pair.sum()
    assert not heads.without(data, "").any()


@pytest.mark.parametrize(
    ("generator", "left"),
    [
        ("Stable Diffusion 3", "sd3"),
        ("ComfyUI workflow (see its metadata)", "comfyui"),
        ("Gemini 3 Pro", "gemini"),
        ("reconstruct:shuffle_4", "reconstruct:shuffle"),
        ("reconstruct", "reconstruct"),
        ("splice", ""),
        ("", ""),
    ],
)
def test_a_manifests_generator_says_what_is_left_out(generator: str, left: str) -> None:
    assert heads.left_out(generator) == left


def test_both_classes_weigh_the_same_and_pairs_as_much_as_they_should(data: heads.Set) -> None:
    w = heads.balanced(data, data.trained, 0.5)
    assert w[data.fake].sum() == pytest.approx(w[~data.fake].sum())
    assert w[data.pair].sum() == pytest.approx(0.5 * w[~data.pair].sum())
    for size in range(4):
        cell = data.matched & (data.bin == size)
        assert w[cell & data.fake].sum() == pytest.approx(w[cell & ~data.fake].sum(), rel=0.1)


def test_a_sample_is_scored_by_the_head_of_its_fold_or_of_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "embed", lambda _cache, _roots: invented())
    (tmp_path / "digests.json").write_text(json.dumps({"a" * 64: "camera:3", "b" * 64: "camera:4"}))
    served = heads.Heads(tmp_path, {})
    by_name = served.for_sample("3", "")
    assert served.for_sample("something else", "", ["a" * 64]) is by_name
    assert served.for_sample("camera:3", "Gemini 3 Pro") is not by_name
    assert heads.fold_of("camera:3") != heads.fold_of("camera:4")
    both = served.for_sample("x", "", ["a" * 64, "b" * 64])
    assert served.for_sample("x", "", ["b" * 64, "a" * 64]) is both
    assert not np.allclose(both.middle.weight, by_name.middle.weight)


def test_auc_counts_ties_half() -> None:
    assert trainer.auc(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == pytest.approx(0.875)


def test_classes_weigh_the_same_among_thumbnails_and_among_all_others(data: heads.Set) -> None:
    rows = tuple(
        dataclasses.replace(r, history="thumbnail" if i % 3 == 0 and r.condition == "matched" else "")
        for i, r in enumerate(data.rows)
    )
    told = dataclasses.replace(data, rows=rows, history=np.array([r.history for r in rows]))
    w = heads.weights(told, told.matched)
    for history in ("", "thumbnail"):
        cell = told.matched & (told.history == history)
        assert w[cell & told.fake].sum() == pytest.approx(w[cell & ~told.fake].sum(), rel=0.15)


def picture_group(**changed: object) -> corpus.Group:
    fields: dict[str, object] = {
        "name": "made", "root": "packages", "folder": ".", "label": "fake", "content": "scene",
        "source": "picture", "views": 2, "native": False, "names": ("*.png",), "licence": "made by this test",
    }  # fmt: skip
    return corpus.Group(**(fields | changed))  # type: ignore[arg-type]


def test_a_grid_of_pictures_gives_each_of_them_its_own_views(tmp_path: Path) -> None:
    grid = np.repeat(np.repeat(np.arange(9, dtype=np.uint8).reshape(3, 3) * 20, 100, 0), 100, 1)
    Image.fromarray(np.stack([grid] * 3, 2)).save(tmp_path / "grid.png")
    found = list(corpus.views(tmp_path / "grid.png", picture_group(tiles=3)))
    assert len(found) == 18
    assert len({row.source for row, _ in found}) == 9
    for row, pixels in found:
        k = int(row.name.rpartition("#")[2])
        assert np.abs(pixels.astype(int) - 20 * k).max() <= 3


def test_thumbnails_are_square_and_say_what_they_went_through(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (500, 900, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "wide.png")
    group = picture_group(label="bona_fide", thumbnails=3)
    found = list(corpus.thumbnails(tmp_path / "wide.png", group))
    assert [row.history for row, _ in found] == ["thumbnail"] * 3
    assert all(pixels.shape[0] == pixels.shape[1] <= 500 for _, pixels in found)
    assert [row.history for row, _ in corpus.views(tmp_path / "wide.png", group)] == ["", ""]


def test_generators_that_are_held_out_take_their_training_pictures_with_them() -> None:
    names = [g.name for g in corpus.groups(embeddings.LISTS[1])]
    for left in ("sd3", "comfyui"):
        assert any(n.startswith(left) for n in names)
    assert not any("gemini" in n or "nano_banana" in file for n, file in _files_of(embeddings.LISTS[1]))


def _files_of(path: Path) -> list[tuple[str, str]]:
    return [(g.name, file) for g in corpus.groups(path) for file in g.names]


def test_pictures_of_one_name_in_two_packages_are_two_sources(tmp_path: Path) -> None:
    group = picture_group(name="stock_scenes", folder=".")
    sources = set()
    for package in ("one-1.0", "two-1.0"):
        path = tmp_path / package / "package" / "img" / "bg.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(np.zeros((80, 80, 3), np.uint8)).save(path)
        sources |= {row.source for row, _ in corpus.views(path, group)}
    assert len(sources) == 2
