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
import pwd
import stat
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from assay import options
from assay.errors import ConfigError
from assay.types import JSON, Action

PACKAGE = Path(__file__).parent
SYSTEM = Path("/etc/assay")
TABLES = ("limits", "retention", "paths", "policy", "models", "serve", "store", "api", "signatures")
RESERVED = frozenset({"ASSAY_CONFIG", "ASSAY_PASSPHRASE"})  # ASSAY_* variables that are not settings


def _setting(default: float, unit: str, low: float, high: float) -> Any:
    """Describe one numeric field: its unit and the range that makes sense, ends included."""
    return field(default=default, metadata={"unit": unit, "low": low, "high": high})


def _worded(default: Any, read: Callable[[Any], Any], expected: str) -> Any:
    """Describe one field that is no number: how it is read, and what is expected."""
    return field(default=default, metadata={"read": read, "expected": expected})


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sample may cost before it is refused."""

    size_bytes: int = _setting(2 * 2**30, "bytes", 1, 2**50)
    pixels: int = _setting(100_000_000, "pixels", 1, 2**31)
    duration_s: float = _setting(14_400.0, "seconds", 0.1, 30 * 86400)
    streams: int = _setting(16, "count", 1, 1024)
    frames: int = _setting(4096, "count", 1, 10**6)
    depth: int = _setting(4, "count", 0, 64)
    members: int = _setting(1000, "count", 0, 10**6)
    unpacked_bytes: int = _setting(4 * 2**30, "bytes", 1, 2**50)
    ratio: float = _setting(200.0, "number", 1, 10**6)
    decode_s: float = _setting(60.0, "seconds", 0.1, 86400)
    detector_s: float = _setting(30.0, "seconds", 0.1, 86400)
    stability_s: float = _setting(10.0, "seconds", 0, 86400)
    memory_bytes: int = _setting(2 * 2**30, "bytes", 512 * 2**20, 2**44)
    examiner_bytes: int = _setting(3 * 2**30, "bytes", 512 * 2**20, 2**44)

    def as_json(self) -> JSON:
        """All limits as plain numbers, as the workers get them."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class Retention:
    """Days after which a class of stored things is removed; 0: never."""

    records_days: int = _setting(365, "days", 0, 36500)
    kept_days: int = _setting(90, "days", 0, 36500)
    quarantine_days: int = _setting(0, "days", 0, 36500)
    audit_days: int = _setting(0, "days", 0, 36500)


@dataclass(frozen=True, slots=True)
class Api:
    """What the gateway's HTTP API allows its clients."""

    uploads: int = _setting(32, "count", 1, 4096)
    requests: int = _setting(256, "count", 1, 10**5)
    per_minute: int = _setting(600, "count", 0, 10**6)
    per_day: int = _setting(0, "count", 0, 10**9)
    wait_s: float = _setting(60.0, "seconds", 0, 3600)
    stall_s: float = _setting(30.0, "seconds", 0.05, 3600)
    rate_bytes_s: int = _setting(512, "bytes", 1, 2**40)
    drain_bytes: int = _setting(64 * 2**20, "bytes", 0, 2**40)
    anonymous: bool = _worded(False, options.flag, options.FLAG_EXPECTED)
    webhook_inside: tuple[str, ...] = _worded((), options.networks, options.NETWORKS_EXPECTED)


@dataclass(frozen=True, slots=True)
class Serve:
    """Where the gateway listens, and how it answers."""

    http: str = _worded("127.0.0.1:8480", options.address, options.ADDRESS_EXPECTED)
    clamd: str = _worded("127.0.0.1:3310", options.address, options.ADDRESS_EXPECTED)
    clamd_socket: str = _worded("", options.absolute, "an absolute path, or empty")
    icap: str = _worded("127.0.0.1:1344", options.address, options.ADDRESS_EXPECTED)
    allow: tuple[str, ...] = _worded((), options.networks, options.NETWORKS_EXPECTED)
    folders: tuple[str, ...] = _worded((), options.folders, options.FOLDERS_EXPECTED)
    roots: tuple[str, ...] = _worded((), options.folders, options.FOLDERS_EXPECTED)
    budget_s: float = _setting(4.0, "seconds", 0.1, 3600)
    hold_is_error: bool = _worded(False, options.flag, options.FLAG_EXPECTED)
    backlog: int = _setting(1000, "count", 1, 10**7)
    drain_s: float = _setting(30.0, "seconds", 0, 3600)


