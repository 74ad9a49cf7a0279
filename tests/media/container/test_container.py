"""Every reader on honest, cut, altered and random bytes."""

from __future__ import annotations

import io
import random
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.errors import AssayError, Failed
from assay.media.container import READERS, read_container
from assay.media.identify import HEAD, TAIL, identify
from assay.media.views import Container, pack, unpack
from assay.testing import containers

MADE = {name: made for name, made in containers.samples().items() if made[0] in READERS}
SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
SLOW_S = 2.0  # any of these samples takes milliseconds; a loop without bounds takes for ever


def survives(data: bytes, media_type: str) -> Container | None:
    """Read, and accept nothing but a Container or an error of ours, soon."""
    started = time.process_time()
    try:
        container = containers.describe(data, media_type, pixels=1_000_000)
    except AssayError:
        container = None
    assert time.process_time() - started < SLOW_S
    return container


@pytest.mark.parametrize("name", MADE)
def test_an_honest_sample_is_read_without_a_warning(name):
    media_type, data = MADE[name]
    container = containers.describe(data, media_type)
    assert container.warnings == ()
    assert container.parts
    assert not container.truncated
    assert container.trailing == 0


@pytest.mark.parametrize("name", MADE)
def test_reading_twice_gives_the_same(name):
    media_type, data = MADE[name]
    assert containers.describe(data, media_type) == containers.describe(data, media_type)


@pytest.mark.parametrize("name", MADE)
def test_parts_lie_within_the_sample(name):
    media_type, data = MADE[name]
    for part in containers.describe(data, media_type).parts:
        assert 0 <= part.offset <= part.offset + part.length <= len(data)


@pytest.mark.parametrize("name", MADE)
def test_a_container_crosses_into_the_examiner_unchanged(name):
    media_type, data = MADE[name]
    container = containers.describe(data, media_type)
    assert unpack(pack(container, None), memoryview(b"")) == container


@pytest.mark.parametrize("name", MADE)
def test_a_sample_cut_anywhere_is_survived(name):
    media_type, data = MADE[name]
    for twentieth in range(1, 20):
        survives(data[: len(data) * twentieth // 20], media_type)
    for length in range(1, min(len(data), 120)):
        survives(data[:length], media_type)


@pytest.mark.parametrize("name", MADE)
def test_flipped_bytes_are_survived(name):
    media_type, data = MADE[name]
    chance = random.Random(name)
    for _ in range(60):
        altered = bytearray(data)
        for _ in range(chance.choice((1, 3, 20))):
            altered[chance.randrange(min(len(data), 4096))] = chance.choice(
                (0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256))
            )
        survives(bytes(altered), media_type)


@pytest.mark.parametrize("media_type", READERS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(min_size=1, max_size=400))
def test_random_bytes_are_survived(media_type, data):
    survives(data, media_type)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(MADE)), st.integers(0, 2000), st.binary(min_size=1, max_size=24))
def test_bytes_written_over_any_place_are_survived(name, at, patch):
    media_type, data = MADE[name]
    at %= len(data)
    survives(data[:at] + patch + data[at + len(patch) :], media_type)


@pytest.mark.parametrize("name", MADE)
def test_a_sample_read_under_a_foreign_type_is_survived(name):
    _, data = MADE[name]
    for media_type in READERS:
        survives(data, media_type)


def test_other_types_have_no_parts_and_no_warnings():
    container = containers.describe(containers.zipped("a.txt"), "application/zip")
    assert (container.parts, container.warnings, container.media_type) == ((), (), "application/zip")


def test_an_empty_sample_is_refused_with_words():
    with pytest.raises(Failed, match="empty"):
        containers.describe(b"", "image/jpeg")


def test_the_position_of_the_file_does_not_matter():
    data = containers.jpeg()
    file = io.BytesIO(data)
    file.seek(17)
    assert read_container(file, "image/jpeg", len(data), "0").parts[0].kind == "SOI"


def test_a_file_that_cannot_be_read_is_a_failure_with_a_code():
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(Failed) as caught:
        read_container(Broken(b"x"), "image/jpeg", 1, "0")
    assert caught.value.code == "unreadable"


@pytest.mark.shared
@pytest.mark.slow
def test_every_sample_at_hand_is_read_without_an_error():
    if not SHARED.is_dir():
        pytest.skip("the shared media are not here")
    for path in sorted(p for p in SHARED.rglob("*") if p.is_file() and p.stat().st_size):
        with path.open("rb") as file:
            size = path.stat().st_size
            head = file.read(HEAD)
            file.seek(max(size - TAIL, 0))
            media_type = identify(head, file.read(), size)
            container = read_container(file, media_type, size, "0", {"pixels": 100_000_000})
        assert container.parts or media_type not in READERS, path.name
