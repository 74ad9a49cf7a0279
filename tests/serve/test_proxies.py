"""Mails through clamav-milter and rspamd, messages through squid: the programs between a sender and these servers, unchanged."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import FAKE, FakeScreen, Running, answer, clamd, icap, serving
from milter import decision_on

from assay.serve.exchange import Answer, Gap
from assay.types import Action

pytestmark = pytest.mark.slow
MAIL = {"Subject": "a picture", "MIME-Version": "1.0", "Content-Type": "multipart/mixed; boundary=b"}


class Within(FakeScreen):
    """Looks for the words anywhere in the sample, as unpacking would."""

    async def __call__(self, submission, /, *, budget_s) -> Answer:
        said = await super().__call__(submission, budget_s=budget_s)
        return next((told for word, told in self.answers.items() if word in self.contents[-1]), said)


def found(name: str, package: str) -> str:
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if not path:
        pytest.skip(f"{name} is not installed (Debian: {package})")
    return path


@contextlib.contextmanager
def started(
    arguments: list[str],
    is_ready: Callable[[], bool],
    *,
    end: int = signal.SIGKILL,
    env: dict[str, str] | None = None,
) -> Iterator[None]:
    with subprocess.Popen(
        arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | (env or {})
    ) as program:
        try:
            for _ in range(600):
                if is_ready():
                    break
                assert program.poll() is None, "it ended at once"
                time.sleep(0.05)
            yield
        finally:
            program.send_signal(end)


def answers_at(family: int, address: str | tuple[str, int]) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as attempt:
        return attempt.connect_ex(address) == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


class TestClamavMilter:
    @pytest.fixture(params=["unix", "tcp"])
    def decide(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[bytes], bytes]]:
        program = found("clamav-milter", "clamav-milter")
        screen = Within(
            {b"fake": FAKE, b"held": answer(Action.HOLD), b"locked": answer(Action.LABEL, Gap.ENCRYPTED)}
        )
        server = clamd(screen, hold_is_error=True)
        with serving(server, tmp_path / "clamd.sock") as run:
            at = f"unix:{run.path}" if request.param == "unix" else f"tcp:127.0.0.1:{run.port}"
            conf = tmp_path / "clamav-milter.conf"
            conf.write_text(
                f"MilterSocket unix:{tmp_path}/milter.sock\nClamdSocket {at}\nForeground yes\n"
                "OnInfected Reject\nRejectMsg found %v\nOnFail Defer\nAddHeader Replace\n"
            )
            milter = str(tmp_path / "milter.sock")

            def is_ready() -> bool:  # it defers everything until clamd has answered its first question
                asked = server.counters.commands["PING"] and not server.counters.active
                return bool(asked) and answers_at(socket.AF_UNIX, milter)

            with started([program, "-c", str(conf)], is_ready):
                yield lambda content: decision_on(
                    milter, MAIL, b"--b\r\nContent-Type: image/png\r\n\r\n" + content + b"\r\n--b--\r\n"
                )[0]
            assert server.counters.faults == 0

    def test_a_mail_is_accepted_rejected_or_deferred(self, decide):
        assert decide(b"good") == b"a"
        assert decide(b"fake" * 30_000) == b"y550 5.7.1 found Synthetic.Image.P87\0"
        assert decide(b"held") == b"t"  # and the mail server tries again
        assert decide(b"locked") == b"a"


class Origin(http.server.BaseHTTPRequestHandler):
    """The server that people reach through the proxy."""

    protocol_version = "HTTP/1.1"
    uploads: list[tuple[str | None, bytes]]

    def do_GET(self) -> None:
        word = self.path.strip("/").partition("?")[0]
        large = word == "large"
        body = gzip.compress(b"fake") if word == "zipped" else b"x" * 500_000 if large else word.encode()
        self.send_response(206 if word == "part" else 200)
        if word == "zipped":
            self.send_header("Content-Encoding", "gzip")
        if word == "part":
            self.send_header("Content-Range", "bytes 0-3/100")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        type(self).uploads.append((self.headers["X-Assay-Verdict"], body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_) -> None: ...


@contextlib.contextmanager
def squid(folder: Path, icap_port: int, origin: int) -> Iterator[Callable]:
    """A proxy in front of `origin` that asks an ICAP server; what it yields fetches or posts through it."""
    program = found("squid", "squid")
    shared = Path(program).parents[1] / "share" / "squid"
    port = free_port()
    folder.chmod(0o777)  # squid gives up being root
    conf = folder / "squid.conf"
    conf.write_text(
        f"http_port 127.0.0.1:{port}\nhttp_access allow all\ncache deny all\nvisible_hostname proxy.test\n"
        f"pid_filename none\nnetdb_filename none\naccess_log none\ncache_log {folder}/cache.log\n"
        f"unlinkd_program {found('true', 'coreutils')}\ncoredump_dir {folder}\npinger_enable off\nmime_table {shared}/mime.conf\nicon_directory {shared}/icons\n"
        f"error_directory {shared}-langpack/en\nshutdown_lifetime 0 seconds\n"
        "icap_enable on\nicap_preview_enable on\n"
        f"icap_service up reqmod_precache icap://127.0.0.1:{icap_port}/reqmod bypass=0\n"
        f"icap_service down respmod_precache icap://127.0.0.1:{icap_port}/respmod bypass=0\n"
        "adaptation_access up allow all\nadaptation_access down allow all\n"
    )

    def ask(
        path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.closing(connection):
            url = f"http://127.0.0.1:{origin}/{path}"
            connection.request("POST" if body is not None else "GET", url, body, headers)
            response = connection.getresponse()
            return response.status, response.headers, response.read()

    is_ready = lambda: answers_at(socket.AF_INET, ("127.0.0.1", port))  # noqa: E731
    with started([program, "-N", "-f", str(conf)], is_ready):
        yield ask


class TestSquid:
    @pytest.fixture
    def origin(self) -> Iterator[int]:
        Origin.uploads = []
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server.server_address[1]
            server.shutdown()

    @pytest.fixture
    def screen(self) -> FakeScreen:
        return FakeScreen({b"fake": FAKE, b"marked": answer(Action.LABEL), b"held": answer(Action.HOLD)})

    @pytest.fixture
    def run(self, screen: FakeScreen) -> Iterator[Running]:
        with serving(icap(screen, body_bytes=200_000)) as run:
            yield run
            assert run.server.counters.faults == run.server.counters.protocol_errors == 0

    @pytest.fixture
    def ask(self, tmp_path: Path, run: Running, origin: int) -> Iterator[Callable]:
        with squid(tmp_path, run.port, origin) as asking:
            yield asking

    def test_what_people_fetch_is_screened(self, ask):
        assert ask("good")[::2] == (200, b"good")
        status, _, page = ask("fake")
        assert (status, b"Put into quarantine" in page) == (403, True)
        assert ask("zipped")[0] == 403
        assert ask("held")[1]["Retry-After"]
        _, headers, body = ask("marked")
        assert (headers["X-Assay-Verdict"], body) == (
            "label; rule=a_rule; name=Synthetic.Image.P87",
            b"marked",
        )
        assert ask("part")[1]["X-Assay-Verdict"].endswith("reason=partial")

    def test_what_is_too_large_comes_through_marked(self, ask):
        status, headers, body = ask("large")
        assert (status, len(body)) == (200, 500_000)
        assert headers["X-Assay-Verdict"].endswith("reason=over-limit")

    def test_what_people_upload_is_screened(self, ask, screen):
        form = "multipart/form-data; boundary=b"
        part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x.png"\r\n\r\n%b\r\n--b--\r\n'
        assert ask("up", part % b"good", **{"Content-Type": form})[0] == 204
        assert ask("up", part % b"fake", **{"Content-Type": form})[0] == 403
        assert ask("up", part % (b"good" * 30_000), **{"Content-Type": form})[0] == 204
        assert ask("up", part % b"marked", **{"Content-Type": form})[0] == 204
        told, bodies = zip(*Origin.uploads, strict=True)
        assert told == (None, None, "label; rule=a_rule; name=Synthetic.Image.P87")
        assert bodies[1] == part % (b"good" * 30_000)
        assert b"fake" in screen.contents


class TestRspamd:
    """Its antivirus module speaks clamd's protocol, its external_services module ICAP; a mail goes through both."""

    @pytest.fixture
    def symbols_of(self, tmp_path: Path) -> Iterator[Callable[[bytes], dict[str, list[str]]]]:
        program = found("rspamd", "rspamd")
        shared = Path(program).parents[1] / "share" / "rspamd"
        port = free_port()
        screen = FakeScreen(
            {
                b"fake": FAKE,
                b"held": answer(Action.HOLD),
                b"large": answer(Action.QUARANTINE, Gap.OVER_LIMIT),
                b"locked": answer(Action.QUARANTINE, Gap.ENCRYPTED, media="archive"),
                b"marked": answer(Action.LABEL),
            }
        )
        with serving(clamd(screen)) as one, serving(icap(screen)) as other:
            (tmp_path / "tld").write_text("test\n")
            conf = tmp_path / "rspamd.conf"
            conf.write_text(
                RSPAMD.format(here=tmp_path, port=port, plugins=shared / "plugins", one=one, other=other)
            )
            env = {name: str(tmp_path) for name in ("CONFDIR", "LOCAL_CONFDIR", "DBDIR", "RUNDIR", "WWWDIR")}
            env |= {"SHAREDIR": str(shared), "LUALIBDIR": f"{shared}/lualib", "RULESDIR": f"{shared}/rules"}
            is_ready = lambda: answers_at(socket.AF_INET, ("127.0.0.1", port))  # noqa: E731
            start = [program, "-c", str(conf), "-f", "-i"]
            with started(start, is_ready, end=signal.SIGTERM, env=env | {"PLUGINSDIR": f"{shared}/plugins"}):
                yield lambda content: _symbols(port, content)
            for run in (one, other):
                assert run.server.counters.faults == run.server.counters.protocol_errors == 0

    def test_names_become_symbols(self, symbols_of):
        assert symbols_of(b"good") == {}
        assert symbols_of(b"marked") == {}
        name = ["Synthetic.Image.P87"]
        assert symbols_of(b"fake") == {"ASSAY_SURE": name, "ASSAY_ICAP": name}
        pending = ["Heuristics.Assay.Pending"]
        assert symbols_of(b"held") == {"ASSAY": pending, "ASSAY_ICAP": pending}
        assert {"ASSAY_FAIL", "ASSAY_ICAP_FAIL"} == set(symbols_of(b"large"))
        assert "ASSAY_ENCRYPTED" in symbols_of(b"locked")


