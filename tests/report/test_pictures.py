from __future__ import annotations

import dataclasses
import io
import re

import made
import numpy as np
import pytest
from PIL import Image

from assay.report import pictures
from assay.types import Preview, Region, Segment


def test_a_picture_keeps_its_size_and_gets_its_marks_and_heat() -> None:
    (shot,) = pictures.shots(made.marked())
    assert (shot.width, shot.height) == (120, 90)
    assert [(m.detector, m.counted) for m in shot.marks] == [("jpeg_grid", True)]
    with Image.open(io.BytesIO(shot.heat)) as heat:
        alpha = np.asarray(heat.convert("RGBA"))[..., 3]
    assert alpha[15, 20] == 255
    assert alpha[50, 70] == 0


def test_a_small_hot_spot_survives_a_large_map() -> None:
    heat = np.zeros((512, 400), np.uint8)
    heat[300, 200] = 255
    made_of = made.evidence(heat=heat, llr=2.0)
    (shot,) = pictures.shots(
        made.screening(of=made.verdict(evidence=(made_of,)), preview=Preview((made.noise(64, 50),)))
    )
    with Image.open(io.BytesIO(shot.heat)) as png:
        assert max(png.size) <= 180
        assert np.asarray(png.convert("RGBA"))[..., 3].max() == 255


def test_noise_in_a_heat_map_stays_small() -> None:
    heat = made.noise(512, 512)[..., 0]
    one = made.screening(
        of=made.verdict(evidence=(made.evidence(heat=heat),)), preview=Preview((made.noise(8, 8),))
    )
    assert len(pictures.shots(one)[0].heat) < 20_000


@pytest.mark.parametrize(
    ("llr", "regions", "shown"), [(2.0, 0, True), (None, 1, True), (None, 0, False), (-1.0, 1, False)]
)
def test_heat_is_shown_only_where_it_accuses(llr: float | None, regions: int, *, shown: bool) -> None:
    box = Region.box(0, 0, 4, 4, width=64, height=48)
    e = made.evidence(llr=llr, heat=np.full((4, 4), 99, np.uint8), regions=(box,) * regions)
    (shot,) = pictures.shots(
        made.screening(of=made.verdict(evidence=(e,)), preview=Preview((made.noise(48, 64),)))
    )
    assert bool(shot.heat) is shown
    assert all(not m.counted for m in shot.marks if llr is None)


def test_a_frame_carries_its_own_regions_and_only_the_strongest_the_heat() -> None:
    shots = pictures.shots(made.clip())
    assert [len(s.marks) for s in shots] == [0, 0, 1, 0]
    assert [bool(s.heat) for s in shots] == [False, False, True, False]
    assert [s.time_s for s in shots] == [0.0, 2.0, 4.0, 6.0]


def test_many_frames_are_thinned_and_made_small() -> None:
    preview = Preview(
        tuple(made.noise(360, 480, k % 3) for k in range(40)), tuple(float(k) for k in range(40))
    )
    shots = pictures.shots(made.screening(preview=preview))
    assert len(shots) == 16
    assert (shots[0].time_s, shots[-1].time_s) == (0.0, 39.0)
    assert max(shots[0].width, shots[0].height) == 240


@pytest.mark.parametrize(("size", "pixels"), [((60, 50), 100), ((120, 100), 160), ((480, 360), 360)])
def test_a_small_picture_is_enlarged_to_twice_its_size_at_most(size: tuple[int, int], pixels: int) -> None:
    shots = pictures.shots(made.screening(preview=Preview((made.noise(*size),))))
    assert f"width:min(100%,{pixels}px," in pictures.figure(shots, "x", "x")


def test_a_tall_picture_is_at_most_28_rem_high() -> None:
    shots = pictures.shots(made.screening(preview=Preview((made.noise(480, 120),))))
    rem = float(re.search(r"px,([\d.]+)rem", pictures.figure(shots, "x", "x"))[1])
    assert rem * 480 / 120 <= 28.01


def test_every_picture_has_words_and_every_mark_a_legend() -> None:
    html = pictures.figure(pictures.shots(made.marked()), "x", "a.jpg")
    assert 'alt="Small picture of a.jpg, 1 region marked, with a heat map"' in html
    assert "Solid outline: 1 region marked by jpeg grid" in html
    assert "Red: where jpeg grid sees its trace most strongly" in html
    assert 'alt="Small picture of v.mp4 at 0:04.0' in pictures.figure(
        pictures.shots(made.clip()), "v", "v.mp4"
    )


def test_a_polygon_of_any_length_stays_short() -> None:
    region = Region(tuple((float(k), float(k % 7)) for k in range(5000)), 64, 48)
    odd = Region(((0.0, 0.0), (float("nan"), 1.0), (5.0, 5.0)), 64, 48)
    e = made.evidence(regions=(region, odd))
    html = pictures.figure(
        pictures.shots(
            made.screening(of=made.verdict(evidence=(e,)), preview=Preview((made.noise(48, 64),)))
        ),
        "x",
        "x",
    )
    assert len(html.split("<svg", 1)[1]) < 5000
    assert "nan" not in html


def test_a_time_line_shows_every_detector_and_instants_wide_enough_to_see() -> None:
    one = made.clip()
    assert one.verdict is not None
    aside = made.evidence("vocoder", None, segments=(Segment(1.0, 3.0, 0.5), Segment(5.0, 8.0)))
    html = pictures.timeline([*one.verdict.evidence, aside, made.evidence("silent")], 8.0)
    assert html.count("<svg") == 2
    assert "strongest at 0:04.0" in html
    assert "not counted" in html
    assert min(float(w) for w in re.findall(r'width="([\d.]+)"', html)) >= 9
    assert pictures.timeline(one.verdict.evidence, 0.0) == ""


def test_a_gauge_says_in_words_what_it_draws() -> None:
    assert "Evidence +3.00 points" in pictures.gauge(3.0, 2.0)
    assert "threshold 2.00" in pictures.gauge(3.0, 2.0)
    assert "no threshold was measured" in pictures.gauge(-99.0, None)
    assert 'width="50.0"' in pictures.gauge(-99.0, None)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0:00.0"), (59.97, "1:00.0"), (61.25, "1:01.2"), (3725, "1:02:05.0"), (-1, "0:00.0")],
)
def test_times_read_as_clocks(seconds: float, shown: str) -> None:
    assert pictures.clock(seconds) == shown


def test_no_preview_means_no_picture() -> None:
    assert pictures.shots(made.screening()) == []
    assert pictures.shots(dataclasses.replace(made.screening(), preview=Preview(()))) == []
