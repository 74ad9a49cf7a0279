"""The parent's side of a decoder: what it asks, and what it makes of the answers, with a child that says anything."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from assay.errors import Failed, JailError, Refused, Unsupported
from assay.media.decoder import Decoder, Packed, _clean, decoder, picture
from assay.media.jail.arena import Arena, ArenaWriter
from assay.media.jail.process import Usage
from assay.media.views import pack

LIMITS = {"decode_s": 5.0, "pixels": 100}


class Child:
    """Gives one answer after the other, and notes what it was asked."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[dict, int]] = []
        self.closed = False

    def call(self, message: dict, fds: Sequence[int], *, timeout_s: float) -> dict:
        assert timeout_s == LIMITS["decode_s"]
        self.asked.append((message, len(fds)))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer(fds[-1]) if callable(answer) else answer

    def close(self) -> Usage:
        self.closed = True
        return Usage(1.5, 1000)


class Zygote:
    def __init__(self, *children: Any) -> None:
        self.children = list(children)

    def spawn(self) -> Any:
        child = self.children.pop(0)
        if isinstance(child, Exception):
            raise child
        return child


@pytest.fixture
def sample() -> Iterator[int]:
    descriptor = os.memfd_create("sample")
    yield descriptor
    os.close(descriptor)


def writing(data: bytes, **answer: Any) -> Any:
    """Answer with bytes in the arena that came along."""

    def put(fd: int) -> dict:
        writer = ArenaWriter(os.dup(fd))
        writer.put(np.frombuffer(data, np.uint8))
        used = writer.used
        writer.close()
        return answer | {"used": used}

    return put


def test_the_sample_goes_along_with_the_first_question_alone(sample: int) -> None:
    child = Child({"width": 1}, {"audio_streams": 0})
    worker = Decoder(child, sample, LIMITS)  # type: ignore[arg-type]
    worker.open("video")
    worker.open("audio", stream=0)
    assert [fds for _, fds in child.asked] == [1, 0]
    assert all(message["limits"] == LIMITS for message, _ in child.asked)
    assert child.asked[1][0]["stream"] == 0


def test_members_come_one_by_one_with_their_problems(sample: int) -> None:
    told = {"kind": "Refused", "code": "encrypted", "message": "encrypted", "hint": "ask"}
    child = Child(
        {"opened": True},
        writing(b"abc", name="a.jpg", problem=None),
        {"name": "b.jpg", "used": 0, "problem": told},
        {"name": "c.jpg", "used": 0, "problem": told | {"kind": "Unsupported"}},
        {"name": "d.jpg", "used": 0, "problem": told | {"kind": "SystemExit"}},
        {"end": True},
    )
    found = [
        (m.name, bytes(m.data), type(m.problem))
        for m in Decoder(child, sample, LIMITS).members("application/zip")  # type: ignore[arg-type]
    ]
    assert found == [
        ("a.jpg", b"abc", type(None)),
        ("b.jpg", b"", Refused),
        ("c.jpg", b"", Unsupported),
        ("d.jpg", b"", Failed),
    ]


def test_windows_end_with_what_was_covered(sample: int) -> None:
    child = Child(
        writing(b"x", view={"a": 1}), {"end": True, "coverage": {"unread": ["rest"]}, "warnings": ["w"]}
    )
    first, last = Decoder(child, sample, LIMITS).windows()  # type: ignore[arg-type]
    assert isinstance(first, Packed)
    assert first.view == {"a": 1}
    assert last == {"unread": ["rest"], "warnings": ["w"]}


def test_a_member_that_claims_more_than_its_arena_is_an_error(sample: int) -> None:
    child = Child({"opened": True}, {"name": "a", "used": 1 << 40, "problem": None})
    with pytest.raises((Failed, ValueError)):
        list(Decoder(child, sample, LIMITS).members("application/zip"))  # type: ignore[arg-type]


def test_a_worker_is_ended_whatever_happens(sample: int) -> None:
    child = Child(Failed("died", code="worker_crashed"))
    with pytest.raises(Failed), decoder(Zygote(child), sample, LIMITS) as worker:  # type: ignore[arg-type]
        worker.open("video")
    assert child.closed
    assert worker.usage == Usage(1.5, 1000)


def test_a_zygote_that_was_killed_is_asked_once_more(sample: int) -> None:
    gone, child = JailError("it ended", code="jail_gone"), Child({})
    with decoder(Zygote(gone, child), sample, LIMITS):  # type: ignore[arg-type]
        pass
    with pytest.raises(JailError), decoder(Zygote(gone, gone, child), sample, LIMITS):  # type: ignore[arg-type]
        pass
    other = JailError("no sandbox here", code="jail")
    with pytest.raises(JailError), decoder(Zygote(other, child), sample, LIMITS):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a.jpg", "a.jpg"),
        ("日本.jpg", "日本.jpg"),
        ("\ud800half", "\ufffdhalf"),
        ("caf\udce9.jpg", "caf\udce9.jpg"),  # a byte that was not UTF-8, as Python writes it
        ("\udfff", "\ufffd"),
    ],
)
def test_names_are_whole_characters(name: str, shown: str) -> None:
    assert _clean(name) == shown
    _clean(name).encode("utf-8", "surrogateescape")


def test_an_endless_name_is_cut_in_its_middle() -> None:
    name = _clean("a" * 10_000 + ".jpg")
    assert len(name) < 1024
    assert name.endswith("a.jpg")


def test_a_preview_is_checked_and_copied_out_of_the_arena() -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    with Arena(1 << 16) as arena:
        writer = ArenaWriter(os.dup(arena.fd))
        good, grey = pack(pixels, writer), pack(pixels[..., 0].copy(), writer)
        used = writer.used
        writer.close()
        shown = picture(good, arena.view(used))
        with pytest.raises(Failed, match="malformed preview"):
            picture(grey, arena.view(used))
    assert np.array_equal(shown, pixels)
