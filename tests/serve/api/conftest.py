from __future__ import annotations

import pytest
from gateways import Gateway, gateway


@pytest.fixture(scope="module")
def gate(tmp_path_factory) -> Gateway:
    """One for all tests of a file: each has keys of its own, and what they hand in is theirs alone."""
    with gateway(tmp_path_factory.mktemp("gate")) as running:
        yield running


@pytest.fixture
def fresh(tmp_path) -> Gateway:
    """One of its own for a test that counts, fills or breaks."""
    with gateway(tmp_path) as running:
        yield running
