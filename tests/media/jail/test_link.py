from __future__ import annotations

import time

import pytest

from assay.errors import JailError
from assay.media.jail.link import Gone, Link
from assay.media.jail.profile import DECODER


def start(prepare="", serve="jailed:handle", path=()):
    profile = DECODER.serving(serve).as_json()
    return Link({"prepare": prepare, "profile": profile, "path": list(path), "watched": False})


def test_starting_does_not_wait_and_closing_does_not_either():
    began = time.monotonic()
    link = start("time:sleep")  # sleep without an argument fails, later
    link.close()
    assert time.monotonic() - began < 2
    with pytest.raises(Gone):
        link.request({"spawn": True}, timeout_s=1)


def test_the_last_words_are_told_again_and_again():
    link = start("no_such_module:prepare")
    for _ in range(2):
        with pytest.raises(JailError, match="no_such_module"):
            link.wait_until_ready()
    assert not link.was_ready
    link.close()


def test_a_module_in_the_working_directory_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('hostile')")
    (tmp_path / "numpy.py").write_text("raise SystemExit('hostile')")
    monkeypatch.chdir(tmp_path)
    link = start("json:JSONDecoder", serve="json:loads")
    assert link.wait_until_ready()["threads"] == 1
    link.close()
