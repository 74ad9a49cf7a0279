"""`make bench`: CPU seconds and memory of each stage, in one run, beside named peers.

CPU seconds are of the processes that did the work, by the kernel's own count; the median of several runs. Media are
made here, seeded; a peer that is not installed is left out and said so. The aims were set on a machine that runs the
image encoder in 66 ms on one thread: the first row says how this one compares.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import published
from PIL import Image as Pillow

from assay import Screener, config
from assay.evidence import models
from assay.evidence.detectors._clip import ENCODER
from assay.media.decoder import decoder
from assay.media.jail.process import DECODER, Zygote
from assay.settings import Limits
from assay.testing import clips, images, signing

Row = tuple[str, str, str, str]
REFERENCE_S = 0.066  # one pass of the encoder where the aims were set


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="runs of each measurement [5]")
    parser.add_argument("--markdown", type=Path, help="write the table to this file too")
    stages = {
        f.__name__: f for f in (yardstick, start_up, jail, triage, image_panel, clip_speed, folder_speed)
    }
    parser.add_argument(
        "--stage", action="append", choices=stages, help="only this one; may be repeated [all]"
    )
    parser.add_argument("--no-published", action="store_true", help="leave the published implementations out")
    chosen = parser.parse_args()
    if chosen.no_published:
        published.METHODS = ()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.stage or stages:
            for row in stages[name](Path(folder), chosen.repeat):
                rows.append(row)
                print(" | ".join(row), flush=True)
    table = markdown(rows)
    print("\n" + table)
    if chosen.markdown:
        chosen.markdown.write_text(table, encoding="utf-8")


def yardstick(_: Path, repeat: int) -> Iterator[Row]:
    session = models.sessions([ENCODER], config.load().paths.models)[ENCODER]
    name, grey = session.get_inputs()[0].name, itertools.count()  # another each time: it remembers its last
    pictures = ({name: np.full((1, 3, 224, 224), k, np.float32)} for k in grey)
    spent = median(lambda: cpu(lambda: session.run(None, next(pictures))), repeat * 4)
    yield (
        "yardstick",
        "one pass of the encoder",
        f"{1000 * spent:.0f} ms CPU",
        f"{1000 * REFERENCE_S:.0f} ms where the aims were set: this machine is {spent / REFERENCE_S:.1f} x slower",
    )


def start_up(folder: Path, repeat: int) -> Iterator[Row]:
    jpeg = folder / "one.jpg"
    jpeg.write_bytes(images.jpeg(images.scene(1200, 900, seed=1), quality=90))
    help_s = median(lambda: wall([sys.executable, "-m", "assay", "--help"]), repeat)
    yield "start", "assay --help", f"{help_s:.2f} s wall", "0.3 s"
    cold_s = median(
        lambda: wall([sys.executable, "-m", "assay", "screen", str(jpeg), "--no-history"]), repeat
    )
    yield "start", "one 1 MP JPEG, start to verdict", f"{cold_s:.2f} s wall", "2.5 s"


def jail(folder: Path, repeat: int) -> Iterator[Row]:
    jpeg = folder / "jail.jpg"
    jpeg.write_bytes(images.jpeg(images.scene(1154, 866, seed=2), quality=90))
    with Zygote("assay.media.operations:prepare", DECODER.serving("assay.media.operations:handle")) as zygote:
        alone = median(lambda: zygote.spawn().close().cpu_s, repeat * 4)
        jailed = median(lambda: decode(zygote, jpeg), repeat * 4)
    in_process = median(lambda: cpu(lambda: np.asarray(Pillow.open(jpeg).convert("RGB"))), repeat * 4)
    yield "jail", "a one-shot worker, idle", f"{1000 * alone:.1f} ms CPU", "15 ms"
    yield "decode", "1 MP JPEG, jailed, with coefficients", f"{1000 * jailed:.1f} ms CPU", ""
    yield (
        "decode",
        "peer: Pillow in process, pixels only",
        f"{1000 * in_process:.1f} ms CPU",
        f"{jailed / in_process:.1f} x",
    )


def triage(folder: Path, repeat: int) -> Iterator[Row]:
    pixels = images.scene(1900, 1420, seed=3, grain=9.0)
    quality = next(q for q in range(97, 60, -1) if len(images.jpeg(pixels, quality=q)) < 2_100_000)
    signed = signing.signed(images.jpeg(pixels, quality=quality), "image/jpeg", signing.authority())
    path = folder / "signed.jpg"
    path.write_bytes(signed)
    with Zygote("assay.media.operations:prepare", DECODER.serving("assay.media.operations:handle")) as zygote:
        spent = median(lambda: read_triage(zygote, path), repeat * 4)
    yield (
        "triage",
        f"{len(signed) / 1e6:.1f} MB JPEG with a C2PA manifest",
        f"{1000 * spent:.1f} ms CPU",
        "40 ms",
    )
    if shutil.which("exiftool"):
        peer = median(lambda: children_cpu(["exiftool", "-j", str(path)]), repeat)
        yield (
            "triage",
            "peer: exiftool -j (metadata alone)",
            f"{1000 * peer:.1f} ms CPU",
            f"{spent / peer:.2f} x",
        )


def image_panel(folder: Path, repeat: int) -> Iterator[Row]:
    for name, (width, height), limit in (("1 MP", (1154, 866), 1.5), ("12 MP", (4000, 3000), 5.0)):
        path = folder / f"{name}.jpg"
        path.write_bytes(images.jpeg(images.scene(width, height, seed=4), quality=92))
        said = panel(path, repeat)
        for detector, seconds in said["detectors"].items():
            if seconds >= 0.0005:
                yield (
                    "panel",
                    f"{name}: {detector}",
                    f"{seconds:.3f} s CPU",
                    "0.4 s" if (detector, name) == ("jpeg_grid", "1 MP") else "",
                )
        yield "panel", f"{name}: everything", f"{said['cpu_s']:.2f} s CPU", f"{limit} s"
        if name == "1 MP":
            yield from beside_published(path, said["detectors"])
        yield (
            "panel",
            f"{name}: main process",
            f"{said['rss_mb']:.0f} MB",
            "900 MB" if name == "12 MP" else "",
        )


def beside_published(path: Path, ours: dict[str, float]) -> Iterator[Row]:
    for detector, theirs, seconds in published.timed(path):
        took = f"{seconds:.1f} s CPU" if seconds is not None else f"over {published.LIMIT_S} s"
        factor = (seconds if seconds is not None else published.LIMIT_S) / max(ours[detector], 1e-4)
        yield "panel", f"1 MP: peer of {detector}: {theirs}", took, f"{factor:.0f} x ours"


def clip_speed(folder: Path, repeat: int) -> Iterator[Row]:
    video = folder / "clip.mp4"
    video.write_bytes(clips.make_video(seconds=20, size=(1280, 720), fps=25))
    with Zygote("assay.media.operations:prepare", DECODER.serving("assay.media.operations:handle")) as zygote:
        read_s = median(lambda: read_video(zygote, video), repeat)
    yield "clips", "720p video, 20 s, sampled and decoded in the jail", f"{20 / read_s:.0f} x real time", ""
    audio = folder / "clip.wav"
    audio.write_bytes(clips.make_audio(seconds=600))
    for name, path, seconds, factor in (
        ("720p video with its frames examined", video, 20, 10),
        ("audio", audio, 600, 50),
    ):
        spent = statistics.median([panel(path, 1)["elapsed_s"] for _ in range(max(1, repeat // 2))])
        yield "clips", f"{name}, {seconds} s, one core", f"{seconds / spent:.0f} x real time", f"{factor} x"


def folder_speed(folder: Path, repeat: int) -> Iterator[Row]:
    many = folder / "many"
    many.mkdir()
    for k in range(24):
        (many / f"{k:02}.jpg").write_bytes(images.jpeg(images.scene(1154, 866, seed=k), quality=85 + k % 10))
    elapsed = {
        jobs: statistics.median([folder_time(many, jobs) for _ in range(max(1, repeat // 2))])
        for jobs in (1, 2)
    }
    yield "folder", "24 JPEGs of 1 MP, one job", f"{elapsed[1]:.1f} s wall", ""
    yield "folder", "the same, two jobs", f"{elapsed[1] / elapsed[2]:.2f} x as fast", "1.7 x"


def panel(path: Path, repeat: int) -> dict[str, Any]:
    """Screen one file in a fresh process, warm, and report medians. Another picture comes between: the encoder remembers its last."""
    other = path.with_name("between.jpg")
    other.write_bytes(images.jpeg(images.scene(400, 300, seed=9), quality=90))
    script = (
        "import json, resource, statistics, sys\n"
        "from assay import Screener, config\n"
        "with Screener(config.load(), jobs=1) as s:\n"
        "    s.screen_path(sys.argv[1])\n"
        "    runs = []\n"
        "    for _ in range(int(sys.argv[2])):\n"
        "        s.screen_path(sys.argv[3])\n"
        "        runs.append(s.screen_path(sys.argv[1]))\n"
        "    took = lambda name: statistics.median(e.elapsed_s for r in runs for e in r.verdict.evidence if e.detector == name)\n"
        "    print(json.dumps({'cpu_s': statistics.median(r.cpu_s for r in runs),\n"
        "        'elapsed_s': statistics.median(r.elapsed_s for r in runs),\n"
        "        'detectors': {e.detector: took(e.detector) for e in runs[0].verdict.evidence},\n"
        "        'rss_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path), str(repeat), str(other)],
        check=True,
        capture_output=True,
        text=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def folder_time(folder: Path, jobs: int) -> float:
    with Screener(config.load(), jobs=jobs) as screener:
        list(
            screener.screen_all([str(folder / "00.jpg")] * jobs, lambda s, _: s)
        )  # both examiners open their weights
        began = time.perf_counter()
        count = sum(1 for _ in screener.screen_all([str(folder)], lambda s, _: s))
        assert count == 24
        return time.perf_counter() - began


def decode(zygote: Zygote, path: Path) -> float:
    with (
        path.open("rb") as file,
        decoder(zygote, file.fileno(), Limits().as_json()) as worker,
        worker.image(),
    ):
        pass
    assert worker.usage is not None
    return worker.usage.cpu_s


def read_video(zygote: Zygote, path: Path) -> float:
    with path.open("rb") as file, decoder(zygote, file.fileno(), Limits().as_json()) as worker:
        worker.open("video")
        for _ in worker.windows():
            pass
    assert worker.usage is not None
    return worker.usage.cpu_s


def read_triage(zygote: Zygote, path: Path) -> float:
    with path.open("rb") as file, decoder(zygote, file.fileno(), Limits().as_json()) as worker:
        worker.triage("image/jpeg", path.stat().st_size, "0" * 64, {})
    assert worker.usage is not None
    return worker.usage.cpu_s


def median(measure: Callable[[], float], repeat: int) -> float:
    measure()
    return statistics.median(measure() for _ in range(repeat))


def cpu(action: Callable[[], object]) -> float:
    began = time.process_time()
    action()
    return time.process_time() - began


def wall(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def children_cpu(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def markdown(rows: list[Row]) -> str:
    head = f"Measured with `make bench` on {os.cpu_count()} cores, Python {platform.python_version()}, no GPU.\n\n"
    lines = ["| stage | what | measured | aim, or ratio to the peer |", "|---|---|---|---|"]
    return head + "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


if __name__ == "__main__":
    main()
