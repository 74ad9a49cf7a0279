from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from pyrage import x25519

from assay.cli import root
from assay.desk.stores import Stores
from assay.settings import Paths, Settings
from assay.types import Label
from screenings import screened


@dataclass(frozen=True)
class Installation:
    """An installation with its own folders, and the command line on it."""

    folder: Path
    settings: Settings
    key: Path

    def run(self, *arguments, code=0, stdin=""):
        result = CliRunner().invoke(
            root, [str(a) for a in arguments], input=stdin, standalone_mode=False, env=self.environ()
        )
        if isinstance(code, type):
            assert isinstance(result.exception, code), result.exception or result.output
            return result
        assert result.exception is None, (result.exception, result.output)
        assert (result.return_value or 0) == code, result.output
        return result

    def environ(self):
        paths = self.settings.paths
        return {
            "ASSAY_PATHS_DATA": str(paths.data),
            "ASSAY_PATHS_CACHE": str(paths.cache),
            "HOME": str(self.folder / "home"),
            "XDG_CONFIG_HOME": str(self.folder / "home" / ".config"),
            "ASSAY_CONFIG": None,
            "ASSAY_PASSPHRASE": None,
            "SUDO_USER": "ann",
        }

    def add(self, path="a.jpg", content=b"content", *, at=None, label=Label.FAKE, source="", take=False):
        """Store a screening, and with `take` quarantine its file; returns the screening."""
        one = screened(
            path, content, at=at, label=label, source=source, reason="The grid is shifted.\x1b[31m"
        )
        with Stores.open(self.settings) as stores:
            if take:
                one = replace(one, quarantine_id=self._take(stores, one, path, content))
            stores.records.add([one])
        return one

    def _take(self, stores, one, path, content):
        with open(path, "wb") as file:
            file.write(content)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return stores.quarantine.take(descriptor, str(path), one.sample, {}).quarantine_id
        finally:
            os.close(descriptor)


@pytest.fixture
def installation(tmp_path):
    identity = x25519.Identity.generate()
    data = tmp_path / "data"
    keys = data / "quarantine" / "keys"
    keys.mkdir(parents=True)
    (keys / "recipients.txt").write_text(f"{identity.to_public()}\n")
    key = tmp_path / "key.txt"
    key.write_text(f"{identity}\n")
    (tmp_path / "home").mkdir()
    (tmp_path / "inbox").mkdir()
    return Installation(tmp_path, Settings(Paths(data, tmp_path / "home" / ".cache" / "assay")), key)
