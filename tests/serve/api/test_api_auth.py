"""Who may ask: keys, scopes, rates, quotas."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from api_talk import FAKE, done, error_of
from gateways import Gateway, gateway

from assay.store.keys import Keys

ROUTES = [
    ("POST", "/v1/samples"),
    ("GET", "/v1/packs/a-list"),
    ("PUT", "/v1/samples/a.jpg"),
    ("GET", "/v1/samples/abc"),
    ("GET", "/v1/samples/abc/result"),
    ("GET", "/v1/samples/abc/events"),
    ("GET", "/v1/samples/abc/pictures"),
    ("GET", "/v1/samples/abc/pictures/preview.jpg"),
    ("POST", "/v1/samples/abc/feedback"),
    ("GET", "/v1/digests/" + "0" * 64),
    ("GET", "/v1/history"),
    ("GET", "/v1/webhooks"),
    ("POST", "/v1/webhooks"),
    ("DELETE", "/v1/webhooks/wh_0123456789abcdef"),
    ("POST", "/v1/webhooks/wh_0123456789abcdef/test"),
    ("GET", "/metrics"),
    ("POST", "/api/files/aws-presigned"),
    ("POST", "/api/files/social"),
    ("GET", "/api/media/users/abc"),
    ("GET", "/api/v2/media/users/pages/0"),
    ("POST", "/api/v2/user-feedback"),
]
OPEN = {"/healthz", "/readyz", "/v1/openapi.json"}
SIGNED = {"/api/files/uploads/{request_id}", "/api/files/heatmaps/{sample_id}/{name}"}


def test_nothing_is_answered_without_a_key(gate: Gateway):
    stranger = gate.anybody()
    for method, path in ROUTES:
        answer = stranger.request(method, path)
        assert answer.status_code == 401, path
        assert error_of(answer) == "unauthorized"
        assert answer.headers["www-authenticate"] == "Bearer"


def test_the_list_above_names_every_route(gate: Gateway):
    paths = gate.anybody().get("/v1/openapi.json").json()["paths"]
    described = {(m.upper(), p) for p, methods in paths.items() if p not in OPEN | SIGNED for m in methods}
    assert len(described) == len(ROUTES) + 1, "PUT /v1/samples has no name and stands for one more"


@pytest.mark.parametrize(
    "header",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer assay_abcdefgh_" + "A" * 43},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
        {"X-API-KEY": "\u00e9".encode("latin-1")},
        {"X-API-KEY": ""},
    ],
)
def test_a_token_that_is_not_known_is_refused(gate: Gateway, header):
    answer = gate.anybody().get("/v1/history", headers=header)
    assert error_of(answer) == "unauthorized"


def test_a_token_with_another_secret_is_refused(gate: Gateway):
    token = gate.key()[1]
    forged = token[:-3] + ("AAA" if not token.endswith("AAA") else "BBB")
    assert gate.client(token=token).get("/v1/history").status_code == 200
    assert gate.client(token=forged).get("/v1/history").status_code == 401


def test_both_headers_are_understood_and_two_keys_are_not(gate: Gateway):
    token, other = gate.key()[1], gate.key()[1]
    bearer = {"Authorization": f"Bearer {token}"}
    assert gate.anybody().get("/v1/history", headers={"X-API-KEY": token}).status_code == 200
    assert gate.anybody().get("/v1/history", headers=bearer | {"X-API-KEY": token}).status_code == 200
    assert error_of(gate.anybody().get("/v1/history", headers=bearer | {"X-API-KEY": other})) == "two_keys"


def test_a_revoked_key_is_refused_from_that_moment_on(gate: Gateway):
    key, token = gate.key()
    client = gate.client(token=token)
    assert client.get("/v1/history").status_code == 200
    Keys(gate.stores.database).revoke(key.prefix, actor="ann", reason="lost")
    assert client.get("/v1/history").status_code == 401


def test_an_expired_key_is_refused(gate: Gateway):
    client = gate.client(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert client.get("/v1/history").status_code == 401


def test_each_route_asks_for_its_scope(gate: Gateway):
    assert error_of(gate.client("read").put("/v1/samples", content=FAKE)) == "forbidden"
    assert error_of(gate.client("submit").get("/v1/history")) == "forbidden"
    assert error_of(gate.client("read").get("/metrics")) == "forbidden"
    assert error_of(gate.client("read").get("/v1/webhooks")) == "forbidden"
    assert gate.client("metrics").get("/metrics").status_code == 200
    assert gate.client("admin").get("/v1/history").status_code == 200


def test_a_key_that_asks_too_often_is_told_when_to_come_back(gate: Gateway):
    client = gate.client(per_minute=2)
    assert [client.get("/v1/history").status_code for _ in range(2)] == [200, 200]
    refused = client.get("/v1/history")
    assert error_of(refused) == "rate_limited"
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert gate.client().get("/v1/history").status_code == 200, "other keys go on"


def test_wrong_tokens_are_slowed_down_and_right_ones_are_not(fresh: Gateway):
    stranger = fresh.client(token="wrong")
    codes = [stranger.get("/v1/history").status_code for _ in range(32)]
    assert codes.count(401) >= 30
    assert codes[-1] == 429
    assert fresh.client().get("/v1/history").status_code == 200


def test_a_quota_counts_samples_of_a_day(gate: Gateway):
    client = gate.client(per_day=1)
    done(client)
    refused = client.put("/v1/samples", content=b"another")
    assert error_of(refused) == "quota"
    assert refused.status_code == 429
    assert "retry-after" in refused.headers
    assert client.get("/v1/history").status_code == 200


def test_without_a_key_samples_are_taken_only_where_a_setting_says_so(tmp_path):
    with gateway(tmp_path, anonymous=True) as running:
        shown = done(running.anybody())
        assert running.anybody().get(shown["links"]["result"]).json()["label"] == "fake"
        assert running.anybody().get("/metrics").status_code == 403
        assert running.anybody().get("/v1/webhooks").status_code == 403
        assert running.client().get(shown["links"]["result"]).status_code == 404
        assert running.client(token="wrong").get("/v1/history").status_code == 401
