"""Measures what fingerprints and the difference check are worth on pictures of yours, and writes the table of ratios.

python tools/signature_ratios.py distances FOLDER... [--copies N] [--write]
    Distances of PDQ between pictures and their re-encodings (of N pictures, default 120), and between all pictures that
    are not the same. With --write the table that Assay ships is replaced. Pairs of different files at 31 bits or less
    are listed: look at them; they count as copies of one scene and are left out of the law of others.

python tools/signature_ratios.py differences FOLDER [--copies N]
    Makes splices of N pictures (default 8) and asks what the difference check says of splice, original and a second
    splice in the same place, each after launderings.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from assay.signatures import likelihood
from assay.signatures.codes import Codes, distances, from_bits, to_bits
from assay.signatures.difference import against_fake, against_original
from assay.signatures.index import HammingIndex
from assay.signatures.pdq import ImagePrint, pixels_print, sampled
from assay.signatures.references import boxed, reference_of

Pixels = NDArray[np.uint8]
LONGEST = 1024
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}


def saved(pixels: Pixels, quality: int, kind: str = "JPEG") -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=quality)
    return np.asarray(Image.open(file).convert("RGB"))


def scaled(pixels: Pixels, share: float) -> Pixels:
    size = max(1, round(pixels.shape[1] * share)), max(1, round(pixels.shape[0] * share))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def trimmed(pixels: Pixels, share: float) -> Pixels:
    height, width = pixels.shape[:2]
    return pixels[round(height * share) :, round(width * share) :]


def brightened(pixels: Pixels) -> Pixels:
    return np.clip(pixels * 1.15 - 12, 0, 255).astype(np.uint8)


WAYS: dict[str, Callable[[Pixels], Pixels]] = {
    "JPEG 90": lambda p: saved(p, 90),
    "JPEG 70": lambda p: saved(p, 70),
    "JPEG 50": lambda p: saved(p, 50),
    "JPEG 30": lambda p: saved(p, 30),
    "WebP 60": lambda p: saved(p, 60, "WEBP"),
    "half, JPEG 75": lambda p: saved(scaled(p, 0.5), 75),
    "a third, JPEG 60": lambda p: saved(scaled(p, 1 / 3), 60),
    "brighter, JPEG 80": lambda p: saved(brightened(p), 80),
    "2 % cut off, JPEG 80": lambda p: saved(trimmed(p, 0.02), 80),
    "mirrored, JPEG 80": lambda p: saved(np.ascontiguousarray(p[:, ::-1]), 80),
}


def pictures(folders: list[Path], only: set[Path] | None = None) -> Iterator[tuple[Path, Pixels]]:
    for folder in folders:
        for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
            if only is not None and path not in only:
                continue
            try:
                with Image.open(path) as opened:
                    picture = ImageOps.exif_transpose(opened).convert("RGB")
                    picture.thumbnail((LONGEST, LONGEST), reducing_gap=2.0)
            except (OSError, ValueError, SyntaxError):
                print(f"left out: {path.name} cannot be read", file=sys.stderr)
                continue
            yield path, np.array(picture)


def near(a: ImagePrint, code: Codes) -> int:
    """Distance as a search finds it: the least of the eight orientations."""
    return int(distances(code, a.codes).min())


def measure(folders: list[Path], copies: int, *, write: bool) -> None:
    paths: list[Path] = []
    prints: list[ImagePrint] = []
    without: Counter[str] = Counter()
    for path, pixels in pictures(folders):
        found = pixels_print(pixels)
        if isinstance(found, ImagePrint):
            paths.append(path)
            prints.append(found)
        else:
            without[found.code] += 1
    print(f"{len(prints)} pictures with a fingerprint; without one: {dict(without) or 'none'}")
    gaps = unrelated(prints)
    related = np.argwhere(gaps <= likelihood.RADIUS)
    for i, j in related[:40].tolist():
        print(f"  at {gaps[i, j]} bits: {paths[i].name} and {paths[j].name}")
    law = gaps[gaps > likelihood.RADIUS]
    kept = law[law < 257]
    hundredth, thousandth = (float(np.quantile(kept, q)) for q in (0.01, 0.001))
    slope = float(np.log(10) / max(hundredth - thousandth, 1.0))
    print(f"{kept.size} pairs of other pictures: nearest {kept.min()}, lowest thousandth {thousandth:.0f}, "
          f"hundredth {hundredth:.0f}, median {np.median(kept):.0f}; {len(related)} pairs left out")  # fmt: skip
    chosen = {paths[k] for k in np.linspace(0, len(paths) - 1, min(copies, len(paths))).astype(int)}
    table = re_encoded(folders, chosen, dict(zip(paths, prints, strict=True)))
    value = {
        "copies": table, "others": int(kept.size), "pictures": len(prints), "nearest": int(kept.min()),
        "hundredth": round(hundredth, 2), "slope": round(slope, 4),
    }  # fmt: skip
    print(json.dumps(value))
    ratios = likelihood.Table(**(value | {"copies": tuple(table)}))
    for searched in (1, 10_000, 10_000_000):
        row = " ".join(f"{likelihood.llr(d, searched=searched, table=ratios):6.1f}" for d in range(0, 32, 4))
        print(f"nats at 0, 4 ... 28 bits, {searched:>10} searched: {row}")
    if write:
        Path(likelihood.__file__).with_suffix(".json").write_text(json.dumps(value, indent=1) + "\n", "utf-8")


def unrelated(prints: list[ImagePrint]) -> NDArray[np.int64]:
    """Distances of each pair, the later picture in its eight orientations; 257 where there is no pair."""
    codes = np.stack([p.code for p in prints])
    gaps = np.full((len(prints), len(prints)), 257)
    for i, one in enumerate(prints[1:], 1):
        gaps[i, :i] = np.min([distances(code, codes[:i]) for code in one.codes], axis=0)
    return gaps


def re_encoded(folders: list[Path], chosen: set[Path], prints: dict[Path, ImagePrint]) -> list[int]:
    """Count distances of copies by bins, and print them by way."""
    bins = [0] * (likelihood.RADIUS // likelihood.BIN + 2)
    by_way: dict[str, list[int]] = {name: [] for name in WAYS}
    for path, pixels in pictures(folders, chosen):
        for name, way in WAYS.items():
            found = pixels_print(way(pixels))
            if isinstance(found, ImagePrint):  # a copy too small or flat for one is not compared at all
                gap = near(found, prints[path].code)
                by_way[name].append(gap)
                bins[min(gap // likelihood.BIN, len(bins) - 1)] += 1
    for name, seen in by_way.items():
        row = np.array(seen or [256])
        print(f"{name:22} n {row.size}: median {np.median(row):.0f}, 95 % within {np.quantile(row, 0.95):.0f}, "
              f"farther than {likelihood.RADIUS}: {(row > likelihood.RADIUS).sum()}")  # fmt: skip
    return bins


def compare(folder: Path, count: int) -> None:
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    only = {paths[k] for k in np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int)}
    chosen = [pixels for _, pixels in pictures([folder], only)]
    rng = np.random.default_rng(0)
    said: dict[tuple[str, str, str], Counter[str]] = {}
    for n, original in enumerate(chosen):
        height, width = original.shape[:2]
        side = int(min(height, width) * 0.18)
        top, left = int(rng.integers(0, height - side)), int(rng.integers(0, width - side))
        fake = saved(spliced(original, chosen[(n + 1) % len(chosen)], top, left, side, rng), 92)
        second = spliced(original, chosen[(n + 2) % len(chosen)], top, left, side, rng)
        region = boxed(left, top, left + side, top + side, width=width, height=height)
        asked = {
            "fake, original stored": (against_fake, reference_of(fake, [region], original)),
            "fake alone stored": (against_fake, reference_of(fake, [region])),
            "original stored": (against_original, reference_of(original)),
        }
        for way in ("as it is", *WAYS):
            for what, pixels in (("splice", fake), ("original", original), ("second splice", second)):
                shown = WAYS[way](pixels) if way in WAYS else pixels
                orientation = 2 if way.startswith("mirrored") else 1
                for name, (check, stored) in asked.items():
                    answer = check(shown, orientation, stored).shown.value
                    said.setdefault((name, what, way), Counter())[answer] += 1
    for (name, what, way), counts in sorted(said.items()):
        print(f"{name:22} {what:14} {way:22} {dict(counts)}")


def spliced(
    pixels: Pixels, donor: Pixels, top: int, left: int, side: int, rng: np.random.Generator
) -> Pixels:
    """Paste a round part of a donor with a soft edge."""
    y, x = (int(rng.integers(0, max(1, n - side))) for n in donor.shape[:2])
    soft = np.zeros((side, side), np.float32)
    cv2.circle(soft, (side // 2, side // 2), side // 2 - 3, 1.0, -1)
    soft = cv2.GaussianBlur(soft, (0, 0), 2)[..., None]
    mixed = pixels.copy()
    place = mixed[top : top + side, left : left + side]
    place[:] = np.rint(soft * donor[y : y + side, x : x + side] + (1 - soft) * place).astype(np.uint8)
    return mixed


def search(folders: list[Path], count: int) -> None:
    rng = np.random.default_rng(0)
    if folders:
        codes = like_real(
            np.stack([transform(p) for _, p in pictures(folders) if min(p.shape[:2]) >= 64]), count, rng
        )
    else:
        codes = rng.integers(0, 1 << 64, (count, 4), dtype=np.uint64)
    started, worked = time.perf_counter(), time.process_time()
    index = HammingIndex(codes)
    built, building = time.perf_counter() - started, time.process_time() - worked
    picked = rng.integers(0, count, 1000)
    bits = to_bits(codes[picked])
    for n, distance in enumerate(rng.integers(0, 32, 1000).tolist()):
        bits[n, rng.choice(256, distance, replace=False)] ^= True
    queries = from_bits(bits)
    index.search(queries[:50])
    started, worked = time.perf_counter(), time.process_time()
    hits = index.search(queries)
    took, taking = time.perf_counter() - started, time.process_time() - worked
    there = {(h.query, h.key) for h in hits}
    found = sum((n, int(key)) in there for n, key in enumerate(picked))
    print(f"{count} codes {'like real ones' if folders else 'at random'}: built in {built:.1f} s ({building:.1f} s CPU), "
          f"{index.nbytes / 1e6:.0f} MB; {1000 / took:.0f} lookups a second in one process ({1000 / taking:.0f} a second of CPU); "
          f"{found} of 1000 planted neighbours found, {len(hits)} hits")  # fmt: skip


def transform(pixels: Pixels) -> NDArray[np.float64]:
    """The 256 coefficients that a picture's code is made of, scaled to one strength."""
    grid = sampled(pixels)[0, 0]
    cosines = np.cos(np.pi / 128 * np.outer(np.arange(1, 17), 2 * np.arange(64) + 1))
    flat = (cosines @ grid @ cosines.T).ravel()
    return flat / max(float(np.abs(flat).mean()), 1e-9)


