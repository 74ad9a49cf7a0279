"""Hostile, broken and unlucky input, through the whole pipeline: one clear line each, and the rest goes on."""

from __future__ import annotations

import gzip
import os
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

import awkward
from assay.pipeline import Screener
from assay.report.contract import flatten, from_json, schema, to_json
from assay.report.table import Table
from assay.settings import Limits, Paths, Settings
from assay.testing import clips, containers, images
from assay.types import Label, Screening, Status, Why

# What a person must never read: names of Python's errors, reprs, tracebacks.
PROGRAMMERS_WORDS = (
    "Traceback",
    "Error:",
    "Error(",
    "Exception",
    "<class",
    "object at 0x",
    "NoneType",
    "errno",
)


@pytest.fixture(scope="module")
def meanwhile() -> list[Callable[[], object]]:
    """What happens in the middle of the next screening: called between hashing and decoding."""
    return []


@pytest.fixture(scope="module")
def shared_screener(
    tmp_path_factory: pytest.TempPathFactory, meanwhile: list[Callable[[], object]]
) -> Iterator[Screener]:
    folder = tmp_path_factory.mktemp("installation")

    def known(_: str) -> None:
        while meanwhile:
            meanwhile.pop()()

    settings = Settings(Paths(folder / "data", folder / "cache"))
    with Screener(settings, jobs=2, known=known) as opened:
        yield opened


@pytest.fixture
def screener(shared_screener: Screener) -> Iterator[Screener]:
    """The one screener of this module; a test may change its limits."""
    before = shared_screener.settings
    yield shared_screener
    shared_screener.settings = before


def limit(screener: Screener, **limits: float) -> None:
    screener.settings = replace(screener.settings, limits=replace(Limits(), **limits))


def checked(screening: Screening) -> Screening:
    """Hold a screening, and all inside of it, to the contract and to plain words; return it."""
    for s in flatten(screening):
        told = to_json(s)
        jsonschema.validate(told, schema())
        assert to_json(from_json(told))["evidence"] == told["evidence"]
        assert s.decision is not None
        assert s.verdict is None or s.verdict.label is not Label.FAKE
        if s.status is Status.SCREENED:
            assert s.verdict is not None
        else:
            assert s.error is not None
            assert s.error.message.strip()
            assert s.error.hint.strip(), f"{s.error.message!r} does not say what to do"
    shown = Table(100, colour=False).paragraph(screening)
    assert shown
    assert not [word for word in PROGRAMMERS_WORDS if word in shown], shown
    return screening


def problem(screening: Screening) -> str:
    return screening.error.code if screening.error else ""


def notes(screening: Screening) -> str:
    return "; ".join(screening.warnings)


