"""A long list lies in columns; what it finds is what it would find in memory."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from assay.desk import columns
from assay.desk.signatures import loaded, remember, withdraw
from assay.desk.stores import Deed, Stores
from assay.errors import StoreError
from assay.settings import Settings
from assay.signatures.codes import Codes, from_bits, to_bits
from assay.signatures.entries import PictureCode, Signature
from assay.signatures.library import Library
from assay.signatures.pdq import ImagePrint
from assay.store.signatures import Signatures

COUNT = 700  # three stretches
NOTE = '"print":{"code":"' + "0" * 64 + '"'  # what stands before a code, where none is
DEED = Deed("somebody", "for the test")


def code(n: int) -> Codes:
    return np.random.default_rng(n).integers(0, 1 << 64, 4, dtype=np.uint64)


def asked(n: int, differing: int = 3) -> ImagePrint:
    bits = to_bits(code(n))
    bits[:differing] ^= True
    others = np.random.default_rng(10_009).integers(0, 1 << 64, (7, 4), dtype=np.uint64)
    return ImagePrint(np.concatenate([from_bits(bits)[None], others]), 100)


def enter(
    stores: Stores, listed: str = "import", state: str = "active", numbers: range = range(COUNT)
) -> None:
    made = [Signature(f"n{n}", "known_fake", PictureCode(code(n)), note=NOTE) for n in numbers]
    with stores.database.write() as connection:
        remember(connection, made, DEED, listed=listed, state=state)  # type: ignore[arg-type]


def told(library: Library, n: int) -> list[tuple[str, str, int]]:
    return [(*m.known.name, m.distance) for m in library.near_picture(asked(n))]


@pytest.fixture(autouse=True)
def long_from_500(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "LEAST", 500)


def library(stores: Stores) -> Library:
    return loaded(stores.database, stores.settings)


def files(settings: Settings) -> list[str]:
    return sorted(p.name for p in (settings.paths.packs / "columns").glob("*"))


def test_a_long_list_is_found_like_a_short_one(stores: Stores) -> None:
    enter(stores)
    enter(stores, "short", numbers=range(3))
    found = library(stores)
    assert len(found) == COUNT + 3
    for n in (0, 255, 256, 699):
        assert ("import", f"n{n}", 3) in told(found, n)
    assert sorted(told(found, 1)) == [("import", "n1", 3), ("short", "n1", 3)]
    assert told(found, COUNT + 1) == []
    (match,) = [m for m in found.near_picture(asked(300)) if m.known.listed == "import"]
    assert match.known.signature.note == NOTE


def test_columns_are_read_again_until_the_list_changes(stores: Stores) -> None:
    enter(stores)
    library(stores)
    before = files(stores.settings)
    library(stores)
    assert files(stores.settings) == before
    assert len(before) == 2
    with stores.database.write() as connection:
        withdraw(connection, ["n5"], DEED, listed="import")
    found = library(stores)
    assert told(found, 5) == []
    assert told(found, 6) == [("import", "n6", 3)]
    assert not set(before) & set(files(stores.settings))
    assert len(files(stores.settings)) == 2


def test_what_was_withdrawn_since_the_library_was_built_is_not_told(stores: Stores) -> None:
    enter(stores)
    found = library(stores)
    with stores.database.write() as connection:
        withdraw(connection, ["n5"], DEED, listed="import")
    assert told(found, 5) == []


def test_a_list_on_trial_says_so_and_what_is_suspended_is_silent(stores: Stores) -> None:
    enter(stores, state="shadow")
    with stores.database.write() as connection:
        Signatures.note_matches(connection, [("import", "n7")], datetime.now(UTC))
        Signatures.suspend(connection, "import", "n7", datetime.now(UTC))
    found = library(stores)
    (match,) = found.near_picture(asked(8))
    assert not match.known.counts
    assert told(found, 7) == []


def test_of_one_code_that_stands_there_twice_both_are_told(stores: Stores) -> None:
    enter(stores)
    with stores.database.write() as connection:
        twin = Signature("n4-again", "known_fake", PictureCode(code(4)))
        remember(connection, [twin], DEED, listed="import")
    assert sorted(told(library(stores), 4)) == [("import", "n4", 3), ("import", "n4-again", 3)]


def test_damaged_columns_are_named(stores: Stores) -> None:
    enter(stores)
    library(stores)
    for path in (stores.settings.paths.packs / "columns").glob("*.json"):
        path.write_text("[]")
    with pytest.raises(StoreError, match="columns of the list import are damaged"):
        library(stores)
