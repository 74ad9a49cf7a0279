from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.signatures import packs
from assay.signatures.codes import from_bits
from assay.signatures.entries import PackError, PictureCode, Signature, encoded
from assay.signatures.packs import Header, Installed, key_id, new_key, open_pack, write_pack

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRIVATE, PUBLIC = (
    bytes(range(32)),
    packs.Ed25519PrivateKey.from_private_bytes(bytes(range(32))).public_key().public_bytes_raw(),
)
TRUSTED = {key_id(PUBLIC): PUBLIC}


def signatures(count: int, seed: int = 0) -> list[Signature]:
    bits = np.random.default_rng(seed).random((count, 256)) < 0.5
    return [
        Signature(f"fake-{n:06}", "known_fake", PictureCode(c, 80)) for n, c in enumerate(from_bits(bits))
    ]


def packed(count: int = 20, *, serial: int = 3, seed: int = 0, **fields) -> tuple[bytes, Header]:
    out = io.BytesIO()
    usual = {
        "name": "newsroom", "serial": serial, "issued_at": NOW - timedelta(days=1),
        "expires_at": NOW + timedelta(days=30), "private": PRIVATE,
    }  # fmt: skip
    header = write_pack(signatures(count, seed), out, **(usual | fields))
    return out.getvalue(), header


SMALL, _ = packed(4)


def opened(data: bytes, **fields) -> packs.Pack:
    return open_pack(io.BytesIO(data), fields.pop("trusted", TRUSTED), now=fields.pop("now", NOW), **fields)


def refused(data: bytes, **fields) -> str:
    with pytest.raises(PackError) as caught:
        list(opened(data, **fields).signatures())
    assert caught.value.message
    assert caught.value.hint or caught.value.code == "pack_entry"
    return caught.value.code


def test_a_pack_is_read_as_it_was_written() -> None:
    data, header = packed()
    pack = opened(data)
    assert pack.header == header
    assert (header.name, header.serial, header.count, header.key) == ("newsroom", 3, 20, key_id(PUBLIC))
    assert [encoded(s) for s in pack.signatures()] == [encoded(s) for s in signatures(20)]


def test_equal_lists_make_equal_packs_in_any_order() -> None:
    first, second = io.BytesIO(), io.BytesIO()
    fields = {
        "name": "n", "serial": 1, "issued_at": NOW, "expires_at": NOW + timedelta(1), "private": PRIVATE,
    }  # fmt: skip
    write_pack(signatures(9), first, **fields)
    write_pack(reversed(signatures(9)), second, **fields)
    assert first.getvalue() == second.getvalue()


def test_a_pack_streams_chunk_by_chunk_from_reads_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "CHUNK", 1000)

    class Dripping(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 7))

    data, header = packed(50)
    assert len(header.chunks) > 5
    pack = open_pack(Dripping(data), TRUSTED, now=NOW)
    assert len(list(pack.signatures())) == 50


