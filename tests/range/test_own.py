from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from assay.range import corpus, marking, own, photos
from assay.range.forge import Settings
from assay.testing import images


@pytest.fixture(scope="module")
def made(photos_folder, tmp_path_factory) -> Path:
    """A corpus of one fake and its twin."""
    out = tmp_path_factory.mktemp("own") / "corpus"
    found, _ = photos.scan(photos_folder)
    corpus.prepared(out)
    corpus.make(corpus.Work(photos_folder, out, Settings("inpaint", seed=3), found, marking.authority()), 0)
    corpus.summarise(out)
    return out


def test_a_corpus_is_told_by_its_recipes_even_without_a_manifest(made) -> None:
    (made / "manifest.csv").unlink()
    assert own.is_corpus(made)
    assert own.is_part(made / "media")
    assert not own.is_part(made)


@pytest.mark.parametrize("content", ['{"schema": "a cake/1"}', "[]", "no JSON", "\xff"])
def test_a_person_s_folder_of_the_same_names_is_none(tmp_path, content) -> None:
    for part in own.PARTS:
        (tmp_path / part).mkdir()
    (tmp_path / "recipes" / "cake.json").write_bytes(content.encode("latin-1"))
    (tmp_path / "manifest.csv").write_text(
        ",".join(corpus.COLUMNS) + "\n"
    )  # the bench's, of a person's photos
    assert not own.is_corpus(tmp_path)
    assert not own.is_part(tmp_path / "media")


def test_foreign_files_among_recipes_neither_crash_nor_hide_a_corpus(tmp_path) -> None:
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    (recipes / "deep.json").write_text("[" * 200_000)
    (recipes / "pipe.json").mkdir()
    for k in range(own.TRIED):
        (recipes / f"{k}.txt").write_text("{}")
    assert not own.is_corpus(tmp_path)
    (recipes / "own.json").write_text(json.dumps({"schema": own.SCHEMA}))
    assert own.is_corpus(tmp_path)


@pytest.mark.parametrize(("encode", "media_type"), [(images.jpeg, "image/jpeg"), (images.png, "image/png"), (images.webp, "image/webp")])  # fmt: skip
def test_a_picture_is_told_by_its_credential(tmp_path, encode, media_type) -> None:
    plain = encode(images.noise(400, 400))
    marked = marking.credentialed(
        plain, media_type, marking.authority(), source_type=marking.TWIN, recipe="ab" * 8, words="Made.", rights=""
    )  # fmt: skip
    path = tmp_path / "a"
    path.write_bytes(marked)
    assert own.is_marked(path)
    path.write_bytes(plain)
    assert not own.is_marked(path)
    assert not own.is_marked(tmp_path / "missing")


def test_the_marker_of_a_corpus_is_what_a_corpus_writes(made) -> None:
    (recipe,) = (made / "recipes").glob("*.json")
    assert json.loads(recipe.read_bytes())["schema"] == own.SCHEMA
    assert sorted(f for f in os.listdir(made) if (made / f).is_dir()) == sorted(own.PARTS)
