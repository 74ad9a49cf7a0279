from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.signatures.codes import to_hex
from assay.signatures.entries import Digest, PictureCode, Signature
from assay.signatures.exchange import Skipped, read_csv, read_threatexchange, write_csv, write_threatexchange
from assay.types import Kind

A = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"
B = "30a10efd71cc3d429013d48d0ffffc52e34e0e17ada952a9d29685211ea9e5af"
VECTORS = Path(__file__).resolve().parents[3] / "shared" / "data" / "signatures" / "pdq" / "data"


def text(data: str) -> list[Signature | Skipped]:
    return list(read_threatexchange(io.BytesIO(data.encode()), name="a partner"))


def table(data: str) -> list[Signature | Skipped]:
    return list(read_csv(io.BytesIO(data.encode()), name="a partner"))


def codes(found: list[Signature | Skipped]) -> list[str]:
    return [
        to_hex(s.fingerprint.code)
        for s in found
        if isinstance(s, Signature) and isinstance(s.fingerprint, PictureCode)
    ]


@pytest.mark.parametrize(
    "data",
    [
        f"pdq {A}\npdq {B}\n",
        f"{A}\n{B.upper()}",
        f"\n  {A}  \r\n\r\nPDQ {B}\n",
        f"\ufeff{A}\n{B}\n",
        f"{A},bridge-1.jpg\n{B},97,bridge 2.jpg\n",
    ],
)
def test_signal_files_are_read_in_all_their_forms(data: str) -> None:
    found = text(data)
    assert codes(found) == [A, B]
    assert all(
        isinstance(s, Signature) and s.source == "a partner" and s.about == "known_fake" for s in found
    )


def test_the_quality_that_the_reference_hasher_writes_is_kept() -> None:
    first, second, third = text(f"{A},97,x.jpg\n{B},x.jpg\n{A},20,flat.jpg\n")
    assert isinstance(first, Signature)
    assert isinstance(first.fingerprint, PictureCode)
    assert first.fingerprint.quality == 97
    assert isinstance(second, Signature)
    assert isinstance(second.fingerprint, PictureCode)
    assert second.fingerprint.quality is None
    assert isinstance(third, Skipped)


def test_what_cannot_be_used_is_skipped_with_its_line_and_why() -> None:
    found = text(f"pdq {A}\nvideo_md5 {'0' * 32}\npdq {A[:-1]}\npdq\n{'0' * 64}\n{'f' * 64}\npdq {B}\n")
    assert [s.line for s in found if isinstance(s, Skipped)] == [2, 3, 4, 5, 6]
    assert all(s.why for s in found if isinstance(s, Skipped))
    assert codes(found) == [A, B]


def test_digests_are_read_where_the_line_says_so() -> None:
    (found,) = text(f"sha256 {A}\n")
    assert isinstance(found, Signature)
    assert found.fingerprint == Digest(A)


def test_a_line_without_a_type_is_skipped_where_none_is_assumed() -> None:
    (found,) = read_threatexchange(io.BytesIO(A.encode()), name="x", default=None)
    assert isinstance(found, Skipped)


def test_equal_codes_have_equal_ids_wherever_they_come_from() -> None:
    ids = {
        s.id for s in [*text(f"{A}\npdq {A.upper()}\n"), *table(f"hash\n{A}\n")] if isinstance(s, Signature)
    }
    assert ids == {f"pdq:{A}"}


@pytest.mark.parametrize("title", ["hash", "PDQ", "indicator", "signal_str", "Hash"])
def test_csv_is_read_by_its_column_names(title: str) -> None:
    data = f'type,quality,{title},kinds,about,note,elsewhere\nHASH_PDQ,88,{A},splice face_swap,known_fake,"a, b",1\n'
    (found,) = table(data)
    assert isinstance(found, Signature)
    assert isinstance(found.fingerprint, PictureCode)
    assert (to_hex(found.fingerprint.code), found.fingerprint.quality) == (A, 88)
    assert found.kinds == (Kind.SPLICE, Kind.FACE_SWAP)
    assert found.note == "a, b"


def test_rows_that_cannot_be_used_are_skipped() -> None:
    found = table(
        f'hash,about,kinds\n{A},,\n{A},rumour,\n{A},,melted\n\nshort\n{B},known_original,\n"{A},,\n{A},,\n'
    )
    assert [s.line for s in found if isinstance(s, Skipped)] == [3, 4, 6, 8]
    assert [s.about for s in found if isinstance(s, Signature)] == [
        "known_fake",
        "known_original",
        "known_fake",
    ]


@pytest.mark.parametrize("data", ["", "\n", "name,note\nx,y\n", "hash,pdq\n1,2\n", '"hash\n'])
def test_csv_without_one_column_of_hashes_is_refused(data: str) -> None:
    with pytest.raises(ValueError, match="no column of hashes"):
        table(data)


def test_what_is_written_is_read_again() -> None:
    made = [
        Signature(
            "one", "known_fake", PictureCode(_code(A), 90), (Kind.SPLICE,), "desk", 'a "note", with commas'
        ),
        Signature("two", "known_original", PictureCode(_code(B))),
        Signature("three", "known_fake", Digest("ab" * 32)),
    ]
    out = io.StringIO()
    assert write_csv(made, out) == 3
    again = table(out.getvalue())
    assert [s.id for s in again if isinstance(s, Signature)] == ["one", "two", "three"]
    other = io.StringIO()
    assert write_csv([s for s in again if isinstance(s, Signature)], other) == 3
    assert other.getvalue().replace("a partner", "") == out.getvalue()
    signals = io.StringIO()
    assert write_threatexchange(made, signals) == 2
    assert codes(text(signals.getvalue())) == [A, B]


def _code(digits: str):
    (found,) = text(digits)
    assert isinstance(found, Signature)
    assert isinstance(found.fingerprint, PictureCode)
    return found.fingerprint.code


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    class Endless(io.RawIOBase):
        left = 64 << 20

        def readable(self) -> bool:
            return True

        def readinto(self, buffer) -> int:
            size = min(len(buffer), self.left)
            buffer[:size] = b"f" * size
            self.left -= size
            return size

    found = list(read_threatexchange(io.BufferedReader(Endless()), name="x"))
    assert len(found) == 1
    assert isinstance(found[0], Skipped)


@pytest.mark.shared
def test_the_published_list_is_read_whole() -> None:
    with (VECTORS / "reg-test-input" / "haystack.txt").open("rb") as file:
        found = list(read_threatexchange(file, name="reference"))
    assert len(found) == 1350
    assert all(isinstance(s, Signature) for s in found)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400) | st.text(max_size=200).map(str.encode))
def test_bytes_of_any_kind_are_signatures_or_skipped(data: bytes) -> None:
    for one in read_threatexchange(io.BytesIO(data), name="x"):
        assert isinstance(one, Signature | Skipped)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([A, "pdq", '"', "\x00", "sha256", "99", "é", ""]), max_size=5), max_size=5
    )
)
def test_csv_of_any_cells_is_signatures_or_skipped(rows: list[list[str]]) -> None:
    data = "hash,type,quality,id,kinds\n" + "\n".join(",".join(r) for r in rows)
    for one in table(data):
        assert isinstance(one, Signature | Skipped)
