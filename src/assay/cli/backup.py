"""`assay backup` and `assay restore`."""

from __future__ import annotations

from pathlib import Path

import click

from assay.cli.settings import settings_of
from assay.cli.terminal import count, local, size_text
from assay.report.escape import printable


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_context
def backup(ctx: click.Context, file: Path) -> None:
    """Write all that cannot be made again into FILE: records, quarantine, keys, kept media, trust, configuration.

    FILE must not exist. The identity in it stays protected by its passphrase; records and kept media are readable.
    """
    from assay.desk.backup import backup as back_up

    done = back_up(settings_of(ctx), file)
    for note in done.notes:
        click.echo(f"assay: {printable(note)}", err=True)
    click.echo(f"{printable(str(done.path))}: {count(done.files, 'file')}, {size_text(done.size)}")


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--force", is_flag=True, help="Move what is stored now aside first.")
@click.pass_context
def restore(ctx: click.Context, file: Path, *, force: bool) -> None:
    """Bring a backup back. Stop other Assay processes before."""
    from assay.desk.backup import restore as bring_back

    done = bring_back(settings_of(ctx), file, force=force)
    click.echo(f"Restored {count(done.files, 'file')} of the backup of {local(done.made_at)}.")
    if done.aside is not None:
        click.echo(f"What was there before is in {printable(str(done.aside))}; remove it when all is well.")
    if done.configuration is not None:
        click.echo(
            f"Its configuration is in {printable(str(done.configuration))}; copy what you want from it."
        )
