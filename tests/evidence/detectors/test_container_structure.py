from __future__ import annotations

import random
from typing import Any

import pytest

from assay.evidence.detectors._jpeg_tables import (
    CHROMINANCE,
    LUMINANCE,
    ijg_quality,
    photoshop_setting,
    scaled,
)
from assay.evidence.detectors.container_structure import THUMBNAIL, ContainerStructure
from assay.media.views import Container, Part
from assay.types import Finding, Outcome

CAMERA = {"exif:Make": "Lumo", "exif:Model": "Lumo 5"}
STANDARD = ("standard:dc0", "standard:ac0", "standard:dc1", "standard:ac1")


def tables(quality: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(v) for v in scaled(base, quality)) for base in (LUMINANCE, CHROMINANCE))


def jpeg(*kinds: str, **more: Any) -> Container:
    """A picture with these segments; "APP1 Exif" has a note."""
    parts = []
    for i, kind in enumerate(kinds or ("SOI", "APP1 Exif", "DQT", "SOF0", "DHT", "SOS", "EOI")):
        name, _, note = kind.partition(" ")
        length = {"DQT": 138, "DHT": 432}.get(name, 20)
        parts.append(Part(kind=name, offset=i, length=length, note=note))
    given = {
        "media_type": "image/jpeg",
        "size": 9,
        "sha256": "0" * 64,
        "width": 640,
        "height": 480,
        "metadata": CAMERA,
    }
    return Container(**(given | {"parts": tuple(parts), "huffman": STANDARD} | more))


LIBJPEG = ("SOI", "APP0 JFIF", "APP1 Exif", "DQT", "SOF0", "DHT", "SOS", "EOI")


def examine(view: Container) -> Finding:
    return ContainerStructure().examine(view)


def codes(finding: Finding) -> list[str]:
    return [r.code for r in finding.reasons]


def test_a_plain_camera_file_has_no_score_and_a_reason() -> None:
    finding = examine(jpeg())
    assert (finding.score, codes(finding)) == (0.0, ["structure_plain"])


def test_a_media_type_without_structure_is_not_applicable() -> None:
    assert examine(Container(media_type="image/x", size=1, sha256="")).outcome is Outcome.NOT_APPLICABLE


@pytest.mark.parametrize("quality", [1, 49, 50, 75, 90, 99])
def test_the_quality_is_told_from_the_tables_of_the_standard(quality: int) -> None:
    assert ijg_quality(tables(quality)) == quality
    assert ijg_quality(tables(quality)[:1]) == quality


def test_tables_of_two_qualities_or_of_none_have_no_quality() -> None:
    assert ijg_quality((tables(75)[0], tables(80)[1])) is None
    assert ijg_quality(((7,) * 64,)) is None
    assert ijg_quality(()) is None


def test_the_tables_of_libjpeg_and_of_pillow_agree() -> None:
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "JPEG", quality=83)
    coded = Image.open(BytesIO(buffer.getvalue())).quantization  # type: ignore[attr-defined]
    assert ijg_quality(tuple(tuple(t) for t in coded.values())) == 83


def test_tables_of_photoshop_are_named() -> None:
    from PIL.JpegPresets import presets

    high = tuple(presets["web_high"]["quantization"][0])  # type: ignore[index]
    assert photoshop_setting((high,)) == "Save for Web, high"
    assert photoshop_setting(tables(80)) is None
    assert "tables_of_editor" in codes(examine(jpeg(quantisation=(high,))))


def test_a_camera_file_that_libjpeg_wrote_was_saved_again() -> None:
    finding = examine(jpeg(*LIBJPEG, quantisation=tables(75)))
    assert codes(finding) == ["tables_not_of_camera"]
    assert finding.score == 1.0
    assert "quality 75" in finding.reasons[0].text
    assert "Lumo 5" in finding.reasons[0].text


@pytest.mark.parametrize(
    "more",
    [
        {"metadata": CAMERA | {"exif:Software": "1.0.3"}},  # firmware: phones write libjpeg's tables
        {"metadata": {}},
        {"quantisation": ((7,) * 64,)},
    ],
)
def test_libjpeg_tables_alone_are_nothing(more: dict[str, Any]) -> None:
    assert "tables_not_of_camera" not in codes(
        examine(jpeg(*LIBJPEG, **({"quantisation": tables(75)} | more)))
    )


def test_standard_tables_in_the_order_of_a_camera_are_nothing() -> None:
    camera_order = ("SOI", "APP1 Exif", "DQT", "DHT", "SOF0", "SOS", "EOI")
    assert codes(examine(jpeg(*camera_order, quantisation=tables(88)))) == ["structure_plain"]


