"""Load: searches by several clients at once, each a process of its own, as several servers over one house would be."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import Empty
from threading import BrokenBarrierError
from typing import Any

from freehold.core.errors import HouseFault
from freehold.core.experiment import Load
from freehold.journeys.evaluate import WARM_UP
from freehold.journeys.ingest import Progress
from freehold.measure.latency import quantiles

Search = Callable[[str], object]
OpenSearch = Callable[[int], AbstractContextManager[Search]]
"""Number of processor threads that a client may use -> a way to search; it must be picklable."""

STARTING_S = 120.0


def under_load(
    open_search: OpenSearch, texts: Sequence[str], *, clients: Sequence[int], cores: int, seconds: float,
    progress: Progress,
) -> tuple[Load, ...]:  # fmt: skip
    """Throughput and latency at each number of ``clients``, each level ``seconds`` long.

    A client asks its next query when it has its answer (a closed loop), so queries per second are what this machine
    can do and not what it is offered. Clients begin at different places of ``texts``. Raises HouseFault when one dies.
    """
    loads = []
    for done, count in enumerate(clients, 1):
        loads.append(_level(open_search, texts, count, max(1, cores // count), seconds))
        progress("load", done, len(clients))
    return tuple(loads)


def _level(open_search: OpenSearch, texts: Sequence[str], count: int, threads: int, seconds: float) -> Load:
    context = multiprocessing.get_context("spawn")
    together, answers = context.Barrier(count), context.Queue()
    cuts = [len(texts) * n // count for n in range(count)]
    shifts = [[*texts[cut:], *texts[:cut]] for cut in cuts]
    workers = [
        context.Process(target=_client, args=(open_search, threads, own, seconds, together, answers), daemon=True)
        for own in shifts
    ]
    for worker in workers:
        worker.start()
    told: list[tuple[str, list[float], float]] = []
    try:
        while len(told) < count:
            try:
                told.append(answers.get(timeout=1.0))
            except Empty:
                if any(worker.exitcode for worker in workers):
                    raise HouseFault("a client of the load test was killed", hint="try fewer --clients") from None
    finally:
        for worker in workers:
            worker.join(timeout=5)
            worker.kill()
    reasons = [reason for reason, _, _ in told if reason]
    if reasons:
        failed = next((reason for reason in reasons if reason != BrokenBarrierError.__name__), reasons[0])
        raise HouseFault(f"a client of the load test failed: {failed}", hint="try fewer --clients")
    times = [ms for _, own, _ in told for ms in own]
    rate = sum(len(own) / (sum(own) / 1000) for _, own, _ in told)
    return Load(count, round(rate, 2), quantiles(times), round(sum(mb for _, _, mb in told), 1))


def _client(
    open_search: OpenSearch, threads: int, texts: Sequence[str], seconds: float, together: Barrier, answers: Any
) -> None:
    try:
        with open_search(threads) as search:
            for text in texts[:WARM_UP]:
                search(text)
            together.wait(STARTING_S)
            times: list[float] = []
            begin = last = time.perf_counter()
            while last - begin < seconds:
                search(texts[len(times) % len(texts)])
                now = time.perf_counter()
                times.append((now - last) * 1000)
                last = now
            answers.put(("", times, memory_mb()))
    except Exception as error:  # the process boundary: the parent is told by kind, not in people's words
        answers.put((type(error).__name__, [], 0.0))
        together.abort()


def memory_mb() -> float:
    """Proportional set size of this process in MB: memory shared by n processes counts 1/n in each."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1000
    return 0.0