RSPAMD = """
options {{
  pidfile = "{here}/pid"; tempdir = "{here}"; control_socket = "{here}/control mode=0600"; hs_cache_dir = "{here}";
  url_tld = "{here}/tld"; dns {{ nameserver = ["127.0.0.1:1"]; timeout = 0.1; retransmits = 0; }}
  filters = ""; disable_hyperscan = true; task_timeout = 12s;
}}
logging {{ type = "console"; level = "error"; }}
actions {{ reject = 15; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
worker "controller" {{ bind_socket = "{here}/controller mode=0600"; count = 1; password = "unused"; }}
antivirus {{ assay {{
  type = "clamav"; servers = "127.0.0.1:{one.port}"; symbol = "ASSAY"; scan_mime_parts = true; scan_image_mime = true;
  patterns {{ ASSAY_SURE = "\\.P(8[5-9]|9[0-9])$"; }}
}} }}
external_services {{ icap {{
  type = "icap"; servers = "127.0.0.1:{other.port}"; scheme = "scan"; symbol = "ASSAY_ICAP"; scan_image_mime = true;
}} }}
modules {{ path = "{plugins}/antivirus.lua"; }}
modules {{ path = "{plugins}/external_services.lua"; }}
"""


def _symbols(port: int, content: bytes) -> dict[str, list[str]]:
    """What rspamd says of a mail with one picture in it."""
    part = (
        b"--q\r\nContent-Type: image/png; name=x.png\r\nContent-Disposition: attachment; filename=x.png\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(content * 50)
    )
    mail = (
        b"From: a@b.test\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=q\r\n\r\n"
        + part
        + b"--q--\r\n"
    )
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", "/checkv2", mail)
        told = json.loads(connection.getresponse().read())
    return {name: symbol["options"] for name, symbol in told["symbols"].items()}
