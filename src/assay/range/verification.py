"""Making samples of a corpus again from their recipes, and comparing them: does a recipe say all that it takes?"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assay.errors import AssayError, Failed
from assay.range import forge
from assay.range.corpus import documents
from assay.range.recipe import recipe_of
from assay.types import sha256_of


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of making one output again: `same`, `pixels` (other bytes, at most `apart` grey levels off) or `other`."""

    name: str
    state: str
    apart: int = 0
    why: str = ""


def verify(out: Path, n: int, seed: int, folder: Path | None = None) -> Iterator[Verified]:
    """Make `n` outputs again from their recipes, drawn by `seed`, and compare.

    Raises
    ------
    AssayError
        If there is no recipe.
    """
    found = documents(out)
    if not found:
        raise AssayError(
            f"there is no recipe in {out}", code="no_recipes", hint="Make some: assay range make."
        )
    order = np.random.default_rng(seed).permutation(len(found))[:n]
    for k in sorted(order):
        yield _verified(out, found[k], folder)


def _verified(out: Path, document: dict[str, Any], folder: Path | None) -> Verified:
    made = document["made"]
    name = Path(made["fake"]).stem
    for path, digest in document["files"].items():
        try:
            if sha256_of((out / path).read_bytes()) != digest:
                return Verified(name, "other", why=f"{path} was altered since")
        except OSError as e:
            return Verified(name, "other", why=f"{path}: {e.strerror or e}")
    recipe = recipe_of(document["recipe"])
    try:
        again = forge.forged(replace(recipe, parameters={}), folder or Path(document["photos"]))
    except Failed as e:
        return Verified(name, "other", why=e.message)
    if again is None or again.recipe.canonical() != recipe.canonical():
        return Verified(name, "other", why="the maker draws something else now")
    if sha256_of(again.fake.data) == made["rendition"]:
        return Verified(name, "same")
    stored, anew = (np.asarray(Image.open(f).convert("RGB"), np.int16) for f in (out / made["fake"], io.BytesIO(again.fake.data)))  # fmt: skip
    if stored.shape != anew.shape:
        return Verified(name, "other", why="another size")
    return Verified(name, "pixels", apart=int(np.abs(stored - anew).max()))
