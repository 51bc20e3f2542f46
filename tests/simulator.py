"""A server that speaks the OpenAI protocol over real sockets and fails the way servers fail."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

GONE = "gone"  # closes the connection without an answer


@dataclass
class Script:
    """What the server does next. ``replies`` are used up in order, the last one for ever.

    A reply is a status code, GONE, or the text pieces of a stream; a piece that is a float is a pause in seconds, bytes
    are sent as they are, and None cuts the stream.
    """

    replies: list[object]
    models: list[dict[str, object]] = field(default_factory=lambda: [{"id": "m", "max_model_len": 2048}])
    error: dict[str, object] = field(default_factory=lambda: {"message": "secret prompt text"})
    headers: dict[str, str] = field(default_factory=dict)
    counts_tokens: bool = False
    counting_troubles: list[int] = field(default_factory=list)
    """Statuses with which the first calls for a count are answered."""
    finish: str = "stop"
    usage: dict[str, int] | None = None
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    @property
    def chats(self) -> int:
        return sum(path == "/v1/chat/completions" for path, _, _ in self.requests)


def _event(value: object) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_: object) -> None:
        """A client that hangs up in the middle is part of the play."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.script.requests.append((self.path, dict(self.headers), b""))
        self._json(200 if self.path == "/v1/models" else 404, {"data": self.script.models})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.script.requests.append((self.path, dict(self.headers), body))
        if self.path == "/tokenize":
            words = len(json.loads(body)["prompt"].split())
            status = 200 if self.script.counts_tokens else 404
            self._json(
                self.script.counting_troubles.pop(0) if self.script.counting_troubles else status, {"count": words}
            )
            return
        reply = self.script.replies.pop(0) if len(self.script.replies) > 1 else self.script.replies[0]
        if reply == GONE:
            self.close_connection = True
        elif isinstance(reply, int):
            self._json(reply, {"error": self.script.error})
        else:
            self._stream(reply)

    def _json(self, status: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in self.script.headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, pieces: list[object]) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b": ping\n\n")
        for piece in pieces:
            self.wfile.flush()
            if piece is None:
                return
            if isinstance(piece, float):
                time.sleep(piece)
            elif isinstance(piece, bytes):
                self.wfile.write(piece)
            else:
                self.wfile.write(_event({"choices": [{"delta": {"content": piece}, "finish_reason": None}]}))
        self.wfile.write(_event({"choices": [{"delta": {}, "finish_reason": self.script.finish}]}))
        if self.script.usage:
            self.wfile.write(_event({"choices": [], "usage": self.script.usage}))
        self.wfile.write(b"data: [DONE]\n\n")


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """The base URL of a server that follows ``script``."""
    handler = type("Handler", (_Handler,), {"script": script})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
