from __future__ import annotations

from assay.range.distribution import distribution, rows


def document(area: float, *, quality: int, blend: str, match: float) -> dict:
    prepared = {"size": [800, 600], "quality": quality, "mode": "cut"}
    parents = [{"preparation": prepared, "source": "Pinhole One"}] * 2
    return {
        "recipe": {
            "generator": "splice", "parents": parents, "last_save": "jpeg85", "laundering": "",
            "parameters": {"blend": blend, "colour_match": match, "from": [[1, 2]]},
        },
        "made": {"area": area},
    }  # fmt: skip


def test_numbers_are_summed_up_by_quartiles_and_words_by_counts() -> None:
    drawn = distribution(
        [document(a, quality=q, blend=b, match=m) for a, q, b, m in ((0.1, 80, "alpha", 0.0), (0.3, 90, "poisson", 0.5))]
    )  # fmt: skip
    splice = drawn["splice"]
    assert splice["n"] == 2
    assert splice["drawn"]["area"]["median"] == 0.2
    assert splice["drawn"]["blend"] == {"words": {"alpha": 1, "poisson": 1}}
    assert splice["drawn"]["colour_match"]["zero"] == 1
    assert splice["drawn"]["first quality of the donor"]["largest"] == 90
    assert "from" not in splice["drawn"]
    shown = {name: words for _, name, words in rows(drawn)}
    assert shown["last save"] == "jpeg85 2"
    assert shown["area"] == "0.1 [0.15 0.2 0.25] 0.3"


def test_a_draw_that_another_one_makes_void_is_not_counted() -> None:
    drawn = []
    for blend, feather in (("alpha", 1.0), ("poisson", 5.0), ("alpha", 3.0)):
        one = document(0.1, quality=80, blend=blend, match=0.0)
        one["recipe"]["parameters"]["feather"] = feather
        drawn.append(one)
    for method, radius in (("exemplar", 8.0), ("telea", 4.0)):
        one = document(0.1, quality=80, blend="", match=0.0)
        one["recipe"] |= {"generator": "inpaint", "parameters": {"method": method, "radius": radius}}
        drawn.append(one)
    shown = {(generator, name): words for generator, name, words in rows(distribution(drawn))}
    assert shown["splice", "feather"] == "1 [1.5 2 2.5] 3"
    assert shown["inpaint", "radius"] == "4 [4 4 4] 4"


def test_many_cameras_are_cut_short() -> None:
    many = [document(0.1, quality=80, blend=f"b{n}", match=0) for n in range(30)]
    blend = distribution(many)["splice"]["drawn"]["blend"]
    assert len(blend["words"]) + blend["others"] == 30


def test_nothing_made_is_nothing_drawn() -> None:
    assert distribution([]) == {}
    assert rows({}) == []
