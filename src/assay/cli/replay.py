"""`assay replay`: judge a stored screening again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from assay.cli.settings import settings_of
from assay.report.escape import printable

if TYPE_CHECKING:
    from assay.desk.replay import Change, Replay
    from assay.desk.stores import Stores
    from assay.settings import Settings
    from assay.types import Screening


@click.command()
@click.argument("record", metavar="ID")
@click.option(
    "--deep", is_flag=True, help="Examine the copy that `assay screen --keep` kept, with today's detectors."
)
@click.option("--json", "as_json", is_flag=True, help="The verdict of today as JSON (see `assay schema`).")
@click.pass_context
def replay(ctx: click.Context, record: str, *, deep: bool, as_json: bool) -> None:
    """Judge a stored screening again: today's calibration and policy on the findings of then.

    ID is that of a record (see `assay history`), as short as it is unique. Nothing is decoded without --deep, and nothing
    is changed.
    """
    from assay.action.policy import decide
    from assay.cli.terminal import local
    from assay.desk.judging import fusing
    from assay.desk.replay import replay as judge_again
    from assay.desk.stores import Stores
    from assay.report.contract import line
    from assay.report.table import word

    settings = settings_of(ctx)
    with Stores.open(settings) as stores:
        if deep:
            done = _examined_again(settings, stores, record)
        else:
            done = judge_again(
                stores.records, record, fusing(settings), lambda verdict: decide(verdict, settings.policy)
            )
    if as_json:
        click.echo(line(done.after))
        return
    before, after = done.before, done.after
    click.echo(printable(before.path))
    click.echo(f"  then ({local(before.screened_at)}): {word(before)}. {_said(before)}")
    if not done.changes:
        click.echo("  now: the same, to the last number.")
        return
    click.echo(f"  now: {word(after)}. {_said(after)}")
    for change in done.changes:
        click.echo(f"    {printable(_sentence(change))}")


def _said(screening: Screening) -> str:
    if screening.verdict is not None:
        return printable(screening.verdict.summary)
    return printable(screening.error.message) if screening.error else ""


def _examined_again(settings: Settings, stores: Stores, record: str) -> Replay:
    from assay.desk.replay import examine_again
    from assay.pipeline import Screener
    from assay.signatures import trust

    with Screener(
        settings, jobs=1, known=stores.judgements.known, trust=trust.load(settings.paths.trust)
    ) as screener:
        return examine_again(stores.records, record, stores.blobs, screener.screen_stream)


def _sentence(change: Change) -> str:
    return f"{change.field}: {_text(change.before)} -> {_text(change.after)}"


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None:
        return "none"
    text = value if isinstance(value, str) else json.dumps(value)
    return f"{text[:12]}…" if len(text) == 64 else text  # a digest
