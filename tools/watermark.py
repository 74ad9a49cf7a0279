"""Measures the range's watermark on a folder of photos: what it costs, what it survives, how often nothing is taken for it.

python tools/watermark.py FOLDER [N]: N photos are marked (default 40); all are looked at without a mark.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assay.range.laundering import launder
from assay.range.photos import parent, scan
from assay.range.watermark import BITS, PRESENT, detect, embed

Pixels = NDArray[np.uint8]
LONG_SIDE = 1024


def through(name: str) -> Callable[[Pixels], Pixels]:
    return lambda pixels: np.array(Image.open(io.BytesIO(launder(pixels, name, seed=1).data)).convert("RGB"))


def halved_at_50(pixels: Pixels) -> Pixels:
    small = Image.fromarray(pixels).resize((pixels.shape[1] // 2, pixels.shape[0] // 2), Image.Resampling.BOX)
    return through("jpeg50")(np.asarray(small))


WAYS: dict[str, Callable[[Pixels], Pixels]] = {
    "none": lambda pixels: pixels,
    **{name: through(name) for name in ("jpeg85", "jpeg50", "social", "webp", "crop")},
    "half and JPEG 50": halved_at_50,
    "mirrored": lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
}


def main(folder: Path, wanted: int) -> None:
    cv2.setNumThreads(1)
    rng = np.random.default_rng(1)
    found = scan(folder)[0]
    found = tuple(found[n] for n in rng.permutation(len(found)))
    unmarked, psnr, read = [], [], {name: list[tuple[float, float]]() for name in WAYS}
    spent = {"embed": 0.0, "detect": 0.0}
    for n, photo in enumerate(found):
        scale = min(1.0, LONG_SIDE / max(photo.width, photo.height))
        size = [round(photo.width * scale), round(photo.height * scale)]
        prepared = {
            "mode": "whole" if scale == 1.0 else "shrunk", "size": size, "filter": "lanczos",
            "quality": 98, "subsampling": "4:4:4",
        }  # fmt: skip
        pixels = parent(folder, photo.path, photo.source, prepared).pixels
        unmarked += [detect(pixels)[0], detect(halved_at_50(pixels))[0]]
        if n >= wanted:
            continue
        payload = int(rng.integers(1 << BITS))
        started = time.process_time()
        marked = embed(pixels, payload)
        spent["embed"] += time.process_time() - started
        psnr.append(10 * np.log10(255**2 / np.mean((marked.astype(float) - pixels) ** 2)))
        for name, way in WAYS.items():
            seen = way(marked)
            started = time.process_time()
            strength, bits = detect(seen)
            spent["detect"] += time.process_time() - started
            read[name].append((strength, 1 - (bits ^ payload).bit_count() / BITS))
    n = len(psnr)
    print(
        f"{n} marked photos of at most {LONG_SIDE} pixels: PSNR {np.mean(psnr):.1f} dB, lowest {min(psnr):.1f};"
    )
    print(
        f"embed {1e3 * spent['embed'] / n:.0f} ms CPU, detect {1e3 * spent['detect'] / n / len(WAYS):.0f} ms"
    )
    print(f"unmarked, as they are and halved at JPEG 50: n = {len(unmarked)}, strength {np.mean(unmarked):.2f} +- "
          f"{np.std(unmarked):.2f}, highest {max(unmarked):.2f}, {sum(u >= PRESENT for u in unmarked)} called marked")  # fmt: skip
    print(
        "| after | bits right | all 32 right | strength, median (least) | called marked |\n|---|---|---|---|---|"
    )
    for name, found_ in read.items():
        strength, right = np.array(found_).T
        print(f"| {name} | {right.mean():.3f} | {(right == 1).mean():.2f} | {np.median(strength):.1f} "
              f"({strength.min():.1f}) | {(strength >= PRESENT).mean():.2f} |")  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 40)
