"""All signatures in force, in memory: what a fingerprint is looked up in. Never changed; a newer one takes its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from assay.signatures import video
from assay.signatures.audio import AudioMatch, AudioPrint, Recordings
from assay.signatures.codes import WORDS, Codes
from assay.signatures.entries import About, Digest, PictureCode, Signature
from assay.signatures.index import HammingIndex
from assay.signatures.pdq import ImagePrint
from assay.signatures.video import VideoMatch, VideoPrint

State = Literal["active", "shadow", "suspended", "withdrawn"]
STATES: tuple[State, ...] = ("active", "shadow", "suspended", "withdrawn")
CLIPS = 8  # stored clips that are compared frame by frame, those with most votes
FETCHED = 32  # signatures of one packed list that are told of one picture, the nearest
VOTES = 2  # of an index' hits, without which a clip is not compared


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A signature, the list that it stands in, and whether it counts."""

    listed: str  # "local", or the name of a pack or an import
    signature: Signature
    state: State = "active"

    @property
    def name(self) -> tuple[str, str]:
        """The list and the id: unique."""
        return self.listed, self.signature.id

    @property
    def about(self) -> About:
        return self.signature.about

    @property
    def counts(self) -> bool:
        return self.state == "active"


@dataclass(frozen=True, slots=True)
class PictureMatch:
    """A known picture near one that was asked for."""

    known: Known
    distance: int  # bits, 0 to 31
    orientation: int  # of the asked picture, as EXIF counts, in which it is near


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """The pictures of one long list: codes alone, their signatures fetched when one is near."""

    codes: Codes  # (N, 4); may be a file that is mapped
    fetch: Callable[[int], Iterable[Known]]  # what stands at a position: every signature of that code


