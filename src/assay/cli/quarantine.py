"""`assay quarantine`: list, show, release, confirm, purge, rekey."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.settings import settings_of
from assay.cli.terminal import (
    count,
    deed,
    identities,
    identity_options,
    local,
    reason_option,
    size_text,
    sure,
    table,
)
from assay.report.escape import printable
from assay.types import Kind, Label

if TYPE_CHECKING:
    from assay.desk.quarantine import Entry
    from assay.desk.stores import Stores
    from assay.settings import Settings
    from assay.types import JSON, Screening

IDS = click.argument("ids", metavar="ID...", nargs=-1, required=True)


@click.group()
def quarantine() -> None:
    """List, show, release, confirm or purge what was diverted. IDs may be shortened."""


@quarantine.command("list")
@click.option("--label", type=click.Choice([str(label) for label in Label]), help="Only this label.")
@click.option("--since", metavar="TIME", help="Taken since: 2026-03-01, 24h, 7d.")
@click.option("--source", metavar="NAME", help="Only what came from there.")
@click.option("--evidence", metavar="NAME", help="Only where this detector scored, or this reason was given.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def listed(
    ctx: click.Context,
    *,
    label: str | None,
    since: str | None,
    source: str | None,
    evidence: str | None,
    as_json: bool,
) -> None:
    """List what is in quarantine, the newest first."""
    from assay.desk.history import moment
    from assay.desk.quarantine import entries
    from assay.desk.stores import Stores

    start = moment(since) if since else None
    with Stores.open(settings_of(ctx)) as stores:
        for note in [*stores.quarantine.sweep(), *stores.quarantine.vault.damaged()]:
            click.echo(f"assay: {printable(note)}", err=True)
        found = [
            e
            for e in entries(stores)
            if (start is None or e.holding.taken_at >= start) and _matches(e, label, source, evidence)
        ]
    if as_json:
        for e in found:
            click.echo(json.dumps(_described(e), ensure_ascii=True))
    elif not found:
        click.echo(
            "Nothing in quarantine." if not (label or since or source or evidence) else "Nothing matches."
        )
    else:
        click.echo(table(("TAKEN", "ID", "SIZE", "VERDICT", "PATH"), [_row(e) for e in found]))


@quarantine.command()
@click.argument("wanted", metavar="ID")
@click.option("--open", "decrypt", is_flag=True, help="Decrypt what was stored with it: paths, modes, times.")
@identity_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_context
def show(
    ctx: click.Context,
    wanted: str,
    *,
    decrypt: bool,
    identity: Path | None,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Show what is known of one content. Its bytes stay encrypted."""
    from assay.desk.quarantine import entry
    from assay.desk.stores import Stores

    settings = settings_of(ctx)
    with Stores.open(settings) as stores:
        one = entry(stores, stores.quarantine.vault.find(wanted))
        origins: list[JSON] = []
        if decrypt:
            keys = identities(settings, identity, passphrase_file)
            origins = _origins(stores, one, keys)
    if as_json:
        described = _described(one) | {"records": [r.document for r in one.records], "origins": origins}
        click.echo(json.dumps(described, ensure_ascii=True))
        return
    click.echo("\n".join(_lines(one, origins)))


@quarantine.command()
@IDS
@click.option(
    "--to", type=click.Path(path_type=Path), help="A folder, or the name of one file [default: where it was]."
)
@click.option("--known-original", is_flag=True, help="Also enter it as a known original: never held again.")
@click.option("--keep", is_flag=True, help="Leave it in quarantine, too.")
@identity_options
@reason_option
@click.pass_context
def release(
    ctx: click.Context,
    ids: tuple[str, ...],
    *,
    to: Path | None,
    known_original: bool,
    keep: bool,
    identity: Path | None,
    passphrase_file: Path | None,
    reason: str | None,
) -> None:
    """Give contents back with name, mode and times. Nothing is ever overwritten."""
    from assay.cli.signatures import taking
    from assay.desk import quarantine as desk
    from assay.desk.stores import Stores

    settings = settings_of(ctx)
    with Stores.open(settings) as stores:
        holdings = [stores.quarantine.vault.find(one) for one in ids]
        done = deed(reason)
        keys = identities(settings, identity, passphrase_file)
        taken = taking(stores, holdings, keys if known_original else None)
        for holding in holdings:
            paths = desk.release(
                stores, holding, to, keys, done, known_original=known_original, keep=keep,
                taken=taken.get(holding.id),
            )  # fmt: skip
            for path in paths:
                click.echo(f"{holding.id[:12]} released to {printable(str(path))}")


