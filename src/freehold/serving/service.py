"""A house in service: engines that search, jobs that work, keys that open, and one place to ask them all."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar, cast

from freehold.core.errors import FreeholdError
from freehold.house import House, open_house
from freehold.journeys.search import Found
from freehold.serving.cache import Cache
from freehold.serving.fleet import Fleet
from freehold.serving.jobs import Job, Jobs
from freehold.serving.keys import Keys
from freehold.serving.limits import RateLimit
from freehold.serving.messages import Answered, Ask, Embed, Score, Search, Vectors
from freehold.serving.metrics import Metrics
from freehold.serving.runner import Runner
from freehold.serving.watch import Watch

_LOOK_S = 0.5
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
        engines = engines or part.engines or max(1, (os.cpu_count() or 1) // 2)
        self.fleet = Fleet(root, engines=engines, most_waiting=part.queue)
        self.metrics = Metrics()
        self._runner = Runner(root, self.jobs, on_end=self._ended)
        # One thread: a house object is for one, and what it does here takes milliseconds.
        self._office = ThreadPoolExecutor(1, thread_name_prefix="office")
        self._tasks: list[asyncio.Task[None]] = []
        self._watch = Watch(root)
        self.draining = False

    async def start(self) -> None:
        """Return when searches are answered. Raises what the engines fail with."""
        await self.fleet.start()
        self._runner.start()
        self._tasks = [asyncio.get_running_loop().create_task(self._follow())]

    async def stop(self) -> None:
        """What still runs is cut off: jobs wait for the next start."""
        self.draining = True
        for task in self._tasks:
            task.cancel()
        await self._runner.stop()
        await self.fleet.stop()
        self._office.shutdown()
        self._watch.close()
        self._house.close()

    async def house(self, do: Callable[[House], T]) -> T:
        """What needs the house and no engine, after whatever was asked for before."""
        return await asyncio.get_running_loop().run_in_executor(self._office, do, self._house)

    # -- questions ---------------------------------------------------------------------------------------------------

    async def search(self, search: Search, *, timeout_s: float) -> Found:
        """Raises Overloaded, DeadlinePassed, and as ``House.search``."""
        state = self._watch.state()
        self.cache.see(state)
        kept = self.cache.get(search)
        if kept is not None:
            return kept
        found = cast("Found", await self.fleet.ask(search, timeout_s=timeout_s))
        if self._watch.state() == state and self._are_at(state):
            self.cache.put(search, found, state)
        self.metrics.stages("search", found.timings_ms)
        return found

    async def ask(self, ask: Ask, *, timeout_s: float, on_text: Callable[[str], None] | None = None) -> Answered:
        """Raises Overloaded, DeadlinePassed, and as ``House.ask``."""
        answered = cast("Answered", await self.fleet.ask(ask, timeout_s=timeout_s, on_text=on_text))
        self.metrics.answered(answered)
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

    async def _follow(self) -> None:
        """Have the engines go over to what is live, soon after it changed."""
        while True:
            with contextlib.suppress(FreeholdError):
                state = self._watch.state()
                self.cache.see(state)
                if not self._are_at(state):
                    await self.fleet.refresh()
            self.metrics.see(self.fleet, self.cache)
            await asyncio.sleep(_LOOK_S)
