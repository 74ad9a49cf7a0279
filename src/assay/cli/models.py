"""`assay models`: the weights that detectors use, which of them are here, and how to get the others."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.errors import AssayError, ModelError

if TYPE_CHECKING:
    from assay.evidence.download import Progress
    from assay.evidence.models import Catalogue, Model, State

TROUBLE = 2
STEP = 25  # per cent between two plain lines of progress


@dataclass(frozen=True, slots=True)
class Shelf:
    """The catalogue and the folder that the settings name."""

    known: Catalogue
    folder: Path


def _shelf(folder: Path | None) -> Shelf:
    from assay import config
    from assay.evidence.models import catalogue

    return Shelf(catalogue(), folder or config.load().paths.models)


folder_option = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Another models folder than the configured one.",
)


@click.group("models")
def models() -> None:
    """List, pull and verify the weights that detectors use."""


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@folder_option
def list_models(*, as_json: bool, folder: Path | None) -> None:
    """Show every model: is it here, how large is it, under which licence, and where does it come from?"""
    from assay.evidence.models import state

    shelf = _shelf(folder)
    rows = [(model, state(model, shelf.folder)) for model in shelf.known.values()]
    if as_json:
        for model, found in rows:
            click.echo(json.dumps(_described(model, found, shelf.folder)))
        return
    width = max(len(model.name) for model, _ in rows)
    click.echo(f"{'model':{width}}  {'state':8}  {'size':>8}  used by")
    for model, found in rows:
        click.echo(f"{model.name:{width}}  {found:8}  {_size(model.size)}  {', '.join(model.used_by)}")
        click.echo(f"{'':{width}}  licence {model.licence}; from {ascii(model.source)[1:-1]}")
    click.echo(f"in {ascii(str(shelf.folder))[1:-1]}")
    lacking = [model for model, found in rows if found != "present"]
    if any(not model.on_request for model in lacking):
        click.echo("Get what is missing or altered with: assay models pull")
    if asked := [model for model in lacking if model.on_request]:
        click.echo(f"Brought by name alone: assay models pull {asked[0].name} ...")


def _described(model: Model, found: State, folder: Path) -> dict[str, object]:
    kept = {"name": model.name, "state": str(found), "size": model.size, "sha256": model.sha256}
    rest = {"licence": model.licence, "source": model.source, "used_by": list(model.used_by)}
    return kept | rest | {"path": str(model.path(folder))}


def _size(size: int) -> str:
    return f"{size / 1e6:5.1f} MB"


@models.command("pull")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@folder_option
def pull_models(*, names: tuple[str, ...], folder: Path | None) -> None:
    """Bring models to this machine, by default all that detectors use; what is here and intact is not fetched again."""
    from assay.evidence.models import chosen

    shelf = _shelf(folder)
    default = [model for model in shelf.known.values() if not model.on_request]
    wanted = chosen(names, shelf.known) if names else default
    failed = [model for model in wanted if not _pull_one(model, shelf.folder)]
    if failed:
        raise SystemExit(TROUBLE)


def _pull_one(model: Model, folder: Path) -> bool:
    from assay.evidence.download import pull

    try:
        with _progress(model.name) as progress:
            new = pull(model, folder, progress)
    except ModelError as e:
        _complain(e)
        return False
    click.echo(
        f"{model.name}: {'pulled and verified' if new else 'already here'} ({_size(model.size).strip()})"
    )
    return True


def _complain(error: AssayError) -> None:
    click.echo(f"assay: {error.message}" + (f"\n  what to do: {error.hint}" if error.hint else ""), err=True)


@models.command("verify")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@folder_option
def verify_models(*, names: tuple[str, ...], folder: Path | None) -> None:
    """Read every model that is here again and compare its digest; exit 2 if one was altered."""
    from assay.evidence.models import State, chosen, state

    shelf = _shelf(folder)
    wanted = chosen(names, shelf.known) if names else list(shelf.known.values())
    altered = False
    for model in wanted:
        found = state(model, shelf.folder, rehash=True)
        altered = altered or found is State.ALTERED or (found is State.MISSING and bool(names))
        click.echo(f"{model.name}: {found}")
        if found is not State.PRESENT:
            click.echo(f"  what to do: assay models pull {model.name}", err=True)
    if altered:
        raise SystemExit(TROUBLE)


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    if sys.stderr.isatty():
        with _bar(name) as progress:
            yield progress
    else:
        yield _lines(name)


@contextmanager
def _bar(name: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name)

        def progress(what: str, done: int, total: int) -> None:
            bar.update(task, description=f"{name}: {what}", completed=done, total=total or None)

        yield progress


def _lines(name: str) -> Callable[[str, int, int], None]:
    """Plain lines for logs: the start of each step, then every quarter of it."""
    said: set[tuple[str, int]] = set()

    def progress(what: str, done: int, total: int) -> None:
        quarter = STEP * (100 * done // total // STEP) if total else 0
        if (what, quarter) not in said:
            said.add((what, quarter))
            click.echo(f"{name}: {what}" + (f" {quarter} %" if total else ""), err=True)

    return progress
