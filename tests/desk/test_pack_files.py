"""Packs as an installation has them: pulled, verified, on trial, in force, rolled back, passed on. Nothing half-done."""

from __future__ import annotations

import errno
import io
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from assay.desk import lists, packs
from assay.desk.pulling import pack_response, pull, sources
from assay.desk.signatures import Shelf, known, loaded
from assay.errors import AssayError, StoreError
from assay.signatures.entries import Digest, PackError, Signature
from assay.signatures.packs import new_key, write_pack
from assay.store.signatures import Signatures

PRIVATE, PUBLIC = new_key()
NOW = datetime.now(UTC)


def pack(serial: int = 1, *ids: str, private: bytes = PRIVATE, days: int = 30) -> bytes:
    out = io.BytesIO()
    listed = [Signature(i, "known_fake", Digest(i.encode().hex().ljust(64, "0"))) for i in ids or ("a",)]
    write_pack(
        listed, out, name="daily", serial=serial, issued_at=NOW - timedelta(hours=1),
        expires_at=NOW + timedelta(days=days), private=private,
    )  # fmt: skip
    return out.getvalue()


@pytest.fixture
def trusting(stores, settings):
    packs.trust(settings.paths.packs, PUBLIC.hex(), "the publisher")
    return stores


def installed(stores) -> list[tuple[int, str]]:
    return [(p.serial, p.state) for p in Signatures(stores.database).packs()]


