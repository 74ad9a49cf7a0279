"""Train the network of `decoder_residual`, measure it, and write the weights that ship.

    python tools/train/decoders.py train --design leaky --out WORK/decoders/leaky ...     # and --design gelu: with torch
    python tools/train/decoder_residual.py make --media ../shared/data --packages PACKAGES --more MORE --work WORK
    python tools/train/decoder_residual.py train --work WORK --left 0                     # with torch; 1, 2 and none, too
    python tools/train/decoder_residual.py measure --media ... --work WORK                # with Assay's own environment
    python tools/train/decoder_residual.py write --work WORK

`make` cuts squares out of every bona fide picture of the lists (`board_media`) and sends each through a decoder of a design
that the range does not ship, so that all decoders of the range are unseen. `train` learns to tell both of a pair after
the same saves; sources fall into three folds, and each of three networks leaves one of them out: benches take them from
`unseen`. Everything is seeded. Torch is no dependency of Assay.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "src/assay/evidence/weights/decoder_residual.onnx"
UNSEEN = ROOT / "docs/calibration/decoder_residual"
DESIGNS = ("leaky", "gelu")
SEED = 78
FOLDS = 3
EACH = 12  # squares of a picture
SIDE = 320  # pixels of a square that is kept
FLATTEST = 8.0  # grey levels: a square of one tone teaches nothing
CROP = 160  # of what is learned from
PAIRS = 10  # a step
STEPS = 6000
RATE = 3e-3  # of learning: rising for 100 steps, then falling as a cosine
WIDTHS = (16, 32, 64)
CLIP, UNIT = 12, 4  # grey levels: a residual is cut there, and divided by that
KERNELS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)
Picture = NDArray[np.uint8]  # (H, W, 3): blue, green, red, as OpenCV has them


def fold_of(source: str) -> int:
    plain = " ".join(source.removeprefix("camera:").split())
    return int(hashlib.sha256(plain.encode()).hexdigest(), 16) % FOLDS


def make(roots: dict[str, Path], work: Path) -> None:
    """Keep pairs in WORK/pairs.npy, shape (2 N, 320, 320, 3): the decoded one, then its parent."""
    listed = _bona_fide(roots)
    asked = [(one, k, work / "decoders") for k, one in enumerate(listed)]
    with multiprocessing.Pool(os.cpu_count()) as pool:
        found = []
        for n, rows in enumerate(pool.imap(_pairs, asked, chunksize=4)):
            found += rows
            if n % 100 == 0:
                print(f"{n} of {len(listed)} pictures, {len(found)} pairs", flush=True)
    np.save(work / "pairs.npy", np.stack([square for *_, pair in found for square in pair]))
    np.savez(
        work / "pairs.npz",
        source=np.array([r[0] for r in found]),
        decoder=np.array([r[1] for r in found]),
        matched=np.array([r[2] for r in found]),
    )
    print(f"{len(found)} pairs of {len({r[0] for r in found})} sources", flush=True)


def _bona_fide(roots: dict[str, Path]) -> list[Any]:
    import board_media

    lists = (*board_media.LISTS, board_media.LATER, board_media.STOCK)
    return [one for one in board_media.listed(roots, lists) if one.group.label == "bona_fide"]


def _pairs(asked: tuple[Any, int, Path]) -> list[tuple[str, str, bool, tuple[Picture, Picture]]]:
    from PIL import Image

    from assay.range.reconstruct import spectrum_matched

    one, number, folder = asked
    cv2.setNumThreads(1)
    rng = np.random.default_rng([SEED, number])
    with Image.open(one.path) as opened:
        picture = np.asarray(opened.convert("RGB"))[..., ::-1]
    known = _decoders(folder)
    found = []
    for _ in range(EACH):
        parent = _square(picture, rng)
        drawn, matched = int(rng.integers(len(known))), bool(rng.random() < 0.5)
        if parent is None:
            continue
        decoder, encoder, network = known[drawn]
        child = _through(parent, encoder, network)
        if matched:
            child = spectrum_matched(child, parent)
        found.append((one.source, decoder, matched, (child, parent)))
    return found


def _square(picture: Picture, rng: np.random.Generator) -> Picture | None:
    """A square at a drawn scale, with what honest pictures go through: blur, sharpening, enlargement, an earlier save."""
    short = min(picture.shape[:2])
    u, scale, kernel = rng.random(), np.exp(rng.uniform(*np.log((SIDE, 1600)))) / short, rng.integers(4)
    if u < 0.15:
        scale = float(np.exp(rng.uniform(0, np.log(1.8))))
    elif u < 0.45 or scale > 1:
        scale = 1.0
    room = int(np.ceil(SIDE / scale)) + 2  # cut before it is resized: the rest would be thrown away
    if short < room:
        return None
    y, x = (int(rng.integers(0, n - room + 1)) for n in picture.shape[:2])
    cut = picture[y : y + room, x : x + room]
    if scale != 1.0:
        method = cv2.INTER_AREA if scale < 0.6 else KERNELS[int(kernel)]
        cut = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=method)
    square = np.ascontiguousarray(cut[:SIDE, :SIDE])
    if square.shape != (SIDE, SIDE, 3) or square.std() < FLATTEST:
        return None
    u, amount = rng.random(), rng.uniform(0.4, 1.2)
    if u < 0.1:
        square = cv2.GaussianBlur(square, (0, 0), amount)
    elif u < 0.2:
        square = cv2.addWeighted(square, 1 + amount, cv2.GaussianBlur(square, (0, 0), 1.0), -amount, 0)
    elif u < 0.25:
        square = cv2.bilateralFilter(square, 5, 20, 2)
    return saved(square, int(rng.integers(75, 99))) if rng.random() < 0.75 else square


def saved(picture: Picture, quality: int, full_chroma: bool = False) -> Picture:
    """One save as JPEG."""
    how = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if full_chroma:
        how += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return _again(picture, ".jpg", how)


def _again(picture: Picture, suffix: str, how: list[int]) -> Picture:
    _, data = cv2.imencode(suffix, np.ascontiguousarray(picture), how)
    decoded: Picture = cv2.imdecode(data, cv2.IMREAD_COLOR)  # type: ignore[assignment]
    return decoded


@cache
def _decoders(folder: Path) -> list[tuple[str, Any, Any]]:
    from decoders import DESIGNS as KNOWN
    from decoders import KINDS

    return [
        (
            f"{design}_{kind}_{factor}",
            _session(folder / design / f"encoder_{factor}.onnx"),
            _session(folder / design / f"{kind}_{factor}.onnx"),
        )
        for design in DESIGNS
        for factor in KNOWN[design].factors
        for kind in KINDS
    ]


@cache
def _session(path: Path) -> Any:
    import onnxruntime

    from assay.evidence.models import session_options

    return onnxruntime.InferenceSession(str(path), session_options(), providers=["CPUExecutionProvider"])


def _through(square: Picture, encoder: Any, network: Any) -> Picture:
    margin = 32  # pixels: more than any layer reaches
    value = (square[..., ::-1].astype(np.float32) / np.float32(127.5) - 1).transpose(2, 0, 1)[None]
    value = np.pad(value, ((0, 0), (0, 0), (margin, margin), (margin, margin)), mode="symmetric")
    for session in (encoder, network):
        (value,) = session.run(None, {"x": value})
    levels = np.rint((value[0, ::-1, margin:-margin, margin:-margin].transpose(1, 2, 0) + 1) * 127.5)
    return np.ascontiguousarray(np.clip(levels, 0, 255).astype(np.uint8))


def view(square: Picture, rng: np.random.Generator) -> Picture:
    """What becomes of a picture on its way: both of a pair get the same seed, and so the same saves and places."""
    if rng.random() < 0.8:
        square = saved(square, int(rng.integers(75, 99)), rng.random() < 0.3)  # the maker's own
    if rng.random() < 0.06:
        square = cv2.GaussianBlur(square, (0, 0), rng.uniform(0.4, 1.0))
    scale = float(np.exp(rng.uniform(np.log(0.5), 0))) if rng.random() < 0.35 else 1.0
    side = min(SIDE, int(np.ceil(CROP / scale)))
    y, x = (int(rng.integers(0, SIDE - side + 1)) for _ in range(2))
    square = square[y : y + side, x : x + side]
    if side != CROP:
        square = cv2.resize(square, (CROP, CROP), interpolation=KERNELS[int(rng.integers(4))])
    u = rng.random()
    if u < 0.08:
        square = _again(square, ".webp", [cv2.IMWRITE_WEBP_QUALITY, int(rng.integers(60, 95))])
    elif u < 0.45:
        square = saved(square, int(rng.integers(60, 97)), rng.random() < 0.2)
    turns = int(rng.integers(8))
    square = np.rot90(square, turns % 4)
    return square[:, ::-1] if turns > 3 else square


def filters() -> NDArray[np.float32]:
    """Three high-pass filters of the rich models on each channel, shape (9, 3, 5, 5).

    References
    ----------
    J. Fridrich, J. Kodovsky, "Rich models for steganalysis of digital images", TIFS 2012, doi:10.1109/TIFS.2012.2190402.
    """
    small = np.outer((1, -2, 1), (1, -2, 1)) / -4
    large = np.array([[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]]) / 12  # fmt: skip
    line = np.zeros((5, 5))
    line[2, 1:4] = (0.5, -1, 0.5)
    kernels = (np.pad(small, 1), large, line)
    bank = np.zeros((9, 3, 5, 5), np.float32)
    for channel in range(3):
        for k, kernel in enumerate(kernels):
            bank[3 * channel + k, channel] = kernel
    return bank


def network() -> Any:
    """A small convolutional network on residuals: logits of cells of 8 x 8 pixels."""
    import torch
    from torch import nn

    def block(i: int, o: int, stride: int = 1, dilation: int = 1) -> Any:
        return nn.Sequential(
            nn.Conv2d(i, o, 3, stride, dilation, dilation, bias=False), nn.BatchNorm2d(o), nn.ReLU()
        )

    class Net(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            a, b, c = WIDTHS
            self.register_buffer("filters", torch.from_numpy(filters()))
            self.stem = nn.Sequential(
                block(9, a, 2), block(a, a), block(a, b, 2), block(b, b), block(b, c, 2)
            )
            self.rest = nn.ModuleList(
                nn.Sequential(block(c, c, 1, d), nn.Conv2d(c, c, 1, bias=False), nn.BatchNorm2d(c))
                for d in (1, 2)
            )
            self.out = nn.Conv2d(c, 1, 1)

        def forward(self, x: Any) -> Any:
            framed = nn.functional.pad(x, (2, 2, 2, 2), mode="replicate")
            value = self.stem(nn.functional.conv2d(framed, self.filters).clamp(-CLIP, CLIP) / UNIT)
            for part in self.rest:
                value = torch.relu(value + part(value))
            return self.out(value)

    return Net()


def train(work: Path, left: int | None) -> None:
    """Fit on all sources but those of a fold, and keep the network as WORK/decoder_residual-FOLD.onnx."""
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    seed = FOLDS if left is None else left
    torch.manual_seed(seed)
    net = network().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-2)
    truth = torch.tensor([1.0, 0.0] * PAIRS)
    began, losses, right = time.monotonic(), [], []
    for step, batch in enumerate(_batches(work, left, np.random.default_rng(seed))):
        falling = 0.5 * (1 + np.cos(np.pi * step / STEPS))
        optimiser.param_groups[0]["lr"] = RATE * min(1, (step + 1) / 100) * falling + 1e-5
        x = torch.from_numpy(batch).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            cells = net(x)
        said = cells.float().mean((1, 2, 3))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(said, truth)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        losses.append(float(loss.detach()))
        right.append(float(((said > 0).float() == truth).float().mean()))
        if step % 500 == 499:
            shown = f"loss {np.mean(losses[-500:]):.4f}, right {np.mean(right[-500:]):.3f}"
            print(f"step {step + 1}, {time.monotonic() - began:.0f} s, {shown}", flush=True)
    _export(net, work / f"decoder_residual-{seed}.onnx")


def _batches(work: Path, left: int | None, rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Pairs, each seen in one drawn way, shape (20, 3, 160, 160): red, green, blue."""
    pairs = np.load(work / "pairs.npy", mmap_mode="r")
    with np.load(work / "pairs.npz") as told:
        chosen = np.array([k for k, source in enumerate(told["source"]) if fold_of(str(source)) != left])
    print(f"{len(chosen)} pairs", flush=True)
    for _ in range(STEPS):
        seen = []
        for k in chosen[rng.integers(len(chosen), size=PAIRS)]:
            seed = int(rng.integers(2**31))
            seen += [view(pairs[2 * k + j], np.random.default_rng(seed)) for j in (0, 1)]
        yield np.stack([v[..., ::-1].transpose(2, 0, 1) for v in seen]).astype(np.float32)


