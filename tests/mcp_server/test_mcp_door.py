"""Who gets in at /mcp, and what a session of somebody else's is to them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import anyio
import clients
import pytest

from freehold.serving.keys import Keys

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
SOURCES = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "sources", "arguments": {}}}


@pytest.mark.parametrize("key", [None, "fh_wrong"])
def test_nobody_without_a_key(service: clients.Served, key: str | None) -> None:
    answer = service.post(key, INITIALIZE)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["code"] in {"no_key", "wrong_key"}


def test_pages_of_others_do_not_call(service: clients.Served) -> None:
    key = service.key("ask")
    assert service.post(key, INITIALIZE).status_code == 200
    own = f"127.0.0.1:{service.port}"
    for host, status in (
        ("evil.example", 421),
        (f"evil.example:{service.port}", 421),
        ("localhost", 200),
        ("[::1]:1", 200),
    ):
        assert service.post(key, INITIALIZE, Host=host).status_code == status, host
    for origin, status in (("http://evil.example", 403), ("null", 403), (f"http://{own}", 200)):
        assert service.post(key, INITIALIZE, Origin=origin).status_code == status, origin


def test_a_session_is_its_keys(service: clients.Served) -> None:
    key = service.key("ask")
    session = service.post(key, INITIALIZE).headers["mcp-session-id"]
    by = {"Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-11-25"}
    assert service.post(key, {"jsonrpc": "2.0", "method": "notifications/initialized"}, **by).status_code == 202
    assert service.post(key, SOURCES, **by).status_code == 200
    assert service.post(service.key("ask", "admin"), SOURCES, **by).status_code == 404
    Keys(service.house).revoke(
        next(one.id for one in Keys(service.house).all() if Keys(service.house).bearer(key) == one)
    )
    assert service.post(key, SOURCES, **by).status_code == 401


def test_a_body_has_a_limit(service: clients.Served) -> None:
    much = {**SOURCES, "params": {"name": "search", "arguments": {"query": "a" * (2 << 20)}}}
    assert service.post(service.key("ask"), much).status_code == 413


def test_requests_are_counted_and_their_words_are_not_logged(service: clients.Served) -> None:
    key = service.key("ask")
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }
    words = {"query": "Has Zebedee Quill paid?", "k": "Zebedee"}
    body = {**SOURCES, "params": {"name": "search", "arguments": words, "_meta": meta}}
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "search"}
    answer = service.post(key, body, **headers)
    assert answer.json()["result"]["isError"], answer.text
    body["params"]["arguments"]["k"] = 3
    assert not answer.json()["result"].get("structuredContent")
    assert service.post(key, body, **headers).json()["result"]["structuredContent"]["passages"]
    log = service.log.read_text()
    assert "Zebedee" not in log
    assert "Traceback" not in log
    assert {"/mcp"} <= {json.loads(line).get("route") for line in log.splitlines() if line.startswith("{")}


@pytest.mark.anyio
async def test_the_service_stops_while_a_client_is_there(own: Path) -> None:
    with clients.served(own) as running:
        async with running.client(running.key("ask"), mode="legacy") as client:
            await client.list_tools()
            began = time.monotonic()
            running.process.terminate()
            while running.process.poll() is None:
                await anyio.sleep(0.1)
            assert time.monotonic() - began < 10
