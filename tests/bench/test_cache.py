from __future__ import annotations

import pytest

from assay.bench.cache import Cache, Key, Result
from assay.errors import AssayError
from assay.types import Outcome

SAMPLE, OTHER = "a" * 64, "b" * 64
KEY = Key(SAMPLE, "jpeg75/1/0", "brightness/1")
RESULT = Result(Outcome.SCORED, 0.1 + 0.2, ("planted",), "c" * 64, 96, 64, 75, 0.5, 0.01)


def kept(folder, key=KEY, result=RESULT):
    cache = Cache(folder, {key.sample})
    cache.add(key, result)
    cache.close()


def test_what_was_kept_is_found_to_the_last_bit(tmp_path):
    kept(tmp_path)
    assert Cache(tmp_path, {SAMPLE}).find(KEY) == RESULT
    assert Cache(tmp_path, {SAMPLE}).find(Key(SAMPLE, "jpeg75/1/0", "brightness/2")) is None


def test_failures_of_older_runs_are_not_found(tmp_path):
    kept(tmp_path, result=Result(Outcome.FAILED, None, ("unreadable",), problem="no such file"))
    assert Cache(tmp_path, {SAMPLE}).find(KEY) is None
    assert Cache(tmp_path, {SAMPLE}, failures=True).find(KEY) is not None


def test_a_result_wins_over_a_failure_whichever_file_is_read_last(tmp_path):
    for name, result in (("1", RESULT), ("9", Result(Outcome.FAILED, None, ()))):
        kept(tmp_path / name, result=result)
        (file,) = (tmp_path / name).iterdir()
        file.rename(tmp_path / f"{name}.scores")
    assert Cache(tmp_path, {SAMPLE}, failures=True).find(KEY) == RESULT


def test_only_samples_that_are_asked_for_are_read(tmp_path):
    kept(tmp_path)
    kept(tmp_path, Key(OTHER, "as_is", "brightness/1"))
    assert len(Cache(tmp_path, {OTHER})) == 1


def test_a_torn_last_line_is_passed_over(tmp_path):
    kept(tmp_path)
    (file,) = tmp_path.iterdir()
    line = file.read_bytes()
    for length in (1, 30, 70, len(line) - 1):
        file.write_bytes(line + line[:length])
        assert len(Cache(tmp_path, {SAMPLE})) == 1
    file.write_bytes(line[:-1])
    assert len(Cache(tmp_path, {SAMPLE})) == 0


def test_lines_of_another_form_are_passed_over(tmp_path):
    kept(tmp_path)
    (file,) = tmp_path.iterdir()
    strange = (b"[]", b"{}", b"\xff\xfe", b'{"laundering": 1}', b"")
    file.write_bytes(file.read_bytes() + b"".join(SAMPLE.encode() + b" " + s + b"\n" for s in strange))
    assert Cache(tmp_path, {SAMPLE}).find(KEY) == RESULT


def test_processes_write_beside_each_other(tmp_path):
    first, second = Cache(tmp_path, {SAMPLE}), Cache(tmp_path, {SAMPLE})
    first.add(KEY, RESULT)
    second.add(Key(SAMPLE, "half/1/0", "brightness/1"), RESULT)
    first.close()
    second.close()
    assert len(list(tmp_path.iterdir())) == 2
    assert len(Cache(tmp_path, {SAMPLE})) == 2


def test_a_run_that_adds_nothing_leaves_no_file(tmp_path):
    Cache(tmp_path / "new", {SAMPLE}).close()
    assert list((tmp_path / "new").iterdir()) == []


def test_a_cache_that_cannot_be_used_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(AssayError, match="cache in") as caught:
        Cache(tmp_path / "file", set())
    assert "--cache" in caught.value.hint
