"""`assay screen`: files and folders in, verdicts out."""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from assay.cli.settings import settings_of

if TYPE_CHECKING:
    from assay.desk.screening import Desk
    from assay.pipeline import Screener
    from assay.report.page import Page
    from assay.types import Screening

FOUND, TROUBLE = 1, 2


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line (see `assay schema`).")
@click.option("--csv", "as_csv", is_flag=True, help="Comma-separated, for spreadsheets.")
@click.option("--report", metavar="FILE.html", help="Write a report that one can read, print and send.")
@click.option("--quarantine", is_flag=True, help="Encrypt and remove what the policy says to quarantine.")
@click.option(
    "--dry-run", is_flag=True, help="With --quarantine: say what would be done; move and store nothing."
)
@click.option("--strict", is_flag=True, help="Exit with 1 for an inconclusive verdict too.")
@click.option("-q", "--quiet", is_flag=True, help="Show only what was found, and trouble.")
@click.option("-j", "--jobs", type=click.IntRange(1, 256), help="Samples at once [default: one a core].")
@click.option("--keep", is_flag=True, help="Keep a copy of every sample, for replay --deep.")
@click.option("--no-history", is_flag=True, help="Store nothing at all.")
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the first --quarantine takes the new identity's passphrase from [default: ask, or $ASSAY_PASSPHRASE].",
)
@click.option("--source", default="", metavar="NAME", help="Note where the samples came from.")
@click.pass_context
def screen(
    ctx: click.Context,
    paths: tuple[str, ...],
    *,
    as_json: bool,
    as_csv: bool,
    report: str | None,
    quarantine: bool,
    dry_run: bool,
    strict: bool,
    quiet: bool,
    jobs: int | None,
    keep: bool,
    no_history: bool,
    passphrase_file: Path | None,
    source: str,
) -> int:
    r"""Screen files, folders (with all that lies in them) or - for standard input.

    \b
    Exit code: 0 nothing found
               1 something was found (1 wins over 2)
               2 trouble: refused, undecodable or unreadable
    An inconclusive verdict is 0, with --strict 1.
    """
    from assay.action.identity import passphrase_source
    from assay.desk.screening import Desk
    from assay.pipeline import Screener
    from assay.report.table import found, troubled

    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if no_history and (keep or (quarantine and not dry_run)):
        raise click.UsageError(
            "--no-history stores nothing: leave out --keep and --quarantine, or use --dry-run"
        )
    settings = settings_of(ctx, jobs=jobs)
    for warning in settings.warnings:
        click.echo(f"assay: {warning}", err=True)
    ask = (lambda text: str(click.prompt(text, hide_input=True, err=True))) if sys.stdin.isatty() else None
    desk = Desk.open(
        settings,
        history=not (no_history or dry_run),
        keep=keep,
        quarantine=quarantine,
        dry_run=dry_run,
        passphrase=passphrase_source(os.environ, passphrase_file, ask, new=True),
    )
    printer = _Printer(as_json=as_json, as_csv=as_csv, quiet=quiet)
    page = None
    if report is not None:
        from assay.report.page import Page

        page = Page.open(report)
    code = 0
    stopped = False
    with (
        desk,
        _discarding(page),
        Screener(settings, jobs=jobs, known=desk.known, trust=desk.trust(), source=source) as screener,
    ):
        try:
            for screening in _screenings(screener, desk, paths):
                printer.show(screening)
                if page is not None:
                    page.add(screening)
                for s in _all(screening):
                    inconclusive = s.verdict is not None and s.verdict.label == "inconclusive"
                    if found(s) or (strict and inconclusive):
                        code = FOUND
                    elif troubled(s) and code != FOUND:
                        code = TROUBLE
        except KeyboardInterrupt:
            stopped = True
        printer.close(stopped=stopped, notes=[*screener.warnings, *desk.notes])
        if page is not None:
            panel = [(m.name, m.summary, m.unavailable) for m in screener.members]
            page.write(detectors=panel, stopped=stopped)
            click.echo(f"Report: {report}", err=True)
    return 130 if stopped else code


@contextlib.contextmanager
def _discarding(page: Page | None) -> Iterator[None]:
    """Leave no half-written report behind."""
    try:
        yield
    finally:
        if page is not None:
            page.discard()


def _screenings(screener: Screener, desk: Desk, paths: tuple[str, ...]) -> Iterator[Screening]:
    files = [p for p in paths if p != "-"]
    if "-" in paths:
        yield screener.screen_stream(sys.stdin.buffer, "-", desk.finish)
    yield from screener.screen_all(files, desk.finish)


def _all(screening: Screening) -> Iterator[Screening]:
    from assay.report.contract import flatten

    return flatten(screening)


class _Printer:
    """Results on standard output, progress on standard error; only the latter ever moves."""

    def __init__(self, *, as_json: bool, as_csv: bool, quiet: bool) -> None:
        from assay.report.table import CSV_HEAD, Table

        self._as_json, self._as_csv, self._quiet = as_json, as_csv, quiet
        self._started = time.monotonic()
        self._done = 0
        self._live = sys.stderr.isatty()
        width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100
        self._table = Table(min(width, 140), colour=_colour(sys.stdout))
        self._csv = csv.writer(sys.stdout) if as_csv else None
        if self._csv is not None:
            self._csv.writerow(CSV_HEAD)

    def show(self, screening: Screening) -> None:
        from assay.report.contract import flatten, line
        from assay.report.table import csv_rows

        paragraph = self._table.paragraph(screening, quiet=self._quiet)
        self._wipe()
        if self._as_json:
            for s in flatten(screening):
                print(line(s))
        elif self._csv is not None:
            self._csv.writerows(csv_rows(screening))
        elif paragraph:
            print(paragraph)
        sys.stdout.flush()
        self._done += 1
        self._progress(screening.path)

    def close(self, *, stopped: bool, notes: list[str]) -> None:
        from assay.report.escape import printable

        self._wipe()
        closing = self._table.closing(time.monotonic() - self._started, stopped=stopped)
        print(closing, file=sys.stderr if self._as_json or self._csv else sys.stdout)
        for note in dict.fromkeys(notes):
            print(f"Note: {printable(note)}", file=sys.stderr)

    def _progress(self, path: str) -> None:
        if self._live:
            from assay.report.escape import printable

            rate = self._done / max(1e-3, time.monotonic() - self._started)
            name = printable(os.path.basename(path), limit=40)
            print(
                f"\r\x1b[K{self._done} screened, {rate:.1f} a second · {name}",
                end="",
                file=sys.stderr,
                flush=True,
            )

    def _wipe(self) -> None:
        if self._live and self._done:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _colour(stream: TextIO) -> bool:
    """https://no-color.org: any non-empty NO_COLOR wins; otherwise only a terminal gets colours."""
    return not os.environ.get("NO_COLOR") and stream.isatty() and os.environ.get("TERM") != "dumb"
