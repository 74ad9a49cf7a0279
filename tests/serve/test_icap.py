from __future__ import annotations

import contextlib
import gzip
import socket
import struct
import zlib
from collections.abc import Iterator

import pytest
from fakes import FAKE, HURRIED, FakeScreen, Running, answer, icap, serving
from icap_talk import GET, OK, Talk, chunks, reqmod, request, respmod

from assay.serve.exchange import Edition, Gap
from assay.serve.testfiles import eicar
from assay.types import Action

POST = b"POST /upload HTTP/1.1\r\nHost: example.test\r\n"
OPTIONS = b"OPTIONS icap://127.0.0.1/respmod ICAP/1.0\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
def screen() -> FakeScreen:
    return FakeScreen({b"fake": FAKE, b"marked": answer(Action.LABEL), b"held": answer(Action.HOLD)})


@pytest.fixture
def run(screen: FakeScreen) -> Iterator[Running]:
    with serving(icap(screen, body_bytes=100_000, decoded_bytes=50_000)) as run:
        yield run
        assert run.server.counters.faults == 0


@pytest.fixture
def talk(run: Running) -> Iterator[Talk]:
    with Talk(run.connect()) as talk:
        yield talk


class TestOptions:
    def test_options_tell_what_the_service_can(self, talk):
        told = talk.ask(OPTIONS)
        assert told.status == 200
        assert told.headers["Methods"] == "RESPMOD"
        assert told.headers["Allow"] == "204"
        assert told.headers["Preview"] == "4096"
        assert told.headers["Transfer-Preview"] == "*"
        assert told.headers["Max-Connections"] == "200"
        assert told.headers["Encapsulated"] == "null-body=0"

    @pytest.mark.parametrize(
        ("service", "methods"), [("reqmod", "REQMOD"), ("respmod", "RESPMOD"), ("scan", "REQMOD, RESPMOD")]
    )
    def test_each_service_has_its_methods(self, talk, service, methods):
        told = talk.ask(OPTIONS.replace(b"/respmod", b"/" + service.encode() + b"?x=y"))
        assert told.headers["Methods"] == methods

    def test_the_tag_changes_with_signatures_and_calibration(self):
        tags = set()
        for edition in (Edition(serial=1), Edition(serial=2), Edition(serial=2, calibration="new")):
            with serving(icap(edition=edition)) as run, Talk(run.connect()) as talk:
                tags.add(talk.ask(OPTIONS).headers["ISTag"])
        assert len(tags) == 3
        assert all(t.startswith('"') and t.endswith('"') and len(t) <= 34 for t in tags)

    def test_a_connection_serves_one_request_after_another(self, talk):
        for _ in range(3):
            assert talk.ask(OPTIONS).status == 200
        assert talk.ask(OPTIONS.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).status == 200
        assert talk.ended()

    def test_requests_may_follow_each_other_without_waiting(self, talk):
        talk.send((OPTIONS + respmod(allow=True) + chunks(b"good")) * 2)
        assert [talk.response().status for _ in range(4)] == [200, 204, 200, 204]


