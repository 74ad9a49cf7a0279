"""Every Python block in the documents runs, page by page, as a reader would run it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SLOW = {"library.md": pytest.mark.slow}  # it starts screeners again and again
BLOCK = re.compile(r"^```python(?: file=(?P<file>[\w.]+))?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def blocks(page: Path) -> list[tuple[str | None, str]]:
    return [(m["file"], m["code"]) for m in BLOCK.finditer(page.read_text("utf-8"))]


@pytest.mark.parametrize(
    "page", [pytest.param(p, id=p.name, marks=SLOW.get(p.name, ())) for p in PAGES if blocks(p)]
)
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path) -> None:
    script = []
    for file, code in blocks(page):
        if file:
            (tmp_path / file).write_text(code, "utf-8")
        else:
            script.append(code)
    (tmp_path / "page.py").write_text("\n".join(script), "utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", "page.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    missing = [t for t in LINK.findall(page.read_text("utf-8")) if not (page.parent / t).exists()]
    assert not missing


def test_every_detector_has_a_page() -> None:
    from assay.evidence.registry import BUILT_IN

    names = {reference.split(":")[0].rpartition(".")[2] for reference in BUILT_IN}
    assert names <= {p.stem for p in (ROOT / "docs" / "detectors").glob("*.md")}


def test_every_command_is_in_the_documents() -> None:
    from assay.cli import COMMANDS

    text = "\n".join(p.read_text("utf-8") for p in PAGES)
    missing = [name for name in COMMANDS if f"assay {name}" not in text]
    assert not missing
