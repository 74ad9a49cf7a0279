"""`assay audit`: who did what, and proof that nobody rewrote it."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime
from typing import TYPE_CHECKING

import click

from assay.cli.settings import settings_of
from assay.cli.terminal import count, local, table
from assay.report.escape import printable

if TYPE_CHECKING:
    from assay.store.audit import Entry


@click.group()
def audit() -> None:
    """Show and verify the record of what people did."""


@audit.command("list")
@click.option(
    "-n", "--limit", type=click.IntRange(0), default=50, show_default=True, help="The newest; 0 for all."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def listed(ctx: click.Context, *, limit: int, as_json: bool) -> None:
    """List the newest entries, the oldest of them first."""
    from assay.desk.stores import Stores

    with Stores.open(settings_of(ctx)) as stores:
        entries = stores.audit.entries(limit or None)
    if as_json:
        for entry in entries:
            click.echo(json.dumps(dataclasses.asdict(entry), ensure_ascii=True))
    elif not entries:
        click.echo("No entries.")
    else:
        click.echo(table(("NO.", "TIME", "WHO", "DID", "TO", "WHY"), [_row(e) for e in entries]))


@audit.command()
@click.pass_context
def head(ctx: click.Context) -> None:
    """Print the newest hash. Note it elsewhere: with it, `verify --head` also finds a cut or rewritten end."""
    from assay.desk.stores import Stores

    with Stores.open(settings_of(ctx)) as stores:
        click.echo(stores.audit.head())


@audit.command()
@click.option("--head", "noted", metavar="HASH", help="A hash that `assay audit head` printed earlier.")
@click.pass_context
def verify(ctx: click.Context, *, noted: str | None) -> int:
    """Walk the chain of hashes: changed, removed and reordered entries show. Exit 1 if any do."""
    from assay.desk.stores import Stores

    with Stores.open(settings_of(ctx)) as stores:
        found = stores.audit.verify(noted)
    for fault in found.faults:
        click.echo(f"assay: {printable(fault)}", err=True)
    if found.faults:
        click.echo(f"The audit is NOT whole: {count(len(found.faults), 'fault')}.")
        return 1
    click.echo(f"The audit is whole: {count(found.entries, 'entry', 'entries')}, head {found.head}")
    if noted is None:
        click.echo(
            "Note this head elsewhere; without one, an end that was cut off cannot be noticed.", err=True
        )
    return 0


def _row(entry: Entry) -> tuple[str, ...]:
    digest = entry.target[:12] if len(entry.target) == 64 else entry.target[:40]
    return (
        str(entry.seq),
        local(datetime.fromisoformat(entry.at)),
        entry.actor,
        entry.action,
        digest,
        entry.reason,
    )
