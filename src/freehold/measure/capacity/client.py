"""Puts load on an HTTP service from a process of its own: ``python client.py PLAN.json`` prints what it saw as JSON.

Closed loop: so many clients, each sends the next request when it has its answer. Open loop: requests are due at random
times of a fixed mean rate (a Poisson process) or at fixed ones, whether earlier ones are answered or not; latency
counts from when a request was due, so that a service that stalls is not excused by the requests that could not be sent
meanwhile (coordinated omission: Tene, "How NOT to measure latency").

The client watches itself: how late its own loop wakes is its send lag, and no fault of the service.

Needs the standard library alone, and little of a processor: a connection is a socket that is kept open.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Plan:
    """What to send, where, and how."""

    host: str
    port: int
    path: str
    headers: dict[str, str]
    bodies: list[str]
    """Taken in turns."""
    mode: str
    """``closed`` or ``open``."""
    seconds: float
    clients: int = 8
    """Closed loop: clients. Open loop: connections at most."""
    rate_per_s: float = 0.0
    most: int = 0
    """Requests at most; 0: as many as fit."""
    seed: int = 1
    arrivals: str = "poisson"
    """Open loop: ``poisson`` or ``fixed``."""
    ramp_s: float = 0.0
    """Load grows over so many seconds before it counts: clients start one after another, or the rate rises."""
    timeout_s: float = 120.0
    tls: bool = False


@dataclass
class Seen:
    """What came back. Times in milliseconds from when a request was due."""

    ms: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    at_s: list[float] = field(default_factory=list)
    """When each of these was due, in seconds from when counting began."""
    lag_ms: list[float] = field(default_factory=list)
    """How late the client's own loop woke, or a request was sent."""

    def add(self, status: str, ms: float, at_s: float) -> None:
        if at_s < 0:
            return  # of the ramp
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status == "200":
            self.ms.append(round(ms, 3))
            self.at_s.append(round(at_s, 3))


IDLE_S = 20.0
BEAT_S = 0.02


class Connection:
    """One kept-open connection; a new one after a fault, and after so long without use that the server may close it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        head = "".join(f"{name}: {value}\r\n" for name, value in plan.headers.items())
        self._head = f"POST {plan.path} HTTP/1.1\r\nHost: {plan.host}\r\nContent-Type: application/json\r\n{head}"
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def post(self, body: str) -> str:
        """The status of the answer, or what went wrong."""
        if time.monotonic() - self._used > IDLE_S:
            self.close()
        self._used = time.monotonic()
        try:
            async with asyncio.timeout(self._plan.timeout_s):
                return await self._exchange(body)
        except (OSError, EOFError, ValueError) as error:  # a timeout is an OSError
            self.close()
            return type(error).__name__

    async def _exchange(self, body: str) -> str:
        if self._streams is None:
            ssl = True if self._plan.tls else None
            self._streams = await asyncio.open_connection(self._plan.host, self._plan.port, ssl=ssl)
        reader, writer = self._streams
        data = body.encode()
        writer.write(f"{self._head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = head[9:12]
        if "transfer-encoding: chunked" in head:
            while size := int(await reader.readline(), 16):
                await reader.readexactly(size + 2)
            await reader.readline()
        else:
            length = head.partition("content-length:")[2].partition("\r")[0]
            await reader.readexactly(int(length or 0))
        if "connection: close" in head:
            self.close()
        return status

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
        self._streams = None


async def closed(plan: Plan, seen: Seen) -> None:
    """So many clients at once."""
    began = time.monotonic() + plan.ramp_s
    sent = 0

    async def client(number: int) -> None:
        nonlocal sent
        await asyncio.sleep(plan.ramp_s * number / plan.clients)
        connection = Connection(plan)
        while time.monotonic() - began < plan.seconds and (not plan.most or sent < plan.most):
            body = plan.bodies[sent % len(plan.bodies)]
            sent += 1
            started = time.monotonic()
            status = await connection.post(body)
            seen.add(status, (time.monotonic() - started) * 1000, started - began)
        connection.close()

    await asyncio.gather(*(client(number) for number in range(plan.clients)))


async def opened(plan: Plan, seen: Seen) -> None:
    """So many requests a second, come what may."""
    rng = random.Random(plan.seed)  # noqa: S311
    free: list[Connection] = []
    slots = asyncio.Semaphore(plan.clients)
    tasks: set[asyncio.Task[None]] = set()
    due = time.monotonic()
    began = due + plan.ramp_s
    sent = 0

    async def one(body: str, due: float) -> None:
        async with slots:
            connection = free.pop() if free else Connection(plan)
            status = await connection.post(body)
            free.append(connection)
        seen.add(status, (time.monotonic() - due) * 1000, due - began)

    while due - began < plan.seconds and (not plan.most or sent < plan.most):
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        seen.lag_ms.append(round((time.monotonic() - due) * 1000, 3))
        task = asyncio.create_task(one(plan.bodies[sent % len(plan.bodies)], due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        sent += 1
        rate = plan.rate_per_s
        if due < began:
            rate *= max(0.05, 1 - (began - due) / plan.ramp_s)
        due += 1 / rate if plan.arrivals == "fixed" else rng.expovariate(rate)
    await asyncio.gather(*tasks)
    for connection in free:
        connection.close()


async def beat(seen: Seen) -> None:
    """Wakes at a steady pace, and notes how late it was."""
    while True:
        due = time.monotonic() + BEAT_S
        await asyncio.sleep(BEAT_S)
        seen.lag_ms.append(round((time.monotonic() - due) * 1000, 3))


async def drive(plan: Plan, seen: Seen) -> None:
    """The whole plan, with an eye on the client itself."""
    watched = asyncio.create_task(beat(seen))
    try:
        await (closed if plan.mode == "closed" else opened)(plan, seen)
    finally:
        watched.cancel()


def main() -> None:
    """Read the plan, do it, print what was seen."""
    plan = Plan(**json.loads(Path(sys.argv[1]).read_text()))
    seen = Seen()
    began = time.monotonic()
    asyncio.run(drive(plan, seen))
    seconds = time.monotonic() - began - plan.ramp_s
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {**vars(seen), "seconds": round(seconds, 3), "cpu_s": round(used.ru_utime + used.ru_stime, 3)}
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main()
