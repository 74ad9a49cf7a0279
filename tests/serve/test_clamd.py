from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import FAKE, FOUND, HURRIED, FakeScreen, Running, all_of, answer, clamd, serving

from assay.serve.clamd_commands import PLAIN, verdict_words
from assay.serve.exchange import Edition, Gap, held
from assay.serve.testfiles import eicar
from assay.signatures import testfile
from assay.types import Action


@pytest.fixture
def screen() -> FakeScreen:
    return FakeScreen({b"fake": FAKE})


@pytest.fixture
def run(screen: FakeScreen, tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "media").mkdir(exist_ok=True)
    server = clamd(screen, stream_bytes=100_000, roots=(str(tmp_path / "media"),))
    with serving(server, tmp_path / "clamd.sock") as run:
        yield run
        assert server.counters.faults == 0


def asked(run: Running, data: bytes) -> bytes:
    with run.connect() as connection:
        connection.sendall(data)
        return all_of(connection)


def asked_unix(run: Running, data: bytes) -> bytes:
    with run.connect_unix() as connection:
        connection.sendall(data)
        return all_of(connection)


def stream(*chunks: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(c)) + c for c in (*chunks, b""))


def passed(
    run: Running, descriptor: int, command: bytes = b"zFILDES\0", *, with_command: bool = False
) -> bytes:
    with run.connect_unix() as connection:
        if not with_command:
            connection.sendall(command)
        socket.send_fds(connection, [command + b"\0" if with_command else b"\0"], [descriptor])
        return all_of(connection)


class TestForms:
    @pytest.mark.parametrize(
        ("sent", "reply"),
        [(b"zPING\0", b"PONG\0"), (b"nPING\n", b"PONG\n"), (b"PING\n", b"PONG\n"), (b"nPING\r\n", b"PONG\n")],
    )
    def test_a_reply_ends_as_its_command_does(self, run, sent, reply):
        assert asked(run, sent) == reply

    def test_an_old_client_sends_a_command_without_any_end(self, run):
        assert asked(run, b"PING") == b"PONG\n"

    def test_a_command_may_arrive_byte_by_byte(self, run):
        with run.connect() as connection:
            for byte in b"nVERSIONCOMMANDS\n":
                connection.sendall(bytes([byte]))
            assert b"COMMANDS: PING" in all_of(connection)

    def test_a_client_that_ends_its_half_is_answered(self, run):
        with run.connect() as connection:
            connection.sendall(b"PING")
            connection.shutdown(socket.SHUT_WR)
            assert all_of(connection) == b"PONG\n"

    @pytest.mark.parametrize(
        "sent",
        [
            b"nNOSUCH\n",
            b"n\n",
            b"nping\n",
            b"nPING now\n",
            b"nSCAN\n",
            b"nEND\n",
            b"zPINGER\0",
            b"\xff\xfe\n",
            b"\n",
        ],
    )
    def test_what_is_no_command_is_said_to_be_unknown(self, run, sent):
        assert asked(run, sent).rstrip(b"\0\n") == b"UNKNOWN COMMAND"
        assert asked(run, b"nPING\n") == b"PONG\n"

    def test_a_command_without_end_is_unknown_and_its_sender_reads_the_reply(self, run):
        assert asked(run, b"n" + b"A" * 100_000) == b"UNKNOWN COMMAND\n"


