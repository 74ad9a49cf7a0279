"""An aligned corpus that cannot be written ends in a sentence, not in the exit code of a corpus that betrays its labels."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import corpora
import numpy as np
import pytest
from PIL import Image

from assay.bench import manifest
from assay.bench.align import align
from assay.errors import AssayError

pytestmark = pytest.mark.usefixtures("unjailed")


@pytest.fixture
def corpus(tmp_path):
    corpora.small(tmp_path / "in", each=2)
    mask = np.zeros((96, 96), np.uint8)
    mask[:48] = 255
    Image.fromarray(mask).save(tmp_path / "in/mask.png")
    rows = [
        *(corpora.row(f"{k}.jpg", fake=False, source=f"s{k}") for k in range(2)),
        *(
            corpora.row(f"{k}.png", fake=True, source=f"s{k}", kind="splice", mask="mask.png")
            for k in range(2, 4)
        ),
    ]
    return manifest.read(corpora.write(tmp_path / "in", rows))


@pytest.mark.parametrize("place", ["/proc/assay-out", "/dev/null/out", "/tmp/" + "n" * 300])
def test_a_folder_that_cannot_be_made_is_an_error_with_a_hint(corpus, place):
    with pytest.raises(AssayError, match="cannot be written to") as caught:
        align(corpus, Path(place))
    assert caught.value.code == "output"
    assert place in caught.value.message
    assert caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_else_is_an_error(corpus, tmp_path):
    (tmp_path / "shut").mkdir(mode=0o500)
    with pytest.raises(AssayError, match="permission denied"):
        align(corpus, tmp_path / "shut")


def test_a_bad_folder_is_told_before_anything_is_decoded(corpus, monkeypatch):
    monkeypatch.setattr("assay.bench.align.Hands.open", lambda *_: pytest.fail("decoded"))
    with pytest.raises(AssayError, match="cannot be written to"):
        align(corpus, Path("/proc/assay-out"))


@pytest.mark.parametrize("what", ["media", "masks", "manifest.csv", "left_out.txt"])
def test_a_full_disk_is_an_error_and_leaves_a_folder_that_can_be_used_again(
    corpus, tmp_path, monkeypatch, what
):
    def full(real):
        def write(path, *a, **k):
            if what in str(path):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(path, *a, **k)

        return write

    if what == "left_out.txt":
        (tmp_path / "in/torn.jpg").write_bytes(b"\xff\xd8\xff\xe0")
        with corpus.path.open("a") as file:
            file.write("torn.jpg,bona_fide,scene,,torn,,\n")
        corpus = manifest.read(corpus.path)
    out = tmp_path / "out"
    with monkeypatch.context() as patched:
        for method in ("write_bytes", "write_text"):
            patched.setattr(Path, method, full(getattr(Path, method)))
        save = Image.Image.save
        patched.setattr(
            Image.Image, "save", lambda i, to, *a, **k: full(lambda _to: save(i, to, *a, **k))(to)
        )
        with pytest.raises(AssayError, match="no space left") as caught:
            align(corpus, out)
    assert caught.value.code == "output"
    assert "room" in caught.value.hint
    assert not any(out.iterdir())
    assert align(corpus, out) == out / "manifest.csv"


def test_a_corpus_that_cannot_be_aligned_leaves_nothing(tmp_path):
    rows = []
    (tmp_path / "in").mkdir()
    for k in range(4):
        (tmp_path / f"in/{k}.jpg").write_bytes(corpora.encoded(corpora.scene(k, 20 if k > 1 else 90)))
        rows.append(corpora.row(f"{k}.jpg", fake=k > 1, source=f"s{k}"))
    read = manifest.read(corpora.write(tmp_path / "in", rows))
    with pytest.raises(AssayError, match="no common size"):
        align(read, tmp_path / "out")
    assert not any((tmp_path / "out").iterdir())
