"""What a maker of fakes is: it takes prepared parents and a seeded generator, and gives pixels with an exact mask.

Built-in makers use the interface below and stand in a declared tuple; nothing registers itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from assay.errors import AssayError
from assay.types import JSON, Kind

VISIBLE = 2  # grey levels: a pixel that differs by more in any channel is changed


@dataclass(frozen=True, slots=True)
class Parent:
    """A bona fide picture, decoded, upright, brought to its size and saved once: what makers start from."""

    pixels: NDArray[np.uint8]  # (H, W, 3), read-only
    path: str  # as found below the folder, "/" between its parts
    sha256: str  # of the file it came from
    source: str  # its camera, else its own name: not on both sides of a split
    preparation: JSON  # how it was brought to its size, and its first quality


@dataclass(frozen=True, slots=True)
class Made:
    """A fake before its last save.

    `mask` is what really changed, from the difference to the host; `intended` what the maker meant to change. They
    differ where a blend leaves pixels as they were, and where a library spills over.
    """

    pixels: NDArray[np.uint8]  # (H, W, 3); H and W are the host's
    mask: NDArray[np.bool_]  # (H, W)
    intended: NDArray[np.bool_]  # (H, W)
    parameters: JSON  # everything that was drawn, plain enough for JSON
    parents: tuple[Parent, ...]  # the host first


class Generator(Protocol):
    """Make one kind of fake. No clock, disk, network or global state: the same parents and draws, the same pixels."""

    name: ClassVar[str]  # snake_case, as in `assay range make NAME`
    version: ClassVar[int]  # raise it whenever any pixel can change
    kind: ClassVar[Kind]
    count: ClassVar[int]  # parents it needs; the first is the host
    faces: ClassVar[bool]  # it changes faces: without a stated right the recipe is refused
    area: ClassVar[
        tuple[float, float]
    ]  # least and largest share of the picture it changes; others are made anew
    digital_source_type: ClassVar[str]  # of its credential, a word of the IPTC's list
    summary: ClassVar[str]  # one line for people

    def make(self, parents: Sequence[Parent], rng: np.random.Generator) -> Made | None:
        """Make a fake of `parents` (the host first), or None where these parents or draws do not serve.

        Raises
        ------
        Failed
            If a parent lacks what the maker works on; the message says which one lacks what.
        """
        ...


# name: module:class, imported when asked for; every class can be made without arguments.
BUILT_IN: tuple[tuple[str, str], ...] = (
    ("splice", "assay.range.splice:Splice"),
    ("copy_move", "assay.range.copy_move:CopyMove"),
    ("inpaint", "assay.range.inpaint:Inpaint"),
    ("self_blend", "assay.range.self_blend:SelfBlend"),
    ("face_swap", "assay.range.face_swap:FaceSwap"),
    ("reconstruct", "assay.range.reconstruct:Reconstruct"),
)


def names() -> tuple[str, ...]:
    return tuple(name for name, _ in BUILT_IN)


def generator(name: str, choices: JSON | None = None) -> Generator:
    """Give the built-in maker of that name, made with a person's `choices`: what its class takes, by name.

    Raises
    ------
    AssayError
        If there is none, or it does not take these choices.
    """
    place = dict(BUILT_IN).get(name)
    if place is None:
        raise AssayError(
            f"there is no generator {name[:80]!r}", code="generator", hint=f"There are {', '.join(names())}."
        )
    module, _, attribute = place.partition(":")
    try:
        made: Generator = getattr(importlib.import_module(module), attribute)(**(choices or {}))
    except TypeError as e:
        raise AssayError(f"{name} offers no such choice: {e}", code="choices") from e
    return made


def visible(made: Made) -> Made | None:
    """Pass on a fake that changed at least half of what it meant to: a patch of sky laid on sky is none."""
    wanted = int(made.intended.sum())
    return made if wanted and (made.mask & made.intended).sum() >= wanted / 2 else None


def changed(
    output: NDArray[np.uint8], pristine: NDArray[np.uint8], intended: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Tell which pixels a fake changed, from the pictures themselves.

    Parameters
    ----------
    output, pristine : ndarray of uint8, shape (H, W, 3)
        The fake before its last save, and its host.
    intended : ndarray of bool, shape (H, W)
        What was meant to change. It only fills what the difference encloses: a pasted pixel that happens to equal the
        one below it belongs to the paste.

    Returns
    -------
    mask : ndarray of bool, shape (H, W)
        Pixels that differ by more than two grey levels in any channel, gaps of up to 6 pixels closed.
    """
    import cv2  # slow to import; the names above are wanted for --help

    differs = np.asarray(cv2.absdiff(output, pristine)).max(axis=2) > VISIBLE
    # A border keeps what touches the picture's edge from being eroded there.
    framed = cv2.copyMakeBorder(differs.astype(np.uint8), 8, 8, 8, 8, cv2.BORDER_CONSTANT, value=0)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(closed), outlines, -1, 1, cv2.FILLED)
    inner = (slice(8, -8), slice(8, -8))
    return np.asarray(closed[inner] > 0) | (np.asarray(filled[inner] > 0) & intended)
