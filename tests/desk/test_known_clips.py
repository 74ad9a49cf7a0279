"""A clip and a recording are entered; a cut of the one and an excerpt of the other go through the screen's own lookups."""

from __future__ import annotations

import io
import os
from functools import cache

import av
import numpy as np
import pytest

from assay.desk.signatures import signatures_of
from assay.desk.taking import take_path
from assay.ingest.admission import admit_bytes
from assay.media.decoder import Packed, decoder
from assay.settings import Limits
from assay.signatures import chromaprint
from assay.signatures.entries import decoded, encoded
from assay.signatures.library import Known, Library
from assay.signatures.prints import CLIP, SOUND, restored
from assay.testing.clips import make_audio
from assay.testing.images import scene
from assay.traces import Tracer
from assay.types import Kind
from assay.zygotes import Zygotes

SIZE = 128, 96
RATE = 16000
needs_library = pytest.mark.skipif(not chromaprint.available(), reason="libchromaprint1 is not installed")


@pytest.fixture(scope="module")
def decoders():
    with Zygotes.start(Limits()) as zygotes:
        yield zygotes.decoders


def film(start_s: float, end_s: float, *, crf: int, seed: int = 0, gop: int = 25) -> bytes:
    """Every two seconds another scene, over which the camera moves; encoded at 25 frames a second."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "ultrafast"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.gop_size = gop
        for n in range(int((end_s - start_s) * 25)):
            at = start_s + n / 25
            still = _scene(seed * 1000 + int(at // 2))
            x = int(8 * (at % 2))
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(still[:, x : x + SIZE[0]]), format="rgb24"
            )
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return file.getvalue()


@cache
def _scene(seed: int) -> np.ndarray:
    return scene(SIZE[0] + 16, SIZE[1], seed=seed)


def tune(seconds: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    step = RATE // 4
    t = np.arange(step) / RATE
    parts = []
    for _ in range(int(seconds * 4)):
        pitches = 220 * 2 ** (rng.integers(0, 24, 3) / 12)
        parts.append(sum(np.sin(2 * np.pi * p * t) + 0.4 * np.sin(4 * np.pi * p * t) for p in pitches))
    return (np.concatenate(parts) * 0.15)[None].astype(np.float32)


def entered(decoders, tmp_path, data: bytes, kinds=(), about="known_fake") -> Library:
    path = tmp_path / "known"
    path.write_bytes(data)
    taken = take_path(decoders, os.fspath(path), Limits())
    made = [decoded(encoded(s)) for s in signatures_of(taken, about, kinds=kinds)]
    return Library(Known("local", s) for s in made)


def looked_up(decoders, library: Library, data: bytes, what: str) -> Tracer:
    """Do what the pipeline does with a clip's windows."""
    tracer = Tracer(library)
    with (
        admit_bytes(data, "asked", 1 << 30) as arrival,
        decoder(decoders, arrival.descriptor, Limits().as_json()) as worker,
    ):
        worker.open(what, **({"stream": 0} if what == "audio" else {}))
        for packed in worker.windows():
            if isinstance(packed, Packed):
                tracer.window(packed)
        tracer.close_clip()
        tracer.close_sound()
    return tracer


def codes(tracer: Tracer) -> list[str]:
    return [r.code for e in tracer.evidence for r in e.finding.reasons]


def test_a_cut_of_a_longer_clip_is_found_however_it_was_saved(decoders, tmp_path) -> None:
    library = entered(decoders, tmp_path, film(0, 20, crf=23), [Kind.FULL_SYNTHESIS])
    cut = looked_up(decoders, library, film(6.3, 14.1, crf=34), "video")
    assert codes(cut) == ["copy_of_known_fake"]
    (segment,) = cut.evidence[0].finding.segments
    assert segment.start_s < 1
    assert segment.end_s > 6
    assert cut.matched == [("local", library._clips[0].signature.id)]
    assert set(cut.prints) == {CLIP}
    assert restored(CLIP, cut.prints[CLIP]).codes.shape[1:] == (1, 4)
    assert codes(looked_up(decoders, library, film(0, 8, crf=30, seed=3), "video")) == []


def test_a_cut_of_a_clip_that_was_changed_in_part_is_held(decoders, tmp_path) -> None:
    library = entered(decoders, tmp_path, film(0, 12, crf=23), [Kind.FACE_SWAP])
    cut = looked_up(decoders, library, film(3, 10, crf=30), "video")
    assert codes(cut) == ["near_fake_unchecked"]
    assert 0 < cut.evidence[0].finding.score <= 2.3


@needs_library
def test_an_excerpt_of_a_recording_is_found_after_a_lossy_codec(decoders, tmp_path) -> None:
    whole = tune(40, seed=1)
    library = entered(decoders, tmp_path, make_audio(rate_hz=RATE, samples=whole), [Kind.SPEECH_SYNTHESIS])
    part = np.ascontiguousarray(whole[:, 12 * RATE : 24 * RATE]) * 0.6
    excerpt = make_audio("libmp3lame", container="mp3", rate_hz=RATE, samples=part)
    found = looked_up(decoders, library, excerpt, "audio")
    assert codes(found) == ["copy_of_known_fake"]
    assert set(found.prints) == {SOUND}
    other = make_audio(rate_hz=RATE, samples=tune(12, seed=5))
    assert codes(looked_up(decoders, library, other, "audio")) == []


def test_silence_has_no_fingerprint_and_no_match(decoders) -> None:
    quiet = make_audio(rate_hz=RATE, samples=np.zeros((1, 8 * RATE), np.float32))
    assert looked_up(decoders, Library(), quiet, "audio").prints == {}
