"""Recipes: all that it takes to make a sample of the range again, to the byte but for its credential.

The same recipe is the same text.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from assay.errors import AssayError
from assay.types import JSON

SCHEMA = "assay/recipe/1"
_MAKES, _PLANS = 1, 0  # what a seeded generator is for


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient:
    """A parent: which file, whose, and how it was prepared."""

    path: str  # below the folder of photos, "/" between its parts
    sha256: str
    source: str
    preparation: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one fake was made."""

    generator: str
    generator_version: int
    kind: str
    seed: int
    index: int
    attempt: int  # earlier ones did not serve
    parents: tuple[Ingredient, ...]
    parameters: JSON  # what the generator drew
    last_save: str  # "jpeg85", "png"
    laundering: str  # after the last save; "" for none
    laundering_version: int
    marked: bool  # does a watermark lie in the pixels?
    rights: str
    choices: JSON = field(default_factory=dict)  # a person's, for this generator alone; {} for its own draws

    def canonical(self) -> bytes:
        """One line of JSON, keys sorted, in UTF-8."""
        plain = {"schema": SCHEMA} | dataclasses.asdict(self)
        if not self.choices:
            del plain["choices"]  # recipes keep the ids they had before there were choices
        text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return text.encode("utf-8", "surrogateescape")

    @property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the canonical text's SHA-256."""
        return hashlib.sha256(self.canonical()).hexdigest()[:16]

    @property
    def payload(self) -> int:
        """What the watermark says: the first 32 bits of the id."""
        return int(self.id[:8], 16)

    def draws(self) -> np.random.Generator:
        """Give the generator of random numbers that the maker draws from."""
        return np.random.default_rng(_key(self.generator, self.seed, self.index, self.attempt, _MAKES))

    @property
    def laundering_seed(self) -> int:
        """The same for a fake and its twin."""
        return zlib.crc32(f"{self.generator}/{self.seed}/{self.index}/{self.attempt}".encode())


def planning(generator: str, seed: int, index: int, attempt: int) -> np.random.Generator:
    """Give the generator of random numbers that parents and saves are drawn from."""
    return np.random.default_rng(_key(generator, seed, index, attempt, _PLANS))


def recipe_of(plain: Any) -> Recipe:
    """Rebuild a recipe from its JSON.

    Raises
    ------
    AssayError
        If it is none that this version wrote.
    """
    if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
        raise _unusable(f"its schema is not {SCHEMA}")
    try:
        plain = {"choices": {}} | plain
        fields = {f.name: plain[f.name] for f in dataclasses.fields(Recipe)}
        fields["parents"] = tuple(Ingredient(**p) for p in plain["parents"])
        return Recipe(**fields)
    except (KeyError, TypeError) as e:
        raise _unusable(f"it is not whole ({e})") from e


def _unusable(why: str) -> AssayError:
    return AssayError(
        f"this is no recipe: {why}", code="recipe", hint="Make it again with `assay range make`."
    )


def _key(generator: str, *numbers: int) -> list[int]:
    return [zlib.crc32(generator.encode()), *numbers]
