"""`assay bench calibrate`: from the scores of a run to a calibration of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.errors import AssayError

if TYPE_CHECKING:
    from assay.bench.calibrate import Calibrated

TROUBLE = 2
BUDGETS = (0.01, 0.05)


@click.command("calibrate")
@click.argument("scores", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The calibration to write, calibration.json.")  # fmt: skip
@click.option("--seed", type=int, default=1, show_default=True, help="Of the bootstrap that chooses maps.")
@click.option("--draws", type=click.IntRange(2, 1000), default=60, show_default=True, help="Bootstrap samples: fewer are faster.")  # fmt: skip
@click.option("--limit", type=click.FloatRange(0.5, 1.0), default=None, help="The AUC of shortcuts from which a corpus is refused; by default the audit's.")  # fmt: skip
@click.option("--force-confounded", is_flag=True, help="Calibrate although labels can be told without looking at the media.")  # fmt: skip
def calibrate(
    *, scores: tuple[Path, ...], out: Path, seed: int, draws: int, limit: float | None, force_confounded: bool
) -> None:
    """Turn scores of `assay bench run` (one or more SCORES.parquet) into LLRs and thresholds.

    Use what it writes with `calibration` in assay.toml. docs/calibrate.md goes through it step by step.
    """
    from assay.bench.calibrate import calibrate as fit
    from assay.bench.calibrate import described, laid_out
    from assay.bench.rows import read_scores

    try:
        read = read_scores(scores)
        if not force_confounded:
            _refuse_if_confounded(scores, limit)
        found = fit(read, seed=seed, replicates=draws)
        fitted = described(found)
        _write(out, laid_out(fitted) + "\n")
    except AssayError as e:
        click.echo(f"assay: {e.message}" + (f"\n  what to do: {e.hint}" if e.hint else ""), err=True)
        raise SystemExit(TROUBLE) from None
    _show(found)
    _show_thresholds(out)
    click.echo(f"wrote {ascii(str(out))[1:-1]}, version {fitted['version']}")


def _refuse_if_confounded(scores: tuple[Path, ...], limit: float | None) -> None:
    from assay.bench.audit import refuse_if_confounded

    for path in scores:
        if limit is None:
            refuse_if_confounded(path)
        else:
            refuse_if_confounded(path, limit=limit)


def _write(out: Path, text: str) -> None:
    temporary = out.with_name(f"{out.name}.part")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(out)
    except OSError as e:
        raise AssayError(f"{out} cannot be written: {(e.strerror or str(e)).lower()}", code="output") from e


def _show(found: Calibrated) -> None:
    click.echo(
        "detector             size    quality  method       sources      Cllr [90 %]        LLR from .. to"
    )
    for name, cells in found.fitted.items():
        for f in cells:
            c = f.cell
            quality = f"{c.quality[0]}-{c.quality[1]}"
            counts = f"{c.sources[0]}/{c.sources[1]}"
            cost = f"{f.cllr:.2f} [{f.cllr_range[0]:.2f}-{f.cllr_range[1]:.2f}]"
            click.echo(
                f"{name:20} {c.size:7} {quality:8} {f.method:12} {counts:12} {cost:18} {c.llrs[0]:5.1f} .. {c.llrs[-1]:.1f}"
            )
    for name, why in sorted(found.skipped.items()):
        click.echo(f"{name:20} not calibrated: {why}")


def _show_thresholds(path: Path) -> None:
    from assay.bench.thresholds import table
    from assay.verdict.calibration import shipped

    click.echo(
        "\nthresholds of the panels that occur most (bona fide sources; range of the realised false-alarm rate)"
    )
    for line in table(shipped(None, path), BUDGETS):
        click.echo(line.text)
