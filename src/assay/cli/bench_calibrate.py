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
@click.option(
    "--seed",
    type=click.IntRange(0, 2**31),
    default=1,
    show_default=True,
    help="Of the bootstrap that chooses maps.",
)
@click.option("--draws", type=click.IntRange(2, 1000), default=60, show_default=True, help="Bootstrap samples: fewer are faster.")  # fmt: skip
@click.option("--limit", type=click.FloatRange(0.5, 1.0), default=None, help="The AUC of shortcuts from which a corpus is refused; by default the audit's.")  # fmt: skip
@click.option("--with-feedback", is_flag=True, help="Use what reviewers said on this installation, too, and show what it changes.")  # fmt: skip
@click.option("--force-confounded", is_flag=True, help="Calibrate although labels can be told without looking at the media.")  # fmt: skip
@click.pass_context
def calibrate(
    ctx: click.Context,
    *,
    scores: tuple[Path, ...],
    out: Path,
    seed: int,
    draws: int,
    limit: float | None,
    with_feedback: bool,
    force_confounded: bool,
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
        before = fit(read, seed=seed, replicates=draws)
        if with_feedback:
            _with_feedback(ctx, before, out, seed=seed, draws=draws)
            return
        found = before
        fitted = described(found)
        _write(out, laid_out(fitted) + "\n")
    except AssayError as e:
        click.echo(f"assay: {e.message}" + (f"\n  what to do: {e.hint}" if e.hint else ""), err=True)
        raise SystemExit(TROUBLE) from None
    _show(found)
    _warn_of_void_maps(found)
    _show_thresholds(out)
    click.echo(f"wrote {ascii(str(out))[1:-1]}, version {fitted['version']}")


def _with_feedback(ctx: click.Context, before: Calibrated, out: Path, *, seed: int, draws: int) -> None:
    """Fit once more with the pending labels, and show thresholds and false alarms before and after."""
    from assay.bench.calibrate import calibrate as fit
    from assay.bench.calibrate import described, laid_out
    from assay.bench.feedback import alarms, joined, pending
    from assay.bench.thresholds import table
    from assay.cli.settings import settings_of
    from assay.desk.stores import Stores
    from assay.store.feedback import Feedback
    from assay.verdict.calibration import shipped

    settings = settings_of(ctx)
    with Stores.open(settings) as stores:
        found = pending(stores, before.scores.cards)
        for why, n in sorted(found.left_out.items()):
            click.echo(f"{n} labels were left out: {why}")
        if not found.rows:
            raise AssayError(
                "no pending label can be used", code="bench", hint="docs/feedback.md says what can."
            )
        drawn = found.drawn
        click.echo(f"{len(found.rows)} labels: {len(drawn)} of samples drawn at random, {len(found.rows) - len(drawn)} of samples that a verdict chose (maps only)")  # fmt: skip
        after = fit(joined(before.scores, found), seed=seed, replicates=draws)
        was = out.with_name(f"{out.name}.before")
        fitted = described(after)
        _write(was, laid_out(described(before)) + "\n")
        _write(out, laid_out(fitted) + "\n")
        _show(after)
        for word, path in (("before", was), ("after", out)):
            known = shipped(None, path)
            click.echo(f"\nthresholds {word}:")
            for line in table(known, BUDGETS):
                click.echo(line.text)
            for budget in BUDGETS:
                random, chosen = alarms(known, drawn, budget), alarms(known, [r for r in found.rows if not r.drawn], budget)  # fmt: skip
                click.echo(f"false alarms {word} at a budget of {100 * budget:g} %: {random[0]} of {random[1]} drawn at random, {chosen[0]} of {chosen[1]} that a verdict chose")  # fmt: skip
        was.unlink()
        with stores.database.write() as connection:
            Feedback.mark_used(connection, list(found.ids), str(fitted["version"]))
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


def _warn_of_void_maps(found: Calibrated) -> None:
    """Name detectors whose scores came from another version than the one that is installed."""
    from assay.evidence import registry

    installed = {e.card.name: e.card.version for e in registry.entries() if e.detector is not None}
    for name in found.detectors:
        scored = found.scores.cards[name]["version"]
        if installed.get(name, scored) != scored:
            click.echo(f"assay: {name} was scored by version {scored}, version {installed[name]} is installed: its map is void here", err=True)  # fmt: skip


def _show_thresholds(path: Path) -> None:
    from assay.bench.thresholds import table
    from assay.verdict.calibration import shipped

    click.echo(
        "\nthresholds of the panels that occur most (bona fide sources; range of the realised false-alarm rate)"
    )
    for line in table(shipped(None, path), BUDGETS):
        click.echo(line.text)
