from __future__ import annotations

import pytest
from gateways import Gateway, gateway


@pytest.fixture
def gate(tmp_path) -> Gateway:
    with gateway(tmp_path) as running:
        yield running