class Library:
    """Known fakes and originals; lookups are safe from any thread."""

    def __init__(
        self,
        known: Iterable[Known] = (),
        *,
        serial: int = 0,
        published_at: datetime = datetime(2026, 1, 1, tzinfo=UTC),
        packed: Sequence[Packed] = (),
    ) -> None:
        """Sort signatures by what they are of; those suspended or withdrawn are left out.

        Parameters
        ----------
        serial : int
            Rises with every change of what is in force.
        published_at : datetime
            Of the newest change. Aware.
        packed : sequence of Packed
            Long lists of pictures, beside those in `known`.
        """
        self.serial = serial
        self.published_at = published_at
        parts = _Sorted()
        for one in known:
            parts.take(one)
        self._digests: Mapping[str, Known] = parts.digests
        self._pictures = parts.pictures
        self._packed = tuple(packed)
        self._ends = np.cumsum([len(parts.codes), *(len(p.codes) for p in packed)])
        self._picture_index = HammingIndex(_stacked([*parts.codes, *(p.codes for p in packed)]))
        self._clips, self._clip_prints = parts.clips, parts.clip_prints
        self._frames = HammingIndex(_stacked([p.codes[:, 0] for p in parts.clip_prints]))
        lengths = [len(p.times_s) for p in parts.clip_prints]
        self._frame_clip = np.repeat(np.arange(len(lengths)), lengths)
        self._frame_time = np.concatenate([np.empty(0), *(p.times_s for p in parts.clip_prints)])
        self._sounds = parts.sounds
        self._recordings = Recordings(list(enumerate(parts.sound_prints))) if parts.sounds else None

    def __len__(self) -> int:
        return len(self._digests) + len(self._picture_index) + len(self._clips) + len(self._sounds)

    @property
    def nbytes(self) -> int:
        """Memory of the indices' tables, in bytes; the signatures themselves come on top."""
        return self._picture_index.nbytes + self._frames.nbytes

    @property
    def pictures(self) -> int:
        """How many known codes a picture is compared with."""
        return max(1, len(self._picture_index))

    @property
    def frames(self) -> int:
        """How many known frames a clip's are compared with."""
        return max(1, len(self._frames))

    @property
    def recordings(self) -> int:
        """How many known recordings a sound is compared with."""
        return max(1, len(self._sounds))

    def digest(self, sha256: str) -> Known | None:
        """The signature of these very bytes."""
        return self._digests.get(sha256)

    def near_picture(self, asked: ImagePrint) -> list[PictureMatch]:
        """Known pictures within 31 bits in any orientation, the nearest first, each once.

        Of a list that is packed the nearest `FETCHED` are told, since each is fetched from the store.
        """
        found = self._picture_index.found(asked.codes)
        found = found[np.lexsort((found[:, 2], found[:, 0], found[:, 1]))]
        _, firsts = np.unique(found[:, 2], return_index=True)  # of each key its nearest
        found = found[np.sort(firsts)]
        sources = np.searchsorted(self._ends, found[:, 2], side="right")
        told = np.concatenate(
            [np.flatnonzero(sources == s)[: FETCHED if s else None] for s in range(len(self._ends))]
        )
        best: dict[tuple[str, str], PictureMatch] = {}
        for at in np.sort(told).tolist():
            query, distance, key = found[at].tolist()
            for one in self._known(int(sources[at]), key):
                best.setdefault(one.name, PictureMatch(one, distance, query + 1))
        return list(best.values())

    def _known(self, source: int, key: int) -> Iterable[Known]:
        if not source:
            return (self._pictures[key],)
        fetched = self._packed[source - 1].fetch(key - int(self._ends[source - 1]))
        return [one for one in fetched if one.state in ("active", "shadow")]

    def near_clip(self, asked: VideoPrint) -> list[tuple[Known, VideoMatch]]:
        """Known clips that a clip is a part of, or holds; most agreeing frames first."""
        count, orientations = asked.codes.shape[:2]
        hits = self._frames.search(np.ascontiguousarray(asked.codes.reshape(-1, WORDS)))
        if not hits:
            return []
        at = np.array([h.key for h in hits])
        times = asked.times_s[np.array([h.query // orientations for h in hits])]
        votes = video.shortlist(times, self._frame_clip[at], self._frame_time[at])
        found = [
            (self._clips[key], match)
            for key, _, n in votes[:CLIPS]
            if n >= min(VOTES, count) and (match := video.match(asked, self._clip_prints[key])) is not None
        ]
        return sorted(found, key=lambda f: (-f[1].agreeing, f[1].distance, f[0].name))

    def near_sound(self, asked: AudioPrint) -> list[tuple[Known, AudioMatch]]:
        """Known recordings that a sound is an excerpt of, or holds; most agreement first."""
        if self._recordings is None:
            return []
        return [(self._sounds[m.key], m) for m in self._recordings.search(asked)]


@dataclass(slots=True)
class _Sorted:
    digests: dict[str, Known] = field(default_factory=dict)
    pictures: list[Known] = field(default_factory=list)
    codes: list[Codes] = field(default_factory=list)
    clips: list[Known] = field(default_factory=list)
    clip_prints: list[VideoPrint] = field(default_factory=list)
    sounds: list[Known] = field(default_factory=list)
    sound_prints: list[AudioPrint] = field(default_factory=list)

    def take(self, one: Known) -> None:
        if one.state not in ("active", "shadow"):
            return
        match one.signature.fingerprint:
            case Digest(sha256):
                before = self.digests.get(sha256)
                if before is None or not before.counts:  # what counts stands before what is on trial
                    self.digests[sha256] = one
            case PictureCode(code):
                self.pictures.append(one)
                self.codes.append(code[None])
            case VideoPrint() as clip:
                self.clips.append(one)
                self.clip_prints.append(clip)
            case AudioPrint() as sound:
                self.sounds.append(one)
                self.sound_prints.append(sound)


def _stacked(codes: list[NDArray[np.uint64]]) -> Codes:
    return np.concatenate([np.empty((0, WORDS), np.uint64), *codes])
