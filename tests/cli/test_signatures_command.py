"""`assay signatures`, `retrohunt` and `review` at the terminal."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image as Pillow

from assay.cli import main
from assay.testing.images import jpeg, scene

ORIGINAL = jpeg(scene(256, 192, seed=8, grain=1.0), quality=92)


def splice() -> bytes:
    pixels = np.asarray(Pillow.open(io.BytesIO(ORIGINAL)).convert("RGB")).copy()
    pixels[60:130, 40:120] = scene(80, 70, seed=70, grain=1.0)
    return jpeg(pixels, quality=90)


class Done(NamedTuple):
    exit_code: int
    output: str


@pytest.fixture
def assay(home: Path, monkeypatch, capsys):
    """Run the command line inside of this process: a new one for each call would cost more than what it does."""
    for name in [k for k in os.environ if k.startswith(("ASSAY_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out + said.err)

    return run


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    original, fake = tmp_path / "original.jpg", tmp_path / "fake.jpg"
    original.write_bytes(ORIGINAL)
    fake.write_bytes(splice())
    return original, fake


def test_before_anything_was_added_there_is_nothing_and_no_store_is_made(assay, home) -> None:
    assert assay("signatures", "list").output == "No signatures.\n"
    assert assay("signatures", "verify").exit_code == 0
    assert assay("retrohunt").output == "No records.\n"
    assert assay("review", "list").output == "Nothing waits for review.\n"
    assert not list(home.rglob("assay.d"))


def test_a_fake_is_added_listed_exported_and_withdrawn(assay, files, tmp_path) -> None:
    original, fake = files
    refused = assay("signatures", "add", fake, "--reason", "r")
    assert (refused.exit_code, "say --fake or --original" in refused.output) == (2, True)
    done = assay(
        "signatures", "add", "--fake", "--kind", "splice", "--before", original, fake, "--reason", "seen"
    )
    assert done.exit_code == 0, done.output
    (row,) = map(json.loads, assay("signatures", "list", "local", "--json").output.splitlines())
    assert (row["about"], row["state"], row["compared"]) == ("known_fake", "active", True)
    assert assay("signatures", "key", tmp_path / "key").exit_code == 0
    out = tmp_path / "local.pack"
    assert assay("signatures", "export", out, "--key", tmp_path / "key").exit_code == 0
    untrusted = assay("signatures", "verify", out)
    assert (untrusted.exit_code, "pack_untrusted" in untrusted.output) == (1, True)
    assert assay("signatures", "withdraw", row["id"], "--reason", "wrong").exit_code == 0
    assert assay("signatures", "list").output == "No signatures.\n"


def test_a_list_is_imported_on_trial_and_activated(assay, tmp_path) -> None:
    signals = tmp_path / "theirs.txt"
    signals.write_text("pdq " + "0f" * 32 + "\nvideo_md5 abc\n")
    done = assay("signatures", "import", signals, "--reason", "shared with us")
    assert (done.exit_code, "1 signature, on trial, 1 lines were not taken over" in done.output) == (
        0,
        True,
    )
    assert assay("signatures", "activate", "theirs", "--reason", "looked at").exit_code == 0
    (row,) = map(json.loads, assay("signatures", "list", "--json").output.splitlines())
    assert (row["list"], row["state"], row["count"]) == ("theirs", "active", 1)
    assert assay("signatures", "remove", "theirs", "--reason", "done").exit_code == 0
    assert assay("signatures", "remove", "theirs", "--reason", "done").exit_code == 2


@pytest.mark.slow
def test_what_was_delivered_is_found_once_it_is_known(assay, files) -> None:
    original, fake = files
    first = assay("screen", "--json", "--keep", fake)
    assert first.exit_code in {0, 1}, first.output
    assert assay("signatures", "add", "--fake", "--kind", "splice", "--before", original, fake, "--reason", "r").exit_code == 0  # fmt: skip
    hunt = assay("retrohunt", "--json")
    assert hunt.exit_code == 1, hunt.output
    (found,) = map(json.loads, hunt.output.splitlines())
    assert (found["outcome"], found["after"]["label"]) == ("changed", "fake")
    assert assay("retrohunt").output == "Nothing has changed.\n"
    assert ", now " in assay("history").output
    assert "quarantine" in assay("retrohunt", "--show").output
