from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np
import pytest

from assay.errors import Failed
from assay.media.jail.arena import Arena, ArenaWriter, read_arena
from assay.media.jail.process import DECODER, Zygote

MIB = 1 << 20


def test_arrays_come_back_as_they_were_put_in():
    arrays = [
        np.arange(10, dtype=np.int16),
        np.full((3, 5, 2), 7.5),
        np.zeros((0, 4)),
        np.arange(12).reshape(3, 4).T,
    ]
    with Arena(MIB) as arena:
        with ArenaWriter(os.dup(arena.fd)) as writer:
            offsets = [writer.put(a) for a in arrays]
            used = writer.used
        view = arena.view(used)
        for array, offset in zip(arrays, offsets, strict=True):
            assert offset % 64 == 0
            again = (
                np.frombuffer(view, array.dtype, array.size, offset).reshape(array.shape)
                if array.size
                else array
            )
            np.testing.assert_array_equal(again, array)


def test_a_view_is_read_only_and_outlives_the_arena():
    with Arena(MIB) as arena:
        with ArenaWriter(os.dup(arena.fd)) as writer:
            writer.put(np.arange(100, dtype=np.uint8))
        view = arena.view(100)
    assert view.readonly
    assert bytes(view[:4]) == b"\0\1\2\3"
    with pytest.raises(TypeError):
        view[0] = 1


def test_a_full_arena_says_so():
    with Arena(4096) as arena, ArenaWriter(os.dup(arena.fd)) as writer:
        writer.put(np.zeros(4000, np.uint8))
        with pytest.raises(Failed) as caught:
            writer.put(np.zeros(128, np.uint8))
        assert caught.value.code == "over_memory"
        assert writer.used == 4000


def test_capacity_costs_nothing_until_it_is_written():
    with Arena(1 << 40) as arena:
        assert os.fstat(arena.fd).st_blocks == 0
        assert len(arena.view(10)) == 10
        assert len(arena.view(0)) == 0


@pytest.mark.parametrize("size", [MIB // 2, MIB * 2])
def test_an_arena_cannot_be_resized(size):
    with Arena(MIB) as arena, pytest.raises(PermissionError):
        os.ftruncate(arena.fd, size)


@pytest.mark.parametrize("length", [-1, MIB + 1, 1 << 60])
def test_a_length_beyond_the_arena_is_refused(length):
    with Arena(MIB) as arena, pytest.raises(Failed) as caught:
        read_arena(arena.fd, length)
    assert caught.value.code == "malformed_view"


def test_a_jailed_process_fills_an_arena_and_cannot_resize_it():
    profile = DECODER.serving("jailed:handle")
    with (
        Zygote("jailed:prepare", profile, path=[Path(__file__).parent]) as z,
        Arena(64 * MIB) as arena,
        z.spawn() as child,
    ):
        told = child.call({"op": "fill", "sizes": [1000, 5 * MIB, 3]}, [arena.fd], timeout_s=10)
        view = arena.view(told["used"])
        rng = np.random.default_rng(1)
        for size, offset in zip([1000, 5 * MIB, 3], told["offsets"], strict=True):
            assert bytes(view[offset : offset + size]) == rng.integers(0, 255, size, dtype=np.uint8).tobytes()
        for to in (0, 128 * MIB):
            assert "refused" in child.call({"op": "resize", "to": to}, [arena.fd], timeout_s=10)


def test_the_writer_owns_its_descriptor():
    with Arena(MIB) as arena:
        copy = os.dup(arena.fd)
        ArenaWriter(copy).close()
        with pytest.raises(OSError):
            os.fstat(copy)
        assert isinstance(mmap.mmap(arena.fd, 10), mmap.mmap)
