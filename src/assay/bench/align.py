"""Bring both classes of a corpus to one codec, quality and distribution of sizes, metadata dropped.

Every picture is cut to its middle square, shrunk to a side drawn from a range that both classes can reach, and written
once by one encoder. Shrinking by a tenth at least also blurs the grids of earlier saves, which differ between the classes.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from assay.bench import manifest as manifests
from assay.bench.cells import Hands, Source, Task
from assay.bench.manifest import Entry, Manifest
from assay.bench.panel import Fixed
from assay.errors import AssayError, SampleError
from assay.range import laundering
from assay.settings import Limits

LAUNDERING = "jpeg95"
SHRINK = 0.9  # at most: what was saved before shall not keep its grid
SPREAD = 0.5  # the smallest side as a share of the largest
SMALLEST = 48  # pixels
LOW = 0.1  # quantile of a class's sides that the largest must not exceed


def align(manifest: Manifest, out: Path, *, seed: int = 0, limits: Limits | None = None) -> Path:
    """Write the aligned corpus and its manifest.

    Parameters
    ----------
    manifest
        Of pictures.
    out
        A folder that does not exist yet, or is empty.
    seed
        What sizes are drawn from, with each sample's digest.

    Returns
    -------
    path : Path
        The new manifest. Samples that are too small or cannot be read are left out; their notes are in `left_out.txt`.

    Raises
    ------
    AssayError
        If the corpus holds something other than pictures, or the folder is in use or cannot be written to. What was
        written is removed again.
    """
    manifest.needs_both_classes()
    others = sorted({e.media_family for e in manifest.entries if e.media_family not in ("image", "other")})
    if others:
        raise AssayError(
            f"only pictures are aligned, and the corpus holds {', '.join(others)}",
            code="align",
            hint="For sound use one laundering, such as --laundering narrow, for both classes.",
        )
    with _writing(out):
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise AssayError(f"{out} is in use", code="align", hint="Name a new folder.")
        (out / "media").mkdir(parents=True)  # before hours of decoding
    hands = Hands(Fixed(()), limits or Limits())
    try:
        return _aligned(manifest, out, seed, hands)
    except BaseException:
        _clear(out)  # so that the same command can be given again
        raise
    finally:
        hands.close()


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Say what is wrong with a folder that cannot be made, read or written to."""
    try:
        yield
    except OSError as e:
        full = e.errno in (errno.ENOSPC, errno.EDQUOT)
        raise AssayError(
            f"the aligned corpus cannot be written to {out}: {(e.strerror or str(e)).lower()}",
            code="output",
            hint="Make room, or name a folder on another disk."
            if full
            else "Name a folder that you may write to.",
        ) from e


def _clear(out: Path) -> None:
    for name in ("media", "masks"):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in ("manifest.csv", "manifest.csv.part", "left_out.txt"):
        with contextlib.suppress(OSError):
            (out / name).unlink()


def _aligned(manifest: Manifest, out: Path, seed: int, hands: Hands) -> Path:
    left_out: list[str] = []
    sides: dict[str, int] = {}
    for entry in manifest.entries:
        try:
            sides[entry.sha256] = min(_pixels(hands.open(Task(entry, seed, ()))).shape[:2])
        except SampleError as e:
            left_out.append(f"{entry.name}: {e.message}")
    low, high = common_range([e for e in manifest.entries if e.sha256 in sides], sides)
    rows = []
    for entry in manifest.entries:
        native = sides.get(entry.sha256)
        if native is None:
            continue
        if SHRINK * native < low:
            left_out.append(f"{entry.name}: its shorter side of {native} pixels is too small")
            continue
        side = _drawn(entry, seed, low, min(high, SHRINK * native))
        try:
            source = hands.open(Task(entry, seed, ()))
        except SampleError as e:  # it was read a moment ago: a busy machine
            left_out.append(f"{entry.name}: {e.message}")
            continue
        rows.append(_written(entry, source, side, out))
    with _writing(out):
        manifests.write(out / "manifest.csv", rows)
        if left_out:
            (out / "left_out.txt").write_text(
                "\n".join(left_out) + "\n", encoding="utf-8", errors="backslashreplace"
            )
    return out / "manifest.csv"


def common_range(entries: Sequence[Entry], sides: dict[str, int]) -> tuple[float, float]:
    """Smallest and largest side that nearly all of both classes can be shrunk to.

    Raises
    ------
    AssayError
        If one class is too small for any.
    """
    reach = [
        float(np.quantile([sides[e.sha256] for e in entries if e.fake == fake] or [0], LOW))
        for fake in (False, True)
    ]
    high = SHRINK * min(reach)
    low = max(SPREAD * high, SMALLEST)
    if high < low:
        raise AssayError(
            f"the smaller class reaches {min(reach):.0f} pixels: there is no common size of {SMALLEST} or more",
            code="align",
            hint="Take larger pictures.",
        )
    return low, high


def _drawn(entry: Entry, seed: int, low: float, high: float) -> int:
    digest = hashlib.sha256(f"align/{seed}/{entry.sha256}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8]))
    return round(float(np.exp(rng.uniform(np.log(low), np.log(max(low, high))))))


def _written(entry: Entry, source: Source, side: int, out: Path) -> dict[str, str]:
    pixels = np.asarray(_square(Pillow.fromarray(_pixels(source)), side))
    mask = None
    if source.mask is not None:
        grey = Pillow.fromarray(source.mask.astype(np.uint8) * np.uint8(255))
        mask = np.asarray(_square(grey, side)) >= 128
    made = laundering.launder(pixels, LAUNDERING, seed=0, mask=mask)
    name = f"media/{entry.sha256[:20]}.jpg"
    with _writing(out):
        (out / name).write_bytes(made.data)
    row = {
        "path": name,
        "label": entry.label,
        "family": entry.family,
        "generator": entry.generator,
        "source": entry.source,
        "kind": str(entry.kind or ""),
        "rights": entry.rights,
        "sha256": hashlib.sha256(made.data).hexdigest(),
        "note": entry.note,
    }
    if made.mask is not None:
        row["mask"] = f"masks/{entry.sha256[:20]}.png"
        with _writing(out):
            (out / "masks").mkdir(exist_ok=True)
            Pillow.fromarray(made.mask.astype(np.uint8) * np.uint8(255)).save(out / row["mask"])
    return row


def _square(picture: Pillow.Image, side: int) -> Pillow.Image:
    """Cut the middle square and shrink it."""
    short = min(picture.size)
    x, y = (picture.width - short) // 2, (picture.height - short) // 2
    return picture.crop((x, y, x + short, y + short)).resize((side, side), Pillow.Resampling.LANCZOS)


def _pixels(source: Source) -> NDArray[np.uint8]:
    assert source.pixels is not None
    return source.pixels
