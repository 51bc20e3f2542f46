"""The front's end of the engine processes: a request goes to the one with least to do and comes back as a result."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

from freehold.core.errors import FreeholdError, HouseFault
from freehold.core.machine import SHARE, cores
from freehold.serving.messages import DeadlinePassed, Message, Refresh, Reply, Request, State

START_S = 120.0
_AGAIN_S = (0.2, 1.0, 5.0, 15.0)
"""Before an engine that ended is started again: longer each time that it does so at once."""
_LIVED_S = 30.0
_STOP_S = 5.0
_LONG_S = 0.5
"""Until then a request is taken for one that an engine computes."""


class Overloaded(Exception):
    """More waits than can be done in time."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class EngineLost(HouseFault):
    """An engine process ended while it had the request."""

    code = "engine_lost"


@dataclass
class _Waiting:
    """One request that is with an engine."""

    future: asyncio.Future[Any]
    on_text: Callable[[str], None] | None


class Fleet:
    """A number of engine processes over one house. For one event loop."""

    def __init__(
        self, root: Path, *, engines: int, most_waiting: int, on_busy: Callable[[bool], None] = lambda _: None
    ) -> None:
        """``most_waiting``: requests that are with the engines at a time; what comes beyond is refused at once.
        ``on_busy`` is told when they begin to compute, and when they have nothing to do.
        """
        self._on_busy = on_busy
        self._asked = 0
        self._engines = [_Engine(root, place, threads=max(1, cores() // engines)) for place in range(engines)]
        self._most_waiting = most_waiting
        self._pace_s = 0.02
        """How long an engine takes for a request, a running mean."""

    async def start(self) -> None:
        """Return when all of them answer. Raises what they fail with."""
        await asyncio.gather(*(engine.start() for engine in self._engines))

    async def stop(self) -> None:
        """End them. What they still have fails."""
        await asyncio.gather(*(engine.stop() for engine in self._engines))

    @property
    def waiting(self) -> int:
        """Requests that are with an engine."""
        return sum(len(engine.waiting) for engine in self._engines)

    @property
    def size(self) -> int:
        """How many there are to be."""
        return len(self._engines)

    @property
    def states(self) -> list[State]:
        """What each engine that is up answers with."""
        return [engine.state for engine in self._engines if engine.state is not None]

    async def ask(self, message: Message, *, timeout_s: float, on_text: Callable[[str], None] | None = None) -> Any:
        """The reply to a message.

        Raises Overloaded, DeadlinePassed, EngineLost, and what the engine failed with.
        """
        up = [engine for engine in self._engines if engine.state is not None]
        if not up:
            raise Overloaded(1)
        if self.waiting >= self._most_waiting:
            raise Overloaded(max(1, math.ceil(self.waiting * self._pace_s / len(up))))
        engine = min(up, key=lambda one: len(one.waiting))
        started = time.monotonic()
        done = self._begun()
        try:
            return await engine.ask(message, timeout_s=timeout_s, on_text=on_text)
        finally:
            done()
            share = (time.monotonic() - started) / max(1, len(engine.waiting) + 1)
            self._pace_s += 0.05 * (share - self._pace_s)

    def _begun(self) -> Callable[[], None]:
        """A request is at work; what is returned is to be called when it is no more. One that takes long waits for a
        language model, and is not counted.
        """
        self._asked += 1
        if self._asked == 1:
            self._on_busy(True)
        over = False

        def done() -> None:
            nonlocal over
            timer.cancel()
            if not over:
                over = True
                self._asked -= 1
                if not self._asked:
                    self._on_busy(False)

        timer = asyncio.get_running_loop().call_later(_LONG_S, done)
        return done

    async def refresh(self) -> None:
        """Have them go over to what is live now, one after the other."""
        for engine in self._engines:
            if engine.state is not None:
                with contextlib.suppress(FreeholdError, DeadlinePassed):
                    engine.state = await engine.ask(Refresh(), timeout_s=START_S)


class _Engine:
    """One process, started again whenever it ends."""

    def __init__(self, root: Path, place: int, threads: int) -> None:
        self._root, self._place = root, place
        self._environment = {**os.environ, SHARE: str(threads)}
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._outbox: SimpleQueue[Request | None] = SimpleQueue()
        self._count = 0
        self._stopping = False
        self._lost = 0
        self._started = 0.0
        self._again: asyncio.Task[None] | None = None
        self.waiting: dict[int, _Waiting] = {}
        self.state: State | None = None
        """None while it is not up."""

    async def start(self) -> None:
        ours, theirs = Pipe()
        command = [sys.executable, "-P", "-m", "freehold.serving.engine", str(theirs.fileno()), str(self._root)]
        self._process = subprocess.Popen(
            command, pass_fds=(theirs.fileno(),), stdin=subprocess.PIPE, env=self._environment
        )
        theirs.close()
        self._connection = ours
        self._started = time.monotonic()
        loop = asyncio.get_running_loop()
        up: asyncio.Future[State] = loop.create_future()
        self.waiting[-1] = _Waiting(up, None)
        self._outbox = SimpleQueue()
        name = f"engine-{self._place}"
        threading.Thread(target=self._listen, args=(ours, loop), name=name, daemon=True).start()
        threading.Thread(target=_send_all, args=(ours, self._outbox), name=f"to-{name}", daemon=True).start()
        try:
            self.state = await asyncio.wait_for(up, START_S)
        except TimeoutError:
            raise HouseFault(f"an engine process did not start in {START_S:.0f} s", hint="see the log") from None

    def _listen(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        """In a thread of its own: every reply is handed to the loop, until the process ends."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            with contextlib.suppress(EOFError, OSError):
                while True:
                    loop.call_soon_threadsafe(self._took, connection.recv())
            loop.call_soon_threadsafe(self._ended)

    def _took(self, reply: Reply) -> None:
        waiting = self.waiting.get(reply.number)
        if waiting is None:
            return  # nobody waits for it any more
        if reply.kind == "text":
            if waiting.on_text:
                waiting.on_text(cast("str", reply.load))
            return
        del self.waiting[reply.number]
        if waiting.future.done():
            return
        if reply.kind == "failed":
            waiting.future.set_exception(cast("Exception", reply.load))
        else:
            waiting.future.set_result(reply.load)

    def _ended(self) -> None:
        """What it had is told, and it is started again."""
        self.state = None
        for waiting in self.waiting.values():
            if not waiting.future.done():
                lost = EngineLost("an engine process ended", hint="send the request again; see the service's log")
                waiting.future.set_exception(lost)
        self.waiting.clear()
        if not self._stopping and (self._again is None or self._again.done()):
            self._lost = self._lost + 1 if time.monotonic() - self._started < _LIVED_S else 0
            self._again = asyncio.get_running_loop().create_task(self._start_again())

    async def _start_again(self) -> None:
        while not self._stopping:
            await asyncio.sleep(_AGAIN_S[min(self._lost, len(_AGAIN_S) - 1)])
            self._reap()
            try:
                await self.start()
            except FreeholdError:
                self._lost += 1
            else:
                return

    async def ask(self, message: Message, *, timeout_s: float, on_text: Callable[[str], None] | None = None) -> Any:
        self._count += 1
        number = self._count
        deadline = time.monotonic() + timeout_s
        waiting = _Waiting(asyncio.get_running_loop().create_future(), on_text)
        self.waiting[number] = waiting
        self._outbox.put(Request(number, message, deadline))
        try:
            return await asyncio.wait_for(waiting.future, timeout_s)
        except TimeoutError:
            raise DeadlinePassed from None
        finally:
            self.waiting.pop(number, None)

    async def stop(self) -> None:
        self._stopping = True
        if self._again:
            self._again.cancel()
        self._reap()

    def _reap(self) -> None:
        self._outbox.put(None)
        if self._connection:
            self._connection.close()
        if self._process:
            if self._process.stdin:
                self._process.stdin.close()  # the kernel ends it: see ``end_with_parent``
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_S)
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()
            self._process = None


def _send_all(connection: Connection, outbox: SimpleQueue[Request | None]) -> None:
    """In a thread of its own: a pipe is full while the engine is at work, and the front must not wait for that."""
    with contextlib.suppress(OSError):
        while (request := outbox.get()) is not None:
            connection.send(request)
