"""Pairs of faces for `face_blend`: one untouched, one blended, and nothing else between them.

Both go through the same resize before and the same degradations after. Everything is drawn from a generator seeded by the
pair's own name, so that a pair is the same whatever else is in the list.
"""

from __future__ import annotations

import hashlib
import io
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from assay.evidence.detectors.face_blend import SMALLEST, SURE, crop
from assay.media import faces
from assay.media.faces import Mesh, Session
from assay.range import face_swap, portraits, self_blend

Pixels = NDArray[np.uint8]
ATTEMPTS = 8  # draws until one serves


@dataclass(frozen=True, slots=True)
class Group:
    """One section of the list."""

    name: str
    folder: str
    content: str
    pairs: int  # of each person that trains
    tests: int  # of each person that tests
    train: int  # persons at most
    test: int
    smallest: int  # pixels of the face's box, drawn log-uniformly from here
    largest: int
    licence: str


@dataclass(frozen=True, slots=True)
class Row:
    """One crop."""

    set: str
    person: str  # what must not be on both sides of the split
    half: str  # "train" or "test"
    pair: str  # both of a pair carry the same
    label: str
    mode: str  # "self", "self, host altered", "swap feather" ...; empty where nothing was blended
    side: float  # pixels of the face's box
    degradation: str
    parameters: str  # of the blend


@dataclass(frozen=True, slots=True)
class Job:
    """A pair to be made; or, of a camera that tests, number 0: a picture whose faces are measured untouched."""

    group: str
    person: str
    path: Path
    number: int
    half: str

    @property
    def name(self) -> str:
        return f"{self.group}:{self.path.stem}:{self.number}"


class Faces:
    """The face networks."""

    def __init__(self, detector: Session, mesh: Session) -> None:
        self._detector, self._mesh = detector, mesh
        self._last: tuple[Path, Pixels, list[tuple[float, Mesh]]] | None = None

    def of(self, path: Path) -> tuple[Pixels, list[tuple[float, Mesh]]]:
        """A picture and its faces; the last one is remembered."""
        if self._last is None or self._last[0] != path:
            pixels = opened(path)
            self._last = (path, pixels, self.all(pixels))
        return self._last[1:]

    def all(self, pixels: Pixels) -> list[tuple[float, Mesh]]:
        found = faces.detect(pixels, self._detector, smallest=SMALLEST - 12)
        meshes = [(f.side, faces.mesh(pixels, f, self._mesh)) for f in found]
        return [(s, m) for s, m in meshes if m.presence >= SURE]


def groups(path: Path) -> list[Group]:
    return [Group(name=n, **g) for n, g in tomllib.loads(path.read_text("utf-8")).items()]


def owner(group: Group, path: Path) -> str:
    """Who must not be on both sides: the person, or the camera's make and model; as `learned_image` writes it."""
    if group.content != "camera":
        return f"{group.name}:{path.stem}"
    with Image.open(path) as picture:
        exif = picture.getexif()
    return "camera:" + " ".join(str(exif.get(tag, "")).strip("\0 ") for tag in (271, 272))


def half(source: str) -> str:
    """Persons and cameras whose digest is even train, odd ones test."""
    return "train" if int(hashlib.sha256(source.encode()).hexdigest(), 16) % 2 == 0 else "test"


def jobs(listed: list[Group], media: Path) -> list[Job]:
    """All pairs, the camera's few first, then in an order of which every beginning is a fair sample."""
    wanted: list[Job] = []
    for group in listed:
        paths = sorted(p for p in (media / group.folder).iterdir() if p.is_file())
        owners = {p: owner(group, p) for p in paths}
        for which, persons, number in (
            ("train", group.train, group.pairs),
            ("test", group.test, group.tests),
        ):
            mine = sorted((p for p in paths if half(owners[p]) == which), key=_scrambled)[:persons]
            wanted += [Job(group.name, owners[p], p, n, which) for p in mine for n in range(number)]
    return sorted(wanted, key=_order)


def _order(job: Job) -> tuple[bool, str, bytes]:
    camera = job.group == "camera"  # picture by picture: finding their faces takes long
    return not camera, job.path.name if camera else "", hashlib.sha256(job.name.encode()).digest()


def _scrambled(path: Path) -> bytes:
    return hashlib.sha256(path.stem.encode()).digest()


def made(job: Job, group: Group, all_jobs: list[Job], see: Faces) -> Iterator[tuple[Row, Pixels]]:
    """Crops of one job: a pair; or every large face of a camera's picture, as it is and degraded."""
    rng = np.random.default_rng(list(hashlib.sha256(job.name.encode()).digest()[:8]))
    camera = group.content == "camera"
    if camera and job.half == "test" and job.number == 0:
        yield from _untouched(job, see, rng)
        return
    others = [j.path for j in all_jobs if j.group == job.group and j.half == job.half and j.path != job.path]
    picture, found = see.of(job.path) if camera else (opened(job.path), [])
    for _ in range(ATTEMPTS if found or not camera else 0):
        start = _sized(_around_one(picture, found, rng) if camera else picture, group, see, rng)
        if start is None:
            continue
        host, side, mesh = start
        blended, mode = _blended(host, mesh, others, group, see, rng)
        if blended is None:
            continue
        name, steps = drawn_degradation(rng)
        row = {"set": job.group, "person": job.person, "half": job.half, "pair": job.name}
        for label, pixels in (("bona_fide", blended.host), ("fake", blended.pixels)):
            sent = degraded(pixels, steps)
            yield (
                Row(
                    **row,
                    label=label,
                    mode=mode,
                    side=side,
                    degradation=name,
                    parameters=str(blended.parameters),
                ),
                crop(sent, mesh),
            )
        return


