"""Most tests of the bench decode in their own process: what the jail does is tested elsewhere."""

from __future__ import annotations

import pytest
from unjailed import NoZygote, decoder_here

from assay.bench import cells, shortcuts


@pytest.fixture
def unjailed(monkeypatch) -> None:
    for module in (cells, shortcuts):
        monkeypatch.setattr(module, "decoder", decoder_here)
        monkeypatch.setattr(module, "Zygote", NoZygote)
