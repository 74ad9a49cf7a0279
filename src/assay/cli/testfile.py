"""`assay testfile`: prove that an installation finds what it should."""

from __future__ import annotations

import os
import sys

import click


@click.command()
@click.argument("path", default="assay-testfile.png")
def testfile(path: str) -> int:
    """Write a harmless sample to PATH (- for standard output) that is always found.

    Screen it, mail it, upload it: every installation must report it as a known fake.
    """
    from assay.signatures.testfile import content

    if path == "-":
        sys.stdout.buffer.write(content())
        return 0
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except OSError as e:
        raise click.ClickException(f"{path} was not written: {(e.strerror or str(e)).lower()}") from e
    with os.fdopen(descriptor, "wb") as file:
        file.write(content())
    click.echo(f"{path} is harmless, and every screening must find it. Try: assay screen {path}")
    return 0
