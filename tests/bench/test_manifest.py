from __future__ import annotations

import hashlib
from pathlib import Path

import corpora
import pytest

from assay.bench import manifest
from assay.errors import AssayError


def refusal(path: Path) -> str:
    with pytest.raises(AssayError) as caught:
        manifest.read(path)
    assert caught.value.code == "manifest"
    return caught.value.message


def test_a_manifest_is_read_with_digests_and_paths(tmp_path):
    path = corpora.small(tmp_path)
    read = manifest.read(path)
    assert (len(read.entries), read.fakes, read.sources) == (8, 4, 8)
    assert read.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    first = read.entries[0]
    assert first.sha256 == hashlib.sha256((tmp_path / "0.jpg").read_bytes()).hexdigest()
    assert (first.label, first.generator, read.entries[-1].label) == ("bona_fide", "", "fake")


def test_what_is_written_can_be_read(tmp_path):
    corpora.small(tmp_path)
    rows = [
        corpora.row("0.jpg", fake=False, source="a, b"),
        corpora.row("4.png", fake=True, source="c", kind="splice"),
    ]
    manifest.write(tmp_path / "m.csv", rows)
    read = manifest.read(tmp_path / "m.csv")
    assert [(e.name, e.source, e.kind) for e in read.entries] == [
        ("0.jpg", "a, b", None),
        ("4.png", "c", "splice"),
    ]
    assert (tmp_path / "m.csv").read_text().splitlines()[0] == "path,label,family,generator,source,kind"


def test_missing_files_are_counted_and_the_first_are_named(tmp_path):
    rows = [corpora.row(f"gone{k}.jpg", fake=False, source="s") for k in range(5)]
    told = refusal(corpora.write(tmp_path, rows))
    assert "5 of 5 files are missing" in told
    assert "line 2: gone0.jpg" in told
    assert "and 2 more" in told


def test_a_missing_mask_is_a_missing_file(tmp_path):
    corpora.small(tmp_path)
    told = refusal(corpora.write(tmp_path, [corpora.row("4.png", fake=True, source="s", mask="mask.png")]))
    assert "mask.png" in told


def test_columns_that_nobody_reads_are_named(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("path,label,family,generator,source,licence,camera\n")
    assert "licence, camera" in refusal(path)
    path.write_text("path,label,family\n")
    assert "lacks columns: generator, source" in refusal(path)
    path.write_text("path,path,label,family,generator,source\n")
    assert "twice: path" in refusal(path)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("0.jpg,real,scene,,s", "the label is 'real'"),
        ("0.jpg,,scene,,s", "the label is ''"),
        (",fake,scene,g,s", "the path is empty"),
        ("0.jpg,fake,scene,g,", "the source is empty"),
        ("0.jpg,bona_fide,scene,sd3,s", "no generator"),
        ("0.jpg,fake,scene,g", "line 2: it has not as many fields"),
        ("0.jpg,fake,scene,g,s,more", "line 2: it has not as many fields"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, told):
    corpora.small(tmp_path)
    path = tmp_path / "m.csv"
    path.write_text(f"path,label,family,generator,source\n{line}\n")
    assert told in refusal(path)


def test_a_kind_that_does_not_exist_is_refused(tmp_path):
    corpora.small(tmp_path)
    path = corpora.write(tmp_path, [corpora.row("4.png", fake=True, source="s", kind="deepfake")])
    assert "no kind 'deepfake'" in refusal(path)


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ({"fake": False, "source": "a"}, {"fake": True, "source": "a"}, "with both labels"),
        ({"fake": False, "source": "a"}, {"fake": False, "source": "b"}, "both sides of a split"),
        ({"fake": False, "source": "a"}, {"fake": False, "source": "a"}, "twice"),
    ],
)
def test_the_same_bytes_may_be_listed_once(tmp_path, first, second, told):
    data = corpora.encoded(corpora.scene(0))
    for name in ("x.jpg", "y.jpg"):
        (tmp_path / name).write_bytes(data)
    path = corpora.write(tmp_path, [corpora.row("x.jpg", **first), corpora.row("y.jpg", **second)])
    message = refusal(path)
    assert told in message
    assert "lines 2 and 3" in message


def test_a_file_that_was_changed_since_is_noticed(tmp_path):
    corpora.small(tmp_path)
    path = corpora.write(tmp_path, [corpora.row("0.jpg", fake=False, source="s", sha256="0" * 64)])
    assert "its SHA-256 differs" in refusal(path)


def test_empty_broken_and_absent_manifests_are_refused(tmp_path):
    path = tmp_path / "m.csv"
    assert "cannot be read" in refusal(path)
    path.write_text("path,label,family,generator,source\n")
    assert "names no sample" in refusal(path)
    path.write_bytes(b"path,label,family,generator,source\n\xff\xfe,fake,a,b,c\n")
    assert "not UTF-8" in refusal(path)
    path.write_text('path,label,family,generator,source\n"0.jpg,fake\n')
    assert "CSV" in refusal(path)
    assert "cannot be read" in refusal(tmp_path)


def test_one_class_is_a_corpus_and_says_so_where_both_are_needed(tmp_path):
    corpora.small(tmp_path)
    read = manifest.read(corpora.write(tmp_path, [corpora.row("0.jpg", fake=False, source="s")]))
    assert len(read.entries) == 1
    with pytest.raises(AssayError, match="needs both classes"):
        read.needs_both_classes()
