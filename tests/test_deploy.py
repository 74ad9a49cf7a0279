"""The files below deploy/: what they set exists, and systemd understands the units."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from assay import config
from assay.errors import ConfigError

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
VARIABLE = re.compile(r"\b(ASSAY_\w+)(?:=|: )")
PROGRAM = "/opt/assay/bin/assay"


@pytest.mark.parametrize("path", sorted(p for p in DEPLOY.iterdir() if p.is_file()), ids=lambda p: p.name)
def test_every_variable_is_a_setting(path: Path) -> None:
    assert [name for name in VARIABLE.findall(path.read_text("utf-8")) if not is_setting(name)] == []


def is_setting(variable: str) -> bool:
    try:
        config.load(environ={"HOME": "/nowhere", variable: "no such value"})
    except ConfigError as e:
        return "is not a setting" not in e.message
    return True


def test_an_unknown_variable_would_be_found() -> None:
    assert VARIABLE.findall("Environment=ASSAY_SERVE_PORT=1\n  ASSAY_JOBS: 2") == [
        "ASSAY_SERVE_PORT",
        "ASSAY_JOBS",
    ]
    assert not is_setting("ASSAY_SERVE_PORT")


def test_the_allow_list_of_the_image_is_understood() -> None:
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    given = re.search(r"ASSAY_SERVE_ALLOW=(\S+)", text)
    assert given
    settings = config.load(environ={"HOME": "/var/lib/assay", "ASSAY_SERVE_ALLOW": given[1]})
    assert [str(n) for n in settings.serve.allow] == ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]


def test_every_file_is_named_in_the_documents() -> None:
    page = (DEPLOY.parent / "docs" / "gateway.md").read_text("utf-8")
    missing = [p.name for p in DEPLOY.iterdir() if p.is_file() and f"deploy/{p.name}" not in page]
    assert not missing


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda p: p.name)
def test_systemd_understands_the_unit(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text("utf-8")
    assert PROGRAM in text
    copy = tmp_path / unit.name
    copy.write_text(text.replace(PROGRAM, "/bin/true"), "utf-8")  # it is not installed here
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    said = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, said) == (0, [])
