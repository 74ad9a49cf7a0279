"""Labels that metadata alone tell, and metadata that only look as if they did."""

from __future__ import annotations

import io
import math
from pathlib import Path

import corpora
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from assay.bench import audit, crossfit, manifest, shortcuts, tags
from assay.bench.audit import KEYS, VALUES
from assay.bench.shortcuts import NUMBERS, WORDS, Traits
from assay.media.views import Container


def png(k: int, *texts: tuple[str, str], mode: str = "RGB") -> tuple[str, bytes]:
    info, buffer = PngImagePlugin.PngInfo(), io.BytesIO()
    for keyword, text in texts:
        info.add_text(keyword, text)
    pixels = corpora.scene(k)
    deep = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    picture = deep if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    picture.save(buffer, "PNG", pnginfo=info)
    return f"{k}.png", buffer.getvalue()


def jpeg(k: int, exif: dict[int, object] | None = None, **options) -> tuple[str, bytes]:
    written = Image.Exif()
    for tag, value in (exif or {}).items():
        written[tag] = value
    more = {"exif": written.tobytes()} if exif else {}
    return f"{k}.jpg", corpora.encoded(corpora.scene(k), quality=90, **more, **options)


def corpus(folder: Path, make, n: int = 30) -> audit.Audit:
    rows = []
    for k in range(2 * n):
        name, data = make(k, k >= n)
        (folder / name).write_bytes(data)
        rows.append(corpora.row(name, fake=k >= n, source=f"scene {k}"))
    return audit.audit(manifest.read(corpora.write(folder, rows)))


def told(tags_of: list[dict[str, str]]) -> list[Traits]:
    """Traits that differ in nothing but their tags."""
    return [
        Traits(dict.fromkeys(NUMBERS, math.nan), dict.fromkeys(WORDS, "-"), tags.kept(t)) for t in tags_of
    ]


def rows_of(tags_of: list[dict[str, str]], per_source: int = 1) -> tuple[list[manifest.Entry], list[Traits]]:
    """Samples of these tags, the second half of them fakes."""
    n = len(tags_of)
    rows = [
        manifest.Entry(
            name=f"{k}", path=Path(f"{k}"), sha256=f"{k}", size=1, media_family="image", fake=k >= n // 2,
            family="", generator="", source=f"s{k // per_source}", kind=None, mask_sha256="", mask=None, recipe=None,
            parents=(), rights="", note="",
        )
        for k in range(n)
    ]  # fmt: skip
    return rows, told(tags_of)


def measured(tags_of: list[dict[str, str]], per_source: int = 1) -> dict[str, audit.Shortcut]:
    return {s.name: s for s in audit.measured(*rows_of(tags_of, per_source))}


@pytest.mark.usefixtures("unjailed")
@pytest.mark.parametrize(
    ("make", "shortcut", "telling"),
    [
        (lambda k, f: png(k, ("parameters" if f else "Title", f"a cat, Steps: {k}")), KEYS, "png:parameters"),
        (lambda k, f: jpeg(k, {305: f"tool {k}"} if f else {272: f"cam {k}"}), KEYS, "exif:Software"),
        (lambda k, f: jpeg(k, **({"comment": b"hello"} if f else {})), KEYS, "jpeg:comment"),
        (
            lambda k, f: jpeg(k, {305: "Stable Diff" if f else "Canon DPP 4"}),
            VALUES,
            "exif:Software = Stable Diff",
        ),
        (
            lambda k, f: jpeg(k, {305: f"Stable Diff build {k}" if f else f"Canon DPP {k}"}),
            VALUES,
            "exif:Software begins Stable",
        ),
        (lambda k, f: jpeg(k, dpi=(72, 72) if f else (300, 300)), VALUES, "jfif:Density = 72x72 dpi"),
        (lambda k, f: jpeg(k, {274: 6 if f else 1}), VALUES, "exif:Orientation = 6"),
        (lambda k, f: png(k, mode="RGBA" if f else "RGB"), "channels and depth", "RGB, 8 bit"),
        (lambda k, f: png(k, mode="I;16" if f else "L"), "channels and depth", "grey, 8 bit"),
    ],
    ids=["png key", "exif tag", "comment", "software", "build", "dpi", "orientation", "alpha", "depth"],
)
def test_metadata_that_tell_the_label_betray_the_corpus(tmp_path, make, shortcut, telling):
    found = corpus(tmp_path, make)
    named = {s.name: s for s in found.betraying}
    assert shortcut in named, "\n".join(audit.lines(found))
    assert named[shortcut].auc.value > 0.95
    assert named[shortcut].telling.startswith(f"{telling}: ")


