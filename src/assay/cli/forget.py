"""`assay forget`: remove all that is stored of a sample or a source."""

from __future__ import annotations

import re

import click

from assay.cli.settings import settings_of
from assay.cli.terminal import count, deed, reason_option, sure
from assay.report.escape import printable


@click.command()
@click.argument("sha256", required=False)
@click.option(
    "--source", metavar="NAME", help="Forget all that came from there (see `assay screen --source`)."
)
@click.option("--known", is_flag=True, help="Also what people entered among the known digests.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reason_option
@click.pass_context
def forget(
    ctx: click.Context, sha256: str | None, *, source: str | None, known: bool, yes: bool, reason: str | None
) -> None:
    """Remove all that is stored of a sample or a source.

    Records, findings, fingerprints, labels, kept media and what lies in quarantine go, for what was found inside of it
    too; so do kept or quarantined archives that it was found in. The audit keeps that something was forgotten, not what.
    """
    from assay.desk.forget import forget_sample, forget_source
    from assay.desk.stores import Stores

    if (sha256 is None) == (source is None):
        raise click.UsageError("name a SHA-256, or a --source")
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise click.UsageError(
            "the SHA-256 is needed in full, 64 hex digits: `assay history --json` shows it"
        )
    done = deed(reason)
    sure(f"Forget {'this sample' if sha256 else f'all from {printable(source or str())}'} for good?", yes=yes)
    with Stores.open(settings_of(ctx)) as stores:
        if sha256 is not None:
            gone = forget_sample(stores, sha256.lower(), done, known=known)
        else:
            gone = forget_source(stores, source or "", done, known=known)
    click.echo(
        f"Forgotten: {count(gone.records, 'record')}, {count(gone.fingerprints, 'fingerprint')}, "
        f"{count(gone.labels, 'label')}, {count(gone.kept, 'kept medium', 'kept media')}, {gone.quarantined} in quarantine"
        + (f", {count(gone.known_removed, 'known digest')}." if known else ".")
    )
    if gone.known_left:
        click.echo(
            f"Left: {count(gone.known_left, 'known digest')} that people entered; --known removes it, too."
        )
    for copy in gone.copies:
        click.echo(f"Not looked into: {printable(str(copy))} - remove it if it is not needed.")