@quarantine.command()
@IDS
@click.option("--original", type=click.Path(path_type=Path, dir_okay=False), help="The picture before it was changed; with one ID.")  # fmt: skip
@click.option("--kind", "kinds", multiple=True, type=click.Choice([str(k) for k in Kind]), help="What was done [default: what the verdict says].")  # fmt: skip
@click.option("--digest-only", is_flag=True, help="Open nothing: only these very bytes are known then.")
@identity_options
@reason_option
@click.pass_context
def confirm(
    ctx: click.Context,
    ids: tuple[str, ...],
    *,
    original: Path | None,
    kinds: tuple[str, ...],
    digest_only: bool,
    identity: Path | None,
    passphrase_file: Path | None,
    reason: str | None,
) -> None:
    """Say that contents are fake indeed: from now on they are known, wherever they turn up.

    With the identity their fingerprints are known, too, so that copies are found that were saved again, and crops of
    what was changed, by which such copies are told from the original.
    """
    from assay.cli.signatures import pixels_of, taking
    from assay.desk import quarantine as desk
    from assay.desk.stores import Stores

    if original is not None and len(ids) > 1:
        raise click.UsageError("--original goes with one ID")
    settings = settings_of(ctx)
    with Stores.open(settings) as stores:
        holdings = [stores.quarantine.vault.find(one) for one in ids]
        done = deed(reason)
        keys = None if digest_only else _keys_if_any(settings, identity, passphrase_file)
        taken = taking(stores, holdings, keys)
        before = pixels_of(settings, original) if original is not None else None
        for holding in holdings:
            digests = desk.confirm(
                stores, holding, done, taken=taken.get(holding.id), original=before,
                kinds=[Kind(k) for k in kinds],
            )  # fmt: skip
            click.echo(
                f"{holding.id[:12]} confirmed as fake: {count(len(digests), 'digest')} known from now on"
            )


@quarantine.command()
@IDS
@click.option("--yes", is_flag=True, help="Do not ask.")
@reason_option
@click.pass_context
def purge(ctx: click.Context, ids: tuple[str, ...], *, yes: bool, reason: str | None) -> None:
    """Destroy contents in quarantine. They may be the only copies."""
    from assay.desk import quarantine as desk
    from assay.desk.stores import Stores

    with Stores.open(settings_of(ctx)) as stores:
        holdings = [stores.quarantine.vault.find(one) for one in ids]
        done = deed(reason)
        sure(f"Destroy {count(len(holdings), 'content')} in quarantine for good?", yes=yes)
        for holding in holdings:
            desk.purge(stores, holding, done)
            click.echo(f"{holding.id[:12]} purged")


@quarantine.command()
@click.option(
    "--add", metavar="KEY", multiple=True, help="Also encrypt to this public key (age1..., ssh-...)."
)
@click.option("--remove", metavar="KEY", multiple=True, help="Encrypt to this public key no more.")
@identity_options
@reason_option
@click.pass_context
def rekey(
    ctx: click.Context,
    *,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    identity: Path | None,
    passphrase_file: Path | None,
    reason: str | None,
) -> int:
    """Encrypt everything in quarantine to the recipients of now. Interrupted, call it again: it resumes."""
    from assay.desk import quarantine as desk
    from assay.desk.stores import Stores

    settings = settings_of(ctx)
    with Stores.open(settings) as stores:
        done = deed(reason)
        keys = identities(settings, identity, passphrase_file)
        recipients = desk.change_recipients(stores, add, remove, done)
        result = desk.rekey(stores, keys, done)
    for failure in result.failures:
        click.echo(f"assay: {printable(failure)}", err=True)
    click.echo(
        f"{count(result.changed, 'content')} encrypted anew to {count(len(recipients.keys), 'recipient')}, "
        f"{result.already} already were, {len(result.failures)} failed."
    )
    return 2 if result.failures else 0


