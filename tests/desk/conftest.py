from __future__ import annotations

import os
from dataclasses import replace

import pytest
from pyrage import x25519

from assay.action.identity import Recipients
from assay.desk.stores import Deed, Stores
from assay.settings import Paths, Settings
from screenings import screened


@pytest.fixture
def settings(tmp_path):
    return Settings(Paths(tmp_path / "data", tmp_path / "cache"))


@pytest.fixture
def stores(settings):
    with Stores.open(settings) as opened:
        yield opened


@pytest.fixture
def deed():
    return Deed("ann", "for the test")


@pytest.fixture
def identity(settings):
    """An identity without the slow protection, and the quarantine's keys made of it."""
    made = x25519.Identity.generate()
    folder = settings.paths.quarantine / "keys"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "recipients.txt").write_text(f"{made.to_public()}\n")
    return made


@pytest.fixture
def screening():
    return screened


@pytest.fixture
def taken(stores, identity, tmp_path, screening):
    """Quarantine a file as a screening does: take it, then record it. Returns the holding."""

    def take(name="a.jpg", content=b"content", **more):
        path = tmp_path / "inbox" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o640)
        one = screening(str(path), content, **more)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            done = stores.quarantine.take(descriptor, str(path), one.sample, {})
        finally:
            os.close(descriptor)
        assert done.removed
        stores.records.add([replace(one, quarantine_id=done.quarantine_id)])
        return stores.quarantine.vault.find(done.quarantine_id)

    return take


@pytest.fixture
def other():
    identity = x25519.Identity.generate()
    return identity, Recipients((str(identity.to_public()),))
