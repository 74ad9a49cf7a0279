from __future__ import annotations

import numpy as np
import pytest

from assay.media import scans


def split(data, *, restarts):
    source = np.frombuffer(bytearray(data), np.uint8)
    out = np.zeros(len(data) * 2 + 16, np.uint8)
    parts = np.zeros((8, 3), np.int64)
    at, count = scans.unstuffed(source, 0, out, parts, restarts)
    return at, [out[f * 4 : e // 8].tobytes() for f, e, _ in parts[:count]], parts[:count, 2].tolist()


def test_stuffing_is_taken_out_and_the_next_marker_ends_it():
    assert split(b"\x01\xff\x00\x02\xff\xd9\x03", restarts=False) == (4, [b"\x01\xff\x02"], [-1])


def test_restart_markers_begin_new_parts_on_words_of_their_own():
    at, parts, numbers = split(b"\x01\xff\xd0\x02\x03\xff\xd1\xff\xda", restarts=True)
    assert (at, parts, numbers) == (7, [b"\x01", b"\x02\x03", b""], [-1, 0, 1])


def test_a_restart_marker_without_an_interval_ends_the_scan():
    assert split(b"\x01\xff\xd0\x02", restarts=False)[1] == [b"\x01"]


@pytest.mark.parametrize("data", [b"", b"\xff", b"\x01\xff", b"\xff\xff\xff"])
def test_data_that_break_off_end_the_scan(data):
    at, parts, _ = split(data, restarts=True)
    assert at <= len(data)
    assert b"".join(parts) == data.rstrip(b"\xff")


def test_zigzag_visits_every_place_once():
    assert sorted(scans.ZIGZAG.tolist()) == list(range(64))
    assert scans.ZIGZAG[1] == 1  # to the right first
    assert scans.ZIGZAG[2] == 8
