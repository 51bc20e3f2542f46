"""A house in service: engines that search, jobs that work, keys that open, and one place to ask them all."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from freehold.core.errors import FreeholdError
from freehold.core.machine import cores
from freehold.core.traffic import Asked, Feedback
from freehold.house import House, open_house
from freehold.journeys.search import Found
from freehold.schedule import Task, planned
from freehold.serving.cache import Cache
from freehold.serving.fleet import Fleet
from freehold.serving.keys import Keys
from freehold.serving.limits import RateLimit
from freehold.serving.messages import Answered, Ask, Embed, Score, Search, Searched, Vectors
from freehold.serving.metrics import Metrics
from freehold.serving.runner import Runner
from freehold.serving.tracing import open_tracer
from freehold.serving.watch import Watch
from freehold.store.jobs import Job, Jobs

_LOOK_S = 0.5
_MOST_ENGINES = 8
"""Unless the settings want more: each holds the models in memory."""
_BEHIND_S = 20.0
"""Without a change: then the index was left behind the catalog, and whoever did that is not at work on it."""
_FIRST_LOOK_S = 300.0
"""After the start: whoever starts a service wants to search first."""
_SCHEDULE_S = 60.0
_AGAIN_S = 3600.0
"""What is still due after it was tried is tried again."""
NOBODY: Mapping[str, str] = {}
"""No caller's trace goes on here."""
log = logging.getLogger("freehold")

T = TypeVar("T")


