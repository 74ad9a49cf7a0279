"""`assay signatures`: what is known to be fake or original, beyond the very bytes; lists and packs of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.settings import settings_of
from assay.cli.terminal import count, deed, local, reason_option, table
from assay.errors import AssayError, SampleError
from assay.report.escape import printable
from assay.types import Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from assay.action.vault import Holding
    from assay.desk.stores import Stores
    from assay.desk.taking import Taken
    from assay.settings import Settings
    from assay.signatures.entries import About
    from assay.types import Region

ABOUT = click.Choice(["fake", "original"])


@click.group("signatures")
def signatures() -> None:
    """Known fakes and originals: add, list, import, export; sign, trust, pull and roll back packs."""


@signatures.command()
@click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))  # fmt: skip
@click.option("--fake", "about", flag_value="known_fake", help="They are fakes.")
@click.option("--original", "about", flag_value="known_original", help="They are originals.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice([str(k) for k in Kind]), help="What was done to a fake.")  # fmt: skip
@click.option("--region", "regions", multiple=True, metavar="X,Y,W,H", help="What was changed in a fake, in pixels; may be given again.")  # fmt: skip
@click.option("--before", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="The picture that a fake was made of.")  # fmt: skip
@reason_option
@click.pass_context
def add(
    ctx: click.Context,
    paths: tuple[Path, ...],
    *,
    about: str | None,
    kinds: tuple[str, ...],
    regions: tuple[str, ...],
    before: Path | None,
    reason: str | None,
) -> int:
    """Add files as known fakes or known originals. Copies of them are found from now on, however they were saved."""
    from assay.desk.signatures import remember, signatures_of
    from assay.desk.stores import Stores
    from assay.desk.taking import take_path
    from assay.zygotes import Zygotes

    if about is None:
        raise click.UsageError("say --fake or --original")
    if (regions or before) and len(paths) > 1:
        raise click.UsageError("--region and --before go with one FILE")
    settings, done, failed = settings_of(ctx), deed(reason), 0
    with Zygotes.start(settings.limits) as zygotes, Stores.open(settings) as stores:
        former = None if before is None else take_path(zygotes.decoders, str(before), settings.limits).pixels
        for path in paths:
            try:
                taken = take_path(zygotes.decoders, str(path), settings.limits)
            except SampleError as e:
                click.echo(f"assay: {printable(str(path))}: {printable(e.message)}", err=True)
                failed += 1
                continue
            made = signatures_of(
                taken, "known_fake" if about == "known_fake" else "known_original",
                kinds=[Kind(k) for k in kinds], regions=_regions(regions, taken), original=former,
                source=done.actor,
            )  # fmt: skip
            for reason_not in taken.reasons:
                click.echo(f"assay: {printable(str(path))}: {printable(reason_not.text)}", err=True)
            with stores.database.write() as connection:
                serial = remember(connection, made, done)
            click.echo(f"{printable(str(path))}: {count(len(made), 'signature')}, serial {serial}")
            failed += not made
    return 2 if failed else 0


@signatures.command("list")
@click.argument("listed", metavar="[LIST]", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_context
def show(ctx: click.Context, listed: str | None, *, as_json: bool) -> None:
    """Show lists and packs, with what they matched; or the signatures of one LIST."""
    from assay.desk.signatures import known
    from assay.desk.stores import Stores

    with Stores.open(settings := settings_of(ctx)) as stores:
        if listed is not None:
            for one in known(stores.database, settings, listed):
                row = {"id": one.signature.id, "about": one.about, "state": one.state,
                       "compared": one.signature.reference is not None, "source": one.signature.source}  # fmt: skip
                text = f"{row['state']:9}  {row['about']:14}  {one.signature.id}"
                click.echo(json.dumps(row, ensure_ascii=True) if as_json else printable(text))
            return
        rows = _lists(stores)
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=True))
    elif rows:
        click.echo(table(("LIST", "KIND", "STATE", "COUNT", "SERIAL", "EXPIRES", "MATCHES", "SUSPENDED"),
                         [tuple(str(v) for v in row.values()) for row in rows]))  # fmt: skip
    else:
        click.echo("No signatures.")


@signatures.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--list", "listed", default="local", show_default=True, help="The list that they stand in.")
@reason_option
@click.pass_context
def withdraw(ctx: click.Context, ids: tuple[str, ...], *, listed: str, reason: str | None) -> int:
    """Take signatures out of a list of this installation."""
    from assay.desk.signatures import withdraw as take_out
    from assay.desk.stores import Stores

    done = deed(reason)
    with Stores.open(settings_of(ctx)) as stores, stores.database.write() as connection:
        gone = take_out(connection, ids, done, listed=listed)
    click.echo(f"{count(gone, 'signature')} withdrawn from {printable(listed)}")
    return 0 if gone else 2


@signatures.command("import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--name", help="What to call the list [default: the file's name]. A pack has its own.")
@click.option("--format", "form", type=click.Choice(["auto", "pack", "threatexchange", "csv"]), default="auto", show_default=True)  # fmt: skip
@click.option("--about", type=ABOUT, default="fake", show_default=True, help="What a list that does not say is of.")  # fmt: skip
@reason_option
@click.pass_context
def bring_in(
    ctx: click.Context, file: Path, *, name: str | None, form: str, about: str, reason: str | None
) -> int:
    """Import a pack, a ThreatExchange signal file or CSV. Its signatures start on trial: see `activate`."""
    from assay.desk import lists, packs
    from assay.desk.stores import Stores

    done = deed(reason)
    chosen = lists.form_of(file) if form == "auto" else form
    with Stores.open(settings_of(ctx)) as stores, open(file, "rb") as source:
        if chosen == "pack":
            issue = packs.install(stores, source, done)
            click.echo(f"{issue.header.name}, serial {issue.header.serial}: {_installed(issue)}")
            return 0
        listed = lists.named(name or file.stem)
        known: About = "known_fake" if about == "fake" else "known_original"
        result = lists.bring_in(stores, source, listed, chosen, known, done)
    for line in result.skipped[:20]:
        click.echo(f"assay: line {line.line}: {printable(line.why)}", err=True)
    more = f", {result.more} lines were not taken over" if result.more else ""
    click.echo(f"{listed}: {count(result.taken, 'signature')}, on trial{more}")
    return 0 if result.taken else 2


@signatures.command()
@click.argument("out", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--list", "listed", multiple=True, help="Only this list; may be given again [default: local].")
@click.option("--format", "form", type=click.Choice(["pack", "threatexchange", "csv"]), default="pack", show_default=True)  # fmt: skip
@click.option("--key", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A pack: the private key to sign with.")  # fmt: skip
@click.option("--name", default="local", show_default=True, help="A pack: its name.")
@click.option("--serial", type=click.IntRange(1), help="A pack: its serial [default: this installation's].")
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="A pack: how long it is good.")  # fmt: skip
@click.pass_context
def export(
    ctx: click.Context,
    out: Path,
    *,
    listed: tuple[str, ...],
    form: str,
    key: Path | None,
    name: str,
    serial: int | None,
    days: int,
) -> None:
    """Write lists of signatures as a signed pack, or the fingerprints alone as a signal file or CSV."""
    from assay.desk import lists
    from assay.desk.stores import Stores

    if form == "pack" and key is None:
        raise click.UsageError("a pack is signed: give --key (see `assay signatures key`)")
    with Stores.open(settings_of(ctx)) as stores:
        written = lists.export(stores, out, listed or ("local",), form, key=key, name=name, serial=serial, days=days)  # fmt: skip
    click.echo(f"{printable(str(out))}: {count(written, 'signature')}")


@signatures.command()
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))  # fmt: skip
@click.pass_context
def verify(ctx: click.Context, file: Path | None) -> int:
    """Verify a pack without installing it; without FILE, everything that is installed."""
    from assay.desk import lists
    from assay.desk.stores import Stores

    trouble = 0
    with Stores.open(settings_of(ctx)) as stores:
        for name, text, good in lists.verified(stores, file):
            click.echo(f"{'good' if good else 'BAD ':5} {printable(name)}: {printable(text)}")
            trouble += not good
    return 1 if trouble else 0


@signatures.command()
@click.argument("out", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def key(out: Path) -> None:
    """Make a key to sign packs with; FILE gets the private half, the public one is printed: give it to clients."""
    from assay.desk.lists import new_signing_key

    named, public = new_signing_key(out)
    click.echo(f"{public}  (key {named})")
    click.echo(f"Keep {printable(str(out))} secret: whoever has it can sign packs in your name.", err=True)


@signatures.command()
@click.argument("public", metavar="PUBLIC-KEY")
@click.option("--name", default="", help="Whose it is.")
@click.option("--remove", is_flag=True, help="Believe it no more: give the key's id.")
@click.pass_context
def trust(ctx: click.Context, public: str, *, name: str, remove: bool) -> None:
    """Believe packs that are signed with this public key (64 hexadecimal digits)."""
    from assay.desk import packs

    folder = settings_of(ctx).paths.packs
    if remove:
        packs.distrust(folder, public)
        click.echo(f"{public} is not trusted any more")
    else:
        click.echo(f"{packs.trust(folder, public, name)} is trusted")


@signatures.command()
@click.argument("where", metavar="[NAME|URL]", required=False)
@click.option("--name", default="", help="With a URL: the name that the pack must have.")
@click.pass_context
def pull(ctx: click.Context, where: str | None, *, name: str) -> int:
    """Pull a pack from a URL, or newer issues of one or of all that were pulled before."""
    from assay.desk.pulling import pull as fetch
    from assay.desk.pulling import sources
    from assay.desk.stores import Deed, Stores, person

    trouble = 0
    with Stores.open(settings_of(ctx)) as stores:
        wanted = [(name, where)] if where and "://" in where else sources(stores, where)
        for named, url in wanted:
            try:
                issue = fetch(stores, url, Deed(person(), f"pulled from {url}"), name=named)
            except AssayError as e:
                click.echo(f"assay: {printable(e.message)}" + (f"\n  {printable(e.hint)}" if e.hint else ""), err=True)  # fmt: skip
                trouble = 2
            else:
                click.echo(f"{issue.header.name}, serial {issue.header.serial}: {_installed(issue)}")
    if not wanted:
        click.echo("No pack was pulled before: give a URL.")
    return trouble


@signatures.command()
@click.argument("name")
@reason_option
@click.pass_context
def rollback(ctx: click.Context, name: str, *, reason: str | None) -> None:
    """Put a pack's older issue in force again; the newer one is not installed again."""
    from assay.desk import packs
    from assay.desk.stores import Stores

    with Stores.open(settings_of(ctx)) as stores:
        pack = packs.roll_back(stores, name, deed(reason))
    click.echo(f"{name}: serial {pack.serial} is in force")


