"""What was computed before: an append-only cache in a folder that any number of processes share.

Each process appends whole lines to a file of its own, one write a line, so that a kill at any moment leaves at most one
torn last line, which is passed over. A line is the sample's digest, a blank, and JSON; readers take only lines of samples
that they ask for. Nothing is ever changed in place: a result wins over a failure of the same key, whenever either was
written, and failures are found by who asks for them alone: what caused them may be gone.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from assay.errors import AssayError
from assay.types import Outcome

TROUBLES = (Outcome.FAILED, Outcome.TIMED_OUT)
SUFFIX = ".scores"
DIGEST = 64  # characters


@dataclass(frozen=True, slots=True)
class Key:
    """What decides a score: bytes, laundering, detector, each with its version."""

    sample: str  # SHA-256
    laundering: str  # "jpeg75/1/0": name, version, seed; "as_is"
    detector: str  # "jpeg_grid/2", after another "/" the panel's stamp
    mask: str = ""  # digest of the true mask, where region F1 is measured


@dataclass(frozen=True, slots=True)
class Result:
    """What a detector said of one rendition, as far as figures need it."""

    outcome: Outcome
    score: float | None
    codes: tuple[str, ...]  # of its reasons
    rendition: str = ""  # SHA-256 of the bytes that were scored; "" if there were none
    width: int = 0  # upright, pixels
    height: int = 0
    quality: int | None = None  # JPEG, estimated
    region_f1: float | None = None
    elapsed_s: float = 0.0
    problem: str = ""  # why it failed, in words


class Cache:
    """Results by key; those of `samples` are read at once, failures only where they are asked for."""

    def __init__(self, folder: Path, samples: Collection[str], *, failures: bool = False) -> None:
        self.folder = folder
        self._failures = failures
        self._found: dict[Key, Result] = {}
        self._file: int | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for path in sorted(folder.glob(f"*{SUFFIX}")):
                self._read(path, frozenset(s.encode() for s in samples))
        except OSError as e:
            raise _trouble(folder, e) from e

    def __len__(self) -> int:
        return len(self._found)

    def find(self, key: Key) -> Result | None:
        return self._found.get(key)

    def add(self, key: Key, result: Result) -> None:
        """Keep a result, on disk before this returns to whoever would compute it again."""
        self._found[key] = result
        told = asdict(key) | asdict(result)
        sample = told.pop("sample")
        line = f"{sample} {json.dumps(told, separators=(',', ':'))}\n".encode()
        try:
            if self._file is None:
                self._file = self._opened()
            written = os.write(self._file, line)
            if written != len(line):
                os.write(self._file, line[written:])
        except OSError as e:
            raise _trouble(self.folder, e) from e

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        name = f"{os.getpid()}-{secrets.token_hex(6)}{SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        return os.open(self.folder / name, flags, 0o600)

    def _read(self, path: Path, samples: frozenset[bytes]) -> None:
        with path.open("rb") as file:
            for line in file:
                if line[:DIGEST] in samples and line.endswith(b"\n"):
                    found = _parsed(line)
                    if found is not None:
                        self._take(*found)

    def _take(self, key: Key, result: Result) -> None:
        """Enter a result; a failure counts only where it was asked for and nothing better is known."""
        if result.outcome not in TROUBLES or (self._failures and key not in self._found):
            self._found[key] = result


def _parsed(line: bytes) -> tuple[Key, Result] | None:
    """Read one line; None where it is damaged or of another version of this file."""
    try:
        told = json.loads(line[DIGEST + 1 :])
        key = Key(line[:DIGEST].decode("ascii"), told["laundering"], told["detector"], told["mask"])
        values = {f.name: told[f.name] for f in fields(Result)}
        values |= {"outcome": Outcome(values["outcome"]), "codes": tuple(values["codes"])}
        return key, Result(**values)
    except (ValueError, KeyError, TypeError):
        return None


def _trouble(folder: Path, e: OSError) -> AssayError:
    return AssayError(
        f"the cache in {folder} cannot be used: {(e.strerror or str(e)).lower()}",
        code="bench_cache",
        hint="Name another folder with --cache, or make room.",
    )
