"""How every command comes by its settings: from the file that --config names, or the usual ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

    from assay.settings import Settings


def settings_of(ctx: click.Context, **command_line: object) -> Settings:
    """Load the settings; `command_line` wins over every file, None means not given (`limits__pixels` is limits.pixels)."""
    from assay import config

    named = ctx.find_root().obj
    given = {key.replace("__", "."): value for key, value in command_line.items()}
    return config.load(Path(named) if isinstance(named, str) else None, command_line=given)
