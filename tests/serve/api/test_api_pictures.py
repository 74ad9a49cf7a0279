"""Pictures of what was found: there as long as the record, never of what lies in quarantine."""

from __future__ import annotations

import io
import os

import pytest
from api_talk import FAKE, done, error_of
from gateways import Gateway
from PIL import Image
from pyrage import x25519

from assay.desk.forget import forget_sample
from assay.desk.pictures import Pictures
from assay.desk.stores import Deed


def stored(gate: Gateway) -> list[str]:
    folder = gate.settings.paths.pictures
    return sorted(os.path.basename(p) for p in folder.rglob("*") if p.is_file()) if folder.exists() else []


def test_preview_marks_and_heat_maps_are_listed_and_read(gate: Gateway):
    client = gate.client()
    shown = done(client)
    listed = client.get(shown["links"]["pictures"]).json()["pictures"]
    assert {(p["name"], p["shows"], p["detector"]) for p in listed} == {
        ("preview.jpg", "preview", None),
        ("marked.jpg", "marked", None),
        ("heat_jpeg_grid.png", "heat", "jpeg_grid"),
    }
    for picture in listed:
        answer = client.get(picture["href"])
        assert answer.headers["content-type"] == picture["media_type"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.width > 8
    other = gate.client()
    assert other.get(listed[0]["href"]).status_code == 404


@pytest.mark.parametrize(
    "name", ["index.json", "..%2findex.json", "preview.jpg%00", "..%2f..%2fassay.db", "none.jpg", "%2e%2e"]
)
def test_no_name_leads_to_anything_else(gate: Gateway, name):
    client = gate.client()
    shown = done(client)
    assert client.get(f"{shown['links']['pictures']}/{name}").status_code in (404, 405)


def test_of_what_lies_in_quarantine_no_picture_is_kept(fresh: Gateway):
    folder = fresh.settings.paths.quarantine / "keys"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "recipients.txt").write_text(f"{x25519.Identity.generate().to_public()}\n")
    client = fresh.client()
    shown = done(client, b"fake-quarantine")
    assert shown["result"]["quarantine_id"]
    refused = client.get(shown["links"]["pictures"])
    assert refused.status_code == 409
    assert error_of(refused) == "quarantined"
    assert error_of(client.get(shown["links"]["pictures"] + "/preview.jpg")) == "quarantined"
    assert stored(fresh) == []


def test_pictures_go_when_the_sample_is_forgotten(fresh: Gateway):
    client = fresh.client()
    shown = done(client)
    assert stored(fresh)
    forget_sample(fresh.stores, shown["sha256"], Deed("ann", "asked to"))
    assert stored(fresh) == []
    assert [p.name for p in fresh.settings.paths.pictures.iterdir() if p.name != "incoming"] == []
    assert client.get(shown["links"]["pictures"]).status_code in (404, 409)


def test_a_sweep_takes_pictures_whose_record_is_gone(fresh: Gateway):
    client = fresh.client()
    shown = done(client)
    pictures = Pictures(fresh.settings.paths.pictures)
    place = fresh.settings.paths.pictures / shown["id"]
    for path in place.rglob("*"):
        os.utime(path, (0, 0))
    assert pictures.sweep(fresh.stores.records.existing) == 0
    fresh.stores.records.remove(sha256=shown["sha256"])
    assert pictures.sweep(fresh.stores.records.existing) == 1
    assert not place.exists()


def test_a_sample_without_a_preview_has_no_pictures(gate: Gateway):
    client = gate.client()
    shown = done(client, b"nothing to see")
    names = [p["shows"] for p in client.get(shown["links"]["pictures"]).json()["pictures"]]
    assert "preview" not in names


def test_a_disk_that_takes_no_pictures_costs_no_verdict(fresh: Gateway):
    fresh.settings.paths.pictures.parent.mkdir(parents=True, exist_ok=True)
    fresh.settings.paths.pictures.write_text("in the way")
    client = fresh.client()
    assert done(client, FAKE)["result"]["label"] == "fake"