def _export(net: Any, path: Path) -> None:
    import torch
    from decoders import halve

    axes = {"x": {2: "h", 3: "w"}, "y": {2: "H", 3: "W"}}
    torch.onnx.export(
        net.eval(), (torch.zeros(1, 3, CROP, CROP),), str(path), input_names=["x"], output_names=["y"],
        dynamic_axes=axes, opset_version=17, dynamo=False,
    )  # fmt: skip
    halve(path)
    print(f"{path.name}: {path.stat().st_size} bytes", flush=True)


SAVES: dict[str, tuple[float, int]] = {  # scale, JPEG quality; 0: none
    "without loss": (1.0, 0), "JPEG 95": (1.0, 95), "JPEG 85": (1.0, 85), "JPEG 75": (1.0, 75), "half size, JPEG 85": (0.5, 85),
}  # fmt: skip


def measure(work: Path, networks: Sequence[str], each: int) -> None:
    """Print the tables of the model card: `each` squares of each fold, sources left out, decoders that nothing learned from.

    Without names of `networks` the decoders of the range, half of the squares with their parent's spectrum.
    """
    from learned_edit import auc

    from assay.range import reconstruct

    scores: dict[tuple[str, int], list[float]] = {}
    kinds: list[tuple[str, str]] = []  # decoder and source of each square
    pairs = np.load(work / "pairs.npy", mmap_mode="r")
    with np.load(work / "pairs.npz") as told:
        sources, learned = told["source"], told["decoder"]
    folds = np.array([fold_of(str(s)) for s in sources])
    known = tuple(networks) or reconstruct.decoders()
    for fold in range(FOLDS):
        network = _network(work / f"decoder_residual-{fold}.onnx")
        own = np.flatnonzero(folds == fold)
        for k in np.random.default_rng(fold).permutation(own)[:each]:
            rng = np.random.default_rng([SEED, int(k)])
            parent = np.ascontiguousarray(pairs[2 * k + 1][..., ::-1])
            decoder, matched = known[int(rng.integers(len(known)))], not networks and rng.random() < 0.5
            child = reconstruct.decoded(parent, decoder)
            if matched:
                child = reconstruct.spectrum_matched(child, parent)
            kinds.append((f"{decoder}, matched" if matched else decoder, str(sources[k])))
            for name, (scale, quality) in SAVES.items():
                for j, picture in enumerate((child, parent, pairs[2 * k][..., ::-1])):
                    scores.setdefault((name, j), []).append(network(_sent(picture, scale, quality)))
    print(
        f"{len(kinds)} squares of {len({s for _, s in kinds})} sources; {len(set(learned))} decoders learned from, none of the range"
    )
    print(
        "saved | unseen decoders: AUC | recall at 1 % | in order | decoders learned from: AUC | recall at 1 %"
    )
    for name in SAVES:
        high, low, seen_high = (np.array(scores[name, j]) for j in range(3))
        at = np.quantile(low, 0.99)
        print(
            f"{name} | {auc(high, low):.2f} | {(high > at).mean():.2f} | {(high > low).mean():.2f} | "
            f"{auc(seen_high, low):.2f} | {(seen_high > at).mean():.2f} | 1 % at {at:.2f}"
        )
    print("decoder, JPEG 85 | AUC | n")
    high, low = (np.array(scores["JPEG 85", j]) for j in range(2))
    for group in (*networks, *reconstruct.KINDS, "_2", "_4", "matched"):
        own = np.array([group in kind for kind, _ in kinds])
        if not own.any():
            continue
        print(f"{group} | {auc(high[own], low):.2f} | {own.sum()}")


