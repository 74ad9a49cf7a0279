"""Train the discriminant of `copy_move`, measure it, and write the weights that ship.

    python tools/train/copy_move.py make --more MORE --work WORK      # forgeries and their twins, and their measures
    python tools/train/copy_move.py fit [--write]                     # from docs/calibration/copy_move.parquet

MORE holds the packages that tools/calibration/more.toml names: no other list's photographs are learned from, so that
forgeries of the older lists stay unseen. Everything is seeded. Figures are by sources left out, in five folds; benches
that ask about a photograph of these sources take their weights from `unseen`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import multiprocessing
import os
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from assay.evidence.detectors import _copy_move_evidence as evidence  # noqa: E402
from assay.evidence.detectors._copy_move_evidence import NAMES, Weights  # noqa: E402

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "src/assay/evidence/weights/copy_move.json"
MEASURED = ROOT / "docs/calibration/copy_move.parquet"
# name: (forgeries, largest long side in pixels, qualities of the last save)
SETS = {"usual": (240, 1280, (75, 98)), "large": (80, 2400, (75, 98))}
SCREENS = 150  # honest twins of the first set that are shown in a screen: its text and icons repeat, its planes are flat
SEED = 40
FOLDS = 5
HIT, MISS = 0.3, 0.05  # overlap with the mask: from here on a match is the copy, up to here it is not
STRENGTH = 0.1  # inverse regularisation
ROUNDS = 1000  # of the bootstrap
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Picture:
    """One picture and all its matches."""

    path: str
    source: str
    fake: bool
    matches: Floats  # (N, len(NAMES))
    hits: Floats  # (N,): overlap of each with the mask


def make(more: Path, work: Path) -> None:
    """Forge, measure, and write MEASURED."""
    import board_media
    from board_media import Settings, made, marking, photos

    listed = board_media.listed({"more": more}, (board_media.LATER,))
    rows: list[dict[str, Any]] = []
    for k, (name, (count, side, qualities)) in enumerate(SETS.items()):
        out = work / name
        folder = out / "photos"
        folder.mkdir(parents=True, exist_ok=True)
        for one in listed:
            if one.group.content in board_media.SCENES and not (folder / one.flat).is_symlink():
                os.symlink(one.path.resolve(), folder / one.flat)
        sources = {one.flat: one.source for one in listed}
        found = tuple(board_media.replace(p, source=sources[p.path]) for p in photos.scan(folder)[0])
        chosen = Settings("copy_move", SEED + k, side, qualities, "", marked=False, rights="see more.toml")
        made.prepared(out)
        for _ in made.build(made.Work(folder, out, chosen, found, marking.authority()), count, 1):
            pass
        made.summarise(out)
        entries = board_media.manifest.read(out / "manifest.csv").entries
        rows += _all(name, entries, _measured)
        if name == "usual":
            rows += _all("screens", [e for e in entries if not e.fake][:SCREENS], _on_a_screen)
    _write(rows)


def _all(
    name: str, entries: Sequence[Any], measured: Callable[[Any], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for n, own in enumerate(pool.imap(measured, entries, chunksize=4)):
            rows += [row | {"set": name} for row in own]
            if n % 50 == 0:
                print(f"{name}: {n} of {len(entries)}", flush=True)
    return rows


def _on_a_screen(entry: Any) -> list[dict[str, Any]]:
    """The same of an honest picture that is shown in a screen."""
    from PIL import Image

    from assay.range import laundering

    with Image.open(entry.path) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    sent = laundering.launder(pixels, "screenshot", seed=zlib.crc32(entry.path.name.encode()))
    with Image.open(io.BytesIO(sent.data)) as shown:
        return _rows(entry, np.asarray(shown.convert("RGB")))


def _measured(entry: Any) -> list[dict[str, Any]]:
    from PIL import Image

    with Image.open(entry.path) as opened:
        return _rows(entry, np.asarray(opened.convert("RGB")))


def _rows(entry: Any, pixels: NDArray[np.uint8]) -> list[dict[str, Any]]:
    """One row for each match of a picture; one without measures where there is none."""
    import cv2
    from PIL import Image

    from assay.evidence.detectors import copy_move

    picture = copy_move.luma(pixels)
    shared = {"path": entry.name, "source": entry.source, "fake": entry.label == "fake"}
    truth = None
    if entry.mask is not None:
        with Image.open(entry.mask) as opened:
            truth = np.asarray(opened.convert("L"))
    rows = []
    for match, measured in copy_move.measured(picture):
        hit = 0.0
        if truth is not None:
            size = match.first.shape[::-1]
            mask = cv2.resize(truth, size, interpolation=cv2.INTER_AREA) > 127
            hit = max(float((mask & m).sum() / max(1, (mask | m).sum())) for m in (match.first, match.second))
        rows.append(shared | {"hit": hit} | dict(zip(NAMES, measured, strict=True)))
    return rows or [shared | {"hit": None} | dict.fromkeys(NAMES)]


def _write(rows: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet as pq

    table = pa.Table.from_pylist(rows)
    for k, field in enumerate(table.schema):
        if field.name in NAMES:  # seven digits are more than a score wants
            table = table.set_column(k, field.name, table.column(k).cast(pa.float32()))
    pq.write_table(table, MEASURED, compression="zstd")
    print(f"wrote {MEASURED.name}: {len(rows)} rows")


@cache
def pictures() -> tuple[Picture, ...]:
    from pyarrow import parquet as pq

    by_path: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in pq.read_table(MEASURED).to_pylist():
        by_path.setdefault((row["set"], row["path"]), []).append(row)
    return tuple(
        Picture(
            f"{name}/{path}",
            rows[0]["source"],
            rows[0]["fake"],
            np.array([[r[n] for n in NAMES] for r in rows if r["hit"] is not None], float).reshape(
                -1, len(NAMES)
            ),
            np.array([r["hit"] for r in rows if r["hit"] is not None], float),
        )
        for (name, path), rows in by_path.items()
    )


def fold_of(source: str) -> int:
    plain = " ".join(source.removeprefix("camera:").split())
    return int(hashlib.sha256(plain.encode()).hexdigest(), 16) % FOLDS


@cache
def fitted(left_out: int | None) -> Weights:
    """Fisher's discriminant would want normal measures; a logistic regression does not. Without one fold, or of all."""
    from sklearn.linear_model import LogisticRegression

    x, y = [], []
    for picture in pictures():
        if fold_of(picture.source) == left_out:
            continue
        for measured, hit in zip(picture.matches, picture.hits, strict=True):
            if not picture.fake or hit >= HIT:
                x.append(measured)
                y.append(picture.fake)
            elif hit <= MISS:
                x.append(measured)  # a chance match beside the copy
                y.append(False)
    values = np.array(x)
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-9
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", max_iter=5000)
    model.fit((values - mean) / spread, np.array(y))
    weights = model.coef_[0] / spread
    return Weights(tuple(map(float, weights)), float(model.intercept_[0] - weights @ mean))


