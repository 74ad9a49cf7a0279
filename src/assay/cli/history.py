"""`assay history`: what was screened before."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING

import click

from assay.cli.settings import settings_of
from assay.types import Action, Label, Status

if TYPE_CHECKING:
    from assay.desk.retrohunt import Change
    from assay.store.records import Record

SHOWN = 50


@click.command()
@click.option("--label", type=click.Choice([str(label) for label in Label]), help="Only this label.")
@click.option("--action", type=click.Choice([str(action) for action in Action]), help="Only this action.")
@click.option("--status", type=click.Choice([str(status) for status in Status]), help="Only this status.")
@click.option("--since", metavar="TIME", help="2026-03-01, 2026-03-01T12:00, or 90min, 24h, 7d, 2w ago.")
@click.option("--before", metavar="TIME", help="The other end, written in the same way.")
@click.option("--sha256", metavar="HEX", help="Only this digest; a beginning is enough.")
@click.option("--source", metavar="NAME", help="Only what came from there (see `assay screen --source`).")
@click.option("--evidence", metavar="NAME", help="Only where this detector scored, or this reason was given.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(0),
    help=f"At most so many, 0 for all [default: {SHOWN}; with --json all].",
)
@click.option(
    "--json", "as_json", is_flag=True, help="The records, one JSON object a line (see `assay schema`)."
)
@click.pass_context
def history(
    ctx: click.Context,
    *,
    label: str | None,
    action: str | None,
    status: str | None,
    since: str | None,
    before: str | None,
    sha256: str | None,
    source: str | None,
    evidence: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Show what was screened before, the newest first."""
    from assay.cli.terminal import table
    from assay.desk.history import history as past
    from assay.desk.history import moment
    from assay.desk.retrohunt import changes_of
    from assay.desk.stores import Stores
    from assay.store.records import Filter

    wanted = Filter(
        label=label,
        action=action,
        status=status,
        since=moment(since) if since else None,
        before=moment(before) if before else None,
        sha256=sha256,
        source=source,
        evidence=evidence,
    )
    shown = limit if limit is not None else (0 if as_json else SHOWN)
    with Stores.open(settings_of(ctx)) as stores:
        records = past(stores, wanted)
        if as_json:
            for record in itertools.islice(records, shown or None):
                click.echo(json.dumps(record.document, ensure_ascii=True))
            return
        listed = list(itertools.islice(records, shown + 1 if shown else None))
        later = {c.record_id: c for c in changes_of(stores, [r.id for r in listed]) if c.outcome == "changed"}
    more = bool(shown) and len(listed) > shown
    rows = [_row(record, later.get(record.id)) for record in listed[: shown or None]]
    if not rows:
        click.echo("No records." if wanted == Filter() else "No records match.")
        return
    click.echo(table(("SCREENED", "ID", "VERDICT", "ACTION", "PATH"), rows))
    if more:
        click.echo(
            f"There are more: --limit 0 shows all, --limit {2 * shown} the newest {2 * shown}.", err=True
        )


def _row(record: Record, change: Change | None = None) -> tuple[str, ...]:
    from assay.cli.terminal import local
    from assay.desk.history import screening_of
    from assay.report.contract import from_json
    from assay.report.table import word

    screening = screening_of(record)
    action = str(screening.decision.action) if screening.decision else "-"
    if change is not None:  # what a retrohunt said of it later
        then, now = word(screening), word(from_json(change.after))
        action = f"{action}, now {change.after['action']}"
        return local(record.screened_at), record.id[:12], f"{then}, now {now}", action, screening.path
    return local(record.screened_at), record.id[:12], word(screening), action, screening.path
