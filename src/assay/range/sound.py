"""What happens to sound on its way: plain PCM, MP3, Opus, a telephone line of 8 kHz; written in memory by FFmpeg."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from assay.range.laundering import Laundered, draws, names, unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

MP3_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True, slots=True)
class _Form:
    container: str
    codec: str
    samples: str  # FFmpeg's name of the encoder's sample format
    media_type: str
    bit_rates: tuple[int, ...] = ()  # bits a second, one is drawn
    rate_hz: int | None = None  # None: the sound's own


FORMS = {
    "wav": _Form("wav", "pcm_s16le", "s16", "audio/wav"),
    "mp3": _Form("mp3", "libmp3lame", "s16p", "audio/mpeg", (64_000, 96_000, 128_000)),
    "opus": _Form("ogg", "libopus", "flt", "audio/ogg", (16_000, 24_000, 32_000), 48_000),
    "narrow": _Form("wav", "pcm_mulaw", "s16", "audio/wav", (), 8_000),
}


def launder_audio(samples: NDArray[np.float32], rate_hz: int, name: str, *, seed: int) -> Laundered:
    """Send sound through one laundering.

    Parameters
    ----------
    samples : ndarray of float32, shape (C, N)
        Full scale 1; beyond it is clipped. More than two channels are mixed to one. Not modified.
    rate_hz : int
        Samples a second.
    name : str
        One of ``names("audio")``: wav (16 bits, same rate), mp3 (64-128 kbit/s), opus (16-32 kbit/s), narrow
        (8 kHz, mu-law, as on a telephone line).
    seed : int
        The bit rate is drawn from it and the name.

    Raises
    ------
    AssayError
        If there is no such laundering.
    ValueError
        If there are no samples, or the shape or rate is wrong.
    """
    if name not in names("audio"):
        raise unknown(name, "audio")
    if samples.ndim != 2 or 0 in samples.shape or rate_hz <= 0:
        raise ValueError(f"samples are (C, N) at a positive rate, not {samples.shape} at {rate_hz}")
    form = FORMS[name]
    sound = samples if samples.shape[0] <= 2 else samples.mean(axis=0, keepdims=True)
    sound = np.clip(np.nan_to_num(sound), -1, 1).astype(np.float32)
    bit_rate = int(draws(name, seed).choice(form.bit_rates)) if form.bit_rates else None
    rate_out = form.rate_hz or rate_hz
    if name == "mp3":
        rate_out = min(MP3_HZ, key=lambda hz: abs(hz - rate_hz))
    return Laundered(_encoded(sound, rate_hz, form, rate_out, bit_rate), form.media_type)


def _encoded(
    sound: NDArray[np.float32], rate_hz: int, form: _Form, rate_out: int, bit_rate: int | None
) -> bytes:
    import av

    layout = "mono" if sound.shape[0] == 1 else "stereo"
    frame: Any = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound), format="fltp", layout=layout)
    frame.sample_rate = rate_hz
    file = io.BytesIO()
    # Bit-exact: no version of the library and no random serial number in the file.
    with av.open(file, "w", format=form.container, options={"fflags": "+bitexact"}) as container:
        stream: Any = container.add_stream(form.codec, rate=rate_out)
        stream.codec_context.layout = layout
        stream.codec_context.format = form.samples
        stream.codec_context.options = {"flags": "+bitexact"}
        if bit_rate is not None:
            stream.codec_context.bit_rate = bit_rate
        stream.codec_context.open()
        # PCM takes frames of any length and says 0 here; the others take only their own.
        resampler = av.AudioResampler(
            form.samples, layout, rate_out, frame_size=stream.codec_context.frame_size or None
        )
        for given in (frame, None):
            for ready in resampler.resample(given):
                container.mux(stream.encode(ready))
        container.mux(stream.encode(None))
    return file.getvalue()
