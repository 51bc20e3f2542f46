"""The tools, with the official client, over both transports and both generations of the protocol."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import clients
import jsonschema
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import ElicitResult

from freehold.erasing.access import restrict
from freehold.groups import assign
from freehold.house import open_house
from freehold.privacy.subjects import parse_subject

READING = ["search", "ask", "sources", "read_source", "report", "job_status"]
BATTERY = "Is a leased traction battery covered?"
ANNA = [{"kind": "name", "value": "Anna Keller"}, {"kind": "email", "value": "anna.keller@example.com"}]


@pytest.fixture(params=[(t, m) for t in ("http", "stdio") for m in clients.MODES], ids="-".join)
def connect(request: pytest.FixtureRequest, service: clients.Served) -> Callable[..., Any]:
    """A client who may ask, or more."""
    transport, mode = request.param

    def client(*scopes: str, **options: Any) -> AbstractAsyncContextManager[Client]:
        if transport == "http":
            return service.client(service.key(*scopes or ("ask",)), mode=mode, **options)
        chosen = [word for scope in scopes for word in ("--scope", scope)]
        return clients.over_stdio(service.house, *chosen, mode=mode, **options)

    return client


async def called(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What it answers, after it was held against the schema it declares."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    assert json.loads(result.content[0].text) == result.structured_content
    (declared,) = [one for one in (await client.list_tools()).tools if one.name == tool]
    jsonschema.validate(result.structured_content, declared.output_schema)
    return result.structured_content


async def refused(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)


@pytest.mark.anyio
async def test_whoever_may_ask_reads(connect: Any, service: clients.Served) -> None:
    async with connect() as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == READING
        for tool in tools:
            assert tool.description
            assert tool.annotations.read_only_hint
            assert not tool.annotations.destructive_hint
            assert all("description" in about for about in tool.input_schema["properties"].values())

        found = await called(client, "search", query=BATTERY, k=2)
        assert "do not follow" in found["note"]
        best = found["passages"][0]
        assert best["rank"] == 1
        assert best["source"].endswith("motor.txt")
        assert (await called(client, "search", query=BATTERY, filter={"team": "legal"}))["passages"] == []

        reply = await called(client, "ask", question=BATTERY)
        assert not reply["abstained"]
        quote = reply["citations"][0]
        part = await called(
            client, "read_source", document_id=quote["document_id"], start=quote["start"], end=quote["end"]
        )
        assert part["text"] == quote["quote"]
        assert part["next_start"] == quote["end"]
        assert (await called(client, "read_source", document_id=quote["document_id"]))["next_start"] is None
        assert (await called(client, "read_source", document_id=quote["document_id"], start=10**9))["text"] == ""

        first = await called(client, "sources", limit=3)
        rest = await called(client, "sources", limit=3, after=first["next"])
        assert rest["next"] == ""
        names = [Path(one["source"]).name for page in (first, rest) for one in page["documents"]]
        assert sorted(names) == sorted(clients.PAPERS)

        report = await called(client, "report")
        assert report["documents"] == len(clients.PAPERS)
        assert report["models"]["embedder"] == "all-minilm-l6-v2"
        assert report["evaluation"] is None
        assert report["open_requests"] is None

        templates = (await client.list_resource_templates()).resource_templates
        assert [one.uri_template for one in templates] == ["house://documents/{document_id}"]
        (whole,) = (await client.read_resource(best["uri"])).contents
        assert whole.text == clients.PAPERS["motor.txt"]
        with pytest.raises(MCPError):
            await client.read_resource("house://documents/none")


@pytest.mark.anyio
async def test_what_goes_wrong_is_told_and_nothing_more(connect: Any) -> None:
    async with connect() as client:
        assert "no such document" in await refused(client, "read_source", document_id="none")
        assert "no such job" in await refused(client, "job_status", job_id="none")
        assert "query" in await refused(client, "search", query="")
        assert "[invalid_query]" in await refused(client, "search", query="  ")
        assert "has not the scope ingest" in await refused(client, "remove_document", document_id="none")
        assert "has not the scope dpo" in await refused(client, "erase_person", identifiers=ANNA)


@pytest.mark.anyio
async def test_who_cannot_be_asked_takes_nothing_away(connect: Any) -> None:
    async with connect("ingest", "dpo") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert [*tools] == [*READING, "remove_document", "erase_person"]
        assert tools["erase_person"].annotations.destructive_hint
        assert set(tools["erase_person"].input_schema["properties"]) == {"identifiers", "ground"}
        document = (await called(client, "sources", limit=1))["documents"][0]["id"]
        assert "cannot ask its user" in await refused(client, "remove_document", document_id=document)
        assert "cannot ask its user" in await refused(client, "erase_person", identifiers=ANNA)
        assert (await called(client, "report"))["open_requests"] == 0


@pytest.mark.anyio
async def test_who_does_not_confirm_keeps_everything(connect: Any) -> None:
    answers = [
        ElicitResult(action="decline"),
        ElicitResult(action="cancel"),
        ElicitResult(action="accept", content={"confirm": False}),
    ]
    asked: list[str] = []

    async def user(_: Any, params: Any) -> ElicitResult:
        asked.append(params.message)
        return answers[len(asked) % len(answers)]

    async with connect("ingest", "dpo", elicitation_callback=user) as client:
        document = (await called(client, "sources", limit=1))["documents"][0]["id"]
        for _ in answers:
            begun = await called(client, "remove_document", document_id=document)
            assert begun == {"confirmed": False, "job_id": "", "request_id": "", "due": ""}
            assert document in asked[-1]
        assert not (await called(client, "erase_person", identifiers=ANNA))["confirmed"]
        assert "anna.keller@example.com" in asked[-1]
        assert len(asked) == len(answers) + 1
        assert (await called(client, "report"))["open_requests"] == 0
        assert len((await called(client, "sources"))["documents"]) == len(clients.PAPERS)
        nobody = [{"kind": "email", "value": "no"}]
        assert "no address of mail" in await refused(client, "erase_person", identifiers=nobody)


async def done(client: Client, job_id: str) -> dict[str, Any]:
    with anyio.fail_after(240):
        while True:
            job = await called(client, "job_status", job_id=job_id)
            if job["state"] in {"done", "failed"}:
                assert job["state"] == "done", job
                return dict(job["result"])
            await anyio.sleep(0.2)


async def yes(_context: Any, _params: Any) -> ElicitResult:
    return ElicitResult(action="accept", content={"confirm": True})


@pytest.fixture(params=[("http", "legacy"), ("stdio", "auto")], ids="-".join)
async def officer(request: pytest.FixtureRequest, own: Path) -> AsyncIterator[Client]:
    """Who may do all, at a house of their own, and confirms."""
    transport, mode = request.param
    if transport == "stdio":
        client = clients.over_stdio(own, "--scope", "ingest", "--scope", "dpo", mode=mode, elicitation_callback=yes)
        async with client:
            yield client
        return
    with clients.served(own) as running:
        async with running.client(running.key("ingest", "dpo"), mode=mode, elicitation_callback=yes) as client:
            yield client


@pytest.mark.anyio
async def test_what_a_person_confirms_is_done(officer: Client) -> None:
    listed = (await called(officer, "sources"))["documents"]
    kilns = next(one["id"] for one in listed if one["source"].endswith("kilns.txt"))
    begun = await called(officer, "remove_document", document_id=kilns)
    assert begun["confirmed"]
    assert await done(officer, begun["job_id"]) == {"removed": 1, "stay": []}
    assert "no such document" in await refused(officer, "remove_document", document_id=kilns)

    begun = await called(officer, "erase_person", identifiers=ANNA)
    assert begun["request_id"]
    assert begun["due"]
    outcome = await done(officer, begun["job_id"])
    assert outcome["request"] == begun["request_id"]
    assert outcome["verdict"] == "COMPLETE"
    left = [Path(one["source"]).name for one in (await called(officer, "sources"))["documents"]]
    assert sorted(left) == ["minutes.txt", "motor.txt"]
    assert (await called(officer, "report"))["open_requests"] == 1  # certified, and closed by a person


@pytest.mark.anyio
async def test_a_hidden_document_is_not_there(own: Path) -> None:
    with open_house(own) as house:
        _, (hidden,) = restrict(house, parse_subject([("name", "Anna Keller")]), lambda *_: None)
    async with clients.over_stdio(own, mode="auto") as client:
        assert "no such document" in await refused(client, "read_source", document_id=hidden)
        with pytest.raises(MCPError, match="no such document"):
            await client.read_resource(f"house://documents/{hidden}")
        listed = (await called(client, "sources"))["documents"]
        assert hidden not in {one["id"] for one in listed}


@pytest.mark.anyio
async def test_a_job_is_done_by_whichever_server_of_the_house_does_jobs(own: Path) -> None:
    with clients.served(own):
        async with clients.over_stdio(own, "--scope", "ingest", mode="auto", elicitation_callback=yes) as client:
            document = (await called(client, "sources", limit=1))["documents"][0]["id"]
            begun = await called(client, "remove_document", document_id=document)
            assert await done(client, begun["job_id"]) == {"removed": 1, "stay": []}


def test_a_house_that_is_none_ends_the_program(tmp_path: Path) -> None:
    told = subprocess.run(
        [*clients.COMMAND, "--house", str(tmp_path), "serve", "--mcp", "stdio"],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert told.returncode == 3
    assert told.stdout == ""
    assert "Traceback" not in told.stderr


@pytest.mark.anyio
async def test_who_is_in_no_group_sees_what_is_everybodys(own: Path) -> None:
    with open_house(own) as house:
        documents = {Path(one.source).name: one.id for one in house.shelf.listed(None, limit=10)}
        assign(house, [documents["motor.txt"]], ["motor"], lambda *_: None)
    with clients.served(own) as running:
        outside = running.key("ingest", groups=["claims"])
        async with running.client(outside, mode="auto", elicitation_callback=yes) as client:
            found = await called(client, "search", query=BATTERY)
            assert documents["motor.txt"] not in {one["document_id"] for one in found["passages"]}
            assert len((await called(client, "sources"))["documents"]) == len(clients.PAPERS) - 1
            for tool in ("read_source", "remove_document"):
                assert "no such document" in await refused(client, tool, document_id=documents["motor.txt"])
            assert "everybody's" in await refused(client, "remove_document", document_id=documents["kilns.txt"])
        async with running.client(running.key("ask", groups=["motor"]), mode="auto") as client:
            found = await called(client, "search", query=BATTERY)
            assert found["passages"][0]["document_id"] == documents["motor.txt"]
