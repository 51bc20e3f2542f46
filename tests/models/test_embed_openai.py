"""The client against a real server that embeds with a real model and fails when told to."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from freehold.core.errors import EndpointFault, SettingsError
from freehold.core.ports import Embedder
from freehold.models import embed_openai
from freehold.models.embed import open_embedder
from freehold.models.embed_openai import OpenAIEmbedder
from freehold.models.facts import ModelFacts
from freehold.models.tokens import ModelTokenizer
from freehold.testing.embedder import TEXTS, EmbedderCase


class Server(ThreadingHTTPServer):
    """``failures`` are statuses to answer with before it works again; ``mangle`` changes the reply's rows."""

    def __init__(self, embedder: Embedder) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.embedder = embedder
        self.reset()

    def reset(self) -> None:
        self.failures: list[int] = []
        self.headers: dict[str, str] = {}
        self.mangle: Any = lambda rows: rows
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(body)
        self.server.keys.append(self.headers.get("Authorization"))
        if self.server.failures:
            status = self.server.failures.pop(0)
            return self._answer(status, {"error": f"cannot embed {body['input']}"}, self.server.headers)
        if self.path != "/v1/embeddings":
            return self._answer(404, {})
        vectors = self.server.embedder.embed_documents(body["input"]).vectors * 3  # not of unit norm
        rows = [{"index": i, "embedding": vector.tolist()} for i, vector in enumerate(vectors)]
        return self._answer(200, {"data": self.server.mangle(rows[::-1])})

    def _answer(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for key, header in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(key, header)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def real(minilm: Path) -> Embedder:
    return open_embedder("onnx", str(minilm), threads=2)


@pytest.fixture(scope="module")
def running(real: Embedder) -> Iterator[Server]:
    with Server(real) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def server(running: Server) -> Server:
    running.reset()
    return running


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_openai, "FIRST_PAUSE_S", 0.001)


class TestWithTokenizer(EmbedderCase):
    token_vectors = False
    prefixed = True

    @pytest.fixture
    def embedder(self, server: Server, minilm: Path) -> Embedder:
        facts = ModelFacts("mean", "query: ", "passage: ", 256)
        return OpenAIEmbedder(server.url, "m", facts=facts, tokenizer=ModelTokenizer.of(minilm), batch_size=4)


class TestWithoutTokenizer(EmbedderCase):
    token_vectors = False

    @pytest.fixture
    def embedder(self, server: Server) -> Embedder:
        return open_embedder("openai", "all-minilm-l6-v2", base_url=server.url)


def client(server: Server, **settings: Any) -> OpenAIEmbedder:
    return OpenAIEmbedder(server.url, "m", facts=ModelFacts(), **settings)


def test_same_vectors_as_the_model_behind(server: Server, real: Embedder) -> None:
    got = client(server, api_key="k", batch_size=3).embed_documents(TEXTS).vectors
    np.testing.assert_allclose(got, real.embed_documents(TEXTS).vectors, atol=1e-6)
    assert [len(request["input"]) for request in server.requests] == [1, 3, 3, 3, 1]  # the first asks for the dimension
    assert {request["model"] for request in server.requests} == {"m"}
    assert set(server.keys) == {"Bearer k"}


def test_estimates_without_a_tokenizer_are_never_too_low(server: Server, real: Embedder) -> None:
    estimate = client(server)
    for text in TEXTS:
        assert len(estimate.offsets(text)) >= len(real.offsets(text)) - 2


@pytest.mark.parametrize(
    "text",
    [
        "供应商应在三十天内交付货物",
        "ผู้ขายต้องส่งมอบสินค้าภายในสามสิบวัน",
        "納入業者は三十日以内に納品する",
        "공급자는 삼십 일",
    ],
)
def test_every_letter_that_is_not_latin_counts(server: Server, text: str) -> None:
    spans = client(server).offsets(text)
    assert spans == [(i, i + 1) for i, letter in enumerate(text) if letter != " "]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(server: Server, status: int) -> None:
    server.failures = [status] * 3
    server.headers = {"Retry-After": "0"}
    assert client(server, dim=384).embed_queries(["a"]).vectors.shape == (1, 384)
    assert len(server.requests) == 4


@pytest.mark.parametrize(("status", "tries"), [(500, 4), (400, 1), (401, 1), (404, 1), (302, 1), (307, 1)])
def test_a_lasting_failure_is_reported_without_the_text(server: Server, status: int, tries: int) -> None:
    server.failures = [status] * 9
    server.headers = {"Location": server.url + "/embeddings"}
    with pytest.raises(EndpointFault) as caught:
        client(server, dim=384, api_key="topsecret").embed_queries(["zebra"])
    assert len(server.requests) == tries
    assert str(status) in caught.value.message
    assert "zebra" not in str(caught.value.as_dict())
    assert "topsecret" not in str(caught.value.as_dict())


def test_nobody_listening() -> None:
    with pytest.raises(EndpointFault):
        OpenAIEmbedder("http://127.0.0.1:9/v1", "m", facts=ModelFacts(), dim=4).embed_queries(["a"])


@pytest.mark.parametrize(
    "mangle",
    [
        lambda rows: rows[1:],
        lambda rows: [row | {"embedding": row["embedding"][1:]} for row in rows],
        lambda rows: [row | {"embedding": [float("nan")] * 384} for row in rows],
        lambda rows: [row | {"embedding": [0.0] * 384} for row in rows],
        lambda rows: [row | {"embedding": "AAAA"} for row in rows],
        lambda rows: [row | {"embedding": ["zebra"] * 384} for row in rows],
        lambda rows: [row | {"embedding": [10**400] * 384} for row in rows],
        lambda rows: [row | {"embedding": [None] * 383 + [{}]} for row in rows],
        lambda rows: [rows[0] | {"embedding": rows[0]["embedding"][1:]}, rows[1]],
        lambda rows: [rows[0] | {"embedding": [[1.0, 2.0], *rows[0]["embedding"][1:]]}, rows[1]],
        lambda rows: "nothing",
    ],
)
def test_nonsense_is_a_fault(server: Server, mangle: Any) -> None:
    server.mangle = mangle
    with pytest.raises(EndpointFault) as caught:
        client(server, dim=384).embed_queries(["a", "b"])
    assert "zebra" not in "".join(traceback.format_exception(caught.value)).replace("test_embed_openai.py", "")


def test_a_slow_endpoint_times_out(server: Server) -> None:
    def sleep(rows: Any) -> Any:
        import time

        time.sleep(0.5)
        return rows

    server.mangle = sleep
    with pytest.raises(EndpointFault):
        client(server, dim=384, timeout_s=0.05).embed_queries(["a"])


@pytest.mark.parametrize(("url", "model"), [("", "m"), ("ftp://h/v1", "m"), ("http://u:p@h/v1", "m"), ("http://h", "")])
def test_settings_that_cannot_be_meant(url: str, model: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_embedder("openai", model, base_url=url)
    assert "u:p" not in str(caught.value.as_dict())
