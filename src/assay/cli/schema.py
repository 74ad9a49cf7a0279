"""`assay schema`: the contract of `screen --json`, for programs that read it."""

from __future__ import annotations

import json

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema (2020-12) of one line of `assay screen --json`."""
    from assay.report.contract import schema as contract

    click.echo(json.dumps(contract(), indent=2))
