from __future__ import annotations

import io

import av
import numpy as np
import pytest

from assay.errors import AssayError, Failed
from assay.signatures import chromaprint
from assay.signatures.audio import (
    ITEM_S,
    LEAST,
    AudioPrint,
    Recordings,
    audio_print,
    match,
)
from assay.testing.clips import make_audio, tone
from assay.types import Reason

needs_library = pytest.mark.skipif(not chromaprint.available(), reason="libchromaprint1 is not installed")
RATE = 16000


def tune(seconds: float, seed: int = 0) -> np.ndarray:
    """Chords of three voices that change four times a second, shape (1, N)."""
    rng = np.random.default_rng(seed)
    step = RATE // 4
    t = np.arange(step) / RATE
    parts = []
    for _ in range(int(seconds * 4)):
        pitches = 220 * 2 ** (rng.integers(0, 24, 3) / 12)
        parts.append(sum(np.sin(2 * np.pi * p * t) + 0.4 * np.sin(4 * np.pi * p * t) for p in pitches))
    sound = np.concatenate(parts) * 0.15 + 0.01 * rng.standard_normal(step * int(seconds * 4))
    return sound[None].astype(np.float32)


def through(codec: str, container: str, samples: np.ndarray) -> list[tuple[int, np.ndarray]]:
    data = make_audio(codec, container=container, rate_hz=RATE, samples=samples)
    with av.open(io.BytesIO(data)) as opened:
        resampler = av.AudioResampler(format="fltp", layout="mono")
        frames = [r for f in opened.decode(audio=0) for r in resampler.resample(f)]
        return [(f.sample_rate, f.to_ndarray()) for f in frames]


def printed(blocks) -> AudioPrint:
    found = audio_print(blocks)
    assert isinstance(found, AudioPrint), found
    return found


def some_items(count: int, seed: int = 0) -> np.ndarray:
    """Items as like as those of real sound: a few bits change from one to the next."""
    rng = np.random.default_rng(seed)
    changes = np.where(rng.random((count, 32)) < 0.15, 1, 0)
    bits = np.cumsum(changes, axis=0) % 2
    return (bits << np.arange(32)).sum(axis=1).astype(np.uint32)


def worn(items: np.ndarray, share: float, seed: int = 0) -> np.ndarray:
    flips = np.random.default_rng(seed).random((len(items), 32)) < share
    return items ^ (flips << np.arange(32)).sum(axis=1).astype(np.uint32)


@needs_library
@pytest.mark.parametrize(("codec", "container"), [("libmp3lame", "mp3"), ("libopus", "ogg")])
def test_an_excerpt_is_found_after_a_codec_where_it_was_cut_out(codec: str, container: str) -> None:
    whole = tune(24)
    known = printed([(RATE, whole)])
    excerpt = whole[:, int(11.3 * RATE) : int(20.3 * RATE)]
    found = match(printed(through(codec, container, excerpt * 0.5)), known)
    assert found is not None
    assert found.offset_s == pytest.approx(11.3, abs=0.3)
    assert found.items >= 45
    assert found.errors < 0.2


@needs_library
def test_other_music_is_not_found() -> None:
    known = Recordings([(k, printed([(RATE, tune(10, seed=k))])) for k in range(2)])
    assert len(known) == 2
    assert known.search(printed([(RATE, tune(9, seed=9))])) == []


@needs_library
def test_the_fingerprint_does_not_depend_on_the_windows_it_came_in() -> None:
    whole = tune(12)
    windows = [(RATE, whole[:, a : a + 30_000]) for a in range(0, whole.shape[1], 30_000)]
    assert (printed(windows).items == printed([(RATE, whole)]).items).all()


@needs_library
def test_channels_are_averaged_and_samples_left_alone() -> None:
    whole = tune(10)
    stereo = np.concatenate([whole * 1.5, whole * 0.5])
    before = stereo.copy()
    stereo.flags.writeable = False
    assert (printed([(RATE, stereo)]).items == printed([(RATE, whole)]).items).mean() > 0.98
    assert (stereo == before).all()


