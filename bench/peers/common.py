"""What every worker shares: the corpus, the measured steps, and the talk with the driver. Standard library only.

A worker is a process of its own that holds one system. It reads commands as JSON lines from standard input and answers
each with one JSON line; whatever the system prints goes to standard error, so that nothing gets between the lines.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

CANDIDATES = 100
"""Hits that every system takes from each of its two legs before it fuses them."""
CHUNK_TOKENS = 256
"""What the model reads: longer passages are cut, so that every system embeds all of every passage."""
CHUNK_WORDS = 170
"""As many tokens in words, for splitters that count words."""
OVERLAP_WORDS = 20


@dataclass(frozen=True)
class Passage:
    """A record of a BEIR corpus."""

    id: str
    title: str
    text: str


@dataclass(frozen=True)
class Options:
    """How a worker runs its system: ``model`` is the folder of the weights for systems that take one."""

    model: str
    threads: int
    batch: int


class System:
    """One system under measurement. ``timed_*`` may be overridden where something else than the call is the measure."""

    packages: Sequence[str] = ()

    def prepare(self, store: Path) -> None:
        """Everything that is not ingesting: load models, make an empty store at ``store``."""

    def ingest(self, corpus: Path) -> int:
        """Read, cut, embed, index and persist the corpus; the number of passages."""
        raise NotImplementedError

    def open(self, store: Path) -> None:
        """Open what another process has persisted."""
        raise NotImplementedError

    def search(self, text: str, k: int) -> list[str]:
        """Ids of the ``k`` best passages, best first."""
        raise NotImplementedError

    def timed_ingest(self, corpus: Path) -> tuple[int, float]:
        """Passages, and the seconds on the clock that they took."""
        begin = time.perf_counter()
        count = self.ingest(corpus)
        return count, time.perf_counter() - begin

    def timed_search(self, text: str, k: int) -> tuple[list[str], float]:
        """Ids of the best passages, and the milliseconds on the clock that they took."""
        begin = time.perf_counter()
        ids = self.search(text, k)
        return ids, (time.perf_counter() - begin) * 1000


def passages(corpus: Path) -> Iterator[Passage]:
    """The records of the folder's ``corpus.jsonl``."""
    with (corpus / "corpus.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            yield Passage(record["_id"], record.get("title") or "", record["text"])


def distinct(ids: Sequence[str], k: int) -> list[str]:
    """The first ``k`` passages of a ranking of chunks: a passage stands where its best chunk does."""
    return list(dict.fromkeys(ids))[:k]


def serve(make: Callable[[Options], System]) -> None:
    """Answer the driver's commands until it hangs up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batch", type=int, default=8)
    options = Options(**vars(parser.parse_args()))
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    system = make(options)
    for line in sys.stdin:
        try:
            answer = _obey(system, json.loads(line))
        except Exception as e:  # the driver shows the reason and goes on with the other systems
            answer = {"error": f"{type(e).__name__}: {e}"}
            sys.excepthook(*sys.exc_info())
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _obey(system: System, command: dict[str, Any]) -> dict[str, Any]:
    match command:
        case {"do": "ingest", "corpus": corpus, "store": store}:
            system.prepare(Path(store))
            count, seconds = system.timed_ingest(Path(corpus))
            return {"passages": count, "seconds": seconds}
        case {"do": "open", "store": store}:
            begin = time.perf_counter()
            system.open(Path(store))
            return {"seconds": time.perf_counter() - begin}
        case {"do": "query", "texts": texts, "k": k}:
            found = [system.timed_search(text, k) for text in texts]
            return {"ids": [ids for ids, _ in found], "ms": [ms for _, ms in found]}
        case {"do": "versions"}:
            return {name: version(name) for name in system.packages}
    raise ValueError(f"unknown command {command.get('do')!r}")