class TestTelling:
    def test_version_carries_the_serial_in_a_form_that_c_icap_reads(self, screen):
        with serving(clamd(screen, edition=Edition(serial=4711))) as run:
            version = asked(run, b"zVERSION\0").rstrip(b"\0").decode()
        name, serial, when = version.split("/")
        assert name.startswith("ClamAV 1.")
        assert serial == "4711"
        assert when == "Thu Jan  1 00:00:00 2026"

    def test_versioncommands_lists_every_command(self, run):
        told = asked(run, b"nVERSIONCOMMANDS\n").decode().partition("| COMMANDS: ")[2].split()
        assert set(PLAIN) < set(told)

    def test_stats_end_with_end(self, run):
        lines = asked(run, b"nSTATS\n").decode().splitlines()
        assert lines[0].startswith("POOLS:")
        assert lines[-1] == "END"

    def test_shutdown_is_refused(self, run):
        assert asked(run, b"nSHUTDOWN\n") == b"SHUTDOWN is not available. ERROR\n"
        assert asked(run, b"nPING\n") == b"PONG\n"

    def test_reload_is_refused_where_nothing_can_be_reloaded(self, run):
        assert asked(run, b"nRELOAD\n") == b"RELOAD is not available. ERROR\n"

    def test_reload_answers_and_reloads(self):
        reloads = []

        async def reload() -> None:
            reloads.append(1)

        with serving(clamd(reload=reload)) as run:
            assert asked(run, b"zRELOAD\0") == b"RELOADING\0"
            assert run.until(lambda: len(reloads) == 1)

    def test_a_reload_that_fails_leaves_the_server_alive(self):
        async def reload() -> None:
            raise ValueError("no pack")

        with serving(clamd(reload=reload)) as run:
            assert asked(run, b"nRELOAD\n") == b"RELOADING\n"
            assert asked(run, b"nPING\n") == b"PONG\n"


class TestStream:
    def test_what_is_delivered_is_ok(self, run, screen):
        assert asked(run, b"zINSTREAM\0" + stream(b"hello ", b"world")) == b"stream: OK\0"
        assert screen.contents == [b"hello world"]
        assert screen.seen[0][1].size == 11

    def test_a_fake_is_found_by_name(self, run):
        assert asked(run, b"nINSTREAM\n" + stream(b"fa", b"ke")) == b"stream: " + FOUND + b"\n"

    def test_the_screen_cannot_change_the_sample(self, run, screen):
        asked(run, b"nINSTREAM\n" + stream(b"hello"))
        assert not screen.written

    def test_an_empty_stream_is_screened_too(self, run, screen):
        assert asked(run, b"nINSTREAM\n" + stream()) == b"stream: OK\n"
        assert screen.contents == [b""]

    @pytest.mark.parametrize("length", [100_001, 0xFFFFFFFF])
    def test_an_oversize_stream_is_answered_then_drained(self, run, screen, length):
        with run.connect() as connection:
            connection.sendall(b"zINSTREAM\0" + struct.pack(">I", 6) + b"before" + struct.pack(">I", length))
            assert connection.recv(100) == b"INSTREAM size limit exceeded. ERROR\0"
            for _ in range(40):  # a server that closed early would reset this
                connection.sendall(b"x" * 100_000)
        assert run.until(lambda: run.server.counters.active == 0)
        assert screen.seen == []
        assert run.server.counters.over_size == 1

    def test_a_stream_over_the_limit_in_many_small_chunks_is_refused(self, run):
        with run.connect() as connection:
            connection.sendall(b"zINSTREAM\0" + stream(*[b"y" * 1000] * 150))
            assert all_of(connection) == b"INSTREAM size limit exceeded. ERROR\0"

    def test_a_session_goes_on_after_an_oversize_stream(self, run):
        oversize = b"zINSTREAM\0" + stream(b"x" * 60_000, b"x" * 60_000)
        with run.connect() as connection:
            connection.sendall(b"zIDSESSION\0" + oversize + b"zPING\0zEND\0")
            assert all_of(connection) == b"1: INSTREAM size limit exceeded. ERROR\0" + b"2: PONG\0"

    def test_a_chunk_that_promises_more_than_comes_is_no_sample(self, run, screen):
        with run.connect() as connection:
            connection.sendall(b"nINSTREAM\n" + struct.pack(">I", 500) + b"little")
            connection.shutdown(socket.SHUT_WR)
            assert all_of(connection) == b"INSTREAM ended before its last chunk. ERROR\n"
        assert screen.seen == []

    def test_a_full_disk_is_an_error_that_a_client_can_read(self, screen, tmp_path):
        with serving(clamd(screen, spool=str(tmp_path / "nowhere"))) as run:
            assert asked(run, b"nINSTREAM\n" + stream(b"x")) == b"Error writing to temporary file. ERROR\n"
            assert asked(run, b"nPING\n") == b"PONG\n"

    def test_eicar_is_found_whatever_the_screen_says(self, run):
        assert len(eicar()) == 68
        for padding in (b"", b"\n", b" \r\n\x1a"):
            reply = asked(run, b"nINSTREAM\n" + stream(eicar() + padding))
            assert reply == b"stream: Eicar-Test-Signature FOUND\n"
        assert asked(run, b"nINSTREAM\n" + stream(b"not " + eicar())) == b"stream: OK\n"

    def test_the_test_file_of_assay_is_found(self, run):
        assert asked(run, b"nINSTREAM\n" + stream(testfile.content())) == b"stream: Assay.Test.File FOUND\n"


