"""Programs and libraries that speak to clamd or to ICAP servers today, unchanged, against these servers."""

from __future__ import annotations

import io
import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes import FAKE, FakeScreen, Running, answer, clamd, icap, serving

from assay.serve.exchange import Edition
from assay.serve.testfiles import eicar
from assay.types import Action

Program = Callable[..., subprocess.CompletedProcess[str]]
LINE = "Synthetic.Image.P87 FOUND"


def program(name: str, package: str) -> Program:
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed (Debian: {package})")

    def start(*arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [found, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False, **options
        )

    return start


@pytest.fixture
def media(tmp_path: Path) -> Path:
    media = tmp_path / "media"
    media.mkdir()
    (media / "good.png").write_bytes(b"good")
    (media / "fake.png").write_bytes(b"fake")
    return media


@pytest.fixture
def run(media: Path) -> Iterator[Running]:
    async def reload() -> None: ...

    screen = FakeScreen({b"fake": FAKE, b"held": answer(Action.HOLD)})
    server = clamd(
        screen, stream_bytes=100_000, roots=(str(media),), reload=reload, edition=Edition(serial=4711)
    )
    with serving(server, media.parent / "clamd.sock") as run:
        yield run
        assert server.counters.faults == 0


class TestPipClamd:
    @pytest.fixture(params=["tcp", "unix"])
    def client(self, run: Running, request: pytest.FixtureRequest):
        library = pytest.importorskip("clamd", reason="pip's clamd is not installed")
        if request.param == "tcp":
            return library.ClamdNetworkSocket("127.0.0.1", run.port, timeout=10)
        return library.ClamdUnixSocket(str(run.path), timeout=10)

    def test_it_is_told_what_it_asks(self, client):
        assert client.ping() == "PONG"
        assert client.version().split("/")[1] == "4711"
        assert client.stats().endswith("END\n")
        assert client.reload() == "RELOADING"
        client.shutdown()
        assert client.ping() == "PONG"

    def test_it_screens_a_stream(self, client):
        assert client.instream(io.BytesIO(b"good" * 5000)) == {"stream": ("OK", None)}
        assert client.instream(io.BytesIO(b"fake")) == {"stream": ("FOUND", "Synthetic.Image.P87")}
        assert client.instream(io.BytesIO(b"held")) == {"stream": ("FOUND", "Heuristics.Assay.Pending")}
        assert client.instream(io.BytesIO(eicar())) == {"stream": ("FOUND", "Eicar-Test-Signature")}

    def test_it_reads_that_a_stream_is_too_long(self, client):
        import clamd as library

        with pytest.raises(library.BufferTooLongError):
            client.instream(io.BytesIO(b"x" * 500_000))

    def test_it_scans_files_where_that_is_on(self, client, media):
        found = client.multiscan(str(media))
        if hasattr(client, "unix_socket"):
            assert found == {f"{media}/fake.png": ("FOUND", "Synthetic.Image.P87")}
            assert client.scan(f"{media}/good.png") == {f"{media}/good.png": ("OK", None)}
            assert client.contscan("/etc/passwd")["/etc/passwd"] == ("ERROR", "Access denied.")
        else:
            assert found[str(media)][0] == "ERROR"


@pytest.mark.slow
class TestClamdscan:
    @pytest.fixture(params=["tcp", "unix"])
    def clamdscan(self, run: Running, request: pytest.FixtureRequest) -> Program:
        start = program("clamdscan", "clamdscan")
        told = (
            f"LocalSocket {run.path}\n"
            if request.param == "unix"
            else f"TCPAddr 127.0.0.1\nTCPSocket {run.port}\n"
        )
        conf = run.path.parent / "clamd.conf"
        conf.write_text(told)
        return lambda *arguments, **options: start(f"--config-file={conf}", *arguments, **options)

    def test_it_is_told_what_it_asks(self, clamdscan):
        assert "/4711/" in clamdscan("--version").stdout
        assert clamdscan("--ping", "2").stdout.strip() == "PONG"
        assert clamdscan("--reload").returncode == 0

    def test_it_screens_what_it_sends(self, clamdscan, media):
        told = clamdscan("--stream", media)
        assert (told.returncode, told.stdout.splitlines()[0]) == (1, f"{media}/fake.png: {LINE}")
        assert clamdscan("--stream", media / "good.png").returncode == 0
        told = clamdscan("-", input="fake")
        assert (told.returncode, told.stdout.splitlines()[0]) == (1, f"stream: {LINE}")

    @pytest.mark.parametrize("option", ["--fdpass", "--multiscan", "--allmatch", "--no-summary"])
    def test_it_hands_over_descriptors_and_paths(self, run, clamdscan, media, option):
        told = clamdscan(option, media)
        if "LocalSocket" in (run.path.parent / "clamd.conf").read_text():
            assert (told.returncode, told.stdout.splitlines()[0]) == (1, f"{media}/fake.png: {LINE}")
        else:
            assert told.returncode == 2
            assert run.server.counters.actions == {}


@pytest.mark.slow
class TestCIcapClient:
    @pytest.fixture
    def ask(self, media: Path) -> Iterator[Program]:
        start = program("c-icap-client", "c-icap")
        screen = FakeScreen({b"fake": FAKE, b"marked": answer(Action.LABEL)})
        (media / "marked.png").write_bytes(b"marked")
        (media / "large.png").write_bytes(b"x" * 300_000)
        server = icap(screen, body_bytes=100_000)
        with serving(server) as run:

            def ask(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
                where = ("-i", "127.0.0.1", "-p", str(run.port), "-v", "-o", media / "out")
                (media / "out").unlink(missing_ok=True)  # it does not overwrite
                sample = ("-s", "scan", "-f", media / name) if name else ("-s", "respmod")
                return start(*where, *sample, *arguments)

            yield ask
            assert server.counters.faults == server.counters.protocol_errors == 0

    def test_it_is_told_what_the_server_can(self, ask):
        assert "Preview: 4096" in ask("").stderr

    @pytest.mark.parametrize(
        "how", [(), ("-nopreview",), ("-no204",), ("-w", "2"), ("-noreshdr",), ("-req", "http://x/")]
    )
    def test_it_lets_through_and_keeps_back(self, ask, media, how):
        resp = () if "-req" in how else ("-resp", "http://example.test/")
        assert "No modification needed" in ask("good.png", *resp, *how).stderr
        assert "403 Forbidden" in ask("fake.png", *resp, *how).stderr
        assert b"Put into quarantine" in (media / "out").read_bytes()

    def test_it_gets_the_message_back_where_it_must(self, ask, media):
        assert "X-Assay-Verdict: label" in ask("marked.png", "-resp", "http://x/").stderr
        assert (media / "out").read_bytes() == b"marked"
        told = ask("good.png", "-resp", "http://x/", "-nopreview", "-no204").stderr
        assert "ICAP/1.0 200 OK" in told
        assert (media / "out").read_bytes() == b"good"
        assert "reason=over-limit" in ask("large.png", "-resp", "http://x/").stderr
        assert (media / "out").read_bytes() == b"x" * 300_000


SCRIPT = """
const NodeClam = require('clamscan');
const {Readable} = require('stream');
const [, port, socket, folder] = process.argv;
(async () => {
  for (const where of [{host: '127.0.0.1', port: +port, socket: false}, {socket}]) {
    const clam = await new NodeClam().init({
      clamscan: {active: false}, preference: 'clamdscan',
      clamdscan: {...where, timeout: 10000, localFallback: false, path: null, active: true},
    });
    const stream = await clam.scanStream(Readable.from([Buffer.from('fa'), Buffer.from('ke')]));
    const files = await clam.scanDir(folder);
    console.log(JSON.stringify([await clam.getVersion(), stream.viruses, files.badFiles, files.goodFiles]));
  }
})().catch(error => { console.error(error); process.exit(1); });
"""


@pytest.mark.slow
def test_npm_clamscan_screens_streams_and_folders(run, media):
    node = program("node", "nodejs")
    if node("-e", "require.resolve('clamscan')").returncode:
        pytest.skip("npm's clamscan is not installed, or NODE_PATH does not lead to it")
    told = node("-e", SCRIPT, "--", str(run.port), run.path, media)
    assert told.returncode == 0, told.stderr
    for line in told.stdout.splitlines():
        version, viruses, bad, good = json.loads(line)
        assert "/4711/" in version
        assert viruses == ["Synthetic.Image.P87"]
        assert (bad, good) == ([f"{media}/fake.png"], [f"{media}/good.png"])
    assert len(told.stdout.splitlines()) == 2


C_ICAP = """
PidFile {here}/pid
CommandsSocket {here}/control
Port 127.0.0.1:{port}
StartServers 1
MaxServers 1
ThreadsPerChild 4
TmpDir {here}
ServerLog {here}/server.log
AccessLog {here}/access.log
ModulesDir {modules}
ServicesDir {modules}
TemplateDir {templates}
TemplateDefaultLanguage en
LoadMagicFile {magic}
Service antivirus_module virus_scan.so
ServiceAlias avscan virus_scan?allow204=on&sizelimit=off&mode=simple
virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE
Module common clamd_mod.so
clamd_mod.ClamdSocket {clamd}
virus_scan.DefaultEngine clamd
"""


@pytest.mark.slow
def test_c_icap_asks_for_its_own_clients(run, tmp_path):
    ask = program("c-icap-client", "c-icap")
    server = shutil.which("c-icap")
    assert server
    root = Path(server).parents[1]
    modules = next((m.parent for m in root.glob("lib/*/c_icap/clamd_mod.so")), None)
    if modules is None:
        pytest.skip("c-icap's clamd_mod is not installed (Debian: libc-icap-mod-virus-scan)")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    conf = tmp_path / "c-icap.conf"
    magic = root.parent / "etc" / "c-icap" / "c-icap.magic"
    told = {"here": tmp_path, "port": port, "modules": modules, "magic": magic, "clamd": run.path}
    conf.write_text(C_ICAP.format(**told, templates=f"{root}/share/c_icap/templates/"))
    with subprocess.Popen([server, "-N", "-f", str(conf)], stdout=subprocess.DEVNULL) as process:
        try:
            where = ("-i", "127.0.0.1", "-p", str(port), "-s", "avscan", "-resp", "http://x/", "-v")
            sample = tmp_path / "text.txt"
            assert run.until(
                lambda: ask(*where).returncode == 0 and run.server.counters.commands["VERSION"] > 0
            )
            for start, said in (("good", "No modification needed"), ("fake", "Threat=Synthetic.Image.P87;")):
                sample.write_text(f"{start} words in a text\n" * 20)
                assert said in ask(*where, "-f", sample, "-o", tmp_path / f"{start}.out").stderr
        finally:
            process.terminate()
    assert run.server.counters.commands["FILDES"] == 2
