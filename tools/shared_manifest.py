"""Bring a list of media in another form into a manifest that `assay bench` reads; a recipe to copy and change.

    python tools/shared_manifest.py ../shared/data --out corpus.csv

Its own list has the columns path, kind (the medium), label, family, generator, source_repository, licence, sha256, note.
What has to be decided by hand is the source: here the camera for camera files, the person for portraits (the name before
the first underscore or dot), and the file itself where nothing better is known.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

from assay.bench import manifest

KINDS = {
    "synthesis": "full_synthesis",
    "inpainting": "inpainting",
    "copy_move": "copy_move",
    "splice": "splice",
}


def row(told: dict[str, str], media: Path, out: Path) -> dict[str, str]:
    """Turn one line of the other list into one of a manifest."""
    path = Path(told["path"])
    return {
        "path": os.path.relpath(media / path, out.parent),
        "label": told["label"],
        "family": told["family"],
        "generator": told["generator"] if told["label"] == "fake" else "",
        "source": source_of(path, told["family"]),
        "kind": KINDS.get(told["family"], "") if told["label"] == "fake" else "",
        "sha256": told["sha256"],
        "rights": told["licence"],
    }


def source_of(path: Path, family: str) -> str:
    """Name what must not be on both sides of a split."""
    if family == "portrait":
        return f"{path.parent.name}/{path.stem.partition('_')[0]}"
    if family == "camera":
        return f"camera/{path.stem.partition('(')[0].strip()}"
    return str(path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("media", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--medium", default="image")
    asked = parser.parse_args()
    with (asked.media / "manifest.csv").open(encoding="utf-8", newline="") as file:
        lines = [r for r in csv.DictReader(file) if r["kind"] == asked.medium]
    unique = {r["sha256"]: r for r in lines if r["label"] in manifest.LABELS}
    manifest.write(asked.out, (row(r, asked.media, asked.out) for r in unique.values()))


if __name__ == "__main__":
    main()
