from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from assay.report.contract import schema
from assay.signatures.testfile import content as harmless
from assay.testing import containers, images

Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    path = tmp_path / "clean.jpg"
    path.write_bytes(images.jpeg(images.scene(320, 240, seed=1), quality=90))
    return path


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    path = tmp_path / "fake.png"
    path.write_bytes(harmless())
    return path


def lines(done: subprocess.CompletedProcess[bytes]) -> list[dict]:
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["clean"], 0),
        (["fake"], 1),
        (["garbage"], 0),
        (["empty"], 2),
        (["clean", "empty"], 2),
        (["empty", "fake"], 1),
    ],
)
def test_the_exit_code_tells_found_from_trouble(
    assay: Run, clean: Path, fake: Path, tmp_path: Path, names: list[str], code: int
) -> None:
    (tmp_path / "garbage").write_bytes(bytes(range(256)))
    (tmp_path / "empty").write_bytes(b"")
    paths = {"clean": clean, "fake": fake, "garbage": tmp_path / "garbage", "empty": tmp_path / "empty"}
    assert assay("screen", "--no-history", *(paths[n] for n in names)).returncode == code


def test_strict_counts_an_inconclusive_verdict(assay: Run, clean: Path) -> None:
    assert assay("screen", "--no-history", "--strict", clean).returncode == 1


def test_every_json_line_fits_the_schema_and_members_name_their_parent(
    assay: Run, fake: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(containers.zipped(first=("inner.png", fake.read_bytes())))
    (tmp_path / "empty.jpg").write_bytes(b"")
    found = lines(assay("screen", "--no-history", "--json", archive, tmp_path / "empty.jpg"))
    for line in found:
        jsonschema.validate(line, schema())
    outer, inner = (next(x for x in found if x["path"].endswith(end)) for end in ("a.zip", "inner.png"))
    assert inner["parent_id"] == outer["id"]
    assert (inner["label"], outer["label"]) == ("fake", "fake")
    assert found[-1]["error"]["code"] == "empty"


def test_names_cannot_command_the_terminal(assay: Run, fake: Path, tmp_path: Path) -> None:
    evil = tmp_path / "a\x1b[2J\u202egpj\n.png"
    evil.write_bytes(fake.read_bytes())
    done = assay("screen", "--no-history", evil)
    assert b"\x1b" not in done.stdout
    assert "\u202e".encode() not in done.stdout
    assert b"\\x1b[2J" in done.stdout


def test_csv_cells_cannot_be_formulas(assay: Run, fake: Path, tmp_path: Path) -> None:
    (tmp_path / "=cmd.png").write_bytes(fake.read_bytes())
    done = assay("screen", "--no-history", "--csv", "=cmd.png", cwd=tmp_path)
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    assert not rows[0]["path"].startswith("=")
    assert rows[0]["verdict"] == "fake"


def test_standard_input_is_screened(assay: Run) -> None:
    done = assay("screen", "--no-history", "--json", "-", input=harmless())
    assert done.returncode == 1
    assert lines(done)[0]["path"] == "-"


def test_results_are_on_stdout_and_nothing_moves_on_stderr_without_a_terminal(assay: Run, fake: Path) -> None:
    done = assay("screen", "--no-history", fake)
    assert b"fake" in done.stdout
    assert b"\r" not in done.stderr


def test_quiet_shows_only_what_was_found(assay: Run, clean: Path, fake: Path) -> None:
    done = assay("screen", "--no-history", "-q", clean, fake)
    assert b"fake.png" in done.stdout
    assert b"clean.jpg" not in done.stdout


def test_a_dry_run_moves_and_stores_nothing(assay: Run, fake: Path, home: Path) -> None:
    done = assay("screen", "--quarantine", "--dry-run", fake)
    assert b"would be quarantined" in done.stdout
    assert fake.exists()
    assert not list(home.rglob("*.db"))


def test_without_a_passphrase_nothing_is_quarantined_and_the_error_says_what_to_do(
    assay: Run, fake: Path
) -> None:
    done = assay("screen", "--quarantine", fake, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert b"passphrase" in done.stderr
    assert fake.exists()


def test_what_the_policy_diverts_is_encrypted_and_can_be_released(
    assay: Run, fake: Path, tmp_path: Path
) -> None:
    env = {"ASSAY_PASSPHRASE": "correct horse battery staple"}
    done = assay("screen", "--quarantine", "--json", fake, env=env)
    assert b"back this up" in done.stderr
    assert not fake.exists()
    identifier = lines(done)[0]["quarantine_id"]
    released = assay(
        "quarantine", "release", identifier, "--to", tmp_path / "out.png", "--reason", "a test", env=env
    )
    assert released.returncode == 0, released.stderr
    assert (tmp_path / "out.png").read_bytes() == harmless()


def test_the_history_knows_what_was_screened(assay: Run, fake: Path) -> None:
    first = lines(assay("screen", "--json", "--source", "tips", fake))[0]
    stored = lines(assay("history", "--json"))
    assert [s["id"] for s in stored] == [first["id"]]


def test_no_history_leaves_no_trace(assay: Run, fake: Path, home: Path) -> None:
    assay("screen", "--no-history", fake)
    assert not [p for p in home.rglob("*") if p.is_file()]


def test_a_report_is_written_whole_or_not_at_all(assay: Run, fake: Path, clean: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    assert assay("screen", "--no-history", "--report", report, fake, clean).returncode == 1
    text = report.read_text("utf-8")
    assert text.startswith("<!doctype html>")
    assert "<script" not in text
    assert "fake.png" in text
    assert not list(tmp_path.glob("*.part"))


def test_a_report_that_cannot_be_written_is_told_before_the_screening(
    assay: Run, fake: Path, tmp_path: Path
) -> None:
    done = assay("screen", "--report", tmp_path / "nowhere" / "r.html", fake)
    assert done.returncode == 2
    assert b"cannot be written" in done.stderr
    assert not done.stdout


def test_a_broken_configuration_is_one_clear_line(assay: Run, fake: Path, tmp_path: Path) -> None:
    broken = tmp_path / "assay.toml"
    broken.write_text("prior = [")
    done = assay("--config", broken, "screen", fake)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"assay.toml" in done.stderr


def test_it_works_without_a_home(assay: Run, fake: Path, tmp_path: Path) -> None:
    env = {"HOME": str(fake / "below a file"), "TMPDIR": str(tmp_path)}
    assert assay("screen", "--no-history", fake, env=env).returncode == 1


@pytest.mark.slow
def test_a_kept_sample_is_examined_again_to_the_same_numbers(assay: Run, fake: Path) -> None:
    (told,) = lines(assay("screen", "--keep", "--json", fake))
    fake.unlink()
    again = assay("replay", "--deep", told["id"][:8])
    assert b"now: the same, to the last number." in again.stdout, again.stdout + again.stderr


@pytest.mark.slow
def test_two_runs_at_once_share_the_store(assay: Run, fake: Path, home: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: assay("screen", "--json", fake), range(2)))
    assert [r.returncode for r in runs] == [1, 1], [r.stderr for r in runs]
    assert not any(b"Note" in r.stderr for r in runs)
    assert len(lines(assay("history", "--json"))) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read_is_trouble_and_the_rest_goes_on(
    assay: Run, fake: Path, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.jpg"
    locked.write_bytes(b"x")
    locked.chmod(0)
    found = lines(assay("screen", "--no-history", "--json", locked, fake))
    assert [f["error"]["code"] if f["error"] else f["label"] for f in found] == ["unreadable", "fake"]
