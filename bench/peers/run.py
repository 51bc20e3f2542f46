"""Freehold beside Haystack, LlamaIndex and txtai: same weights, same passages, same machine, one run.

Every system is a process of its own, in its own virtual environment. Ingest speed is taken from a sample of the corpus
that the systems ingest in turns; the whole corpus is ingested once by each, and its index answers the queries, which
are put in rounds that take turns as well, so that noise of the machine falls on all alike.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from data import K, Task, prepare
from freehold.models.pull import pull
from report import Findings, Measured, build, markdown
from systems import BENCH, ENTRIES, HERE, ROOT, SetupFailed, python_of
from worker import Worker, WorkerFailed, disk_bytes

DEFAULT_SYSTEMS = ("freehold", "haystack", "llamaindex", "txtai")
FLOOR = "floor"
MODEL = "all-minilm-l6-v2"
"""Pulled and verified by Freehold; its folder is what the peers load as well."""


class Bench:
    """One run: its task, its settings, and what has been found so far."""

    def __init__(self, task: Task, *, work: Path, model: Path, threads: int, names: list[str]) -> None:
        self.task = task
        self.work = work
        self.model = model
        self.threads = threads
        self.found: Findings = {name: Measured(ENTRIES[name].label, batch=ENTRIES[name].batch) for name in names}

    @property
    def alive(self) -> list[str]:
        return [name for name, measured in self.found.items() if not measured.failure]

    def set_up(self) -> None:
        """Make the environments and ask every system for its versions."""
        for name in self.alive:
            with self._blame(name), self._worker(name) as worker:
                self.found[name].versions = worker.ask(do="versions")

    def ingest_slices(self, rounds: int) -> None:
        """Every system ingests the same sample of the corpus, in turns."""
        for number in range(rounds):
            for name in _turned(self.alive, number):
                store = self.work / f"slice-{name}-{number}"
                with self._blame(name), self._worker(name) as worker:
                    rate = self._ingest(worker, self.task.slice, store)["per_s"]
                    self.found[name].slices_per_s.append(rate)
                    say(f"sample {number + 1}/{rounds}  {name}: {rate:.1f} passages/s")
                shutil.rmtree(store, ignore_errors=True)

    def ingest_all(self) -> None:
        """Every system ingests the whole corpus, one after the other."""
        for name in self.alive:
            if name == FLOOR:
                continue
            with self._blame(name), self._worker(name) as worker:
                answer = self._ingest(worker, self.task.full, self._store(name))
                measured = self.found[name]
                measured.full_s, measured.full_per_s = answer["seconds"], answer["per_s"]
                measured.ingest_peak_bytes = worker.peak_bytes
                measured.disk_bytes = disk_bytes(self._store(name))
                say(f"whole corpus  {name}: {answer['per_s']:.1f} passages/s")

    def query(self, rounds: int) -> None:
        """Every system answers every query once, in rounds that take turns."""
        with ExitStack() as stack:
            workers: dict[str, Worker] = {}
            for name in self.alive:
                with self._blame(name):
                    workers[name] = stack.enter_context(self._worker(name))
                    self.found[name].open_s = workers[name].ask(do="open", store=str(self._store(name)))["seconds"]
                    workers[name].ask(do="query", texts=self.task.warm_queries, k=K)
            ids = list(self.task.queries)
            for number in range(rounds):
                part = ids[number::rounds]
                for name in _turned([n for n in workers if n in self.alive], number):
                    with self._blame(name):
                        self._query(name, workers[name], part)
                say(f"queries  round {number + 1}/{rounds} done")

    def judge(self) -> str:
        """Score the rankings; the version of ir-measures, or why there are no scores."""
        runs = {name: self.found[name].rankings for name in self.alive if name != FLOOR}
        task = json.dumps({"qrels": self.task.qrels, "runs": runs})
        try:
            command = [str(python_of("judge")), str(HERE / "judge.py")]
        except SetupFailed as e:
            return clean(f"none: {e}")
        done = subprocess.run(command, input=task, capture_output=True, text=True, check=False)
        if done.returncode:
            return clean(f"none: {done.stderr.strip().splitlines()[-1]}")
        verdict = json.loads(done.stdout)
        for name, score in verdict["scores"].items():
            self.found[name].ndcg_10 = score
        return str(verdict["version"])

    def _ingest(self, worker: Worker, corpus: Path, store: Path) -> dict[str, float]:
        warm = self.work / f"warm-{worker.entry.name}"
        shutil.rmtree(warm, ignore_errors=True)
        worker.ask(do="ingest", corpus=str(self.task.warm), store=str(warm))
        answer = worker.ask(do="ingest", corpus=str(corpus), store=str(store))
        return answer | {"per_s": answer["passages"] / answer["seconds"]}

    def _query(self, name: str, worker: Worker, part: list[str]) -> None:
        answer = worker.ask(do="query", texts=[self.task.queries[query] for query in part], k=K)
        measured = self.found[name]
        measured.query_ms.append(answer["ms"])
        measured.rankings.update(zip(part, answer["ids"], strict=True))
        if name != FLOOR:
            measured.serve_peak_bytes = worker.peak_bytes

    def _worker(self, name: str) -> Worker:
        return Worker(ENTRIES[name], model=self.model, threads=self.threads)

    def _store(self, name: str) -> Path:
        # The floor repeats the engine calls that Freehold's own index answers.
        return self.work / f"full-{'freehold' if name == FLOOR else name}"

    @contextmanager
    def _blame(self, name: str) -> Iterator[None]:
        """A system that fails is out of the run, with its reason; the others go on."""
        try:
            yield
        except (WorkerFailed, SetupFailed) as e:
            self.found[name].failure = clean(str(e))
            say(f"{name} failed: {self.found[name].failure}")


def _turned(names: list[str], by: int) -> list[str]:
    """Whoever came first in one round comes last in the next."""
    by %= len(names) or 1
    return names[by:] + names[:by]


def say(message: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S}  {message}", file=sys.stderr, flush=True)


def clean(message: str) -> str:
    """A message without the paths of this machine."""
    return message.replace(str(ROOT), "<checkout>").replace(str(Path.home()), "~")[:500]


def main() -> int:
    options = _options()
    if not (options.data / "corpus.jsonl").is_file():
        print(f"{options.data} holds no corpus.jsonl: give a BEIR folder with --data", file=sys.stderr)
        return 2
    names = [name for name in options.systems.split(",") if name]
    unknown = [name for name in names if name not in ENTRIES]
    if unknown:
        print(f"unknown systems {unknown}, known: {', '.join(ENTRIES)}", file=sys.stderr)
        return 2
    if "freehold" in names:
        names.append(FLOOR)
    work = BENCH / "work"
    shutil.rmtree(work, ignore_errors=True)
    try:
        return _run(options, names, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run(options: argparse.Namespace, names: list[str], work: Path) -> int:
    task = prepare(
        options.data,
        work,
        limit_passages=options.limit_passages,
        slice_passages=options.slice_passages,
        queries=options.queries,
        split=options.split,
        seed=options.seed,
    )
    load = os.getloadavg()[0]
    bench = Bench(task, work=work, model=pull(MODEL), threads=options.threads, names=names)
    begin = time.monotonic()
    steps: list[Callable[[], object]] = [
        bench.set_up,
        lambda: bench.ingest_slices(options.slice_rounds),
        bench.ingest_all,
        lambda: bench.query(options.rounds),
    ]
    for step in steps:
        step()
    judge_version = bench.judge()
    settings = {
        "dataset": options.data.resolve().name,
        "split": options.split,
        "passages": task.passages,
        "sample_passages": task.slice_passages,
        "sample_rounds": options.slice_rounds,
        "queries": len(task.queries),
        "query_rounds": options.rounds,
        "threads": options.threads,
        "seed": options.seed,
        "load_average_at_start": round(load, 2),
        "minutes": round((time.monotonic() - begin) / 60, 1),
        "ir_measures": judge_version,
    }
    result = build(bench.found, settings)
    text = markdown(result)
    _write(options.out, result, text)
    print(text)
    return 1 if any(measured.failure for measured in bench.found.values()) else 0


def _write(folder: Path, result: dict[str, object], text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"peers-{result['dataset']}-{datetime.now(UTC):%Y-%m-%d-%H%M}"
    (folder / f"{stem}.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (folder / f"{stem}.md").write_text(text, encoding="utf-8")
    say(f"written {stem}.json and .md")


def _options() -> argparse.Namespace:
    data = Path(os.environ.get("FREEHOLD_DATA") or ROOT.parent / "shared" / "data")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, default=data / "obliqa", help="BEIR folder: corpus.jsonl, queries.jsonl, qrels/")
    add("--split", default="dev", help="which qrels")
    add("--limit-passages", type=int, default=0, help="0: all; judged passages are always among them")
    add("--slice-passages", type=int, default=1000, help="size of the sample for ingest speed")
    add("--slice-rounds", type=int, default=2, help="how often each system ingests the sample")
    add("--queries", type=int, default=0, help="how many judged queries to ask; 0: all")
    add("--rounds", type=int, default=10, help="rounds that the queries are asked in")
    add("--systems", default=",".join(DEFAULT_SYSTEMS), help=f"of {', '.join(n for n in ENTRIES if n != FLOOR)}")
    add("--threads", type=int, default=os.cpu_count() or 1)
    add("--seed", type=int, default=20261123)
    add("--out", type=Path, default=HERE.parent / "results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
