"""A load generator on loopback: what the gateway answers, how fast, at which rate, and beyond what it can carry.

    python tools/bench_gateway.py [known] [fingerprint] [fresh] [overload] [--seconds N]

Starts `assay serve` for each part, with a home of its own and the weights that are here, sends requests at fixed times whatever the
answers do (an open loop, so that a slow answer does not hide a queue), and prints percentiles. Machines are shared and
noisy: the load beside it is printed, too.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assay import config
from assay.testing import images

MEGAPIXEL = (1152, 864)
QUIET = ("--http", "", "--clamd", "", "--icap", "", "--log-level", "WARNING")
RATES = (0.2, 0.4, 0.8, 1.2, 1.6, 2.4)  # fresh pictures a second


@dataclass
class Answers:
    """What came back, and when."""

    seconds: list[float] = field(default_factory=list)
    words: Counter[str] = field(default_factory=Counter)

    def line(self, name: str, rate: float) -> str:
        times = np.sort(np.array(self.seconds)) if self.seconds else np.array([np.nan])
        p50, p95, p99 = (1000 * float(np.quantile(times, q, method="higher")) for q in (0.5, 0.95, 0.99))
        words = ", ".join(f"{n} {w}" for w, n in self.words.most_common(4))
        return f"| {name} | {rate:g} | {len(self.seconds)} | {p50:.0f} | {p95:.0f} | {p99:.0f} | {words} |"


class Served:
    """An `assay serve` of its own."""

    def __init__(self, budget_s: float) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="assay-bench-"))
        data = self.home / ".local" / "share" / "assay"
        data.mkdir(parents=True)
        (data / "models").symlink_to(config.load().paths.models)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ASSAY_", "XDG_"))}
        self.environment = kept | {
            "HOME": str(self.home),
            "ASSAY_PASSPHRASE": "only for this bench",
            "ASSAY_SERVE_BUDGET_S": str(budget_s),
            "ASSAY_SERVE_BACKLOG": "50",
        }
        self.socket = self.home / "clamd.sock"
        self.log = (self.home / "serve.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "assay", "serve", *QUIET, "--clamd-socket", str(self.socket)],
            env=self.environment,
            stdout=self.log,
            stderr=self.log,
        )
        while not self.socket.exists():
            if self.process.poll() is not None:
                raise SystemExit((self.home / "serve.log").read_text())
            time.sleep(0.1)

    def assay(self, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "assay", *arguments],
            env=self.environment,
            check=False,
            capture_output=True,
        )

    def memory_mib(self) -> float:
        """Resident memory of the gateway and all its children, pages that they share counted once for each."""
        pids, total = [self.process.pid], 0.0
        while pids:
            pid = pids.pop()
            try:
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    total += int(line.split()[1]) / 1024 if line.startswith("Pss:") else 0
                pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except OSError:
                continue
        return total

    def cpu_s(self) -> float:
        ticks = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:15]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.home)


def jpeg(seed: int, quality: int = 90) -> bytes:
    """One picture of a megapixel, another one for each seed."""
    made = io.BytesIO()
    Image.fromarray(_scene(seed)).save(made, "JPEG", quality=quality)
    return made.getvalue()


@functools.lru_cache(maxsize=1)  # the same scene is saved some hundred times for the known fingerprint
def _scene(seed: int) -> NDArray[np.uint8]:
    return images.scene(*MEGAPIXEL, seed=seed)


async def ask(socket: Path, content: bytes) -> str:
    """Ask by clamd's protocol; the word that came back."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError as e:
        return type(e).__name__
    try:
        writer.write(b"zINSTREAM\0" + len(content).to_bytes(4, "big") + content + bytes(4))
        await writer.drain()
        answer = (await reader.read()).rstrip(b"\0\n").decode()
    except OSError as e:
        return type(e).__name__
    finally:
        writer.close()
    return answer.removeprefix("stream: ").replace(" FOUND", "")


