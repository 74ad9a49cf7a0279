from __future__ import annotations

from pathlib import Path

import corpora
import numpy as np
import pytest
from PIL import Image

from assay.bench import audit, crossfit, manifest
from assay.bench.align import align
from assay.errors import AssayError
from assay.types import Kind

pytestmark = pytest.mark.usefixtures("unjailed")


def corpus(folder: Path, n: int, make) -> Path:
    """`n` samples of each class, their bytes and names made by ``make(k, fake)``."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for k in range(2 * n):
        fake = k >= n
        name, data = make(k, fake)
        (folder / name).write_bytes(data)
        rows.append(corpora.row(name, fake=fake, source=f"scene {k}"))
    return corpora.write(folder, rows)


def alike(k: int, _fake: bool) -> tuple[str, bytes]:
    """Sizes, qualities and formats drawn alike for both classes."""
    rng = np.random.default_rng(k)
    pixels = corpora.scene(k, int(rng.integers(64, 110)))
    if rng.random() < 0.3:
        return f"{k}.png", corpora.encoded(pixels, "PNG")
    return f"{k}.jpg", corpora.encoded(pixels, quality=int(rng.integers(70, 96)))


def pngs(k: int, fake: bool) -> tuple[str, bytes]:
    kind = "PNG" if fake else "JPEG"
    return f"{k}.{kind.lower()}", corpora.encoded(corpora.scene(k), kind)


def finer(k: int, fake: bool) -> tuple[str, bytes]:
    quality = int(
        np.random.default_rng(k).integers(90, 97) if fake else np.random.default_rng(k).integers(70, 92)
    )
    return f"{k}.jpg", corpora.encoded(corpora.scene(k), quality=quality)


def larger(k: int, fake: bool) -> tuple[str, bytes]:
    size = int(
        np.random.default_rng(k).integers(90, 130) if fake else np.random.default_rng(k).integers(60, 95)
    )
    return f"{k}.jpg", corpora.encoded(corpora.scene(k, size), quality=90)


def tagged(k: int, fake: bool) -> tuple[str, bytes]:
    exif = Image.Exif()
    if not fake:
        exif[0x010F] = "A maker of cameras"
    return f"{k}.jpg", corpora.encoded(corpora.scene(k), quality=90, exif=exif.tobytes() if not fake else b"")


def test_an_honest_corpus_does_not_alarm(tmp_path):
    found = audit.audit(manifest.read(corpus(tmp_path, 30, alike)))
    assert not found.betrayed, found.betraying
    assert found.known
    assert found.n == (30, 30)
    assert "No shortcut is over" in "\n".join(audit.lines(found))


@pytest.mark.parametrize(
    ("make", "shortcut"),
    [(pngs, "format"), (finer, "JPEG quality"), (larger, "width"), (tagged, "metadata")],
)
def test_a_confounded_corpus_is_caught_and_the_shortcut_is_named(tmp_path, make, shortcut):
    path = corpus(tmp_path, 15, make)
    found = audit.audit(manifest.read(path))
    assert found.betrayed
    named = {s.name: s for s in found.betraying}
    assert shortcut in named
    assert named[shortcut].auc.value > 0.8
    assert named[shortcut].telling
    with pytest.raises(AssayError, match="betrays its labels") as caught:
        audit.refuse_if_confounded(path)
    assert caught.value.code == "confounded"
    assert shortcut in caught.value.message
    audit.refuse_if_confounded(path, limit=1.0)  # the operator's word


def test_an_aligned_corpus_passes(tmp_path):
    def worst(k: int, fake: bool) -> tuple[str, bytes]:
        if fake:
            return f"{k}.png", corpora.encoded(corpora.scene(k, 150 + k), "PNG", text="steps: 20")
        return f"{k}.jpg", corpora.encoded(corpora.scene(k, 100 + k)[: 90 + k], quality=60 + k)

    path = corpus(tmp_path / "before", 15, worst)
    assert audit.audit(manifest.read(path)).betrayed
    made = align(manifest.read(path), tmp_path / "after")
    read = manifest.read(made)
    assert len(read.entries) >= 28  # the smallest may be left out
    found = audit.audit(read)
    assert not found.betrayed, found.betraying
    for entry in read.entries:
        with Image.open(entry.path) as picture:
            assert picture.format == "JPEG"
            assert picture.width == picture.height
            assert not picture.getexif()
    with pytest.raises(AssayError, match="in use"):
        align(read, tmp_path / "after")


def test_alignment_carries_masks_and_what_the_manifest_says(tmp_path):
    corpora.small(tmp_path / "in", each=3)
    mask = np.zeros((96, 96), np.uint8)
    mask[:48] = 255
    Image.fromarray(mask).save(tmp_path / "in/mask.png")
    rows = [
        *(corpora.row(f"{k}.jpg", fake=False, source=f"s{k}") for k in range(3)),
        *(
            corpora.row(f"{k}.png", fake=True, source=f"s{k}", kind="splice", mask="mask.png")
            for k in range(3, 6)
        ),
    ]
    read = manifest.read(align(manifest.read(corpora.write(tmp_path / "in", rows)), tmp_path / "out", seed=4))
    fakes = [e for e in read.entries if e.fake]
    assert {(e.kind, e.source, e.generator) for e in fakes} == {
        (Kind.SPLICE, f"s{k}", "painter") for k in range(3, 6)
    }
    for entry in fakes:
        with Image.open(entry.mask) as opened, Image.open(entry.path) as picture:
            carried = np.asarray(opened) > 127
            assert carried.shape == (picture.height, picture.width)
        assert carried.mean() == pytest.approx(0.5, abs=0.03)


def test_alignment_says_what_it_left_out(tmp_path):
    def sizes(k: int, _fake: bool) -> tuple[str, bytes]:
        return f"{k}.jpg", corpora.encoded(corpora.scene(k, 30 if k == 3 else 120))

    path = corpus(tmp_path / "in", 12, sizes)
    (tmp_path / "in/torn.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with path.open("a") as file:
        file.write("torn.jpg,bona_fide,scene,,torn\n")
    made = align(manifest.read(path), tmp_path / "out")
    told = (tmp_path / "out/left_out.txt").read_text()
    assert "3.jpg: its shorter side of 30 pixels is too small" in told
    assert "torn.jpg" in told
    assert len(manifest.read(made).entries) == 23


def test_pictures_without_a_common_size_cannot_be_aligned(tmp_path):
    path = corpus(
        tmp_path / "in",
        3,
        lambda k, fake: (f"{k}.jpg", corpora.encoded(corpora.scene(k, 20 if fake else 90))),
    )
    with pytest.raises(AssayError, match="no common size"):
        align(manifest.read(path), tmp_path / "out")


def test_a_corpus_of_three_neither_alarms_nor_clears(tmp_path):
    rows = []
    for k in range(3):
        (tmp_path / f"{k}.jpg").write_bytes(corpora.encoded(corpora.scene(k, 60 + 9 * k)))
        rows.append(corpora.row(f"{k}.jpg", fake=k == 2, source=f"s{k}"))
    found = audit.audit(manifest.read(corpora.write(tmp_path, rows)))
    assert not found.betrayed
    assert not found.known
    assert "Too few sources" in "\n".join(audit.lines(found))


def test_one_class_cannot_be_audited(tmp_path):
    (tmp_path / "0.jpg").write_bytes(corpora.encoded(corpora.scene(0)))
    path = corpora.write(tmp_path, [corpora.row("0.jpg", fake=False, source="s")])
    with pytest.raises(AssayError, match="needs both classes"):
        audit.audit(manifest.read(path))


def test_samples_that_cannot_be_read_are_told_and_left_out(tmp_path):
    path = corpus(tmp_path, 6, alike)
    (tmp_path / "torn.bin").write_bytes(b"\x00\x01\x02 no medium")
    with path.open("a") as file:
        file.write("torn.bin,bona_fide,scene,,torn\n")
    found = audit.audit(manifest.read(path))
    assert found.n == (6, 6)
    assert [u.name for u in found.unread] == ["torn.bin"]


def test_a_source_on_both_sides_would_be_a_leak_and_is_kept_together():
    sources = [f"s{k % 7}" for k in range(70)]
    fake = np.arange(70) % 2 == 0
    fold = crossfit.folds(sources, fake, 0)
    assert all(
        len({f for f, s in zip(fold.tolist(), sources, strict=True) if s == name}) == 1
        for name in set(sources)
    )
    # A word that names the source tells nothing of other sources, though it would tell everything of its own.
    values = np.array([int(s[1:]) for s in sources])
    scores = crossfit.cross_fitted([values], fake, fold)
    assert np.all(scores == 0)


def test_the_logistic_model_is_that_of_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(0)
    x = np.eye(4)[rng.integers(0, 4, 200)]
    fake = rng.random(200) < np.array([0.1, 0.4, 0.6, 0.9])[x.argmax(1)]
    theirs = linear.LogisticRegression(C=1.0, class_weight="balanced", fit_intercept=False).fit(x, fake)
    assert crossfit.logistic(x, fake) == pytest.approx(theirs.coef_[0], abs=1e-3)


def test_bytes_measure_content_once_the_encoder_is_one(tmp_path):
    def noisy(k: int, fake: bool) -> tuple[str, bytes]:
        grain = np.random.default_rng(k).normal(0, 40 if fake else 0, (96, 96, 3))
        return f"{k}.jpg", corpora.encoded(
            np.clip(corpora.scene(k) + grain, 0, 255).astype(np.uint8), quality=90
        )

    found = audit.audit(manifest.read(corpus(tmp_path, 12, noisy)))
    sizes = next(s for s in found.found if s.name == "file size")
    assert sizes.auc.value > 0.9
    assert not sizes.counts
    assert not found.betrayed
