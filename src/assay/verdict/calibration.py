"""What findings weigh: reasons by a table, scores by maps that the bench fitted, thresholds by group.

A detector never sets its own weight. `reasons.toml` weighs the codes that detectors emit; `calibration.json`, written
by `assay bench calibrate`, turns the scores of measured detectors into log-likelihood ratios. A score of another
version of its detector, or under conditions that the calibration does not hold, stays uncounted; where it is the
version, the map is called void, and whoever asks is told (`Void`).
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import ConfigError
from assay.types import JSON, Kind
from assay.verdict.conformal import Threshold
from assay.verdict.groups import Group, Pool, read_pool
from assay.verdict.mixture import Shares, by_kind, mixed

HERE = Path(__file__).parent
SIZES = (("small", 256), ("medium", 1024), ("large", 2**31))  # short side in pixels, below
FALLBACK = "fallback"
FORMAT = 3  # of calibration.json: rises when an older file cannot be read
ANEW = "calibrate anew with `assay bench calibrate` (docs/calibrate.md)"


@dataclass(frozen=True, slots=True)
class Weight:
    """One row of reasons.toml."""

    llr: float  # nats
    text: str
    kinds: tuple[Kind, ...] = ()
    disclosed: bool = False
    decisive: bool = False
    forgeable: bool = False
    voids: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What fusion must know of the sample beside its findings."""

    media_family: str  # types.MediaFamily
    size_px: tuple[int, int] | None = None  # (width, height) of the upright picture or frame
    quality: int | None = None  # JPEG quality, 1 to 100, estimated from its tables; None: no JPEG, or unknown
    claims: Mapping[str, frozenset[Kind]] = field(default_factory=dict)  # detector -> what its card claims
    unread: tuple[str, ...] = ()  # what was not looked at, in words: "sound after 4:00:00"

    @property
    def size_bin(self) -> str | None:
        if self.size_px is None:
            return None
        return next(name for name, limit in SIZES if min(self.size_px) < limit)


@dataclass(frozen=True, slots=True)
class Cell:
    """A monotone map from score to LLR under one condition: straight lines between knots, flat beyond them."""

    size: str  # a name in SIZES
    quality: tuple[int, int]  # JPEG qualities, ends included; 0 stands for "no JPEG, or unknown"
    scores: tuple[float, ...]  # rising
    llrs: tuple[float, ...]  # not falling, within +- log(sources)
    sources: tuple[int, int]  # bona fide, fake

    def llr(self, score: float) -> float:
        """Map a raw score to nats."""
        i = bisect.bisect_right(self.scores, score)
        if i == 0 or i == len(self.scores):
            return self.llrs[0 if i == 0 else -1]
        (x0, x1), (y0, y1) = self.scores[i - 1 : i + 1], self.llrs[i - 1 : i + 1]
        return min(max(y0 + (y1 - y0) * ((score - x0) / (x1 - x0)), y0), y1)

    def holds(self, context: Context) -> bool:
        return self.size == context.size_bin and self.quality[0] <= (context.quality or 0) <= self.quality[1]


@dataclass(frozen=True, slots=True)
class ScoreMap:
    """How one version of one detector is calibrated, for one media family."""

    version: int
    media_family: str
    family: str
    claims: frozenset[Kind]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Void:
    """A map that does not count, since its detector has another version than the one that was calibrated."""

    detector: str
    calibrated: int  # version
    version: int

    def __str__(self) -> str:
        return f"{self.detector} ({self.why})"

    @property
    def why(self) -> str:
        return f"its calibration is of version {self.calibrated}, it is version {self.version}"

    @property
    def ahead(self) -> bool:
        """Was the calibration made with a newer detector?"""
        return self.calibrated > self.version


