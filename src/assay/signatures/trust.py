"""Trust lists: whose content credentials to believe. None is shipped; an operator imports each by its digest.

Two kinds, for two questions. The certificates of *capture* lists issue keys to cameras and phones: a whole chain from
such a device speaks for a bona fide scene. Those of *editor* lists issue keys to software: it is believed about what it
says that it did, never about the scene. On disk a list is one file, named by the SHA-256 of the bundle in it.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

from assay.errors import ConfigError
from assay.signatures.certificates import BUNDLE, Certificate, read_bundle
from assay.types import JSON, sha256_of

Trusted = Literal["capture", "editor"]
KINDS: tuple[Trusted, ...] = ("capture", "editor")
_SHORTEST = 8  # digits of a digest that name a list
_FILE = 2 * BUNDLE + 4096  # bytes of a list on disk: the bundle as JSON text


@dataclass(frozen=True, slots=True)
class TrustList:
    """One imported bundle."""

    digest: str  # SHA-256 of the bundle as it was imported
    kind: Trusted
    name: str
    added_at: datetime
    certificates: tuple[Certificate, ...]


def add(folder: Path, data: bytes, kind: Trusted, *, name: str = "", digest: str | None = None) -> TrustList:
    """Import a PEM bundle; an equal one is replaced, so that its kind and name can be corrected.

    Parameters
    ----------
    digest : str, optional
        The SHA-256 that the bundle must have, as its publisher gives it.

    Raises
    ------
    ConfigError
        If the digest is another, the bundle is none (see `read_bundle`), or it cannot be written.
    """
    found = sha256_of(data)
    if digest is not None and digest.strip().lower() != found:
        raise ConfigError(
            f"the bundle has the SHA-256 {found}, not the one you named: nothing was imported",
            code="trust_digest",
            hint="Get the bundle again from its publisher, and compare the digest with theirs.",
        )
    certificates = read_bundle(data)
    plain = "".join(c if c.isprintable() else " " for c in name).strip()[:100]
    added = TrustList(found, kind, plain or certificates[0].subject, datetime.now(UTC), certificates)
    described = {
        "kind": kind,
        "name": added.name,
        "added_at": added.added_at.isoformat(timespec="seconds"),
        "bundle": data.decode("utf-8"),
    }
    try:
        _write(folder, found, described)
    except OSError as e:
        raise _unwritable(folder, e) from e
    return added


def lists(folder: Path) -> list[TrustList]:
    """Every imported list, by kind and name; empty where the folder is not there.

    Raises
    ------
    ConfigError
        If one was altered since it was imported, or cannot be read.
    """
    try:
        paths = sorted(p for p in folder.iterdir() if re.fullmatch(r"[0-9a-f]{64}\.json", p.name))
    except FileNotFoundError:
        return []
    except OSError as e:
        raise ConfigError(f"the trust lists cannot be read: {e.strerror}", code="trust_list") from e
    return sorted((_read(p) for p in paths), key=lambda t: (t.kind, t.name, t.digest))


def load(folder: Path) -> dict[str, str]:
    """The anchors that the reader of credentials takes: ``capture`` and ``editor``, PEM text each, absent where empty."""
    found: dict[str, str] = {}
    everything = lists(folder)
    for kind in KINDS:
        certificates = {c.der: c for one in everything if one.kind == kind for c in one.certificates}
        if certificates:
            found[kind] = "".join(c.pem for c in certificates.values())
    return found


def remove(folder: Path, digest: str) -> str:
    """Remove the list whose digest begins with `digest` (8 digits or more); return its whole digest.

    A list that was altered can be removed too, so this reads names alone.

    Raises
    ------
    ConfigError
        If none or several begin like that.
    """
    wanted = digest.strip().lower()
    if len(wanted) < _SHORTEST or not re.fullmatch(r"[0-9a-f]+", wanted):
        raise ConfigError(
            f"name at least {_SHORTEST} digits of the digest",
            code="trust_digest",
            hint="See: assay trust list",
        )
    try:
        found = [p for p in folder.glob("*.json") if p.stem.startswith(wanted)]
        if len(found) == 1:
            found[0].unlink()
            return found[0].stem
    except OSError as e:
        raise _unwritable(folder, e) from e
    many = "several trust lists begin" if found else "no trust list begins"
    raise ConfigError(f"{many} with {wanted}", code="trust_digest", hint="See: assay trust list")


def _read(path: Path) -> TrustList:
    try:
        return _parsed(path.stem, path.read_bytes() if path.stat().st_size <= _FILE else b"")
    except (OSError, ValueError, KeyError, TypeError, ConfigError, RecursionError) as e:
        raise ConfigError(
            f"the trust list {path.stem[:12]} was altered or cannot be read ({e})",
            code="trust_list_altered",
            hint=f"Remove it and import it again: assay trust remove {path.stem[:12]}",
        ) from e


def _parsed(digest: str, data: bytes) -> TrustList:
    described: JSON = json.loads(data)
    bundle = str(described["bundle"]).encode()
    if sha256_of(bundle) != digest or described["kind"] not in KINDS:
        raise ValueError("its digest is another")
    kind, name = cast("Trusted", described["kind"]), str(described["name"])
    return TrustList(digest, kind, name, datetime.fromisoformat(described["added_at"]), read_bundle(bundle))


def _write(folder: Path, digest: str, described: JSON) -> None:
    """Write whole or not at all."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".adding-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(described, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(folder / f"{digest}.json")
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _unwritable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"the trust lists in {folder} cannot be changed: {error.strerror}",
        code="trust_folder",
        hint="Check the folder's owner, its mode and the free space.",
    )