@dataclass(frozen=True, slots=True)
class Store:
    """Where records and media lie when one machine is outgrown; empty: below paths.data."""

    database: str = _worded("", options.url, options.URL_EXPECTED)
    media: str = _worded("", options.url, options.URL_EXPECTED)


@dataclass(frozen=True, slots=True)
class Signatures:
    """When signatures are doubted, where packs come from, how much is offered for review."""

    match_rate: float = _setting(0.01, "number", 0, 1)
    match_least: int = _setting(8, "count", 1, 10**6)
    review_share: float = _setting(0.005, "number", 0, 1)
    reload_s: float = _setting(10.0, "seconds", 0, 86400)
    pack_bytes: int = _setting(2**30, "bytes", 1, 2**40)
    pull_s: float = _setting(300.0, "seconds", 1, 86400)
    inside: tuple[str, ...] = _worded((), options.networks, options.NETWORKS_EXPECTED)


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """The operator's changes to the shipped policy: rule name -> action."""

    actions: Mapping[str, Action] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Paths:
    """Where things lie. Nothing is created here; who writes creates, with mode 0700."""

    data: Path
    cache: Path
    calibration: Path | None = None  # one of the operator's own, instead of the one that ships
    config: tuple[Path, ...] = ()  # the files that were read, weakest first

    @property
    def models(self) -> Path:
        return self.data / "models"

    @property
    def database(self) -> Path:
        return self.data / "assay.db"

    @property
    def media(self) -> Path:
        return self.data / "media"

    @property
    def quarantine(self) -> Path:
        return self.data / "quarantine"

    @property
    def packs(self) -> Path:
        return self.data / "packs"

    @property
    def pictures(self) -> Path:
        return self.data / "pictures"

    @property
    def spool(self) -> Path:
        return self.data / "spool"

    @property
    def trust(self) -> Path:
        return self.data / "trust"

    @property
    def backups(self) -> Path:
        return self.data / "backups"


@dataclass(frozen=True, slots=True)
class Settings:
    """All that an operator can set, checked."""

    paths: Paths
    prior: float = _setting(0.5, "number", 1e-6, 1 - 1e-6)
    false_alarm_budget: float = _setting(0.01, "number", 1e-4, 0.5)
    jobs: int = _setting(0, "count", 0, 1024)  # 0: one per usable core
    limits: Limits = field(default_factory=Limits)
    retention: Retention = field(default_factory=Retention)
    policy: PolicySettings = field(default_factory=PolicySettings)
    serve: Serve = field(default_factory=Serve)
    store: Store = field(default_factory=Store)
    api: Api = field(default_factory=Api)
    signatures: Signatures = field(default_factory=Signatures)
    reasons: Mapping[str, float] = field(
        default_factory=dict
    )  # "detector.code" -> LLR in nats, instead of the shipped
    models: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # own weights, read by evidence.models
    warnings: tuple[str, ...] = ()

    @property
    def database(self) -> str | Path:
        """Where the records are: the URL of a server, or a file on this machine."""
        return self.store.database or self.paths.database

    @property
    def stored(self) -> bool:
        """May there be records? A file that is not there holds none."""
        return bool(self.store.database) or self.paths.database.exists()


@dataclass(frozen=True, slots=True)
class Option:
    """One setting as `assay config explain` shows it."""

    key: str
    value: Any
    origin: str
    text: str
    expected: str


