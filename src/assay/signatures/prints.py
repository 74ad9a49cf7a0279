"""Fingerprints as the record of a screening keeps them: bytes by format, so that a retrohunt needs no sample.

A picture keeps the codes of its eight orientations, a clip its frames' upright codes with their times, sound its items.
"""

from __future__ import annotations

import numpy as np

from assay.signatures import audio, pdq, video
from assay.signatures.audio import AudioPrint
from assay.signatures.codes import WORDS
from assay.signatures.pdq import ImagePrint
from assay.signatures.video import VideoPrint

Print = ImagePrint | VideoPrint | AudioPrint
PICTURE, CLIP, SOUND = pdq.FORMAT, video.FORMAT, audio.FORMAT
_FRAME = np.dtype([("time_ms", "<u4"), ("code", "<u8", (WORDS,))])


def stored(taken: Print) -> tuple[str, bytes]:
    """The format of a fingerprint and its bytes."""
    match taken:
        case ImagePrint():
            return PICTURE, bytes([taken.quality]) + taken.codes.astype("<u8").tobytes()
        case VideoPrint():
            rows = np.empty(len(taken.times_s), _FRAME)
            rows["time_ms"] = np.clip(np.rint(taken.times_s * 1000), 0, (1 << 32) - 1)
            rows["code"] = taken.codes[:, 0]
            return CLIP, rows.tobytes()
        case AudioPrint():
            return SOUND, taken.items.astype("<u4").tobytes()


def restored(name: str, data: bytes) -> Print:
    """Rebuild a fingerprint of the format `name`.

    Raises
    ------
    ValueError
        If the format is another, or the bytes are not of it.
    """
    if name == PICTURE and len(data) == 1 + 8 * 8 * WORDS:
        codes = np.frombuffer(data, "<u8", offset=1).astype(np.uint64).reshape(8, WORDS)
        return ImagePrint(codes, data[0])
    if name == CLIP and data and len(data) % _FRAME.itemsize == 0:
        rows = np.frombuffer(data, _FRAME)
        codes = np.ascontiguousarray(rows["code"].astype(np.uint64))[:, None]
        return VideoPrint(rows["time_ms"].astype(np.float64) / 1000, codes)
    if name == SOUND and data and len(data) % 4 == 0:
        return AudioPrint(np.frombuffer(data, "<u4").astype(np.uint32))
    raise ValueError(f"no fingerprint of the format {name[:40]!r}")
