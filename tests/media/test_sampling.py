from __future__ import annotations

import itertools

import numpy as np
import pytest

from assay.media.sampling import FLOOR, SHARE, planned


def video(seconds, *, fps=25, gop=25):
    n = round(seconds * fps)
    times = np.arange(n) / fps
    return times, np.arange(n) % gop == 0


def chosen(groups):
    return [t for g in groups for t in g.times]


def test_key_frames_alone_are_taken_every_two_seconds():
    groups = planned(*video(120, gop=25), most=4096)
    assert all(g.first == g.last for g in groups)
    assert np.allclose(np.diff(chosen(groups)), 2.0)


def test_dense_key_frames_of_a_short_clip_give_sixteen():
    groups = planned(*video(3, gop=1), most=4096)
    assert len(chosen(groups)) == 16
    assert np.ptp(np.diff(chosen(groups))) < 0.05


def test_few_key_frames_are_supplemented_to_sixteen():
    groups = planned(*video(30, gop=250), most=4096)
    assert len(chosen(groups)) == 16
    assert len(groups) == 3


def test_frames_between_key_frames_cost_no_more_than_the_budget():
    times, keys = video(600, gop=10**6)
    groups = planned(times, keys, most=4096)
    decoded = sum(g.last - g.first + 1 for g in groups)
    assert decoded <= max(FLOOR, SHARE * times.size) + 2
    assert len(chosen(groups)) == 16


def test_a_clip_of_a_few_frames_is_taken_whole():
    groups = planned(*video(0.2), most=4096)
    assert chosen(groups) == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


def test_no_more_frames_than_allowed():
    assert len(chosen(planned(*video(600, gop=5), most=50))) <= 50
    assert len(chosen(planned(*video(600, gop=5), most=3))) <= 3
    assert planned(*video(10), most=0) == ()


def test_no_packets_give_no_groups():
    assert planned(np.zeros(0), np.zeros(0, np.bool_), most=10) == ()


def test_without_any_key_frame_the_first_packet_is_one():
    times, keys = video(4)
    assert planned(times, np.zeros_like(keys), most=100)[0].first == 0


def test_frames_shown_before_their_key_frame_are_not_wanted():
    times = np.array([0, 0.12, 0.04, 0.08, 0.24, 0.16, 0.20, 0.28])
    keys = np.array([1, 0, 0, 0, 1, 0, 0, 0], np.bool_)
    groups = planned(times, keys, most=100)
    assert groups[1].times == (0.24, 0.28)


def test_groups_come_in_order_and_do_not_overlap():
    groups = planned(*video(40, gop=200), most=4096)
    assert all(a.last < b.first for a, b in itertools.pairwise(groups))


def test_times_that_all_are_equal_do_no_harm():
    groups = planned(np.zeros(50), np.ones(50, np.bool_), most=4096)
    assert 1 <= len(chosen(groups)) <= 50


def test_frames_that_are_not_shown_are_not_wanted_but_decoded_for_others():
    times, keys = video(4, gop=50)
    shown = times >= 0.4
    groups = planned(times, keys, most=4096, shown=shown)
    assert groups[0].first == 0
    assert min(chosen(groups)) >= 0.4
    assert len(chosen(groups)) == 16
    assert planned(times, keys, most=100, shown=np.zeros_like(keys)) == ()
