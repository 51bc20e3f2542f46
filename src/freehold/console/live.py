"""What happens at the moment, read from the service's own counters: times, throughput, errors, engines, jobs."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry

from freehold.console.access import BY_ITSELF, MayAdmin
from freehold.console.page import HOME, PageRoute, shown
from freehold.http import documents
from freehold.http.access import ServiceOf
from freehold.schedule import history, planned
from freehold.store import watch as store

router = APIRouter(prefix=HOME, route_class=PageRoute)
SHOWN_RUNS = 20
REFRESH_S = 5
_WINDOW_S = 60.0
_LEAST_S = 1.0
_LEAST = {0.5: 1, 0.95: 20, 0.99: 100}
"""How many it takes: the largest of a few is no percentile."""


@dataclass(frozen=True, slots=True)
class Times:
    """Of a route or a stage since the start, in milliseconds; None where there are too few to tell.

    Infinite where they lie beyond the last bucket.
    """

    name: str
    count: int
    p50: float | None
    p95: float | None
    p99: float | None


@dataclass
class Sampler:
    """Counts of requests at earlier looks, so that there is a rate. For one event loop."""

    _seen: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=256))

    def rate_per_s(self, count: float, now: float) -> tuple[float, float] | None:
        """Requests a second, and over how many seconds; None until there was an earlier look."""
        while self._seen and now - self._seen[0][0] > _WINDOW_S:
            self._seen.popleft()
        first = self._seen[0] if self._seen else None
        self._seen.append((now, count))
        if first is None or now - first[0] < _LEAST_S:
            return None
        return (count - first[1]) / (now - first[0]), now - first[0]


@router.get("/live")
async def live(request: Request, visitor: MayAdmin, service: ServiceOf, paused: bool = False) -> Response:
    """All of it. The page loads itself again every few seconds, unless it is told not to."""
    registry = service.metrics.registry
    requests = _counters(registry, "freehold_requests")
    sampler: Sampler = request.app.state.sampler
    answered = {tuple(labels[name] for name in ("route", "status")): value for labels, value in requests}
    outward = {key: value for key, value in answered.items() if not key[0].startswith(HOME)}
    failed = {key: value for key, value in answered.items() if key[1].startswith("5")}
    jobs = await documents.jobs(visitor.caller, service)
    now = datetime.now(UTC)
    routes = times(registry, "freehold_request_seconds", "route")
    stages = times(registry, "freehold_stage_seconds", "walk", "stage")
    hits = int(_sum(registry, "freehold_cache_hits"))
    return shown(
        request,
        "live.html.j2",
        refresh_s=0 if paused else REFRESH_S,
        again=f"{HOME}/live?{BY_ITSELF}=1",
        paused=paused,
        routes=[one for one in routes if not one.name.startswith(HOME)],
        pages=[one for one in routes if one.name.startswith(HOME)],
        stages=stages,
        rate=sampler.rate_per_s(sum(outward.values()), time.monotonic()),
        total=int(sum(answered.values())),
        failed={f"{route}, status {status}": int(value) for (route, status), value in sorted(failed.items())},
        refused={labels["reason"]: int(value) for labels, value in _counters(registry, "freehold_refused") if value},
        answers={labels["outcome"]: int(value) for labels, value in _counters(registry, "freehold_answers")},
        degraded={labels["failed"]: int(value) for labels, value in _counters(registry, "freehold_degraded")},
        engines=service.fleet.states,
        wanted=service.fleet.size,
        waiting=service.fleet.waiting,
        cached=len(service.cache),
        hits=hits,
        searches=hits + sum(one.count for one in stages if one.name == "search, total"),
        jobs=[job for job in jobs if job.state in {"waiting", "running"}],
        watch=await service.house(lambda house: store.read(house.root)),
        schedule=await service.house(lambda house: planned(house, now)),
        ran=(await service.house(history))[:SHOWN_RUNS],
        by_service=service.settings.schedule.service,
        now=now,
    )


def _counters(registry: CollectorRegistry, name: str) -> list[tuple[Mapping[str, str], float]]:
    return [
        (sample.labels, sample.value)
        for family in registry.collect()
        if family.name == name
        for sample in family.samples
        if sample.name == f"{name}_total"
    ]


def _sum(registry: CollectorRegistry, name: str) -> float:
    families = (family for family in registry.collect() if family.name == name)
    return sum(s.value for family in families for s in family.samples if s.name in {name, f"{name}_total"})


def times(registry: CollectorRegistry, name: str, *labels: str) -> list[Times]:
    """Percentiles of a histogram by its labels, most observed first."""
    buckets: dict[str, list[tuple[float, float]]] = {}
    for family in registry.collect():
        if family.name == name:
            for sample in family.samples:
                if sample.name.endswith("_bucket"):
                    key = ", ".join(sample.labels[label] for label in labels)
                    buckets.setdefault(key, []).append((float(sample.labels["le"]), sample.value))
    found = [
        Times(key, int(rows[-1][1]), *(percentile(rows, share) for share in (0.5, 0.95, 0.99)))
        for key, rows in ((key, sorted(rows)) for key, rows in buckets.items())
    ]
    return sorted((one for one in found if one.count), key=lambda one: (-one.count, one.name))


def percentile(buckets: Iterable[tuple[float, float]], share: float) -> float | None:
    """Milliseconds by linear interpolation in cumulative buckets (upper bound in seconds, count), the last unbounded.

    None where there are too few to tell, infinite where it lies in the last bucket.
    """
    rows = list(buckets)
    total = rows[-1][1] if rows else 0
    if total < _LEAST[share]:
        return None
    wanted, below, lower = share * total, 0.0, 0.0
    for upper, count in rows[:-1]:
        if count >= wanted:
            return 1000 * (lower + (upper - lower) * (wanted - below) / (count - below))
        below, lower = count, upper
    return math.inf
