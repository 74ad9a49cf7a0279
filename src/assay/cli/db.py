"""`assay db`: the database's upkeep."""

from __future__ import annotations

import click

from assay.cli.settings import settings_of
from assay.cli.terminal import count


@click.group()
def db() -> None:
    """Upgrade the database, apply retention."""


@db.command()
@click.pass_context
def status(ctx: click.Context) -> int:
    """Show the schema's revision. Exit 2 if the database does not fit this program."""
    from assay.store.database import Database

    settings = settings_of(ctx)
    with Database(settings.database) as database:
        found = database.status()
    click.echo(f"Database  {database.name}")
    if found.found is None:
        click.echo(f"Schema    none yet; the first use makes it ({found.expected})")
        return 0
    if found.current:
        click.echo(f"Schema    {found.found}, as this program wants it")
        return 0
    what = "newer than this program: use the newer Assay" if found.newer else "older: run `assay db upgrade`"
    click.echo(f"Schema    {found.found}, {what} ({found.expected} expected)")
    return 2


@db.command()
@click.pass_context
def upgrade(ctx: click.Context) -> None:
    """Bring the database to this program's schema; a copy is made first."""
    from assay.store.database import Database

    settings = settings_of(ctx)
    with Database(settings.database) as database:
        done = database.upgrade(settings.paths.backups)
    if done.before == done.after:
        click.echo(f"The schema is {done.after} already; nothing to do.")
        return
    if done.backup is not None:
        click.echo(f"Copied to {done.backup}")
    click.echo(f"The schema is now {done.after}{f' (was {done.before})' if done.before else ''}.")


@db.command()
@click.pass_context
def retain(ctx: click.Context) -> None:
    """Remove what is older than [retention] in assay.toml allows. Screening does this once a day by itself."""
    from assay.desk.retention import enforce

    settings = settings_of(ctx)
    done = enforce(settings)
    days = settings.retention
    kept = {
        "records": (days.records_days, count(done.records, "record")),
        "kept media": (days.kept_days, count(done.kept, "kept medium", "kept media")),
        "quarantine": (days.quarantine_days, f"{done.quarantined} in quarantine"),
        "audit": (days.audit_days, count(done.audit, "audit entry", "audit entries")),
    }
    for name, (limit, removed) in kept.items():
        click.echo(f"{name:<11} {f'{limit} days; removed {removed}' if limit else 'kept for ever'}")
