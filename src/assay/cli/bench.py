"""`assay bench`: what detectors are worth on a corpus, and whether the corpus can tell."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli.bench_calibrate import calibrate
from assay.cli.interrupts import Interrupts
from assay.cli.settings import settings_of

if TYPE_CHECKING:
    from assay.bench.manifest import Manifest
    from assay.bench.run import Done, Order, Progress
    from assay.settings import Settings

NOTHING_SCORED = 2
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
manifest_argument = click.argument(
    "manifest", type=click.Path(path_type=Path, dir_okay=False), metavar="MANIFEST.csv"
)


@click.group("bench")
def bench() -> None:
    """Measure detectors on corpora of known truth, audit the corpora, calibrate on your own media."""


bench.add_command(calibrate)


@bench.command("run")
@manifest_argument
@click.option("--detectors", default="", metavar="A,B", help="Only these [default: the whole panel].")
@click.option(
    "--laundering",
    "launderings",
    default="all",
    show_default=True,
    metavar="A,B",
    help="Names, or all; as_is for the files untouched.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("bench"),
    show_default=True,
    help="Folder for scores.parquet, verdicts.parquet, summary.json and report.html.",
)
@click.option("-j", "--jobs", type=click.IntRange(1, 256), help="Processes [default: one a core].")
@click.option(
    "--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="What launderings draw from."
)
@click.option("--with-metadata", is_flag=True, help="Also examine the files as they are, every detector on.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where results are kept, so that a second run goes on where the first ended.",
)
@click.option("--json", "as_json", is_flag=True, help="The figures as one JSON object on standard output.")
@click.pass_context
def run_command(
    ctx: click.Context,
    manifest: Path,
    *,
    detectors: str,
    launderings: str,
    out: Path,
    jobs: int | None,
    seed: int,
    with_metadata: bool,
    cache: Path | None,
    as_json: bool,
) -> int:
    r"""Score a corpus under every laundering, and report what each detector and the panel are worth.

    \b
    Exit code: 0 done
               2 trouble: the manifest, the weights, or not one sample could be scored
    A run that was stopped or killed goes on where it ended: run it again.
    """
    for name in THREADS:
        os.environ.setdefault(name, "1")  # every core has a process of its own
    from assay.bench.manifest import read
    from assay.bench.panel import Shipped
    from assay.bench.parquet import need_pyarrow
    from assay.bench.run import Order, all_launderings, check_launderings, run

    need_pyarrow()
    settings = settings_of(ctx, jobs=jobs)
    panel = Shipped(_names(detectors), settings.paths.models)
    for warning in panel.warnings:
        click.echo(f"assay: {warning}", err=True)
    corpus = read(manifest)
    order = Order(
        manifest=corpus,
        panel=panel,
        launderings=all_launderings(corpus)
        if launderings == "all"
        else check_launderings(_names(launderings)),
        cache=cache or settings.paths.cache / "bench",
        limits=settings.limits,
        with_metadata=with_metadata,
        seed=seed,
        jobs=settings.jobs or len(os.sched_getaffinity(0)),
    )
    _made(out)
    with Interrupts() as interrupts, interrupts.calling(lambda: None), _progress() as progress:
        done = run(order, progress=progress, stopped=lambda: bool(interrupts.signal))
    if done.stopped:
        click.echo("assay: stopped; what was computed is cached, run it again to go on", err=True)
        return 128 + interrupts.signal
    return _told(order, done, settings, out, as_json=as_json)


def _told(order: Order, done: Done, settings: Settings, out: Path, *, as_json: bool) -> int:
    from assay.bench import parquet
    from assay.bench.fused import fused
    from assay.bench.report import page, write_text
    from assay.bench.summary import summarise
    from assay.bench.table import Told, lines, summary_json
    from assay.verdict.calibration import shipped

    calibration = shipped(settings.reasons, settings.paths.calibration)
    verdicts = list(fused(done.rows, order.panel.cards, settings, calibration))
    about = parquet.about(order, calibration.version, out)
    parquet.write_scores(out / parquet.SCORES, done.rows, about)
    parquet.write_verdicts(out / parquet.VERDICTS, verdicts, about)
    summary = summarise(done.rows, verdicts, calibration, settings.false_alarm_budget)
    told = Told(order, done, summary, about, settings.false_alarm_budget, _command())
    plain = summary_json(told)
    write_text(out / "summary.json", json.dumps(plain, indent=1) + "\n")
    write_text(out / "report.html", "\n".join(page(told)) + "\n")
    if as_json:
        click.echo(json.dumps(plain))
    else:
        for line in lines(told):
            click.echo(line)
    click.echo(f"Report: {out / 'report.html'}", err=True)
    if any(r.result.score is not None for r in done.rows):
        return 0
    click.echo(
        "assay: not one sample could be scored: no detector that was asked reads such media without their metadata, or all"
        " of them failed or have nothing to examine",
        err=True,
    )
    return NOTHING_SCORED


def _made(out: Path) -> None:
    from assay.errors import AssayError

    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise AssayError(
            f"the folder {out} cannot be made: {(e.strerror or str(e)).lower()}",
            code="output",
            hint="Name another one with --out.",
        ) from e


def _names(given: str) -> list[str]:
    return [name for name in (part.strip() for part in given.split(",")) if name]


def _command() -> str:
    return shlex.join(["assay", *sys.argv[1:]])


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar with the time left on a terminal, else a line every tenth."""
    if not sys.stderr.isatty():
        yield _plain_progress()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("scoring"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("scoring")
        first = True

        def progress(done: int, total: int) -> None:
            nonlocal first
            if first:  # what is cached says nothing of the speed
                bar.reset(task, total=total, completed=done)
                first = False
            bar.update(task, total=total, completed=done)

        yield progress


def _plain_progress() -> Callable[[int, int], None]:
    said: set[int] = set()
    started = 0.0
    first = -1

    def progress(done: int, total: int) -> None:
        nonlocal first, started
        if first < 0:
            first, started = done, time.monotonic()
            click.echo(f"{total} results, {done} of them cached", err=True)
        tenth = 10 * done // total if total else 10
        if tenth not in said and tenth and done > first:
            said.add(tenth)
            left_s = (time.monotonic() - started) * (total - done) / (done - first)
            click.echo(f"{done} of {total}, about {left_s / 60:.0f} min left", err=True)

    return progress


@bench.command("audit")
@manifest_argument
@click.option(
    "--align",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="OUT",
    help="Write the corpus anew with both classes in one codec, size and quality.",
)
@click.option(
    "--limit", type=click.FloatRange(0.5, 1.0), help="AUC that a shortcut may reach [default: 0.70]."
)
@click.option(
    "--seed", type=click.IntRange(0, 2**31), default=0, show_default=True, help="Of folds and of --align."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.pass_context
def audit_command(
    ctx: click.Context, manifest: Path, *, align: Path | None, limit: float | None, seed: int, as_json: bool
) -> int:
    r"""Ask whether a corpus betrays its labels by what is no content: size, format, tables, dimensions, metadata.

    \b
    Exit code: 0 no shortcut is over the limit
               1 the corpus betrays its labels; with --align: the aligned one does
               2 trouble
    """
    from assay.bench import audit
    from assay.bench.manifest import read

    settings = settings_of(ctx)
    corpus: Manifest = read(manifest)
    at = audit.LIMIT if limit is None else limit
    found = audit.audit(corpus, limit=at, seed=seed, limits=settings.limits)
    if align is not None:
        from assay.bench.align import align as aligned

        path = aligned(corpus, align, seed=seed, limits=settings.limits)
        if not as_json:
            for line in audit.lines(found):
                click.echo(line)
            click.echo(f"\nAligned corpus: {path}")
        found = audit.audit(read(path), limit=at, seed=seed, limits=settings.limits)
    if as_json:
        click.echo(json.dumps(audit.plain(found)))
    else:
        for line in audit.lines(found):
            click.echo(line)
    return 1 if found.betrayed else 0