@pytest.mark.usefixtures("unjailed")
def test_the_same_kinds_of_metadata_in_both_classes_pass(tmp_path):
    def honest(k: int, _fake: bool) -> tuple[str, bytes]:
        rng = np.random.default_rng(k)
        maker = int(rng.integers(3))
        return jpeg(
            k,
            {
                271: ("Canon", "Nikon", "Sony")[maker],
                272: ("EOS 5D", "D70", "A7")[maker],
                274: int(rng.choice([1, 6])),
                305: ("Lightroom 5", "GIMP 2.10")[int(rng.integers(2))],
                306: f"20{rng.integers(10, 24)}:0{rng.integers(1, 10)}:{rng.integers(10, 28)} 1{k % 10}:{k}:07",
                42033: f"SN{k * 7919}",
            },
            dpi=(int(rng.choice([72, 300])),) * 2,
        )

    found = corpus(tmp_path, honest)
    assert VALUES in {s.name for s in found.found}
    assert not found.betrayed, "\n".join(audit.lines(found))


def test_what_each_file_has_for_itself_is_neither_counted_nor_learned():
    rng = np.random.default_rng(0)
    own = [
        {
            "exif:DateTimeOriginal": f"2019:07:{rng.integers(10, 29)} 12:{k // 10}{k % 10}:{rng.integers(10, 60)}",
            "exif:BodySerialNumber": f"{rng.integers(1 << 40):x}",
            f"png:{rng.integers(1 << 60)}": "once",
            "gps:GPSLatitude": f"{rng.integers(90)} {rng.integers(60)} {rng.integers(10**9)}/1000",
        }
        for k in range(80)
    ]
    found = measured(own)
    assert KEYS not in found, "a key that one file has is no key of the corpus"
    assert found[VALUES].auc.value < 0.7
    assert not any(str(t["exif:BodySerialNumber"]) in found[VALUES].telling for t in own)


