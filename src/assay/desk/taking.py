"""A sample's fingerprint and pixels, decoded in the jail: for what people say is fake or an original."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import Failed, Unsupported
from assay.ingest.admission import Arrival, admit_descriptor
from assay.media.decoder import Packed, decoder
from assay.media.identify import family_of, identify
from assay.media.jail.arena import read_arena
from assay.media.views import AudioClip, Image, VideoClip, expect
from assay.signatures import pdq, video
from assay.signatures.audio import AudioPrint, SoundPrinter
from assay.signatures.pdq import ImagePrint
from assay.signatures.prints import Print
from assay.signatures.video import VideoPrint
from assay.types import Reason

if TYPE_CHECKING:
    from assay.action.vault import Holding
    from assay.desk.stores import Stores
    from assay.media.decoder import Decoder
    from assay.media.jail.process import Zygote
    from assay.settings import Limits
    from assay.signatures.codes import Codes


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """What was taken of one sample."""

    sha256: str
    media_type: str
    prints: tuple[Print, ...]  # a film has two: of its frames and of its sound
    pixels: NDArray[np.uint8] | None  # (H, W, 3), upright, of a picture
    reasons: tuple[Reason, ...]  # why there is no fingerprint


def take_path(decoders: Zygote, path: str, limits: Limits) -> Taken:
    """Take a file.

    Raises
    ------
    SampleError
        If it cannot be read or decoded, or is of no kind that has fingerprints.
    """
    from assay.ingest.admission import admit_path

    with admit_path(path, limits.size_bytes) as arrival:
        return take(decoders, arrival, limits)


def take_held(
    stores: Stores, holding: Holding, identities: Sequence[Any], decoders: Zygote, limits: Limits
) -> Taken:
    """Take a content in quarantine. Its plaintext lies in memory only, while it is decoded."""
    with _decrypted(stores, holding, identities) as descriptor:
        os.lseek(descriptor, 0, os.SEEK_SET)
        with admit_descriptor(descriptor, holding.id, limits.size_bytes) as arrival:
            return take(decoders, arrival, limits)


def take(decoders: Zygote, arrival: Arrival, limits: Limits) -> Taken:
    """Take what was admitted."""
    media_type = identify(arrival.head, arrival.tail, arrival.size)
    family = family_of(media_type)
    found: list[Print | Reason] = []
    pixels = None
    with decoder(decoders, arrival.descriptor, limits.as_json()) as worker:
        if family == "image":
            taken, pixels = _picture(worker)
            found.append(taken)
        elif family == "audio":
            found.append(_sound(worker))
        elif family == "video":
            found += [_frames(worker), _sound(worker, optional=True)]
        else:
            raise Unsupported(f"{media_type} has no fingerprint; its digest is known")
    prints = tuple(p for p in found if not isinstance(p, Reason))
    return Taken(arrival.sha256, media_type, prints, pixels, tuple(r for r in found if isinstance(r, Reason)))


def _picture(worker: Decoder) -> tuple[ImagePrint | Reason, NDArray[np.uint8]]:
    with worker.pixels() as packed:
        view = expect(Image, packed.view, read_arena(packed.arena_fd, packed.used))
        return pdq.image_print(view), np.array(view.upright)


def _frames(worker: Decoder) -> VideoPrint | Reason:
    """A frame every quarter of a second, so that cuts are found wherever they begin."""
    try:
        worker.open("video", every_s=video.SPACING_S)
    except Failed as e:
        return Reason(e.code, e.message)
    times: list[float] = []
    codes: list[Codes] = []
    seen = 0
    for packed in worker.windows():
        if isinstance(packed, Packed):
            clip = expect(VideoClip, packed.view, read_arena(packed.arena_fd, packed.used))
            for frame in clip.frames[: video.LONGEST - seen]:
                seen += 1
                one = pdq.image_print(frame)
                if isinstance(one, ImagePrint):
                    times.append(float(frame.time_s))
                    codes.append(one.codes)
    if not codes:
        return Reason("no_frames", f"None of its {seen} frames has enough structure for a fingerprint.")
    order = np.argsort(times, kind="stable")
    return VideoPrint(np.array(times, np.float64)[order], np.stack(codes)[order]).stored()


def _sound(worker: Decoder, *, optional: bool = False) -> AudioPrint | Reason:
    opened = worker.open("audio", stream=0, optional=optional)
    if not opened.get("audio_streams", 1):
        return Reason("no_sound", "It has no sound.")
    with SoundPrinter() as printer:
        for packed in worker.windows():
            if isinstance(packed, Packed):
                clip = expect(AudioClip, packed.view, read_arena(packed.arena_fd, packed.used))
                printer.feed(clip.rate_hz, clip.samples)
        return printer.finish()


@contextmanager
def _decrypted(stores: Stores, holding: Holding, identities: Sequence[Any]) -> Iterator[int]:
    descriptor = os.memfd_create("held", os.MFD_CLOEXEC)
    try:
        stores.quarantine.vault.open(holding, descriptor, identities)
        yield descriptor
    finally:
        os.close(descriptor)
