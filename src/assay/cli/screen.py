"""`assay screen`: files and folders in, verdicts out."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from assay.cli.interrupts import Interrupts
from assay.cli.settings import settings_of
from assay.errors import AssayError

if TYPE_CHECKING:
    from assay.desk.screening import Desk
    from assay.pipeline import Screener
    from assay.report.page import Page
    from assay.settings import Settings
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
@click.option(
    "--bulk",
    is_flag=True,
    help="Hand folders, or prefixes such as s3://bucket/folder, over to `assay serve` or `assay worker`.",
)
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
    bulk: bool,
) -> int:
    r"""Screen files, folders (with all that lies in them) or - for standard input.

    \b
    Exit code: 0 nothing found
               1 something was found (1 wins over 2)
               2 trouble: refused, undecodable or unreadable
    An inconclusive verdict is 0, with --strict 1.
    """
    from assay.zygotes import Zygotes

    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    if no_history and (keep or (quarantine and not dry_run)):
        raise click.UsageError(
            "--no-history stores nothing: leave out --keep and --quarantine, or use --dry-run"
        )
    _open_standard_streams()
    settings = settings_of(ctx, jobs=jobs)
    if bulk:
        return _handed_over(settings, paths, source)
    for warning in settings.warnings:
        click.echo(f"assay: {warning}", err=True)
    with Zygotes.start(settings.limits) as zygotes:  # they warm up while the rest is imported
        from assay.action.identity import passphrase_source
        from assay.desk.screening import Desk
        from assay.pipeline import Screener

        desk = Desk.open(
            settings,
            history=not (no_history or dry_run),
            keep=keep,
            quarantine=quarantine,
            dry_run=dry_run,
            passphrase=passphrase_source(os.environ, passphrase_file, _asking(), new=True),
        )
        printer = _Printer(as_json=as_json, as_csv=as_csv, quiet=quiet)
        page = None
        if report is not None:
            from assay.report.page import Page

            page = Page.open(report)
        with (
            Interrupts() as interrupts,
            desk,
            _discarding(page),
            Screener(
                settings,
                jobs=jobs,
                known=desk.known,
                library=desk.library,
                trust=desk.trust(),
                source=source,
                zygotes=zygotes,
            ) as screener,
        ):
            batch = _Batch(printer, page, strict=strict)
            with _printing(screener.stop):
                with contextlib.suppress(KeyboardInterrupt):
                    for screening in _screenings(screener, desk, paths, interrupts):
                        batch.take(screening)
                stopped = bool(interrupts.signal)
                printer.close(stopped=stopped, notes=[*screener.warnings, *desk.notes])
            if page is not None and report is not None:
                batch.report(report, _used(screener), stopped=stopped)
        return 128 + interrupts.signal if stopped else batch.code


def _handed_over(settings: Settings, paths: tuple[str, ...], source: str) -> int:
    from assay.cli import bulk

    with Interrupts() as interrupts, interrupts.calling(lambda: None):
        return bulk.run(settings, paths, source, lambda: bool(interrupts.signal))


class _Batch:
    """What has come of the samples so far: shown, written into the report, and summed up as an exit code."""

    def __init__(self, printer: _Printer, page: Page | None, *, strict: bool) -> None:
        self.code = 0
        self._printer = printer
        self._page = page
        self._strict = strict

    def take(self, screening: Screening) -> None:
        from assay.report.contract import flatten
        from assay.report.table import found, troubled

        for s in flatten(screening):
            inconclusive = s.verdict is not None and s.verdict.label == "inconclusive"
            if found(s) or (self._strict and inconclusive):
                self.code = FOUND
            elif troubled(s) and self.code != FOUND:
                self.code = TROUBLE
        if self._page is not None:
            self._page.add(screening)
        self._printer.show(screening)

    def report(self, path: str, detectors: list[tuple[str, str, str]], *, stopped: bool) -> None:
        """Write the report; that it cannot be written does not hide what was found."""
        from assay.report.escape import printable

        assert self._page is not None
        try:
            self._page.write(detectors=detectors, stopped=stopped)
        except AssayError as e:
            print(f"assay: {printable(e.message)}\n  {printable(e.hint)}", file=sys.stderr)
            self.code = self.code or TROUBLE
        else:
            print(f"Report: {printable(path)}", file=sys.stderr)


@contextlib.contextmanager
def _printing(stop: Callable[[], None]) -> Iterator[None]:
    """When nobody takes the results any more, end the batch: quietly if the reader has gone (`| head`)."""
    try:
        yield
    except _UnheardError as e:
        stop()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the buffer's rest shall not fail again at exit
        if isinstance(e.reason, BrokenPipeError):
            raise SystemExit(141) from None  # as a shell reports SIGPIPE
        raise AssayError(
            f"the results cannot be written: {(e.reason.strerror or str(e.reason)).lower()}",
            code="output",
            hint="Make room, or send them elsewhere. What was screened so far is in `assay history`.",
        ) from e


class _UnheardError(Exception):
    """Standard output takes no more."""

    def __init__(self, reason: OSError) -> None:
        self.reason = reason


@contextlib.contextmanager
def _speaking() -> Iterator[None]:
    """Tell trouble with the output from any other trouble with files."""
    try:
        yield
    except OSError as e:
        raise _UnheardError(e) from e


def _used(screener: Screener) -> list[tuple[str, str, str]]:
    """The detectors, for the report; nothing where none was asked before the batch was stopped."""
    try:
        return [(m.name, m.summary, m.unavailable) for m in screener.members]
    except AssayError:
        return []


def _open_standard_streams() -> None:
    """Give closed standard streams a place, or the next opened file takes their number and gets what is printed."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the program
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows few characters