@signatures.command()
@click.argument("listed", metavar="LIST")
@click.argument("signature", metavar="[ID]", required=False)
@click.option("--state", type=click.Choice(["active", "shadow", "suspended"]), default="active", show_default=True)  # fmt: skip
@reason_option
@click.pass_context
def activate(
    ctx: click.Context, listed: str, signature: str | None, *, state: str, reason: str | None
) -> int:
    """Let a list that was on trial count, or one signature that was suspended; or set another state."""
    from assay.desk.lists import restate
    from assay.desk.stores import Stores

    with Stores.open(settings_of(ctx)) as stores:
        changed = restate(stores, listed, state, deed(reason), id=signature)
    click.echo(f"{printable(listed)}: {state}" if changed else f"there is no {printable(listed)}")
    return 0 if changed else 2


@signatures.command()
@click.argument("name")
@reason_option
@click.pass_context
def remove(ctx: click.Context, name: str, *, reason: str | None) -> int:
    """Remove a pack or an imported list."""
    from assay.desk.lists import remove as take_away
    from assay.desk.stores import Stores

    with Stores.open(settings_of(ctx)) as stores:
        gone = take_away(stores, name, deed(reason))
    click.echo(f"{printable(name)} removed" if gone else f"there is no {printable(name)}")
    return 0 if gone else 2