@pytest.mark.parametrize(
    "metadata",
    [
        {"exif:Software": "Adobe Photoshop 25.0"},
        {"xmp:CreatorTool": "GIMP 2.10"},
        {"xmp:softwareAgent": "Adobe Lightroom 6"},
        {"format:encoder": "Adobe Premiere Pro"},
    ],
)
def test_an_editor_is_named_without_a_score(metadata: dict[str, str]) -> None:
    finding = examine(jpeg(metadata=CAMERA | metadata))
    assert codes(finding) == ["editor_named"]
    assert finding.score == 0.0


def test_an_editor_in_a_description_is_nothing() -> None:
    assert codes(examine(jpeg(metadata=CAMERA | {"exif:ImageDescription": "not done in Photoshop"}))) == [
        "structure_plain"
    ]


def test_another_thumbnail_is_found_and_a_turned_one_is_only_told() -> None:
    near = examine(jpeg(thumbnail_distance=THUMBNAIL, thumbnail_size=(160, 120)))
    far = examine(jpeg(thumbnail_distance=THUMBNAIL + 1, thumbnail_size=(160, 120)))
    turned = examine(jpeg(thumbnail_distance=50.0, thumbnail_size=(120, 160)))
    assert codes(near) == ["structure_plain"]
    assert (codes(far), far.score) == (["thumbnail_differs"], 1.0)
    assert (codes(turned), turned.score) == (["thumbnail_turned"], 0.0)


def test_unknown_bytes_behind_the_medium_are_told_and_usual_ones_are_not() -> None:
    assert codes(examine(jpeg(trailing=9, trailing_note="zip"))) == ["trailing_data"]
    assert codes(examine(jpeg(trailing=9, trailing_note="mpf"))) == ["structure_plain"]


@pytest.mark.parametrize(
    "kinds",
    [
        ("SOI", "APP1 Exif", "APP0 JFIF", "DQT", "SOF0", "DHT"),
        ("SOI", "APP0 JFIF", "DQT", "APP1 Exif", "SOF0", "DHT"),
        ("SOI", "APP1 Exif", "APP1 Exif", "DQT", "SOF0", "DHT"),
    ],
)
def test_an_unusual_order_of_segments_is_told(kinds: tuple[str, ...]) -> None:
    finding = examine(jpeg(*kinds))
    assert (codes(finding), finding.score) == (["segment_order_unusual"], 0.0)


def test_what_the_parsers_stumbled_over_is_told() -> None:
    finding = examine(jpeg(warnings=("a \x1b[31mbad length", "b", "c")))
    assert codes(finding) == ["structure_malformed"]
    assert finding.reasons[0].text.isprintable()


def test_a_picture_without_metadata_is_told_and_counts_nothing() -> None:
    finding = examine(jpeg(metadata={"jfif:Version": "1.01"}))
    assert (codes(finding), finding.score) == (["metadata_stripped"], 0.0)


def test_a_video_of_a_phone_that_ffmpeg_wrote_was_packed_again() -> None:
    metadata = {"format:com.apple.quicktime.model": "iPhone 15", "format:encoder": "Lavf60.3.100"}
    finding = examine(jpeg("ftyp", "moov", media_type="video/mp4", metadata=metadata))
    assert codes(finding) == ["boxes_not_of_device"]
    assert "iPhone 15" in finding.reasons[0].text
    del metadata["format:com.apple.quicktime.model"]
    assert codes(examine(jpeg("ftyp", "moov", media_type="video/mp4", metadata=metadata))) == [
        "structure_plain"
    ]


def test_random_structures_never_raise() -> None:
    rng = random.Random(3)
    names = [
        "SOI",
        "APP0 JFIF",
        "APP1 Exif",
        "APP14 Adobe",
        "APP13 Photoshop",
        "DQT",
        "SOF0",
        "SOF2",
        "DHT",
        "SOS",
        "x",
    ]
    keys = [
        "exif:Make",
        "exif:Model",
        "exif:Software",
        "xmp:CreatorTool",
        "format:encoder",
        "xmp",
        "",
        "#",
        ":",
    ]
    values: list[Any] = ["", " ", "Photoshop;" * 900, "\x00", "Lavf", "\u202e", None, 7, [], "Lumo"]
    for _ in range(400):
        view = jpeg(
            *rng.choices(names, k=rng.randrange(1, 9)),
            media_type=rng.choice(["image/jpeg", "video/mp4", "image/png", ""]),
            metadata={rng.choice(keys): rng.choice(values) for _ in range(4)},
            quantisation=tuple(
                tuple(rng.choices(range(256), k=rng.choice([0, 1, 64]))) for _ in range(rng.randrange(3))
            ),
            thumbnail_distance=rng.choice([None, 0.0, 99.0, float("nan"), float("inf")]),
            thumbnail_size=rng.choice([None, (1, 2), (0, 0)]),
            trailing=rng.choice([-1, 0, 5]),
            warnings=tuple(rng.choices(["w", "\x1b", ""], k=rng.randrange(4))),
        )
        first = examine(view)
        assert first == examine(view)
        assert first.reasons
        assert all(r.text.isprintable() for r in first.reasons)
