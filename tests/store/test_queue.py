"""The queue on DBOS. One process can hold one at a time, so that several processes are started here."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from assay.errors import StoreError
from assay.store.queue import Queue, executor_name, is_dead


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/queue.db"


def until(condition, within_s=30.0):
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.01)


def test_urgent_jobs_go_first_and_no_more_at_once_than_agreed(url):
    done, at_once, most, lock, gate = [], 0, 0, threading.Lock(), threading.Event()

    def work(job):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        gate.wait(20)
        with lock:
            at_once -= 1
            done.append(job)
        if job == "fails":
            raise RuntimeError("on purpose")

    queue = Queue(url, executor="one", work=work, at_once=1)
    queue.start()
    try:
        with pytest.raises(StoreError, match="already"):
            Queue(url, executor="two", work=work, at_once=1).start()
        queue.put("first", 5)
        until(lambda: at_once)
        for job, priority in (("bulk", 9), ("fails", 5), ("inline", 1)):
            queue.put(job, priority)
            queue.put(job, priority)  # the same attempt twice is one
        gate.set()
        until(lambda: len(done) == 4)
        assert done == ["first", "inline", "fails", "bulk"]
        assert most == 1
        queue.put("fails", 5, 1)
        until(lambda: len(done) == 5)
        pruned = []  # the last entry may end a moment after its work
        until(lambda: pruned.append(queue.prune(-60)) or sum(pruned) == 5)
        assert queue.prune(-60) == 0
    finally:
        gate.set()
        queue.stop(5)
    assert os.stat(url.removeprefix("sqlite:///")).st_mode & 0o777 == 0o600


def test_work_that_outlasts_the_grace_is_told_in_a_line_and_without_a_traceback(url, caplog):
    begun, stopped = threading.Event(), threading.Event()

    def work(_job):
        begun.set()
        assert stopped.wait(30)
        raise RuntimeError("the sandbox was closed")

    queue = Queue(url, executor="one", work=work, at_once=1)
    queue.start()
    queue.put("slow", 5)
    assert begun.wait(30)
    queue.stop(0)
    with caplog.at_level("WARNING", "assay.store.queue"):
        stopped.set()
        until(lambda: caplog.records)
    assert [(r.levelname, r.exc_info) for r in caplog.records] == [("WARNING", None)]
    assert "begun again" in caplog.text


def test_what_was_queued_outlasts_the_process_that_queued_it(url):
    script = textwrap.dedent(
        f"""
        import os, sys, time
        from assay.store.queue import Queue
        def never(job):
            os.kill(os.getpid(), 9)
        queue = Queue({url!r}, executor="killed", work=never, at_once=1)
        queue.start()
        for n in range(3):
            queue.put(f"job{{n}}", 5)
        time.sleep(60)
        """
    )
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=60).returncode == -9
    done = []
    queue = Queue(url, executor="after", work=done.append, at_once=1)
    queue.start()
    try:
        until(lambda: len(done) == 2)  # the third was begun: its lease, not the queue, brings it back
        assert len(set(done)) == 2
    finally:
        queue.stop(5)


def test_a_database_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "queue.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="queue cannot be opened"):
        Queue(f"sqlite:///{tmp_path}/queue.db", executor="one", work=print, at_once=1).start()


def test_only_an_ended_process_of_this_machine_is_known_to_be_dead():
    own = executor_name()
    host, pid, started = own.split(":")
    assert not is_dead(own)
    assert is_dead(f"{host}:{pid}:another-start"), "its number was used again"
    assert not is_dead(f"elsewhere:{pid}:{started}")
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    assert is_dead(f"{host}:{child.pid}:{started}")
    assert not is_dead("nonsense")
