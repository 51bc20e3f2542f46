"""The service over HTTP: what its callers get, and what they are refused."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import httpx
import pytest
from live import Server

from freehold.core.machine import cores
from freehold.erasing import holds
from freehold.house import open_house

QUESTION = "Are leased traction batteries covered?"
PDF = Path(__file__).parents[2] / "src/freehold/demo/meridian/documents/en-homeguard-2025.pdf"


def test_a_search_has_what_the_command_line_has(server: Server):
    hits = server.found(QUESTION, k=2)
    assert hits[0]["rank"] == 1
    assert "leased rather than owned are not covered" in hits[0]["text"]
    assert hits[0]["source"].endswith("motor.txt")


def test_an_answer_cites_exact_spans(server: Server):
    answer = server.post("/v1/ask", {"question": QUESTION}).json()
    assert not answer["abstained"]
    citation = answer["citations"][0]
    text = server.get(f"/v1/documents/{citation['document_id']}/text").text
    assert text[citation["start"] : citation["end"]] == citation["quote"]
    assert answer["models"]["embedder"] == "all-minilm-l6-v2"


def test_a_streamed_answer_ends_with_the_checked_one(server: Server):
    whole = server.post("/v1/ask", {"question": QUESTION}).json()
    with server.client() as client, client.stream("POST", "/v1/ask", json={"question": QUESTION, "stream": True}) as r:
        assert r.headers["content-type"].startswith("text/event-stream")
        events = [block.split("\n") for block in r.read().decode().strip().split("\n\n")]
    assert {event[0] for event in events[:-1]} == {"event: text"}
    name, data = events[-1]
    assert name == "event: answer"
    assert json.loads(data.removeprefix("data: "))["text"] == whole["text"]


def test_what_is_not_in_the_documents_is_an_answer(server: Server):
    answer = server.post("/v1/ask", {"question": "Who won the chess championship in Reykjavik?"})
    assert answer.status_code == 200
    assert answer.json()["abstained"]


@pytest.mark.parametrize(
    ("path", "scope", "body"),
    [
        ("/v1/search", "ask", {"query": "x y"}),
        ("/v1/ask", "ask", {"question": "x y"}),
        ("/v1/chat/completions", "ask", {"messages": [{"role": "user", "content": "x"}]}),
        ("/v1/embeddings", "ask", {"model": "freehold", "input": "x"}),
        ("/v1/rerank", "ask", {"query": "x", "documents": ["y"]}),
        ("/v1/eval", "admin", {}),
        ("/v1/models/rollback", "admin", {}),
        ("/v1/models/retrain", "admin", {}),
        ("/v1/models", "admin", {"role": "adapter"}),
        ("/v1/erasure-requests", "dpo", {"subject": [{"kind": "name", "value": "Ilse Vogelsang"}]}),
    ],
)
def test_nothing_without_the_right_key(server: Server, path: str, scope: str, body: object):
    others = [other for other in ("ask", "ingest", "admin", "dpo") if other != scope and scope in {"admin", "dpo"}]
    assert httpx.post(server.url + path, json=body).status_code == 401
    assert server.post(path, body, key="fh_0000_wrong").status_code == 401
    for other in others:
        refused = server.post(path, body, key=server.key_for(other))
        assert (refused.status_code, refused.json()["code"]) == (403, "scope"), other


def test_a_revoked_key_opens_nothing_from_then_on(server: Server):
    from freehold.serving.keys import Keys

    made, secret = Keys(server.house).add("soon gone", ["ask"])
    assert server.post("/v1/search", {"query": "kilns"}, key=secret).status_code == 200
    Keys(server.house).revoke(made.id)
    assert server.post("/v1/search", {"query": "kilns"}, key=secret).status_code == 401


def test_errors_are_problem_details_with_a_next_step(server: Server):
    for body in ({"query": ""}, {"query": "kilns", "depth": 3}, {"query": "?!"}, {"query": "a " * 3000}, []):
        refused = server.post("/v1/search", body)
        problem = refused.json()
        assert refused.status_code == 422
        assert refused.headers["content-type"] == "application/problem+json"
        assert problem["instance"].endswith(refused.headers["x-request-id"])
        assert problem["hint"]
    assert server.get("/v1/documents/nothing/text").json()["code"] == "no_document"
    assert server.get("/v1/jobs/nothing").status_code == 404
    assert server.get("/nowhere").status_code == 404


def test_no_word_of_a_question_is_in_the_log(server: Server):
    server.found("whether zeppelins moor at the harbour")
    server.post("/v1/ask", {"question": "zeppelins " * 2000})
    server.post("/v1/search", {"query": 3, "zeppelins": "zeppelins"})
    assert "zeppelin" not in server.log.read_text().lower()


def test_every_response_has_the_headers_that_browsers_heed(server: Server):
    for response in (server.get("/healthz"), server.get("/nowhere"), httpx.get(server.url + "/v1/models")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
        assert response.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in response.headers
        assert "server" not in response.headers


def test_a_body_that_is_too_long_is_refused(server: Server):
    assert server.post("/v1/search", {"query": "x" * 2_000_000}).status_code == 413
    chunks = (b'{"query": "' + b"x" * 1_100_000 for _ in range(2))
    with server.client() as client:  # without a declared length
        response = client.post("/v1/search", content=chunks, headers={"content-type": "application/json"})
    assert response.status_code == 413


def test_a_request_that_does_not_end_holds_nobody_up(server: Server):
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"POST /v1/search HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n{")
        assert server.found("kilns")


@pytest.mark.parametrize(
    "body", [b"\xff\xfe{", b"{", b"null", b'{"query": "\\ud800"}', b'{"query": "kilns"}' * 2, b"[" * 50_000]
)
def test_what_is_no_request_is_told_so(server: Server, body: bytes):
    with server.client() as client:
        response = client.post("/v1/search", content=body, headers={"content-type": "application/json"})
    assert response.status_code in {400, 422}, response.text
    assert "Traceback" not in response.text


def test_a_caller_may_want_less_reranking(server: Server):
    assert server.post("/v1/search", {"query": QUESTION, "rerank_depth": 0}).json()["rerank_depth"] == 0


def test_a_pdf_is_taken_in_and_answered_from_with_its_page(own: Path):
    with Server.over(own) as server:
        told = server.upload({"homeguard.pdf": PDF.read_bytes()}, team="property")
        assert told["result"]["documents"] == 1
        server.until(lambda: bool(server.found("frozen pipes", filter={"team": "property"})))
        hit = server.found("What is covered when pipes freeze?", filter={"team": "property"})[0]
        assert hit["source"] == "upload:homeguard.pdf"
        assert hit["page"]
        answer = server.post("/v1/ask", {"question": "Which excess applies?", "filter": {"team": "property"}}).json()
        assert all(citation["page"] for citation in answer["citations"])
        again = server.upload({"homeguard.pdf": PDF.read_bytes()}, team="property")
        assert again["result"]["skipped"] == 1
        with server.client() as client, open_house(own) as house:
            holds.add(house, hit["document_id"], "17(3)(e)", "2099-01-01")
            kept = client.delete(f"/v1/documents/{hit['document_id']}")
            stay = [{"document": hit["document_id"], "why": "hold 17(3)(e) until 2099-01-01"}]
            assert server.job(kept.json()["id"])["result"] == {"removed": 0, "stay": stay}
            holds.remove(house, hit["document_id"])
            gone = client.delete(f"/v1/documents/{hit['document_id']}")
        assert server.job(gone.json()["id"])["result"] == {"removed": 1, "stay": []}
        server.until(lambda: not server.found("frozen pipes", filter={"team": "property"}))


@pytest.mark.parametrize("name", ["../up.txt", "a/b.txt", ".hidden", "x" * 300 + ".txt"])
def test_a_file_s_name_is_no_path(server: Server, name: str):
    with server.client() as client:
        response = client.post("/v1/documents", files=[("files", (name, b"words"))])
    assert response.status_code in {400, 422}, response.text


def test_what_cannot_be_read_is_told_without_its_name(own: Path):
    with Server.over(own) as server:
        told = server.upload({"scan of Ilse.pdf": b"%PDF-1.7 broken"})
        assert told["result"]["documents"] == 0
        assert told["result"]["quarantined"][0]["code"]
        assert "Ilse" not in json.dumps(told)
        assert server.get("/v1/quarantine").json()[0]["source"] == "upload:scan of Ilse.pdf"


def test_documents_are_listed_page_by_page(server: Server):
    first = server.get("/v1/documents?limit=3").json()
    rest = server.get(f"/v1/documents?limit=3&after={first['next']}").json()
    ids = [document["id"] for page in (first, rest) for document in page["documents"]]
    assert len(set(ids)) == len(ids) == 4
    assert rest["next"] == ""


def test_metrics_name_routes_and_stages_and_nobody(server: Server):
    server.found("kilns")
    text = httpx.get(server.url + "/metrics").text
    assert 'freehold_requests_total{route="/v1/search",status="200"}' in text
    assert 'freehold_stage_seconds_count{stage="embed",walk="search"}' in text
    assert f"freehold_engines_up {min(cores(), 8)}.0" in text


def test_too_many_requests_of_one_key(own: Path):
    from live import settings

    settings(own, "[server]\nrate_per_s = 1.0")
    with Server.over(own) as server:
        answers = [server.post("/v1/search", {"query": "kilns"}) for _ in range(6)]
        refused = [one for one in answers if one.status_code == 429]
        assert refused
        assert int(refused[0].headers["retry-after"]) >= 1
        assert server.post("/v1/search", {"query": "kilns"}, key=server.key_for("ask")).status_code == 200