@dataclass(frozen=True, slots=True)
class Source:
    """One file that may configure Assay."""

    path: Path
    role: str  # "local" | "override" | "explicit"

    @property
    def exists(self) -> bool:
        return os.path.lexists(self.path)


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
    home = _home(environ)
    sources = _sources(explicit, environ, home)
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
            values |= _checked({key: value}, origin or _variable(key), keys, warnings)
    final = {k: values.get(k, (key.default, "shipped default")) for k, key in keys.items()}
    final |= {k: v for k, v in values.items() if k not in keys}
    paths = _paths(final, environ, home, tuple(read), warnings)
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


OWNERS: Mapping[str, type] = {
    "": Settings,
    "limits.": Limits,
    "retention.": Retention,
    "serve.": Serve,
    "store.": Store,
    "api.": Api,
    "signatures.": Signatures,
}


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


def _variable(key: str) -> str:
    return "ASSAY_" + key.upper().replace(".", "_")


def _from_environ(environ: Mapping[str, str], keys: Mapping[str, _Key]) -> dict[str, Any]:
    names = {_variable(k): k for k in keys if not k.startswith("reasons.")}
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


# Places --------------------------------------------------------------------------------------------------------------


def _home(environ: Mapping[str, str]) -> Path | None:
    """The user's own directory, if there is one that can be written."""
    named = environ.get("HOME", "")
    if not named:
        try:
            named = pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return None
    home = Path(named)
    usable = home.is_absolute() and home.is_dir() and os.access(home, os.W_OK | os.X_OK)
    return home if usable else None


def _xdg(environ: Mapping[str, str], variable: str, home: Path | None, default: str) -> Path | None:
    named = environ.get(variable, "")
    if named.startswith("/"):  # the specification: relative ones are ignored
        return Path(named) / "assay"
    return home / default / "assay" if home else None


def _sources(explicit: Path | None, environ: Mapping[str, str], home: Path | None) -> tuple[Source, ...]:
    named = explicit or (Path(environ["ASSAY_CONFIG"]) if environ.get("ASSAY_CONFIG") else None)
    user = _xdg(environ, "XDG_CONFIG_HOME", home, ".config")
    local = [Source(named, "explicit")] if named else [Source(SYSTEM / "assay.toml", "local")]
    if user:
        local += [] if named else [Source(user / "assay.toml", "local")]
        local.append(Source(user / "assay.override.toml", "override"))
    return (*local, Source(SYSTEM / "assay.override.toml", "override"))


def _paths(
    final: Mapping[str, tuple[Any, str]],
    environ: Mapping[str, str],
    home: Path | None,
    read: tuple[Path, ...],
    warnings: list[str],
) -> Paths:
    def named(name: str) -> Path | None:
        text, origin = final[f"paths.{name}"]
        if text.startswith("~/") and home is None:
            raise ConfigError(f"{origin}: paths.{name} = {text!r}, but there is no home directory",
                              hint="give an absolute path")  # fmt: skip
        return Path(text.replace("~", str(home), 1) if text.startswith("~/") else text) if text else None

    def found(name: str, variable: str, default: str) -> Path:
        return named(name) or _xdg(environ, variable, home, default) or _shelter(environ, name, warnings)

    data = found("data", "XDG_DATA_HOME", ".local/share")
    cache = found("cache", "XDG_CACHE_HOME", ".cache")
    return Paths(data, cache, named("calibration"), read)


def _shelter(environ: Mapping[str, str], name: str, warnings: list[str]) -> Path:
    """Without a home directory: a private folder among the temporary files, refused if somebody else made it."""
    base = Path(environ.get("TMPDIR") or tempfile.gettempdir()) / f"assay-{os.geteuid()}"
    hint = f"set {_variable('paths.data')} and {_variable('paths.cache')} to folders of your own"
    try:
        base.mkdir(mode=0o700, exist_ok=True)
        found = base.lstat()
    except OSError as e:
        raise ConfigError(f"no home directory, and {base} cannot be made: {e.strerror}", hint=hint) from e
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise ConfigError(f"no home directory, and {base} is not a private folder of yours", hint=hint)
    warning = f"no home directory that can be written: data and cache go to {base}, which may not outlast a restart; {hint}"
    if warning not in warnings:
        warnings.append(warning)
    return base / name