class TestResponses:
    def test_what_is_delivered_is_not_modified(self, talk, screen):
        told = talk.ask(respmod(allow=True) + chunks(b"go", b"od"))
        assert told.status == 204
        assert screen.contents == [b"good"]
        assert screen.seen[0][1].declared_type == "image/png"
        assert "X-Assay-Verdict" not in told.headers

    def test_without_allow_204_the_message_is_echoed(self, talk):
        told = talk.ask(respmod() + chunks(b"x" * 90_000))
        assert told.status == 200
        assert told.head == OK
        assert told.body == b"x" * 90_000

    def test_a_fake_is_replaced_by_a_page(self, talk):
        told = talk.ask(respmod(allow=True) + chunks(b"fake"))
        assert told.status == 200
        assert told.http_status == 403
        assert b"A machine made this picture." in told.body
        assert f"Content-Length: {len(told.body)}".encode() in told.head
        assert b"http" not in told.body  # nothing is fetched from elsewhere
        assert told.headers["X-Virus-ID"] == "Synthetic.Image.P87"
        assert told.headers["X-Infection-Found"] == "Type=0; Resolution=2; Threat=Synthetic.Image.P87;"

    def test_the_page_escapes_what_it_is_told(self, talk, screen):
        screen.answers[b"evil"] = answer(Action.REJECT, summary="<script>&", reference="<b>")
        told = talk.ask(respmod(allow=True) + chunks(b"evil"))
        assert b"&lt;script&gt;&amp;" in told.body
        assert b"<script>" not in told.body
        assert b"<b>" not in told.body

    def test_what_is_held_may_be_asked_for_again(self, talk):
        told = talk.ask(respmod(allow=True) + chunks(b"held"))
        assert told.http_status == 403
        assert b"Retry-After" in told.head
        assert told.headers["X-Virus-ID"] == "Heuristics.Assay.Pending"

    def test_a_label_is_put_on_the_message_and_on_the_answer(self, talk):
        told = talk.ask(respmod(allow=True) + chunks(b"marked"))
        assert told.status == 200
        assert told.body == b"marked"
        assert told.headers["X-Assay-Verdict"] == "label; rule=a_rule; name=Synthetic.Image.P87"
        assert b"HTTP/1.1 200 OK\r\nX-Assay-Verdict: label; rule=a_rule" in told.head

    def test_heads_made_to_be_slow_to_read_are_not(self, talk):
        slow = (
            b'HTTP/1.1 200 OK\r\nContent-Type: multipart/x; a="'
            + b";" * 50_000
            + b"\r\n"
            + b" \r\n" * 20_000
            + b"\r\n"
        )
        assert talk.ask(respmod(slow, allow=True) + chunks(b"good")).status == 200

    def test_a_label_that_somebody_else_wrote_is_taken_off(self, talk):
        forged = OK.replace(b"Content", b"x-assay-verdict: deliver\r\n folded\r\nContent")
        told = talk.ask(respmod(forged, allow=True) + chunks(b"good"))
        assert told.status == 200
        assert told.head == OK

    def test_a_message_without_a_body_passes(self, talk, screen):
        assert talk.ask(respmod(allow=True, body=False)).status == 204
        told = talk.ask(respmod(body=False))
        assert told.headers["Encapsulated"] == f"res-hdr=0, null-body={len(OK)}"
        assert screen.seen == []

    def test_a_message_without_http_heads_is_screened(self, talk):  # as rspamd sends it
        start = request("RESPMOD", "scan", "res-body=0", b"", allow=True)
        assert talk.ask(start + chunks(b"good")).status == 204
        told = talk.ask(start + chunks(b"fake"))
        assert told.status == 200
        assert told.headers["X-Virus-ID"] == "Synthetic.Image.P87"
        assert talk.ask(start + chunks(b"marked")).headers["X-Assay-Verdict"].startswith("label")
        assert talk.ask(request("RESPMOD", "scan", "res-body=0", b"") + chunks(b"good")).body == b"good"

    def test_a_part_of_something_is_not_screened_and_follows_the_policy(self, talk, screen):
        partial = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-9/20\r\n\r\n"
        told = talk.ask(respmod(partial, allow=True) + chunks(b"fake!"))
        assert screen.seen[0][1].gap is Gap.PARTIAL or told.http_status == 403
        screen.answers.clear()
        told = talk.ask(respmod(partial, allow=True) + chunks(b"fake!"))
        assert told.headers["X-Assay-Verdict"].endswith("reason=partial")
        assert told.body == b"fake!"

    @pytest.mark.parametrize(
        ("status", "content_range", "partial"),
        [
            ("206 Partial Content", "bytes 0-3/4", False),  # all of it, as video players get it
            ("206 Partial Content", "bytes 0-3/5", True),
            ("206 Partial Content", "bytes 1-4/5", True),
            ("206 Partial Content", "bytes 0-3/*", True),
            ("200 OK", "bytes 1-4/5", True),
            ("416 Range Not Satisfiable", "bytes */5", False),
        ],
    )
    def test_a_range_that_is_the_whole_is_screened(self, talk, screen, status, content_range, partial):
        head = f"HTTP/1.1 {status}\r\nContent-Range: {content_range}\r\n\r\n".encode()
        talk.ask(respmod(head, allow=True) + chunks(b"fake"))
        assert screen.seen[0][1].gap is (Gap.PARTIAL if partial else None)

    def test_eicar_is_blocked(self, talk):
        assert talk.ask(respmod(allow=True) + chunks(eicar())).http_status == 403

    def test_a_screen_that_fails_or_takes_too_long_blocks(self, screen):
        screen.answers |= {b"bad": ValueError("a bug"), b"slow": 60.0}
        with serving(icap(screen, budget_s=0.05)) as run, Talk(run.connect()) as talk:
            assert talk.ask(respmod(allow=True) + chunks(b"bad")).http_status == 403
            assert talk.ask(respmod(allow=True) + chunks(b"slow")).http_status == 403
            assert run.server.counters.gaps == {"fault": 1, "pending": 1}

    def test_a_full_disk_is_an_error_and_nothing_passes(self, screen, tmp_path):
        with serving(icap(screen, spool=str(tmp_path / "nowhere"))) as run, Talk(run.connect()) as talk:
            assert talk.ask(respmod(allow=True) + chunks(b"good")).status == 500