@needs_library
@pytest.mark.parametrize(
    ("blocks", "code"),
    [
        ([], "too_short"),
        ([(RATE, np.zeros((1, 100), np.float32))], "too_short"),
        ([(RATE, tune(4))], "too_short"),
        ([(RATE, np.zeros((2, 12 * RATE), np.float32))], "too_even"),
        ([(RATE, tune(4)), (8000, tune(4))], "several_rates"),
        ([(1, tune(2))], "chromaprint_failed"),
    ],
)
def test_sound_without_a_fingerprint_has_a_reason(blocks, code: str) -> None:
    found = audio_print(blocks)
    assert isinstance(found, Reason)
    assert found.code == code
    assert found.text


@needs_library
def test_loud_and_broken_samples_are_cut_to_full_scale() -> None:
    loud = tune(10) * 100
    assert isinstance(audio_print([(RATE, loud)]), AudioPrint | Reason)


def test_without_the_library_the_reason_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chromaprint, "NAMES", ("libnothing-of-the-kind.so.1",))
    chromaprint._library.cache_clear()
    try:
        assert not chromaprint.available()
        found = audio_print([(RATE, tone(8))])
        with pytest.raises(AssayError, match="not installed"):
            chromaprint.raw_items([], RATE)
    finally:
        chromaprint._library.cache_clear()
    assert isinstance(found, Reason)
    assert found.code == "chromaprint"
    assert "libchromaprint1" in found.text


@needs_library
def test_a_rate_that_the_library_refuses_is_an_error() -> None:
    with pytest.raises(Failed, match="chromaprint refused sound at 0 Hz"):
        chromaprint.raw_items([], 0)


@pytest.mark.parametrize("errors", [0.0, 0.05, 0.15])
def test_an_excerpt_of_items_is_found_among_many_recordings(errors: float) -> None:
    known = Recordings([(100 + k, AudioPrint(some_items(400, seed=k))) for k in range(50)])
    excerpt = AudioPrint(worn(some_items(400, seed=31)[120:200], errors))
    found = known.search(excerpt)
    assert [m.key for m in found] == [131]
    assert found[0].offset_s == pytest.approx(120 * ITEM_S)
    assert found[0].items == 80
    assert found[0].errors == pytest.approx(errors, abs=0.03)


def test_a_known_recording_inside_a_longer_one_is_found_with_its_place() -> None:
    known = AudioPrint(some_items(60, seed=1))
    asked = AudioPrint(np.concatenate([some_items(200, seed=2), known.items, some_items(100, seed=3)]))
    found = match(asked, known)
    assert found is not None
    assert found.offset_s == pytest.approx(-200 * ITEM_S)
    assert found.items == 60


def test_only_the_stretch_that_agrees_is_reported() -> None:
    known = AudioPrint(some_items(300, seed=1))
    half = np.concatenate([known.items[100:160], some_items(140, seed=5)])
    found = match(AudioPrint(half), known)
    assert found is not None
    assert 55 <= found.items <= 72
    assert found.start_s == pytest.approx(100 * ITEM_S)


def test_less_than_three_seconds_is_too_little_to_agree() -> None:
    known = AudioPrint(some_items(300))
    assert match(AudioPrint(known.items[50 : 50 + LEAST - 1]), known) is None
    assert match(AudioPrint(known.items[50 : 50 + LEAST]), known) is not None


def test_two_excerpts_across_a_border_of_recordings_are_no_match() -> None:
    """Recordings lie end to end in the index, but nothing matches across."""
    a, b = some_items(100, seed=1), some_items(100, seed=2)
    across = np.concatenate([a[-20:], b[:20]])
    assert Recordings([(1, AudioPrint(a)), (2, AudioPrint(b))]).search(AudioPrint(across)) == []


def test_no_recordings_match_nothing() -> None:
    assert Recordings([]).search(AudioPrint(some_items(100))) == []


def test_a_hum_in_every_recording_does_not_drown_the_rest() -> None:
    hum = np.full(300, 0xABCD1234, np.uint32)
    known = Recordings([(k, AudioPrint(np.concatenate([hum, some_items(100, seed=k)]))) for k in range(5)])
    found = known.search(AudioPrint(np.concatenate([hum[:100], some_items(100, seed=3)])))
    assert found[0].key == 3
    assert found[0].items == 200