TABLE = (
    (answer(Action.DELIVER), "OK", "OK"),
    (answer(Action.LABEL), "OK", "OK"),
    (answer(Action.QUARANTINE), "Synthetic.Image.P87 FOUND", "Synthetic.Image.P87 FOUND"),
    (answer(Action.REJECT), "Synthetic.Image.P87 FOUND", "Synthetic.Image.P87 FOUND"),
    (answer(Action.HOLD), "Heuristics.Assay.Pending FOUND", "Heuristics.Assay.Pending ERROR"),
    (held(Gap.PENDING, ""), "Heuristics.Assay.Pending FOUND", "Heuristics.Assay.Pending ERROR"),
    (held(Gap.FAULT, ""), "Heuristics.Assay.Pending FOUND", "Heuristics.Assay.Pending ERROR"),
    (answer(Action.LABEL, Gap.OVER_LIMIT), "OK", "OK"),
    *(
        (answer(action, gap, media="archive"), f"{name} FOUND", f"{name} FOUND")
        for action in (Action.HOLD, Action.QUARANTINE, Action.REJECT)
        for gap, name in (
            (Gap.OVER_LIMIT, "Heuristics.Limits.Exceeded"),
            (Gap.ENCRYPTED, "Heuristics.Encrypted.Archive"),
            (Gap.UNDECODABLE, "Heuristics.Assay.Undecodable"),
            (Gap.UNSUPPORTED, "Heuristics.Assay.Unsupported"),
            (Gap.PARTIAL, "Heuristics.Assay.Partial"),
        )
    ),
)


class TestActions:
    @pytest.mark.parametrize(("given", "words", "with_error"), TABLE)
    def test_every_action_has_its_words(self, given, words, with_error):
        assert verdict_words(given) == words
        assert verdict_words(given, hold_is_error=True) == with_error

    def test_a_screen_that_takes_too_long_is_pending(self):
        screen = FakeScreen({b"slow": 60.0})
        with serving(clamd(screen, budget_s=0.05)) as run:
            assert asked(run, b"nINSTREAM\n" + stream(b"slow")) == b"stream: Heuristics.Assay.Pending FOUND\n"
        with serving(clamd(screen, budget_s=0.05, hold_is_error=True)) as run:
            assert asked(run, b"nINSTREAM\n" + stream(b"slow")) == b"stream: Heuristics.Assay.Pending ERROR\n"

    def test_a_screen_that_fails_holds_the_sample(self):
        with serving(clamd(FakeScreen({b"bad": KeyError("a bug")}))) as run:
            assert asked(run, b"nINSTREAM\n" + stream(b"bad")) == b"stream: Heuristics.Assay.Pending FOUND\n"
            assert run.server.counters.faults == 1
            assert run.server.counters.gaps == {"fault": 1}

    def test_answers_are_counted_and_logged_without_names(self, run, caplog):
        caplog.set_level("INFO", "assay.serve")
        asked(run, b"nINSTREAM\n" + stream(b"fake"))
        assert run.server.counters.actions == {"quarantine": 1}
        assert "quarantine rule=a_rule gap=none sha256=" in caplog.text


