"""Pictures of a screening: made before its record is written, seen only once it is, on every machine that shares them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from obstore.store import MemoryStore
from PIL import Image as PILImage

from assay.desk import pictures as module
from assay.desk.intake import Intake
from assay.desk.pictures import Pictures
from assay.errors import StoreError
from assay.objects import Bucket
from assay.store.tables import records
from assay.types import Preview


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    return tmp_path / "pictures" if request.param == "folder" else MemoryStore()


@pytest.fixture
def shown(screening):
    pixels = np.random.default_rng(1).integers(0, 255, (60, 80, 3), np.uint8)
    return dataclasses.replace(screening(), preview=Preview((pixels,)))


@pytest.fixture
def intake(stores, place):
    stores = dataclasses.replace(stores, pictures=Pictures(place))
    return Intake(stores, stores.waiting, put=lambda *_: None, rules=lambda: (stores.settings.policy, "c1"))


def stored(place):
    return sorted(one.path for one in module.objects(place, "pictures").listed())


def test_pictures_are_seen_by_another_machine_once_the_record_is_written(intake, place, shown):
    other, mine = Pictures(place), shown.sample.id

    def first(_connection):
        assert len(stored(place)) == 1, "made before the transaction"
        assert other.listed(mine) == ()

    intake.record(shown, first)
    (picture,) = other.listed(mine)
    assert (picture.name, picture.shows) == ("preview.jpg", "preview")
    assert other.read(mine, "preview.jpg").startswith(b"\xff\xd8")
    assert other.read(mine, "index.json") is None
    assert other.remove([mine]) == 1
    assert stored(place) == []


def test_of_a_record_that_is_not_written_no_picture_stays(intake, place, shown):
    def overtaken(_connection):
        raise KeyError("another has it")

    with pytest.raises(KeyError):
        intake.record(shown, overtaken)
    assert stored(place) == []


def test_nothing_is_drawn_while_the_database_waits(intake, place, shown, monkeypatch):
    inside, saved = [], PILImage.Image.save

    def first(_connection):
        inside.append(True)

    def save(image, *arguments, **named):
        assert not inside
        return saved(image, *arguments, **named)

    monkeypatch.setattr(PILImage.Image, "save", save)
    intake.record(shown, first)
    assert inside
    assert len(stored(place)) == 2


def test_the_same_content_again_gets_copies_that_outlive_the_first(intake, place, shown, screening):
    intake.record(shown)
    again = screening(id="again")
    assert again.sample.sha256 == shown.sample.sha256
    intake.record(again)
    pictures = Pictures(place)
    pictures.remove([shown.sample.id])
    assert [p.name for p in pictures.listed("again")] == ["preview.jpg"]
    assert pictures.read("again", "preview.jpg")


def test_of_what_lies_in_quarantine_none_is_made(intake, place, shown):
    intake.record(dataclasses.replace(shown, quarantine_id=shown.sample.sha256))
    assert stored(place) == []


def test_a_bucket_that_fails_costs_the_pictures_and_not_the_verdict(intake, shown, monkeypatch, stores):
    def failing(*_):
        raise StoreError("the bucket is gone")

    intake.stores = dataclasses.replace(stores, pictures=Pictures(MemoryStore()))
    monkeypatch.setattr(Bucket, "put", failing)
    intake.record(shown)
    with stores.database.read() as connection:
        assert connection.execute(records.select()).one().id == shown.sample.id


def test_pictures_of_older_versions_lie_beside_their_list(tmp_path):
    folder = tmp_path / "pictures" / "r1"
    folder.mkdir(parents=True)
    (folder / "preview.jpg").write_bytes(b"jpeg")
    row = '{"name": "preview.jpg", "shows": "preview", "media_type": "image/jpeg", "detector": null, "time_s": null}'
    (folder / "index.json").write_text(f"[{row}]")
    assert Pictures(tmp_path / "pictures").read("r1", "preview.jpg") == b"jpeg"