def test_nothing_of_an_altered_chunk_is_handed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "CHUNK", 1000)
    data, header = packed(50)
    sizes = [n for n, _ in header.chunks]
    start = len(data) - sum(sizes)
    spoiled = bytearray(data)
    spoiled[start + sizes[0] + sizes[1] // 2] ^= 1  # in the second chunk
    seen: list[Signature] = []
    with pytest.raises(PackError) as caught:
        seen.extend(opened(bytes(spoiled)).signatures())
    assert caught.value.code == "pack_altered"
    handed: list[Signature] = []
    reading = opened(bytes(spoiled)).signatures()
    with pytest.raises(PackError):
        while True:
            handed.append(next(reading))
    assert sum(len(encoded(s)) + 1 for s in handed) == sizes[0]


def test_an_empty_pack_withdraws_everything() -> None:
    data, header = packed(0)
    assert header.count == 0
    assert list(opened(data).signatures()) == []


def test_the_signature_of_another_key_is_refused() -> None:
    other, _ = new_key()
    data, _ = packed(private=other)
    assert refused(data) == "pack_untrusted"
    mine, _ = packed()
    assert refused(mine, trusted={}) == "pack_untrusted"


def test_a_header_that_was_changed_is_refused() -> None:
    data, _ = packed()
    assert refused(data.replace(b'"serial":3', b'"serial":4')) == "pack_bad_signature"


def test_a_signature_of_something_else_by_the_same_key_does_not_serve() -> None:
    data, _ = packed()
    header, _, rest = data.split(b"\n", 2)
    bare = packs.Ed25519PrivateKey.from_private_bytes(PRIVATE).sign(header)  # without the domain
    assert refused(b"\n".join([header, bare.hex().encode(), rest])) == "pack_bad_signature"


def test_an_expired_pack_is_refused_and_one_from_the_future_too() -> None:
    data, header = packed()
    assert refused(data, now=header.expires_at) == "pack_expired"
    assert refused(data, now=header.issued_at - timedelta(days=2)) == "pack_early"
    assert list(opened(data, now=header.issued_at - timedelta(hours=20)).signatures())


def test_an_older_serial_is_refused_and_the_same_issue_accepted() -> None:
    data, header = packed(serial=3)
    same = {"newsroom": Installed(3, header.digest)}
    assert len(list(opened(data, installed=same).signatures())) == 20
    assert len(list(opened(data, installed={"newsroom": Installed(2, "")}).signatures())) == 20
    assert refused(data, installed={"newsroom": Installed(4, "")}) == "pack_older"
    assert len(list(opened(data, installed={"another": Installed(4, "")}).signatures())) == 20


def test_two_lists_of_one_serial_are_a_fork() -> None:
    _, first = packed(seed=1)
    second, _ = packed(seed=2)
    assert refused(second, installed={"newsroom": Installed(3, first.digest)}) == "pack_forked"


def test_a_pack_cut_off_anywhere_is_refused() -> None:
    data, _ = packed(6)
    codes = {refused(data[:length]) for length in range(0, len(data), 5)}
    assert codes == {"pack_truncated"}


def test_a_pack_with_something_behind_its_end_is_refused() -> None:
    data, _ = packed(6)
    assert refused(data + b"\n") == "pack_malformed"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_flipped_bit_is_an_error_of_ours(data: st.DataObject) -> None:
    pack = SMALL
    spoiled = bytearray(pack)
    spoiled[data.draw(st.integers(0, len(pack) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert refused(bytes(spoiled)).startswith("pack_")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400))
def test_bytes_of_any_kind_are_refused(data: bytes) -> None:
    assert refused(data).startswith("pack_")


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(
            ["chunks", "count", "expires_at", "format", "issued_at", "key", "name", "serial", "x"]
        ),
        st.none()
        | st.integers()
        | st.text(max_size=10)
        | st.lists(st.lists(st.integers() | st.text(max_size=5), max_size=3), max_size=3),
    )
)
def test_a_signed_header_of_any_content_is_refused(fields: dict) -> None:
    """Even a publisher whom we trust cannot make the reader stumble."""
    value = packs.json.loads(SMALL.split(b"\n")[0]) | fields
    header = packs.canonical(value)
    signature = packs.Ed25519PrivateKey.from_private_bytes(PRIVATE).sign(packs.DOMAIN + header).hex().encode()
    body = SMALL.split(b"\n", 2)[2]
    try:
        list(opened(b"\n".join([header, signature, body])).signatures())
    except PackError as e:
        assert e.code.startswith("pack_")
    else:
        assert value["count"] == 4


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "a/b"},
        {"serial": 0},
        {"expires_at": NOW - timedelta(days=2)},
        {"private": b"x"},
    ],
)
def test_a_pack_that_could_not_be_read_again_is_not_written(fields: dict) -> None:
    with pytest.raises(ValueError, match=r"pack|key|private"):
        packed(**fields)


def test_two_signatures_of_one_id_are_not_written() -> None:
    with pytest.raises(ValueError, match="one id"):
        write_pack(
            [*signatures(2), *signatures(1)], io.BytesIO(),
            name="n", serial=1, issued_at=NOW, expires_at=NOW + timedelta(1), private=PRIVATE,
        )  # fmt: skip


def test_keys_are_named_by_their_digest() -> None:
    private, public = new_key()
    assert (len(private), len(public)) == (32, 32)
    assert len(key_id(public)) == 16
    assert key_id(public) != key_id(PUBLIC)
