"""The sandbox from the outside: answers, errors, deaths, and what stays behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from assay.errors import Failed, JailError, Refused
from assay.media.jail.process import DECODER, EXAMINER, Zygote

HERE = Path(__file__).parent
HANDLER = "jailed:handle"


def zygote(profile=DECODER, prepare="jailed:prepare", **changes):
    return Zygote(prepare, profile.serving(HANDLER, **changes), path=[HERE])


@pytest.fixture(scope="module")
def decoders():
    with zygote() as z:
        yield z


def test_a_child_answers_and_receives_descriptors(decoders):
    read, write = os.pipe()
    with decoders.spawn() as child:
        assert child.call({"op": "echo"}, [read, write], timeout_s=5)["fds"] == 2
        assert child.call({"op": "echo", "x": ["ü", 1.5, None]}, timeout_s=5)["message"]["x"] == [
            "ü",
            1.5,
            None,
        ]
    os.close(read)
    os.close(write)


def test_answers_stream_in_order_and_a_long_one_arrives_whole(decoders):
    with decoders.spawn() as child:
        assert [a["n"] for a in child.stream({"op": "count", "n": 500}, timeout_s=5)] == list(range(500))
        assert len(child.call({"op": "long_answer", "length": 3_000_000}, timeout_s=5)["x"]) == 3_000_000
        assert child.call({"op": "echo", "x": "y" * 3_000_000}, timeout_s=5)["fds"] == 0


def test_the_descriptor_of_the_sample_is_kept_between_requests(decoders, tmp_path):
    sample = tmp_path / "sample"
    sample.write_text("hostile bytes")
    with sample.open("rb") as f, decoders.spawn() as child:
        assert child.call({"op": "keep"}, [f.fileno()], timeout_s=5)["text"] == "hostile bytes"
        attempt = {"op": "attempt", "what": "write to the sample"}
        assert "refused" in child.call(attempt, timeout_s=5)
    assert sample.read_text() == "hostile bytes"


def test_an_error_of_ours_crosses_as_it_is(decoders):
    with decoders.spawn() as child:
        with pytest.raises(Refused, match="too many pixels") as caught:
            child.call({"op": "refuse"}, timeout_s=5)
        assert (caught.value.code, caught.value.hint) == ("over_pixels", "raise limits.pixels")
        assert child.call({"op": "echo"}, timeout_s=5)["fds"] == 0  # it lives on


@pytest.mark.parametrize("op", ["stumble", "nan"])
def test_any_other_error_is_a_decoder_error(decoders, op):
    with decoders.spawn() as child:
        with pytest.raises(Failed) as caught:
            child.call({"op": op}, timeout_s=5)
        assert caught.value.code == "decoder_error"
        assert child.call({"op": "echo"}, timeout_s=5)["fds"] == 0


@pytest.mark.parametrize(
    ("op", "word"), [("segfault", "SIGSEGV"), ("abort", "SIGABRT"), ("leave", "exit status 3")]
)
def test_a_crash_names_its_signal_and_the_next_child_works(decoders, op, word):
    with decoders.spawn() as child:
        with pytest.raises(Failed, match=word) as caught:
            child.call({"op": op}, timeout_s=10)
        assert caught.value.code == "worker_crashed"
        with pytest.raises(Failed):
            child.call({"op": "echo"}, timeout_s=5)
    with decoders.spawn() as child:
        assert child.call({"op": "echo"}, timeout_s=5)["fds"] == 0


def test_a_hanging_child_is_killed_at_its_time(decoders):
    with decoders.spawn() as child:
        began = time.monotonic()
        with pytest.raises(Failed) as caught:
            child.call({"op": "spin"}, timeout_s=0.3)
        assert caught.value.code == "worker_timed_out"
        assert time.monotonic() - began < 5
        assert not Path(f"/proc/{child.pid}").exists()


def test_the_time_is_counted_for_each_answer(decoders):
    with decoders.spawn() as child:
        answers = list(child.stream({"op": "doze", "n": 4, "seconds": 0.3}, timeout_s=0.9))
    assert len(answers) == 4


def test_a_child_that_uses_up_its_processor_time_has_timed_out():
    with zygote(cpu_s=1) as z, z.spawn() as child:
        with pytest.raises(Failed, match="processor time") as caught:
            child.call({"op": "spin"}, timeout_s=30)
        assert caught.value.code == "worker_timed_out"


def test_a_swelling_decoder_meets_its_address_space():
    with zygote(memory_bytes=96 << 20, arena_bytes=0) as z, z.spawn() as child:
        assert child.call({"op": "swell", "blocks": 1, "mib": 32}, timeout_s=10) == {"held": 1}
        with pytest.raises(Failed) as caught:
            child.call({"op": "swell", "blocks": 100, "mib": 32}, timeout_s=10)
        assert caught.value.code == "worker_out_of_memory"


def test_a_swelling_examiner_is_seen_from_outside_and_killed():
    with zygote(EXAMINER) as z, z.spawn() as child:
        message = {"op": "swell", "blocks": 100, "mib": 8, "pause_s": 0.03}
        with pytest.raises(Failed, match="more than 100 MiB") as caught:
            child.call(message, timeout_s=20, memory_bytes=100 << 20)
        assert caught.value.code == "worker_out_of_memory"
        assert child.close().max_rss_bytes > 80 << 20
        assert not Path(f"/proc/{child.pid}").exists()


def test_a_kill_from_outside_is_taken_for_lack_of_memory(decoders):
    with decoders.spawn() as child:
        answers = child.stream({"op": "doze", "n": 9, "seconds": 0.2}, timeout_s=5)
        next(answers)
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(Failed) as caught:
            list(answers)
        assert caught.value.code == "worker_out_of_memory"


def test_a_caller_that_stops_early_ends_the_child(decoders):
    with decoders.spawn() as child:
        answers = child.stream({"op": "count", "n": 100_000}, timeout_s=5)
        next(answers)
        answers.close()
        with pytest.raises(Failed, match="ended already"):
            child.call({"op": "echo"}, timeout_s=5)


def test_a_kill_from_another_thread_ends_the_wait(decoders):
    with decoders.spawn() as child:
        killer = threading.Timer(0.2, child.kill)
        killer.start()
        began = time.monotonic()
        with pytest.raises(Failed) as caught:
            child.call({"op": "spin"}, timeout_s=20)
        assert time.monotonic() - began < 10
        assert caught.value.code == "worker_crashed"
        killer.join()


def test_two_answers_are_too_many_for_a_call(decoders):
    with decoders.spawn() as child, pytest.raises(Failed, match="2 answers"):
        child.call({"op": "count", "n": 2}, timeout_s=5)


@pytest.mark.parametrize(
    "raw",
    [
        b"\xff\xff\xff\xff",
        b"\x04\x00\x00\x00[[[[",
        b"\x02\x00\x00\x00[]",
        b'\x0c\x00\x00\x00{"a": "bc"}\n',
        b'\x0b\x00\x00\x00{"a": NaN}\n',
        b'\x0e\x00\x00\x00{"answer": 12}',
        b'\x0d\x00\x00\x00{"error": 12}',
    ],
)
def test_a_child_that_speaks_nonsense_is_ended(decoders, raw):
    with decoders.spawn() as child:
        with pytest.raises(Failed) as caught:
            child.call({"op": "raw_bytes", "hex": raw.hex()}, timeout_s=5)
        assert caught.value.code == "malformed_answer"


def test_nothing_stays_behind():
    before = set(os.listdir("/proc/self/fd"))
    with zygote() as z:
        for op in ("echo", "segfault", "stumble"):
            with z.spawn() as child:
                with contextlib.suppress(Failed):
                    child.call({"op": op}, timeout_s=10)
                pid = child.pid
            assert not Path(f"/proc/{pid}").exists()
        left_open = z.spawn()
    assert not Path(f"/proc/{left_open.pid}").exists()
    left_open.close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_usage_tells_processor_time_and_memory(decoders):
    with decoders.spawn() as child:
        child.call({"op": "swell", "blocks": 4, "mib": 16}, timeout_s=10)
        usage = child.close()
    assert usage.max_rss_bytes > 64 << 20
    assert 0 < usage.cpu_s < 10
    assert child.kill() == usage


def test_several_threads_share_a_zygote(decoders):
    pids, errors = set(), []

    def work():
        try:
            for _ in range(5):
                with decoders.spawn() as child:
                    child.call({"op": "echo"}, timeout_s=10)
                    pids.add(child.pid)
        except Failed as e:
            errors.append(e)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not errors
    assert len(pids) == 20


def test_a_zygote_made_in_a_thread_outlives_the_thread():
    made = []
    thread = threading.Thread(target=lambda: made.append(zygote()))
    thread.start()
    thread.join()
    with made[0] as z, z.spawn() as child:
        assert child.call({"op": "echo"}, timeout_s=5)["fds"] == 0


def test_a_lost_zygote_is_started_again():
    with zygote() as z:
        with z.spawn() as child:
            lost = int(Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
            os.kill(lost, signal.SIGKILL)
            with pytest.raises(Failed):
                child.call({"op": "doze", "n": 1, "seconds": 3}, timeout_s=5)
        with z.spawn() as child:
            assert child.call({"op": "echo"}, timeout_s=5)["fds"] == 0


def test_a_closed_zygote_says_so(decoders):
    z = zygote()
    z.close()
    z.close()
    with pytest.raises(JailError, match="closed"):
        z.spawn()


@pytest.mark.parametrize(
    "prepare", ["jailed:prepare_badly", "jailed:no_such_function", "no_such_module:prepare"]
)
def test_a_preparation_that_fails_names_its_error(prepare):
    with zygote(prepare=prepare) as z, pytest.raises(JailError, match=r"Error: .*(library|no_such)"):
        z.spawn()


def test_threads_at_the_fork_are_warned_of():
    with zygote(prepare="jailed:prepare_with_a_thread") as z, z.spawn() as child:
        assert child.call({"op": "echo"}, timeout_s=5)["fds"] == 0
        assert any("threads running" in w for w in z.warnings)


def test_no_warning_where_all_layers_are_on(decoders):
    with decoders.spawn():
        assert decoders.warnings == []


def test_secrets_of_the_environment_do_not_reach_the_zygote(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    with zygote() as z, z.spawn() as child:
        parent = int(Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        assert b"hush" not in Path(f"/proc/{parent}/environ").read_bytes()


ORPHAN = """
import os, signal, sys, time
from assay.media.jail.process import DECODER, Zygote
z = Zygote("jailed:prepare", DECODER.serving("jailed:handle"), path=[sys.argv[1]])
c = z.spawn()
parent = open(f"/proc/{c.pid}/stat").read().rsplit(")", 1)[1].split()[1]
answers = c.stream({"op": "doze", "n": 1000, "seconds": 0.05}, timeout_s=5)
next(answers)
os.killpg(0, signal.SIGINT) if sys.argv[2] == "interrupt" else None
try:
    time.sleep(0.2 if sys.argv[2] == "interrupt" else 0)
except KeyboardInterrupt:
    pass
next(answers)
print(c.pid, parent, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until_gone(pids):
    deadline = time.monotonic() + 10
    while not all(gone(p) for p in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    return all(gone(p) for p in pids)


def test_children_die_with_a_parent_that_is_killed():
    run = subprocess.run(
        [sys.executable, "-c", ORPHAN, HERE, ""], capture_output=True, check=False, timeout=30
    )
    pids = [int(p) for p in run.stdout.split()]
    assert len(pids) == 2, run.stderr
    assert wait_until_gone(pids)


def test_ctrl_c_leaves_children_to_the_parent():
    script = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + ORPHAN
    command = [sys.executable, "-c", script, HERE, "interrupt"]
    run = subprocess.run(command, capture_output=True, check=False, timeout=30, start_new_session=True)
    pids = [int(p) for p in run.stdout.split()]
    assert len(pids) == 2, run.stderr  # the child still answered after the interrupt
    assert wait_until_gone(pids)
