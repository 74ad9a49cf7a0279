"""Encryption as streams: from a descriptor or pieces, into pieces or a descriptor, never the whole in memory.

pyrage wraps whatever a Python reader or writer raises into its own errors; the sources and sinks here keep the
original, so that a full disk is reported as such.
"""

from __future__ import annotations

import errno
import hashlib
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from assay.errors import AssayError
from assay.objects import CHUNK, chunks

Pieces = Generator[bytes, None, None]  # close it if it is not read to its end
AGE_CHUNK, AGE_TAG = 1 << 16, 16  # age encrypts in chunks of 64 KiB, each with a tag


class Source:
    """Reads pieces, or a descriptor from its beginning by offset: its position, which others may share, stays.

    `digest` and `size` are of what was read so far.
    """

    def __init__(self, content: int | Iterator[bytes]) -> None:
        self._pieces = chunks(content) if isinstance(content, int) else content
        self._digest = hashlib.sha256()
        self._ahead = b""
        self._at = 0
        self.size = 0
        self.error: OSError | ValueError | AssayError | None = None

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def read(self, n: int = -1) -> bytes:
        try:
            if self._at == len(self._ahead):
                self._ahead, self._at = next(self._pieces, b""), 0
                self._digest.update(self._ahead)
                self.size += len(self._ahead)
        except (OSError, ValueError, AssayError) as e:
            self.error = e
            raise
        chunk = self._ahead[self._at : self._at + n if n >= 0 else None]
        self._at += len(chunk)
        return chunk


class Sink:
    """Writes to a descriptor. `digest` and `size` are of what was written."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._digest = hashlib.sha256()
        self.size = 0
        self.error: OSError | None = None

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes) -> int:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as e:
            self.error = e
            raise
        self._digest.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Nothing is buffered here."""


def encrypt(source: Source, sink: Sink, recipients: Sequence[Any]) -> None:
    """Encrypt all of `source` into `sink`; raises the OSError of either end as it was."""
    import pyrage

    with _original(source, sink):
        pyrage.encrypt_io(source, sink, recipients)
    _check_length(sink, source.size)


def decrypt(source: Source, sink: Sink, identities: Sequence[Any]) -> None:
    """Decrypt all of `source` into `sink`.

    Raises
    ------
    OSError
        Of either end.
    ValueError
        If no identity fits or the ciphertext was altered or cut.
    """
    import pyrage

    try:
        with _original(source, sink):
            pyrage.decrypt_io(source, sink, identities)
    except pyrage.DecryptError as e:
        raise ValueError(f"it cannot be decrypted: {e}") from e
    except OSError as e:
        if source.error is None and sink.error is None:  # pyrage's own: authentication of a chunk failed
            raise ValueError(f"it cannot be decrypted: {e}") from e
        raise


def sealed(source: Source, recipients: Sequence[Any]) -> Pieces:
    """Yield the ciphertext of all of `source` in pieces; raises what either end raised, as it was."""
    return _piped(lambda sink: encrypt(source, sink, recipients))


def resealed(
    source: Source, identities: Sequence[Any], recipients: Sequence[Any], check: str | None
) -> Pieces:
    """Decrypt and encrypt anew, in pieces: the plaintext passes through a pipe and touches no disk.

    `check` is the SHA-256 that the plaintext must have, if it is known.

    Raises
    ------
    OSError, ValueError
        As `decrypt` does, and at the end if the digest differs.
    """
    with closing(_piped(lambda sink: decrypt(source, sink, identities))) as opened:
        plain = Source(opened)
        with closing(sealed(plain, recipients)) as pieces:
            yield from pieces
    if check is not None and plain.digest != check:
        raise ValueError("what was decrypted is not what was encrypted")


def _piped(work: Callable[[Sink], None]) -> Pieces:
    """Yield what `work` writes, which pyrage can only push; it runs in a thread of its own."""
    reading, writing = os.pipe()
    failures: list[Exception] = []

    def run() -> None:
        try:
            work(Sink(writing))
        except (OSError, ValueError, AssayError) as e:
            failures.append(e)
        finally:
            os.close(writing)

    thread = threading.Thread(target=run, name="sealing")
    thread.start()
    try:
        while piece := os.read(reading, CHUNK):
            yield piece
    finally:
        os.close(reading)  # whoever reads no further ends the writer, too
        thread.join()
    if failures:
        raise failures[0]


def sealed_size(size: int) -> int:
    """Return the least number of bytes that age makes of `size` bytes."""
    return size + AGE_TAG * max(1, -(-size // AGE_CHUNK))


def _check_length(sink: Sink, size: int) -> None:
    if sink.size < sealed_size(size):
        raise OSError(errno.EIO, "the ciphertext is shorter than it must be")


@contextmanager
def _original(*ends: Source | Sink) -> Iterator[None]:
    """Raise what an end raised, as it was, whether pyrage passed it on or not.

    It does not always: of an error in the write of the last chunk, pyrage 1.4 says nothing.
    """
    import pyrage

    try:
        yield
    except (pyrage.EncryptError, pyrage.DecryptError, OSError) as e:
        _raise_first(ends, e)
        if isinstance(e, pyrage.EncryptError):
            raise OSError(errno.EIO, str(e)) from e
        raise
    _raise_first(ends, None)


def _raise_first(ends: Sequence[Source | Sink], cause: Exception | None) -> None:
    for end in ends:
        if end.error is not None:
            raise end.error from cause