def taking(stores: Stores, holdings: list[Holding], keys: list[Any] | None) -> dict[str, Taken]:
    """Fingerprints and pixels of contents in quarantine, by id; of one that has none, why is said."""
    from assay.desk.taking import take_held
    from assay.zygotes import Zygotes

    if keys is None:
        return {}
    limits, found = stores.settings.limits, {}
    with Zygotes.start(limits) as zygotes:
        for holding in holdings:
            try:
                found[holding.id] = take_held(stores, holding, keys, zygotes.decoders, limits)
            except SampleError as e:
                note = f"{holding.id[:12]}: only its digest is known from now on ({e.message})"
                click.echo(f"assay: {printable(note)}", err=True)
    return found


def pixels_of(settings: Settings, path: Path) -> NDArray[np.uint8]:
    """Decode a picture in the jail."""
    from assay.desk.taking import take_path
    from assay.zygotes import Zygotes

    with Zygotes.start(settings.limits) as zygotes:
        pixels = take_path(zygotes.decoders, str(path), settings.limits).pixels
    if pixels is None:
        raise click.UsageError(f"{path} is no picture")
    return pixels


def _regions(texts: tuple[str, ...], taken: Taken) -> list[Region]:
    from assay.types import Region

    if texts and taken.pixels is None:
        raise click.UsageError("--region goes with a picture")
    found = []
    for text in texts:
        try:
            x, y, w, h = (float(part) for part in text.split(","))
        except ValueError:
            raise click.UsageError(f"--region is X,Y,W,H in pixels, not {text!r}") from None
        assert taken.pixels is not None
        height, width = taken.pixels.shape[:2]
        if not (w > 0 and h > 0 and 0 <= x < x + w <= width and 0 <= y < y + h <= height):
            raise click.UsageError(f"--region {text} lies outside of the picture ({width} x {height})")
        found.append(Region.box(x, y, w, h, width=width, height=height))
    return found


def _lists(stores: Stores) -> list[dict[str, object]]:
    from assay.store.signatures import Signatures

    if stores.database.path is not None and not stores.database.path.exists():
        return []
    store = Signatures(stores.database)
    matches: dict[str, list[int]] = {}
    for tally in store.tallies():
        row = matches.setdefault(tally.listed, [0, 0])
        row[0] += tally.matches
        row[1] += tally.suspended_at is not None
    rows: list[dict[str, object]] = []
    for (listed, state), n in sorted(store.counts().items()):
        total, doubted = matches.get(listed, [0, 0])
        rows.append({"list": listed, "kind": "list", "state": state, "count": n, "serial": "-", "expires": "-",
                     "matches": total, "suspended": doubted})  # fmt: skip
    for pack in store.packs():
        total, doubted = matches.get(pack.name, [0, 0])
        rows.append({"list": pack.name, "kind": "pack", "state": pack.state, "count": pack.count,
                     "serial": pack.serial, "expires": local(pack.expires_at), "matches": total,
                     "suspended": doubted})  # fmt: skip
    return rows


def _installed(issue: Any) -> str:
    n = count(issue.header.count, "signature")
    return f"{n} installed" if issue.changed else f"{n}, installed already"
