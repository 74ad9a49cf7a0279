"""`assay webhooks`: addresses that are told of verdicts, whoever handed the samples in."""

from __future__ import annotations

import asyncio

import click

from assay.cli.settings import settings_of
from assay.cli.terminal import local, table


@click.group("webhooks")
def webhooks() -> None:
    """Addresses that a running gateway tells of verdicts. Keys add their own over HTTP (docs/api.md)."""


@webhooks.command("add")
@click.argument("url")
@click.option(
    "--event",
    "events",
    multiple=True,
    help="verdict.created, verdict.changed, sample.quarantined [default: all].",
)
@click.pass_context
def add(ctx: click.Context, url: str, events: tuple[str, ...]) -> None:
    """Tell URL of all verdicts, and print the secret that signs what it is sent, once."""
    from assay.desk.stores import Stores, person
    from assay.desk.webhooks import Webhooks

    settings = settings_of(ctx)
    with Stores.open(settings) as stores:
        store = Webhooks(stores.database, settings.api.webhook_inside)
        hook, secret = asyncio.run(store.add(url, events, key=None, actor=person()))
    click.echo(secret)
    click.echo(f"{hook.id} is told of {', '.join(hook.events)}. Keep the secret now.", err=True)


@webhooks.command("list")
@click.pass_context
def show(ctx: click.Context) -> None:
    """Show all webhooks, those of keys too."""
    from assay.desk.stores import Stores
    from assay.desk.webhooks import Webhooks

    settings = settings_of(ctx)
    with Stores.open(settings) as stores:
        found = Webhooks(stores.database).all() if settings.stored else []
    rows = []
    for hook in found:
        state = (
            f"off since {local(hook.disabled_at)}"
            if hook.disabled_at
            else "failing"
            if hook.failing_since
            else "on"
        )
        rows.append(
            (
                hook.id,
                state,
                f"assay_{hook.key_id}" if hook.key_id else "all",
                " ".join(hook.events),
                hook.url,
            )
        )
    click.echo(table(("ID", "STATE", "SAMPLES OF", "EVENTS", "URL"), rows) if rows else "No webhooks.")


@webhooks.command("remove")
@click.argument("webhook_id", metavar="ID")
@click.pass_context
def remove(ctx: click.Context, webhook_id: str) -> None:
    """Remove a webhook, with what it was still to be told."""
    from assay.desk.stores import Stores, person
    from assay.desk.webhooks import Webhooks
    from assay.errors import StoreError

    with Stores.open(settings_of(ctx)) as stores:
        if not Webhooks(stores.database).remove(webhook_id, actor=person()):
            raise StoreError(f"there is no webhook {webhook_id}", hint="`assay webhooks list` shows them")
    click.echo(f"{webhook_id} is removed.")


@webhooks.command("test")
@click.argument("webhook_id", metavar="ID")
@click.pass_context
def test(ctx: click.Context, webhook_id: str) -> None:
    """Have the running gateway send a test event; switches a webhook on again that was switched off."""
    from assay.desk.stores import Stores
    from assay.desk.webhooks import Webhooks

    with Stores.open(settings_of(ctx)) as stores:
        Webhooks(stores.database).test(webhook_id)
    click.echo("A test event is on its way; `assay webhooks list` shows if it fails.")
