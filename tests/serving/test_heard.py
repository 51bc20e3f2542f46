"""The query log: only where the settings want it, thumbs become training data, and it forgets with the rest."""

from __future__ import annotations

from pathlib import Path

import live
from live import Server

from freehold.house import open_house

QUESTION = "Are leased traction batteries covered?"


def test_nothing_is_kept_unless_the_settings_want_it(server: Server):
    hits = server.found("kilns at night")
    assert hits
    body = {"id": server.post("/v1/search", {"query": "kilns"}).json()["id"], "signal": "up"}
    refused = server.post("/v1/feedback", body)
    assert (refused.status_code, refused.json()["code"]) == (409, "no_query_log")
    assert not list(server.house.glob("traffic.sqlite*"))


def test_questions_and_thumbs_are_kept_and_a_person_is_not(own: Path):
    live.settings(own, "[traffic]\nquery_log = true\nanswers = true")
    with Server.over(own) as server:
        asked = server.post("/v1/search", {"query": QUESTION}).json()
        best = asked["hits"][0]["chunk_id"]
        assert server.post("/v1/feedback", {"id": asked["id"], "signal": "up", "chunk_id": best}).status_code == 202
        answered = server.post("/v1/ask", {"question": QUESTION}).json()
        assert server.post("/v1/feedback", {"id": answered["id"], "signal": "down"}).status_code == 202
        server.post("/v1/search", {"query": "What was paid to Anna Keller?"})
        chat = {"model": "freehold", "messages": [{"role": "user", "content": "Is frost covered?"}]}
        server.post("/v1/chat/completions", chat)
        person = [{"kind": "name", "value": "Anna Keller"}, {"kind": "email", "value": "anna.keller@example.com"}]
        server.until(lambda: kinds(own) == {"search": 2, "ask": 1, "chat": 1})
        told = server.post("/v1/erasure-requests", {"subject": person}).json()
        assert server.job(told["id"])["result"]["verdict"] == "COMPLETE"
        told["erased"] = list(server.get(f"/v1/erasure-requests/{told['request']}").json()["documents"])
        assert told["erased"]
    with open_house(own) as house:
        log = list(house.traffic.all())
        assert [one.kind for one in log if one.text == QUESTION]
        assert not [one for one in log if "Keller" in one.text + (one.answer or "")]
        erased = set(told["erased"])
        assert not [hit for one in log for hit in one.shown if hit.document_id in erased]
        assert [one["signal"] for one in house.traffic.feedback()] == ["up"]
        assert house.traffic.feedback()[0]["chunk_id"] == best
    assert not [path for path in own.rglob("*") if path.is_file() and b"Keller" in path.read_bytes()]


def kinds(house: Path) -> dict[str, int]:
    with open_house(house) as opened:
        return dict(opened.traffic.volume().questions)
