"""The process and its surroundings: signals, kills, full disks, closed outputs, damaged stores."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import pytest

import awkward
from another_user import run_as_another_user
from assay.report.contract import schema
from assay.signatures.testfile import content as harmless

pytestmark = pytest.mark.slow
Run = Callable[..., subprocess.CompletedProcess[bytes]]
SECRET = {"ASSAY_PASSPHRASE": "correct horse battery staple"}


def lines(output: bytes) -> list[dict]:
    found = [json.loads(line) for line in output.splitlines()]
    for line in found:
        jsonschema.validate(line, schema())
    return found


def plain(done: subprocess.CompletedProcess[bytes]) -> str:
    """What was said on standard error, which must be words for people."""
    said = done.stderr.decode()
    assert "Traceback" not in said, said
    assert "Exception ignored" not in said, said
    return said


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    path = tmp_path / "fake.png"
    path.write_bytes(harmless())
    return path


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A folder that takes a while."""
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(60):
        (folder / f"{n:02}.jpg").write_bytes(awkward.jpeg(n))
    return folder


# ---------------------------------------------------------------- signals


def started(home: Path, *arguments: str | Path) -> subprocess.Popen[bytes]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ASSAY_", "XDG_"))}
    return subprocess.Popen(
        [sys.executable, "-m", "assay", *arguments],
        env=kept | {"HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        bufsize=0,  # a line that is read here must not take others along
    )


def first_line(program: subprocess.Popen[bytes]) -> bytes:
    assert program.stdout is not None
    ready, _, _ = select.select([program.stdout], [], [], 120)
    assert ready, "nothing was printed"
    return program.stdout.readline()


def descendants(pid: int) -> set[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
    found, waiting = set(), [pid]
    while waiting:
        one = waiting.pop()
        new = {child for child, parent in parents.items() if parent == one} - found
        found |= new
        waiting += new
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that still run; one that is dead and only waits to be reaped does not."""
    living = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            living.add(pid)
    return living


def gone_soon(pids: set[int]) -> bool:
    deadline = time.monotonic() + 20
    while alive(pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pids)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_keeps_what_is_finished_and_leaves_nothing_behind(
    assay: Run, home: Path, many: Path, tmp_path: Path, number: int, code: int
) -> None:
    report = tmp_path / "report.html"
    program = started(home, "screen", "--json", "--report", report, many)
    first = first_line(program)
    workers = descendants(program.pid)
    assert workers
    program.send_signal(number)
    rest, said = program.communicate(timeout=60)
    assert program.returncode == code
    assert b"Stopped after" in said
    assert b"Traceback" not in said
    told = lines(first + rest)
    assert 1 <= len(told) < 60
    assert all(s["status"] == "screened" for s in told), "what was cut short is not told as a failure"
    recorded = {s["id"] for s in lines(assay("history", "--json", "--limit", "100").stdout)}
    assert recorded == {s["id"] for s in told}, said.decode()
    assert gone_soon(workers)
    assert not list(tmp_path.rglob("*.part"))
    assert "was stopped before its end" in report.read_text()


def test_a_second_ctrl_c_ends_it_at_once(home: Path, many: Path) -> None:
    program = started(home, "screen", "--json", many)
    first_line(program)
    workers = descendants(program.pid)
    program.send_signal(signal.SIGINT)
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=60)
    assert program.returncode == 130
    assert b"Traceback" not in said
    assert gone_soon(workers)


def test_ctrl_c_while_standard_input_is_awaited_ends_it(home: Path) -> None:
    reader, writer = os.pipe()
    program = subprocess.Popen(
        [sys.executable, "-m", "assay", "screen", "-"],
        env=os.environ | {"HOME": str(home)},
        stdin=reader,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.close(reader)
    deadline = time.monotonic() + 60
    while len(descendants(program.pid)) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    program.send_signal(signal.SIGINT)
    _, said = program.communicate(timeout=60)
    os.close(writer)
    assert program.returncode == 130
    assert b"Traceback" not in said


def test_a_killed_program_leaves_no_worker_and_a_store_that_can_be_read(
    assay: Run, home: Path, many: Path
) -> None:
    program = started(home, "screen", "--json", many)
    first = json.loads(first_line(program))
    workers = descendants(program.pid)
    program.kill()
    program.communicate(timeout=60)
    assert gone_soon(workers)
    recorded = lines(assay("history", "--json", "--limit", "100").stdout)
    assert first["id"] in {s["id"] for s in recorded}


def test_killed_workers_cost_no_more_than_the_samples_they_were_at(home: Path, many: Path) -> None:
    program = started(home, "screen", "--json", "--no-history", many)
    first = first_line(program)
    for pid in descendants(program.pid):
        os.kill(pid, signal.SIGKILL)
    rest, said = program.communicate(timeout=180)
    assert b"Traceback" not in said
    told = lines(first + rest)
    assert len(told) == 60
    assert sum(s["status"] == "screened" for s in told) >= 50


# ---------------------------------------------------------------- outputs and inputs


def test_a_reader_that_goes_away_ends_it_quietly(home: Path, many: Path) -> None:
    program = started(home, "screen", "--json", many)
    first_line(program)
    assert program.stdout is not None
    program.stdout.close()
    program.wait(timeout=120)
    assert program.stderr is not None
    said = program.stderr.read()
    program.stderr.close()
    assert program.returncode == 141, "as a shell reports a closed pipe; 1 would mean found"
    assert said == b""


def test_a_full_output_is_one_clear_line(assay: Run, fake: Path) -> None:
    with open("/dev/full", "wb") as full:
        kept = {"HOME": str(fake.parent / "home")}
        done = subprocess.run(
            [sys.executable, "-m", "assay", "screen", fake],
            env=os.environ | kept,
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            timeout=120,
        )
    assert done.returncode == 2
    assert "the results cannot be written: no space left" in plain(done)
    assert len(plain(done).splitlines()) == 2


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_are_no_trouble(home: Path, fake: Path, closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m assay screen --keep "$1" {closed}', sys.executable, fake],
        env=os.environ | {"HOME": str(home)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    plain(done)


def test_an_input_that_is_closed_is_trouble_and_the_rest_goes_on(home: Path, fake: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -m assay screen --json --no-history - "$1" <&-', sys.executable, fake],
        env=os.environ | {"HOME": str(home)},
        capture_output=True,
        check=False,
        timeout=120,
    )
    first, second = lines(done.stdout)
    assert (first["error"]["code"], second["label"]) == ("unreadable", "fake")
    plain(done)


def test_a_terminal_that_knows_few_characters_is_no_trouble(assay: Run, home: Path, tmp_path: Path) -> None:
    (tmp_path / "日本.png").write_bytes(harmless())
    archive = tmp_path / "a.zip"
    archive.write_bytes(awkward.zipped({"日本.png": harmless()}))
    done = assay(
        "screen", archive, tmp_path / "日本.png", env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    )
    assert done.returncode == 1
    assert b"\\u65e5" in done.stdout
    plain(done)


# ---------------------------------------------------------------- disks


@contextmanager
def disk(place: Path, *options: str, kib: int = 2048) -> Iterator[Path]:
    """A small file system of its own."""
    place.mkdir(exist_ok=True)
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", place]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        if options:
            subprocess.run(["mount", "-o", ",".join(("remount", *options)), place], check=True)
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(place: Path) -> None:
    with open(place / "ballast", "wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue


def test_a_full_disk_costs_the_history_and_not_the_verdict(assay: Run, home: Path, fake: Path) -> None:
    with disk(home):
        fill(home)
        done = assay("screen", "--json", "--keep", fake)
        said = plain(done)
        assert done.returncode == 1
        assert lines(done.stdout)[0]["label"] == "fake"
        assert said.count("not recorded in the history") == 1
        assert "free space on the disk" in said


def test_a_store_that_fills_up_stays_readable(assay: Run, home: Path, fake: Path) -> None:
    with disk(home):
        first = lines(assay("screen", "--json", fake).stdout)[0]
        fill(home)
        done = assay("screen", "--json", fake)
        assert done.returncode == 1
        plain(done)
        (home / "ballast").unlink()
        assert first["id"] in {s["id"] for s in lines(assay("history", "--json").stdout)}


def test_a_full_disk_leaves_the_sample_where_it_is(assay: Run, home: Path, fake: Path) -> None:
    with disk(home):
        assert assay("screen", "--quarantine", fake.with_name("none.jpg"), env=SECRET).returncode == 2
        fill(home)
        done = assay("screen", "--quarantine", "--json", fake, env=SECRET)
        told = lines(done.stdout)[0]
        plain(done)
        assert fake.read_bytes() == harmless()
        assert told["quarantine_id"] is None
        assert any("not quarantined" in w and "free space" in w for w in told["warnings"]), told["warnings"]
        (home / "ballast").unlink()
        assert b"fake" not in assay("quarantine", "list").stdout


def test_a_full_disk_costs_the_report_and_not_what_was_found(assay: Run, fake: Path, tmp_path: Path) -> None:
    with disk(tmp_path / "reports") as place:
        fill(place)
        done = assay("screen", "--no-history", "--report", place / "r.html", fake)
        assert done.returncode == 1
        assert "the report cannot be written" in plain(done)
        assert b"fake" in done.stdout
        assert [p.name for p in place.iterdir()] == ["ballast"]


def test_a_home_that_cannot_be_written_is_told_and_done_without(
    assay: Run, home: Path, fake: Path, tmp_path: Path
) -> None:
    with disk(home, "ro"):
        done = assay("screen", "--json", fake, env={"TMPDIR": str(tmp_path)})
        assert done.returncode == 1
        assert lines(done.stdout)[0]["label"] == "fake"
        assert "no home directory that can be written" in plain(done)


def test_a_data_folder_that_cannot_be_written_costs_the_history_and_not_the_verdict(
    assay: Run, fake: Path, tmp_path: Path
) -> None:
    with disk(tmp_path / "data", "ro") as place:
        done = assay("screen", "--json", fake, env={"ASSAY_PATHS_DATA": str(place)})
        assert done.returncode == 1
        assert lines(done.stdout)[0]["label"] == "fake"
        assert plain(done).count("not recorded in the history") == 1


# ---------------------------------------------------------------- stores, users, other runs


def test_a_damaged_database_costs_the_history_and_not_the_verdict(assay: Run, home: Path, fake: Path) -> None:
    place = home / ".local" / "share" / "assay"
    place.mkdir(parents=True)
    (place / "assay.db").write_bytes(b"this is no database at all" * 500)
    clean = fake.with_name("clean.jpg")
    clean.write_bytes(awkward.jpeg())
    done = assay("screen", "--json", fake, clean)
    assert done.returncode == 1
    assert [s["label"] for s in lines(done.stdout)] == ["fake", "inconclusive"]
    said = plain(done)
    assert "known fakes and originals were not looked up" in said
    assert said.count("not recorded in the history") == 1
    assert "move it aside" in said
    assert (place / "assay.db").read_bytes().startswith(b"this is no database")


def test_two_runs_that_quarantine_the_same_sample_lose_nothing(assay: Run, fake: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    assert assay("screen", "--quarantine", fake.with_name("none.jpg"), env=SECRET).returncode == 2
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda _: assay("screen", "--quarantine", "--json", fake, env=SECRET), range(2)))
    assert all(plain(r) is not None for r in runs)
    told = [line for r in runs for line in lines(r.stdout)]
    assert any(line["quarantine_id"] for line in told)
    assert not fake.exists()
    for line in told:  # the slower one may find it gone already
        assert line["label"] == "fake" or line["error"]["code"] == "unreadable"


def test_a_file_that_one_may_not_read_says_so_and_the_rest_goes_on(tmp_path: Path) -> None:
    place, scratch = tmp_path / "samples", tmp_path / "scratch"
    place.mkdir(mode=0o755)
    scratch.mkdir()
    scratch.chmod(0o777)
    tmp_path.chmod(0o755)
    (place / "locked.jpg").write_bytes(awkward.jpeg())
    (place / "locked.jpg").chmod(0)
    (place / "open.jpg").write_bytes(awkward.jpeg())
    (place / "folder").mkdir(mode=0o700)
    done = run_as_another_user(
        [sys.executable, "-m", "assay", "screen", "--json", "--no-history", place],
        needs=[tmp_path],
        env={"HOME": "/nonexistent", "PATH": os.environ["PATH"], "TMPDIR": str(scratch)},
        timeout=500,  # without a cache of its own everything is compiled anew
    )
    told = lines(done.stdout)
    plain(done)
    codes = {Path(s["path"]).name: s["error"]["code"] if s["error"] else s["status"] for s in told}
    assert codes == {"folder": "unreadable", "locked.jpg": "unreadable", "open.jpg": "screened"}
    assert all("permissions" in s["error"]["hint"] for s in told if s["error"])
    assert done.returncode == 2