def _sent(picture: Picture, scale: float, quality: int) -> Picture:
    if scale != 1.0:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return saved(picture, quality) if quality else np.ascontiguousarray(picture)


def _network(path: Path) -> Any:
    from assay.evidence.detectors.decoder_residual import DecoderResidual, opened

    detector = DecoderResidual(opened(path.read_bytes()))
    return lambda picture: detector.score([picture])


def unseen(source: str) -> tuple[str, bytes]:
    """The digest and the network that learned nothing from a source."""
    return _stored(fold_of(source))


@cache
def _stored(fold: int) -> tuple[str, bytes]:
    data = (UNSEEN / f"{fold}.onnx").read_bytes()
    return hashlib.sha256(data).hexdigest(), data


def write(work: Path) -> None:
    """Put the network of everything into the package, and those of the folds where benches look for them."""
    UNSEEN.mkdir(parents=True, exist_ok=True)
    for fold, path in enumerate((*(UNSEEN / f"{k}.onnx" for k in range(FOLDS)), WEIGHTS)):
        data = (work / f"decoder_residual-{fold}.onnx").read_bytes()
        path.write_bytes(data)
        print(f"wrote {path.name}: {hashlib.sha256(data).hexdigest()}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("make", "train", "measure", "write"))
    parser.add_argument("--media", type=Path, help="the folder with manifest.csv")
    parser.add_argument("--packages", type=Path, help="the unpacked packages of learned_image.toml")
    parser.add_argument("--more", type=Path, help="the unpacked packages of tools/calibration's lists")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "decoder_residual")
    parser.add_argument(
        "--left", type=int, choices=range(FOLDS), help="the fold that is left out; none: all is learned from"
    )
    parser.add_argument(
        "--networks", nargs="*", default=[], help="super-resolution networks to measure on, by name"
    )
    parser.add_argument("--each", type=int, default=160, help="squares of each fold to measure on")
    asked = parser.parse_args()
    roots = {"shared": asked.media, "packages": asked.packages, "more": asked.more}
    if asked.what == "make":
        make(roots, asked.work)
    elif asked.what == "train":
        train(asked.work, asked.left)
    elif asked.what == "measure":
        measure(asked.work, asked.networks, asked.each)
    else:
        write(asked.work)


if __name__ == "__main__":
    main()