def _untouched(job: Job, see: Faces, rng: np.random.Generator) -> Iterator[tuple[Row, Pixels]]:
    pixels, found = see.of(job.path)
    for number, (side, mesh) in enumerate(found[:3]):
        if side < SMALLEST:
            continue
        x, y, w, h = portraits.window(mesh, 0.6, pixels.shape)
        part = np.ascontiguousarray(pixels[y : y + h, x : x + w])
        mine = Mesh(mesh.points - (x, y, 0), mesh.presence)
        name, steps = drawn_degradation(rng)
        for condition, sent in (("native", pixels), (name, degraded(part, steps))):
            where = mesh if condition == "native" else mine
            yield (
                Row(
                    job.group,
                    job.person,
                    "test",
                    f"{job.name}:{number}",
                    "bona_fide",
                    "",
                    side,
                    condition,
                    "",
                ),
                crop(sent, where),
            )


def _around_one(pixels: Pixels, found: list[tuple[float, Mesh]], rng: np.random.Generator) -> Pixels:
    """Cut one of a photograph's largest faces out, with room around it."""
    _, mesh = found[int(rng.integers(min(4, len(found))))]
    x, y, w, h = portraits.window(mesh, 0.8, pixels.shape)
    return np.ascontiguousarray(pixels[y : y + h, x : x + w])


def opened(path: Path) -> Pixels:
    with Image.open(path) as picture:
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def _sized(
    pixels: Pixels, group: Group, see: Faces, rng: np.random.Generator
) -> tuple[Pixels, float, Mesh] | None:
    """Shrink a portrait so that its face gets a drawn size, and code it once as JPEG, as photographs come."""
    found = see.all(pixels)
    if not found:
        return None
    wanted = float(np.exp(rng.uniform(np.log(group.smallest), np.log(group.largest))))
    scale = min(1.0, wanted / found[0][0])
    if scale < 1:
        pixels = np.asarray(
            cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
        )
    quality = int(rng.integers(75, 99))
    pixels = degraded(pixels, [("jpeg", {"quality": quality, "subsampling": int(rng.choice([0, 2]))})])
    found = see.all(pixels)
    return (pixels, *found[0]) if found else None


def _blended(
    host: Pixels, mesh: Mesh, others: list[Path], group: Group, see: Faces, rng: np.random.Generator
) -> tuple[self_blend.Blend | None, str]:
    draw = rng.random()
    if draw < 0.6:
        alter = bool(draw < 0.25)
        blend = self_blend.self_blended(host, mesh, rng, alter_host=alter)
        return blend, "self, host altered" if alter else "self"
    donor = _sized(opened(others[int(rng.integers(len(others)))]), group, see, rng)
    if donor is None:
        return None, ""
    swap = face_swap.swapped(host, mesh, donor[0], donor[2], rng)
    return swap, f"swap {swap.parameters['blend']}" if swap else ""


Steps = list[tuple[str, dict[str, Any]]]


def drawn_degradation(rng: np.random.Generator) -> tuple[str, Steps]:
    """Draw what happens to both of a pair afterwards: its name and its steps."""
    name = str(
        rng.choice(["none", "jpeg", "h264", "blur", "noise", "half"], p=[0.1, 0.3, 0.3, 0.1, 0.1, 0.1])
    )
    jpeg = {"quality": int(rng.integers(45, 98)), "subsampling": int(rng.choice([0, 2]))}
    steps: dict[str, Steps] = {
        "none": [],
        "jpeg": [("jpeg", jpeg)],
        "h264": [("h264", {"crf": int(rng.integers(18, 34))})],
        "blur": [("blur", {"sigma": float(rng.uniform(0.4, 1.2))}), ("jpeg", jpeg)],
        "noise": [
            ("noise", {"sigma": float(rng.uniform(1, 6)), "seed": int(rng.integers(2**31))}),
            ("jpeg", jpeg),
        ],
        "half": [("half", {}), ("jpeg", jpeg)],
    }
    return name, steps[name]


def degraded(pixels: Pixels, steps: Steps) -> Pixels:
    for name, how in steps:
        pixels = DEGRADATIONS[name](pixels, **how)
    return pixels


def _jpeg(pixels: Pixels, *, quality: int, subsampling: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _h264(pixels: Pixels, *, crf: int) -> Pixels:
    """Three frames of the same picture through x264, in memory; the last one is what a video shows of it."""
    height, width = pixels.shape[:2]
    padded = cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream(
            "libx264", rate=25, options={"crf": str(crf), "preset": "veryfast", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = padded.shape[1], padded.shape[0], "yuv420p"
        for _ in range(3):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(padded, format="rgb24")))
        out.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as video:
        *_, last = video.decode(video=0)
        return np.ascontiguousarray(last.to_ndarray(format="rgb24")[:height, :width])


def _noise(pixels: Pixels, *, sigma: float, seed: int) -> Pixels:
    grain = np.random.default_rng(seed).normal(0, sigma, pixels.shape)
    return np.rint(np.clip(pixels + grain, 0, 255)).astype(np.uint8)


def _half(pixels: Pixels) -> Pixels:
    """Down to 60 % and back: a picture that was sent small and shown large."""
    size = (pixels.shape[1], pixels.shape[0])
    small = cv2.resize(pixels, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _blur(pixels: Pixels, *, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


DEGRADATIONS = {"jpeg": _jpeg, "h264": _h264, "noise": _noise, "half": _half, "blur": _blur}


def plain(row: Row) -> dict[str, Any]:
    return asdict(row)