class TestDescriptor:
    def test_a_descriptor_that_stands_at_its_end_is_read_from_its_start(self, run, screen, tmp_path):
        with (tmp_path / "sample").open("w+b") as file:
            file.write(b"fake and more")
            file.flush()
            assert passed(run, file.fileno()) == b"fd: " + FOUND + b"\0"
            assert file.tell() == 13  # the client's own position is left alone
        assert screen.contents == [b"fake and more"]

    def test_the_descriptor_may_come_with_the_command(self, run, tmp_path):
        (tmp_path / "sample").write_bytes(b"fake")
        with (tmp_path / "sample").open("rb") as file:
            assert passed(run, file.fileno(), b"nFILDES\n", with_command=True) == b"fd: " + FOUND + b"\n"

    def test_a_command_without_a_descriptor_is_an_error(self, run):
        assert asked_unix(run, b"nFILDES\n\0") == b"No file descriptor received. ERROR\n"
        assert asked(run, b"nFILDES\n\0") == b"No file descriptor received. ERROR\n"
        run.server.counters.protocol_errors = 0

    def test_a_pipe_is_no_sample(self, run):
        reader, writer = os.pipe()
        try:
            assert passed(run, reader) == b"fd: this is not a regular file. ERROR\0"
        finally:
            os.close(reader)
            os.close(writer)

    def test_a_descriptor_that_cannot_be_read_is_an_error(self, run, tmp_path):
        descriptor = os.open(tmp_path / "sample", os.O_WRONLY | os.O_CREAT)
        try:
            os.write(descriptor, b"x")
            assert passed(run, descriptor) == b"fd: it cannot be read: Bad file descriptor. ERROR\0"
        finally:
            os.close(descriptor)

    def test_an_oversize_file_follows_the_policy(self, run, screen, tmp_path):
        (tmp_path / "large").write_bytes(b"x" * 100_001)
        with (tmp_path / "large").open("rb") as file:
            assert passed(run, file.fileno()) == b"fd: OK\0"  # the fake policy labels it
        assert screen.seen[0][1].gap is Gap.OVER_LIMIT

    def test_descriptors_that_nobody_asked_for_are_closed(self, run, tmp_path):
        before = len(os.listdir("/proc/self/fd"))
        with (tmp_path / "x").open("w") as file, run.connect_unix() as connection:
            for _ in range(20):
                socket.send_fds(connection, [b"z"], [file.fileno()] * 3)
        assert run.until(lambda: run.server.counters.active == 0)
        assert run.until(lambda: len(os.listdir("/proc/self/fd")) <= before)  # the connection's own goes last


class TestSession:
    def test_replies_carry_the_number_of_their_command(self, run):
        sent = b"zIDSESSION\0zPING\0zINSTREAM\0" + stream(b"fake") + b"zVERSION\0zEND\0"
        replies = asked(run, sent).split(b"\0")
        assert b"1: PONG" in replies
        assert b"2: stream: " + FOUND in replies
        assert any(r.startswith(b"3: ClamAV") for r in replies)

    def test_a_slow_sample_does_not_hold_up_the_next(self, screen):
        screen.answers[b"slow"] = 0.3
        with serving(clamd(screen)) as run, run.connect() as connection:
            connection.sendall(b"nIDSESSION\nnINSTREAM\n" + stream(b"slow") + b"nPING\nnEND\n")
            assert all_of(connection) == b"2: PONG\n1: stream: OK\n"

    def test_more_samples_than_may_be_at_work_are_all_answered(self, screen):
        with serving(clamd(screen, session_jobs=2)) as run:
            sent = b"nIDSESSION\n" + (b"nINSTREAM\n" + stream(b"a")) * 20 + b"nEND\n"
            assert sorted(asked(run, sent).split()) == sorted(
                w for n in range(1, 21) for w in (f"{n}:".encode(), b"stream:", b"OK")
            )

    @pytest.mark.parametrize("sent", [b"nRELOAD\n", b"nCONTSCAN /x\n", b"nIDSESSION\n", b"PING\n"])
    def test_what_is_not_for_sessions_ends_them(self, run, sent):
        reply = asked(run, b"nIDSESSION\n" + sent)
        assert reply == b"1: Command invalid inside IDSESSION. ERROR\n"

    def test_descriptors_are_taken_in_their_order(self, run, tmp_path):
        with run.connect_unix() as connection:
            connection.sendall(b"zIDSESSION\0")
            for content in (b"fake", b"good"):
                (tmp_path / "sample").write_bytes(content)
                descriptor = os.open(tmp_path / "sample", os.O_RDONLY)
                connection.sendall(b"zFILDES\0")
                socket.send_fds(connection, [b"\0"], [descriptor])
                os.close(descriptor)
                assert connection.recv(100).endswith(b"FOUND\0" if content == b"fake" else b"OK\0")
            connection.sendall(b"zEND\0")
            assert all_of(connection) == b""

    def test_a_client_that_ends_its_half_gets_what_is_due(self, screen):
        screen.answers[b"slow"] = 0.2
        with serving(clamd(screen)) as run, run.connect() as connection:
            connection.sendall(b"nIDSESSION\nnINSTREAM\n" + stream(b"slow"))
            connection.shutdown(socket.SHUT_WR)
            assert all_of(connection) == b"1: stream: OK\n"