def _keys_if_any(settings: Settings, identity: Path | None, passphrase_file: Path | None) -> list[Any] | None:
    """Open the identity; where it cannot be opened say what is missing without it, and go on."""
    from assay.errors import AssayError

    try:
        return identities(settings, identity, passphrase_file)
    except AssayError as e:
        if identity is not None or passphrase_file is not None:
            raise
        note = "only these very bytes are known from now on, no copies that were saved again"
        click.echo(f"assay: {printable(e.message)}: {note}", err=True)
        return None


def _matches(e: Entry, label: str | None, source: str | None, evidence: str | None) -> bool:
    """Does any record of this content match all that was asked for?"""

    def speaks(document: JSON) -> bool:
        names = {x["detector"] for x in document["evidence"] if x["outcome"] == "scored"}
        return evidence in names | {r["code"] for x in document["evidence"] for r in x["reasons"]}

    return not (label or source or evidence) or any(
        (label is None or r.document["label"] == label)
        and (source is None or r.source == source)
        and (evidence is None or speaks(r.document))
        for r in e.records
    )


def _screening(e: Entry) -> Screening | None:
    from assay.desk.history import screening_of

    return screening_of(e.record) if e.record else None


def _row(e: Entry) -> tuple[str, ...]:
    from assay.report.table import word

    screening = _screening(e)
    verdict, path = (
        (word(screening), screening.path) if screening else ("-", "(no record: show --open tells)")
    )
    return local(e.holding.taken_at), e.holding.id[:12], size_text(e.holding.size), verdict, path


def _described(e: Entry) -> JSON:
    from assay.report.contract import rfc3339

    h = e.holding
    return {
        "quarantine_id": h.id,
        "size": h.size,
        "media_type": h.media_type,
        "taken_at": rfc3339(h.taken_at),
        "record_ids": [r.id for r in e.records],
        "path": e.record.document["path"] if e.record else None,
        "label": e.record.document["label"] if e.record else None,
    }


def _origins(stores: Stores, one: Entry, keys: list[Any]) -> list[JSON]:
    import base64

    return [
        {
            "path": printable(o.path.decode("utf-8", "surrogateescape")) if o.path is not None else None,
            "path_b64": base64.b64encode(o.path).decode() if o.path is not None else None,
            "mode": f"{o.mode & 0o7777:04o}",
            "modified_at": o.mtime_ns // 10**9,
            "taken_at": o.taken_at.isoformat(),
        }
        for o in stores.quarantine.origins(one.holding, keys)
    ]


def _lines(one: Entry, origins: list[JSON]) -> list[str]:
    from datetime import UTC, datetime

    from assay.report.table import Table

    h = one.holding
    lines = [
        f"ID        {h.id}",
        f"Taken     {local(h.taken_at)}",
        f"Content   {size_text(h.size)}, {printable(h.media_type)}",
    ]
    for o in origins:
        if o["path"] is None:
            lines.append("Came      through a stream")
            continue
        modified = local(datetime.fromtimestamp(o["modified_at"], UTC))
        lines.append(f"Was       {o['path']} (mode {o['mode']}, modified {modified})")
    from assay.desk.history import screening_of

    for record in one.records:
        screening = screening_of(record)
        lines += ["", f"Screened  {local(record.screened_at)}, record {record.id[:12]}"]
        lines.append(Table(100, colour=False).paragraph(screening))
        for e in screening.verdict.evidence if screening.verdict else ():
            for r in e.finding.reasons:
                lines.append(f"  {printable(e.detector)}: {printable(r.text)}")
    if not one.records:
        lines += [
            "",
            "There is no record of it; `assay quarantine show --open` decrypts what was stored with it.",
        ]
    return lines
