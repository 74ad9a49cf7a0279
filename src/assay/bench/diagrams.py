"""Curves as inline SVG: ROC, DET and reliability, in the colours of the page that holds them."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assay.bench import metrics
from assay.bench.metrics import Floats, Reliability

SIDE = 320.0  # of the plot's square, in units of the drawing
LEFT, BELOW, ABOVE, RIGHT = 58.0, 40.0, 10.0, 22.0
MOST_POINTS = 300
PROBITS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)
COLOURS = 14  # classes c0 ... c13 of the style


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from data to 0..1 along one side."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def place(self, values: Floats) -> Floats:
        return np.clip((values - self.low) / (self.high - self.low), 0, 1)


def share_axis(title: str) -> Axis:
    return Axis(
        title, 0.0, 1.0, tuple((v, f"{v:.0%}".replace("%", " %")) for v in (0.0, 0.25, 0.5, 0.75, 1.0))
    )


def probit_axis(title: str) -> Axis:
    at = metrics.probit(np.array(PROBITS))
    names = [f"{100 * p:g}" for p in PROBITS]
    return Axis(title, float(at[0]), float(at[-1]), tuple(zip(at.tolist(), names, strict=True)))


def roc(columns: Mapping[str, tuple[Floats, metrics.Flags]]) -> str:
    """Draw one ROC curve a column; columns without both classes are left out."""
    curves = {name: metrics.roc(*both) for name, both in columns.items() if _both(both[1])}
    diagonal = np.array([0.0, 1.0])
    return _chart(
        share_axis("bona fide called fake"),
        share_axis("fakes called fake"),
        {"": (diagonal, diagonal), **curves},
    )


def det(columns: Mapping[str, tuple[Floats, metrics.Flags]]) -> str:
    """Draw one DET curve a column, both axes in probits."""
    curves = {name: metrics.det(*both) for name, both in columns.items() if _both(both[1])}
    return _chart(
        probit_axis("bona fide called fake, %"),
        probit_axis("fakes missed, %"),
        {name: xy for name, xy in curves.items() if xy[0].size},
    )


def reliability(columns: Mapping[str, Reliability]) -> str:
    """Draw what was said against what was true; the area of a dot is the bin's mass."""
    diagonal = np.array([0.0, 1.0])
    curves = {name: (r.said, r.seen) for name, r in columns.items()}
    dots = {name: (r.bona_fide + r.fakes) / 2 for name, r in columns.items()}
    return _chart(
        share_axis("probability said, at a prior of one half"),
        share_axis("share of fakes, classes alike"),
        {"": (diagonal, diagonal), **curves},
        dots=dots,
    )


def _both(fake: metrics.Flags) -> bool:
    return bool(fake.any() and not fake.all())


def _chart(
    across: Axis,
    up: Axis,
    curves: Mapping[str, tuple[Floats, Floats]],
    *,
    dots: Mapping[str, Floats] | None = None,
) -> str:
    named = [name for name in curves if name]
    label = html.escape(f"{up.title} by {across.title}")
    parts = [
        f'<svg viewBox="0 0 {LEFT + SIDE + RIGHT:g} {ABOVE + SIDE + BELOW:g}" role="img" aria-label="{label}">',
        f'<rect class="plot" x="{LEFT:g}" y="{ABOVE:g}" width="{SIDE:g}" height="{SIDE:g}"/>',
        *_ticks(across, up),
    ]
    for name, (x, y) in curves.items():
        kind = "chance" if not name else f"c{named.index(name) % COLOURS}"
        if len(x):
            thin = " thin" if dots is not None and name else ""
            parts.append(f'<polyline class="{kind}{thin}" points="{_points(across.place(x), up.place(y))}"/>')
        if dots is not None and name:
            parts += _dots(across.place(x), up.place(y), dots[name], kind)
    return "".join([*parts, "</svg>"])


def _ticks(across: Axis, up: Axis) -> Sequence[str]:
    bottom = ABOVE + SIDE
    parts = []
    for value, name in across.ticks:
        x = LEFT + SIDE * float(across.place(np.array([value]))[0])
        parts.append(f'<path class="grid" d="M{x:.1f} {ABOVE:g}V{bottom:g}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 15:g}" text-anchor="middle">{name}</text>')
    for value, name in up.ticks:
        y = bottom - SIDE * float(up.place(np.array([value]))[0])
        parts.append(f'<path class="grid" d="M{LEFT:g} {y:.1f}H{LEFT + SIDE:g}"/>')
        parts.append(f'<text x="{LEFT - 5:g}" y="{y + 4:.1f}" text-anchor="end">{name}</text>')
    middle = ABOVE + SIDE / 2
    parts.append(
        f'<text class="title" x="{LEFT + SIDE / 2:g}" y="{bottom + 33:g}" text-anchor="middle">{html.escape(across.title)}</text>'
        f'<text class="title" transform="translate(11 {middle:g}) rotate(-90)" text-anchor="middle">{html.escape(up.title)}</text>'
    )
    return parts


def _points(x: Floats, y: Floats) -> str:
    if x.size > MOST_POINTS:  # enough for the eye, evenly along the curve
        along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], MOST_POINTS)).clip(0, x.size - 1))
        x, y = x[kept], y[kept]
    return " ".join(
        f"{LEFT + SIDE * a:.1f},{ABOVE + SIDE * (1 - b):.1f}"
        for a, b in zip(x.tolist(), y.tolist(), strict=True)
    )


def _dots(x: Floats, y: Floats, mass: Floats, kind: str) -> list[str]:
    radius = 2 + 14 * np.sqrt(mass)
    return [
        f'<circle class="{kind}" cx="{LEFT + SIDE * a:.1f}" cy="{ABOVE + SIDE * (1 - b):.1f}" r="{r:.1f}"/>'
        for a, b, r in zip(x.tolist(), y.tolist(), radius.tolist(), strict=True)
    ]
