"""The media of the scoreboard: corpora with manifests, from the training's and calibration's lists and the range.

pictures    bona fide and synthetic pictures, at every size that they reach, without loss: launderings follow in the bench
forgeries   splices, copy-moves, inpaintings and reconstructions that the range makes of bona fide pictures, and their twins,
            saved once at JPEG 85
large       the same but reconstructions, of larger pictures
lossless    splices alone, saved as PNG
camera      camera files as they are

These draw from the two older lists alone, so that a longer list does not change them. From the third list, or all three:

more        its pictures, as in `pictures`, at medium size
saved       bona fide and synthetic pictures at medium size, saved once as JPEG and then without loss: what PNG forgeries
            and their twins went through, too
qualities   forgeries saved at other JPEG qualities than 85
large_more  the same, of photographs that reach the large size
lossless_more
            splices alone, saved as PNG

A source has one name in all of them (a camera, a person, a picture), so that no fold sees it twice.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import corpus
import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from assay.bench import manifest
from assay.bench.manifest import Entry
from assay.range import corpus as made
from assay.range import marking, photos
from assay.range.forge import Settings
from assay.types import Kind
from assay.verdict.calibration import SIZES

HERE = Path(__file__).parent
LISTS = (HERE / "train" / "learned_image.toml", HERE / "calibration" / "media.toml")
LATER = HERE / "calibration" / "more.toml"
STOCK = HERE / "calibration" / "stock.toml"  # bona fide pictures that look like what generators are asked for
NAMES = {"sd3": "Stable Diffusion 3", "gemini": "Gemini 3 Pro", "comfyui_drawings": "ComfyUI", "comfyui_scenes": "ComfyUI"}  # fmt: skip
MAKERS = ("splice", "copy_move", "inpaint", "reconstruct")
JPEG = (85, 85)
QUALITIES = (75, 98)
SAVED: dict[str, tuple[tuple[str, ...], tuple[int, int] | None]] = {
    "large": (MAKERS[:3], JPEG),
    "lossless": (("splice",), None),
    "qualities": (MAKERS[:3], QUALITIES),
    "large_more": (MAKERS[:3], QUALITIES),
    "lossless_more": (("splice",), None),
}
MOST = {"congress": 120, "sd3": 70}  # of one list: more would drown everything else of their size
LARGEST = 1280  # pixels of the short side
LONG_SIDES = {"forgeries": 1280, "large": 2100, "lossless": 1280}  # pixels: forgeries have 60 to 100 % of it
LATER_SIDES = {"qualities": 1280, "large_more": 2300, "lossless_more": 1280}
SHORTEST = {"large_more": 1024}  # pixels of the short side of the photographs that are forged
SCENES = ("scene", "people")


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of the lists."""

    path: Path
    group: corpus.Group
    base: Path  # of the group

    @property
    def name(self) -> str:
        return f"{self.group.name}/{self.path.relative_to(self.base)}"

    @property
    def flat(self) -> str:
        """A file name of its own."""
        return self.name.replace("/", "__")

    @property
    def source(self) -> str:
        with Pillow.open(self.path) as opened:
            named = corpus.source_of(self.path, self.group, opened)
        own = self.group.source == "picture" and self.group.name != "opencv"
        return self.name if own else " ".join(named.removeprefix("camera:").split())


