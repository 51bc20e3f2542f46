"""What goes wrong below the service, and what its callers see of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import live
import pytest
from live import Server

from freehold.erasing.walk import requests_of
from freehold.house import open_house
from freehold.proof import verify as offline
from simulator import GONE, Script, serving

QUESTION = "Are leased traction batteries covered?"


def engines(server: Server) -> list[int]:
    """Process ids of the engines: children of the server."""
    assert server._process is not None
    parent = server._process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    found = [int(pid) for pid in children if b"serving.engine" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert found
    return found


def jobs(server: Server) -> list[int]:
    """Process ids of the jobs under way."""
    assert server._process is not None
    parent = server._process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(pid) for pid in children if b"serving.job" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def state(pid: int) -> str:
    """One letter, as the kernel has it: T for what stands still."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_an_engine_that_is_killed_is_replaced(own: Path):
    with Server.over(own) as server:
        assert server.found("kilns")
        os.kill(engines(server)[0], signal.SIGKILL)
        lost = server.post("/v1/search", {"query": "frost on pipes"})
        assert lost.status_code in {200, 503}
        if lost.status_code == 503:
            assert lost.headers["retry-after"]
        server.until(lambda: server.post("/v1/search", {"query": "kilns"}).status_code == 200)
        assert "Traceback" not in server.log.read_text()


def test_overload_is_refused_at_once_and_passes(own: Path):
    live.settings(own, "[server]\nqueue = 4\ncache = 0")
    with Server.over(own) as server, server.client() as client:

        def one(number: int) -> tuple[int, str, float]:
            started = time.monotonic()
            response = client.post("/v1/search", json={"query": f"kilns and pipes {number}"})
            return response.status_code, response.headers.get("retry-after", ""), time.monotonic() - started

        with ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(one, range(200)))
        codes = {code for code, _, _ in answers}
        assert codes == {200, 503}
        assert all(after for code, after, _ in answers if code == 503)
        assert server.post("/v1/search", {"query": "kilns"}).status_code == 200


@pytest.mark.parametrize(
    "reply",
    [500, 429, GONE, ["An answer that", None], [b"data: {not json\n\n"], [b"data: \xff\xfe\n\n"], [20.0, "late"]],
)
def test_where_the_model_fails_the_passages_are_quoted_and_marked(own: Path, reply: object):
    with serving(Script([reply])) as url:
        live.settings(own, f'[generator]\nkind = "openai"\nmodel = "m"\nendpoint = "{url}"\ntimeout_s = 2.0')
        with Server.over(own) as server:
            answer = server.post("/v1/ask", {"question": QUESTION})
            assert answer.status_code == 200, answer.text
            assert answer.json()["degraded"] == "generator"
            assert "not covered" in answer.json()["text"]
            assert 'freehold_degraded_total{failed="generator"} 1.0' in httpx.get(server.url + "/metrics").text
            assert "secret prompt text" not in server.log.read_text() + answer.text


def test_an_answer_is_cut_at_its_deadline_behind_a_whole_sentence(own: Path):
    said = "Traction batteries that are leased rather than owned are not covered. "
    with serving(Script([[said, "Besides,", 20.0, " late"]] * 2)) as url:
        live.settings(own, f'[generator]\nkind = "openai"\nmodel = "m"\nendpoint = "{url}"\ntimeout_s = 2.0')
        with Server.over(own) as server:
            answer = server.post("/v1/ask", {"question": QUESTION}).json()
            assert (answer["cut"], answer["degraded"], answer["supported"]) == (True, "", True)
            assert answer["text"].startswith(said.strip())
            chat = {"model": "freehold", "messages": [{"role": "user", "content": QUESTION}]}
            assert server.post("/v1/chat/completions", chat).json()["choices"][0]["finish_reason"] == "length"


def test_a_job_that_was_cut_off_is_done_after_a_restart(own: Path):
    server = Server(own)
    server.start()
    papers = {f"paper-{n}.txt": f"The number of the boat is {n}. It floats.\n".encode() * 40 for n in range(40)}
    with server.client() as client:
        parts = [("files", (name, data)) for name, data in papers.items()]
        job = client.post("/v1/documents", files=parts).json()["id"]
    server.until(lambda: server.get(f"/v1/jobs/{job}").json()["state"] == "running")
    server.stop(signal.SIGKILL)
    server.start()
    try:
        result = server.job(job)["result"]
        assert result["documents"] + result["skipped"] == 40
        assert server.get("/v1/documents?limit=100").json()["documents"][40:]
        assert not list((own / "jobs" / job).glob("open"))
        assert not list((own / "jobs" / job).glob("sealed"))
    finally:
        assert server.stop() == 0