@pytest.fixture
def server():
    """Serves what the test puts into `server.pages`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = pages.get(self.path, (404, b""))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", body.decode())
                body = b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    pages: dict[str, tuple[int, bytes]] = {}
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.pages = pages
        listening.url = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield listening
        listening.shutdown()
        thread.join()


def allowed(stores, **more):
    own = replace(stores.settings.signatures, inside=("127.0.0.0/8",), **more)
    return replace(stores, settings=replace(stores.settings, signatures=own))


def test_a_new_pack_starts_on_trial_and_counts_once_it_is_activated(trusting, settings, deed) -> None:
    issue = packs.install(trusting, io.BytesIO(pack()), deed)
    assert issue.changed
    assert installed(trusting) == [(1, "shadow")]
    digest = b"a".hex().ljust(64, "0")
    assert not loaded(trusting.database, settings).digest(digest).counts
    assert lists.restate(trusting, "daily", "active", deed)
    library = loaded(trusting.database, settings)
    assert library.digest(digest).counts
    assert library.serial == Signatures(trusting.database).edition()[0] == 2


def test_a_newer_issue_replaces_the_list_and_keeps_its_state(trusting, settings, deed) -> None:
    packs.install(trusting, io.BytesIO(pack(1, "a", "b")), deed)
    lists.restate(trusting, "daily", "active", deed)
    packs.install(trusting, io.BytesIO(pack(2, "b", "c")), deed)
    assert installed(trusting) == [(2, "active")]
    assert [k.signature.id for k in known(trusting.database, settings)] == ["b", "c"]


def test_a_roll_back_brings_the_older_issue_and_refuses_the_newer(trusting, settings, deed) -> None:
    packs.install(trusting, io.BytesIO(pack(1, "a")), deed)
    packs.install(trusting, io.BytesIO(pack(2, "b")), deed)
    assert packs.roll_back(trusting, "daily", deed).serial == 1
    assert [k.signature.id for k in known(trusting.database, settings)] == ["a"]
    with pytest.raises(PackError) as refused:
        packs.install(trusting, io.BytesIO(pack(2, "b")), deed)
    assert refused.value.code == "pack_older"
    packs.install(trusting, io.BytesIO(pack(3, "c")), deed)
    assert [k.signature.id for k in known(trusting.database, settings)] == ["c"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (pack(3)[:-20], "pack_truncated"),
        (pack(3).replace(b'"a"', b'"z"'), "pack_altered"),
        (pack(3, private=new_key()[0]), "pack_untrusted"),
        (pack(3).replace(b'"serial":3', b'"serial":9'), "pack_bad_signature"),
        (pack(1, "older"), "pack_older"),
        (b"<html>", "pack_truncated"),
    ],
)
def test_a_pack_that_is_not_good_changes_nothing(trusting, settings, deed, data: bytes, code: str) -> None:
    packs.install(trusting, io.BytesIO(pack(2, "a")), deed)
    before = sorted(p.name for p in settings.paths.packs.rglob("*"))
    with pytest.raises(PackError) as refused:
        packs.install(trusting, io.BytesIO(data), deed)
    assert refused.value.code == code
    assert installed(trusting) == [(2, "shadow")]
    assert sorted(p.name for p in settings.paths.packs.rglob("*")) == before


def test_a_full_disk_is_said_and_nothing_is_lost(trusting, settings, deed, monkeypatch) -> None:
    packs.install(trusting, io.BytesIO(pack(1, "a")), deed)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(packs.os, "fsync", full)
        with pytest.raises(StoreError) as told:
            packs.install(trusting, io.BytesIO(pack(2, "b")), deed)
    assert told.value.code == "store_full"
    assert [k.signature.id for k in known(trusting.database, settings)] == ["a"]


def test_an_installed_pack_that_was_altered_is_an_error_and_the_older_library_goes_on(
    trusting, settings, deed
) -> None:
    packs.install(trusting, io.BytesIO(pack(1, "a")), deed)
    told: list[str] = []
    shelf = Shelf(trusting.database, settings, background=False, tell=told.append)
    assert len(shelf.library()) == 1
    serial = shelf.library().serial
    packs.install(trusting, io.BytesIO(pack(2, "b")), deed)
    path = settings.paths.packs / "daily" / "2.pack"
    path.write_bytes(path.read_bytes().replace(b'"b"', b'"z"'))
    assert len(shelf.reload()) == 1
    assert "altered" in shelf.problem
    assert len(shelf.reload()) == 1
    assert told == [f"{shelf.problem} (serial {serial} stays in force)"], "once, however often it is looked"
    assert [good for _, _, good in lists.verified(trusting, None)] == [False]
    path.unlink()
    assert "cannot be read" in next(text for _, text, _ in lists.verified(trusting, None))


def test_a_change_is_taken_over_while_it_runs(trusting, settings, deed) -> None:
    eager = replace(settings, signatures=replace(settings.signatures, reload_s=0))
    shelf = Shelf(trusting.database, eager, background=False)
    assert (len(shelf.library()), shelf.edition()[0]) == (0, 0)
    packs.install(trusting, io.BytesIO(pack()), deed)
    assert (len(shelf.library()), shelf.edition()[0]) == (1, 1)


def test_a_pack_is_pulled_over_http(trusting, server, deed) -> None:
    stores = allowed(trusting)
    server.pages["/daily"] = (200, pack(4, "a", "b"))
    assert pull(stores, f"{server.url}/daily", deed).header.serial == 4
    assert sources(stores) == [("daily", f"{server.url}/daily")]
    assert not pull(stores, f"{server.url}/daily", deed).changed


def test_an_inside_address_is_refused_unless_it_is_allowed(trusting, server, deed) -> None:
    server.pages["/daily"] = (200, pack())
    with pytest.raises(AssayError) as refused:
        pull(trusting, f"{server.url}/daily", deed)
    assert refused.value.code == "inside"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((404, b"no"), "unreachable"),
        ((302, b"http://127.0.0.1:1/"), "unreachable"),
        ((200, b"x" * 5000), "pack_too_large"),
        ((200, b"<html>\n\n"), "pack_malformed"),
    ],
)
def test_what_is_no_pack_is_not_taken(trusting, server, deed, answer, code: str) -> None:
    server.pages["/daily"] = answer
    with pytest.raises(AssayError) as refused:
        pull(allowed(trusting, pack_bytes=4000), f"{server.url}/daily", deed)
    assert refused.value.code == code
    assert installed(trusting) == []


def test_a_pack_must_have_the_name_that_was_asked_for(trusting, server, deed) -> None:
    server.pages["/daily"] = (200, pack())
    with pytest.raises(PackError, match="daily, not weekly"):
        pull(allowed(trusting), f"{server.url}/daily", deed, name="weekly")


def test_an_installed_pack_is_passed_on_as_it_is(trusting, deed) -> None:
    packs.install(trusting, io.BytesIO(pack(7)), deed)
    answer = pack_response(trusting, "daily")
    assert (answer.status, answer.body.read_bytes()) == (200, pack(7))
    assert pack_response(trusting, "daily", answer.headers["ETag"]).status == 304
    assert pack_response(trusting, "../keys").status == 404
    lists.restate(trusting, "daily", "suspended", deed)
    assert pack_response(trusting, "daily").status == 404


def test_a_list_goes_out_as_a_pack_and_comes_back(trusting, settings, deed, tmp_path) -> None:
    named, public = lists.new_signing_key(tmp_path / "key")
    assert packs.trust(settings.paths.packs, public) == named
    codes = b"pdq " + b"0f" * 32 + b"\npdq nonsense\n"
    done = lists.bring_in(trusting, io.BytesIO(codes), "theirs", "threatexchange", "known_fake", deed)
    assert (done.taken, done.more) == (1, 1)
    out = tmp_path / "out.pack"
    assert lists.export(trusting, out, ["theirs"], "pack", key=tmp_path / "key", name="mine") == 0
    lists.restate(trusting, "theirs", "active", deed)
    assert lists.export(trusting, out, ["theirs"], "pack", key=tmp_path / "key", name="mine") == 1
    assert [good for _, _, good in lists.verified(trusting, out)] == [True]
    assert lists.form_of(out) == "pack"
    with out.open("rb") as file:
        assert packs.install(trusting, file, deed).header.name == "mine"
    assert lists.export(trusting, tmp_path / "o.csv", ["theirs"], "csv") == 1
    assert lists.remove(trusting, "theirs", deed)
    assert lists.remove(trusting, "mine", deed)
    assert list(known(trusting.database, settings)) == []


def test_a_lost_database_leaves_the_library_that_there_was(trusting, settings, deed) -> None:
    packs.install(trusting, io.BytesIO(pack()), deed)
    shelf = Shelf(trusting.database, settings, background=False)
    assert len(shelf.library()) == 1
    trusting.database.close()
    settings.paths.database.write_bytes(b"no database at all" * 100)
    assert len(shelf.reload()) == 1
    assert "the database" in shelf.problem
