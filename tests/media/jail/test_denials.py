"""See `test_a_refused_call_is_named_in_debug_mode` for the whole way."""

from __future__ import annotations

import pytest

from assay.media.jail import denials


@pytest.mark.parametrize(("value", "on"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_debugging_is_asked_for_by_the_environment(monkeypatch, value, on):
    monkeypatch.setenv("ASSAY_JAIL_DEBUG", value)
    assert denials.wanted() is on


def test_debugging_is_off_by_default(monkeypatch):
    monkeypatch.delenv("ASSAY_JAIL_DEBUG", raising=False)
    assert not denials.wanted()
