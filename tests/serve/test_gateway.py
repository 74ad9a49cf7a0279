"""Every protocol on one gateway: what each action becomes for each client, with a pipeline that does as it is told."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor

import clamd
import httpx
import pytest
from house import port, running, until
from icap_talk import OK, Talk, chunks, respmod

from assay.serve.folder import Folder
from assay.settings import PolicySettings
from assay.signatures import testfile
from assay.store.jobs import State
from assay.store.keys import Keys
from assay.store.records import Filter
from assay.types import Action, sha256_of

PART = b"HTTP/1.1 206 Partial Content\r\nContent-Type: image/png\r\nContent-Range: bytes 5-9/20\r\n\r\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with running(tmp_path_factory.mktemp("gateway")) as made:
        yield made


# One table: action x client --------------------------------------------------------------------------------------------


def by_clamd(house, content):
    answer = clamd.ClamdNetworkSocket("127.0.0.1", port(house, "clamd"), timeout=20).instream(
        _stream(content)
    )
    return answer["stream"]


def by_icap(house, content):
    with Talk(socket.create_connection(("127.0.0.1", port(house, "icap")), 20)) as talk:
        head = PART if content.startswith(b"partial") else OK
        talk.send(respmod(head, allow=True) + chunks(content))
        response = talk.response()
    if response.status == 204:
        return 204
    label = b"X-Assay-Verdict" in response.head
    return f"{response.http_status}{' labelled' if label else ''}"


def by_http(house, content):
    with http(house, "submit", "read") as client:
        answer = client.put("/v1/samples/a.jpg?wait=5", content=content)
    told = answer.json()
    return answer.status_code, (told.get("result") or told).get("action")


def by_reality_defender(house, content):
    """Ask as Reality Defender's client does (its package is driven in tests/serve/api); the words that it is told."""
    with http(house, "submit", "read") as client:
        promised = client.post("/api/files/aws-presigned", data={"fileName": "a.jpg"}).json()
        sent = httpx.put(promised["response"]["signedUrl"], content=content, timeout=20)
        assert sent.status_code == 200, sent.text
        told = until(lambda: finished(client.get(f"/api/media/users/{promised['requestId']}").json()))
    (reason,) = told["resultsSummary"]["metadata"]["reasons"]
    return told["overallStatus"], reason["code"]


def finished(told):
    return None if told["overallStatus"] == "ANALYZING" else told


def http(house, *scopes):
    """A client with a key of its own, which stands where Reality Defender's client puts it."""
    token = Keys(house.stores.database).create("t", scopes, actor="a")[1]
    return httpx.Client(base_url=house.gateway.listening["http"], headers={"X-API-KEY": token}, timeout=20)


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


PASSED, FOUND = ("OK", None), ("FOUND", "Synthetic.Image.P87")
UNABLE = "UNABLE_TO_EVALUATE"
LABELLED = (PASSED, "200 labelled", (200, "label"), "there and noted")
TABLE = {
    # what comes: clamd, ICAP, HTTP, folder, Reality Defender's client
    b"deliver": (PASSED, 204, (200, "deliver"), "there", (UNABLE, "a_rule")),
    b"label": (*LABELLED, (UNABLE, "a_rule")),
    b"hold": (
        *(("FOUND", "Heuristics.Assay.Pending"), "403", (200, "hold"), "held and noted"),
        (UNABLE, "a_rule"),
    ),
    b"quarantine": (FOUND, "403", (200, "quarantine"), "gone and noted", ("FAKE", "a_rule")),
    b"reject": (FOUND, "403", (200, "reject"), "gone and noted", ("FAKE", "a_rule")),
    b"encrypted": (*LABELLED, (UNABLE, "encrypted")),
    b"undecodable": (*LABELLED, (UNABLE, "undecodable")),
    b"partial": (PASSED, "206 labelled", (200, "label"), "there and noted", (UNABLE, "partial")),
    b"over-members": (*LABELLED, (UNABLE, "over_limit")),
}
CLIENTS = ("clamd", "icap", "http", "folder", "reality defender")


@pytest.mark.parametrize("what", TABLE, ids=bytes.decode)
def test_what_an_action_becomes_for_each_client(house, what, tmp_path):
    content = {name: what + b" for " + name.encode() for name in CLIENTS}
    answers = (
        by_clamd(house, content["clamd"]),
        by_icap(house, content["icap"]),
        by_http(house, content["http"]),
        by_folder(house, content["folder"], tmp_path),
        by_reality_defender(house, content["reality defender"]),
    )
    assert answers == TABLE[what]


def test_a_part_follows_its_own_line_of_the_policy_and_is_counted(tmp_path):
    with running(tmp_path, PolicySettings({"partial": Action.HOLD})) as strict:
        assert by_icap(strict, b"partial content") == "403"
        assert by_icap(strict, b"undecodable content") == "200 labelled"
        (part,) = strict.stores.records.select(Filter(sha256=sha256_of(b"partial content")))
        with http(strict, "metrics") as client:
            numbers = client.get("/metrics").text
    assert (part.document["rule"], part.document["error"]["code"]) == ("partial", "partial")
    assert 'assay_protocol_gaps_total{protocol="icap",word="partial"} 1.0' in numbers


def test_what_is_not_done_is_still_analysed_for_reality_defenders_client(house):
    house.pipeline.go.clear()
    with http(house, "submit", "read") as client:
        promised = client.post("/api/files/aws-presigned", data={"fileName": "a.jpg"}).json()
        httpx.put(promised["response"]["signedUrl"], content=b"slow for its poll", timeout=20)
        asked = f"/api/media/users/{promised['requestId']}"
        assert client.get(asked).json()["overallStatus"] == "ANALYZING"
        house.pipeline.go.set()
        assert until(lambda: finished(client.get(asked).json()))["overallStatus"] == UNABLE


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
