"""`assay keys`: who may use the HTTP API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from assay.cli.settings import settings_of
from assay.cli.terminal import deed, local, reason_option, table

if TYPE_CHECKING:
    from assay.store.keys import Key


@click.group("keys")
def keys() -> None:
    """Who may use the HTTP API. Without a key nobody may; a key sees its own samples unless it has history:all."""


@keys.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    help="What it may do; several are possible [default: submit, read]. See `assay keys scopes`.",
)
@click.option("--expires", metavar="TIME", help="When it ends: 2027-01-31, or 90d from now.")
@click.option(
    "--per-minute", type=click.IntRange(0), help="Requests in a minute; 0: any [default: as configured]."
)
@click.option("--per-day", type=click.IntRange(0), help="Samples in a day; 0: any [default: as configured].")
@click.pass_context
def create(
    ctx: click.Context,
    name: str,
    *,
    scopes: tuple[str, ...],
    expires: str | None,
    per_minute: int | None,
    per_day: int | None,
) -> None:
    """Make a key and print its token, once; NAME is for you."""
    from assay.desk.stores import Stores, person
    from assay.store.keys import USUAL, Keys

    with Stores.open(settings_of(ctx)) as stores:
        key, token = Keys(stores.database).create(
            name,
            scopes or USUAL,
            actor=person(),
            expires_at=_end(expires),
            per_minute=per_minute,
            per_day=per_day,
        )
    click.echo(token)
    click.echo(f"May: {', '.join(sorted(key.scopes))}. Keep the token now: it is stored nowhere.", err=True)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def show(ctx: click.Context, *, as_json: bool) -> None:
    """Show the keys, by the beginning of their tokens."""
    from assay.desk.stores import Stores
    from assay.store.keys import Keys

    settings = settings_of(ctx)
    with Stores.open(settings) as stores:
        found = Keys(stores.database).all() if settings.stored else []
    now = datetime.now(UTC)
    if as_json:
        for key in found:
            click.echo(json.dumps(_described(key, now)))
        return
    if not found:
        click.echo("No keys: nobody may use the HTTP API. See: assay keys create --help")
        return
    rows = [
        (key.prefix, key.standing(now), local(key.created_at), local(key.used_at) if key.used_at else "never",
         " ".join(sorted(key.scopes)), key.name)
        for key in found
    ]  # fmt: skip
    click.echo(table(("KEY", "STATE", "MADE", "LAST USED", "SCOPES", "NAME"), rows))


@keys.command("revoke")
@click.argument("key")
@reason_option
@click.pass_context
def revoke(ctx: click.Context, key: str, reason: str | None) -> None:
    """Revoke the key that begins with KEY, at once, with its webhooks. Its samples stay."""
    from assay.desk.stores import Stores
    from assay.store.keys import Keys

    done = deed(reason)
    with Stores.open(settings_of(ctx)) as stores:
        revoked = Keys(stores.database).revoke(key, actor=done.actor, reason=done.reason)
    click.echo(f"{revoked.prefix} is revoked.")


@keys.command("scopes")
def explain() -> None:
    """Say what each scope allows."""
    from assay.store.keys import SCOPES

    click.echo(table(("SCOPE", "ALLOWS TO"), list(SCOPES.items())))


def _end(text: str | None) -> datetime | None:
    """Read when a key ends: a date, or a span from now."""
    from assay.desk.history import moment
    from assay.errors import StoreError

    if text is None:
        return None
    now = datetime.now(UTC)
    try:
        named = moment(text, now)
    except StoreError as e:
        raise click.UsageError("--expires: write 2027-01-31, 2027-01-31T12:00, 24h or 90d") from e
    end = now + (now - named) if text.strip()[-1] in "nhdw" else named
    if end <= now:
        raise click.UsageError("--expires: that is over already")
    return end


def _described(key: Key, now: datetime) -> dict[str, object]:
    def text(moment: datetime | None) -> str | None:
        return moment.isoformat(timespec="seconds") if moment else None

    return {
        "id": key.id,
        "prefix": key.prefix,
        "name": key.name,
        "state": key.standing(now),
        "scopes": sorted(key.scopes),
        "created_at": text(key.created_at),
        "expires_at": text(key.expires_at),
        "revoked_at": text(key.revoked_at),
        "used_at": text(key.used_at),
        "per_minute": key.per_minute,
        "per_day": key.per_day,
    }
