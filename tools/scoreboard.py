"""The scoreboard: from media and seeds to every figure of docs/scoreboard.md, and back again to check it.

    python tools/scoreboard.py make --media ../shared/data --packages PACKAGES --more MORE --cache CACHE --work WORK
    python tools/scoreboard.py page                 # the page anew, from the committed scores
    python tools/scoreboard.py check [--media ...]  # what CI runs

`make` builds the corpora (board_media.py), lets the panel of board_panel.py score them, writes docs/scoreboard/*.parquet
and the page. PACKAGES and MORE are the unpacked packages that tools/train/learned_image.toml and
tools/calibration/media.toml, more.toml and stock.toml name, CACHE holds what tools/train/learned_image.py embedded. What was scored is kept in
WORK, so that a second run goes on where the first ended. With --budget-minutes it stops taking up samples after that
time; the page names how many there were. With --corpora it makes these alone and leaves the others as they are.

`check` makes every table again, byte for byte, and scores samples of the pictures that are here anew, as many as 3 % of the
board if there are so many.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "train")]

import board_media  # noqa: E402 - the tools beside this one are scripts, not a package
from board_panel import Board, HeadOf, Peers  # noqa: E402

from assay import config  # noqa: E402
from assay.bench import manifest, parquet  # noqa: E402
from assay.bench.cells import AS_IS, Hands, Row, Step, Task  # noqa: E402
from assay.bench.manifest import Entry, Manifest  # noqa: E402
from assay.bench.panel import Panel  # noqa: E402
from assay.bench.peers import PEERS, Peer  # noqa: E402
from assay.bench.run import Order, Scored, run  # noqa: E402
from assay.bench.scorepage import page  # noqa: E402
from assay.errors import AssayError  # noqa: E402
from assay.evidence.detectors.learned_image import LearnedImage  # noqa: E402
from assay.evidence.examiner import plain_card  # noqa: E402
from assay.range import laundering  # noqa: E402
from assay.settings import Limits  # noqa: E402

ROOT = HERE.parent
SCORES = ROOT / "docs" / "scoreboard"
PAGE = ROOT / "docs" / "scoreboard.md"
BASE = "jpeg95"
CHECKED = 0.03
FEWEST = 2  # pictures that a check scores anew, if there are so many
CHUNK = 12  # samples
PARTS = {
    "forgeries": 1.0,
    "large": 0.4,
    "lossless": 0.4,
    "qualities": 0.4,
    "large_more": 0.5,
    "lossless_more": 0.4,
}  # of as many forgeries of each kind as were asked for
SHARES = {
    "pictures": 0.45,
    "forgeries": 0.5,
    "large": 0.4,
    "lossless": 0.4,
    "camera": 0.4,
    "saved": 0.5,
    "large_more": 0.25,
    "qualities": 0.65,
    "lossless_more": 0.5,
    "more": 0.5,
    "stock": 1.0,
}  # of the time left


def drawn(entry: Entry, corpus: str, extra: int, seed: int) -> tuple[str, ...]:
    """The launderings of a sample: the one that all of its corpus get, and `extra` drawn by its digest."""
    first = BASE if corpus in ("pictures", "more", "stock") else AS_IS
    others = [n for n in laundering.names("image") if n != BASE]
    rng = board_media.seeded(entry.sha256, seed)
    chosen = rng.permutation(len(others))[:extra].tolist()
    return (first, *(others[k] for k in sorted(chosen)))


def environments(work: Path) -> Iterator[tuple[Peer, Path]]:
    """Make an environment for each peer, or say why there is none."""
    for peer in PEERS:
        folder = work / "peers" / peer.name
        python = folder / "bin" / "python"
        ready = folder / f"{peer.requirement}.ready"
        if not ready.exists():
            done = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False)
            if done.returncode == 0:
                done = subprocess.run(
                    [str(python), "-m", "pip", "install", "-q", peer.requirement], check=False
                )
            if done.returncode != 0:
                print(f"peer {peer.name}: it cannot be installed here and is left out", file=sys.stderr)
                continue
            ready.touch()
        yield peer, python


def heads(cache: Path | None, roots: dict[str, Path]) -> tuple[HeadOf | None, str]:
    """Heads that saw neither source nor generator, and what names them."""
    if cache is None:
        return None, ""
    from heads import PAIRS, STRENGTH, Heads

    trained = Heads(cache, roots)
    stored = hashlib.sha256(repr((STRENGTH, PAIRS)).encode())
    for path in sorted(cache.glob("*.npz")):
        stored.update(f"{path.name}/{path.stat().st_size}".encode())
    return trained.for_sample, stored.hexdigest()[:12]


class Kept(Hands):
    """Hands that stay open from run to run: each decoder of their own would warm up anew."""

    def close(self) -> None:
        """Leave that to `done`."""

    def done(self) -> None:
        super().close()


class TimeIsUp(Exception):
    """A sample would have to be scored, and there is no time for it."""


class Idle(Kept):
    """Hands that score nothing: what is cached is still read."""

    def work(self, task: Task) -> Iterator[Step | Row]:
        raise TimeIsUp(task.entry.name)


class Scorer:
    """Scores samples chunk by chunk, in processes that share a cache, as long as there is time."""

    def __init__(
        self, board: Board, peers: Peers, work: Path, asked: argparse.Namespace, minutes: float
    ) -> None:
        self._board, self._peers, self._work = board, peers, work
        self._seed, self._jobs, self._peers_each = asked.seed, asked.jobs, asked.peers_each
        self.extra = {"pictures": asked.launderings, "forgeries": asked.forged_launderings}
        self._hands: dict[tuple[int, type[Kept]], Kept] = {}  # of each panel
        self._late = False
        self._end = time.monotonic() + 60 * minutes if minutes else float("inf")

    def rows(self, name: str, corpus: Manifest, share: float = 1.0) -> tuple[list[Scored], int]:
        """All rows of a corpus as far as its share of the time that is left allows, and the number of its samples."""
        end = time.monotonic() + share * (self._end - time.monotonic())
        chunks = [corpus.entries[k : k + CHUNK] for k in range(0, len(corpus.entries), CHUNK)]
        forked = multiprocessing.get_context("fork")  # heads, fitted once, are shared
        done = forked.SimpleQueue()
        crew = [
            forked.Process(
                target=self._fill, args=(name, corpus, list(enumerate(chunks))[k :: self._jobs], end, done)
            )
            for k in range(self._jobs)
        ]
        for process in crew:
            process.start()
        for process in crew:
            process.join()
        if any(process.exitcode for process in crew):
            raise AssayError(
                "a scoring process died", code="scoreboard", hint="What it did is kept: run it again."
            )
        finished = set()
        while not done.empty():
            finished.add(done.get())
        self._late = True  # whatever is missing stays missing here
        taken = [(k, chunk) for k, chunk in enumerate(chunks) if k in finished]
        rows = [row for k, chunk in taken for row in self._scored(name, corpus, k, chunk)]
        count = sum(len(chunk) for _, chunk in taken)
        print(f"{name}: {count} of {len(corpus.entries)} samples, {len(rows)} rows", flush=True)
        return rows, count

    def _fill(self, name: str, corpus: Manifest, chunks: list[Any], end: float, done: Any) -> None:
        """Score chunks into the cache until the time is up; from then on take those that are in it."""
        for n, (k, chunk) in enumerate(chunks):
            self._late = time.monotonic() > end
            try:
                self._scored(name, corpus, k, chunk)
            except TimeIsUp:
                continue
            done.put(k)
            print(f"{name}: {n + 1} of {len(chunks)} chunks", flush=True)
        for hands in self._hands.values():
            hands.done()
        self._peers.close()

    def _scored(self, name: str, corpus: Manifest, k: int, chunk: Sequence[Entry]) -> list[Scored]:
        """Every laundering of the samples of chunk `k`; peers, which cost most, see the first alone."""
        panels: list[tuple[Panel, int]] = [(self._board, self.extra.get(name, 0))]
        if self._peers.cards and k % self._peers_each == 0:
            panels.append((self._peers, 0))
        rows: list[Scored] = []
        for way in (AS_IS, *laundering.names("image")):
            for panel, extra in panels:
                own = tuple(e for e in chunk if way in drawn(e, name, extra, self._seed))
                if own:
                    order = self.order(replace(corpus, entries=own), (way,), panel)
                    try:
                        rows += run(order, hands=self._kept).rows
                    except TimeIsUp:
                        if panel is not self._peers:  # without peers a sample still counts
                            raise
        return rows

    def _kept(self, panel: Panel, limits: Limits) -> Kept:
        made = Idle if self._late else Kept
        return self._hands.setdefault((id(panel), made), made(panel, limits))

    def order(self, corpus: Manifest, ways: tuple[str, ...], panel: Panel) -> Order:
        return Order(
            manifest=corpus, panel=panel, launderings=ways, cache=self._work / "scores",
            limits=config.load().limits, seed=self._seed, jobs=0, keep_failures=True,
        )  # fmt: skip


def corpora(asked: argparse.Namespace, roots: dict[str, Path]) -> dict[str, Callable[[], Path]]:
    """How each corpus is made; it gives its manifest."""
    seed, work = asked.seed, asked.work
    first = board_media.in_turn(board_media.listed(roots), seed)
    later = board_media.in_turn(board_media.listed(roots, (board_media.LATER,)), seed)
    stock = board_media.in_turn(board_media.listed(roots, (board_media.STOCK,)), seed)
    every = board_media.in_turn(board_media.listed(roots, (*board_media.LISTS, board_media.LATER)), seed)

    def forged(name: str, files: list[board_media.Listed], k: int) -> Callable[[], Path]:
        return lambda: board_media.forgeries(files, work, name, seed + k, round(PARTS[name] * asked.each))

    pictures = board_media.pictures
    return {
        "pictures": lambda: pictures(first[: asked.samples], work / "pictures", seed),
        **{name: forged(name, first, k) for k, name in enumerate(board_media.LONG_SIDES)},
        "camera": lambda: board_media.camera(first, work / "camera"),
        "saved": lambda: pictures(every, work / "saved", seed, ("medium",), board_media.QUALITIES),
        **{name: forged(name, every, 10 + k) for k, name in enumerate(board_media.LATER_SIDES)},
        "more": lambda: pictures(later, work / "more", seed, ("medium",)),
        "stock": lambda: pictures(stock, work / "stock", seed),
    }


def make(asked: argparse.Namespace) -> None:
    roots = {
        k: v for k, v in (("shared", asked.media), ("packages", asked.packages), ("more", asked.more)) if v
    }
    head_of, stamp = heads(asked.cache, roots)
    peers = Peers([] if asked.no_peers else list(environments(asked.work)))
    board = Board(config.load().paths.models, head_of, stamp, asked.detectors)
    scorer = Scorer(board, peers, asked.work, asked, asked.budget_minutes)
    SCORES.mkdir(parents=True, exist_ok=True)
    makers = corpora(asked, roots)
    for name in asked.corpora or makers:
        path = makers[name]()
        corpus = manifest.read(path)
        entries = tuple(
            replace(e, name=Path(e.name).name) for e in board_media.with_decoders(shuffled(corpus.entries))
        )
        rows, taken = scorer.rows(name, replace(corpus, entries=entries), SHARES[name])
        told = parquet.about(scorer.order(corpus, drawn_ways(rows), board), "") | {
            "detectors": [plain_card(c) for c in (*board.cards, *peers.cards)],
            "manifest_path": f"build/scoreboard/{name}/manifest.csv",  # where `make scoreboard` has it
            "corpus": name,
            "samples": taken,
            "rows": len(rows),
            "unseen_heads": bool(head_of),
            "settings": {"samples": asked.samples, "each": asked.each, "launderings": scorer.extra.get(name, 0), "seed": asked.seed},
            "distribution": json.loads((path.parent / "distribution.json").read_text()) if name in board_media.LONG_SIDES | board_media.LATER_SIDES else None,
        }  # fmt: skip
        path = SCORES / f"{name}.parquet"
        if asked.replace:
            replace_scores(path, rows, told)
        else:
            parquet.write_scores(path, rows, told)
    PAGE.write_text(page(committed()), encoding="utf-8")


def replace_scores(path: Path, rows: Sequence[Scored], told: dict[str, Any]) -> None:
    """Put new scores of some detectors in the place of the committed ones, or beside them; all others stay.

    Raises
    ------
    AssayError
        If the renditions that were scored are not those of the committed rows.
    """
    import pyarrow as pa
    from pyarrow import parquet as pq

    scored = path.with_name(f"{path.stem}.new.parquet")
    parquet.write_scores(scored, rows, told)
    fresh = {_key(r): r for r in pq.read_table(scored).to_pylist()}
    scored.unlink()
    table, before = pq.read_table(path), parquet.told_of(path)
    kept, names = table.to_pylist(), {c["name"] for c in told["detectors"]}
    stale = {_key(r) for r in kept if r["detector"] in names}
    same = {_rendition(r) for r in fresh.values()} == {_rendition(r) for r in kept}
    if not same or not stale <= fresh.keys():
        raise AssayError(
            f"{path.name}: other renditions were scored than those of the committed rows",
            code="scoreboard",
            hint="Make this corpus anew with all detectors.",
        )
    merged = [fresh.pop(_key(r), r) for r in kept]
    merged += fresh.values()  # of a detector that had none
    order = [c["name"] for c in (*before["detectors"], *told["detectors"])]
    cards = [*told["detectors"], *(c for c in before["detectors"] if c["name"] not in names)]
    about = before | {"detectors": sorted(cards, key=lambda c: order.index(c["name"])), "rows": len(merged)}
    metadata = {"assay": json.dumps(about, sort_keys=True)}
    pq.write_table(
        pa.Table.from_pylist(merged, schema=table.schema.with_metadata(metadata)), path, compression="zstd"
    )


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["sample"], row["laundering"], row["detector"]


def _rendition(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["sample"], row["laundering"], row["rendition"]


def shuffled(entries: Sequence[Entry]) -> list[Entry]:
    """Put a fake and its twin side by side, and any beginning into a mix of all kinds."""
    return sorted(
        entries, key=lambda e: hashlib.sha256(e.path.stem.removesuffix("-twin").encode()).hexdigest()
    )


def drawn_ways(rows: Sequence[Scored]) -> tuple[str, ...]:
    return tuple(sorted({r.laundering for r in rows}))


def committed() -> list[Path]:
    return sorted(SCORES.glob("*.parquet"))


def check(asked: argparse.Namespace) -> int:
    """Compare the page with the scores, and a part of the scores with what the detectors say now."""
    if not committed():
        print("there are no committed scores")
        return 0
    if PAGE.read_text(encoding="utf-8") != page(committed()):
        print(
            "docs/scoreboard.md is not what docs/scoreboard/*.parquet give: python tools/scoreboard.py page"
        )
        return 1
    print("docs/scoreboard.md: every table is what the committed scores give")
    return rescored(asked)


def rescored(asked: argparse.Namespace) -> int:
    """Score as many samples anew as are a seeded 3 % of the board, of pictures that are here."""
    from pyarrow import parquet as pq

    path = SCORES / "pictures.parquet"
    if not path.exists():
        print("no picture was scored")
        return 0
    about = json.loads(pq.ParquetFile(path).schema_arrow.metadata[b"assay"])
    stored = {
        (r["sample"], r["laundering"], r["detector"]): r
        for r in pq.read_table(path, columns=["sample", "laundering", "detector", "version", "score", "outcome"]).to_pylist()
    }  # fmt: skip
    seed, extra = about["settings"]["seed"], about["settings"]["launderings"]
    roots = {"packages": asked.packages or Path(sysconfig.get_path("purelib"))}
    roots |= {k: v for k, v in (("shared", asked.media), ("more", asked.more)) if v}
    here = board_media.listed(roots)
    lot = sorted(here, key=lambda f: hashlib.sha256(f"check/{f.name}".encode()).hexdigest())
    wanted = max(FEWEST, round(CHECKED * board_samples()))
    chosen = lot[:wanted]
    corpus = manifest.read(board_media.pictures(chosen, asked.work / "check", seed)) if chosen else None
    known = {s for s, _, _ in stored}
    entries = tuple(e for e in corpus.entries if e.sha256 in known)[:wanted] if corpus else ()
    print(
        f"{len(here)} pictures of the lists are here; {len(entries)} samples of them are scored anew,"
        f" {CHECKED:.0%} of the board are {round(CHECKED * board_samples())}"
    )
    if not entries or corpus is None:
        print("no score was computed anew: the media are not here")
        return 0
    head_of, stamp = heads(asked.cache, roots)
    names = [c["name"] for c in about["detectors"] if not c["name"].startswith("peer:")]
    if head_of is None:
        names = [n for n in names if n != LearnedImage.card.name]
        print("learned_image is left out: its heads need --cache")
    board = Board(config.load().paths.models, head_of, stamp, names)
    asked.seed, asked.launderings = seed, extra
    scorer = Scorer(board, Peers([]), asked.work / "check", asked, 0)
    rows, _ = scorer.rows("pictures", replace(corpus, entries=entries))
    wrong = list(differing(rows, stored))
    print(f"{len(rows)} scores computed anew, {len(wrong)} differ")
    for line in wrong[:20]:
        print(line)
    return 1 if wrong else 0


def board_samples() -> int:
    """Count the samples of all committed corpora."""
    from pyarrow import parquet as pq

    abouts = (json.loads(pq.read_schema(path).metadata[b"assay"]) for path in committed())
    return sum(int(told.get("samples", 0)) for told in abouts)


def differing(rows: Sequence[Scored], stored: dict[tuple[str, str, str], dict[str, Any]]) -> Iterator[str]:
    """Say of each row that is not what was stored, how."""
    for r in rows:
        old = stored.get((r.entry.sha256, r.laundering, r.detector))
        where = f"{r.entry.name} {r.laundering} {r.detector}"
        if old is None:
            yield f"{where}: not among the committed scores"
        elif old["version"] != r.version:
            yield f"{where}: version {r.version}, the scores hold {old['version']}: run make scoreboard"
        elif (old["score"] is None) != (r.result.score is None) or (
            r.result.score is not None
            and abs(old["score"] - r.result.score) > 1e-4 * max(1.0, abs(old["score"]))
        ):
            yield f"{where}: {old['score']} stored, {r.result.score} now"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("make", "page", "check"))
    for option in ("media", "packages", "more", "cache"):
        parser.add_argument(f"--{option}", type=Path)
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "scoreboard")
    parser.add_argument("--samples", type=int, default=600, help="pictures, of all lists in turn")
    parser.add_argument(
        "--each", type=int, default=100, help="forgeries of each kind, fewer of large and of lossless ones"
    )
    parser.add_argument("--launderings", type=int, default=3, help="drawn for each picture beside the first")
    parser.add_argument("--forged-launderings", type=int, default=3, help="and for each forgery")
    parser.add_argument("--budget-minutes", type=float, default=0.0, help="0: as long as it takes")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--detectors", nargs="*", default=[], help="these alone: to fill the cache in parts")
    parser.add_argument("--corpora", nargs="*", default=[], help="these alone; the others stay as they are")
    parser.add_argument(
        "--replace",
        action="store_true",
        help="score --detectors alone; the committed scores of the others stay",
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument(
        "--peers-each", type=int, default=1, help="chunks of samples of which peers see one: they cost most"
    )
    asked = parser.parse_args()
    try:
        if asked.what == "make":
            make(asked)
        elif asked.what == "page":
            PAGE.write_text(page(committed()), encoding="utf-8")
        else:
            return check(asked)
    except AssayError as e:  # too few sources, weights that are not here: scores that were written stay
        print(f"scoreboard: {e.message}" + (f"\n  what to do: {e.hint}" if e.hint else ""), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
