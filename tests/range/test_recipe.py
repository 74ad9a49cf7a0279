from __future__ import annotations

import json
from dataclasses import replace

import pytest

from assay.errors import AssayError
from assay.range.recipe import Ingredient, Recipe, planning, recipe_of


@pytest.fixture
def recipe() -> Recipe:
    host = Ingredient(path="sub/é.jpg", sha256="ab" * 32, source="Pinhole One", preparation={"size": [4, 3]})
    return Recipe(
        generator="splice", generator_version=1, kind="splice", seed=7, index=3, attempt=0, parents=(host,),
        parameters={"b": 1, "a": [1.5, "x"]}, last_save="jpeg85", laundering="", laundering_version=1, marked=True,
        rights="",
    )  # fmt: skip


def test_the_same_recipe_is_the_same_text_whatever_the_order(recipe) -> None:
    other = replace(recipe, parameters={"a": [1.5, "x"], "b": 1})
    assert recipe.canonical() == other.canonical()
    assert recipe.id == other.id
    assert len(recipe.id) == 16


@pytest.mark.parametrize(
    "change", [{"seed": 8}, {"index": 4}, {"parameters": {}}, {"rights": "CC0"}, {"last_save": "jpeg86"}]
)
def test_any_change_is_another_recipe(recipe, change) -> None:
    assert replace(recipe, **change).id != recipe.id


def test_a_recipe_comes_back_from_its_text(recipe) -> None:
    assert recipe_of(json.loads(recipe.canonical())) == recipe


def test_a_choice_is_part_of_the_recipe_and_its_absence_is_not(recipe) -> None:
    chosen = replace(recipe, choices={"decoders": ["shuffle_2"]})
    assert chosen.id != recipe.id
    assert recipe_of(json.loads(chosen.canonical())) == chosen
    assert "choices" not in json.loads(recipe.canonical())  # ids are what they were before there were choices


@pytest.mark.parametrize("plain", [None, [], {}, {"schema": "assay/recipe/1"}, {"schema": "assay/recipe/2"}])
def test_what_is_no_recipe_is_refused(plain) -> None:
    with pytest.raises(AssayError, match="no recipe"):
        recipe_of(plain)


def test_a_name_that_is_no_text_survives(recipe) -> None:
    odd = replace(recipe, parents=(replace(recipe.parents[0], path="\udcff.jpg"),))
    assert odd.canonical().count(b"\xff") == 1


def test_draws_differ_by_output_and_purpose(recipe) -> None:
    firsts = {
        float(g.random())
        for g in (
            recipe.draws(),
            replace(recipe, index=4).draws(),
            replace(recipe, attempt=1).draws(),
            replace(recipe, generator="inpaint").draws(),
            planning("splice", 7, 3, 0),
        )
    }
    assert len(firsts) == 5
    assert recipe.draws().random() == recipe.draws().random()


def test_the_watermark_names_the_recipe(recipe) -> None:
    assert f"{recipe.payload:08x}" == recipe.id[:8]