@dataclass(frozen=True, slots=True)
class Calibration:
    """All weights and thresholds of one fusion, under one name."""

    version: str
    weights: Mapping[str, Weight]  # "detector.code"
    caps: Mapping[str, float]  # family -> nats
    shares: Mapping[str, Shares]  # media family -> kind -> its share among fakes
    maps: Mapping[str, ScoreMap]  # detector
    pools: Mapping[str, Pool]  # pool_name(...)
    by_score: frozenset[str]  # detectors whose reasons weigh nothing of themselves
    by_ratio: frozenset[str] = frozenset()  # detectors whose score is a likelihood ratio in nats
    never_alone: frozenset[str] = (
        frozenset()
    )  # families whose traces are no manipulation of what a medium shows

    def cap(self, family: str) -> float:
        return self.caps.get(family, self.caps[FALLBACK])

    def weighs_reasons(self, detector: str) -> bool:
        """Is this a detector whose reasons, and not its score, are evidence?"""
        return detector not in self.by_score and any(name.startswith(f"{detector}.") for name in self.weights)

    def llr_of_score(self, detector: str, version: int, score: float, context: Context) -> float | None:
        """Turn a raw score into nats; None where this version or these conditions were not calibrated."""
        known, cell = self.maps.get(detector), self._cell(detector, context)
        return cell.llr(score) if cell and known and known.version == version else None

    def void_map(self, detector: str, version: int, context: Context) -> Void | None:
        """Name the map that would count for this sample, were it of this version."""
        known = self.maps.get(detector)
        if known is None or known.version == version or self._cell(detector, context) is None:
            return None
        return Void(detector, known.version, version)

    def outgrown(self, installed: Mapping[str, int]) -> tuple[Void, ...]:
        """Name the maps of other versions than the `installed` detectors, name to version, have."""
        maps = {name: known.version for name, known in self.maps.items() if name in installed}
        return tuple(Void(n, version, installed[n]) for n, version in maps.items() if version != installed[n])

    def _cell(self, detector: str, context: Context) -> Cell | None:
        known = self.maps.get(detector)
        if known is None or known.media_family != context.media_family:
            return None
        return next((c for c in known.cells if c.holds(context)), None)

    def ratio(self, detector: str, family: str, score: float) -> float:
        """What a score counts that is a likelihood ratio already: at most its family's cap; 0 of any other detector."""
        return clip(score, self.cap(family)) if detector in self.by_ratio else 0.0

    def group(self, context: Context, panel: Iterable[str]) -> Group | None:
        """Find the calibration sources that are like this sample, seen by the same detectors."""
        pool, panel = self.pools.get(pool_name(context.media_family, context.size_bin)), sorted(panel)
        if pool is None or all(self._family(name) in self.never_alone for name in panel):
            return None
        caps = {family: self.cap(family) for family in pool.families}
        return pool.group(panel, context.quality or 0, caps, self.shares[context.media_family])

    def _family(self, detector: str) -> str:
        known = self.maps.get(detector)
        return known.family if known else ""

    def threshold(self, context: Context, panel: Iterable[str], budget: float) -> Threshold | None:
        """Set the group's threshold at the false-alarm budget; None where its sources are too few."""
        group = self.group(context, panel)
        return None if group is None else group.threshold(budget)


def pool_name(media_family: str, size_bin: str | None) -> str:
    """Name the pool of calibration sources of a sample: "image/medium"."""
    return f"{media_family}/{size_bin}"


def panel_llr(llrs: Mapping[str, float], media_family: str, calibration: Calibration) -> float:
    """Fuse the LLRs of measured detectors, kind by kind (`mixture.mixed`).

    Parameters
    ----------
    llrs
        Detector to nats; each has a map in the calibration.
    calibration
        Holds maps, caps and shares.
    """
    return float(mixed(*_spread_out(llrs, media_family, calibration))[0])


def panel_conflict(llrs: Mapping[str, float], media_family: str, calibration: Calibration) -> float:
    """How strongly do families contradict each other about the same kind of fake? In nats, of the weaker side."""
    kinds = by_kind(*_spread_out(llrs, media_family, calibration))
    sides = [(sums.clip(min=0).sum(), (-sums).clip(min=0).sum()) for _, _, sums in kinds]
    return max((float(min(side)) for side in sides), default=0.0)


def panel_kinds(llrs: Mapping[str, float], media_family: str, calibration: Calibration) -> dict[Kind, float]:
    """How much do all detectors together say for each kind that was looked for? In nats."""
    kinds = by_kind(*_spread_out(llrs, media_family, calibration))
    return {kind: float(sums.sum()) for kind, _, sums in kinds if kind}