# ---------------------------------------------------------------- bytes


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (b"", "a.jpg", "empty"),
        (b"\xff", "a.jpg", "undecodable"),
        (b"x", "a", "unsupported"),
        (b"a text", "a.jpg", "undecodable"),
        (bytes(4096), "a.mp4", "undecodable"),
        (bytes(4096), "a", "unsupported"),
        (b"\xff\xd8\xff", "a.jpg", "undecodable"),
        (b"\x89PNG\r\n\x1a\n", "a.png", "undecodable"),
        (b"PK\x05\x06" + bytes(18), "a.zip", ""),
        (b"PK\x03\x04", "a.zip", "undecodable"),
        (b"%PDF-1.7", "a.pdf", "undecodable"),
        (b"fLaC", "a.flac", "undecodable"),
        (b"Rar!\x1a\x07\x01\x00", "a.rar", "unsupported_archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "a.doc", "unsupported_archive"),
    ],
    ids=[
        *(
            "nothing",
            "one byte",
            "a letter",
            "a text called a picture",
            "zeros called a film",
            "zeros",
            "a JPEG's start",
            "a PNG's start",
        ),
        *("an empty zip", "a zip's start", "a PDF's start", "a FLAC's start", "a RAR", "an old Office file"),
    ],
)
def test_what_is_hardly_there_says_so(screener: Screener, data: bytes, name: str, code: str) -> None:
    assert problem(checked(screener.screen_bytes(data, name))) == code


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.mp4", "a.zip", "a.flac"])
@pytest.mark.parametrize("part", [2, 10, 19])
def test_a_sample_that_is_cut_off_is_screened_in_part_or_fails_clearly(
    screener: Screener, name: str, part: int
) -> None:
    data = awkward.made(name)
    screening = checked(screener.screen_bytes(data[: len(data) * part // 20], name))
    assert problem(screening) in ("", "undecodable")


@pytest.mark.slow
@pytest.mark.parametrize("name", awkward.KINDS)
def test_every_kind_may_be_cut_off_anywhere(screener: Screener, name: str) -> None:
    data = awkward.made(name)
    for part in range(1, 21):
        screening = checked(screener.screen_bytes(data[: len(data) * part // 20], name))
        assert problem(screening) in ("", "undecodable"), part
    assert screening.status is Status.SCREENED


@pytest.mark.slow
@pytest.mark.parametrize("name", awkward.KINDS)
def test_every_kind_may_have_any_byte_flipped(screener: Screener, name: str) -> None:
    data = awkward.made(name)
    for k in range(12):
        bent = bytearray(data)
        for n in range(8):
            bent[(k * 7919 + n * n * 104729) % min(len(bent), 2048)] ^= 0x55 + n
        checked(screener.screen_bytes(bytes(bent), name))


# ---------------------------------------------------------------- names


def test_a_lying_extension_is_reported(screener: Screener) -> None:
    screening = checked(screener.screen_bytes(awkward.jpeg(), "holiday.mp4"))
    assert screening.status is Status.SCREENED
    assert "its name says video/mp4, its bytes are image/jpeg" in notes(screening)


def test_a_name_with_newlines_and_escapes_stays_one_line(screener: Screener, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/a\n\x1b[2J\xff\xe2\x80\xae.jpg"
    with open(path, "wb") as file:
        file.write(awkward.jpeg())
    screening = checked(screener.screen_path(os.fsdecode(path)))
    assert os.fsencode(from_json(to_json(screening)).path) == path
    shown = Table(200, colour=False).paragraph(screening)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert shown.count("\n") == 0 or "Note" in shown


@pytest.mark.parametrize(
    "name",
    [
        "filename*=unicode_escape''%5Cud800half.jpg",
        f"filename={'a' * 5000}.jpg",
        "filename=../../etc/passwd",
        "filename*=utf-8''a%00%1B%5B2Jb.jpg",
        "filename==?utf-8?b?4oCuZ3BqLmV4ZQ==?=",
        "filename*=nonsense''%FF%FE.jpg",
        "filename=!",
    ],
    ids=["half a character", "long", "a way out", "escapes", "bidi", "an unknown charset", "a separator"],
)
def test_a_members_name_can_do_no_harm(screener: Screener, name: str) -> None:
    mail = awkward.mail({"in.jpg": awkward.jpeg()}).replace(b'filename="in.jpg"', name.encode())
    assert name.encode() in mail
    screening = checked(screener.screen_bytes(mail, "a.eml"))
    (child,) = screening.children
    assert len(child.path) < 2000
    assert from_json(to_json(child)).path == child.path
    Table(100, colour=False).paragraph(screening).encode()


# ---------------------------------------------------------------- limits


def test_a_picture_of_900_megapixels_is_refused_before_it_is_decoded(screener: Screener) -> None:
    data = images.png_from_chunks(30_000, 30_000, b"x\x9c" + bytes(100))
    screening = checked(screener.screen_bytes(data, "huge.png"))
    assert (screening.status, problem(screening)) == (Status.REFUSED, "over_pixels")


def test_a_bomb_is_refused(screener: Screener) -> None:
    bomb = awkward.zipped({"zeros": bytes(64 << 20)})
    screening = checked(screener.screen_bytes(bomb, "bomb.zip"))
    assert (screening.status, problem(screening)) == (Status.REFUSED, "over_ratio")


def test_a_gzip_bomb_is_refused(screener: Screener) -> None:
    screening = checked(screener.screen_bytes(gzip.compress(bytes(64 << 20), 9), "bomb.gz"))
    assert (screening.status, problem(screening)) == (Status.REFUSED, "over_ratio")


def test_what_lies_before_a_bomb_is_screened_all_the_same(screener: Screener) -> None:
    bomb = awkward.zipped({"in.jpg": awkward.jpeg(), "zeros": bytes(64 << 20)})
    screening = checked(screener.screen_bytes(bomb, "bomb.zip"))
    assert [c.status for c in screening.children] == [Status.SCREENED]
    assert (screening.status, problem(screening)) == (Status.REFUSED, "over_ratio")


def test_archives_in_archives_are_followed_so_far_and_no_further(screener: Screener) -> None:
    data, name = awkward.jpeg(), "in.jpg"
    for depth in range(6):
        data, name = awkward.zipped({name: data}, zipfile.ZIP_STORED), f"{depth}.zip"
    screening = checked(screener.screen_bytes(data, name))
    deepest = list(flatten(screening))[-1]
    assert (deepest.path.count("!"), deepest.status, problem(deepest)) == (4, Status.REFUSED, "over_depth")


def test_of_five_thousand_members_the_limit_is_screened_and_the_rest_is_told(screener: Screener) -> None:
    limit(screener, members=40)
    archive = awkward.zipped({f"{n}.txt": b"a text" for n in range(5000)}, zipfile.ZIP_STORED)
    screening = checked(screener.screen_bytes(archive, "many.zip"))
    assert len(screening.children) == 40
    assert (screening.status, problem(screening)) == (Status.REFUSED, "over_members")


def test_members_in_nested_archives_count_together(screener: Screener) -> None:
    limit(screener, members=10)
    inner = awkward.zipped({f"{n}.txt": b"a text" for n in range(8)})
    screening = checked(screener.screen_bytes(awkward.zipped({"1.zip": inner, "2.zip": inner}), "a.zip"))
    assert sum(1 for _ in flatten(screening)) <= 12
    assert any(problem(s) == "over_members" for s in flatten(screening))


def test_an_encrypted_member_says_so_and_the_others_are_screened(screener: Screener) -> None:
    archive = awkward.zipped({"locked.jpg": awkward.jpeg(), "open.jpg": awkward.jpeg(2)}, zipfile.ZIP_STORED)
    screening = checked(screener.screen_bytes(awkward.encrypted(archive), "a.zip"))
    locked, unlocked = screening.children
    assert (locked.status, problem(locked)) == (Status.REFUSED, "encrypted")
    assert unlocked.status is Status.SCREENED
    assert "1 of its 2 members could not be examined (locked.jpg: encrypted)" in notes(screening)
    assert screening.decision is not None
    assert screening.decision.rule == "encrypted", "a container is treated as its strictest member"


@pytest.mark.parametrize(
    ("members", "why", "words"),
    [
        ({}, Why.NOTHING_FOUND, "There are no media in it."),
        ({"a.txt": b"a text"}, Why.NOTHING_FOUND, "no media in it that Assay reads"),
        ({"a.jpg": b""}, Why.FAILED, "Nothing in it could be examined"),
    ],
)
def test_an_archive_without_media_says_that_and_not_that_nothing_was_found(
    screener: Screener, members: dict, why: Why, words: str
) -> None:
    verdict = checked(screener.screen_bytes(awkward.zipped(members), "a.zip")).verdict
    assert verdict is not None
    assert verdict.why is why
    assert words in verdict.summary


def test_a_track_of_ten_hours_is_refused_by_its_header(screener: Screener) -> None:
    data = awkward.flac_lasting(clips.silence(5), 36_000 * 8000)
    screening = checked(screener.screen_bytes(data, "silence.flac"))
    assert (screening.status, problem(screening)) == (Status.REFUSED, "over_duration")


def test_a_track_longer_than_its_header_says_is_read_up_to_the_limit(screener: Screener) -> None:
    limit(screener, duration_s=60)
    screening = checked(screener.screen_bytes(awkward.flac_lasting(clips.silence(150), 8000), "silence.flac"))
    assert screening.verdict is not None
    assert "goes on after 60 s" in "; ".join(screening.verdict.coverage.blind_spots)


def test_a_wave_file_that_promises_ten_hours_and_holds_none_is_settled(screener: Screener) -> None:
    data = clips.wav_header(36_000 * 8000) + bytes(1600)
    assert problem(checked(screener.screen_bytes(data, "a.wav"))) in ("", "over_duration")


def test_a_film_whose_header_promises_ten_hours_is_refused(screener: Screener) -> None:
    data = awkward.webm_lasting(awkward.made("a.webm"), 36_000)
    screening = checked(screener.screen_bytes(data, "a.webm"))
    assert (screening.status, problem(screening)) == (Status.REFUSED, "over_duration")


def test_a_film_whose_header_lies_a_little_is_screened_and_the_lie_is_told(screener: Screener) -> None:
    data = awkward.webm_lasting(awkward.made("a.webm"), 600)
    screening = checked(screener.screen_bytes(data, "a.webm"))
    assert screening.status is Status.SCREENED
    assert "its header says 600.0 s" in notes(screening)


def test_a_film_whose_header_promises_huge_pictures_is_settled(screener: Screener) -> None:
    screening = checked(screener.screen_bytes(awkward.mp4_sized(awkward.film(), 60_000, 60_000), "a.mp4"))
    assert problem(screening) in ("", "over_pixels", "undecodable")


def test_a_sample_over_the_size_is_refused(screener: Screener) -> None:
    limit(screener, size_bytes=1000)
    assert problem(checked(screener.screen_bytes(awkward.jpeg(), "a.jpg"))) == "over_size"


# ---------------------------------------------------------------- files that move


def test_a_file_that_is_swapped_meanwhile_is_judged_as_it_was_and_the_swap_is_told(
    screener: Screener, meanwhile: list, tmp_path: Path
) -> None:
    file, other = tmp_path / "a.jpg", tmp_path / "b.jpg"
    file.write_bytes(awkward.jpeg())
    other.write_bytes(awkward.png())
    meanwhile.append(lambda: os.replace(other, file))
    screening = checked(screener.screen_path(str(file)))
    assert (screening.status, screening.sample.media_type) == (Status.SCREENED, "image/jpeg")
    assert "another file took its name" in notes(screening)


def test_a_file_that_is_removed_meanwhile_is_judged_as_it_was(
    screener: Screener, meanwhile: list, tmp_path: Path
) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(awkward.jpeg())
    meanwhile.append(file.unlink)
    screening = checked(screener.screen_path(str(file)))
    assert screening.status is Status.SCREENED
    assert "removed while it was screened" in notes(screening)


@pytest.mark.parametrize("change", ["overwritten", "grown", "emptied"])
def test_a_file_that_changes_meanwhile_has_no_verdict(
    screener: Screener, meanwhile: list, tmp_path: Path, change: str
) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(awkward.jpeg())
    changes = {
        "overwritten": lambda: file.write_bytes(awkward.jpeg(2)),
        "grown": lambda: file.write_bytes(awkward.jpeg() + bytes(1 << 20)),
        "emptied": lambda: os.truncate(file, 0),
    }
    meanwhile.append(changes[change])
    screening = checked(screener.screen_path(str(file)))
    assert (screening.verdict, problem(screening)) == (None, "changed")


def test_a_file_that_is_only_touched_meanwhile_has_its_verdict(
    screener: Screener, meanwhile: list, tmp_path: Path
) -> None:
    file = tmp_path / "a.jpg"
    file.write_bytes(awkward.jpeg())
    meanwhile.append(lambda: os.utime(file, (1, 1)))
    assert checked(screener.screen_path(str(file))).status is Status.SCREENED


@pytest.mark.parametrize("path", ["/nowhere/at/all.jpg", "a\0b.jpg", "/dev/zero", "/"])
def test_a_path_that_is_no_file_says_what_to_do(screener: Screener, path: str) -> None:
    assert problem(checked(screener.screen_path(path))) in ("unreadable", "not_a_file")


def test_a_folder_that_contains_itself_by_links_is_walked_once(screener: Screener, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "up").symlink_to(tmp_path)
    (tmp_path / "deep" / "a.jpg").write_bytes(awkward.jpeg())
    found = list(screener.screen_all([str(tmp_path)], lambda screening, _: checked(screening)))
    assert [Path(s.path).name for s in found] == ["a.jpg"]


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a folder into itself")
def test_a_folder_mounted_into_itself_is_passed_over_and_the_rest_goes_on(tmp_path: Path) -> None:
    from assay.ingest.admission import walk

    (tmp_path / "m").mkdir()
    (tmp_path / "z.jpg").write_bytes(b"x")
    if subprocess.run(
        ["mount", "--bind", tmp_path, tmp_path / "m"], check=False, capture_output=True
    ).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        found = list(walk([str(tmp_path)]))
    finally:
        subprocess.run(["umount", tmp_path / "m"], check=True)
    assert [f.problem.code if f.problem else Path(f.path).name for f in found] == ["folder_loop", "z.jpg"]


# ---------------------------------------------------------------- parts that are damaged


def test_a_damaged_sound_track_does_not_hide_the_pictures(
    screener: Screener, monkeypatch: pytest.MonkeyPatch
) -> None:
    from assay.errors import Failed

    def broken(*_: object, **__: object) -> bool:
        raise Failed("it holds no sound track that can be decoded", code="undecodable", hint="Ask again.")

    monkeypatch.setattr("assay.examination.clip.examine_sound", broken)
    screening = checked(screener.screen_bytes(awkward.made("a.mp4"), "a.mp4"))
    assert screening.status is Status.SCREENED
    assert "the sound could not be examined" in notes(screening)


def test_a_film_without_pictures_is_screened_as_sound(screener: Screener) -> None:
    data = clips.make_audio("libopus", container="webm", rate_hz=48000, seconds=0.5)
    assert checked(screener.screen_bytes(data, "a.webm")).status is Status.SCREENED


def test_damaged_later_frames_do_not_hide_the_first(screener: Screener) -> None:
    data = awkward.made("a.gif")
    screening = checked(screener.screen_bytes(data[: len(data) * 2 // 3], "a.gif"))
    assert screening.status is Status.SCREENED
    assert "frames could not be examined" in notes(screening)


def test_every_page_of_a_tiff_is_screened(screener: Screener) -> None:
    from PIL import Image

    pages = [Image.fromarray(images.scene(96, 64, seed=k)) for k in range(3)]
    data = images.saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert len(checked(screener.screen_bytes(data, "a.tif")).children) == 2


def test_what_was_read_before_the_pixels_broke_is_kept(screener: Screener) -> None:
    pytest.importorskip("cryptography")
    from assay.testing.signing import authority, signed

    data = signed(awkward.jpeg(), "image/jpeg", authority())
    screening = checked(screener.screen_bytes(data[: data.rindex(b"\xff\xda") + 4], "a.jpg"))
    assert screening.status is Status.FAILED
    assert screening.verdict is not None
    assert "content_credentials" in {e.detector for e in screening.verdict.evidence}
    assert screening.verdict.summary.startswith("Could not be examined: ")


@pytest.mark.parametrize("answer", [{}, {"width": None, "height": "x"}, {"width": 1, "height": []}])
def test_an_answer_that_no_decoder_of_ours_gives_costs_one_sample_only(
    screener: Screener, monkeypatch: pytest.MonkeyPatch, answer: dict
) -> None:
    from assay.media.decoder import Decoder

    monkeypatch.setattr(Decoder, "open", lambda *_, **__: answer)
    assert (
        problem(checked_loosely(screener.screen_bytes(awkward.made("a.mp4"), "a.mp4"))) == "malformed_answer"
    )
    monkeypatch.undo()
    assert checked(screener.screen_bytes(awkward.jpeg(), "a.jpg")).status is Status.SCREENED


def checked_loosely(screening: Screening) -> Screening:
    """A decoder that lies is a matter for programmers: the words of Python help them."""
    jsonschema.validate(to_json(screening), schema())
    return screening


@pytest.mark.parametrize("name", sorted(containers.samples()))
def test_skeletons_of_every_kind_are_settled(screener: Screener, name: str) -> None:
    """Structure without anything to decode: headers of every format that is known."""
    checked_loosely(screener.screen_bytes(containers.samples()[name][1], name))
