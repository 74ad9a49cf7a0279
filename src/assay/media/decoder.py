"""A jailed decoder as the pipeline sees it: one worker for one sample, its answers checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import Failed, JailError, Refused, SampleError, Unsupported
from assay.media.jail.arena import Arena
from assay.media.jail.process import Child, Usage, Zygote
from assay.media.views import Container, expect, unpack
from assay.types import JSON

IMAGE_ARENA = 1 << 30  # virtual: pages that nobody touches cost nothing
WINDOW_ARENA = 256 << 20
MEMBER_ARENA = 1 << 30
LONGEST_NAME = 1024  # characters of a member's name


@dataclass(frozen=True, slots=True)
class Packed:
    """A view in an arena, ready for an examiner."""

    view: JSON
    arena_fd: int
    used: int
    answer: JSON  # the rest of what the decoder said


@dataclass(frozen=True, slots=True)
class Member:
    """A sample found inside of a container."""

    name: str
    data: memoryview  # valid until the next member is asked for
    problem: SampleError | None = None  # why it could not be had


class Decoder:
    """Ask one worker about one sample. Every method may raise a SampleError; the worker is gone afterwards."""

    def __init__(self, child: Child, descriptor: int, limits: JSON) -> None:
        self._child = child
        self._descriptor = descriptor
        self._limits = limits
        self._given = False
        self.usage: Usage | None = None

    def triage(
        self, media_type: str, size: int, sha256: str, trust: dict[str, str]
    ) -> tuple[JSON, Container]:
        """Read everything around the pixels. Returns the packed view, and the view itself."""
        answer = self._ask(
            {"op": "triage", "media_type": media_type, "size": size, "sha256": sha256, "trust": trust}
        )
        packed = answer["container"]
        return packed, expect(Container, packed, memoryview(b""))

    @contextmanager
    def image(self) -> Iterator[Packed]:
        """Decode a picture; the view is valid within the block."""
        with Arena(IMAGE_ARENA) as arena:
            yield self._packed(self._ask({"op": "image"}, arena.fd), arena)

    @contextmanager
    def pixels(self) -> Iterator[Packed]:
        """The same without a JPEG's coefficients: `completed` adds them, for who needs them after all."""
        with Arena(IMAGE_ARENA) as arena:
            yield self._packed(self._ask({"op": "image", "planes": False}, arena.fd), arena)

    def completed(self, packed: Packed) -> Packed:
        """What `pixels` gave, with the coefficients; its answer's warnings are those that came with them."""
        if not packed.answer.get("pending"):
            return Packed(packed.view, packed.arena_fd, packed.used, packed.answer | {"warnings": []})
        answer = self._ask({"op": "planes", "used": packed.used}, packed.arena_fd)
        view = packed.view | {"planes": answer["planes"]}
        return Packed(
            view, packed.arena_fd, int(answer["used"]), packed.answer | {"warnings": answer["warnings"]}
        )

    def open(self, what: str, **arguments: Any) -> JSON:
        """Open the "video" or "audio" of the sample and say what is planned."""
        return self._ask({"op": what, **arguments})

    def windows(self) -> Iterator[Packed | JSON]:
        """Yield one window after the other, each valid until the next; at the end what the decoder says of coverage."""
        while True:
            with Arena(WINDOW_ARENA) as arena:
                answer = self._ask({"op": "window"}, arena.fd)
                if answer.get("end"):
                    yield dict(answer.get("coverage", {})) | {"warnings": answer.get("warnings", [])}
                    return
                yield self._packed(answer, arena)

    def members(self, media_type: str) -> Iterator[Member]:
        """Yield what a container holds, one after the other."""
        self._ask({"op": "unpack", "media_type": media_type})
        while True:
            with Arena(MEMBER_ARENA) as arena:
                answer = self._ask({"op": "member"}, arena.fd)
                if answer.get("end"):
                    return
                used = int(answer["used"])
                name = _clean(str(answer["name"]))
                if answer["problem"] is not None:
                    yield Member(name, memoryview(b""), _problem(answer["problem"]))
                else:
                    yield Member(name, arena.view(used))

    def _packed(self, answer: JSON, arena: Arena) -> Packed:
        return Packed(answer["view"], arena.fd, int(answer["used"]), answer)

    def _ask(self, message: JSON, arena_fd: int | None = None) -> JSON:
        fds = [] if self._given else [self._descriptor]
        self._given = True
        if arena_fd is not None:
            fds.append(arena_fd)
        timeout_s = float(self._limits["decode_s"])
        return self._child.call(message | {"limits": self._limits}, fds, timeout_s=timeout_s)


@contextmanager
def decoder(zygote: Zygote, descriptor: int, limits: JSON) -> Iterator[Decoder]:
    """Spawn a worker for one sample and end it afterwards, whatever happened."""
    child = _spawned(zygote)
    worker = Decoder(child, descriptor, limits)
    try:
        yield worker
    finally:
        worker.usage = child.close()


def _spawned(zygote: Zygote) -> Child:
    try:
        return zygote.spawn()
    except JailError as e:
        if e.code != "jail_gone":
            raise
        return zygote.spawn()  # it was killed, for want of memory perhaps, and is started anew once


def _clean(name: str) -> str:
    """A member's name is a stranger's word: bounded, and without halves of characters that no output can encode."""
    whole = "".join(
        c if not 0xD800 <= ord(c) < 0xE000 or 0xDC80 <= ord(c) <= 0xDCFF else "\ufffd" for c in name
    )
    if len(whole) <= LONGEST_NAME:
        return whole
    return f"{whole[: LONGEST_NAME // 2]}…{whole[-LONGEST_NAME // 4 :]}"


def _problem(told: JSON) -> SampleError:
    kind = {"Refused": Refused, "Unsupported": Unsupported}.get(told["kind"], Failed)
    return kind(str(told["message"]), code=str(told["code"]), hint=str(told["hint"]))


def picture(described: Any, arena: memoryview) -> NDArray[np.uint8]:
    """Copy a small packed picture (h, w, 3) out of an arena."""
    array = unpack(described, arena)
    if not isinstance(array, np.ndarray) or array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise Failed("a decoder answered with a malformed preview", code="malformed_view")
    return array.copy()