class Service:
    """For one event loop. ``start`` before anything else, ``stop`` at the end."""

    def __init__(self, root: Path, *, engines: int = 0) -> None:
        """Opens the house for what needs no engine. ``engines``: 0 as the settings say. Raises as ``open_house``."""
        self._house = open_house(root)
        self.settings = self._house.settings
        part = self.settings.server
        self.keys = Keys(root)
        self.jobs = Jobs(root, self._house.shelf.vault)
        self.limit = RateLimit(part.rate_per_s)
        self.cache = Cache(part.cache)
        engines = engines or part.engines or min(cores(), _MOST_ENGINES)
        self.metrics = Metrics()
        self._tracer = open_tracer(part.otlp_endpoint, self.settings.house.name)
        self._runner = Runner(root, self.jobs, on_end=self._ended)
        self.fleet = Fleet(root, engines=engines, most_waiting=part.queue, on_busy=self._runner.hold)
        # One thread: a house object is for one, and what it does here takes milliseconds.
        self._office = ThreadPoolExecutor(1, thread_name_prefix="office")
        self._heard: list[Asked | Feedback] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._watch = Watch(root)
        self._look_at = math.inf
        self._tried: dict[Task, float] = {}
        self.draining = False

    async def start(self) -> None:
        """Return when searches are answered, at once where they are. Raises what the engines fail with."""
        if self._tasks:
            return
        await self.fleet.start()
        self._runner.start()
        self._look_at = time.monotonic() + _FIRST_LOOK_S
        self._tasks = [asyncio.get_running_loop().create_task(self._follow())]

    async def stop(self) -> None:
        """What still runs is cut off: jobs wait for the next start."""
        self.draining = True
        for task in self._tasks:
            task.cancel()
        await self._write_down()
        await self._runner.stop()
        await self.fleet.stop()
        self._office.shutdown()
        self._tracer.close()
        self._watch.close()
        self._house.close()

    async def house(self, do: Callable[[House], T]) -> T:
        """What needs the house and no engine, after whatever was asked for before."""
        return await asyncio.get_running_loop().run_in_executor(self._office, do, self._house)

    # -- questions ---------------------------------------------------------------------------------------------------

    async def search(self, search: Search, *, timeout_s: float, parent: Mapping[str, str] = NOBODY) -> Found:
        """Raises Overloaded, DeadlinePassed, and as ``House.search``."""
        state = self._watch.state()
        self.cache.see(state)
        kept = self.cache.get(search)
        if kept is not None:
            self.metrics.cache_hits.inc()
            return kept
        searched = cast("Searched", await self.fleet.ask(search, timeout_s=timeout_s))
        found = searched.found
        if searched.may_keep and self._watch.state() == state and self._are_at(state):
            self.cache.put(search, found, state)
        self.metrics.stages("search", found.timings_ms)
        counts = {"freehold.hits": len(found.hits), "freehold.rerank_depth": found.rerank_depth}
        self._tracer.walked("search", found.timings_ms, counts, parent)
        return found

    async def ask(
        self,
        ask: Ask,
        *,
        timeout_s: float,
        on_text: Callable[[str], None] | None = None,
        parent: Mapping[str, str] = NOBODY,
    ) -> Answered:
        """Raises Overloaded, DeadlinePassed, and as ``House.ask``."""
        answered = cast("Answered", await self.fleet.ask(ask, timeout_s=timeout_s, on_text=on_text))
        self.metrics.answered(answered)
        trace = answered.answer.trace
        counts = {"freehold.citations": len(answered.answer.citations), "freehold.abstained": answered.answer.abstained}
        self._tracer.walked("ask", trace.timings_ms, {**counts, **_models(trace.models)}, parent)
        return answered

    async def embed(self, embed: Embed, *, timeout_s: float) -> Vectors:
        """Raises Overloaded, DeadlinePassed, ContextOverflow."""
        return cast("Vectors", await self.fleet.ask(embed, timeout_s=timeout_s))

    async def score(self, score: Score, *, timeout_s: float) -> list[float]:
        """Raises Overloaded, DeadlinePassed, UsageError."""
        return cast("list[float]", await self.fleet.ask(score, timeout_s=timeout_s))

    def _are_at(self, state: tuple[int, int]) -> bool:
        """Whether every engine answers with what is live."""
        return all((one.revision, one.lineup) == state for one in self.fleet.states)

    # -- the query log -----------------------------------------------------------------------------------------------

    @property
    def keeps_log(self) -> bool:
        """Whether what is asked is kept."""
        return self.settings.traffic.query_log

    def hear(self, what: Asked | Feedback) -> None:
        """Keep it, if the settings say so: within a moment, together with others."""
        if self.keeps_log:
            self._heard.append(what)

    async def _write_down(self) -> None:
        if self._heard:
            heard, self._heard = self._heard, []
            try:
                await self.house(lambda house: house.traffic.put(heard))
            except FreeholdError as error:
                log.warning("query log not written", extra={"code": error.code, "entries": len(heard)})

    # -- work --------------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """There is a new job."""
        self._runner.wake()

    def progress_of(self, job: Job) -> Job:
        """The job with how far it is at the moment."""
        current = self._runner.current
        return current if current is not None and current.id == job.id else job

    def _ended(self, job: Job) -> None:
        log.info("job ended", extra={"job": job.id, "kind": job.kind, "state": job.state})
        self.metrics.jobs.labels(job.kind, job.state).inc()

    async def _keep_schedule(self) -> None:
        """A job for each task that is due, if the settings leave that to the service."""
        now = time.monotonic()
        if not self.settings.schedule.service or now < self._look_at:
            return
        self._look_at = now + _SCHEDULE_S
        for task in await self.house(self._due):
            if now - self._tried.get(task, -math.inf) >= _AGAIN_S:
                self._tried[task] = now
                await self.house(partial(self._add_due, task))
                self.wake()

    def _add_due(self, task: Task, _house: House) -> None:
        self.jobs.add("schedule", {"task": task})

    def _due(self, house: House) -> list[Task]:
        """Tasks that are due and no job is for."""
        now = datetime.now(UTC)
        due = [one.task for one in planned(house, now) if one.is_due(now)]
        taken = {job.given.get("task") for job in self.jobs.all() if job.kind == "schedule" and not job.is_over}
        return [task for task in due if task not in taken]

    async def _follow(self) -> None:
        """Have the engines go over to what is live, soon after it changed; and the index, where nobody else does."""
        behind: tuple[int, int] | None = None
        since = 0.0
        while True:
            try:
                state = self._watch.state()
                self.cache.see(state)
                if not self._are_at(state):
                    await self.fleet.refresh()
                if self._are_at(state) or self._runner.current is not None or state != behind:
                    behind, since = state, time.monotonic()
                elif time.monotonic() - since > _BEHIND_S:
                    since = math.inf  # once: where there is nothing to index, the index stays behind
                    await self.house(lambda _: self.jobs.add("index", {}))
                    self.wake()
                await self._keep_schedule()
            except Exception as error:  # a look that failed is no reason never to look again
                log.warning("house not looked at", extra={"error": type(error).__name__})
            await self._write_down()
            self.metrics.see(self.fleet, self.cache)
            await asyncio.sleep(_LOOK_S)


def _models(models: Mapping[str, str]) -> dict[str, str]:
    return {f"freehold.{role}": name for role, name in models.items()}
