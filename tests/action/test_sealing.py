import io
import itertools
import os
import threading

import pytest
from pyrage import decrypt as opened
from pyrage import x25519

from assay.action.sealing import Sink, Source, decrypt, encrypt, resealed, sealed, sealed_size
from assay.errors import StoreError

ONE, TWO = x25519.Identity.generate(), x25519.Identity.generate()


@pytest.fixture
def pair(tmp_path):
    """A file to read and one to write, as descriptors."""
    (tmp_path / "in").write_bytes(os.urandom(150_000))
    descriptors = os.open(tmp_path / "in", os.O_RDONLY), os.open(tmp_path / "out", os.O_CREAT | os.O_RDWR)
    yield descriptors
    for descriptor in descriptors:
        os.close(descriptor)


def _content(descriptor):
    return os.pread(descriptor, 1 << 22, 0)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072, 2_500_000])
def test_every_size_survives_and_is_as_long_as_foretold(tmp_path, size):
    content = os.urandom(size)
    (tmp_path / "in").write_bytes(content)
    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "w+b") as target:
        read = Source(source.fileno())
        encrypt(read, Sink(target.fileno()), [ONE.to_public()])
        sealed = _content(target.fileno())
    assert opened(sealed, [ONE]) == content
    assert read.size == size
    assert sealed_size(size) < len(sealed) < sealed_size(size) + 400


@pytest.mark.parametrize("full_at", [0, 1, 2, 3])
def test_a_write_that_fails_is_reported_wherever_it_happens(pair, monkeypatch, full_at):
    real, count = os.write, iter(range(100))

    def failing(*arguments):
        if next(count) == full_at:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(OSError, match="No space") as error:
        encrypt(Source(pair[0]), Sink(pair[1]), [ONE.to_public()])
    assert error.value.errno == 28


def test_a_disk_that_swallows_bytes_is_found_by_the_length(pair, monkeypatch):
    monkeypatch.setattr(Sink, "write", lambda _, data: len(data))
    with pytest.raises(OSError, match="shorter"):
        encrypt(Source(pair[0]), Sink(pair[1]), [ONE.to_public()])


def test_a_cut_or_altered_ciphertext_is_a_value_error(pair, tmp_path):
    encrypt(Source(pair[0]), Sink(pair[1]), [ONE.to_public()])
    sealed = _content(pair[1])
    for n, broken in enumerate((sealed[:-5], sealed[:80], b"", sealed[:90_000] + b"!" + sealed[90_001:])):
        (tmp_path / f"broken{n}").write_bytes(broken)
        with (
            open(tmp_path / f"broken{n}", "rb") as file,
            open(os.devnull, "wb") as nowhere,
            pytest.raises(ValueError),
        ):
            decrypt(Source(file.fileno()), Sink(nowhere.fileno()), [ONE])


def test_encrypting_anew_gives_it_to_others_without_changing_it(pair):
    encrypt(Source(pair[0]), Sink(pair[1]), [ONE.to_public()])
    read = Source(pair[0])
    while read.read():
        pass

    def anew(identity, check):
        return b"".join(resealed(Source(pair[1]), [identity], [TWO.to_public()], check))

    assert opened(anew(ONE, read.digest), [TWO]) == _content(pair[0])
    with pytest.raises(ValueError, match="not what was"):
        anew(ONE, "0" * 64)
    with pytest.raises(ValueError, match="No matching keys"):
        anew(TWO, None)


def test_a_ciphertext_comes_in_pieces_and_whoever_stops_reading_ends_the_writer(pair):
    assert opened(b"".join(sealed(Source(pair[0]), [ONE.to_public()])), [ONE]) == _content(pair[0])
    endless = Source(itertools.repeat(bytes(100_000)))
    pieces = sealed(endless, [ONE.to_public()])
    assert next(pieces)
    pieces.close()
    assert not [t for t in threading.enumerate() if t.name == "sealing"]


def test_what_fails_while_pieces_are_read_is_raised_as_it_was():
    def failing():
        yield bytes(100_000)
        raise StoreError("the bucket is gone")

    with pytest.raises(StoreError, match="bucket is gone"):
        b"".join(sealed(Source(failing()), [ONE.to_public()]))


def test_a_reader_that_fails_is_reported_as_it_failed():
    reading, writing = os.pipe()  # a pipe cannot be read by offset
    try:
        with pytest.raises(OSError, match="Illegal seek"), open(os.devnull, "wb") as nowhere:
            encrypt(Source(reading), Sink(nowhere.fileno()), [ONE.to_public()])
    finally:
        os.close(reading)
        os.close(writing)


def test_a_source_reads_in_any_steps(pair):
    one, two = Source(pair[0]), Source(pair[0])
    whole, parts = one.read(), io.BytesIO()
    while chunk := two.read(777):
        parts.write(chunk)
    assert parts.getvalue() == whole
    assert one.digest == two.digest
