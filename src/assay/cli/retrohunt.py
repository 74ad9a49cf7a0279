"""`assay retrohunt`: ask what was screened before again, with what is known today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.cli.settings import settings_of
from assay.cli.terminal import identities, identity_options, local, table

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

    from assay.desk.retrohunt import Change, Step
    from assay.desk.stores import Stores
    from assay.media.jail.process import Zygote
    from assay.store.records import Record
    from assay.types import JSON

WORDS = {
    "changed": "changed",
    "needs_identity": "needs identity",
    "needs_sample": "needs the sample",
}


@click.command()
@click.option("--since", metavar="TIME", help="Only what was screened since: 2026-03-01, 24h, 7d.")
@click.option("--deep", is_flag=True, help="Examine kept copies with today's detectors, instead of their stored scores.")  # fmt: skip
@click.option("--open", "decrypt", is_flag=True, help="Compare what lies in quarantine, too; needs the identity.")  # fmt: skip
@click.option("--show", is_flag=True, help="Show what earlier hunts found; ask nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@identity_options
@click.pass_context
def retrohunt(
    ctx: click.Context,
    *,
    since: str | None,
    deep: bool,
    decrypt: bool,
    show: bool,
    as_json: bool,
    identity: Path | None,
    passphrase_file: Path | None,
) -> int:
    """Ask everything in the history again: stored fingerprints, scores and copies, with what is known today.

    Changed verdicts stand in the history and are told to webhooks. Interrupted, call it again: it goes on. Exit code 1 if a
    verdict changed.
    """
    from assay.desk.history import moment
    from assay.desk.retrohunt import changes
    from assay.desk.stores import Stores

    settings = settings_of(ctx)
    start = moment(since) if since else None
    if not settings.stored:
        click.echo("No records.")
        return 0
    with Stores.open(settings) as stores:
        if show:
            _print(changes(stores), as_json=as_json)
            return 0
        keys = identities(settings, identity, passphrase_file) if decrypt else None
        return _hunt(stores, start, keys, deep=deep, as_json=as_json)


def _hunt(stores: Stores, since: Any, keys: list[Any] | None, *, deep: bool, as_json: bool) -> int:
    from assay.desk.judging import fusing
    from assay.desk.retrohunt import Hunt
    from assay.desk.signatures import loaded
    from assay.desk.webhooks import Webhooks
    from assay.zygotes import Zygotes

    settings = stores.settings
    with Zygotes.start(settings.limits) as zygotes:
        sources = _Sources(stores, zygotes.decoders, keys)
        hunt = Hunt(
            stores=stores,
            library=loaded(stores.database, settings),
            fuse=fusing(settings),
            kept_pixels=sources.kept,
            held_pixels=sources.held if keys is not None else None,
            tell=(Webhooks(stores.database).changed,),
        )
        if deep:
            return _deep(stores, hunt, since, as_json=as_json)
        return _print(hunt.run(since), as_json=as_json)


def _deep(stores: Stores, hunt: Any, since: Any, *, as_json: bool) -> int:
    import dataclasses
    import tempfile

    from assay.pipeline import Screener
    from assay.signatures import trust

    settings = stores.settings
    with Screener(settings, jobs=1, trust=trust.load(settings.paths.trust)) as screener:

        def screened(record: Record) -> Any:
            with tempfile.TemporaryFile() as copy:
                for piece in stores.blobs.read(record.sha256):
                    copy.write(piece)
                copy.seek(0)
                return screener.screen_stream(copy, str(record.document["path"]))

        panel = " ".join(f"{m.name}/{m.version}" for m in screener.members if not m.unavailable)
        return _print(dataclasses.replace(hunt, screen=screened, detectors=panel).run(since), as_json=as_json)


class _Sources:
    """Pixels of samples that are still there."""

    def __init__(self, stores: Stores, decoders: Zygote, keys: list[Any] | None) -> None:
        self._stores, self._decoders, self._keys = stores, decoders, keys or []

    def kept(self, record: Record) -> NDArray[np.uint8]:
        from assay.desk.taking import take
        from assay.ingest.admission import admit_bytes

        limits = self._stores.settings.limits
        data = b"".join(self._stores.blobs.read(record.sha256))
        with admit_bytes(data, record.id, limits.size_bytes) as arrival:
            return _pixels(take(self._decoders, arrival, limits).pixels)

    def held(self, record: Record) -> NDArray[np.uint8]:
        from assay.desk.taking import take_held

        holding = self._stores.quarantine.vault.find(record.sha256)
        taken = take_held(self._stores, holding, self._keys, self._decoders, self._stores.settings.limits)
        return _pixels(taken.pixels)


def _pixels(found: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
    from assay.errors import Unsupported

    if found is None:
        raise Unsupported("it is no picture any more")
    return found


def _print(found: Iterable[Step | Change], *, as_json: bool) -> int:
    rows: list[tuple[str, ...]] = []
    changed = 0
    for one in found:
        changed += one.outcome == "changed"
        if as_json:
            click.echo(json.dumps(_described(one), ensure_ascii=True))
        else:
            now = _word(one.after) if one.outcome == "changed" else "-"
            rows.append((one.record_id[:12], WORDS.get(one.outcome, one.outcome), _word(one.before), now, str(one.before["path"])))  # fmt: skip
    if not as_json:
        click.echo(table(("ID", "", "THEN", "NOW", "PATH"), rows) if rows else "Nothing has changed.")
    return 1 if changed else 0


def _described(one: Step | Change) -> JSON:
    def brief(document: JSON) -> JSON:
        return {k: document[k] for k in ("label", "why", "action", "rule", "llr", "probability", "summary")}

    when = getattr(one, "changed_at", None)
    return {
        "id": one.record_id,
        "outcome": one.outcome,
        "changed_at": local(when) if when else None,
        "path": one.before["path"],
        "sha256": one.before["sha256"],
        "before": brief(one.before),
        "after": brief(one.after),
    }


def _word(document: JSON) -> str:
    return f"{document['label'] or document['status']}, {document['action']}"
