from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

import pytest
from fakes import FakeScreen, all_of, clamd, serving

from assay.errors import ConfigError
from assay.serve.addresses import listening_tcp, listening_unix, may_connect, networks


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_address_that_others_reach_needs_an_allow_list(host):
    with pytest.raises(ConfigError, match="no allow list"):
        listening_tcp(host, 0, ())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_needs_none(host):
    listening_tcp(host, 0, ()).close()


def test_with_an_allow_list_any_address_may_be_bound():
    listening_tcp("0.0.0.0", 0, networks(["192.0.2.0/24"])).close()


def test_an_allow_list_that_cannot_be_read_is_refused():
    with pytest.raises(ConfigError, match="allow list"):
        networks(["192.0.2.0/24", "everybody"])


@pytest.mark.parametrize(
    ("peer", "may"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.9", True),
        ("::ffff:192.0.2.9", True),
        ("198.51.100.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_only_who_is_listed_may_connect(peer, may):
    assert may_connect(peer, networks(["192.0.2.0/24"])) is may


def test_an_address_that_nobody_knows_or_that_is_taken_is_a_clear_error():
    with listening_tcp("127.0.0.1", 0, ()) as taken, pytest.raises(ConfigError, match="cannot be bound"):
        listening_tcp("127.0.0.1", taken.getsockname()[1], ())
    with pytest.raises(ConfigError, match="no address"):
        listening_tcp("no such host", 0, ())


class TestUnix:
    def test_the_socket_is_for_its_owner_and_group(self, tmp_path):
        listening_unix(str(tmp_path / "s"), 0o660).close()
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o660

    def test_a_socket_that_was_left_behind_is_replaced(self, tmp_path):
        listening_unix(str(tmp_path / "s"), 0o660).close()
        listening_unix(str(tmp_path / "s"), 0o660).close()

    def test_a_socket_at_which_somebody_answers_is_left_alone(self, tmp_path):
        with (
            listening_unix(str(tmp_path / "s"), 0o660),
            pytest.raises(ConfigError, match="another server answers"),
        ):
            listening_unix(str(tmp_path / "s"), 0o660)

    @pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("elsewhere")])
    def test_what_is_no_socket_is_left_alone(self, tmp_path, make):
        make(tmp_path / "s")
        with pytest.raises(ConfigError, match="is no socket"):
            listening_unix(str(tmp_path / "s"), 0o660)

    def test_a_folder_that_is_not_there_is_a_clear_error(self, tmp_path):
        with pytest.raises(ConfigError, match="cannot be made"):
            listening_unix(str(tmp_path / "none" / "s"), 0o660)

    def test_a_server_takes_its_socket_away_and_no_other(self, tmp_path):
        with serving(clamd(), tmp_path / "s"):
            assert (tmp_path / "s").exists()
        assert not (tmp_path / "s").exists()
        with serving(clamd(), tmp_path / "s") as run:
            os.unlink(tmp_path / "s")
            (tmp_path / "s").write_text("somebody else's")
            run.stop()
        assert (tmp_path / "s").read_text() == "somebody else's"

    def test_a_thousand_idle_connections_keep_within_the_limit_and_others_are_served(self, tmp_path):
        many = min(1000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 3)  # both ends are in this process
        with serving(clamd(FakeScreen(), most_connections=100), tmp_path / "s") as run:
            idle = []
            for number in range(many):
                idle.append(run.connect_unix())
                assert number % 100 or run.until(lambda: run.server.counters.connections == len(idle))
            assert run.until(lambda: run.server.counters.connections == many)
            assert run.server.counters.active <= 100
            for connection in idle:
                connection.close()
            assert run.until(lambda: run.server.counters.active == 0)
            with run.connect_unix() as connection:
                connection.sendall(b"nPING\n")
                assert all_of(connection) == b"PONG\n"
