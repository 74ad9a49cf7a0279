"""The scoreboard's panel: shipped detectors, with learned heads that saw neither source nor generator; and peers."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import copy_move  # of tools/train, as the next
import decoder_residual
import learned_edit

from assay.bench.manifest import Entry
from assay.bench.panel import opened, reads_metadata
from assay.bench.peers import Peer, PeerDetector
from assay.evidence import models, registry
from assay.evidence.detector import Card
from assay.evidence.detectors._clip import ENCODER
from assay.evidence.detectors.copy_move import CopyMove
from assay.evidence.detectors.decoder_residual import DecoderResidual
from assay.evidence.detectors.decoder_residual import opened as opened_network
from assay.evidence.detectors.learned_edit import LearnedEdit
from assay.evidence.detectors.learned_image import LearnedImage

HeadOf = Callable[[str, str, Sequence[str]], Any]  # source, generator, digests -> the head


def counted() -> frozenset[str]:
    """Names of the detectors whose scores a verdict counts."""
    reasons = tomllib.loads((files("assay.verdict") / "reasons.toml").read_text("utf-8"))
    return frozenset(reasons["by_score"])


class Board:
    """Detectors by sample.

    Parameters
    ----------
    models_dir
        Where the weights lie.
    head_of
        Gives `learned_image` the head for a sample that saw nothing of it; None leaves the shipped one, for tests.
    stamp
        Names the heads, so that scores of others are not taken from the cache.
    names
        Of detectors; none: all of pixels whose scores count in a verdict.
    """

    def __init__(
        self,
        models_dir: Path,
        head_of: HeadOf | None,
        stamp: str,
        names: Sequence[str] = (),
    ) -> None:
        shipped = [e.card for e in registry.entries() if e.detector is not None]
        wanted = frozenset(names) or counted()
        self._own = tuple(c for c in shipped if not reads_metadata(c) and c.name in wanted)
        self._models_dir = models_dir
        self._head_of = head_of
        self._stamp = stamp
        self._open: dict[str, Any] | None = None
        self._encoder: dict[str, Any] = {}
        self._networks: dict[str, DecoderResidual] = {}

    @property
    def cards(self) -> tuple[Card, ...]:
        return self._own

    def stamp(self, name: str, entry: Entry) -> str:
        if name == CopyMove.card.name and (weights := copy_move.unseen(entry.source)) is not None:
            return f"unseen-{hashlib.sha256(repr(weights).encode()).hexdigest()[:12]}"
        if name == DecoderResidual.card.name:
            return f"unseen-{decoder_residual.unseen(entry.source)[0][:12]}"
        if name == LearnedEdit.card.name:
            return f"unseen-{hashlib.sha256(learned_edit.unseen(entry.source).of.tobytes()).hexdigest()[:12]}"
        if name != LearnedImage.card.name or self._head_of is None:
            return ""
        unseen = f"{self._stamp}/{entry.source}/{entry.generator}"
        return f"unseen-{hashlib.sha256(unseen.encode()).hexdigest()[:12]}"

    def detectors_for(self, entry: Entry) -> Mapping[str, Any]:
        if self._open is None:
            encoding = {LearnedEdit.card.name} | (
                {LearnedImage.card.name} if self._head_of is not None else set()
            )
            fitted = {DecoderResidual.card.name} | encoding
            self._open = opened([c for c in self._own if c.name not in fitted], self._models_dir)
            if any(c.name in encoding for c in self._own):
                self._encoder = models.sessions([ENCODER], self._models_dir)
        found, names = dict(self._open), {c.name for c in self._own}
        if CopyMove.card.name in found and (weights := copy_move.unseen(entry.source)) is not None:
            found[CopyMove.card.name] = CopyMove(weights)
        if LearnedEdit.card.name in names:
            found[LearnedEdit.card.name] = LearnedEdit(self._encoder, learned_edit.unseen(entry.source))
        if DecoderResidual.card.name in names:
            found[DecoderResidual.card.name] = self._decoder_residual(entry.source)
        if LearnedImage.card.name in names and self._head_of is not None:
            head = self._head_of(entry.source, entry.generator, (entry.sha256, *_parents(entry)))
            found[LearnedImage.card.name] = LearnedImage(self._encoder, head)
        return found

    def _decoder_residual(self, source: str) -> DecoderResidual:
        digest, network = decoder_residual.unseen(source)
        if digest not in self._networks:
            self._networks[digest] = DecoderResidual(opened_network(network))
        return self._networks[digest]


class Peers:
    """Products of others, each with the interpreter of its environment."""

    def __init__(self, peers: Sequence[tuple[Peer, Path]]) -> None:
        self._peers = {peer.card.name: PeerDetector(peer, python) for peer, python in peers}

    @property
    def cards(self) -> tuple[Card, ...]:
        return tuple(p.card for p in self._peers.values())

    def stamp(self, name: str, entry: Entry) -> str:  # noqa: ARG002 - the protocol's
        return ""

    def detectors_for(self, entry: Entry) -> Mapping[str, Any]:  # noqa: ARG002
        return self._peers

    def close(self) -> None:
        for peer in self._peers.values():
            peer.close()


def _parents(entry: Entry) -> list[str]:
    """Digests of the files that a forgery was made from."""
    base = entry.path.parent.parent
    return [
        hashlib.sha256((base / p).read_bytes()).hexdigest() for p in entry.parents if (base / p).is_file()
    ]