class TestChunks:
    def test_extensions_and_trailers_are_read_over(self, talk, screen):
        body = b'4;name="va;lue"\r\ngood\r\n00; last\r\nX-Trailer: 1\r\nAnother: 2\r\n\r\n'
        assert talk.ask(respmod(allow=True) + body).status == 204
        assert screen.contents == [b"good"]
        assert talk.ask(OPTIONS).status == 200

    @pytest.mark.parametrize(
        "body",
        [
            b"nonsense\r\n",
            b"-4\r\ngood\r\n",
            b"4\r\ngoodX\r\n0\r\n\r\n",
            b"\r\n",
            b"fffffffffffffffff\r\n",
            b"4;" + b"x" * 5000,
            b"0\r\n" + b"T: x\r\n" * 100,
        ],
    )
    def test_chunks_that_lie_are_refused(self, talk, run, screen, body):
        assert talk.ask(respmod(allow=True) + body).status == 400
        assert talk.ended()
        assert screen.seen == []
        with Talk(run.connect()) as again:
            assert again.ask(OPTIONS).status == 200


class TestPreview:
    def test_a_whole_body_in_the_preview_is_answered_at_once(self, talk, screen):
        told = talk.ask(respmod(preview=1024) + chunks(b"good", end=b"0; ieof\r\n\r\n"))
        assert told.status == 204  # allowed: the client still has all of it
        assert screen.contents == [b"good"]

    def test_the_rest_is_asked_for(self, talk, screen):
        assert talk.ask(respmod(preview=4, allow=True) + chunks(b"good")).status == 100
        assert talk.ask(chunks(b" and more")).status == 204
        assert screen.contents == [b"good and more"]

    def test_after_the_preview_204_needs_the_clients_leave(self, talk):
        assert talk.ask(respmod(preview=4) + chunks(b"good")).status == 100
        told = talk.ask(chunks(b" and more"))
        assert told.status == 200
        assert told.body == b"good and more"

    def test_an_empty_preview_is_gone_on_from(self, talk):
        assert talk.ask(respmod(preview=0, allow=True) + chunks()).status == 100
        assert talk.ask(chunks(b"fake")).http_status == 403

    @pytest.mark.parametrize("text", ["x", "-1", "99999999999", "70000"])
    def test_a_preview_of_impossible_size_is_refused(self, talk, text):
        assert talk.ask(respmod(more=f"Preview: {text}") + chunks(b"x")).status == 400

    def test_a_preview_longer_than_announced_is_refused(self, talk):
        assert talk.ask(respmod(preview=4) + chunks(b"longer")).status == 400

    @pytest.mark.parametrize(("action", "status"), [(Action.DELIVER, 204), (Action.REJECT, 200)])
    def test_a_body_announced_as_too_large_is_decided_on_by_its_preview(self, talk, screen, action, status):
        screen.answers[b"big"] = answer(action, Gap.OVER_LIMIT)
        head = OK.replace(b"\r\n\r\n", b"\r\nContent-Length: 100001\r\n\r\n")
        told = talk.ask(respmod(head, preview=3) + chunks(b"big"))
        assert told.status == status
        assert screen.seen[0][1].gap is Gap.OVER_LIMIT
        assert talk.ask(OPTIONS).status == 200


