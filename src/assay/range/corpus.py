"""A corpus of fakes in a folder: media, masks, recipes, a manifest. It grows, and goes on where it was stopped.

media/     what was made, and each fake's honest twin
masks/     what was changed: 255; NAME.intended.png is what was meant to be, before the last save
recipes/   one JSON each, written last: a fake without one is made again
manifest.csv, distribution.json, digests.txt, authority.pem
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from assay.errors import AssayError, Failed
from assay.range import forge, laundering, marking, photos
from assay.range.distribution import distribution
from assay.range.own import SCHEMA
from assay.types import JSON, sha256_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from assay.range.forge import Forged, Settings
    from assay.range.photos import Photo
    from assay.testing.signing import Authority

ATTEMPTS = 24  # until an output is given up
COLUMNS = ("path", "label", "family", "generator", "source", "kind", "mask", "recipe", "parents", "rights", "sha256", "note")  # fmt: skip
SUFFIX = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp"}
PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class Work:
    """What a process needs to make any output of a corpus."""

    folder: Path  # of photos
    out: Path
    settings: Settings
    found: tuple[Photo, ...]
    authority: Authority


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one output."""

    index: int
    state: str  # made | kept | given_up
    notes: tuple[str, ...] = ()  # which photos did not serve, and why
    fruitless: int = 0  # attempts whose draws gave nothing that is visible and of the right size


def make(work: Work, index: int) -> Made:
    """Make one output, unless it is there already, whole."""
    name = stem(work.settings, index)
    if _whole(work, name):
        return Made(index, "kept")
    notes: dict[str, None] = {}
    fruitless = 0
    for attempt in range(ATTEMPTS):
        try:
            forged = forge.forged(forge.drafted(work.settings, work.found, index, attempt), work.folder)
        except Failed as e:
            if e.code == "altered":
                raise
            notes[e.message] = None
            continue
        if forged is not None:
            _clear(work.out, name)
            _write(work, name, forged)
            return Made(index, "made", tuple(notes))
        fruitless += 1
    _clear(work.out, name)
    return Made(index, "given_up", tuple(notes), fruitless)


def stem(settings: Settings, index: int) -> str:
    return f"{settings.generator}-{settings.seed}-{index:05d}"


def options(work: Work) -> str:
    """A digest of what decides over an output apart from the photos: another one, and it is made again."""
    maker = forge.maker_of(work.settings.generator)
    said = asdict(work.settings) | {"version": maker.version, "launderings": laundering.VERSION}
    if not work.settings.choices:
        del said["choices"]  # corpora from before there were choices stay as they are
    return sha256_of(json.dumps(said, sort_keys=True).encode())[:16]


