"""`assay uninstall`: remove everything that Assay stored."""

from __future__ import annotations

import click

from assay.cli.settings import settings_of
from assay.cli.terminal import count, size_text, sure, table
from assay.report.escape import printable


@click.command()
@click.option("--purge", is_flag=True, help="Remove what is listed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def uninstall(ctx: click.Context, *, purge: bool, yes: bool) -> int:
    """List everything that Assay stored; with --purge, remove it. The program itself goes with pip."""
    from assay.desk import uninstall as desk

    listed = desk.inventory(settings_of(ctx))
    rows = [(size_text(b.size), b.text, str(b.path)) for b in listed.belongings]
    if not rows:
        click.echo("Nothing is stored.")
        return 0
    click.echo(table(("SIZE", "WHAT", "WHERE"), rows))
    if listed.quarantined:
        click.echo(
            f"{count(listed.quarantined, 'content')} in quarantine, perhaps the only copies: "
            "`assay quarantine release` gives them back first."
        )
    if not purge:
        click.echo("Nothing was removed; --purge removes all of this. The program: pip uninstall assay")
        return 0
    sure("Remove all of this for good?", yes=yes)
    problems = desk.remove(listed)
    for problem in problems:
        click.echo(f"assay: not removed: {printable(problem)}", err=True)
    click.echo(f"Removed {size_text(listed.size)}." if not problems else "Some things remain.")
    return 2 if problems else 0
