"""`assay review`: what was drawn at random out of what was delivered, for somebody to look at."""

from __future__ import annotations

import json

import click

from assay.cli.settings import settings_of
from assay.cli.terminal import count, deed, local, reason_option, table
from assay.report.escape import printable


@click.group()
def review() -> None:
    """Look at a random share of what was delivered. Only so is it known how much is missed, and how often alarms are false."""


@review.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def listed(ctx: click.Context, *, as_json: bool) -> None:
    """List what waits for review, the oldest first."""
    from assay.desk.stores import Stores
    from assay.store.feedback import Feedback

    settings = settings_of(ctx)
    if not settings.stored:
        click.echo("Nothing waits for review.")
        return
    with Stores.open(settings) as stores:
        offers = Feedback(stores.database).offers()
    for one in offers if as_json else ():
        row = {"id": one.record_id, "sha256": one.sha256, "path": one.path, "media_type": one.media_type,
               "share": one.share, "offered_at": one.offered_at.isoformat()}  # fmt: skip
        click.echo(json.dumps(row, ensure_ascii=True))
    if not as_json:
        rows = [(local(o.offered_at), o.record_id[:12], o.media_type, o.path) for o in offers]
        click.echo(table(("DRAWN", "ID", "TYPE", "PATH"), rows) if rows else "Nothing waits for review.")


@review.command()
@click.argument("record", metavar="ID")
@click.option("--fake", "said", flag_value="fake", help="It is a fake that was missed.")
@click.option("--bona-fide", "said", flag_value="bona_fide", help="Nothing is wrong with it.")
@reason_option
@click.pass_context
def answer(ctx: click.Context, record: str, *, said: str | None, reason: str | None) -> None:
    """Say what a sample is. The answer is a label that waits until `assay bench calibrate --with-feedback`."""
    from assay.desk import feedback
    from assay.desk.stores import Stores

    if said is None:
        raise click.UsageError("say --fake or --bona-fide")
    done = deed(reason)
    with Stores.open(settings_of(ctx)) as stores:
        sha256 = feedback.review(stores, record, "fake" if said == "fake" else "bona_fide", done)
    click.echo(f"{sha256[:12]} labelled {said}")


@review.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def pending(ctx: click.Context, *, as_json: bool) -> None:
    """Show the labels that went into no calibration yet, and what clients noted."""
    from assay.desk.stores import Stores
    from assay.store.feedback import Feedback

    settings = settings_of(ctx)
    if not settings.stored:
        click.echo("No labels.")
        return
    with Stores.open(settings) as stores:
        store = Feedback(stores.database)
        labels, notes = store.labels(pending=True), store.notes()
    for one in labels:
        row = {"sha256": one.sha256, "said": one.said, "chosen": one.chosen, "share": one.share, "actor": one.actor,
               "labelled_at": one.labelled_at.isoformat()}  # fmt: skip
        text = f"{one.sha256[:12]}  {one.said:9}  {one.chosen:10}  {local(one.labelled_at)}  {one.actor}"
        click.echo(json.dumps(row, ensure_ascii=True) if as_json else printable(text))
    for note in notes:
        row = {"sha256": note.sha256, "noted": note.said, "client": note.client, "text": note.text}
        text = f"{note.sha256[:12]}  a client noted: {note.said} {note.text}"
        click.echo(json.dumps(row, ensure_ascii=True) if as_json else printable(text))
    if not as_json:
        click.echo(f"{count(len(labels), 'label')} pending, {count(len(notes), 'note')} of clients")
