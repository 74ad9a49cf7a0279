"""assay.toml and ASSAY_* become frozen `Settings`; a key that nobody reads is an error.

Later layers win, key by key:

    defaults.toml (shipped, never edited)
    local         /etc/assay/assay.toml, then $XDG_CONFIG_HOME/assay/assay.toml; or, instead of both, the explicit file
    override      $XDG_CONFIG_HOME/assay/assay.override.toml, then /etc/assay/assay.override.toml; a table in one of
                  them replaces that whole table: what it does not name returns to the shipped default
    environment   ASSAY_LIMITS_PIXELS and the like
    command line

A file in the working directory is never read unless it is named: a folder of samples must not configure its own
screening.
"""

from __future__ import annotations

import difflib
import functools
import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from assay import options
from assay.errors import ConfigError
from assay.places import Source, home_of, paths_of, sources_of, variable
from assay.settings import (
    OWNERS,
    Api,
    Limits,
    Paths,
    PolicySettings,
    Retention,
    Serve,
    Settings,
    Signatures,
    Store,
)
from assay.types import JSON, Action

PACKAGE = Path(__file__).parent
TABLES = ("limits", "retention", "paths", "policy", "models", "serve", "store", "api", "signatures")
RESERVED = frozenset({"ASSAY_CONFIG", "ASSAY_PASSPHRASE"})  # ASSAY_* variables that are not settings


@dataclass(frozen=True, slots=True)
class Option:
    """One setting as `assay config explain` shows it."""

    key: str
    value: Any
    origin: str
    text: str
    expected: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """Settings, and for every key where its value came from."""

    settings: Settings
    options: tuple[Option, ...]
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class _Key:
    read: Callable[[Any], Any]
    default: Any
    text: str
    expected: str


def load(
    explicit: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    command_line: Mapping[str, object] | None = None,
) -> Settings:
    """Read every layer and return checked settings.

    Parameters
    ----------
    explicit
        A file named by ``--config``; it stands in for the two local files. ``ASSAY_CONFIG`` names one too.
    environ
        Where HOME, XDG_*, TMPDIR and ASSAY_* are looked up.
    command_line
        Dotted keys to values, such as ``{"jobs": 2}``; values of None are not given.

    Raises
    ------
    ConfigError
        Naming the file, the key and what was expected.
    """
    return resolve(explicit, environ, command_line=command_line).settings


def resolve(
    explicit: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    *,
    command_line: Mapping[str, object] | None = None,
) -> Resolved:
    """Do as `load` does, and keep where each value came from."""
    home = home_of(environ)
    sources = sources_of(explicit, environ, home)
    keys = _keys()
    values: dict[str, tuple[Any, str]] = {}
    warnings: list[str] = []
    read: list[Path] = []
    for source in sources:
        if source.role != "explicit" and not source.exists:
            continue
        table = _read_toml(source.path)
        if source.role == "override":
            replaced = tuple(f"{name}." for name, value in table.items() if isinstance(value, dict))
            values = {k: v for k, v in values.items() if not k.startswith(replaced)} if replaced else values
        values |= _checked(_flatten(table), str(source.path), keys, warnings)
        read.append(source.path)
    for layer, origin in ((_from_environ(environ, keys), ""), (dict(command_line or {}), "command line")):
        given = {k: v for k, v in layer.items() if v is not None}
        for key, value in given.items():
            values |= _checked({key: value}, origin or variable(key), keys, warnings)
    final = {k: values.get(k, (key.default, "shipped default")) for k, key in keys.items()}
    final |= {k: v for k, v in values.items() if k not in keys}
    paths = paths_of(final, environ, home, tuple(read), warnings)
    settings = _settings({k: v for k, (v, _) in final.items()}, set(values), paths, tuple(warnings))
    rows = tuple(_option(k, value, origin, keys.get(k), paths) for k, (value, origin) in final.items())
    return Resolved(settings, rows, sources)


def _settings(
    values: Mapping[str, Any], given: set[str], paths: Paths, warnings: tuple[str, ...]
) -> Settings:
    def under(table: str) -> dict[str, Any]:
        return {k.removeprefix(table): v for k, v in values.items() if k.startswith(table)}

    return Settings(
        paths=paths,
        prior=values["prior"],
        false_alarm_budget=values["false_alarm_budget"],
        jobs=values["jobs"],
        limits=Limits(**under("limits.")),
        retention=Retention(**under("retention.")),
        serve=Serve(**under("serve.")),
        store=Store(**under("store.")),
        api=Api(**under("api.")),
        signatures=Signatures(**under("signatures.")),
        policy=PolicySettings({k: v for k, v in under("policy.").items() if f"policy.{k}" in given}),
        reasons={k: v for k, v in under("reasons.").items() if f"reasons.{k}" in given},
        models=under("models."),
        warnings=warnings,
    )


def _option(key: str, value: Any, origin: str, known: _Key | None, paths: Paths) -> Option:
    if key.startswith("paths.") and not value:
        value = getattr(paths, key.removeprefix("paths."))
    known = known or (_MODEL if key.startswith("models.") else _PLUGIN_REASON)
    return Option(key, value, origin, known.text, known.expected)


# What the keys are ---------------------------------------------------------------------------------------------------


