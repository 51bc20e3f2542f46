"""What the service tells Prometheus: counts and times, by route and stage, never by who asked or what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from freehold.store.jobs import JobKind

if TYPE_CHECKING:
    from freehold.serving.cache import Cache
    from freehold.serving.fleet import Fleet
    from freehold.serving.messages import Answered

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """One registry for each service, so that two in one process do not add up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        to = self.registry
        self.requests = Counter("freehold_requests", "Requests answered", ["route", "status"], registry=to)
        self.seconds = Histogram(
            "freehold_request_seconds", "Time to the last byte", ["route"], buckets=_SECONDS, registry=to
        )
        self._stage = Histogram(
            "freehold_stage_seconds", "Time of each stage", ["walk", "stage"], buckets=_SECONDS, registry=to
        )
        self._answers = Counter("freehold_answers", "Answers by what they came to", ["outcome"], registry=to)
        self._degraded = Counter("freehold_degraded", "Answers where another engine stood in", ["failed"], registry=to)
        self.jobs = Counter("freehold_jobs", "Jobs that ended", ["kind", "state"], registry=to)
        self.refused = Counter("freehold_refused", "Requests refused before any work", ["reason"], registry=to)
        self._waiting = Gauge("freehold_requests_waiting", "Requests that are with an engine", registry=to)
        self._engines = Gauge("freehold_engines_up", "Engine processes that answer", registry=to)
        self._revision = Gauge("freehold_index_revision", "Revision of the catalog that is searched", registry=to)
        self._cached = Gauge("freehold_cache_entries", "Results of searches in memory", registry=to)
        self.cache_hits = Counter("freehold_cache_hits", "Searches answered from memory", registry=to)
        for kind in get_args(JobKind):
            for state in ("done", "failed"):  # a rate needs to see the first of them as well
                self.jobs.labels(kind, state)

    def stages(self, walk: str, timings_ms: Mapping[str, float]) -> None:
        """The stages of one search or answer."""
        for stage, ms in timings_ms.items():
            self._stage.labels(walk, stage).observe(ms / 1000)

    def answered(self, answered: Answered) -> None:
        """One answer."""
        answer = answered.answer
        outcome = "abstained" if answer.abstained else "supported" if answer.supported else "unsupported"
        self._answers.labels(outcome).inc()
        if answered.degraded:
            self._degraded.labels(answered.degraded).inc()
        self.stages("ask", answer.trace.timings_ms)

    def see(self, fleet: Fleet, cache: Cache) -> None:
        """What is so at the moment."""
        self._waiting.set(fleet.waiting)
        states = fleet.states
        self._engines.set(len(states))
        self._revision.set(min((state.revision for state in states), default=0))
        self._cached.set(len(cache))

    def text(self) -> bytes:
        """In the format of Prometheus."""
        return generate_latest(self.registry)
