"""Where configuration, data and caches lie: the user's folders, the system's, and a shelter where there is no home."""

from __future__ import annotations

import os
import pwd
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.errors import ConfigError
from assay.settings import Paths

SYSTEM = Path("/etc/assay")


@dataclass(frozen=True, slots=True)
class Source:
    """One file that may configure Assay."""

    path: Path
    role: str  # "local" | "override" | "explicit"

    @property
    def exists(self) -> bool:
        return os.path.lexists(self.path)


def variable(key: str) -> str:
    """Name the environment variable of a setting."""
    return "ASSAY_" + key.upper().replace(".", "_")


def home_of(environ: Mapping[str, str]) -> Path | None:
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


def sources_of(explicit: Path | None, environ: Mapping[str, str], home: Path | None) -> tuple[Source, ...]:
    named = explicit or (Path(environ["ASSAY_CONFIG"]) if environ.get("ASSAY_CONFIG") else None)
    user = _xdg(environ, "XDG_CONFIG_HOME", home, ".config")
    local = [Source(named, "explicit")] if named else [Source(SYSTEM / "assay.toml", "local")]
    if user:
        local += [] if named else [Source(user / "assay.toml", "local")]
        local.append(Source(user / "assay.override.toml", "override"))
    return (*local, Source(SYSTEM / "assay.override.toml", "override"))


def paths_of(
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
    hint = f"set {variable('paths.data')} and {variable('paths.cache')} to folders of your own"
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
