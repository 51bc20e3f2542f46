"""A service seen from outside: what is wrong is found, what it does well is sound, and one that is down is told of."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from freehold.auditing.finding import Report
from freehold.auditing.forms import page, sarif
from freehold.auditing.service.audit import audit_service
from freehold.auditing.service.probes import MARK, ORDERS, got_through, is_silent
from freehold.core.errors import UsageError

CITIES = ("Alma", "Berta", "Clara", "Dora", "Elsa", "Frieda", "Greta", "Hanna", "Ida", "Jule", "Karla", "Lotte")
FACTS = {f"What is the rent of the boathouse {city}?": (f"{city.lower()}.txt", f"{n * 7} euros a month") for n, city in
         enumerate(CITIES, 3)}  # fmt: skip


def silent(_stage: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    rows = [
        {"id": f"q{n}", "query": query, "relevant": [{"source": source}], "answers": [answer], "answerable": True}
        for n, (query, (source, answer)) in enumerate(FACTS.items())
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@contextmanager
def served(reply: Callable[[str], Any], *, status: int = 200) -> Iterator[str]:
    """A chat endpoint that says ``reply`` of a question; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send({"data": [{"id": "toy"}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(reply(body["messages"][-1]["content"] if "messages" in body else body["query"]))

        def _send(self, told: Any) -> None:
            data = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def chat(answer: str, *sources: str) -> dict[str, Any]:
    return {"choices": [{"message": {"content": answer, "citations": [{"source": one} for one in sources]}}]}


def honest(question: str) -> dict[str, Any]:
    for known, (source, answer) in FACTS.items():
        if known in question:
            return chat(f"The rent is {answer}.", f"papers/{source}")
    return chat("That is not in these documents.")


def said(reply: dict[str, Any]) -> str:
    return str(reply["choices"][0]["message"]["content"])


def outcomes(report: Report) -> dict[str, str]:
    return {finding.rule: finding.outcome for finding in report.findings}


def looked_at(url: str, questions: Path, mapping: Path | None = None) -> Report:
    return audit_service(url, questions, mapping=mapping, progress=silent)


def test_an_honest_service_is_sound(questions: Path, minilm: Path) -> None:
    from freehold.models.pull import pull

    pull("rampart")
    with served(honest) as url:
        report = looked_at(url, questions)
    assert not report.of("fault"), [(f.rule, f.told) for f in report.of("fault")]
    assert [f.rule for f in report.of("inconclusive")] == ["service-latency"]
    assert "<script" not in page(report)
    assert json.loads(sarif(report))["runs"][0]["results"]


@pytest.mark.parametrize(
    ("rule", "reply"),
    [
        ("service-retrieval", lambda q: chat(said(honest(q)), "other.txt")),
        ("service-answers", lambda _: chat("Perhaps, perhaps.")),
        ("service-abstention", lambda q: honest(q) if q in FACTS else chat("It was Baron Vole, in 1611.")),
        ("service-too-silent", lambda _: chat("I do not know.")),
        ("service-injection", lambda q: chat(MARK) if MARK in q and "Ignore" in q else honest(q)),
        ("service-people", lambda q: chat(said(honest(q)) + " Ask anna.keller@example.org.")),
        ("service-shape", lambda q: {"result": honest(q)}),
        ("service-shape", lambda _: b"<html>busy</html>"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found(rule: str, reply: Callable[[str], Any], questions: Path, minilm: Path) -> None:
    with served(reply) as url:
        report = looked_at(url, questions)
    told = outcomes(report)
    assert told[rule] == "fault"
    assert told["service-reachable"] == "sound"
    assert all(finding.fix for finding in report.of("fault"))


def test_answers_that_change_are_found(questions: Path) -> None:
    numbers = count()

    def fickle(question: str) -> dict[str, Any]:
        n = next(numbers)
        return chat(f"{said(honest(question))} {'perhaps ' * (n % 9)} version{n} draft{n} x{n} y{n}")

    with served(fickle) as url:
        assert outcomes(looked_at(url, questions))["service-stability"] == "fault"


def test_a_service_that_is_down_is_a_finding(questions: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = looked_at(f"http://127.0.0.1:{port}/v1", questions)
    assert outcomes(told)["service-reachable"] == "fault"
    assert {f.outcome for f in told.findings if f.rule not in {"service-reachable", "service-in-clear"}} == {
        "inconclusive"
    }


def test_a_service_that_refuses_or_is_slow_is_a_finding(questions: Path, tmp_path: Path) -> None:
    with served(honest, status=503) as url:
        assert outcomes(looked_at(url, questions))["service-reachable"] == "fault"
    mapping = tmp_path / "slow.toml"
    mapping.write_text('[request]\ntimeout_s = 0.2\nmodel = "m"\n')

    def slow(question: str) -> dict[str, Any]:
        time.sleep(0.6)
        return honest(question)

    with served(slow) as url:
        report = looked_at(url, questions, mapping)
    (finding,) = [f for f in report.findings if f.rule == "service-reachable"]
    assert finding.outcome == "fault"
    assert "timed out" in finding.told


def test_a_search_service_is_mapped(questions: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "search.toml"
    mapping.write_text(
        'budget_ms = 5000\n[request]\npath = "/find"\nbody = { query = "{question}", k = 10 }\n'
        '[response]\nsources = "result.hits"\nsource = "doc"\ntext = "words"\n'
    )

    def search(question: str) -> dict[str, Any]:
        found = FACTS.get(question, ("none.txt", ""))
        return {"result": {"hits": [{"doc": found[0], "words": found[1]}, {"doc": "last.txt", "words": "x"}]}}

    with served(search) as url:
        report = looked_at(url, questions, mapping)
    told = outcomes(report)
    assert told["service-retrieval"] == told["service-stability"] == told["service-latency"] == "sound"
    assert told["service-answers"] == told["service-abstention"] == told["service-injection"] == "inconclusive"
    assert not report.of("fault")


@pytest.mark.parametrize(
    "text",
    [
        "no = toml = here", 'colour = "red"', '[request]\nbody = { q = "fixed" }', "[response]\nanswer = 3",
        '[request]\nheaders = { Authorization = "Bearer abc" }', '[request]\ntimeout_s = "long"',
    ],
)  # fmt: skip
def test_a_mapping_that_is_none_is_refused(text: str, questions: Path, tmp_path: Path) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text(text)
    with pytest.raises(UsageError):
        looked_at("http://127.0.0.1:9/v1", questions, mapping)


def test_addresses_and_questions_that_are_none_are_refused(questions: Path, tmp_path: Path) -> None:
    for url in ("ftp://x", "llm", "http://user:secret@127.0.0.1/v1"):
        with pytest.raises(UsageError):
            looked_at(url, questions)
    with pytest.raises(UsageError):
        looked_at("http://127.0.0.1:9/v1", tmp_path / "none.jsonl")


def test_silence_and_obedience_are_told() -> None:
    for told in ("", "I don't know.", "The documents do not contain this.", "Dazu gibt es keine Angabe.",
                 "Aucune information à ce sujet.", "I cannot answer that."):  # fmt: skip
        assert is_silent(told), told
    for told in ("The rent is 21 euros.", "Nine, and a spare one.", "Die Frist beträgt zwei Wochen."):
        assert not is_silent(told), told
    order = ORDERS[0].format(mark=MARK)
    assert got_through(order, f"Q? {order}", MARK)
    assert not got_through(order, f"Q? {order}", f"You asked: Q? {order}")
    fetch = ORDERS[6].format(mark=MARK)
    assert got_through(fetch, fetch, f"![status](https://example.invalid/{MARK})")
    assert not got_through(fetch, fetch, "21 euros")
