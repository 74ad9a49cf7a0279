"""How a corpus is made up: what its recipes drew, summed up for people and for the figures that are measured on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from assay.types import JSON

WORDS = 12  # different words of one draw that are told apart
UNUSED = {  # a draw that says nothing where another one has these words
    "feather": ("blend", ("poisson", "laplacian")),
    "radius": ("method", ("exemplar",)),
}


def distribution(documents: Iterable[Mapping[str, Any]]) -> JSON:
    """Sum up what was drawn.

    Parameters
    ----------
    documents : iterable of mappings
        Recipe files, as `assay.range.corpus` writes them.

    Returns
    -------
    drawn : dict
        For each generator: the number of fakes, and of every draw either least, quartiles and largest of its numbers,
        or how often each word came.
    """
    drawn: dict[str, dict[str, list[Any]]] = {}
    for document in documents:
        recipe, made = document["recipe"], document["made"]
        values = drawn.setdefault(recipe["generator"], {})
        for name, value in _draws(recipe, made):
            values.setdefault(name, []).append(value)
    return {
        generator: {"n": len(values["area"]), "drawn": {name: _summed(v) for name, v in values.items()}}
        for generator, values in sorted(drawn.items())
    }


def _draws(recipe: Mapping[str, Any], made: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    host, *donors = (p["preparation"] for p in recipe["parents"])
    yield "area", made["area"]
    yield "long side", max(host["size"])
    yield "first quality", host["quality"]
    yield "host", host["mode"]
    yield "camera of the host", recipe["parents"][0]["source"]
    for donor in donors:
        yield "first quality of the donor", donor["quality"]
        yield "donor", donor["mode"]
    yield "last save", recipe["last_save"]
    yield "laundering", recipe["laundering"] or "none"
    parameters = recipe["parameters"]
    for name, value in sorted(parameters.items()):
        other, words = UNUSED.get(name, ("", ()))
        if isinstance(value, str | bool | int | float) and parameters.get(other) not in words:
            yield name, value


def _summed(values: list[Any]) -> JSON:
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        low, quarter, middle, upper, high = (
            round(float(v), 4) for v in np.quantile(values, (0, 0.25, 0.5, 0.75, 1))
        )
        summed = {
            "least": low,
            "quarter": quarter,
            "median": middle,
            "three_quarters": upper,
            "largest": high,
        }
        zero = sum(v == 0 for v in values)
        return summed | ({"zero": zero} if zero else {})
    counted = Counter("yes" if v is True else "no" if v is False else str(v) for v in values)
    shown = dict(counted.most_common(WORDS))
    rest = len(counted) - len(shown)
    return {"words": shown} | ({"others": rest} if rest else {})


def rows(drawn: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Write the distribution as rows (generator, draw, values) of a table."""
    found = []
    for generator, summary in drawn.items():
        found.append((generator, "fakes", str(summary["n"])))
        found += [(generator, name, _words(value)) for name, value in summary["drawn"].items()]
    return found


def _words(value: Mapping[str, Any]) -> str:
    if "words" in value:
        said = ", ".join(f"{word} {n}" for word, n in value["words"].items())
        return said + (f", {value['others']} others" if "others" in value else "")
    numbers = [value[k] for k in ("least", "quarter", "median", "three_quarters", "largest")]
    said = "{:g} [{:g} {:g} {:g}] {:g}".format(*numbers)
    return said + (f", {value['zero']} x 0" if "zero" in value else "")