def listed(roots: dict[str, Path], lists: Sequence[Path] = LISTS) -> list[Listed]:
    """Every file of the lists that is here; the same bytes once."""
    found: dict[str, Listed] = {}
    for group in (g for path in lists for g in corpus.groups(path) if g.root in roots):
        files = corpus.files(group, roots)
        most = MOST.get(group.name, len(files))
        for path in files[:: max(1, len(files) // max(most, 1))][:most]:
            found.setdefault(
                hashlib.sha256(path.read_bytes()).hexdigest(),
                Listed(path, group, roots[group.root] / group.folder),
            )
    return list(found.values())


def seeded(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng(list(hashlib.sha256(f"{name}/{seed}".encode()).digest()[:8]))


def in_turn(files: list[Listed], seed: int) -> list[Listed]:
    """Shuffle each list, then take one of each in turn, so that any beginning of it is mixed."""
    by_group: dict[str, list[Listed]] = {}
    for one in sorted(files, key=lambda f: hashlib.sha256(f"{f.name}/{seed}".encode()).hexdigest()):
        by_group.setdefault(one.group.name, []).append(one)
    places = [
        ((k + 0.5) / len(own), name, one) for name, own in by_group.items() for k, one in enumerate(own)
    ]
    return [one for _, _, one in sorted(places, key=lambda p: (p[0], p[1]))]


def pictures(
    files: list[Listed],
    out: Path,
    seed: int,
    sizes: Sequence[str] = tuple(name for name, _ in SIZES),
    saved: tuple[int, int] | None = None,
) -> Path:
    """Write each picture without loss, once for every one of `sizes` that it reaches, and the manifest.

    Every size needs bona fide sources of its own: a threshold of one says nothing of another. With `saved`, a picture
    went through a JPEG of a quality between these before.
    """
    (out / "media").mkdir(parents=True, exist_ok=True)
    rows = []
    for one in files:
        fake = one.group.label == "fake"
        kind = "inpainting" if one.group.name == "inpaint" else "full_synthesis"
        family = "stock" if one.group.name.startswith("stock_") else one.group.content
        shared = {
            "label": one.group.label, "family": family, "source": one.source, "note": one.name,
            "generator": NAMES.get(one.group.name, one.group.name) if fake else "", "kind": kind if fake else "",
        }  # fmt: skip
        rows += [
            shared | {"path": f"media/{name}"} for name in written(one, out / "media", seed, sizes, saved)
        ]
    manifest.write(out / "manifest.csv", rows)
    return out / "manifest.csv"


def written(
    one: Listed, folder: Path, seed: int, chosen: Sequence[str], saved: tuple[int, int] | None
) -> list[str]:
    """Write the sizes of one picture, unless they are there; their names."""
    digest = hashlib.sha256(one.name.encode()).hexdigest()[:16]
    with Pillow.open(one.path) as opened:
        sizes = [s for s in reached(min(opened.size)) if s[0] in chosen]
        names = [f"{digest}-{name}.png" for name, _, _ in sizes]
        if not all((folder / name).exists() for name in names):
            whole = ImageOps.exif_transpose(opened).convert("RGB")
            for name, (size, low, high) in zip(names, sizes, strict=True):
                rng = seeded(f"{one.name}/{size}", seed)
                picture = sized(whole, one.group, size, (low, high), rng)
                if saved is not None:
                    picture = once(picture, int(rng.integers(saved[0], saved[1] + 1)))
                picture.save(folder / name, "PNG", compress_level=1)
    return names


def once(picture: Pillow.Image, quality: int) -> Pillow.Image:
    """Save a picture as JPEG and open it again."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Pillow.open(file).convert("RGB")


def reached(native: int) -> list[tuple[str, int, int]]:
    """Name each size that a picture can be brought to, with the range of short sides to draw from; never larger."""
    low, found = corpus.SMALLEST, []
    for name, limit in SIZES:
        high = min(native, limit - 1, LARGEST)
        if high >= low:
            found.append((name, low, high))
        low = limit
    return found


def sized(
    picture: Pillow.Image, group: corpus.Group, name: str, short: tuple[int, int], rng: np.random.Generator
) -> Pillow.Image:
    """Bring a picture to a size; small portraits are cut as the bona fide ones are."""
    if group.content == "portrait" and name == "small":
        return corpus.as_portrait(picture, rng)
    low, high = short
    drawn = round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))
    return corpus.resized(picture, drawn, corpus.FILTERS[int(rng.integers(len(corpus.FILTERS)))])


def forgeries(files: list[Listed], work: Path, name: str, seed: int, each: int) -> Path:
    """Let the range forge bona fide pictures: `each` of every kind, with twins, unmarked pixels."""
    out = work / name
    makers, last_save = SAVED.get(name, (MAKERS, JPEG))
    folder = out / "photos"
    folder.mkdir(parents=True, exist_ok=True)
    for link in folder.iterdir():
        link.unlink()  # of an earlier run, perhaps with other lists
    for one in files:
        if (
            one.group.label == "bona_fide"
            and one.group.content in SCENES
            and short(one) >= SHORTEST.get(name, 0)
        ):
            os.symlink(one.path.resolve(), folder / one.flat)
    found, _ = photos.scan(folder)
    own = {f.flat: f.source for f in files}
    named = tuple(replace(p, source=own[p.path]) for p in found)
    made.prepared(out)
    for maker in makers:
        chosen = Settings(
            maker,
            seed,
            (LONG_SIDES | LATER_SIDES)[name],
            last_save,
            "",
            marked=False,
            rights="openly licensed, see the lists",
        )
        work = made.Work(folder, out, chosen, named, marking.authority())
        for k, done in enumerate(made.build(work, each, 1)):
            if k % 10 == 0:
                print(f"{maker}: {k} of {each}, {done.state}", flush=True)
    made.summarise(out)
    return out / "manifest.csv"


def short(one: Listed) -> int:
    with Pillow.open(one.path) as opened:
        return min(opened.size)


def camera(files: list[Listed], out: Path) -> Path:
    """The camera files as they are."""
    out.mkdir(parents=True, exist_ok=True)
    rows = [
        {"path": os.path.relpath(f.path.resolve(), out.resolve()), "label": "bona_fide", "family": "camera", "generator": "", "source": f.source}
        for f in files
        if f.group.source == "camera"
    ]  # fmt: skip
    manifest.write(out / "manifest.csv", rows)
    return out / "manifest.csv"


def decoder_of(entry: Entry) -> str:
    """Of a reconstruction, its decoder; of another fake, its generator."""
    import json

    if entry.generator != "reconstruct" or entry.recipe is None:
        return entry.generator
    drawn = json.loads(entry.recipe.read_bytes())["recipe"]["parameters"]["decoder"]
    return f"reconstruct:{drawn}"


def with_decoders(entries: tuple[Entry, ...]) -> Iterator[Entry]:
    """Name the decoder of each reconstruction as its generator, and retouching as its kind.

    It shows what its parent shows: to the eye it is a photograph that an enhancer went over. Neither maps nor recalls of
    synthetic pictures are made of it.
    """
    for e in entries:
        through = e.generator == "reconstruct"
        yield replace(e, generator=decoder_of(e), kind=Kind.RETOUCH if through else e.kind)
