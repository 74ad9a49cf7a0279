"""`assay doctor`: is this machine set up as it should be, and if not, what to do."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from assay.cli.settings import settings_of

if TYPE_CHECKING:
    from assay.settings import Settings
    from assay.verdict.calibration import Calibration, Void

GOOD, ABSENT, BAD = "on", "absent", "OFF"
REQUIRED = ("zygote", "calibration")  # beside the store: nothing works without these
ROOM = 512 << 20  # bytes of free disk under which an operator should know


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report: what was looked at, how it stands, why, and what to do."""

    section: str
    name: str
    state: str
    why: str = ""
    hint: str = ""


@click.command()
@click.option("--jail", "jail_only", is_flag=True, help="Check the jail alone.")
@click.option("--strict", is_flag=True, help="Exit with 2 if anything that this machine could have is off.")
@click.pass_context
def doctor(ctx: click.Context, *, jail_only: bool, strict: bool) -> int:
    r"""Check this machine: each layer of the jail, the weights, the calibration, the store, the disk.

    \b
    Exit code: 0 all that is needed works
               2 something needed is broken (with --strict: or a layer is off that the kernel has)
    """
    from assay.report.escape import printable

    settings = settings_of(ctx)
    checks = (
        list(_jail())
        if jail_only
        else [
            *_program(settings),
            *_jail(),
            *_weights(settings),
            *_calibration(settings),
            *_store(settings),
        ]
    )
    section = ""
    for check in checks:
        if check.section != section:
            section = check.section
            click.echo(f"\n{section}")
        why = f"  {check.why}" if check.why else ""
        click.echo(printable(f"  {check.state:<7} {check.name:<22}{why}"))
        if check.hint and check.state != GOOD:
            click.echo(printable(f"          {check.hint}"))
    bad = [c for c in checks if c.state == BAD]
    needed = [c for c in bad if c.section != "Weights"]
    click.echo("\nAll is well." if not bad else f"\n{len(bad)} to look at: {', '.join(c.name for c in bad)}.")
    without = any(c.section == "Store" or c.name in REQUIRED for c in needed)
    return 2 if without or (strict and needed) else 0


def _program(settings: Settings) -> Iterator[Check]:
    from assay import __version__

    section = "Program"
    yield Check(section, "assay", GOOD, f"{__version__}, Python {sys.version.split()[0]}")
    cores = len(os.sched_getaffinity(0))
    yield Check(section, "cores", GOOD, f"{settings.jobs or cores} samples at once on {cores} cores")
    files = ", ".join(str(p) for p in settings.paths.config) or "shipped defaults only"
    yield Check(section, "configuration", GOOD, files)
    for warning in settings.warnings:
        yield Check(section, "configuration", BAD, warning, "assay config paths says where it is looked for.")


def _jail() -> Iterator[Check]:
    from assay.media.jail.layers import layers

    for layer in layers():
        state = ABSENT if layer.on is None else GOOD if layer.on else BAD
        yield Check("Jail", layer.name, state, layer.why, layer.hint)


def _weights(settings: Settings) -> Iterator[Check]:
    from assay.evidence import models

    for model in models.catalogue().values():
        state = models.state(model, settings.paths.models)
        if model.on_request and state is models.State.MISSING:
            continue  # no detector needs it
        good = state is models.State.PRESENT
        yield Check(
            "Weights", model.name, GOOD if good else BAD, str(state), f"Run: assay models pull {model.name}"
        )


def _calibration(settings: Settings) -> Iterator[Check]:
    from assay.errors import ConfigError

    section = "Calibration"
    try:
        known, void = calibrated(settings)
    except ConfigError as e:
        yield Check(section, "calibration", BAD, e.message, e.hint)
        return
    yield Check(
        section, "calibration", GOOD, f"{known.version}, {settings.paths.calibration or 'as it ships'}"
    )
    for one in void:
        yield Check(section, one.detector, BAD, f"{one.why}: its scores do not count", remedy([one]))


def calibrated(settings: Settings) -> tuple[Calibration, tuple[Void, ...]]:
    """Read the calibration in force, and name its maps of other versions than the installed detectors have.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    from assay.evidence.registry import entries
    from assay.verdict.calibration import shipped

    known = shipped(settings.reasons, settings.paths.calibration)
    return known, known.outgrown({e.card.name: e.card.version for e in entries() if e.detector is not None})


def remedy(void: Sequence[Void]) -> str:
    """Say what to do about maps of other versions than their detectors have."""
    from assay.report.table import sentence
    from assay.verdict.calibration import ANEW

    newer = "install the Assay that it was made with, or " if all(v.ahead for v in void) else ""
    return sentence(f"{newer}{ANEW}")


def _store(settings: Settings) -> Iterator[Check]:
    section, data = "Store", settings.paths.data
    place = next(p for p in (data, *data.parents) if p.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        yield Check(
            section,
            "data",
            BAD,
            f"{data} cannot be written",
            "Set paths.data in assay.toml, or use --no-history.",
        )
        return
    free = shutil.disk_usage(place).free
    hint = "Make room, or set paths.data to another disk."
    yield Check(section, "data", GOOD if free >= ROOM else BAD, f"{data}, {free / 2**30:.1f} GiB free", hint)
    yield _database(settings)
    yield _quarantine(settings)
    yield _signatures(settings)


def _quarantine(settings: Settings) -> Check:
    from assay.desk.stores import Stores
    from assay.errors import StoreError

    try:
        with Stores.open(settings) as stores:
            keys = stores.quarantine.keys
            if keys.exist():
                return Check("Store", "quarantine", GOOD, stores.quarantine.vault.objects.name())
    except StoreError as e:
        return Check("Store", "quarantine", BAD, e.message, e.hint)
    return Check("Store", "quarantine", ABSENT, "its identity is made by the first --quarantine")


def _signatures(settings: Settings) -> Check:
    """Read every list and pack as a gateway that starts would; one that runs goes on with what it has read."""
    from assay.desk.signatures import known
    from assay.errors import AssayError
    from assay.store.database import Database

    if not settings.stored:
        return Check("Store", "signatures", ABSENT, "there are none yet")
    try:
        with Database(settings.database) as database:
            count = sum(1 for _ in known(database, settings))
    except AssayError as e:
        hint = f"{e.hint} Until then a gateway goes on with the signatures that it has read.".strip()
        return Check("Store", "signatures", BAD, e.message, hint)
    return Check("Store", "signatures", GOOD if count else ABSENT, f"{count:,} in all lists and packs")


def _database(settings: Settings) -> Check:
    from assay.errors import StoreError
    from assay.store.database import Database

    try:
        with Database(settings.database) as database:
            status = database.status()
    except StoreError as e:
        return Check("Store", "database", BAD, e.message, e.hint)
    if status.found is None:
        return Check("Store", "database", ABSENT, "it is made by the first screening")
    if status.current:
        return Check("Store", "database", GOOD, f"schema {status.found}")
    hint = "Install a newer Assay." if status.newer else "Run: assay db upgrade"
    return Check(
        "Store", "database", BAD, f"schema {status.found}, this program expects {status.expected}", hint
    )