def test_a_job_stands_still_while_questions_are_answered_and_ends_with_the_service(own: Path):
    papers = [("files", (f"p{n}.txt", f"The number of the boat is {n}. It floats.\n".encode() * 60)) for n in range(60)]
    live.settings(own, "[server]\ncache = 0")
    with Server.over(own) as server, server.client() as client:
        job = client.post("/v1/documents", files=papers).json()["id"]
        server.until(lambda: server.get(f"/v1/jobs/{job}").json()["state"] == "running")
        over = threading.Event()

        def search() -> None:
            with suppress(httpx.HTTPError):
                while not over.is_set():
                    client.post("/v1/search", json={"query": QUESTION})

        with ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(search)
            seen: list[str] = []
            while seen.count("T") < 5:  # it moves on in between
                (pid,) = jobs(server)
                seen.append(state(pid))
                time.sleep(0.02)
            server.stop(signal.SIGKILL)
            server.until(lambda: not Path(f"/proc/{pid}").exists() or state(pid) == "Z")
            over.set()


def test_uploads_lie_sealed(own: Path):
    from freehold.store.jobs import Jobs

    with open_house(own) as house:
        Jobs(own, house.shelf.vault).add("ingest", {}, files=[("letter of Ilse.txt", b"the shutters are green")])
    everything = b"".join(path.read_bytes() for path in (own / "jobs").rglob("*") if path.is_file())
    assert b"shutters" not in everything
    assert b"Ilse" not in everything


def test_somebody_is_erased_while_others_search(own: Path, tmp_path: Path):
    with Server.over(own) as server:
        person = [{"kind": "name", "value": "Anna Keller"}, {"kind": "email", "value": "anna.keller@example.com"}]
        assert server.found("Anna Keller")
        codes = []
        told = server.post("/v1/erasure-requests", {"subject": person}).json()
        while server.get(f"/v1/jobs/{told['id']}").json()["state"] in {"waiting", "running"}:
            codes.append(server.post("/v1/search", {"query": "windscreen excess"}).status_code)
        assert server.job(told["id"])["result"]["verdict"] == "COMPLETE"
        assert set(codes) == {200}
        assert not [hit for hit in server.found("Anna Keller", k=50) if "Keller" in hit["text"]]
        certificate = server.get(f"/v1/erasure-requests/{told['request']}/certificate")
        assert offline.verify(certificate.json())["verdict"] == "COMPLETE"
        back = server.upload({"again.txt": live.PAPERS["letter-keller.txt"].encode()})
        assert back["result"]["refused"][0]["code"] == "erased"
    with open_house(own) as house:
        assert requests_of(house).get(told["request"]).certificate == "COMPLETE"
    left = [path for path in own.rglob("*") if path.is_file() and b"Keller" in path.read_bytes()]
    assert not left
    assert "Keller" not in server.log.read_text()


def test_a_restriction_holds_at_once_and_empties_the_cache(own: Path):
    from freehold.erasing.access import restrict
    from freehold.privacy.subjects import parse_subject

    with Server.over(own) as server:
        assert any("Keller" in hit["text"] for hit in server.found("broken window claim", k=4))
        with open_house(own) as house:
            restrict(house, parse_subject([("name", "Anna Keller")]), lambda *_: None)
        assert not any("Keller" in hit["text"] for hit in server.found("broken window claim", k=4))


def test_what_is_under_way_is_answered_before_the_end(own: Path):
    with serving(Script([[1.5, "Leased batteries are not covered [1]."]])) as url:
        live.settings(own, f'[generator]\nkind = "openai"\nmodel = "m"\nendpoint = "{url}"')
        server = Server(own)
        server.start()

        async def both() -> httpx.Response:
            headers = {"Authorization": f"Bearer {server.key}"}
            async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=30) as client:
                asked = asyncio.create_task(client.post("/v1/ask", json={"question": QUESTION}))
                await asyncio.sleep(0.7)
                server._process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
                return await asked

        assert asyncio.run(both()).status_code == 200
        assert server.stop() == 0


def test_a_service_that_cannot_start_says_why(own: Path):
    live.settings(own, '[embedder]\nmodel = "no-such-model"')
    command = [sys.executable, "-c", "from freehold.cli.main import main; main()", "--house", str(own), "serve"]
    done = subprocess.run([*command, "--port", "0"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
