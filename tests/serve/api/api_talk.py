"""What tests of the HTTP API say again and again."""

from __future__ import annotations

import socket

import httpx

FAKE = b"fake" + b"x" * 1000
FORM = {"error": {"code", "message", "hint"}}


def done(client: httpx.Client, content: bytes = FAKE, name: str = "") -> dict:
    """Hand one in and wait for its verdict."""
    answer = client.put(f"/v1/samples/{name}".rstrip("/"), content=content, params={"wait": 20})
    assert answer.status_code == 200, answer.text
    return answer.json()


def error_of(answer: httpx.Response) -> str:
    """The code of an error, which must have the one form."""
    assert answer.headers["content-type"] == "application/json", answer.text
    (error,) = (answer.json()["error"],)
    assert set(error) == {"code", "message", "hint"}
    assert error["message"]
    assert "Traceback" not in answer.text
    return error["code"]


def spoken(port: int, data: bytes, *, half: bool = False) -> bytes:
    """Send bytes as they are and read until the server ends the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.settimeout(20)
        connection.sendall(data)
        if half:
            connection.shutdown(socket.SHUT_WR)
        parts = []
        try:
            while part := connection.recv(1 << 16):
                parts.append(part)
        except ConnectionResetError:
            pass
        return b"".join(parts)