class TestOversize:
    def test_what_the_policy_passes_is_handed_through_unchanged(self, talk, screen):
        screen.answers[b"x"] = answer(Action.DELIVER, Gap.OVER_LIMIT)
        told = talk.ask(respmod(allow=True) + chunks(*[b"x" * 50_000] * 20))
        assert told.status == 200
        assert told.head == OK
        assert told.body == b"x" * 1_000_000
        assert screen.seen[0][1].gap is Gap.OVER_LIMIT
        assert screen.seen[0][1].size <= 100_000
        assert talk.ask(OPTIONS).status == 200

    def test_what_the_policy_labels_is_marked(self, talk):
        told = talk.ask(respmod(allow=True) + chunks(*[b"x" * 50_000] * 4))
        assert b"X-Assay-Verdict: label; rule=a_rule; name=Heuristics.Limits.Exceeded" in told.head
        assert told.body == b"x" * 200_000

    def test_what_the_policy_labels_is_marked_after_a_preview_too(self, talk):
        head = OK.replace(b"\r\n\r\n", b"\r\nContent-Length: 200000\r\n\r\n")
        assert talk.ask(respmod(head, preview=3, allow=True) + chunks(b"xxx")).status == 100
        told = talk.ask(chunks(b"x" * 199_997))
        assert told.body == b"x" * 200_000
        assert b"X-Assay-Verdict: label" in told.head

    def test_what_the_policy_blocks_is_answered_then_drained(self, talk, screen):
        screen.answers[b"x"] = answer(Action.REJECT, Gap.OVER_LIMIT)
        talk.send(respmod(allow=True) + chunks(*[b"x" * 50_000] * 3, end=b""))
        assert talk.response().http_status == 403
        for _ in range(20):
            talk.send(chunks(b"x" * 50_000, end=b""))
        talk.send(chunks())
        assert talk.ask(OPTIONS).status == 200

    def test_a_preview_over_the_limit_is_decided_on(self, screen):
        screen.answers[b"x"] = answer(Action.DELIVER, Gap.OVER_LIMIT)
        with serving(icap(screen, body_bytes=10)) as run, Talk(run.connect()) as talk:
            assert talk.ask(respmod(preview=100) + chunks(b"xxxxx", b"x" * 40)).status == 204
            told = talk.ask(respmod(preview=100) + chunks(b"yyyyy", b"y" * 40))
            assert told.status == 100
            assert talk.ask(chunks(b"end")).body == b"y" * 45 + b"end"