_PLUGIN_REASON = _Key(
    options.llr, 0.0, "Weight of a reason that no shipped detector gives.", options.LLR_EXPECTED
)
_MODEL = _Key(options.model, None, "A model of your own (docs/models.md).", options.MODEL_EXPECTED)


@functools.cache
def _keys() -> dict[str, _Key]:
    """Every known key: how it is read, its shipped default, its words. Policy and reasons come from their tables."""
    shipped = _flatten(_read_toml(PACKAGE / "defaults.toml"))
    texts = options.comments((PACKAGE / "defaults.toml").read_text(encoding="utf-8"))
    keys: dict[str, _Key] = {}
    for prefix, owner in OWNERS.items():
        for f in fields(owner):
            key = prefix + f.name
            if "unit" in f.metadata:
                unit, low, high = f.metadata["unit"], f.metadata["low"], f.metadata["high"]
                read = functools.partial(options.number, unit=unit, low=low, high=high, whole=f.type == "int")
                expected = f"{options.UNITS[unit][1]}, {low:,.12g} to {high:,.12g}"
                keys[key] = _Key(read, read(shipped[key]), texts[key], expected)
            elif "read" in f.metadata:
                read = f.metadata["read"]
                keys[key] = _Key(read, read(shipped[key]), texts[key], f.metadata["expected"])
    for name in ("data", "cache", "calibration"):
        key = f"paths.{name}"
        keys[key] = _Key(options.absolute, "", texts[key], "an absolute path, or one that starts with ~/")
    actions = ", ".join(Action)
    for rule in _read_toml(PACKAGE / "action" / "policy.toml")["rule"]:
        keys[f"policy.{rule['name']}"] = _Key(
            options.action, Action(rule["action"]), rule["text"], f"one of {actions}"
        )
    for detector, codes in _read_toml(PACKAGE / "verdict" / "reasons.toml")["reasons"].items():
        for code, row in codes.items():
            keys[f"reasons.{detector}.{code}"] = _Key(
                options.llr, float(row["llr"]), row["text"], options.LLR_EXPECTED
            )
    return keys


# Layers --------------------------------------------------------------------------------------------------------------


def _read_toml(path: Path) -> JSON:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        raise ConfigError(
            f"{path} is not valid TOML: {e}", hint="mend the line that is named, or remove the file"
        ) from e
    except OSError as e:
        raise ConfigError(
            f"{path} cannot be read: {e.strerror}", hint="check its name and its permissions"
        ) from e


def _flatten(table: JSON) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if not isinstance(value, dict):
            flat[key] = value
        elif key == "reasons":
            flat |= {f"reasons.{name}": row for name, row in _reason_rows(value)}
        elif key in TABLES:
            flat |= {f"{key}.{name}": inner for name, inner in value.items()}
        else:
            flat[key] = value
    return flat


def _reason_rows(table: JSON) -> list[tuple[str, Any]]:
    """Accept [reasons."detector.code"] and [reasons.detector.code] alike."""
    rows: list[tuple[str, Any]] = []
    for name, value in table.items():
        if "." in name or not isinstance(value, dict):
            rows.append((name, value))
        else:
            rows += [(f"{name}.{code}", row) for code, row in value.items()]
    return rows


def _checked(
    layer: Mapping[str, Any], origin: str, keys: Mapping[str, _Key], warnings: list[str]
) -> dict[str, Any]:
    values: dict[str, tuple[Any, str]] = {}
    for key, raw in layer.items():
        known = keys.get(key) or (_MODEL if key.startswith("models.") else None)
        known = known or _plugin_reason(key, origin, keys, warnings)
        try:
            values[key] = known.read(raw), origin
        except (ValueError, TypeError, OverflowError) as e:
            shown = repr(raw)[:80]
            raise ConfigError(
                f"{origin}: {key} = {shown} will not do: expected {known.expected}",
                hint=f"`assay config explain {key}` says what it does",
            ) from e
    return values


def _plugin_reason(key: str, origin: str, keys: Mapping[str, _Key], warnings: list[str]) -> _Key:
    """A reason of a detector that is not shipped may be weighed, too; any other unknown key is an error."""
    parts = key.split(".")
    shipped = {k.split(".")[1] for k in keys if k.startswith("reasons.")}
    if parts[0] == "reasons" and len(parts) == 3 and parts[1] not in shipped:
        near = difflib.get_close_matches(parts[1], shipped, 1, 0.8)
        meant = f"; did you mean {near[0]}?" if near else ""
        warnings.append(f"{origin}: {key}: no shipped detector is called {parts[1]}{meant}")
        return _PLUGIN_REASON
    near = difflib.get_close_matches(key, keys, 1, 0.0)
    raise ConfigError(
        f"{origin}: {key} is not a setting; the nearest is {near[0]}",
        hint="`assay config explain` lists every setting",
    )


def _from_environ(environ: Mapping[str, str], keys: Mapping[str, _Key]) -> dict[str, Any]:
    names = {variable(k): k for k in keys if not k.startswith("reasons.")}
    given: dict[str, Any] = {}
    for name, value in environ.items():
        if not name.startswith("ASSAY_") or name in RESERVED:
            continue
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, 0.0)[0]
            raise ConfigError(
                f"environment: {name} is not a setting; the nearest is {near}", hint=f"unset {name}"
            )
        given[names[name]] = value
    return given
