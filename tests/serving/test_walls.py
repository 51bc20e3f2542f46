"""What a caller of one group never sees of another's, whatever they ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import live
import pytest
from live import Server

SECRET = "The vault of Brenna opens at four minutes past nine."
OPEN = "The tower clock of Brenna is wound on Sundays."


@pytest.fixture(scope="module")
def house_of_groups(papers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server.over(live.copied(papers, tmp_path_factory.mktemp("groups"))) as server:
        for name, text, groups in (("vault.txt", SECRET, ["board"]), ("clock.txt", OPEN, ["staff", "board"])):
            with server.client() as client:
                sent = client.post("/v1/documents", files=[("files", (name, text.encode()))], data={"groups": groups})
            server.job(sent.json()["id"])
        server.until(lambda: len(server.found("Brenna", k=10, mode="lexical")) == 2)
        yield server


def everything(server: Server, key: str) -> str:
    """All that a key gets out of every way of asking."""
    said = []
    for mode in ("hybrid", "dense", "lexical"):
        body = {"query": "When does the vault of Brenna open?", "k": 100, "mode": mode}
        said.append(server.post("/v1/search", body, key=key).text)
    said.append(server.post("/v1/ask", {"question": "When does the vault of Brenna open?"}, key=key).text)
    chat = {"model": "freehold", "messages": [{"role": "user", "content": "When does the vault of Brenna open?"}]}
    said.append(server.post("/v1/chat/completions", chat, key=key).text)
    said.append(server.get("/v1/documents?limit=1000", key=key).text)
    return "\n".join(said)


def test_each_sees_their_own(house_of_groups: Server):
    server = house_of_groups
    staff, board = server.key_for("ask", groups=["staff"]), server.key_for("ask", groups=["board"])
    nobody = server.key_for("ask", groups=[])
    assert "four minutes past nine" in everything(server, board)
    for key in (staff, nobody):
        said = everything(server, key)
        assert "four minutes" not in said
        assert "vault.txt" not in said
    assert "wound on Sundays" in everything(server, staff)
    assert "wound on Sundays" not in everything(server, nobody)
    assert "leased rather than owned" in json.dumps(server.found("leased batteries", key=nobody))


def test_a_document_of_others_is_not_there(house_of_groups: Server):
    server = house_of_groups
    staff = server.key_for("ask", "ingest", groups=["staff"])
    documents = {d["source"]: d for d in server.get("/v1/documents?limit=1000").json()["documents"]}
    secret = documents["upload:board/vault.txt"]
    assert secret["groups"] == ["board"]
    assert server.get(f"/v1/documents/{secret['id']}/text", key=staff).status_code == 404
    with server.client(staff) as client:
        assert client.delete(f"/v1/documents/{secret['id']}").status_code == 404
        everybodys = next(d for d in documents.values() if not d["groups"])
        assert client.delete(f"/v1/documents/{everybodys['id']}").status_code == 403


def test_what_one_sends_in_is_for_their_groups_and_replaces_nobody_s(house_of_groups: Server):
    server = house_of_groups
    staff = server.key_for("ask", "ingest", groups=["staff"])
    with server.client(staff) as client:
        for groups in (["board"], ["staff", "board"]):
            refused = client.post("/v1/documents", files=[("files", ("a.txt", b"x y"))], data={"groups": groups})
            assert (refused.status_code, refused.json()["code"]) == (403, "groups")
        sent = client.post("/v1/documents", files=[("files", ("vault.txt", b"The staff canteen opens at noon."))])
    server.job(sent.json()["id"])
    sources = {d["source"] for d in server.get("/v1/documents?limit=1000").json()["documents"]}
    assert {"upload:board/vault.txt", "upload:staff/vault.txt"} <= sources


def test_a_filter_cannot_say_who_one_is(house_of_groups: Server):
    staff = house_of_groups.key_for("ask", groups=["staff"])
    for name in ("\0access", "access", "groups"):
        body = {"query": "vault of Brenna", "filter": {name: "board"}}
        response = house_of_groups.post("/v1/search", body, key=staff)
        assert "four minutes" not in response.text


def test_a_cached_result_is_the_caller_s_alone(house_of_groups: Server):
    board, staff = (house_of_groups.key_for("ask", groups=[group]) for group in ("board", "staff"))
    question = "vault that opens past nine"
    assert any("vault" in hit["source"] for hit in house_of_groups.found(question, key=board))
    assert not any("board/vault" in hit["source"] for hit in house_of_groups.found(question, key=staff))
