"""`assay config`: what is set, by whom, and whether it will do."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import click

from assay.config import Option, Resolved, resolve
from assay.errors import ConfigError
from assay.report.escape import printable
from assay.settings import Settings

ROLES = {
    "local": "merges, key by key",
    "override": "wins, and replaces whole tables",
    "explicit": "named by --config or ASSAY_CONFIG, stands in for the local files",
}


@click.group()
def config() -> None:
    """Explain, find and check the configuration."""


@config.command()
@click.argument("key", required=False)
@click.pass_obj
def explain(config_file: str | None, key: str | None) -> None:
    """Print each setting: its value, where the value came from, what it does.

    KEY names one setting (limits.pixels) or a table of them (limits, policy, reasons).
    """
    resolved = _resolved(config_file)
    wanted = [o for o in resolved.options if _asked(o.key, key)]
    if not wanted:
        import difflib

        keys = {o.key: o.key for o in resolved.options} | {
            o.key.split(".")[0]: o.key for o in resolved.options
        }
        near = difflib.get_close_matches(key or "", keys, 1, 0.0)[0]
        raise ConfigError(
            f"{key} is not a setting; the nearest is {near}", hint="`assay config explain` lists all"
        )
    for option in wanted:
        click.echo(printable(f"{option.key} = {_shown(option)}  [{option.origin}]"))
        text = f"{option.text} Expected: {option.expected}."
        click.echo(textwrap.fill(printable(text), 96, initial_indent="    ", subsequent_indent="    "))
    _warn(resolved)


@config.command()
@click.pass_obj
def paths(config_file: str | None) -> None:
    """Print the files that are read, weakest first, and where things are stored."""
    resolved = _resolved(config_file)
    for source in resolved.sources:
        state = "read" if source.path in resolved.settings.paths.config else "not there"
        click.echo(printable(f"{source.role:<10} {source.path}  ({state}; {ROLES[source.role]})"))
    places = resolved.settings.paths
    for name in ("data", "cache", "database", "media", "quarantine", "spool", "trust", "models", "backups"):
        click.echo(printable(f"{name:<10} {getattr(places, name)}"))
    _warn(resolved)


@config.command()
@click.pass_obj
def check(config_file: str | None) -> None:
    """Check every layer, and a calibration of your own; exit 0 if all will do, 2 with the file and the key if not."""
    resolved = _resolved(config_file)
    _check_calibration(resolved.settings)
    read = ", ".join(str(p) for p in resolved.settings.paths.config) or "no file, shipped defaults only"
    click.echo(printable(f"The configuration will do: {read}."))
    _warn(resolved)


def _check_calibration(settings: Settings) -> None:
    """Refuse a calibration of the operator's own that cannot be read, or in which maps are void."""
    if settings.paths.calibration is None:
        return
    from assay.cli.doctor import calibrated, remedy

    try:
        _, void = calibrated(settings)
    except ConfigError as e:
        raise ConfigError(f"paths.calibration: {e.message}", hint=e.hint) from e
    if void:
        named = "; ".join(map(str, void))
        message = f"paths.calibration: {settings.paths.calibration} is void for {named}"
        raise ConfigError(message, hint=remedy(void))


def _resolved(config_file: str | None) -> Resolved:
    return resolve(Path(config_file) if config_file else None)


def _asked(key: str, asked: str | None) -> bool:
    if asked is None:
        return True
    return key == asked or key.startswith(f"{asked}.")


def _shown(option: Option) -> str:
    """Write a value as assay.toml would have it."""
    value = option.value
    if isinstance(value, int | float):
        return repr(value)
    return str(value) if isinstance(value, dict) else f'"{value}"'


def _warn(resolved: Resolved) -> None:
    for warning in resolved.settings.warnings:
        print(f"assay: warning: {printable(warning)}", file=sys.stderr)