class TestPaths:
    @pytest.fixture(autouse=True)
    def media(self, tmp_path: Path) -> Path:
        media = tmp_path / "media"
        media.mkdir(exist_ok=True)
        (media / "good").write_bytes(b"good")
        (media / "sub").mkdir()
        (media / "sub" / "one").write_bytes(b"fake")
        (media / "sub" / "two").write_bytes(b"fake")
        (tmp_path / "secret").write_bytes(b"fake")
        (media / "link").symlink_to(tmp_path / "secret")
        (media / "way").symlink_to(tmp_path)
        os.mkfifo(media / "pipe")
        return media

    def test_a_file_is_scanned(self, run, media):
        assert asked_unix(run, b"nSCAN %b/good\n" % bytes(media)) == b"%b/good: OK\n" % bytes(media)
        assert asked_unix(run, b"nSCAN %b/sub/one\n" % bytes(media)) == b"%b/sub/one: %b\n" % (
            bytes(media),
            FOUND,
        )

    def test_scan_ends_at_the_first_find_and_the_others_go_on(self, run, media):
        line = b"%b/sub/%%b: %b\n" % (bytes(media), FOUND)
        for command in (b"CONTSCAN", b"MULTISCAN", b"ALLMATCHSCAN"):
            assert asked_unix(run, b"n%b %b\n" % (command, bytes(media))) == line % b"one" + line % b"two"
        assert asked_unix(run, b"nSCAN %b\n" % bytes(media)) == line % b"one"

    def test_a_clean_folder_is_ok_as_a_whole(self, run, media):
        (media / "sub" / "one").unlink()
        (media / "sub" / "two").unlink()
        assert asked_unix(run, b"nCONTSCAN %b/\n" % bytes(media)) == b"%b/: OK\n" % bytes(media)

    @pytest.mark.parametrize(
        "path",
        [
            "/etc/passwd",
            "{tmp}/secret",
            "{media}/../secret",
            "{media}/link",
            "{media}/way/secret",
            "{tmp}/mediaother",
        ],
    )
    def test_nothing_outside_of_the_roots_is_read(self, run, screen, media, tmp_path, path):
        (tmp_path / "mediaother").write_bytes(b"fake")
        path = path.format(media=media, tmp=tmp_path)
        assert asked_unix(run, f"nSCAN {path}\n".encode()) == f"{path}: Access denied. ERROR\n".encode()
        assert screen.seen == []

    def test_what_is_no_file_or_folder_is_an_error(self, run, media):
        for name, why in (("none", "No such file or directory."), ("pipe", "Not supported file type.")):
            reply = asked_unix(run, f"nSCAN {media}/{name}\n".encode())
            assert reply == f"{media}/{name}: {why} ERROR\n".encode()
        assert asked_unix(run, b"nSCAN media/good\n") == b"media/good: Not an absolute path. ERROR\n"

    def test_a_name_cannot_forge_a_reply(self, run, media):
        (media / "sub" / "x\n: OK").write_bytes(b"fake")
        reply = asked_unix(run, b"zCONTSCAN %b/sub\0" % bytes(media))
        assert b"x?: OK: " + FOUND in reply
        assert b"\n" not in reply

    def test_a_name_that_is_not_utf8_comes_back_as_it_is(self, run, media):
        (Path(os.fsdecode(bytes(media) + b"/sub/caf\xe9"))).write_bytes(b"fake")
        path = bytes(media) + b"/sub/caf\xe9"
        assert asked_unix(run, b"nSCAN " + path + b"\n") == path + b": " + FOUND + b"\n"

    def test_paths_are_off_on_tcp(self, run, screen, media):
        for command in (b"SCAN", b"CONTSCAN", b"MULTISCAN", b"ALLMATCHSCAN"):
            reply = asked(run, b"n%b %b/good\n" % (command, bytes(media)))
            assert reply == b"%b/good: %b is not available on this socket. ERROR\n" % (bytes(media), command)
        assert screen.seen == []

    def test_paths_are_off_without_roots(self, screen, media, tmp_path):
        with serving(clamd(screen), tmp_path / "other.sock") as run:
            reply = asked_unix(run, b"nSCAN %b/good\n" % bytes(media))
        assert reply == b"%b/good: SCAN is not available on this socket. ERROR\n" % bytes(media)

    def test_a_client_that_goes_away_in_the_middle_ends_the_scan(self, run, screen, media):
        screen.answers[b"fake"] = 0.2
        for number in range(30):
            (media / "sub" / f"n{number}").write_bytes(b"fake")
        with run.connect_unix() as connection:
            connection.sendall(b"nMULTISCAN %b\n" % bytes(media))
        run.stop(grace_s=0.05)
        assert len(screen.seen) < 33


