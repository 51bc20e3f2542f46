"""The runner: takes the jobs of a house one after the other, each into a process of its own, and has it give way.

One process runs the jobs of a house. Another that serves it, an MCP server for instance, leaves them to that one, and
takes over when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from freehold.core.errors import HouseBusy, HouseFault
from freehold.core.files import storage_fault
from freehold.index.locks import FileLock
from freehold.store.jobs import Job, Jobs

_LINE_BYTES = 1 << 24
_BUSY = "house_busy"
_AGAIN_S = 2.0
_LOCK = "jobs.lock"
_LOOK_S = 1.0
_HELD_S, _LET_S = 0.225, 0.025
"""While requests are answered without a pause, the job runs a tenth of the time."""


class Runner:
    """Runs jobs until it is stopped. For one event loop; the jobs' files are written by it alone while they run."""

    def __init__(self, root: Path, jobs: Jobs, *, on_end: Callable[[Job], None] = lambda _: None) -> None:
        self._root, self._jobs, self._on_end = root, jobs, on_end
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._group = 0
        self._held = False
        self.current: Job | None = None
        """What is being done."""

    def start(self) -> None:
        """Take up what was left, then whatever comes."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    def wake(self) -> None:
        """There is a new job."""
        self._news.set()

    def hold(self, held: bool) -> None:
        """Have the job stand still, or go on: with it even an idle neighbour makes searches take twice as long, by what
        it moves through caches and memory.
        """
        self._held = held
        self._signal(signal.SIGSTOP if held else signal.SIGCONT)

    def _signal(self, what: signal.Signals) -> None:
        if self._group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._group, what)

    async def _let(self) -> None:
        """Let it run a little while it is held."""
        while True:
            await asyncio.sleep(_HELD_S)
            if self._held:
                self._signal(signal.SIGCONT)
                await asyncio.sleep(_LET_S)
                self.hold(self._held)

    async def stop(self) -> None:
        """What runs is cut off, and waits for the next start."""
        if self._task:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        lock = await self._alone()
        try:
            await asyncio.to_thread(self._jobs.resume)
            await self._work()
        finally:
            lock.release()

    async def _alone(self) -> FileLock:
        """Wait until no other process runs them: what it has begun is not to be taken up here."""
        path = self._root / _LOCK
        while True:
            try:
                return FileLock.acquire(path, shared=False)
            except HouseBusy:
                await asyncio.sleep(_AGAIN_S)
            except OSError as e:
                raise storage_fault(e, path) from None

    async def _work(self) -> None:
        while True:
            self._news.clear()
            seen = self._jobs.stamp()
            job = await asyncio.to_thread(self._jobs.next)
            if job is None:
                while not self._news.is_set() and self._jobs.stamp() == seen:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), _LOOK_S)
                continue
            self.current = await asyncio.to_thread(self._jobs.begin, job)
            try:
                ended = await self._done(self.current)
            finally:
                self.current = None
            if ended is None:  # a command on the same house was writing
                await asyncio.sleep(_AGAIN_S)
            else:
                self._on_end(ended)

    async def _done(self, job: Job) -> Job | None:
        command = (sys.executable, "-P", "-m", "freehold.serving.job", str(self._root), job.id)
        pipe = asyncio.subprocess.PIPE
        # In a group of its own in this session: where this process ends, the kernel ends a group that stands still.
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, limit=_LINE_BYTES, process_group=0
        )
        assert process.stdout is not None
        self._group = process.pid
        letting = asyncio.get_running_loop().create_task(self._let())
        last: dict[str, Any] = {}
        try:
            async for line in process.stdout:
                with contextlib.suppress(ValueError):
                    last = json.loads(line)
                if "stage" in last:
                    job = self.current = _moved(job, last)
            await process.wait()
        finally:
            self._group = 0
            letting.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
        if "result" in last:
            return await asyncio.to_thread(self._jobs.end, job, result=last["result"])
        if "error" not in last:
            last = dict(HouseFault("the job's process ended", hint="see the service's log; start it again").as_dict())
        error = last["error"]
        if error.get("code") == _BUSY:
            await asyncio.to_thread(self._jobs.update, job, state="waiting")
            return None
        return await asyncio.to_thread(self._jobs.end, job, error=error)


def _moved(job: Job, told: Mapping[str, Any]) -> Job:
    return replace(job, stage=told["stage"], done=told["done"], total=told["total"])
