"""A stand-in for a Qdrant server: its REST API over HTTP, as much of it as Freehold uses, answered by local mode.

Requests are parsed by the models that qdrant-client generates from the server's own OpenAPI description, and unknown
fields are refused, so that what passes here is on the wire as a server expects it. ``python qdrant_stand_in.py`` prints
its address and serves until it is killed. Faults are asked for at ``PUT /faults``.
"""

from __future__ import annotations

import json
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import BaseModel, TypeAdapter
from qdrant_client import QdrantClient, models

warnings.filterwarnings("ignore", message=".*[Ll]ocal mode.*")
NO_COLLECTION = "Not found: Collection `{}` doesn't exist!"


class StandIn:
    """One server with its collections. ``faults`` decide what goes wrong from now on."""

    def __init__(self, *, api_key: str = "") -> None:
        self.client = QdrantClient(":memory:")
        self.api_key = api_key
        self.lock = threading.Lock()
        self.faults: dict[str, Any] = {}
        """``status``: answered instead; ``times``: how often, without it for ever; ``cut``: bodies break off in the
        middle, or are ``short``: whole by their length and no JSON; ``foreign``: an id that stands in all answers;
        ``retry_after``: seconds.
        """
        self.calls: list[str] = []

    def answer(self, method: str, path: str, body: bytes) -> Any:
        """The ``result`` of a call. Raises KeyError for a collection that is not there."""
        parts = [part for part in path.split("?", maxsplit=1)[0].split("/") if part]
        if parts == ["collections"]:
            return self.client.get_collections()
        name, rest = parts[1], "/".join(parts[2:])
        if (method, rest) == ("GET", "exists"):
            return {"exists": self.client.collection_exists(name)}
        if (method, rest) == ("PUT", ""):
            return self._create(name, _parsed(models.CreateCollection, body))
        if (method, rest) == ("DELETE", ""):
            return self.client.delete_collection(name) if self.client.collection_exists(name) else False
        if not self.client.collection_exists(name):
            raise KeyError(name)
        return self._of_collection(name, method, rest, body)

    def _create(self, name: str, it: models.CreateCollection) -> bool:
        assert it.optimizers_config.vacuum_min_vector_number >= 100  # a server refuses less
        assert it.wal_config.wal_capacity_mb >= 1
        return self.client.create_collection(
            name, vectors_config=it.vectors, sparse_vectors_config=it.sparse_vectors
        )  # fmt: skip

    def _of_collection(self, name: str, method: str, rest: str, body: bytes) -> Any:
        client = self.client
        done = models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)
        if (method, rest) == ("GET", ""):
            return client.get_collection(name)
        if (method, rest) == ("PUT", "index"):
            _parsed(models.CreateFieldIndex, body)
            return done
        if (method, rest) == ("PUT", "points"):
            client.upsert(name, _parsed(models.PointInsertOperations, body).points)
            return done
        if (method, rest) == ("POST", "points"):
            asked = _parsed(models.PointRequest, body)
            return client.retrieve(
                name, asked.ids, with_payload=asked.with_payload or False, with_vectors=asked.with_vector or False
            )
        if rest == "points/delete":
            client.delete(name, _parsed(models.PointsSelector, body))
            return done
        if rest == "points/count":
            asked = _parsed(models.CountRequest, body)
            return client.count(name, count_filter=asked.filter, exact=asked.exact)
        if rest == "points/scroll":
            asked = _parsed(models.ScrollRequest, body)
            points, after = client.scroll(
                name,
                scroll_filter=asked.filter,
                limit=asked.limit or 10,
                offset=asked.offset,
                with_payload=asked.with_payload,
                with_vectors=asked.with_vector or False,
            )
            return models.ScrollResult(points=points, next_page_offset=after)
        if rest == "points/query/batch":
            return client.query_batch_points(name, _parsed(models.QueryRequestBatch, body).searches)
        raise NotImplementedError(f"{method} {rest}")


def _parsed(kind: Any, body: bytes) -> Any:
    it = TypeAdapter(kind).validate_json(body)
    if isinstance(it, BaseModel):
        assert not it.__pydantic_extra__, it
    return it


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: StandIn

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        it = self.stand_in
        with it.lock:  # local mode is not made for threads
            if self.path == "/faults":
                it.faults = json.loads(body)
                return self._send(200, b"{}")
            it.calls.append(f"{self.command} {self.path}")
            if it.api_key and self.headers.get("api-key") != it.api_key:
                return self._send(401, b"Must provide an API key or an Authorization bearer token")
            status, left = it.faults.get("status"), it.faults.get("times", 1)
            if status and left:
                it.faults |= {"times": left - 1} if "times" in it.faults else {}
                return self._send(status, b'{"status":{"error":"Keller"}}')
            try:
                result = it.answer(self.command, self.path, body)
            except KeyError as missing:
                said = {"status": {"error": NO_COLLECTION.format(missing.args[0])}, "time": 0.0}
                return self._send(404, json.dumps(said).encode())
            except Exception as error:  # as a server says it of what it cannot read
                return self._send(400, json.dumps({"status": {"error": repr(error)}, "time": 0.0}).encode())
        answer = {"result": _plain(result), "status": "ok", "time": 0.0}
        if "foreign" in it.faults:
            _put_ids(answer, it.faults["foreign"])
        return self._send(200, json.dumps(answer).encode(), cut=it.faults.get("cut", ""))

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = _serve

    def _send(self, status: int, data: bytes, *, cut: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if "retry_after" in self.stand_in.faults:
            self.send_header("Retry-After", str(self.stand_in.faults["retry_after"]))
        sent = data[: len(data) // 2] if cut else data
        self.send_header("Content-Length", str(len(sent if cut == "short" else data)))
        self.end_headers()
        self.wfile.write(sent)
        if cut:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return json.loads(value.model_dump_json())
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _put_ids(value: Any, foreign: Any) -> None:
    if isinstance(value, dict):
        if "id" in value:
            value["id"] = foreign
        for item in value.values():
            _put_ids(item, foreign)
    elif isinstance(value, list):
        for item in value:
            _put_ids(item, foreign)


@contextmanager
def served(stand_in: StandIn) -> Iterator[str]:
    """The address of a stand-in that serves in a thread."""
    server = _server(stand_in)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _server(stand_in: StandIn) -> ThreadingHTTPServer:
    handler: Callable[..., BaseHTTPRequestHandler] = type("Handler", (_Handler,), {"stand_in": stand_in})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    return server


if __name__ == "__main__":
    main = _server(StandIn(api_key=sys.argv[1] if len(sys.argv) > 1 else ""))
    print(f"http://127.0.0.1:{main.server_port}", flush=True)
    main.serve_forever()
