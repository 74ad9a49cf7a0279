"""What the range itself wrote, told from a person's photos: a fake or a mask must never become an honest host.

A corpus is told by a recipe file in it, a picture by the recipe that its credential names: neither comes about by chance.
"""

from __future__ import annotations

import contextlib
import json
import os
from itertools import islice
from pathlib import Path

SCHEMA = "assay/recipe-file/1"
NAMED = "assay.recipe"  # the credential's parameter that holds a recipe's id
PARTS = ("media", "masks", "recipes")  # folders of a corpus
TRIED = 20  # files of a folder of recipes: another's may be large
LONGEST = 1 << 20  # bytes of a recipe
EDGE = 1 << 16  # bytes: a credential stands at the beginning of JPEG and PNG, at the end of WebP


def is_corpus(folder: Path) -> bool:
    """Tell whether a folder holds a recipe of the range; a manifest alone may be a person's own."""
    try:
        with os.scandir(folder / "recipes") as entries:
            named = (Path(e.path) for e in entries if e.name.endswith(".json") and e.is_file())
            return any(_is_recipe(path) for path in islice(named, TRIED))
    except OSError:
        return False


def is_part(folder: Path) -> bool:
    """Tell whether a folder is, or lies in, the media, masks or recipes of a corpus."""
    place = Path(os.path.realpath(folder))
    return any(p.name in PARTS and is_corpus(p.parent) for p in (place, *place.parents))


def is_marked(path: Path) -> bool:
    """Tell whether a picture has a credential that names a recipe of the range; one that was stripped is not seen."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        edge = file.read(EDGE)
        if edge.startswith(b"RIFF"):
            file.seek(max(file.seek(0, os.SEEK_END) - EDGE, 0))
            edge += file.read(EDGE)
        return NAMED.encode() in edge
    return False


def _is_recipe(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(LONGEST))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and document.get("schema") == SCHEMA
