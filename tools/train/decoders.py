"""Train the small learned decoders of `assay range make reconstruct`, and measure the files that ship.

    python tools/train/decoders.py train --media ../shared/data --packages PACKAGES     # needs torch 2.13 and onnx 1.23
    python tools/train/decoders.py train --design leaky --out OUT ...                   # others, which nothing ships
    python tools/train/decoders.py measure --media ../shared/data --packages PACKAGES   # with Assay's own environment

Bona fide photographs only: a third of the photographic sources of learned_image.toml, drawn by digest, so that the
others stay unseen parents. One autoencoder for each factor (2 and 4), whose encoder four decoders share; each decoder
has another upsampling layer. Weights are stored in half precision. Torch is no dependency of Assay. The designs other
than `shipped` make what `decoder_residual` learns from, so that the range's own decoders stay unseen by it.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import corpus
import numpy as np
from numpy.typing import NDArray
from PIL import Image

HERE = Path(__file__).parent
OUT = HERE.parents[1] / "src/assay/range/weights"
KINDS = ("transposed", "nearest", "bilinear", "shuffle")
EDGE = 4  # pixels around a crop where the loss does not look
BATCH, PER_PHOTO = 6, 80  # crops a step; crops a photograph
RATE = 2e-3  # of learning, falling to nothing


@dataclass(frozen=True)
class Design:
    """A family of decoders."""

    factors: dict[
        int, tuple[tuple[int, ...], int]
    ]  # widths from the picture inwards, channels of the latent grid
    activation: str  # of torch.nn
    seed: int
    steps: int
    crop: int = 40  # pixels of a side


DESIGNS = {
    "shipped": Design({2: ((16, 32), 6), 4: ((16, 32, 48), 20)}, "SiLU", 3, 1500),
    "leaky": Design({2: ((24, 24), 9), 4: ((24, 24, 40), 28)}, "LeakyReLU", 11, 1200),
    "gelu": Design(
        {2: ((16, 32), 5), 4: ((16, 32, 56), 15), 8: ((16, 32, 56, 64), 64)}, "GELU", 12, 1000, 48
    ),
}


def learns(source: str) -> bool:
    """Is this source among those that the decoders are trained on? All others are unseen parents."""
    return int(hashlib.sha256(b"decoder:" + source.encode()).hexdigest(), 16) % 3 == 0


def photographs(roots: dict[str, Path]) -> list[tuple[str, Path]]:
    """Source and path of every bona fide photograph of the list that is no portrait or drawing."""
    found = []
    for group in corpus.groups(HERE / "learned_image.toml"):
        if group.label == "bona_fide" and group.content in {"people", "scene"}:
            for path in corpus.files(group, roots):
                with Image.open(path) as opened:
                    found.append((corpus.source_of(path, group, opened), path))
    return found


def crops(paths: list[Path], side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Crops at drawn scales (short side 256 to 1600), shape (N, side, side, 3)."""
    kept = []
    for path in paths:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        for _ in range(PER_PHOTO // 16):
            short = round(float(np.exp(rng.uniform(np.log(256), np.log(1600)))))
            kernel = corpus.FILTERS[int(rng.integers(len(corpus.FILTERS)))]
            pixels = np.asarray(corpus.resized(picture, short, kernel))
            for _ in range(16 if min(pixels.shape[:2]) >= side else 0):
                y, x = (int(rng.integers(0, n - side + 1)) for n in pixels.shape[:2])
                kept.append(pixels[y : y + side, x : x + side])
    return np.stack(kept)


def networks(design: Design) -> dict[int, Any]:
    import torch
    from torch import nn

    active = {"SiLU": nn.SiLU, "GELU": nn.GELU, "LeakyReLU": lambda: nn.LeakyReLU(0.2)}[design.activation]

    def conv(i: int, o: int, stride: int = 1) -> Any:
        return nn.Sequential(nn.Conv2d(i, o, 3, stride, 1), active())

    def raised(kind: str, i: int, o: int) -> Any:
        if kind == "transposed":
            return nn.Sequential(nn.ConvTranspose2d(i, o, 4, 2, 1), active())
        if kind == "shuffle":
            return nn.Sequential(nn.Conv2d(i, o * 4, 3, 1, 1), nn.PixelShuffle(2), active())
        smooth = {"mode": "bilinear", "align_corners": False} if kind == "bilinear" else {"mode": "nearest"}
        return nn.Sequential(nn.Upsample(scale_factor=2, **smooth), conv(i, o))

    def straight(kind: str, i: int, factor: int) -> Any:
        if kind == "transposed":
            return nn.ConvTranspose2d(i, 3, 2 * factor, factor, factor // 2)
        if kind == "shuffle":
            return nn.Sequential(nn.Conv2d(i, 3 * factor * factor, 3, 1, 1), nn.PixelShuffle(factor))
        smooth = {"mode": "bilinear", "align_corners": False} if kind == "bilinear" else {"mode": "nearest"}
        return nn.Sequential(nn.Upsample(scale_factor=factor, **smooth), nn.Conv2d(i, 3, 5, 1, 2))

    class Sum(nn.Module):  # type: ignore[misc]
        """A deep path beside a linear one, which learns most of the picture within seconds."""

        def __init__(self, deep: Any, linear: Any) -> None:
            super().__init__()
            self.deep, self.linear = deep, linear

        def forward(self, x: Any) -> Any:
            return self.deep(x) + self.linear(x)

    made: dict[int, Any] = {}
    torch.manual_seed(design.seed)
    for factor, (widths, latent) in design.factors.items():
        width = widths[-1]
        steps = range(len(widths) - 1, 0, -1)
        shape = (2 * factor, factor, factor // 2)
        encoder = Sum(
            nn.Sequential(
                nn.Conv2d(3, width, *shape), active(), conv(width, width), nn.Conv2d(width, latent, 1)
            ),
            nn.Conv2d(3, latent, *shape),
        )
        decoders = {}
        for kind in KINDS:
            ups = (
                m
                for k in steps
                for m in (raised(kind, widths[k], widths[k - 1]), conv(widths[k - 1], widths[k - 1]))
            )
            deep = nn.Sequential(conv(latent, width), *ups, nn.Conv2d(widths[0], 3, 3, 1, 1))
            decoders[kind] = Sum(deep, straight(kind, latent, factor))
        made[factor] = nn.ModuleDict({"encoder": encoder, **decoders})
        for layer in made[factor].modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                seen = layer.weight[0].numel()  # inputs that one output is the sum of
                if isinstance(layer, nn.ConvTranspose2d):
                    seen = layer.in_channels * (layer.kernel_size[0] // layer.stride[0]) ** 2
                nn.init.normal_(layer.weight, std=(2 / seen) ** 0.5)  # torch's own start fades in ten layers
                nn.init.zeros_(layer.bias)
    return made


def train(paths: list[Path], design: Design, steps: int) -> dict[int, Any]:
    """Absolute error, and that of the fine detail once more, which keeps the pictures from becoming soft."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    rng = np.random.default_rng(design.seed)
    pool = crops(paths, design.crop, rng)
    nets = networks(design)
    parameters = [p for net in nets.values() for p in net.parameters()]
    print(
        f"{len(paths)} photographs, {len(pool)} crops, {sum(p.numel() for p in parameters)} weights",
        flush=True,
    )
    optimiser = torch.optim.AdamW(parameters, RATE, betas=(0.9, 0.99))
    began = time.monotonic()

    for step in range(steps):
        optimiser.param_groups[0]["lr"] = RATE * min(1, (step + 1) / 50) * (1 - step / steps) + 1e-5
        batch = pool[rng.integers(0, len(pool), BATCH)].astype(np.float32) / 127.5 - 1
        x = torch.from_numpy(batch).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        loss, quality = torch.zeros(()), []
        for net in nets.values():
            z = net["encoder"](x)
            for kind in KINDS:
                off = (net[kind](z) - x)[..., EDGE:-EDGE, EDGE:-EDGE]
                loss = (
                    loss + off.abs().mean() + 0.7 * (off - functional.avg_pool2d(off, 3, 1, 1)).abs().mean()
                )
                quality.append(-10 * float(torch.log10((off.detach() / 2).square().mean())))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1)
        optimiser.step()
        if step % 100 == 99:
            shown = ", ".join(f"{q:.1f}" for q in quality)
            print(f"step {step + 1}, {time.monotonic() - began:.0f} s, PSNR {shown} dB", flush=True)
    return nets


def export(nets: dict[int, Any], folder: Path) -> None:
    """One ONNX file for each encoder and decoder, any height and width, weights in half precision."""
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    for factor, net in nets.items():
        picture = torch.zeros(1, 3, 16 * factor, 16 * factor)
        for name, part in net.items():
            given = picture if name == "encoder" else net["encoder"](picture)
            axes = {"x": {2: "h", 3: "w"}, "y": {2: "H", 3: "W"}}
            path = folder / f"{name}_{factor}.onnx"
            torch.onnx.export(
                part.eval(), (given,), str(path), input_names=["x"], output_names=["y"],
                dynamic_axes=axes, opset_version=17, dynamo=False,
            )  # fmt: skip
            halve(path)
            print(f"{path.name}: {path.stat().st_size} bytes", flush=True)


def halve(path: Path) -> None:
    """Store every tensor in half precision and cast it at the start, where onnxruntime folds it once."""
    import onnx

    model = onnx.load(str(path))
    casts, kept = [], []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 32:
            kept.append(tensor)
            continue
        kept.append(onnx.numpy_helper.from_array(values.astype(np.float16), tensor.name + "_half"))
        casts.append(
            onnx.helper.make_node("Cast", [tensor.name + "_half"], [tensor.name], to=onnx.TensorProto.FLOAT)
        )
    nodes = list(model.graph.node)
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(casts + nodes)
    for node in model.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def measure(paths: list[Path]) -> None:
    """PSNR of the shipped decoders on photographs of unseen sources, at a short side of 512."""
    from assay.range import reconstruct

    pictures = []
    for path in paths:
        with Image.open(path) as opened:
            pictures.append(np.asarray(corpus.resized(opened.convert("RGB"), 512, Image.Resampling.LANCZOS)))
    print("decoder | PSNR (dB), mean | lowest | highest | n | seconds a megapixel")
    for name in reconstruct.decoders():
        quality, began = [], time.process_time()
        for picture in pictures:
            error = reconstruct.decoded(picture, name).astype(float) - picture
            quality.append(10 * np.log10(255**2 / (error**2).mean()))
        pace = (time.process_time() - began) / sum(p.shape[0] * p.shape[1] / 1e6 for p in pictures)
        print(
            f"{name} | {np.mean(quality):.1f} | {min(quality):.1f} | {max(quality):.1f} | {len(quality)} | {pace:.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=("train", "measure"))
    parser.add_argument("--media", type=Path, required=True, help="the folder with manifest.csv")
    parser.add_argument("--packages", type=Path, required=True, help="the unpacked packages")
    parser.add_argument("--out", type=Path, default=OUT, help="where the weights are written")
    parser.add_argument("--design", choices=tuple(DESIGNS), default="shipped")
    parser.add_argument("--steps", type=int, help="instead of the design's own number")
    asked = parser.parse_args()
    listed = photographs({"shared": asked.media, "packages": asked.packages})
    if asked.task == "train":
        design = DESIGNS[asked.design]
        learned_from = [p for s, p in listed if learns(s)]
        export(train(learned_from, design, asked.steps or design.steps), asked.out)
    else:
        measure([p for s, p in listed if not learns(s)][::3])


if __name__ == "__main__":
    main()
