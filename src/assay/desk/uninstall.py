"""Removing everything that Assay stored. Only what Assay itself puts into its folders goes: a folder that a mistaken
setting shares with other things loses none of them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assay.action.vault import Vault

if TYPE_CHECKING:
    from assay.settings import Settings

OWN = ("assay.db*", "quarantine", "media", "pictures", "models", "trust", "spool", "backups", "before-restore-*",
       "restoring-*", "config-from-backup")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Belonging:
    """One thing that goes, with its size and what it is."""

    path: Path
    size: int
    text: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """All that goes, and how many media lie in quarantine: perhaps the only copies."""

    belongings: tuple[Belonging, ...]
    quarantined: int
    emptied: tuple[Path, ...]  # folders that go if nothing else is in them

    @property
    def size(self) -> int:
        return sum(b.size for b in self.belongings)


def inventory(settings: Settings) -> Inventory:
    """List what `remove` would remove."""
    paths = settings.paths
    found = {path: "stored data" for pattern in OWN for path in sorted(paths.data.glob(pattern))}
    if paths.cache.name == "assay" and paths.cache.is_dir():
        found[paths.cache] = "cache"
    for file in paths.config:
        if os.access(file.parent, os.W_OK):
            found[file] = "configuration"
    belongings = tuple(Belonging(path, _size(path), text) for path, text in found.items())
    folders = dict.fromkeys([paths.data, *(file.parent for file in paths.config)])
    return Inventory(belongings, len(Vault(paths.quarantine).holdings()), tuple(folders))


def remove(listed: Inventory) -> list[str]:
    """Remove what was listed; returns what could not be removed, and why."""
    problems = []
    for belonging in listed.belongings:
        try:
            if belonging.path.is_dir() and not belonging.path.is_symlink():
                shutil.rmtree(belonging.path)
            else:
                belonging.path.unlink(missing_ok=True)
        except OSError as e:
            problems.append(f"{belonging.path}: {(e.strerror or str(e)).lower()}")
    for folder in listed.emptied:
        if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
            folder.rmdir()
    return problems


def _size(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        return sum(p.lstat().st_size for p in path.rglob("*") if not p.is_dir())
    return path.lstat().st_size