def unseen(source: str) -> Weights | None:
    """Weights that saw nothing of a source; None where the shipped ones did not either."""
    plain = " ".join(source.split())
    known = any(" ".join(p.source.split()) == plain for p in pictures())
    return fitted(fold_of(source)) if known else None


def measure() -> None:
    """Print the tables of the model card: by sources left out."""
    every = pictures()
    scores = np.array([scored(p, fitted(fold_of(p.source))) for p in every])
    before = np.array([former(p) for p in every])
    fake, source = np.array([p.fake for p in every]), np.array([p.source for p in every])
    reached = np.array([bool((p.hits >= HIT).any()) for p in every])
    large, screen = (np.array([p.path.startswith(name) for p in every]) for name in ("large/", "screens/"))
    print(f"copies of which a match is on the list: {reached[fake].mean():.2f} of {fake.sum()}")
    print("pictures | score | AUC | recall at 1 % | recall at 2 % | fakes | twins | sources")
    for label, chosen in (
        ("usual", ~large & ~screen),
        ("large", large),
        ("both", ~screen),
        ("both and screens", ~large | large),
    ):
        for what, values in (("this", scores), ("version 1", before)):
            shown = interval(values[chosen], fake[chosen], source[chosen])
            print(
                f"{label} | {what} | {shown} | {fake[chosen].sum()} | {(~fake[chosen]).sum()} | {len(set(source[chosen]))}"
            )
    for budget in (0.01, 0.02, 0.05):
        print(
            f"score that {budget:.0%} of twins reach: {np.quantile(scores[~fake], 1 - budget, method='higher'):.2f}"
        )


def scored(picture: Picture, weights: Weights) -> float:
    return max((weights.score(m) for m in picture.matches), default=evidence.LEAST)


def former(picture: Picture) -> float:
    """What version 1 said: strength beyond the strongest rival's."""
    at = {name: k for k, name in enumerate(NAMES)}
    return max(
        (
            min(1.0, np.exp(m[at["area"]]) / 0.01) * np.exp(m[at["points"]] / 2) * m[at["detail"]]
            - m[at["rival"]]
            for m in picture.matches
        ),
        default=0.0,
    )


def interval(scores: Floats, fake: NDArray[np.bool_], source: NDArray[np.str_]) -> str:
    """AUC and recalls with 90 % intervals, sources drawn anew."""
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(source == s) for s in np.unique(source)]
    drawn = []
    for _ in range(ROUNDS):
        some = np.concatenate([rows[k] for k in rng.integers(0, len(rows), len(rows))])
        drawn.append(figures(scores[some], fake[some]))
    low, high = np.quantile(drawn, (0.05, 0.95), axis=0)
    at = figures(scores, fake)
    return " | ".join(f"{a:.2f} [{b:.2f}-{c:.2f}]" for a, b, c in zip(at, low, high, strict=True))


def figures(scores: Floats, fake: NDArray[np.bool_]) -> tuple[float, ...]:
    f, b = scores[fake], np.sort(scores[~fake])
    below = np.searchsorted(b, f, "left") + np.searchsorted(b, f, "right")
    at = [float((f > np.quantile(b, 1 - budget, method="higher")).mean()) for budget in (0.01, 0.02)]
    return float(below.mean() / 2 / len(b)), *at


def chosen_measures() -> Iterator[str]:
    weights = fitted(None)
    values = np.concatenate([p.matches for p in pictures()])
    for name, weight, spread in zip(NAMES, weights.of, values.std(axis=0), strict=True):
        yield f"{name} {weight * spread:+.2f}"


def write() -> None:
    weights = fitted(None)
    told = {
        "bias": round(weights.bias, 6),
        "weights": {name: round(w, 6) for name, w in zip(NAMES, weights.of, strict=True)},
    }
    WEIGHTS.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    evidence.shipped.cache_clear()
    print(f"wrote {WEIGHTS.name}: {hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("make", "fit"))
    parser.add_argument("--more", type=Path, help="the unpacked packages of more.toml")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "copy_move")
    parser.add_argument("--write", action="store_true", help="replace the shipped weights")
    asked = parser.parse_args()
    if asked.what == "make":
        make(asked.more, asked.work)
    measure()
    print("weights, in standard deviations: " + ", ".join(chosen_measures()))
    if asked.write:
        write()


if __name__ == "__main__":
    main()