class TestRequests:
    def upload(self, *parts: bytes, boundary: bytes = b"XX", ending: bytes = b"\r\n") -> tuple[bytes, bytes]:
        head = POST + b"Content-Type: multipart/form-data; boundary=" + boundary + b"\r\n\r\n"
        lines = [b"--" + boundary + ending + part.replace(b"\r\n", ending) + ending for part in parts]
        return head, b"".join(lines) + b"--" + boundary + b"--" + ending

    def test_every_part_of_an_upload_is_screened(self, talk, screen):
        head, body = self.upload(
            b'Content-Disposition: form-data; name="title"\r\n\r\nhello',
            b'Content-Disposition: form-data; name="f"; filename="a b.png"\r\nContent-Type: image/png\r\n\r\nfake',
        )
        told = talk.ask(reqmod(head, allow=True) + chunks(body))
        assert told.http_status == 403
        assert sorted(screen.contents) == [b"fake", b"hello"]
        named = next(s for c, s in screen.seen if c == b"fake")
        assert (named.name, named.declared_type) == ("a b.png", "image/png")

    def test_a_clean_upload_passes(self, talk, screen):
        head, body = self.upload(b"\r\none", b"\r\ntwo", b"\r\n")
        assert talk.ask(reqmod(head, allow=True) + chunks(body)).status == 204
        assert sorted(screen.contents) == [b"one", b"two"]

    def test_a_labelled_upload_tells_the_server_behind(self, talk):
        head, body = self.upload(b"\r\nmarked")
        told = talk.ask(reqmod(head, allow=True) + chunks(body))
        assert told.head.startswith(b"POST /upload HTTP/1.1\r\nX-Assay-Verdict: label; ")
        assert told.body == body

    @pytest.mark.parametrize("ending", [b"\r\n", b"\n"])
    def test_line_ends_may_be_of_either_kind(self, talk, screen, ending):
        head, body = self.upload(b"\r\nfake", ending=ending)
        assert talk.ask(reqmod(head, allow=True) + chunks(body)).http_status == 403
        assert screen.contents == [b"fake"]

    def test_an_upload_that_breaks_off_is_screened_as_far_as_it_goes(self, talk, screen):
        head, _ = self.upload()
        assert talk.ask(reqmod(head, allow=True) + chunks(b"--XX\r\n\r\nfake")).http_status == 403

    @pytest.mark.parametrize("boundary", [b"XX", b"", b"Y" * 300, b'"; x="' + b"z;" * 5000])
    def test_an_upload_whose_parts_cannot_be_told_is_screened_as_a_whole_and_marked(self, talk, boundary):
        head, _ = self.upload(boundary=boundary)
        assert talk.ask(reqmod(head, allow=True) + chunks(b"fake")).http_status == 403
        told = talk.ask(reqmod(head, allow=True) + chunks(b"good"))
        assert told.headers["X-Assay-Verdict"].endswith("reason=undecodable")
        assert talk.ask(reqmod(head, allow=True) + chunks()).status == 204

    @pytest.mark.parametrize("text", [b"ZmFrZQ==", b"ZmFr\r\nZQ", b"Z m-F!rZQ=="])
    def test_a_part_in_base64_is_screened_as_what_it_stands_for(self, talk, screen, text):
        head, body = self.upload(b"Content-Transfer-Encoding: Base64\r\n\r\n" + text)
        assert talk.ask(reqmod(head, allow=True) + chunks(body)).http_status == 403
        assert screen.contents == [b"fake"]

    @pytest.mark.parametrize(
        "part", [b"X: " + b"y" * 20_000 + b"\r\n\r\nfake", b"Content-Transfer-Encoding: uu\r\n\r\nfake"]
    )
    def test_a_part_that_cannot_be_read_follows_the_policy(self, talk, screen, part):
        screen.answers.clear()
        head, body = self.upload(part)
        told = talk.ask(reqmod(head, allow=True) + chunks(body))
        assert told.headers["X-Assay-Verdict"].endswith("reason=undecodable")

    def test_many_parts_share_one_budget(self, screen):
        screen.answers[b"slow"] = 0.2
        head, body = self.upload(*[b"\r\nslow"] * 50)
        with serving(icap(screen, budget_s=0.3)) as run, Talk(run.connect()) as talk:
            assert talk.ask(reqmod(head, allow=True) + chunks(body)).http_status == 403
            assert run.server.counters.gaps["pending"] >= 30

    def test_too_many_parts_are_over_the_limit(self, talk, screen):
        head, body = self.upload(*[b"\r\nx"] * 120)
        told = talk.ask(reqmod(head, allow=True) + chunks(body))
        assert told.headers["X-Assay-Verdict"].endswith("reason=over-limit")

    def test_a_plain_upload_is_screened(self, talk):
        head = POST.replace(b"POST", b"PUT") + b"\r\n"
        assert talk.ask(reqmod(head, allow=True) + chunks(b"fake")).http_status == 403
        assert talk.ask(reqmod(head) + chunks(b"good")).head == head

    def test_a_request_without_a_body_passes(self, talk):
        assert talk.ask(reqmod(GET, allow=True, body=False)).status == 204
        assert talk.ask(reqmod(GET, body=False)).head == GET


