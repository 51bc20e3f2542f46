"""An engine process holds a house and does what it is sent: ``python -m freehold.serving.engine CONNECTION_FD HOUSE``.

A process of its own because the vector engine holds the GIL for whole calls, and so that what goes wrong here takes no
connection down. One thread searches: what waits together is embedded together. Wording an answer may take as long as a
model takes, so answers are written in threads beside it, from what the one thread found.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, SimpleQueue

from freehold.core.egress import inherit
from freehold.core.errors import FreeholdError, HouseFault
from freehold.core.types import Query
from freehold.index.builder_process import end_with_parent
from freehold.journeys.search import Found, Plan, Reading, Stopwatch, found
from freehold.serving.desk import Desk
from freehold.serving.messages import Ask, DeadlinePassed, Embed, Refresh, Reply, Request, Score, Search

MOST_TOGETHER = 16
"""Questions that are embedded in one pass: with more the first would wait for the last."""
ANSWERERS = 8
"""Answers that are written at the same time."""
_POLL_S = 0.2
_TIGHT_MS = 400.0
"""With less time than this left, reranking keeps to it."""
_AFTER_RERANKING_MS = 10.0


class Engine:
    """One house, and what answers from it at the moment."""

    def __init__(self, root: Path, connection: Connection) -> None:
        self._root, self._connection = root, connection
        self._sending = threading.Lock()
        self._answerers = ThreadPoolExecutor(ANSWERERS, thread_name_prefix="answer")
        self._refresher = ThreadPoolExecutor(1, thread_name_prefix="refresh")
        self._next: SimpleQueue[tuple[Request, Desk]] = SimpleQueue()
        self._desk = Desk(root)

    def run(self) -> None:
        """Until the front is gone."""
        self._reply(Reply(-1, "done", self._desk.state))
        while True:
            with contextlib.suppress(Empty):
                self._take_over(*self._next.get_nowait())
            if self._connection.poll(_POLL_S):
                self._serve(self._waiting())

    def _waiting(self) -> list[Request]:
        batch = [self._connection.recv()]
        while len(batch) < MOST_TOGETHER and self._connection.poll(0):
            batch.append(self._connection.recv())
        return batch

    def _serve(self, requests: Sequence[Request]) -> None:
        asked: list[tuple[Request, Search | Ask]] = []
        for request in requests:
            message = request.message
            if isinstance(message, Search | Ask):
                asked.append((request, message))
            elif isinstance(message, Embed):
                self._told(request, partial(self._desk.embed, message))
            elif isinstance(message, Score):
                self._told(request, partial(self._desk.score, message))
            else:
                self._refresher.submit(self._refresh, request)
        if asked:
            self._find(asked)

    def _find(self, asked: Sequence[tuple[Request, Search | Ask]]) -> None:
        """One pass of the embedder over all questions, then one search after the other."""
        desk = self._desk
        ready: list[tuple[Request, Search | Ask, Query, Plan]] = []
        for request, message in asked:
            with self._failures(request):
                _check_time(request)
                ready.append((request, message, *desk.read(message)))
        if not ready:
            return
        started = time.perf_counter()
        try:
            read = Reading.of([query for *_, query, _ in ready], [plan for *_, plan in ready], desk.engines)
        except Exception as error:
            for request, *_ in ready:
                self._fail(request, error)
            return
        embed_ms = (time.perf_counter() - started) * 1000
        for row, (request, message, query, plan) in enumerate(ready):
            with self._failures(request):
                _check_time(request)
                k = message.k if isinstance(message, Search) else desk.voice.passages
                tight = _in_time(plan, request)
                watch = Stopwatch(embed=embed_ms)
                hits = found(query, read, row, k=k, plan=tight, engines=desk.engines, watch=watch)
                if isinstance(message, Search):
                    self._reply(Reply(request.number, "done", desk.searched(query, hits)))
                else:
                    desk.hold()
                    self._answerers.submit(self._answer, desk, request, query, plan, hits)

    def _answer(self, desk: Desk, request: Request, query: Query, plan: Plan, hits: Found) -> None:
        def on_text(piece: str) -> None:
            self._reply(Reply(request.number, "text", piece))

        with contextlib.closing(desk):  # lets go of it once
            self._told(request, lambda: desk.answer(query, plan, hits, on_text, deadline=request.deadline))

    # -- what is live changes ----------------------------------------------------------------------------------------

    def _refresh(self, request: Request) -> None:
        """Open what is live now beside what answers. Searches go on meanwhile."""
        assert isinstance(request.message, Refresh)
        with self._failures(request):
            if self._desk.is_stale():
                self._next.put((request, Desk(self._root, lender=self._desk)))
            else:
                self._reply(Reply(request.number, "done", self._desk.state))

    def _take_over(self, request: Request, desk: Desk) -> None:
        """Between two searches: a generation that nobody searches is let go of, so that an erasure can overwrite it."""
        before, self._desk = self._desk, desk
        before.retire()
        self._reply(Reply(request.number, "done", desk.state))

    # -- replies -----------------------------------------------------------------------------------------------------

    def _told(self, request: Request, do: Callable[[], object]) -> None:
        with self._failures(request):
            _check_time(request)
            self._reply(Reply(request.number, "done", do()))

    @contextlib.contextmanager
    def _failures(self, request: Request) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._fail(request, error)

    def _fail(self, request: Request, error: Exception) -> None:
        if not isinstance(error, FreeholdError | DeadlinePassed):
            print(f"engine: {type(error).__name__} in request {request.number}", file=sys.stderr)  # noqa: T201
            error = HouseFault("the engine failed", hint="see the service's log; the request may be sent again")
        self._reply(Reply(request.number, "failed", error))

    def _reply(self, reply: Reply) -> None:
        with self._sending:
            self._connection.send(reply)


def _check_time(request: Request) -> None:
    if time.monotonic() >= request.deadline:
        raise DeadlinePassed


def _in_time(plan: Plan, request: Request) -> Plan:
    """Reranking keeps to what is left of the request's time: with less depth, as the reply tells."""
    left_ms = (request.deadline - time.monotonic()) * 1000
    if not plan.rerank_depth or left_ms > _TIGHT_MS:
        return plan
    budget_ms = max(1.0, left_ms - _AFTER_RERANKING_MS)
    return replace(plan, rerank_budget_ms=min(budget_ms, plan.rerank_budget_ms or budget_ms))


def main() -> None:
    """Serve until the other end of the connection is closed."""
    inherit()
    end_with_parent()
    connection_fd, root = sys.argv[1:]
    connection: Connection = Connection(int(connection_fd))
    try:
        engine = Engine(Path(root), connection)
    except FreeholdError as error:
        connection.send(Reply(-1, "failed", error))
        return
    with contextlib.suppress(EOFError, OSError):
        engine.run()


if __name__ == "__main__":
    main()