async def load(served: Served, contents: list[bytes], rate: float) -> Answers:
    """Ask about each content at its own time, `rate` a second."""
    answers, start = Answers(), time.perf_counter()

    async def one(n: int) -> None:
        await asyncio.sleep(max(0.0, start + n / rate - time.perf_counter()))
        begun = time.perf_counter()
        word = await ask(served.socket, contents[n])
        answers.seconds.append(time.perf_counter() - begun)
        answers.words[word] += 1

    await asyncio.gather(*(one(n) for n in range(len(contents))))
    return answers


def until_known(served: Served, content: bytes) -> None:
    for _ in range(60):
        if asyncio.run(ask(served.socket, content)) != "Heuristics.Assay.Pending":
            return
        time.sleep(1)
    raise SystemExit("a sample was never finished")


def known(served: Served, seconds: float) -> None:
    content = jpeg(1)
    until_known(served, content)
    print(asyncio.run(load(served, [content] * round(50 * seconds), 50)).line("known digest", 50), flush=True)


def fingerprint(served: Served, seconds: float) -> None:
    fake = served.home / "fake.jpg"
    fake.write_bytes(jpeg(2, 95))
    served.assay("signatures", "add", str(fake), "--fake", "--kind", "full_synthesis", "--reason", "bench")
    served.process.send_signal(signal.SIGHUP)
    time.sleep(5)
    until_known(served, jpeg(2, 59))
    contents = [jpeg(2, 60 + n % 30) + bytes([n % 256, n // 256]) for n in range(round(20 * seconds))]
    print(asyncio.run(load(served, contents, 20)).line("known fingerprint, re-saved", 20), flush=True)


def fresh(served: Served, seconds: float) -> None:
    seed = 100
    for rate in RATES:
        contents = [jpeg(seed + n) for n in range(max(3, round(rate * seconds)))]
        seed += len(contents)
        until_known(served, contents[0])
        answers = asyncio.run(load(served, contents[1:], rate))
        print(answers.line("fresh picture, full panel", rate), flush=True)
        if answers.words["Heuristics.Assay.Pending"] > len(contents) / 10:
            return


async def loaded(served: Served, contents: list[bytes], rate: float) -> tuple[Answers, float]:
    """Ask as `load` does; the answers, and the most memory that the gateway took meanwhile, in MiB."""
    asking = asyncio.create_task(load(served, contents, rate))
    highest = 0.0
    while not asking.done():
        highest = max(highest, await asyncio.to_thread(served.memory_mib))
        await asyncio.wait([asking], timeout=0.5)
    return await asking, highest


def overload(served: Served, seconds: float) -> None:
    before = served.memory_mib()
    contents = [jpeg(10_000 + n) for n in range(round(8 * seconds))]
    answers, highest = asyncio.run(loaded(served, contents, 8))
    print(answers.line("overload", 8), flush=True)
    begun = time.perf_counter()
    until_known(served, jpeg(20_000))
    print(
        f"\nMemory {before:.0f} MiB before, {highest:.0f} MiB at the most; "
        f"a fresh picture was answered {time.perf_counter() - begun:.0f} s after the overload."
    )


PARTS = {"known": known, "fingerprint": fingerprint, "fresh": fresh, "overload": overload}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help="known, fingerprint, fresh, overload; all by default")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each line")
    parser.add_argument(
        "--budget", type=float, default=20.0, help="serve.budget_s: what takes longer is held"
    )
    asked = parser.parse_args()
    print(f"{os.cpu_count()} cores, load of others before: {os.getloadavg()[0]:.1f}\n")
    print(
        "| what | a second | asked | p50, ms | p95, ms | p99, ms | answers |\n|---|---|---|---|---|---|---|"
    )
    spent = 0.0
    for part in asked.parts or PARTS:
        served = Served(asked.budget)  # each its own: what one has left waiting would slow the next one down
        try:
            PARTS[part](served, asked.seconds)
            spent += served.cpu_s()
        finally:
            served.close()
    print(f"\nThe gateways themselves used {spent:.0f} s of CPU, ended children included.")


if __name__ == "__main__":
    main()
