"""`assay trust`: whose content credentials to believe."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

import click

from assay.cli.settings import settings_of

if TYPE_CHECKING:
    from assay.signatures.trust import Trusted, TrustList


@click.group("trust")
def trust() -> None:
    """Whose content credentials to believe. No trust list is shipped; import the ones you choose."""


@trust.command("add")
@click.argument("bundle", metavar="FILE|-", type=click.File("rb"))
@click.option(
    "--kind",
    type=click.Choice(["capture", "editor"]),
    default="editor",
    show_default=True,
    help="capture: its signers are cameras and phones; editor: its signers are software.",
)
@click.option(
    "--digest", metavar="SHA256", help="The digest its publisher gives; nothing is imported if it differs."
)
@click.option("--name", default="", help="What to call it.")
@click.pass_context
def add_list(ctx: click.Context, *, bundle: BinaryIO, kind: Trusted, digest: str | None, name: str) -> None:
    """Import a PEM bundle of certificates of authorities."""
    from assay.signatures import trust as lists
    from assay.signatures.certificates import BUNDLE

    folder = settings_of(ctx).paths.trust
    added = lists.add(folder, bundle.read(BUNDLE + 1), kind, name=name, digest=digest)
    click.echo(f"{added.digest}  {kind}, {_count(added)}: {added.name}")
    if digest is None:
        click.echo("Compare this digest with the one its publisher gives.", err=True)
    if kind == "capture":
        click.echo("Devices that it vouches for now count as evidence for bona fide.", err=True)


@trust.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def show_lists(ctx: click.Context, *, as_json: bool) -> None:
    """Show the imported trust lists and their certificates."""
    from assay.signatures import trust as lists

    found = lists.lists(settings_of(ctx).paths.trust)
    for one in found:
        if as_json:
            click.echo(json.dumps(_described(one)))
            continue
        click.echo(
            f"{one.digest[:16]}  {one.kind:7}  {_count(one)}, imported {one.added_at:%Y-%m-%d}: {one.name}"
        )
        for certificate in one.certificates:
            expired = " (expired)" if certificate.not_after < datetime.now(UTC) else ""
            click.echo(f"    {certificate.subject}, until {certificate.not_after:%Y-%m-%d}{expired}")
    if not found and not as_json:
        click.echo(
            "No trust list: every signer of a content credential is untrusted. See: assay trust add --help"
        )


@trust.command("remove")
@click.argument("digest")
@click.pass_context
def remove_list(ctx: click.Context, *, digest: str) -> None:
    """Remove the trust list whose digest begins with DIGEST."""
    from assay.signatures import trust as lists

    click.echo(f"{lists.remove(settings_of(ctx).paths.trust, digest)} removed")


def _count(one: TrustList) -> str:
    n = len(one.certificates)
    return f"{n} certificate{'' if n == 1 else 's'}"


def _described(one: TrustList) -> dict[str, object]:
    return {
        "digest": one.digest,
        "kind": one.kind,
        "name": one.name,
        "added_at": one.added_at.isoformat(timespec="seconds"),
        "certificates": [
            {"subject": c.subject, "not_after": c.not_after.isoformat()} for c in one.certificates
        ],
    }
