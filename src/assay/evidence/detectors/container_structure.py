"""What the parts of a file say of the program that wrote it last, against what its metadata say of the camera.

A re-save is not a fake: nearly every picture in circulation was saved again. These reasons are context for a reviewer,
weak or without weight, and their words say so.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, ClassVar

from assay.evidence.detector import Card
from assay.evidence.detectors._generators import clip
from assay.evidence.detectors._jpeg_tables import ijg_quality, photoshop_setting
from assay.media.views import Container
from assay.types import Finding, Kind, Outcome, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Grey levels between blurred thumbnail and picture. Of 75 camera photographs 61 have a thumbnail: 60 differ by at most
# 8.1, one that was cropped to a corner afterwards by 19.1.
THUMBNAIL = 12.0
EDITORS = re.compile(
    r"photoshop|lightroom|camera raw|\bgimp\b|affinity|pixelmator|snapseed|picsart|facetune|faceapp|meitu|beautyplus|"
    r"canva\b|photopea|paint\.net|\bkrita\b|capture one|darktable|rawtherapee|acd ?see|acd systems|picasa|irfanview|"
    r"imagemagick|noise ninja|paintshop|photoimpact|photoscape|pixlr|fotor\b|luminar|topaz|dxo\b|aperture|polarr|vsco|"
    r"fotostation|photo mechanic|photo ?desk|finepix ?viewer|camedia|corel|microsoft (?:paint|photo)|windows photo|"
    r"premiere|after effects|final cut|imovie|davinci|resolve|capcut|inshot|kinemaster|filmora|vegas|shotcut|kdenlive|"
    r"handbrake|avidemux|audacity|adobe audition|media encoder|logic pro|garageband|waveform|quicktime player",
    re.IGNORECASE,
)
SOFTWARE = frozenset(
    {
        "software", "creatortool", "processingsoftware", "softwareagent", "encoder", "writing_app", "muxing_app",
        "com.apple.quicktime.software", "isft", "tsse", "handler_name", "history", "producer", "tool",
    }
)  # fmt: skip
REMUXERS = re.compile(r"\b(?:lavf|lavc|ffmpeg|handbrake|mainconcept|x264|x265)", re.IGNORECASE)
EXPECTED_TRAILERS = frozenset({"mpf", "zeros", "samsung", "afcp"})  # cameras and phones write these
POSITIVE = frozenset({"thumbnail_differs", "tables_not_of_camera", "boxes_not_of_device"})
STRIPPED_SPACES = ("exif:", "xmp", "iptc:", "gps:")
STRIPPABLE = frozenset({"image/jpeg", "image/heic", "image/heif"})


class ContainerStructure:
    """Reads tables, order, thumbnail and trailing bytes, and names what does not fit together."""

    card: ClassVar[Card] = Card(
        name="container_structure",
        version=1,
        reads=Container,
        family="structure",
        claims=frozenset({Kind.RETOUCH, Kind.SPLICE}),
        summary="Tables, order, thumbnail and boxes tell which program wrote a file last; a re-save is not a fake.",
        source="ITU-T T.81; JEITA CP-3451 (Exif, DCF); ISO/IEC 14496-12; E. Kee, M. Johnson, H. Farid, 10.1109/TIFS.2011.2128309",
        licence="Apache-2.0",
    )

    def examine(self, view: Container, /) -> Finding:
        """Score the number of things that do not fit together."""
        if not view.parts and not view.metadata and not view.warnings:
            return Finding.not_applicable(
                "no_structure", "Nothing of the structure of this media type is read."
            )
        reasons = [reason for check in CHECKS for reason in check(view)]
        score = float(sum(r.code in POSITIVE for r in reasons))
        if not reasons:
            reasons = [Reason("structure_plain", "Its structure does not contradict what it says of itself.")]
        return Finding(Outcome.SCORED, score, tuple(reasons))


def _editor(view: Container) -> Iterator[Reason]:
    named = [t for key, t in _fields(view) if key in SOFTWARE and EDITORS.search(t[:4000])]
    if named:
        words = dict.fromkeys(_program(t) for t in named)
        yield Reason(
            "editor_named",
            f"It passed through {', '.join(list(words)[:3])}; that is usual and says nothing of what was done.",
        )


def _program(text: str) -> str:
    """The text around an editor's name: lists of a history are cut to the item."""
    match = EDITORS.search(text)
    items = [t for t in re.split(r"[;|\n]", text[:4000]) if EDITORS.search(t)]
    return clip(items[0] if items else match[0] if match else text, 60)


def _tables(view: Container) -> Iterator[Reason]:
    if not view.quantisation:
        return
    editor = photoshop_setting(view.quantisation) or (
        "of the kind that Adobe's programs write" if _adobe_layout(view) else None
    )
    if editor:
        quoted = f"Photoshop's ({editor})" if photoshop_setting(view.quantisation) else editor
        yield Reason(
            "tables_of_editor",
            f"Its quantisation tables are {quoted}: it was saved there, whatever was done before.",
        )
    camera, quality = _camera(view), ijg_quality(view.quantisation)
    if not camera or quality is None or _value(view, "exif:Software") or not _libjpeg_layout(view):
        return
    mode = " and progressive coding, which cameras do not use" if view.progressive else ""
    yield Reason(
        "tables_not_of_camera",
        f"It names {camera} as its camera, but its tables are exactly libjpeg's at quality {quality} in libjpeg's order{mode}: "
        "it was saved again by some program, as most shared pictures are.",
    )