def _spread_out(
    llrs: Mapping[str, float], media_family: str, calibration: Calibration
) -> tuple[NDArray[np.float64], list[str], list[frozenset[Kind]], dict[str, float], Shares]:
    names = sorted(llrs)
    maps = [calibration.maps[n] for n in names]
    families, claims = [m.family for m in maps], [m.claims for m in maps]
    caps = {family: calibration.cap(family) for family in families}
    return np.array([[llrs[n] for n in names]]), families, claims, caps, calibration.shares[media_family]


def clip(llr: float, cap: float) -> float:
    return min(max(llr, -cap), cap)


def shipped(overrides: Mapping[str, float] | None = None, own: Path | None = None) -> Calibration:
    """Load the calibration that ships, or an operator's `own`, with own weights ("detector.code" -> nats) in it."""
    path = own or HERE / "calibration.json"
    try:
        return _read_file(path, path.stat().st_mtime_ns, tuple(sorted((overrides or {}).items())))
    except (OSError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError) as e:
        hint = "Write it anew with: assay bench calibrate (docs/calibrate.md)"
        raise ConfigError(f"the calibration {path} cannot be read: {e}", hint=hint) from e


def unfitted() -> Calibration:
    """Load what is judged alone, weights, caps and shares: what a new calibration is made with."""
    return read(_reasons(), {"format": FORMAT, "version": "none", "detectors": {}, "pools": {}}, {})


@functools.lru_cache(maxsize=8)
def _read_file(path: Path, changed: int, overrides: tuple[tuple[str, float], ...]) -> Calibration:  # noqa: ARG001 - a changed file is read again
    return read(_reasons(), json.loads(path.read_text(encoding="utf-8")), dict(overrides))


def _reasons() -> JSON:
    return tomllib.loads((HERE / "reasons.toml").read_text(encoding="utf-8"))


def read(reasons: JSON, fitted: JSON, overrides: Mapping[str, float]) -> Calibration:
    """Build a calibration from the two tables. Its version names everything that can move a verdict."""
    if fitted.get("format") != FORMAT:
        raise ValueError(f"it has format {fitted.get('format', 1)}, this program reads {FORMAT}")
    weights = {
        f"{detector}.{code}": _weight(row)
        for detector, rows in reasons["reasons"].items()
        for code, row in rows.items()
    }
    for name, llr in overrides.items():
        weights[name] = _reweighed(weights.get(name), llr)
    table = json.dumps([reasons, sorted(overrides.items())], sort_keys=True)
    return Calibration(
        version=f"{fitted['version']}+{hashlib.sha256(table.encode()).hexdigest()[:8]}",
        weights=weights,
        caps={name: float(cap) for name, cap in reasons["families"].items()},
        shares={
            media: {Kind(kind): float(share) for kind, share in row.items()}
            for media, row in reasons["shares"].items()
        },
        maps={name: _score_map(row) for name, row in fitted["detectors"].items()},
        pools={name: read_pool(row, fitted["detectors"]) for name, row in fitted["pools"].items()},
        by_score=frozenset(reasons["by_score"]),
        by_ratio=frozenset(reasons.get("by_ratio", ())),
        never_alone=frozenset(reasons.get("never_alone", ())),
    )


def _weight(row: Mapping[str, Any]) -> Weight:
    return Weight(
        llr=float(row["llr"]),
        text=row["text"],
        kinds=tuple(Kind(k) for k in row.get("kinds", ())),
        disclosed=row.get("disclosed", False),
        decisive=row.get("decisive", False),
        forgeable=row.get("forgeable", False),
        voids=row.get("voids", False),
    )


def _reweighed(known: Weight | None, llr: float) -> Weight:
    """Put an operator's weight in place of the shipped one; the code of a plug-in is taken for forgeable."""
    if known is None:
        return Weight(llr, "", forgeable=llr > 0)
    return Weight(llr, known.text, known.kinds, known.disclosed, known.decisive, known.forgeable, known.voids)


def _score_map(row: Mapping[str, Any]) -> ScoreMap:
    cells = tuple(
        Cell(
            size=c["size"],
            quality=(c["quality"][0], c["quality"][1]),
            scores=tuple(k[0] for k in c["knots"]),
            llrs=tuple(k[1] for k in c["knots"]),
            sources=(c["n_bona_fide"], c["n_fake"]),
        )
        for c in row["cells"]
    )
    claims = frozenset(map(Kind, row["claims"]))
    return ScoreMap(row["version"], row["media_family"], row["family"], claims, cells)
