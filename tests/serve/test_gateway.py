"""Every protocol on one gateway: what each action becomes for each client, with a pipeline that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import clamd
import httpx
import pytest
from icap_talk import OK, Talk, chunks, respmod
from pyrage import x25519

from assay.action.policy import effective
from assay.desk.intake import Intake
from assay.desk.pictures import Pictures
from assay.desk.stores import Stores
from assay.desk.webhooks import Webhooks
from assay.desk.work import Worker
from assay.serve.exchange import Edition
from assay.serve.folder import Folder
from assay.serve.gateway import Gateway
from assay.settings import Api, Limits, Paths, PolicySettings, Serve, Settings
from assay.signatures import testfile
from assay.store.jobs import State
from assay.store.keys import Keys
from assay.store.records import Filter
from assay.types import Action, Decision, Kind, Label, Problem, Screening, Status, sha256_of
from screenings import screened

PROBLEMS = {b"encrypted": "encrypted", b"undecodable": "undecodable", b"over-members": "over_members"}


class Told:
    """Decides by a sample's first word: an action, a problem, or ``slow`` for longer than anybody waits."""

    def __init__(self):
        self.go = threading.Event()

    def screen(self, arrival, /, *, sample_id, source):
        content = os.pread(arrival.descriptor, 1 << 16, 0)
        word = content.split(b" ")[0]
        if word == b"slow":
            self.go.wait(30)
        action = Action(word.decode()) if word.decode() in set(Action) else Action.DELIVER
        is_fake = action in (Action.QUARANTINE, Action.REJECT)
        made = screened(
            arrival.path,
            content,
            label=Label.FAKE if is_fake else Label.INCONCLUSIVE,
            id=sample_id,
            source=source,
            media_type="image/jpeg",
        )
        verdict = dataclasses.replace(
            made.verdict, probability=0.87, kinds=(Kind.FULL_SYNTHESIS,) if is_fake else ()
        )
        decision = Decision(action, "a_rule", effective(PolicySettings()).digest)
        if word in PROBLEMS:
            problem = Problem(PROBLEMS[word], "It could not be examined.")
            return dataclasses.replace(
                made,
                status=Status.REFUSED,
                verdict=None,
                decision=Decision(Action.LABEL, "r", "d"),
                error=problem,
            )
        return dataclasses.replace(made, verdict=verdict, decision=decision, assay_version="0.1.0")

    def unread(self, path, e, sample):
        return Screening(
            sample, path, Status.FAILED, sample.received_at, "0.1.0", error=Problem(e.code, e.message)
        )


