"""What one sample leaves behind beside findings: its fingerprints, and the known media that it is near to.

Pixels and samples are read where the pipeline runs, out of the arenas that decoders filled: nothing of a sample's own
format is parsed here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from assay.media.jail.arena import read_arena
from assay.media.views import AudioClip, Image, VideoClip, expect
from assay.signatures import matching, pdq
from assay.signatures.audio import AudioPrint, SoundPrinter
from assay.signatures.library import Library
from assay.signatures.pdq import ImagePrint
from assay.signatures.prints import Print, stored
from assay.signatures.video import LONGEST, VideoPrint
from assay.types import Evidence, Traces

if TYPE_CHECKING:
    from assay.media.decoder import Packed
    from assay.signatures.codes import Codes
    from assay.signatures.matching import Matched


DECIDED = frozenset({"shows_known_fake"})


@dataclass(slots=True)
class Tracer:
    """Fingerprints one sample and looks it up in the library that was in force when its screening began."""

    library: Library
    prints: dict[str, bytes] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    matched: list[tuple[str, str]] = field(default_factory=list)
    elapsed_s: float = 0.0
    _frames: list[tuple[float, Codes]] = field(default_factory=list)
    _sound: SoundPrinter | None = None

    def picture(self, packed: Packed) -> None:
        """Take a decoded picture."""
        started = time.perf_counter()
        view = expect(Image, packed.view, read_arena(packed.arena_fd, packed.used))
        taken = pdq.image_print(view)
        if isinstance(taken, ImagePrint):
            self._keep(taken)
            self._note(matching.of_picture(self.library, taken, view.upright), started)
        self.elapsed_s += time.perf_counter() - started

    @property
    def is_decided(self) -> bool:
        """Does it show a known fake's content? Nothing else could change the verdict then."""
        return any(r.code in DECIDED for e in self.evidence for r in e.finding.reasons)

    def window(self, packed: Packed) -> None:
        """Take a window of a clip's frames, or of sound; `close_clip` and `close_sound` come when all are there."""
        started = time.perf_counter()
        if "frames" in packed.view:
            self._take_frames(expect(VideoClip, packed.view, read_arena(packed.arena_fd, packed.used)))
        else:
            clip = expect(AudioClip, packed.view, read_arena(packed.arena_fd, packed.used))
            self._sound = self._sound or SoundPrinter()
            self._sound.feed(clip.rate_hz, clip.samples)
        self.elapsed_s += time.perf_counter() - started

    def close_clip(self) -> None:
        """Look up the frames that were taken."""
        started = time.perf_counter()
        if self._frames:
            times, codes = zip(*sorted(self._frames, key=lambda f: f[0]), strict=True)
            clip = VideoPrint(np.array(times, np.float64), np.stack(codes))
            self._keep(clip)
            self._note(matching.of_clip(self.library, clip), started)
        self._frames.clear()
        self.elapsed_s += time.perf_counter() - started

    def close_sound(self) -> None:
        """Look up the sound that was taken."""
        if self._sound is None:
            return
        started = time.perf_counter()
        with self._sound as printer:
            taken = printer.finish()
        self._sound = None
        if isinstance(taken, AudioPrint):
            self._keep(taken)
            self._note(matching.of_sound(self.library, taken), started)
        self.elapsed_s += time.perf_counter() - started

    def close(self) -> None:
        """Give back what is held; nothing is looked up any more."""
        if self._sound is not None:
            self._sound.close()
            self._sound = None

    def traces(self) -> Traces:
        return Traces(dict(self.prints), tuple(dict.fromkeys(self.matched)))

    def _take_frames(self, clip: VideoClip) -> None:
        for frame in clip.frames:
            if len(self._frames) >= LONGEST:
                return
            taken = pdq.image_print(frame)
            if isinstance(taken, ImagePrint):
                self._frames.append((float(frame.time_s), taken.codes))

    def _keep(self, taken: Print) -> None:
        name, data = stored(taken)
        self.prints[name] = data

    def _note(self, matched: Matched | None, started: float) -> None:
        if matched is not None:
            elapsed = time.perf_counter() - started
            self.evidence.append(replace(matched.evidence, elapsed_s=elapsed))
            self.matched += matched.signatures