def _adobe_layout(view: Container) -> bool:
    notes = {p.note for p in view.parts if p.kind.startswith("APP")}
    return (
        "Adobe" in notes
        and bool(notes & {"Photoshop", "Ducky"})
        and not all(h.startswith("standard") for h in view.huffman)
    )


def _libjpeg_layout(view: Container) -> bool:
    """JFIF in front, one DQT segment a table (4 bytes of header and 65 each), tables before the frame, DHT after it."""
    order = [p for p in view.parts if p.kind in {"DQT", "DHT"} or p.kind.startswith("SOF")]
    kinds = list(dict.fromkeys(p.kind for p in order))
    own = sum(p.length for p in order if p.kind == "DQT") == 69 * len(view.quantisation)
    jfif = any(p.kind == "APP0" and p.note == "JFIF" for p in view.parts[:3])
    return own and jfif and kinds[:1] == ["DQT"] and kinds[-1:] == ["DHT"]


def _order(view: Container) -> Iterator[Reason]:
    if view.media_type != "image/jpeg":
        return
    parts = [p for p in view.parts if p.kind not in {"SOI", "COM"}]
    names = [p.note if p.kind.startswith("APP") else p.kind for p in parts]
    tables = next((i for i, p in enumerate(parts) if not p.kind.startswith("APP")), len(parts))
    odd = []
    if names.count("Exif") > 1:
        odd.append("it has more than one EXIF segment")
    if "Exif" in names[tables:]:
        odd.append("its EXIF segment stands behind the tables")
    if "JFIF" in names[1:]:
        odd.append("its JFIF segment is not the first")
    if odd:
        yield Reason(
            "segment_order_unusual",
            f"Its segments stand in an unusual order: {'; '.join(odd)}. Some cameras and many programs do that.",
        )


def _thumbnail(view: Container) -> Iterator[Reason]:
    distance, size = view.thumbnail_distance, view.thumbnail_size
    if distance is None or size is None or not distance > THUMBNAIL:
        return
    if view.width and view.height and (size[0] - size[1]) * (view.width - view.height) < 0:
        yield Reason(
            "thumbnail_turned",
            "The embedded thumbnail lies across the picture, which was turned after it was made.",
        )
        return
    yield Reason(
        "thumbnail_differs",
        f"The embedded thumbnail differs from the picture by {distance:.0f} grey levels in the mean (up to {THUMBNAIL:.0f} is usual): "
        "the picture was cropped or changed after it was made.",
    )


def _trailing(view: Container) -> Iterator[Reason]:
    if view.trailing > 0 and view.trailing_note not in EXPECTED_TRAILERS:
        kind = (
            f" that look like {clip(view.trailing_note, 20)}"
            if view.trailing_note not in {"", "unknown"}
            else ""
        )
        yield Reason(
            "trailing_data",
            f"{view.trailing} bytes{kind} follow the end of the medium; cameras and programs leave such data, and so does who hides something.",
        )


def _malformed(view: Container) -> Iterator[Reason]:
    if view.warnings:
        more = f" (and {len(view.warnings) - 2} more)" if len(view.warnings) > 2 else ""
        yield Reason(
            "structure_malformed",
            f"The file breaks the rules of its format: {'; '.join(clip(w, 120) for w in view.warnings[:2])}{more}.",
        )


def _stripped(view: Container) -> Iterator[Reason]:
    if (
        view.media_type in STRIPPABLE
        and view.parts
        and not any(k.startswith(STRIPPED_SPACES) for k in view.metadata)
    ):
        yield Reason(
            "metadata_stripped",
            "It carries no EXIF, XMP or IPTC metadata; most sharing services remove them.",
        )


def _boxes(view: Container) -> Iterator[Reason]:
    """A phone or camera is named, and a program that is none wrote the file."""
    if not view.media_type.startswith("video/"):
        return
    made = [t for key, t in _fields(view) if key.rpartition(".")[2] == "model"]
    wrote = [t for key, t in _fields(view) if key in SOFTWARE and REMUXERS.search(t[:200])]
    if made and wrote:
        yield Reason(
            "boxes_not_of_device",
            f"It names {clip(made[0], 60)} as its device, but {clip(wrote[0], 60)} wrote the file: it was packed or encoded again, as most shared videos are.",
        )


def _camera(view: Container) -> str:
    make, model = (_value(view, f"exif:{tag}") for tag in ("Make", "Model"))
    if not model:
        return ""
    return clip(model if make.split(" ")[0].lower() in model.lower() else f"{make} {model}", 60)


def _value(view: Container, key: str) -> str:
    value = view.metadata.get(key, "")
    return value.strip(" \0") if isinstance(value, str) else ""


def _fields(view: Container) -> Iterator[tuple[str, str]]:
    """Fields by the lower-case name without namespace and number."""
    for key, text in list(view.metadata.items())[:4000]:
        if isinstance(key, str) and isinstance(text, str) and text.strip():
            yield key.partition("#")[0].rpartition(":")[2].lower(), text


CHECKS: tuple[Callable[[Container], Iterator[Reason]], ...] = (
    _thumbnail,
    _tables,
    _boxes,
    _editor,
    _order,
    _trailing,
    _malformed,
    _stripped,
)