class TestCodings:
    @staticmethod
    def coded(coding: str) -> bytes:
        return OK.replace(b"\r\n\r\n", f"\r\nContent-Encoding: {coding}\r\n\r\n".encode())

    @pytest.mark.parametrize(
        ("coding", "code"),
        [
            ("gzip", gzip.compress),
            ("x-gzip", gzip.compress),
            ("GZip", lambda data: gzip.compress(data[:2]) + gzip.compress(data[2:])),
            ("deflate", zlib.compress),
            ("deflate", lambda data: zlib.compress(data)[2:-4]),
            ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
            ("identity", bytes),
        ],
    )
    def test_codings_are_undone_for_the_screen_alone(self, talk, screen, coding, code):
        assert talk.ask(respmod(self.coded(coding), allow=True) + chunks(code(b"fake"))).http_status == 403
        sent = code(b"good")  # gzip notes the time
        assert talk.ask(respmod(self.coded(coding)) + chunks(sent)).body == sent
        assert screen.contents == [b"fake", b"good"]

    @pytest.mark.parametrize(
        ("coding", "body", "gap"),
        [
            ("br", b"fake", Gap.UNDECODABLE),
            ("gzip", b"fake", Gap.UNDECODABLE),
            ("gzip", gzip.compress(b"fake" * 100, mtime=0)[:20], Gap.UNDECODABLE),
            ("gzip, gzip, gzip, gzip", b"x", Gap.UNDECODABLE),
            ("gzip", gzip.compress(b"", mtime=0) * 1001, Gap.UNDECODABLE),
            ("gzip", gzip.compress(bytes(60_000), mtime=0), Gap.OVER_LIMIT),
        ],
    )
    def test_what_cannot_be_undone_follows_the_policy(self, talk, screen, coding, body, gap):
        screen.answers.clear()
        told = talk.ask(respmod(self.coded(coding), allow=True) + chunks(body))
        assert screen.seen[0][1].gap is gap
        assert told.headers["X-Assay-Verdict"].endswith(f"reason={gap}")
        assert told.body == body

    def test_an_empty_body_of_a_coding_is_nothing(self, talk, screen):
        assert talk.ask(respmod(self.coded("gzip"), allow=True) + chunks()).status == 204

    def test_an_upload_may_be_coded_as_well(self, talk, screen):
        head = POST + b"Content-Encoding: gzip\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
        body = gzip.compress(b"--b\r\n\r\nfake\r\n--b--")
        assert talk.ask(reqmod(head, allow=True) + chunks(body)).http_status == 403


class TestRefusals:
    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"\0\0\0\r\n\r\n", 400),
            (b"RESPMOD icap://x/respmod ICAP/2.0\r\n\r\n", 505),
            (b"FETCH icap://x/respmod ICAP/1.0\r\n\r\n", 501),
            (b"OPTIONS icap://x/nowhere ICAP/1.0\r\n\r\n", 404),
            (b"RESPMOD icap://x/respmod ICAP/1.0\r\n\r\n", 400),
            (request("REQMOD", "respmod", "null-body=0", b""), 405),
            (request("RESPMOD", "respmod", "res-hdr=0", b""), 400),
            (request("RESPMOD", "respmod", "res-body=0, res-hdr=5", b""), 400),
            (request("RESPMOD", "respmod", "req-hdr=0, res-body=x", b""), 400),
            (request("RESPMOD", "respmod", "res-hdr=5, res-body=9", b""), 400),
            (request("RESPMOD", "respmod", "req-hdr=0, res-hdr=9, res-body=9", b""), 400),
            (request("RESPMOD", "respmod", "res-hdr=0, res-body=999999", b""), 400),
            (request("REQMOD", "reqmod", "res-hdr=0, res-body=5", b""), 400),
            (request("OPTIONS", "reqmod", "opt-body=0", b""), 400),
            (b"OPTIONS " + b"x" * 20_000, 400),
            (b"OPTIONS icap://x/scan ICAP/1.0\r\n" + b"X: " + b"y" * 20_000, 400),
        ],
    )
    def test_what_cannot_be_served_has_its_status(self, run, sent, status):
        with Talk(run.connect()) as talk:
            told = talk.ask(sent)
            assert told.status == status
            assert told.headers["Connection"] == "close"
            assert talk.ended()
        with Talk(run.connect()) as talk:
            assert talk.ask(OPTIONS).status == 200

    def test_connections_over_the_limit_are_told_so(self, screen):
        with serving(icap(screen, most_connections=1)) as run, Talk(run.connect()) as first:
            assert first.ask(OPTIONS).headers["Max-Connections"] == "1"
            with Talk(run.connect()) as second:
                assert second.response().status == 503