def _whole(work: Work, name: str) -> bool:
    """Tell whether an output was finished with the same options, of these photos, and its files are what they were."""
    try:
        document = json.loads((work.out / "recipes" / f"{name}.json").read_bytes())
        paths = {photo.path for photo in work.found}
        if document["options"] != options(work) or not paths.issuperset(
            parent["path"] for parent in document["recipe"]["parents"]
        ):
            return False
        return all(
            sha256_of((work.out / path).read_bytes()) == digest for path, digest in document["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _clear(out: Path, name: str) -> None:
    """Remove all of an output that is not wanted any more: one of other options may have other names."""
    media = [f"media/{own}{suffix}" for own in (name, f"{name}-twin") for suffix in SUFFIX.values()]
    # The recipe first: without it the rest counts for nothing.
    for path in (f"recipes/{name}.json", *media, f"masks/{name}.png", f"masks/{name}.intended.png"):
        try:
            (out / path).unlink(missing_ok=True)
        except OSError as e:
            raise AssayError(
                f"{out / path} cannot be replaced: {(e.strerror or str(e)).lower()}", code="output"
            ) from e


def _write(work: Work, name: str, forged: Forged) -> None:
    """Write the media, then the masks, then the recipe, each at once."""
    maker, recipe = forge.maker_of(work.settings.generator), forged.recipe
    files: dict[str, str] = {}

    def put(path: str, data: bytes) -> str:
        write_at_once(work.out / path, data)
        files[path] = sha256_of(data)
        return path

    suffix = SUFFIX[forged.fake.media_type]

    def marked(data: bytes, source_type: str, words: str) -> bytes:
        return marking.credentialed(
            data, forged.fake.media_type, work.authority,
            source_type=source_type, recipe=recipe.id, words=words, rights=recipe.rights,
        )  # fmt: skip

    assert forged.fake.mask is not None
    fake = put(
        f"media/{name}{suffix}",
        marked(forged.fake.data, maker.digital_source_type, f"Made by the range of Assay: {maker.summary}"),
    )
    made: JSON = {
        "fake": fake,
        "rendition": sha256_of(forged.fake.data),  # without its credential: signatures differ each time
        "mask": put(f"masks/{name}.png", _png(forged.fake.mask)),
        "intended": put(f"masks/{name}.intended.png", _png(forged.intended)),
        "area": round(float(forged.fake.mask.mean()), 5),
    }
    if work.settings.twins:
        words = "A bona fide photo, saved by the range of Assay as its fakes are; nothing in it was changed."
        made["twin"] = put(f"media/{name}-twin{suffix}", marked(forged.twin.data, marking.TWIN, words))
        made["twin_rendition"] = sha256_of(forged.twin.data)
    document = {
        "schema": SCHEMA,
        "id": recipe.id,
        "options": options(work),
        "photos": os.path.abspath(work.folder),
        "recipe": json.loads(recipe.canonical().decode("utf-8", "surrogateescape")),
        "made": made,
        "files": files,
    }
    text = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    # Bytes of a name that are no UTF-8 stand in it as JSON's own escapes.
    write_at_once(work.out / "recipes" / f"{name}.json", text.encode("utf-8", "backslashreplace"))


def _png(mask: NDArray[np.bool_]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(file, "PNG", compress_level=9)
    return file.getvalue()


def write_at_once(path: Path, data: bytes) -> None:
    """Write a file so that nobody ever sees half of it, a kill included."""
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        partial.write_bytes(data)
        os.replace(partial, path)
    except OSError as e:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise AssayError(
            f"{path} cannot be written: {(e.strerror or str(e)).lower()}", code="output", hint="Make room, or name another --out."
        ) from e  # fmt: skip


def prepared(out: Path) -> None:
    """Make the folders, and clear away what a kill left half written.

    Raises
    ------
    AssayError
        If the folder cannot be used.
    """
    try:
        for part in ("media", "masks", "recipes"):
            (out / part).mkdir(parents=True, exist_ok=True)
            for left in (out / part).glob(f".*{PARTIAL}"):
                left.unlink(missing_ok=True)
    except OSError as e:
        raise AssayError(f"{out} cannot be used: {(e.strerror or str(e)).lower()}", code="output") from e


def belongs(work: Work) -> None:
    """Make sure that the corpus does not hold the same outputs, made of other photos.

    A folder that was only moved is the same: its files are looked at.

    Raises
    ------
    AssayError
        If it does.
    """
    digests: dict[str, str] = {}

    def here(parent: JSON) -> bool:
        path = parent["path"]
        with contextlib.suppress(OSError):
            digests[path] = digests.get(path) or sha256_of((work.folder / path).read_bytes())
        return bool(digests.get(path) == parent["sha256"])

    for document in documents(work.out, f"{work.settings.generator}-{work.settings.seed}-*.json"):
        if document["photos"] != os.path.abspath(work.folder) and not all(
            map(here, document["recipe"]["parents"])
        ):
            raise AssayError(
                f"{work.out} holds outputs of {work.settings.generator} with seed {work.settings.seed} already, made of "
                f"the photos in {document['photos']}",
                code="other_photos",
                hint="Give another --seed to add those of this folder, or another --out to keep them apart.",
            )


def build(work: Work, n: int, jobs: int) -> Iterator[Made]:
    """Make outputs 0 to n - 1, on `jobs` processes, in any order."""
    if jobs == 1 or n == 1:
        yield from (make(work, index) for index in range(n))
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from concurrent.futures.process import BrokenProcessPool

    # Fresh processes: forked ones would share the threads of what is imported here.
    pool = ProcessPoolExecutor(
        min(jobs, n), mp_context=multiprocessing.get_context("spawn"), initializer=_settle, initargs=(work,)
    )
    try:
        pending = [pool.submit(_make, index) for index in range(n)]
        for done in as_completed(pending):
            yield done.result()
    except BrokenProcessPool as e:
        raise AssayError(
            "a process that made fakes was killed",
            code="killed",
            hint="Perhaps memory ran out: use fewer --jobs. The same command goes on where it was.",
        ) from e
    finally:
        pool.shutdown(cancel_futures=True)


_WORK: list[Work] = []  # of this process, given once: photos of a large folder are a long list


def _settle(work: Work) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the batch
    _WORK[:] = [work]


def _make(index: int) -> Made:
    return make(_WORK[0], index)


def documents(out: Path, names: str = "*.json") -> list[dict[str, Any]]:
    """Read the recipe files of a corpus, in the order of their names."""
    found = []
    for path in sorted((out / "recipes").glob(names)):
        try:
            document = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue  # it is made again by the next run
        if isinstance(document, dict) and document.get("schema") == SCHEMA:
            found.append(document)
    return found


def summarise(out: Path, authority: Authority | None = None) -> tuple[JSON, list[str]]:
    """Write manifest, distribution and digests of all that lies in the folder.

    Returns
    -------
    drawn : dict
        The distribution.
    fakes : list of str
        The fakes' digests.
    """
    found = documents(out)
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for document in found:
        writer.writerows(_rows(out, document))
    drawn = distribution(found)
    fakes = [d["files"][d["made"]["fake"]] for d in found]
    write_at_once(
        out / "distribution.json", (json.dumps(drawn, indent=1, ensure_ascii=False) + "\n").encode()
    )
    write_at_once(out / "digests.txt", "".join(f"{d}\n" for d in sorted(fakes)).encode())
    if authority is not None:
        roots = out / "authority.pem"  # every run has its own
        before = roots.read_text() if roots.exists() else ""
        if authority.root not in before:
            write_at_once(roots, (before + authority.root).encode())
    # Last: a manifest says that the rest is there.
    write_at_once(out / "manifest.csv", text.getvalue().encode())
    return drawn, fakes


def _rows(out: Path, document: dict[str, Any]) -> Iterator[dict[str, str]]:
    recipe, made, files = document["recipe"], document["made"], document["files"]
    name = Path(made["fake"]).stem
    parents = [
        photos.text(os.path.relpath(os.path.join(document["photos"], p["path"]), os.path.abspath(out)))
        for p in recipe["parents"]
    ]
    shared = {
        "family": recipe["generator"],
        "source": recipe["parents"][0]["source"],
        "recipe": f"recipes/{name}.json",
        "rights": recipe["rights"],
    }
    yield shared | {
        "path": made["fake"], "label": "fake", "generator": recipe["generator"], "kind": recipe["kind"],
        "mask": made["mask"], "parents": ";".join(parents), "sha256": files[made["fake"]], "note": document["id"],
    }  # fmt: skip
    if "twin" in made:
        yield shared | {
            "path": made["twin"], "label": "bona_fide", "parents": parents[0], "sha256": files[made["twin"]],
            "note": f"twin of {made['fake']}",
        }  # fmt: skip