@contextlib.contextmanager
def running(folder, **serve):
    """A gateway in a thread of its own, and its engine with a pool of threads in place of a queue."""
    options = {
        "clamd": "127.0.0.1:0",
        "icap": "127.0.0.1:0",
        "http": "127.0.0.1:0",
        "drain_s": 1.0,
        "budget_s": 5.0,
    }
    settings = Settings(
        Paths(folder / "data", folder / "cache"),
        serve=Serve(**(options | serve)),
        api=Api(),
        limits=Limits(size_bytes=100_000),
    )
    keys = settings.paths.quarantine / "keys"
    keys.mkdir(parents=True, mode=0o700)
    (keys / "recipients.txt").write_text(f"{x25519.Identity.generate().to_public()}\n")
    settings.paths.spool.mkdir(parents=True)
    pipeline, reloads = Told(), []
    with Stores.open(settings) as stores, ThreadPoolExecutor(4) as pool:
        workers = []
        webhooks = Webhooks(stores.database, ())
        intake = Intake(
            stores,
            stores.waiting,
            put=lambda job, *_: pool.submit(workers[0].work, job),
            rules=lambda: (settings.policy, "c1"),
            after=(webhooks.created, Pictures(settings.paths.pictures).keep),
        )
        workers.append(Worker(stores, stores.waiting, intake, pipeline, executor="test"))
        engine = SimpleNamespace(
            intake=intake,
            stores=stores,
            webhooks=webhooks,
            settings=settings,
            spool=settings.paths.spool,
            edition=lambda: Edition(serial=7),
            reload=lambda: reloads.append(1),
        )
        gateway, loop = Gateway(engine), asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(gateway.start(), loop).result(20)
            yield SimpleNamespace(
                gateway=gateway, intake=intake, stores=stores, pipeline=pipeline, reloads=reloads, loop=loop
            )
        finally:
            pipeline.go.set()
            asyncio.run_coroutine_threadsafe(gateway.stop(), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
            pool.shutdown()
            workers[0].close()


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with running(tmp_path_factory.mktemp("gateway")) as made:
        yield made


def port(house, name):
    return int(house.gateway.listening[name].strip("/").rpartition(":")[2])


# One table: action x client --------------------------------------------------------------------------------------------


def by_clamd(house, content):
    answer = clamd.ClamdNetworkSocket("127.0.0.1", port(house, "clamd"), timeout=20).instream(
        _stream(content)
    )
    return answer["stream"]


def by_icap(house, content):
    with Talk(socket.create_connection(("127.0.0.1", port(house, "icap")), 20)) as talk:
        talk.send(respmod(OK, allow=True) + chunks(content))
        response = talk.response()
    if response.status == 204:
        return 204
    label = b"X-Assay-Verdict" in response.head
    return f"{response.http_status}{' labelled' if label else ''}"


def by_http(house, content):
    token = Keys(house.stores.database).create("t", ("submit", "read"), actor="a")[1]
    with httpx.Client(
        base_url=house.gateway.listening["http"], headers={"Authorization": f"Bearer {token}"}
    ) as client:
        answer = client.put("/v1/samples/a.jpg?wait=5", content=content, timeout=20)
    told = answer.json()
    return answer.status_code, (told.get("result") or told).get("action")


def by_folder(house, content, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir(exist_ok=True)
    path = inbox / "a.jpg"
    path.write_bytes(content)
    folder = Folder(str(inbox), house.intake, house.stores, 100_000, settled_s=0)
    folder.look()
    (known,) = folder._known.values()
    if known.job_id:
        job = asyncio.run(house.intake.wait(known.job_id, 20))
        if job.state is not State.DONE:
            return "there"
        folder.look()
    note = inbox / "a.jpg.assay.txt"
    held = inbox / ".assay" / "held" / "a.jpg"
    where = "there" if path.exists() else "held" if held.exists() else "gone"
    return f"{where}{' and noted' if note.exists() else ''}"


def _stream(content):
    import io

    return io.BytesIO(content)


TABLE = {
    # what comes: clamd, ICAP, HTTP, folder
    b"deliver": (("OK", None), 204, (200, "deliver"), "there"),
    b"label": (("OK", None), "200 labelled", (200, "label"), "there and noted"),
    b"hold": (("FOUND", "Heuristics.Assay.Pending"), "403", (200, "hold"), "held and noted"),
    b"quarantine": (("FOUND", "Synthetic.Image.P87"), "403", (200, "quarantine"), "gone and noted"),
    b"reject": (("FOUND", "Synthetic.Image.P87"), "403", (200, "reject"), "gone and noted"),
    b"encrypted": (("OK", None), "200 labelled", (200, "label"), "there and noted"),
    b"undecodable": (("OK", None), "200 labelled", (200, "label"), "there and noted"),
    b"over-members": (("OK", None), "200 labelled", (200, "label"), "there and noted"),
}


@pytest.mark.parametrize("what", TABLE, ids=bytes.decode)
def test_what_an_action_becomes_for_each_client(house, what, tmp_path):
    content = {name: what + b" for " + name.encode() for name in ("clamd", "icap", "http", "folder")}
    answers = (
        by_clamd(house, content["clamd"]),
        by_icap(house, content["icap"]),
        by_http(house, content["http"]),
        by_folder(house, content["folder"], tmp_path),
    )
    assert answers == TABLE[what]


def test_what_takes_too_long_is_held_and_a_retry_is_answered_by_its_digest(house, tmp_path):
    house.pipeline.go.clear()
    with ThreadPoolExecutor(3) as clients:
        asked = [
            clients.submit(ask, house, b"slow %d" % n)
            for n, ask in enumerate((by_clamd, by_icap, by_http), 1)
        ]
    held, page, told = (a.result() for a in asked)
    assert held == ("FOUND", "Heuristics.Assay.Pending")
    assert page == "403"
    assert told[0] == 202
    house.pipeline.go.set()
    job = until(lambda: record_of(house, b"slow 1"))
    assert job.document["action"] == "deliver"
    assert by_clamd(house, b"slow 1") == ("OK", None)
    assert len(list(house.stores.records.select(Filter(sha256=job.sha256)))) == 2


def test_the_same_bytes_within_seconds_are_one_record(house, monkeypatch):
    for _ in range(3):
        assert by_clamd(house, b"deliver once for many receivers") == ("OK", None)
    assert house.stores.records.count(Filter(sha256=sha256_of(b"deliver once for many receivers"))) == 1
    monkeypatch.setattr("assay.serve.answers.REPEATED_S", 0.0)
    for _ in range(2):
        assert by_clamd(house, b"label never from memory") == ("OK", None)
    assert house.stores.records.count(Filter(sha256=sha256_of(b"label never from memory"))) == 2


def record_of(house, content):
    return next(iter(house.stores.records.select(Filter(sha256=sha256_of(content)))), None)


def until(found, within_s=20.0):
    end = time.monotonic() + within_s
    while not (got := found()):
        assert time.monotonic() < end, "nothing came"
        time.sleep(0.02)
    return got


def test_test_files_are_always_found(house):
    from assay.serve.testfiles import eicar

    assert by_clamd(house, eicar()) == ("FOUND", "Eicar-Test-Signature")
    assert by_clamd(house, testfile.content()) == ("FOUND", "Assay.Test.File")
    assert by_icap(house, testfile.content()) == "403"


def test_what_is_too_large_follows_the_policy_and_stands_in_the_history(house):
    before = house.stores.records.count(Filter(source="icap"))
    assert by_icap(house, b"deliver " + bytes(200_000)) == "200 labelled"
    (newest, *_) = house.stores.records.select(Filter(source="icap"))
    assert house.stores.records.count(Filter(source="icap")) == before + 1
    assert newest.document["error"]["code"] == "over_size"
    with pytest.raises(clamd.BufferTooLongError):
        by_clamd(house, bytes(200_000))


def test_the_edition_stands_in_version_and_reload_reaches_the_engine(house):
    client = clamd.ClamdNetworkSocket("127.0.0.1", port(house, "clamd"), timeout=20)
    assert "/7/" in client.version()
    assert client.reload() == "RELOADING"
    until(lambda: house.reloads)


def test_an_address_that_cannot_be_bound_leaves_nothing_listening(tmp_path, house):
    from assay.errors import ConfigError

    with (
        pytest.raises(ConfigError, match="cannot be bound"),
        running(tmp_path, http=f"127.0.0.1:{port(house, 'clamd')}"),
    ):
        pass


def test_a_watched_folder_waits_until_a_file_is_complete_and_looks_again_when_it_changes(house, tmp_path):
    inbox = tmp_path / "inbox"
    (inbox / "deep").mkdir(parents=True)
    path = inbox / "deep" / "a.jpg"
    path.write_bytes(b"deliver growing")
    folder = Folder(str(inbox), house.intake, house.stores, 100_000, settled_s=3600)
    folder.look()
    assert folder._known == {}
    folder.settled_s = 0
    folder.look()
    (known,) = folder._known.values()
    asyncio.run(house.intake.wait(known.job_id, 20))
    folder.look()
    assert known.settled
    path.write_bytes(b"label it has grown")
    folder.look()
    (again,) = folder._known.values()
    assert again.job_id != known.job_id
    asyncio.run(house.intake.wait(again.job_id, 20))
    folder.look()
    assert (inbox / "deep" / "a.jpg.assay.txt").read_text().startswith("Assay screened this file: label")
    folder.look()
    assert len(folder._known) == 1, "a note is no sample"
    path.unlink()
    folder.look()
    assert folder._known == {}


def test_a_file_that_is_replaced_while_it_is_screened_is_not_moved(house, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    path = inbox / "a.jpg"
    path.write_bytes(b"quarantine the first")
    folder = Folder(str(inbox), house.intake, house.stores, 100_000, settled_s=0)
    folder.look()
    (known,) = folder._known.values()
    asyncio.run(house.intake.wait(known.job_id, 20))
    record = house.intake.result(known.job_id)
    path.write_bytes(b"deliver the second one")
    folder._act(str(path), known.stamp, record.document)
    assert path.read_bytes() == b"deliver the second one"


def test_a_note_does_not_hide_a_medium(house, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "b.assay.txt").write_bytes(b"\xff\xd8 quarantine")
    (inbox / "c.assay.txt").write_bytes(b"Assay screened this file: \xff\xd8")
    folder = Folder(str(inbox), house.intake, house.stores, 100_000, settled_s=0)
    folder.look()
    assert len(folder._known) == 2


def test_a_file_over_the_limit_is_noted_and_left(house, tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "a.jpg").write_bytes(bytes(200_000))
    folder = Folder(str(inbox), house.intake, house.stores, 100_000, settled_s=0)
    folder.look()
    assert "larger than the limit" in (inbox / "a.jpg.assay.txt").read_text()
    assert (inbox / "a.jpg").exists()