def like_real(rows: NDArray[np.float64], count: int, rng: np.random.Generator) -> Codes:
    """Codes drawn from the mean and covariance of real transforms (N, 256): bits lean and hang together like theirs."""
    rows = np.arcsinh(rows)  # their tails are long; signs and order stay
    mean, spread = rows.mean(axis=0), np.cov(rows, rowvar=False) + 1e-6 * np.eye(256)
    root = np.linalg.cholesky(spread).astype(np.float32)
    codes = np.empty((count, 4), np.uint64)
    for at in range(0, count, 50_000):
        drawn = rng.standard_normal((min(50_000, count - at), 256), dtype=np.float32) @ root.T + mean
        codes[at : at + len(drawn)] = from_bits(drawn > np.median(drawn, axis=1, keepdims=True))
    return codes


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("distances", "differences", "search"))
    parser.add_argument("folder", type=Path, nargs="*")
    parser.add_argument("--codes", type=int, default=1_000_000)
    parser.add_argument("--copies", type=int)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.what == "search":
        search(given.folder, given.codes)
    elif not given.folder:
        parser.error("name a folder of pictures")
    elif given.what == "distances":
        measure(given.folder, given.copies or 120, write=given.write)
    else:
        compare(given.folder[0], given.copies or 8)


if __name__ == "__main__":
    main()