class TestPatience:
    @pytest.fixture
    def hurried(self, screen: FakeScreen) -> Iterator[Running]:
        with serving(icap(screen, patience=HURRIED, body_bytes=1000)) as run:
            yield run

    def test_an_idle_connection_ends_in_silence(self, hurried):
        with Talk(hurried.connect()) as talk:
            assert talk.ask(OPTIONS).status == 200
            assert talk.ended()

    @pytest.mark.parametrize(
        "sent",
        [
            b"OPT",
            b"OPTIONS icap://x/scan ICAP/1.0\r\nHost: x\r\n",
            respmod()[:-5],
            respmod(),
            respmod() + b"5\r\nab",
            respmod(preview=2) + b"2\r\nab\r\n",
        ],
    )
    def test_a_request_that_stalls_times_out(self, hurried, sent):
        with Talk(hurried.connect()) as talk:
            assert talk.ask(sent).status == 408
            assert talk.ended()
        assert hurried.server.counters.timeouts == 1

    def test_one_byte_now_and_then_is_not_enough(self, hurried):
        with Talk(hurried.connect()) as talk:
            talk.send(respmod() + b"fff\r\n")

            def cut_off() -> bool:
                with contextlib.suppress(OSError):
                    talk.send(b"x")
                return hurried.server.counters.timeouts == 1

            assert hurried.until(cut_off)

    def test_an_oversize_body_that_is_blocked_is_not_drained_for_ever(self, hurried, screen):
        screen.answers[b"x"] = answer(Action.REJECT, Gap.OVER_LIMIT)
        with Talk(hurried.connect()) as talk:
            talk.send(respmod() + chunks(b"x" * 1000, b"x", end=b""))
            assert talk.response().http_status == 403
            assert talk.ended()


class TestHangingUp:
    @pytest.mark.parametrize("cut", [1, 30, 150, 200, 230, 250])
    def test_a_client_may_go_away_at_any_moment(self, run, cut):
        with Talk(run.connect()) as talk:
            talk.send((respmod(allow=True) + chunks(b"good" * 100))[:cut])
            talk.connection.shutdown(socket.SHUT_WR)
        connection = run.connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall((respmod() + chunks(b"good" * 100))[:cut])
        connection.close()
        assert run.until(lambda: run.server.counters.active == 0)

    def test_a_client_that_ends_its_half_is_answered(self, talk):
        talk.send(respmod() + chunks(b"fake"))
        talk.connection.shutdown(socket.SHUT_WR)
        assert talk.response().http_status == 403
        assert talk.ended()

    def test_stopping_lets_what_is_under_way_finish(self, screen):
        screen.answers[b"slow"] = 0.2
        with serving(icap(screen)) as run, Talk(run.connect()) as talk:
            talk.send(respmod(allow=True) + chunks(b"slow"))
            assert run.until(lambda: bool(screen.seen))
            run.stop(grace_s=5)
            assert talk.response().status == 204
            assert talk.ended()
