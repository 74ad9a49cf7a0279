"""From a recipe to bytes: parents, the maker, the watermark, the last save, the laundering; and the honest twin."""

from __future__ import annotations

import dataclasses
import io
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from assay.errors import AssayError, Failed
from assay.range import laundering, photos
from assay.range.generator import Generator, Parent, generator
from assay.range.laundering import Laundered
from assay.range.recipe import Ingredient, Recipe, planning
from assay.types import JSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from assay.range.photos import Photo

KEPT = 0.3  # least share of the changed part that a laundering must leave: a crop can cut it off


@dataclass(frozen=True, slots=True)
class Settings:
    """What a person chose for a corpus; it is the same for every output of it."""

    generator: str
    seed: int = 0
    long_side: int = 1280  # pixels; the sizes are drawn from 60 to 100 % of it
    last_save: tuple[int, int] | None = (85, 85)  # JPEG qualities to draw from, both included; None: PNG
    laundering: str = ""
    marked: bool = True
    twins: bool = True
    rights: str = ""
    choices: JSON = field(default_factory=dict)  # for the generator alone: {"decoders": ["shuffle_2"]}


@dataclass(frozen=True, slots=True)
class Forged:
    """A fake as it is written, before its credential, and its twin."""

    recipe: Recipe
    fake: Laundered
    intended: NDArray[np.bool_]  # (H, W) before the last save
    twin: Laundered


def enough(settings: Settings, found: Sequence[Photo]) -> None:
    """Make sure that there are as many photos as a fake takes: no photo is its own donor.

    Raises
    ------
    AssayError
        If there are fewer.
    """
    maker = maker_of(settings.generator)
    if len(found) < maker.count:
        raise AssayError(
            f"{maker.name} takes {maker.count} photos for a fake, and there is {len(found)}",
            code="too_few_photos",
            hint="Add photos, or choose a generator that takes one.",
        )


def drafted(settings: Settings, found: Sequence[Photo], index: int, attempt: int) -> Recipe:
    """Draw parents and saves of one output: everything but what the maker itself draws.

    The first attempt takes the photos in a shuffled order, so that all of them become hosts equally often; a later one,
    and every donor, is drawn from all.
    """
    enough(settings, found)
    maker = maker_of(settings.generator)
    rng = planning(settings.generator, settings.seed, index, attempt)
    order = np.random.default_rng(settings.seed).permutation(len(found))
    first = int(order[index % len(found)]) if attempt == 0 else int(rng.integers(len(found)))
    drawn = [first]
    while len(drawn) < maker.count:
        others = [n for n in range(len(found)) if n not in drawn]
        drawn.append(others[int(rng.integers(len(others)))])
    parents = tuple(
        Ingredient(
            path=found[n].path,
            sha256="",
            source=found[n].source,
            preparation=photos.preparation(found[n], settings.long_side, rng),
        )
        for n in drawn
    )
    low, high = settings.last_save or (0, 0)
    quality = int(rng.integers(low, high + 1))
    return Recipe(
        generator=maker.name, generator_version=maker.version, kind=str(maker.kind), seed=settings.seed, index=index,
        attempt=attempt, parents=parents, parameters={}, last_save=f"jpeg{quality}" if settings.last_save else "png",
        laundering=settings.laundering, laundering_version=laundering.VERSION, marked=settings.marked,
        rights=settings.rights, choices=settings.choices,
    )  # fmt: skip


def forged(recipe: Recipe, folder: Path) -> Forged | None:
    """Follow a recipe, a draft or a whole one; None where its parents or draws do not serve.

    Raises
    ------
    Failed
        If a parent cannot be read or does not serve, is another file than the recipe names, or the host's own once more.
    """
    maker = generator(recipe.generator, recipe.choices) if recipe.choices else maker_of(recipe.generator)
    parents = [
        photos.parent(folder, p.path, p.source, p.preparation, sha256=p.sha256 or None)
        for p in recipe.parents
    ]
    if not recipe.parents[0].sha256:  # a draft
        _distinct(parents)
    made = maker.make(parents, recipe.draws())
    if made is None or not maker.area[0] <= made.mask.mean() <= maker.area[1]:
        return None
    whole = dataclasses.replace(recipe, parameters=made.parameters, parents=_ingredients(made.parents))
    pixels = made.pixels
    if whole.marked:
        from assay.range.watermark import embed

        pixels = embed(pixels, whole.payload)
    fake = _sent(whole, pixels, made.mask)
    assert fake.mask is not None
    if fake.mask.mean() < KEPT * made.mask.mean() and whole.laundering != "screenshot":
        return None
    return Forged(whole, fake, made.intended, _sent(whole, made.parents[0].pixels, None))


def _distinct(parents: Sequence[Parent]) -> None:
    """A photo can lie in a folder twice."""
    host, *donors = parents
    for donor in donors:
        if donor.sha256 == host.sha256:
            raise Failed(f"{donor.path}: no donor for {host.path}, it is the same file")


def _sent(recipe: Recipe, pixels: NDArray[np.uint8], mask: NDArray[np.bool_] | None) -> Laundered:
    """Save, and send on from there."""
    seed = recipe.laundering_seed
    if recipe.last_save == "png":
        if recipe.laundering:
            return laundering.launder(pixels, recipe.laundering, seed=seed, mask=mask)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=6)
        return Laundered(file.getvalue(), "image/png", mask)
    saved = laundering.launder(pixels, recipe.last_save, seed=seed, mask=mask)
    if not recipe.laundering:
        return saved
    again = np.array(Image.open(io.BytesIO(saved.data)))
    return laundering.launder(again, recipe.laundering, seed=seed, mask=mask)


def _ingredients(parents: Sequence[Parent]) -> tuple[Ingredient, ...]:
    return tuple(
        Ingredient(path=p.path, sha256=p.sha256, source=p.source, preparation=p.preparation) for p in parents
    )


@cache
def maker_of(name: str) -> Generator:
    """Make each maker once a process: some hold sessions of weights."""
    return generator(name)
