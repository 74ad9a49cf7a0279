"""Real programs against a running `assay serve`: a mail with a fake attached, an upload through a proxy, a file, a client."""

from __future__ import annotations

import asyncio
import base64
import http.server
import io
import json
import re
import socket
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import clamd
import pytest
from milter import decision_on
from PIL import Image
from programs import Program, furnished
from test_proxies import MAIL, Origin, answers_at, found, squid, started

from assay.serve.testfiles import eicar
from assay.signatures import testfile
from assay.store.database import Database
from assay.store.keys import Keys
from assay.testing.images import scene

pytestmark = pytest.mark.slow


def jpeg(seed: int, quality: int) -> bytes:
    made = io.BytesIO()
    Image.fromarray(scene(480, 360, seed=seed)).save(made, "JPEG", quality=quality)
    return made.getvalue()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """`assay serve` with one confirmed fake; its ports, its socket and a key."""
    home = tmp_path_factory.mktemp("gateway")
    data = furnished(home)
    with Database(data / "assay.db") as database:
        token = Keys(database).create("t", ("submit", "read", "feedback"), actor="t")[1]
    program = Program(
        home, "serve", "--http", "127.0.0.1:0", "--clamd", "127.0.0.1:0", "--icap", "127.0.0.1:0",
        "--clamd-socket", str(home / "clamd.sock"), env={"ASSAY_SERVE_BUDGET_S": "60", "ASSAY_SIGNATURES_RELOAD_S": "1"},
    )  # fmt: skip
    log = home / program.log.name
    try:
        end = time.monotonic() + 90
        while "Ready." not in log.read_text():
            assert program.process.poll() is None, log.read_text()
            assert time.monotonic() < end, "it did not start"
            time.sleep(0.1)
        fake = home / "fake.jpg"
        fake.write_bytes(jpeg(1, 95))
        done = subprocess.run(
            [sys.executable, "-m", "assay", "signatures", "add", "--fake", "--kind", "full_synthesis", "--reason", "test", str(fake)],
            env=program.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        time.sleep(2)
        said = log.read_text()
        yield SimpleNamespace(
            home=home,
            socket=str(home / "clamd.sock"),
            icap=int(re.search(r"icap://127\.0\.0\.1:(\d+)/", said)[1]),
            clamd=int(re.search(r"clamd +127\.0\.0\.1:(\d+)", said)[1]),
            http=re.search(r"http://\S+/", said)[0].rstrip("/"),
            token=token,
        )
    finally:
        assert program.stop() == 0
        assert "Traceback" not in log.read_text()


def attached(content: bytes) -> bytes:
    coded = base64.encodebytes(content).replace(b"\n", b"\r\n")
    return (
        b"--b\r\nContent-Type: text/plain\r\n\r\nSee the picture.\r\n--b\r\nContent-Type: image/jpeg\r\n"
        b'Content-Disposition: attachment; filename="a.jpg"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + coded
        + b"\r\n--b--\r\n"
    )


def test_a_mail_with_a_fake_attached_is_rejected_by_clamav_milter(gateway, tmp_path):
    conf, milter = tmp_path / "clamav-milter.conf", str(tmp_path / "milter.sock")
    conf.write_text(
        f"MilterSocket unix:{milter}\nClamdSocket unix:{gateway.socket}\nForeground yes\n"
        "OnInfected Reject\nRejectMsg found %v\nOnFail Defer\n"
    )

    def is_ready() -> bool:
        return answers_at(socket.AF_UNIX, milter) and decision_on(milter, MAIL, b"")[0] != b"t"

    with started([found("clamav-milter", "clamav-milter"), "-c", str(conf)], is_ready):
        assert decision_on(milter, MAIL, attached(jpeg(2, 90)))[0] == b"a"
        saved_again = decision_on(milter, MAIL, attached(jpeg(1, 70)))[0]
        assert re.fullmatch(rb"y550 5\.7\.1 found Known\.Mail\.P\d\d\0", saved_again)
        assert decision_on(milter, MAIL, attached(testfile.content()))[0].startswith(b"y550")


def test_an_upload_of_a_fake_through_squid_is_refused(gateway, tmp_path):
    Origin.uploads = []
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x.jpg"\r\n\r\n%b\r\n--b--\r\n'
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with squid(tmp_path, gateway.icap, server.server_address[1]) as ask:
            assert ask("up", part % jpeg(3, 90), **form)[0] == 204
            status, _, page = ask("up", part % jpeg(1, 60), **form)
            assert (status, b"Put into quarantine" in page) == (403, True)
        server.shutdown()
    assert [body == part % jpeg(3, 90) for _, body in Origin.uploads] == [True]


def test_clamdscan_and_c_icap_client_find_it(gateway, tmp_path):
    fake, good, conf = tmp_path / "fake.jpg", tmp_path / "good.jpg", tmp_path / "clamd.conf"
    fake.write_bytes(jpeg(1, 50))
    good.write_bytes(jpeg(2, 90))
    conf.write_text(f"LocalSocket {gateway.socket}\n")
    for option in ("--stream", "--fdpass"):
        command = [found("clamdscan", "clamdscan"), f"--config-file={conf}", option, str(fake), str(good)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
        assert done.returncode == 1, done.stdout
        assert re.search(r"fake\.jpg: Known\.Image\.P\d\d FOUND", done.stdout)
        assert "good.jpg: OK" in done.stdout
    command = [found("c-icap-client", "c-icap"), "-i", "127.0.0.1", "-p", str(gateway.icap), "-s", "scan"]
    done = subprocess.run(
        [*command, "-f", str(fake), "-resp", "http://x/", "-v"],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert "403 Forbidden" in done.stderr


def test_pip_clamd_finds_the_test_files(gateway):
    client = clamd.ClamdNetworkSocket("127.0.0.1", gateway.clamd, timeout=200)
    assert client.instream(io.BytesIO(eicar()))["stream"][0] == "FOUND"
    assert client.instream(io.BytesIO(testfile.content()))["stream"] == ("FOUND", "Assay.Test.File")
    assert client.instream(io.BytesIO(jpeg(2, 90)))["stream"] == ("OK", None)
    assert int(client.version().split("/")[1]) > 0, "the serial of the signatures"


def test_reality_defenders_client_is_told_of_it(gateway, tmp_path):
    library = pytest.importorskip("realitydefender")
    path = tmp_path / "fake.jpg"
    path.write_bytes(jpeg(1, 80))

    async def main() -> dict:
        client = library.RealityDefender(api_key=gateway.token, base_url=gateway.http)
        try:
            sent = await client.upload(file_path=str(path))
            return await client.get_result(sent["request_id"], max_attempts=60, polling_interval=500)
        finally:
            await client.cleanup()

    told = asyncio.run(main())
    assert told["status"] == "MANIPULATED", json.dumps(told)
    assert told["score"] > 0.9
