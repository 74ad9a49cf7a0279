"""A splice is confirmed out of quarantine; then it, its original and both saved again go through the real screen."""

from __future__ import annotations

import io
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Pillow

from assay.desk import quarantine
from assay.desk.screening import Desk
from assay.desk.signatures import known, remember, signatures_of
from assay.desk.taking import take_held, take_path
from assay.pipeline import Screener
from assay.signatures.entries import PictureCode, Signature
from assay.signatures.prints import PICTURE, restored
from assay.store.records import Filter
from assay.store.signatures import Signatures
from assay.testing.images import jpeg, scene
from assay.types import Action, Kind, Label, Region
from assay.zygotes import Zygotes

SIZE = 384, 288
BOX = 60, 120, 150, 200  # left, top, right, bottom of the splice


def saved(pixels: np.ndarray, quality: int) -> bytes:
    return jpeg(pixels, quality=quality)


def pixels_of(data: bytes) -> np.ndarray:
    return np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB"))


ORIGINAL = saved(scene(*SIZE, seed=21, grain=1.0), 93)


def splice() -> bytes:
    left, top, right, bottom = BOX
    mixed = pixels_of(ORIGINAL).copy()
    mixed[top:bottom, left:right] = scene(right - left, bottom - top, seed=77, grain=1.0)
    return saved(mixed, 91)


SPLICE = splice()
REGION = Region.box(BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1], width=SIZE[0], height=SIZE[1])


@pytest.fixture(scope="module")
def zygotes():
    from assay.settings import Limits

    with Zygotes.start(Limits()) as started:
        yield started


@pytest.fixture
def desk(settings):
    asked = Desk.open(
        settings, history=True, keep=False, quarantine=False, dry_run=False, passphrase=lambda: "secret"
    )
    with asked:
        yield asked


@pytest.fixture
def screen(settings, desk, zygotes):
    """Screen bytes as `assay screen` does: with what this desk knows, recorded in its history."""
    shared = Zygotes(_Unclosed(zygotes.decoders), _Unclosed(zygotes.examiners))
    with Screener(settings, jobs=1, known=desk.known, library=desk.library, zygotes=shared) as screener:

        def one(data: bytes, name: str = "a.jpg"):
            desk.shelf.reload()
            return screener.screen_stream(io.BytesIO(data), name, desk.finish)

        yield one


class _Unclosed:
    """A zygote that a screener does not end, since others follow it."""

    def __init__(self, zygote) -> None:
        self._zygote = zygote

    def close(self) -> None:
        return

    def __getattr__(self, name):
        return getattr(self._zygote, name)


def said(screening) -> list[str]:
    """The codes that the lookup of pictures gave."""
    return [
        r.code for e in screening.verdict.evidence if e.detector == "known_picture" for r in e.finding.reasons
    ]


def held(stores, taken_file, identity, zygotes, settings):
    holding = taken_file("splice.jpg", SPLICE)
    return holding, take_held(stores, holding, [identity], zygotes.decoders, settings.limits)


def test_a_confirmed_splice_is_told_from_its_original(
    stores, taken, identity, zygotes, settings, deed, screen, screening
) -> None:
    holding, content = held(stores, taken, identity, zygotes, settings)
    quarantine.confirm(
        stores, holding, deed, taken=content, original=pixels_of(ORIGINAL), kinds=[Kind.SPLICE]
    )
    again = screen(saved(pixels_of(SPLICE), 70))
    assert (again.verdict.label, again.decision.rule) == (Label.FAKE, "known_fake")
    assert said(again) == ["shows_known_fake"]
    assert again.verdict.summary.startswith("It is a known fake. It is a copy of a known fake")
    for data in (ORIGINAL, saved(pixels_of(ORIGINAL), 70)):
        innocent = screen(data)
        assert said(innocent) == ["shows_original_of_fake"]
        assert innocent.verdict.label is not Label.FAKE
    assert screen(SPLICE).decision.rule == "known_fake"  # by its digest


