"""Small corpora for the tests of the bench: made, seeded, written beside their manifest."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

HEAD = ("path", "label", "family", "generator", "source")


def scene(seed: int, size: int = 96) -> np.ndarray:
    """A picture (size, size, 3) with smooth ground, edges and grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    a, b, c = rng.uniform(-1, 1, 3)
    ground = 128 + 70 * np.sin(6 * (a * x + b * y) + c * 3)
    ground[(x - rng.random()) ** 2 + (y - rng.random()) ** 2 < 0.04] += 50
    pixels = ground[..., None] + rng.normal(0, 4, (size, size, 3)) + rng.uniform(-20, 20, 3)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def encoded(pixels: np.ndarray, kind: str = "JPEG", text: str = "", **options) -> bytes:
    buffer = io.BytesIO()
    if kind == "PNG" and text:
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("parameters", text)
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def write(folder: Path, rows: list[dict[str, str]], name: str = "manifest.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    head = [*HEAD, *sorted({k for row in rows for k in row} - set(HEAD))]
    path = folder / name
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, head, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def row(path: str, *, fake: bool, source: str, **more: str) -> dict[str, str]:
    told = {"family": "scene", "generator": "painter" if fake else ""} | more
    return {"path": path, "label": "fake" if fake else "bona_fide", "source": source, **told}


def small(folder: Path, each: int = 4, size: int = 96) -> Path:
    """`each` bona fide JPEGs and as many fakes, whose metadata alone betray them."""
    rows = []
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(2 * each):
        fake = k >= each
        name = f"{k}.{'png' if fake else 'jpg'}"
        data = (
            encoded(scene(k, size), "PNG", text="a cat, steps: 20")
            if fake
            else encoded(scene(k, size), quality=92)
        )
        (folder / name).write_bytes(data)
        rows.append(row(name, fake=fake, source=f"scene {k}"))
    return write(folder, rows)
