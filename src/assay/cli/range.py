"""`assay range`: labelled fakes with masks and recipes, made from a folder of photos."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from assay.cli.settings import settings_of
from assay.cli.terminal import count, table
from assay.errors import AssayError
from assay.range.generator import names
from assay.report.escape import printable
from assay.types import JSON

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assay.range.corpus import Made, Work
    from assay.range.photos import Photo, Seen

SHOWN = 10  # of a list of trouble
FRUITLESS = "what was drawn changed nothing visible, or too much of the picture"


@click.group("range")
def group() -> None:
    """Make labelled fakes of known families, to measure and train detectors with."""


class _LastSave(click.ParamType[tuple[int, int] | None]):
    name = "quality"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int] | None:
        if value == "png":
            return None
        low, _, high = str(value).partition("-")
        try:
            found = int(low), int(high or low)
        except ValueError:
            found = (0, 0)
        if not 1 <= found[0] <= found[1] <= 100:
            self.fail("give a JPEG quality such as 85, a range such as 75-95, or png", param, ctx)
        return found


@group.command()
@click.argument("generator", type=click.Choice(names()))
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Where the corpus grows."
)
@click.option(
    "-n", "--n", "n", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="Fakes."
)
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, show_default=True)
@click.option(
    "--long-side",
    type=click.IntRange(192, 20_000),
    default=1280,
    show_default=True,
    help="Largest long side in pixels; sizes are drawn from 60 to 100 % of it.",
)
@click.option(
    "--last-save",
    type=_LastSave(),
    default="85",
    show_default=True,
    help="JPEG quality of the last save, a range such as 75-95 to draw it from, or png.",
)
@click.option(
    "--laundering", default="", metavar="NAME", help="Send each through this afterwards, e.g. social."
)
@click.option(
    "--twins/--no-twins", default=True, show_default=True, help="Beside each fake its host, saved alike."
)
@click.option(
    "--mark-pixels/--unmarked-pixels",
    default=True,
    show_default=True,
    help="Lay a watermark into the fakes. Leave it out where detectors are trained or measured.",
)
@click.option(
    "--rights", default="", metavar="TEXT", help="With which right the photos are used; faces need one."
)
@click.option(
    "--known/--no-known", default=True, show_default=True, help="Enter the fakes among this installation's known digests."
)  # fmt: skip
@click.option(
    "--decoder",
    "decoders",
    multiple=True,
    metavar="NAME",
    help="Of reconstruct: draw from these decoders instead of the shipped ones, e.g. realesrgan_x4plus. Repeatable.",
)
@click.option("-j", "--jobs", type=click.IntRange(1, 256), help="Processes [default: one a core].")
@click.pass_context
def make(
    ctx: click.Context,
    generator: str,
    folder: Path,
    *,
    out: Path,
    n: int,
    seed: int,
    long_side: int,
    last_save: tuple[int, int] | None,
    laundering: str,
    twins: bool,
    mark_pixels: bool,
    rights: str,
    known: bool,
    decoders: tuple[str, ...],
    jobs: int | None,
) -> int:
    r"""Make N fakes from the photos of FOLDER, with exact masks, recipes and a manifest.

    Run it again to go on where it was stopped, or with another GENERATOR or seed to add to the corpus.

    \b
    Exit code: 0 all are there
               2 some could not be made
    """
    from assay.range import corpus, marking, photos
    from assay.range.forge import Settings, enough, maker_of
    from assay.range.laundering import names as launderings
    from assay.range.laundering import unknown

    if laundering and laundering not in launderings("image"):
        raise unknown(laundering, "image")
    if maker_of(generator).faces and not rights.strip():
        raise AssayError(
            f"{generator} changes faces, and no right to use them was stated",
            code="rights",
            hint="Give --rights with the licence or consent that covers these photos, such as 'CC0, nobody real'.",
        )
    choices = _checked(generator, decoders)
    stated = photos.text(rights.strip())
    chosen = Settings(generator, seed, long_side, last_save, laundering, mark_pixels, twins, stated, choices)
    found = _seen(photos.look(folder, out), maker_of(generator).count)
    enough(chosen, found)
    work = corpus.Work(folder, out, chosen, found, marking.authority())
    corpus.belongs(work)
    corpus.prepared(out)
    given_up, stopped = _made(work, n, jobs or len(os.sched_getaffinity(0)))
    drawn, fakes = corpus.summarise(out, work.authority)
    from assay.range.distribution import rows

    click.echo(table(("GENERATOR", "DRAWN", "LEAST [QUARTERS] LARGEST, OR HOW OFTEN"), rows(drawn)))
    click.echo(f"Manifest: {printable(str(out / 'manifest.csv'))}")
    if known and fakes:
        _enter(ctx, fakes, out)
    if stopped:
        click.echo("assay: stopped; run the same command again to go on", err=True)
        return 130
    return 2 if given_up else 0


def _checked(generator: str, decoders: tuple[str, ...]) -> JSON:
    """The choices for a generator, once it is sure that all that they need is here."""
    if not decoders:
        return {}
    if generator != "reconstruct":
        raise AssayError(
            f"{generator} has no decoders", code="choices", hint="Leave --decoder out; it is reconstruct's."
        )
    from assay.range import reconstruct, super_resolution

    chosen = sorted(set(decoders))  # the order in which they were named means nothing
    reconstruct.Reconstruct(chosen)
    for name in chosen:
        if name in super_resolution.NETWORKS:
            super_resolution.network(name)
    return {"decoders": chosen}


def _seen(seen: Seen, parents: int) -> tuple[Photo, ...]:
    """Say what a folder holds and what of it is not used; the photos, of which a fake takes `parents`."""
    _say_some(f"{count(len(seen.skipped), 'picture')} skipped", seen.skipped)
    if seen.left_out:
        click.echo(f"assay: left out, as the range made them: {_some(seen.left_out)}", err=True)
    found = seen.some()
    sources = list(dict.fromkeys(p.source for p in found))
    click.echo(f"{count(len(found), 'photo')} of {count(len(sources), 'source')}", err=True)
    if parents > 1 and len(sources) == 1 < len(found):
        click.echo(
            f"assay: warning: all photos are of one source, {printable(sources[0])}: what is pasted was taken by the "
            "camera of its host, and leaves no trace of another one",
            err=True,
        )
    return found


def _made(work: Work, n: int, jobs: int) -> tuple[int, bool]:
    """Make all, showing how far it is; how many were given up, and whether somebody stopped it."""
    from assay.range import corpus

    kept, notes = 0, {}
    given_up: list[Made] = []
    try:
        with click.progressbar(length=n, label=work.settings.generator, file=sys.stderr) as bar:
            for done in corpus.build(work, n, jobs):
                given_up += [done] if done.state == "given_up" else []
                kept += done.state == "kept"
                notes.update(dict.fromkeys(done.notes))
                bar.update(1)
    except KeyboardInterrupt:
        return len(given_up), True
    finally:
        _say_some(f"{count(len(notes), 'photo')} could not be used", sorted(notes))
    if kept:
        click.echo(f"{kept} were there already", err=True)
    if given_up:
        why = ["see above"] if any(done.notes for done in given_up) else []
        why += [FRUITLESS] if any(done.fruitless for done in given_up) else []
        click.echo(
            f"assay: {len(given_up)} of {n} could not be made from these photos: {'; '.join(why)}", err=True
        )
    return len(given_up), False


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(printable, names[:SHOWN])) + rest


def _say_some(head: str, lines: Sequence[str]) -> None:
    if lines:
        rest = f"\n  and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
        shown = "".join(f"\n  {printable(line)}" for line in lines[:SHOWN])
        click.echo(f"assay: {head}:{shown}{rest}", err=True)


def _enter(ctx: click.Context, fakes: list[str], out: Path) -> None:
    from assay.desk.stores import Deed, Stores, person
    from assay.range import marking
    from assay.range.photos import text

    with Stores.open(settings_of(ctx)) as stores:
        added = marking.record(
            stores, fakes, Deed(person(), f"made by assay range in {text(str(out.absolute()))}")
        )
    click.echo(f"{count(added, 'digest')} entered among the known fakes", err=True)


@group.command()
@click.argument("out", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-n", "--n", "n", type=click.IntRange(1), default=10, show_default=True, help="How many to make again."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which ones.")
@click.option(
    "--photos",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where the photos lie now [default: where they were].",
)
def verify(out: Path, *, n: int, seed: int, photos: Path | None) -> int:
    r"""Make some outputs of the corpus OUT again from their recipes, and compare them byte for byte.

    Credentials are left aside: they hold a time and the keys of their run, and differ each time.

    \b
    Exit code: 0 the same bytes, or at most 2 grey levels apart (another processor's rounding)
               1 another picture
    """
    from assay.range import verification

    bad = 0
    for result in verification.verify(out, n, seed, photos):
        words = {"same": "the same bytes", "pixels": f"other bytes, at most {result.apart} grey levels apart"}
        bad += result.state == "other" or result.apart > 2
        click.echo(f"{printable(result.name)}: {printable(words.get(result.state, result.why))}")
    return 1 if bad else 0
