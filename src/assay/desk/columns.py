"""Long lists of pictures as columns: codes in a file that is mapped, each signature's text left in the database.

Reading the text of ten million signatures takes a quarter of an hour, and gigabytes of memory. So the codes of a list of
`LEAST` pictures or more are taken out of it once for each of its editions, without reading the rest, and lie in a file from
then on. What a code stands for is read when one is near: its position says in which stretch of the list's ids to look.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from assay.errors import StoreError
from assay.signatures import pdq
from assay.signatures.codes import WORDS, Codes, to_hex
from assay.signatures.entries import PackError, decoded
from assay.signatures.library import Known, Packed, State
from assay.store.signatures import Signatures

if TYPE_CHECKING:
    from assay.settings import Settings

LEAST = 10_000  # pictures of a list that is packed
STRETCH = 256  # signatures between two ids that are kept: so many texts are looked through for each one that is near
# In the one text of a signature: quotes within a note are escaped, so that this cannot stand in one.
_CODE = re.compile(r'"print":\{"code":"([0-9a-f]{64})"')


def long_lists(store: Signatures) -> list[str]:
    """Name the lists of the database that are packed."""
    return sorted(name for name, count in store.sizes(pdq.FORMAT).items() if count >= LEAST)


def packed(store: Signatures, settings: Settings, listed: str, suspended: set[tuple[str, str]]) -> Packed:
    """Map the codes of one list, taking them out of the database first where that edition was not yet.

    Raises
    ------
    StoreError
        If the database cannot be read, or holds what is no signature.
    OSError
        If the columns cannot be written or read.
    """
    folder = settings.paths.packs / "columns"
    name = hashlib.sha256(listed.encode()).hexdigest()[:32]
    codes = folder / f"{name}-{store.serial_of(listed)}.npy"
    ids = codes.with_suffix(".json")
    if not (codes.exists() and ids.exists()):
        _take_out(store, listed, codes, ids)
        for old in folder.glob(f"{name}-*"):
            if old not in (codes, ids):
                old.unlink(missing_ok=True)
    mapped: Codes = np.load(codes, mmap_mode="r", allow_pickle=False)
    firsts: list[str] = json.loads(ids.read_text("utf-8"))
    if mapped.shape[1:] != (WORDS,) or len(firsts) != -(-len(mapped) // STRETCH):
        raise StoreError(
            f"the columns of the list {listed} are damaged", code="store_corrupt", hint=f"rm {codes}"
        )

    def fetch(position: int) -> Iterator[Known]:
        stretch, wanted = position // STRETCH, to_hex(mapped[position])
        before = firsts[stretch + 1] if stretch + 1 < len(firsts) else None
        for name, state, line in store.texts(listed, pdq.FORMAT, first=firsts[stretch], before=before):
            if (listed, name) not in suspended and _code(listed, name, line) == wanted:
                yield _read(listed, name, state, line)

    return Packed(mapped, fetch)


def _take_out(store: Signatures, listed: str, codes: Path, ids: Path) -> None:
    """Write both columns beside their places first, so that a kill leaves nothing that is half there."""
    codes.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    firsts: list[str] = []
    count = 0
    with tempfile.TemporaryDirectory(dir=codes.parent) as beside:
        raw = Path(beside) / "raw"
        with raw.open("wb") as file:
            for name, _, line in store.texts(listed, pdq.FORMAT):
                if count % STRETCH == 0:
                    firsts.append(name)
                file.write(bytes.fromhex(_code(listed, name, line))[::-1])
                count += 1
        np.save(Path(beside) / "codes.npy", np.memmap(raw, "<u8", "r", shape=(count, WORDS)))
        (Path(beside) / "ids.json").write_text(json.dumps(firsts), "utf-8")
        os.replace(Path(beside) / "ids.json", ids)
        os.replace(Path(beside) / "codes.npy", codes)


def _code(listed: str, name: str, line: str) -> str:
    found = _CODE.search(line)
    if found is None:
        raise _unreadable(listed, name, "it has no code")
    return found[1]


def _read(listed: str, name: str, state: str, line: str) -> Known:
    try:
        return Known(listed, decoded(line.encode()), cast("State", state))
    except PackError as e:
        raise _unreadable(listed, name, e.message) from e


def _unreadable(listed: str, name: str, why: str) -> StoreError:
    return StoreError(
        f"the signature {name} of the list {listed} cannot be read ({why})",
        code="store_corrupt",
        hint=f"assay signatures withdraw --list {listed} {name}",
    )
