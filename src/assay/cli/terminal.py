"""What the commands share when they speak with a person: times, tables, reasons, passphrases, questions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.report.escape import printable

if TYPE_CHECKING:
    from assay.desk.stores import Deed
    from assay.settings import Settings

Decorated = Callable[..., Any]


def local(moment: datetime) -> str:
    """Write a time for people: theirs, with the offset."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def size_text(size: int) -> str:
    """Write a number of bytes for people.

    Examples
    --------
    >>> size_text(900), size_text(2_500_000)
    ('900 B', '2.4 MiB')
    """
    amount, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align cells in columns; the last one is as long as it is. Cells are escaped here.

    Examples
    --------
    >>> print(table(("ID", "NAME"), [("1", "a.jpg"), ("12", "b.jpg")]))
    ID  NAME
    1   a.jpg
    12  b.jpg
    """
    cells = [tuple(head), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(head) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in cells
    )


def count(n: int, noun: str, many: str | None = None) -> str:
    return f"{n} {noun if n == 1 else many or noun + 's'}"


def reason_option(command: Decorated) -> Decorated:
    return click.option("--reason", metavar="TEXT", help="Why; kept in the audit [asked for on a terminal].")(
        command
    )


def identity_options(command: Decorated) -> Decorated:
    command = click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Its first line is the identity's passphrase [default: ask, or $ASSAY_PASSPHRASE].",
    )(command)
    return click.option(
        "--identity",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The identity to decrypt with [default: the one made on first use].",
    )(command)


def deed(reason: str | None) -> Deed:
    """Say who acts, and why; without a reason nothing is done."""
    from assay.desk.stores import Deed, person

    if reason is None and sys.stdin.isatty():
        reason = str(click.prompt("Reason (kept in the audit)", err=True))
    if reason is None or not reason.strip():
        raise click.UsageError("give a --reason; it is kept in the audit")
    return Deed(person(), reason.strip())


def sure(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone; without a terminal only --yes goes on."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("this cannot be undone: give --yes")
    click.confirm(question, abort=True, err=True)


def identities(settings: Settings, identity: Path | None, passphrase_file: Path | None) -> list[Any]:
    """Open the identity that decrypts the quarantine."""
    from assay.action.identity import open_identities, passphrase_source
    from assay.desk.stores import Stores

    ask = (lambda text: str(click.prompt(text, hide_input=True, err=True))) if sys.stdin.isatty() else None
    passphrase = passphrase_source(os.environ, passphrase_file, ask)
    if identity is not None:
        return open_identities(identity, passphrase)
    with Stores.open(settings) as stores:
        return stores.quarantine.keys.open(passphrase)