class TestPatience:
    @pytest.fixture
    def hurried(self, screen: FakeScreen) -> Iterator[Running]:
        with serving(clamd(screen, patience=HURRIED, stream_bytes=1000)) as run:
            yield run

    def test_an_idle_client_is_sent_away(self, hurried):
        assert asked(hurried, b"") == b"COMMAND READ TIMED OUT\n"
        assert asked(hurried, b"nIDSESSION\n") == b"COMMAND READ TIMED OUT\n"

    def test_a_command_that_never_ends_times_out(self, hurried):
        assert asked(hurried, b"nPI") == b"COMMAND READ TIMED OUT\n"

    def test_a_stream_that_stalls_times_out(self, hurried):
        assert asked(hurried, b"nINSTREAM\n\0\0\0\5ab") == b"COMMAND READ TIMED OUT\n"

    def test_an_oversize_stream_is_not_drained_for_ever(self, hurried):
        reply = asked(hurried, b"nINSTREAM\n" + struct.pack(">I", 1 << 31) + b"abc")
        assert reply == b"INSTREAM size limit exceeded. ERROR\nCOMMAND READ TIMED OUT\n"

    def test_a_client_that_does_not_read_is_given_up(self, hurried):
        with hurried.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(0.2)
            connection.sendall(b"nIDSESSION\n")
            with pytest.raises(OSError):  # the server reads no further than it can answer
                for _ in range(10_000):
                    connection.sendall(b"nVERSIONCOMMANDS\n" * 1000)
        assert hurried.until(lambda: hurried.server.counters.active == 0)


class TestConnections:
    def test_connections_over_the_limit_are_told_so(self, screen):
        with serving(clamd(screen, most_connections=3)) as run:
            held_open = [run.connect() for _ in range(3)]
            assert run.until(lambda: run.server.counters.active == 3)
            with run.connect() as one_more:
                assert all_of(one_more) == b"Too many connections. ERROR\n"
            for connection in held_open:
                connection.close()
            assert run.until(lambda: run.server.counters.active == 0)
            assert asked(run, b"nPING\n") == b"PONG\n"
            assert run.server.counters.turned_away == 1

    def test_stopping_lets_what_is_under_way_finish(self, screen):
        screen.answers[b"slow"] = 0.3
        with serving(clamd(screen)) as run, run.connect() as idle, run.connect() as busy:
            busy.sendall(b"nINSTREAM\n" + stream(b"slow"))
            assert run.until(lambda: bool(screen.seen))
            run.stop(grace_s=5)
            assert all_of(busy) == b"stream: OK\n"
            assert all_of(idle) == b""

    def test_stopping_cuts_off_what_takes_too_long(self, screen):
        screen.answers[b"slow"] = 60.0
        with serving(clamd(screen, budget_s=60)) as run, run.connect() as busy:
            busy.sendall(b"nINSTREAM\n" + stream(b"slow"))
            assert run.until(lambda: bool(screen.seen))
            run.stop(grace_s=0.05)
            assert all_of(busy) == b""

    def test_a_reset_in_the_middle_of_a_stream_hurts_nobody(self, run):
        connection = run.connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(b"nINSTREAM\n\0\0\1\0abc")
        connection.close()
        assert run.until(lambda: run.server.counters.active == 0)
        assert asked(run, b"nPING\n") == b"PONG\n"
