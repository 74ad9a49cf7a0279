"""`assay doctor` looks at each part and says what to do; only what is needed makes it fail."""

from __future__ import annotations

import json
import sqlite3

import pytest

from assay.desk import lists, packs
from assay.desk.signatures import remember
from assay.desk.stores import Deed, Stores
from assay.evidence.registry import entries
from assay.media.jail import layers as measured
from assay.media.jail.layers import Layer
from assay.signatures.entries import Digest, Signature
from assay.verdict import calibration as tables

INSTALLED = {e.card.name: e.card.version for e in entries() if e.detector is not None}
ON = Layer("seccomp", on=True, why="tried", hint="")
OFF = Layer("landlock", on=False, why="a file was opened", hint="Boot with lsm=landlock.")
ABSENT = Layer("uid", on=None, why="not root", hint="Run it as root.")


@pytest.fixture(autouse=True)
def layers(monkeypatch: pytest.MonkeyPatch) -> list[Layer]:
    """What the jail would measure; tests of the jail measure it."""
    found = [ON, ABSENT]
    monkeypatch.setattr(measured, "layers", lambda: found)
    return found


@pytest.fixture
def calibrated(installation, monkeypatch: pytest.MonkeyPatch):
    """Have the installation use a calibration of its own: a text, or one of the installed versions but for `versions`."""
    environ = installation.environ()
    own = installation.folder / "own.json"

    def use(text: str = "", **versions: int) -> None:
        fitted = json.loads((tables.HERE / "calibration.json").read_text("utf-8"))
        for name, version in (INSTALLED | versions).items():
            fitted["detectors"].get(name, {})["version"] = version
        own.write_text(text or json.dumps(fitted), "utf-8")
        monkeypatch.setattr(type(installation), "environ", lambda _: environ | {"ASSAY_PATHS_CALIBRATION": str(own)})  # fmt: skip

    return use


def test_a_fresh_installation_is_well_but_for_its_weights(installation) -> None:
    said = installation.run("doctor").output
    for section in ("Program", "Jail", "Weights", "Calibration", "Store"):
        assert f"\n{section}\n" in said
    assert "it is made by the first screening" in said
    assert "assay models pull" in said
    assert not installation.settings.paths.database.exists(), "looking must not make anything"


def test_of_the_jail_alone_nothing_else_is_said(installation) -> None:
    said = installation.run("doctor", "--jail").output
    assert "Jail" in said
    assert "Store" not in said
    assert "All is well." in said


def test_a_layer_that_the_kernel_has_and_that_is_off_is_told_and_strict_fails(installation, layers) -> None:
    layers.append(OFF)
    said = installation.run("doctor", "--jail").output
    assert "OFF" in said
    assert "Boot with lsm=landlock." in said
    installation.run("doctor", "--jail", "--strict", code=2)


def test_without_any_sandbox_nothing_can_be_screened(installation, layers) -> None:
    layers[:] = [Layer("zygote", on=False, why="it ended", hint="Install it again.")]
    assert "Install it again." in installation.run("doctor", "--jail", code=2).output


def test_a_layer_that_the_kernel_does_not_have_is_no_failure(installation) -> None:
    said = installation.run("doctor", "--jail", "--strict").output
    assert "absent" in said
    assert "Run it as root." in said


def test_a_damaged_database_fails_and_says_what_to_do(installation) -> None:
    place = installation.settings.paths.database
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"this is no database" * 300)
    said = installation.run("doctor", code=2).output
    assert "OFF     database" in said
    assert "move it aside" in said


def test_a_database_of_a_newer_program_fails_and_says_what_to_do(installation) -> None:
    installation.add(installation.folder / "inbox" / "a.jpg")
    with sqlite3.connect(installation.settings.paths.database) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    said = installation.run("doctor", code=2).output
    assert "9999" in said
    assert "newer Assay" in said


def test_a_store_in_use_is_well(installation) -> None:
    installation.add(installation.folder / "inbox" / "a.jpg")
    assert "on      database" in installation.run("doctor").output


def test_a_data_folder_below_a_file_cannot_be_written(installation, monkeypatch: pytest.MonkeyPatch) -> None:
    (installation.folder / "file").write_bytes(b"x")
    environ = installation.environ() | {"ASSAY_PATHS_DATA": str(installation.folder / "file" / "data")}
    monkeypatch.setattr(type(installation), "environ", lambda _: environ)
    said = installation.run("doctor", code=2).output
    assert "cannot be written" in said
    assert "paths.data" in said


def test_a_disk_that_is_nearly_full_is_told(installation, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")  # noqa: PYI024
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    said = installation.run("doctor", code=2).output
    assert "0.0 GiB free" in said
    assert "Make room" in said


def test_a_pack_that_was_altered_is_told_and_one_that_is_whole_is_counted(installation) -> None:
    place = installation.settings.paths.packs
    key, out = installation.folder / "key", installation.folder / "out.pack"
    deed = Deed("ann", "a test")
    with Stores.open(installation.settings) as stores, stores.database.write() as connection:
        remember(connection, [Signature("a", "known_fake", Digest("a" * 64))], deed)
    _, public = lists.new_signing_key(key)
    packs.trust(place, public)
    with Stores.open(installation.settings) as stores:
        lists.export(stores, out, ["local"], "pack", key=key, name="daily")
        with out.open("rb") as file:
            packs.install(stores, file, deed)
    assert "on      signatures              2 in all lists and packs" in installation.run("doctor").output
    (installed,) = place.glob("daily/*.pack")
    installed.write_bytes(installed.read_bytes().replace(b'"a"', b'"z"'))
    said = installation.run("doctor", code=2).output
    assert "OFF     signatures" in said
    assert "goes on with the signatures that it has read" in said


def test_the_calibration_that_ships_is_well(installation) -> None:
    said = installation.run("doctor").output
    section = said.partition("\nCalibration\n")[2].partition("\n\n")[0]
    assert section.startswith("  on      calibration")
    assert section.endswith(", as it ships")


def test_a_calibration_of_ones_own_is_named_and_well(installation, calibrated) -> None:
    calibrated()
    said = installation.run("doctor").output
    assert "own.json" in said
    assert "its calibration is of version" not in said


def test_a_calibration_of_other_versions_is_told_with_what_to_do_and_strict_fails(
    installation, calibrated
) -> None:
    calibrated(learned_image=1, jpeg_grid=99)
    said = installation.run("doctor").output
    assert "OFF     learned_image" in said
    assert "its calibration is of version 1, it is version" in said
    assert "          Calibrate anew with `assay bench calibrate` (docs/calibrate.md)." in said
    assert "its calibration is of version 99, it is version" in said
    assert "Install the Assay that it was made with, or calibrate anew" in said
    assert "All is well." not in said
    installation.run("doctor", "--strict", code=2)


def test_a_calibration_that_cannot_be_read_fails_and_says_what_to_do(installation, calibrated) -> None:
    calibrated("x")
    said = installation.run("doctor", code=2).output
    assert "OFF     calibration" in said
    assert "own.json cannot be read" in said
    assert "assay bench calibrate (docs/calibrate.md)" in said