def test_a_value_of_a_source_tells_nothing_of_other_sources():
    # Each source has a camera and a place of its own: in the sample they tell the label perfectly.
    own = [{"exif:Model": f"camera {k // 8}", "gps:Place": "abcdefghijkl"[k // 8] * 5} for k in range(96)]
    assert VALUES not in measured(own, per_source=8) or measured(own, per_source=8)[VALUES].auc.value <= 0.5


def test_labels_that_chance_has_given_to_rich_metadata_seldom_betray():
    refused = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        sizes = rng.integers(2, 30, 40)
        own = [
            {f"exif:K{j}": f"value {rng.integers(sizes[j])}" for j in range(40) if rng.random() < 0.7}
            for _ in range(80)
        ]
        refused += any(s.auc.value > audit.LIMIT and s.auc.low > 0.5 for s in measured(own).values())
    assert refused <= 3


def test_few_files_get_a_wide_interval():
    found = measured([{"exif:Software": "A" if k < 3 else "B"} for k in range(6)])[VALUES]
    assert (found.auc.value, found.auc.high) == (1, 1)
    assert found.auc.low < 0.5
    assert not measured([{"exif:Software": "A" if k < 2 else "B"} for k in range(4)]), (
        "two sources share nothing"
    )


def test_marks_that_say_the_same_crowd_nothing_out():
    own = [
        {f"exif:K{j}": "x" for j in range(60)} if k % 2 else {"png:Title": "x"} | ({"png:a": "x"} if k >= 20 else {})
        for k in range(40)
    ]  # fmt: skip
    keys, _ = tags.marks([tags.kept(t) for t in own], [f"s{k}" for k in range(40)])
    assert keys.distinct.shape == (40, 2)
    assert len(keys.names) == 62


def test_the_marks_that_a_model_is_given_are_chosen_without_the_samples_it_judges():
    fake = np.arange(40) >= 20
    fold = np.arange(40) % 5
    # Of chance alone: 4000 columns of noise, of which some fit all labels well.
    noise = np.random.default_rng(1).random((40, 4000)) < 0.5
    scores = crossfit.cross_fitted([], fake, fold, [noise])
    assert 0.25 < (scores[fake][:, None] > scores[~fake]).mean() < 0.75


def test_hostile_metadata_are_few_and_short():
    kept = tags.kept({f"png:{k}{'k' * 500}": "\u202e" * k + "v" * 100_000 for k in range(2000)})
    assert len(kept) == tags.MOST_KEYS
    assert max(len(key) for key in kept) <= tags.LONGEST
    assert max(len(value) for value in kept.values()) <= tags.LONGEST
    first, second = (tags.kept({"xmp": "x" * 5000 + end})["xmp"] for end in "ab")
    assert first != second, "of what is cut, the digest still tells"
    keys, values = tags.marks(
        [{f"png:{j}": f"{j} {k % 9}" for j in range(1500)} for k in range(18)], [f"s{k}" for k in range(18)]
    )
    assert len(keys.names) <= tags.MOST_MARKS
    assert len(values.names) <= tags.MOST_OF_VALUES


@pytest.mark.usefixtures("unjailed")
def test_a_stranger_s_words_are_escaped_where_they_are_shown(tmp_path):
    found = corpus(tmp_path, lambda k, f: png(k, ("Title", "\x1b[31mred" if f else "plain")), n=8)
    text = "\n".join(audit.lines(found))
    assert "\x1b" not in text
    assert "\\x1b[31mred" in text


@pytest.mark.usefixtures("unjailed")
def test_further_keys_that_differ_are_told_of_a_shortcut_over_the_limit(tmp_path):
    found = corpus(tmp_path, lambda k, f: jpeg(k, {305: "A", 315: "me"} if f else {271: "B"}), n=10)
    keys = next(s for s in found.betraying if s.name == KEYS)
    assert {t.partition(":0%")[0].partition(": ")[0] for t in (keys.telling, *keys.also)} == {
        "exif:Software",
        "exif:Artist",
        "exif:Make",
    }
    assert sum("  also exif:" in line for line in audit.lines(found)) == 4, "of keys, and of values"
    plain = next(s for s in audit.plain(found)["shortcuts"] if s["name"] == KEYS)
    assert plain["also"] == list(keys.also)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        *(
            ({"metadata": {"png:header": f"depth 8, colour {k}, interlace 0"}}, f"{name}, 8 bit")
            for k, name in ((0, "grey"), (2, "RGB"), (3, "palette"), (6, "RGB and alpha"))
        ),
        ({"sampling": "1x1", "metadata": {"jpeg:precision": "8"}}, "grey, 8 bit"),
        ({"sampling": "2x2,1x1,1x1"}, "RGB, 8 bit"),
        ({"sampling": "1x1,1x1,1x1,1x1", "metadata": {"jpeg:precision": "12"}}, "CMYK, 12 bit"),
        ({"media_type": "image/webp", "metadata": {"webp:codec": "lossless, alpha"}}, "RGB and alpha, 8 bit"),
        ({"media_type": "image/webp", "metadata": {"webp:codec": "lossy"}}, "RGB, 8 bit"),
        ({"media_type": "image/tiff", "metadata": {"exif:BitsPerSample": "16 16 16"}}, "RGB, 16 bit"),
        ({"media_type": "image/gif"}, "palette, 8 bit"),
        ({"metadata": {"bmp:header": "40 bytes, 24 bit, compression 0"}}, "24 bit"),
        ({"metadata": {"stream.0:codec": "flac, 2 channels, 44100 Hz, 16 bit"}}, "2 channels, 16 bit"),
        ({}, "unknown"),
    ],
)
def test_the_colour_mode_has_one_name_in_all_formats(more, said):
    assert shortcuts.mode(Container(**{"media_type": "image/png", "size": 1, "sha256": ""} | more)) == said


@pytest.mark.usefixtures("unjailed")
def test_bytes_measure_no_content_where_channels_differ(tmp_path):
    found = corpus(tmp_path, lambda k, f: png(k, mode="RGBA" if f else "RGB"), n=8)
    assert all(s.counts for s in found.found)


def test_metadata_of_chance_do_not_drown_what_the_rest_tells_together():
    rng = np.random.default_rng(3)
    n = 60
    fake = np.arange(n) >= n // 2
    one = rng.integers(0, 2, n)
    words = np.stack([one, np.where(rng.random(n) < 0.8, fake, ~fake)], 1)
    entries, traits = rows_of([{f"exif:K{j}": f"{rng.integers(3)}" for j in range(60)} for _ in range(n)])
    for t, (a, b) in zip(traits, words.tolist(), strict=True):
        t.words.update(format=str(a), structure=str(b))
    found = {s.name: s for s in audit.measured(entries, traits)}
    without = {s.name: s for s in audit.measured(entries, [Traits(t.numbers, t.words) for t in traits])}
    assert found[audit.ALL] == without[audit.ALL]
    assert audit.WITH_MARKS in found
    assert audit.WITH_MARKS not in without
