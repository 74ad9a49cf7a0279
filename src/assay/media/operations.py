"""What runs inside the decoder's jail: one sample, several requests in turn, each answered by one or more messages.

The sample's descriptor comes first in the first request's list; an operation that returns pixels or samples is given
an arena, whose descriptor comes last. What is opened stays open until the child ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from assay.errors import AssayError, Failed
from assay.media.jail.arena import ArenaWriter
from assay.media.views import pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assay.media.unpack.member import Member
    from assay.types import JSON


class Reader(Protocol):
    """A medium that is read window by window."""

    def window(self, arena: ArenaWriter) -> JSON: ...


class Opened:
    """The sample that this child serves, and what of it is being read."""

    def __init__(self, descriptor: int) -> None:
        self.file: BinaryIO = os.fdopen(descriptor, "rb")
        self.reader: Reader | None = None
        self.members: Iterator[Member] = iter(())
        self.pending: tuple[int, int] | None = None  # size of a JPEG whose coefficients were put off


Operation = Callable[[Opened, "Mapping[str, Any]", "ArenaWriter | None"], "Iterator[JSON]"]


class Server:
    """Serves one sample. The jail calls `handle`; a test makes its own server for each sample."""

    def __init__(self) -> None:
        self._opened: Opened | None = None

    def handle(self, message: JSON, fds: Sequence[int]) -> Iterator[JSON]:
        """Answer one request.

        Raises
        ------
        AssayError
            Refused, Unsupported or Failed, as the operation says.
        """
        operation = OPERATIONS.get(str(message.get("op")))
        spare = list(fds)
        arena = None
        try:
            if operation is None:
                raise AssayError(
                    f"the decoder has no operation {message.get('op')!r}", code="unknown_operation"
                )
            if self._opened is None:
                if not spare:
                    raise AssayError("the first request must bring the sample", code="no_sample")
                self._opened = Opened(spare.pop(0))
            if spare:
                arena = ArenaWriter(spare.pop())
            yield from operation(self._opened, message, arena)
        except MemoryError as e:
            raise Failed(
                "decoding needs more memory than a decoder may use",
                code="over_memory",
                hint="raise limits.memory_bytes if such media are expected",
            ) from e
        finally:
            if arena is not None:
                arena.close()
            for descriptor in spare:
                os.close(descriptor)


def handle(message: JSON, fds: list[int]) -> Iterator[JSON]:
    """Answer one request; the jail's entry."""
    return _SERVER.handle(message, fds)


def prepare() -> None:
    """Import and warm all that decoding needs, so that nothing is looked up once the jail is shut."""
    from assay.media.compiled import compile_all
    from assay.media.unpack.warming import warm as warm_unpacking
    from assay.media.warming import warm

    warm()
    warm_unpacking()
    compile_all()


def _triage(opened: Opened, message: Mapping[str, Any], _arena: ArenaWriter | None) -> Iterator[JSON]:
    from assay.media.triage import read

    container = read(
        opened.file,
        str(message["media_type"]),
        int(message["size"]),
        str(message["sha256"]),
        message.get("trust", {}),
        message.get("limits", {}),
    )
    yield {"container": pack(container, _Arrayless())}


def _image(opened: Opened, message: Mapping[str, Any], arena: ArenaWriter | None) -> Iterator[JSON]:
    """Decode a picture; with ``planes`` false a JPEG's coefficients may be ``pending``, for `_planes`."""
    from assay.media.image import preview, read_image

    room = _needed(arena)
    decoded = read_image(opened.file, message["limits"], planes=bool(message.get("planes", True)))
    height, width = decoded.view.coded.shape[:2]
    opened.pending = (width, height) if decoded.pending else None
    small = preview(decoded.view.coded, decoded.view.orientation)
    answer = {
        "view": pack(decoded.view, room),
        "preview": pack(small, room),
        "warnings": list(decoded.warnings),
        "frames": decoded.frames,
        "pending": decoded.pending,
    }
    yield answer | {"used": room.used}


def _planes(opened: Opened, message: Mapping[str, Any], arena: ArenaWriter | None) -> Iterator[JSON]:
    """Read the coefficients that were put off into the arena that holds the pixels, behind what is ``used`` of it."""
    from assay.media.image import read_planes

    room = _needed(arena)
    if opened.pending is None:
        raise AssayError("no coefficients were put off", code="nothing_opened")
    planes, warnings = read_planes(opened.file, opened.pending)
    opened.pending = None
    room.used = int(message["used"])
    yield {"planes": pack(planes, room), "warnings": list(warnings), "used": room.used}


def _video(opened: Opened, message: Mapping[str, Any], _arena: ArenaWriter | None) -> Iterator[JSON]:
    """Open the pictures of a film; with ``every_s`` a frame every so many seconds is planned."""
    from assay.media.video import VideoReader

    reader = VideoReader(opened.file, message["limits"], every_s=float(message.get("every_s", 0.0)))
    opened.reader = reader
    yield reader.described()


def _audio(opened: Opened, message: Mapping[str, Any], _arena: ArenaWriter | None) -> Iterator[JSON]:
    """Open a sound track. With ``optional`` a sample without any is no failure: it has 0 ``audio_streams``."""
    from assay.media.audio import AudioReader, count_tracks

    opened.reader = None
    if message.get("optional") and not count_tracks(opened.file, message["limits"]):
        yield {"audio_streams": 0}
        return
    reader = AudioReader(opened.file, message["limits"], stream=int(message.get("stream", 0)))
    opened.reader = reader
    yield reader.described()


def _window(opened: Opened, _message: Mapping[str, Any], arena: ArenaWriter | None) -> Iterator[JSON]:
    if opened.reader is None:
        raise AssayError("a video or a sound track has to be opened first", code="nothing_opened")
    yield opened.reader.window(_needed(arena))


def _unpack(opened: Opened, message: Mapping[str, Any], _arena: ArenaWriter | None) -> Iterator[JSON]:
    from assay.media import unpack

    opened.members = unpack.members(opened.file, str(message["media_type"]), message["limits"])
    yield {"opened": True}


def _member(opened: Opened, _message: Mapping[str, Any], arena: ArenaWriter | None) -> Iterator[JSON]:
    import numpy as np

    room = _needed(arena)
    member = next(opened.members, None)
    if member is None:
        yield {"end": True}
    elif member.problem is not None:
        e = member.problem
        problem = {"kind": type(e).__name__, "code": e.code, "message": e.message, "hint": e.hint}
        yield {"name": member.name, "used": 0, "problem": problem}
    else:
        room.put(np.frombuffer(member.data, np.uint8))
        yield {"name": member.name, "used": room.used, "problem": None}


def _needed(arena: ArenaWriter | None) -> ArenaWriter:
    if arena is None:
        raise AssayError("this operation needs an arena", code="no_arena")
    return arena


class _Arrayless:
    """A container has no arrays: nothing may be put."""

    def put(self, array: Any) -> int:
        raise AssayError(f"a container may not hold an array of {array.nbytes} bytes", code="malformed_view")


OPERATIONS: dict[str, Operation] = {
    "triage": _triage,
    "image": _image,
    "planes": _planes,
    "video": _video,
    "audio": _audio,
    "window": _window,
    "unpack": _unpack,
    "member": _member,
}
_SERVER = Server()