def _asking() -> Callable[[str], str] | None:
    """How to ask a person, if there is one."""
    if sys.stdin is None or not sys.stdin.isatty():
        return None
    return lambda text: str(click.prompt(text, hide_input=True, err=True))


@contextlib.contextmanager
def _discarding(page: Page | None) -> Iterator[None]:
    """Leave no half-written report behind."""
    try:
        yield
    finally:
        if page is not None:
            page.discard()


def _screenings(
    screener: Screener, desk: Desk, paths: tuple[str, ...], interrupts: Interrupts
) -> Iterator[Screening]:
    files = [p for p in paths if p != "-"]
    if "-" in paths:
        yield screener.screen_stream(sys.stdin.buffer if sys.stdin is not None else None, "-", desk.finish)
    with interrupts.calling(screener.stop):
        yield from screener.screen_all(files, desk.finish)


class _Printer:
    """Results on standard output, progress on standard error; only the latter ever moves."""

    def __init__(self, *, as_json: bool, as_csv: bool, quiet: bool) -> None:
        from assay.report.table import CSV_HEAD, Table

        self._as_json, self._machine, self._quiet = as_json, as_json or as_csv, quiet
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 stops nothing
        self._started = time.monotonic()
        self._done = 0
        self._live = sys.stderr.isatty()
        width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100
        self._table = Table(min(width, 140), colour=_colour(sys.stdout))
        self._csv = csv.writer(sys.stdout) if as_csv else None
        if self._csv is not None:
            self._csv.writerow(CSV_HEAD)

    def show(self, screening: Screening) -> None:
        paragraph = self._table.paragraph(screening, quiet=self._quiet or self._machine)
        with _speaking():
            self._write(screening, paragraph)

    def _write(self, screening: Screening, paragraph: str) -> None:
        from assay.report.contract import flatten, line
        from assay.report.table import csv_rows

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

        closing = self._table.closing(time.monotonic() - self._started, stopped=stopped)
        with _speaking():
            self._wipe()
            print(closing, file=sys.stderr if self._machine else sys.stdout, flush=True)
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
