"""Traces as a collector on this machine receives them."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import live
import pytest
from live import Server
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    taken: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", taken
        server.shutdown()


def test_a_span_for_each_request_and_stage_and_no_word(own: Path, collector: tuple[str, list[bytes]]):
    url, taken = collector
    live.settings(own, f'[server]\notlp_endpoint = "{url}"')
    with Server.over(own) as server, server.client() as client:
        client.post("/v1/search", json={"query": "zeppelins and kilns"}, headers={"traceparent": PARENT})
        client.post("/v1/ask", json={"question": "Are leased traction batteries covered?"})
    spans = [
        span
        for body in taken
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    named = {span.name: span for span in spans}
    assert {"freehold.search", "freehold.search.embed", "freehold.search.index", "freehold.ask"} <= set(named)
    root = named["freehold.search"]
    assert root.trace_id.hex() == PARENT.split("-")[1]
    assert root.parent_span_id.hex() == PARENT.split("-")[2]
    stage = named["freehold.search.embed"]
    assert stage.parent_span_id == root.span_id
    assert root.start_time_unix_nano <= stage.start_time_unix_nano <= stage.end_time_unix_nano
    everything = b"".join(taken).lower()
    assert b"zeppelin" not in everything
    assert b"batteries" not in everything
