"""How `learned_image` holds after launderings: a seeded subsample, heads that saw neither source nor generator.

python tools/train/laundered.py --media ../shared/data --packages PACKAGES --more MORE --cache CACHE

Fakes and bona fide pictures are first brought to a short side of 768 and one JPEG of quality 95 (the base cell of
`assay.range.laundering`), then sent through each laundering.
"""

from __future__ import annotations

import argparse
import io
import zlib
from pathlib import Path

import corpus
import embeddings
import learned_image as trainer
import numpy as np
from heads import Heads
from PIL import Image, ImageOps

from assay.evidence.detectors._clip import reduced
from assay.evidence.detectors.learned_image import LOOK
from assay.range import laundering

PER_SET = {
    "sd3": 10,
    "gemini": 10,
    "comfyui_scenes": 7,
    "comfyui_drawings": 5,
    "camera_people": 8,
    "camera_scenes": 20,
}
NAMES = ("jpeg95", "jpeg75", "social", "screenshot")
SHORT = 768  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--more", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    asked = parser.parse_args()
    roots = {"shared": asked.media, "packages": asked.packages, "more": asked.more}
    heads, encoder = Heads(asked.cache, roots), embeddings.encoder()
    scores: dict[tuple[str, bool], list[tuple[float, float]]] = {
        (n, y): [] for n in NAMES for y in (False, True)
    }
    for group in embeddings.listed():
        paths = corpus.files(group, roots)
        for path in paths[:: max(1, len(paths) // PER_SET[group.name])] if group.name in PER_SET else ():
            with Image.open(path) as opened:
                source = corpus.source_of(path, group, opened)
                picture = ImageOps.exif_transpose(opened).convert("RGB")
            pixels = np.asarray(corpus.resized(picture, SHORT, Image.Resampling.LANCZOS))
            fake = group.label == "fake"
            head = heads.for_sample(source, group.name if fake else "")
            for name in NAMES:
                sent = laundering.launder(pixels, name, seed=zlib.crc32(path.name.encode()))
                coded = np.asarray(Image.open(io.BytesIO(sent.data)).convert("RGB"))
                late, middle = encoder.features(reduced(embeddings.within(coded)))
                scores[name, fake].append((head.late.score(late), head.middle.score(middle)))
    print("laundering | part | AUC | recall at 5 % | fakes | bona fide | false alarms at the notable score")
    notable = heads.for_sample("", "").notable
    for name in NAMES:
        f, b = (np.array(scores[name, fake]) for fake in (True, False))
        for label, column in (("late", (1, 0)), ("middle", (0, 1)), ("both", (LOOK, 1 - LOOK))):
            x, y = (v @ np.array(column) for v in (f, b))
            found = (x > np.quantile(y, 0.95)).mean()
            over = f"{(y > notable).sum()}" if label == "both" else ""
            print(f"{name} | {label} | {trainer.auc(x, y):.2f} | {found:.2f} | {len(x)} | {len(y)} | {over}")


if __name__ == "__main__":
    main()
