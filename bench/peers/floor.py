"""The physical floor: the engine calls that Freehold made, made again with nothing around them.

What Freehold hands to ONNX Runtime and to Qdrant Edge is recorded while it does its work, and replayed on the clock:
the same token batches through a bare session, the same vectors through the bare shard.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from common import Options, serve
from peer_freehold import Freehold


class Recorder:
    """An engine that remembers the arguments of every call of one method."""

    def __init__(self, engine: Any, method: str) -> None:
        self.engine = engine
        self.call = getattr(engine, method)
        self.calls: list[tuple[Any, ...]] = []
        setattr(self, method, self._record)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def _record(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        return self.call(*arguments)

    def taken(self) -> list[tuple[Any, ...]]:
        calls, self.calls = self.calls, []
        return calls


class Floor(Freehold):
    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.threads = options.threads

    def timed_ingest(self, corpus: Path) -> tuple[int, float]:
        self.session = self._record_session()
        count = self.ingest(corpus)
        calls = self.session.taken()
        begin = time.perf_counter()
        with ThreadPoolExecutor(self.threads) as pool:
            _exhaust(pool.map(lambda arguments: self.session.call(*arguments), calls))
        return count, time.perf_counter() - begin

    def open(self, store: Path) -> None:
        super().open(store)
        self.session = self._record_session()
        self.house.search("what must be done", k=1)  # opens the index
        self.shard = Recorder(self.house.indexes._open._shard, "query_batch")
        self.house.indexes._open._shard = self.shard

    def timed_search(self, text: str, k: int) -> tuple[list[str], float]:
        self.session.taken()
        self.shard.taken()
        found = self.search(text, k)
        runs, searches = self.session.taken(), self.shard.taken()
        begin = time.perf_counter()
        for arguments in runs:
            self.session.call(*arguments)
        for arguments in searches:
            self.shard.call(*arguments)
        return found, (time.perf_counter() - begin) * 1000

    def _record_session(self) -> Recorder:
        recorder = Recorder(self.house.embedder._session, "run")
        self.house.embedder._session = recorder
        return recorder


def _exhaust(results: Iterable[Any]) -> None:
    for _ in results:
        pass


if __name__ == "__main__":
    serve(Floor)