def test_without_crops_a_near_match_is_held_at_most(
    stores, taken, identity, zygotes, settings, deed, screen
) -> None:
    holding, content = held(stores, taken, identity, zygotes, settings)
    quarantine.confirm(stores, holding, deed, taken=replace(content, pixels=None))
    for data in (saved(pixels_of(SPLICE), 70), ORIGINAL):
        near = screen(data)
        assert said(near) == ["near_fake_unchecked"]
        assert near.verdict.summary.startswith("It is near to a known fake")
        assert near.verdict.label is Label.INCONCLUSIVE
        assert (near.decision.action, near.decision.rule) == (Action.HOLD, "near_known_fake")
        assert near.verdict.llr < 4.6


def test_a_splice_of_a_known_original_is_flagged_and_its_copy_is_bona_fide(
    stores, zygotes, settings, deed, screen, tmp_path
) -> None:
    path = tmp_path / "original.jpg"
    path.write_bytes(ORIGINAL)
    content = take_path(zygotes.decoders, os.fspath(path), settings.limits)
    with stores.database.write() as connection:
        remember(connection, signatures_of(content, "known_original"), deed)
    altered = screen(SPLICE)
    assert said(altered) == ["altered_original"]
    assert altered.decision.action in {Action.HOLD, Action.QUARANTINE}
    (region,) = next(e for e in altered.verdict.evidence if e.detector == "known_picture").finding.regions
    xs, ys = zip(*region.points, strict=True)
    assert abs(min(xs) - BOX[0]) < 12
    assert abs(max(ys) - BOX[3]) < 12
    copy = screen(saved(pixels_of(ORIGINAL), 70))
    assert said(copy) == ["shows_known_original"]
    assert copy.verdict.label is Label.BONA_FIDE


def test_a_screening_keeps_the_fingerprint_of_what_it_saw(stores, screen) -> None:
    one = screen(ORIGINAL)
    with stores.database.read() as connection:
        rows = dict(
            connection.exec_driver_sql(
                "select kind, value from fingerprints where record_id = ?", (one.sample.id,)
            ).all()
        )
    assert set(rows) == {"sha256", PICTURE}
    assert restored(PICTURE, rows[PICTURE]).codes.shape == (8, 4)


def test_released_as_an_original_it_is_a_known_fake_no_more(
    stores, taken, identity, zygotes, settings, deed, tmp_path
) -> None:
    holding, content = held(stores, taken, identity, zygotes, settings)
    quarantine.confirm(stores, holding, deed, taken=content, kinds=[Kind.SPLICE])
    assert [k.about for k in known(stores.database, settings)] == ["known_fake"]
    (tmp_path / "out").mkdir()
    quarantine.release(
        stores, holding, tmp_path / "out", [identity], deed, known_original=True, taken=content
    )
    assert [k.about for k in known(stores.database, settings)] == ["known_original"]
    assert stores.judgements.known(holding.id) == "known_original"
    assert stores.judgements.labels_of(holding.id) == ["fake", "bona_fide"]


def test_an_import_on_trial_is_named_and_weighs_nothing_and_suspends_itself(
    stores, zygotes, settings, deed, screen, desk, tmp_path
) -> None:
    path = tmp_path / "original.jpg"
    path.write_bytes(ORIGINAL)
    (found,) = take_path(zygotes.decoders, os.fspath(path), settings.limits).prints
    signature = Signature("x", "known_fake", PictureCode(found.code))
    with stores.database.write() as connection:
        remember(connection, [signature], deed, listed="elsewhere", state="shadow")
    desk.settings = replace(settings, signatures=replace(settings.signatures, match_least=1))
    first = screen(ORIGINAL)
    assert said(first) == ["signature_on_trial"]
    assert first.decision.rule not in {"near_known_fake", "known_fake"}
    assert [(t.listed, t.id) for t in Signatures(stores.database).tallies(suspended=True)] == [
        ("elsewhere", "x")
    ]
    assert said(screen(ORIGINAL)) == []
    assert stores.records.count(Filter()) == 2
