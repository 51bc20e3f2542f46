"""A load test level by level: what each level of load did to a service, and whether the client itself was the limit."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import numpy as np

from freehold.core import egress
from freehold.core.errors import EndpointFault, UsageError
from freehold.measure.capacity import client
from freehold.measure.latency import quantiles

SLICES = 10
"""Parts in time that a level is cut into: what varies between them gives the intervals."""
BUSY = 0.8
"""Share of one core above which the client, one process of one thread, is taken to be saturated."""
LATE_MS, LATE_SHARE, TOO_LATE_MS = 5.0, 0.1, 100.0
"""A client later than the first two, like with like at p95, puts its own lag into the figures; one
later than the last does not send the load that was asked for."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and what they are."""

    url: str
    bodies: tuple[str, ...]
    key: str = ""
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Level:
    """One level of load: so many clients (closed loop), or so many requests a second (open loop)."""

    clients: int = 0
    rate_per_s: float = 0.0
    arrivals: str = "poisson"


@dataclass(frozen=True, slots=True)
class Run:
    """What a level did. Times in milliseconds from when a request was due; None where there were too few."""

    clients: int
    rate_per_s: float
    seconds: float
    answered: int
    per_s: float
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    errors: Mapping[str, int]
    slices_per_s: tuple[float, ...]
    """By part in time, as are the next two; 0 where nothing was answered."""
    slices_mean_ms: tuple[float, ...]
    slices_p95_ms: tuple[float, ...]
    client_cpu: float
    client_lag_ms: float
    saturated: str
    """Why the client was the limit, or empty."""


def bodies(questions: Sequence[str], path: str, model: str) -> tuple[str, ...]:
    """The questions as requests of a path: ``/v1/search``, ``/v1/ask`` or OpenAI's chat. Raises UsageError."""
    if not questions:
        raise UsageError("there are no questions to ask", hint="give --questions FILE with one question a line")
    if path.endswith("/search"):
        return tuple(json.dumps({"query": question, "k": 10}) for question in questions)
    if path.endswith("/ask"):
        return tuple(json.dumps({"question": question}) for question in questions)
    if path.endswith("/chat/completions"):
        asked = ([{"role": "user", "content": question}] for question in questions)
        return tuple(json.dumps({"model": model, "messages": messages}) for messages in asked)
    raise UsageError(f"no request is known for {path}", hint="the URL ends in /v1/search, /v1/ask or /chat/completions")


def drive(plan: Mapping[str, object]) -> dict[str, object]:
    """What a client process saw that did this plan (`client.Plan`)."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(plan, file)
        file.flush()
        command = [sys.executable, str(Path(client.__file__)), file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, object] = json.loads(done.stdout)
    return told


def measure(target: Target, level: Level, *, seconds: float, ramp_s: float = 0.0, seed: int = 1) -> Run:
    """One level. Raises EndpointFault when nothing was answered, UsageError for an address that is none."""
    parts = urlsplit(target.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"{target.url} is no address of a service", hint="for example http://127.0.0.1:8000/v1/search")
    tls = parts.scheme == "https"
    plan = {
        "host": parts.hostname, "port": parts.port or (443 if tls else 80), "path": parts.path or "/", "tls": tls,
        "headers": {"Authorization": f"Bearer {target.key}"} if target.key else {}, "bodies": target.bodies,
        "mode": "closed" if level.clients else "open", "clients": level.clients or 2000,
        "rate_per_s": level.rate_per_s, "arrivals": level.arrivals, "seconds": seconds, "ramp_s": ramp_s,
        "timeout_s": target.timeout_s, "seed": seed,
    }  # fmt: skip
    egress.permit({(parts.hostname, parts.port or (443 if tls else 80))})  # a person named this address
    run = summary(drive(plan), level, seconds)
    if not run.answered:
        seen = ", ".join(f"{count} {name}" for name, count in run.errors.items()) or "nothing was sent"
        hint = "see that the service runs and that the key (--key) may ask"
        raise EndpointFault(f"{parts.netloc} answered no request: {seen}", hint=hint, refs=(parts.netloc,))
    return run


def summary(seen: Mapping[str, object], level: Level, seconds: float) -> Run:
    """The figures of a level from what its client saw."""
    ms, at = np.array(cast("list[float]", seen["ms"])), np.array(cast("list[float]", seen["at_s"]))
    took = float(str(seen["seconds"]))
    statuses = cast("dict[str, int]", seen["statuses"])
    errors = {name: count for name, count in statuses.items() if name != "200"}
    q = quantiles(ms.tolist())
    lags = np.array(cast("list[float]", seen["lag_ms"]) or [0.0])
    cpu, lag = float(str(seen["cpu_s"])) / took, float(np.quantile(lags, 0.95))
    ends = at + ms / 1000
    counts, edges = np.histogram(ends, bins=SLICES, range=(0, seconds))
    parts = [ms[(ends >= start) & (ends < end)] for start, end in itertools.pairwise(edges)]
    return Run(
        clients=level.clients,
        rate_per_s=level.rate_per_s,
        seconds=round(took, 2),
        answered=len(ms),
        per_s=round(len(ms) / took, 3),
        mean_ms=round(float(ms.mean()), 3) if len(ms) else None,
        p50_ms=q.p50,
        p95_ms=q.p95,
        p99_ms=q.p99,
        max_ms=float(ms.max()) if len(ms) else None,
        errors=errors,
        slices_per_s=tuple((counts * SLICES / seconds).round(3).tolist()),
        slices_mean_ms=tuple(round(float(part.mean()), 3) if len(part) else 0.0 for part in parts),
        slices_p95_ms=tuple(
            float(np.quantile(part, 0.95, method="inverted_cdf")) if len(part) else 0.0 for part in parts
        ),
        client_cpu=round(cpu, 3),
        client_lag_ms=round(lag, 2),
        saturated=_saturated(cpu, lag, q.p95 or 0.0),
    )


def resampled(run: Run, rng: np.random.Generator) -> Run:
    """The level as it might have been: its parts in time drawn again, with replacement.

    What varies between the parts is what the level's rate, mean and p95 are uncertain by, correlation in time included
    (batch means; Seila 1982 for quantiles).
    """
    rates = np.array(run.slices_per_s)
    drawn = rng.integers(0, len(rates), len(rates))
    if not rates[drawn].any():
        return run

    def again(value: float | None, parts: tuple[float, ...]) -> float | None:
        if value is None:
            return None
        of = np.array(parts)
        return value * float(np.average(of[drawn], weights=rates[drawn]) / np.average(of, weights=rates))

    return replace(
        run,
        per_s=run.per_s * float(rates[drawn].mean() / rates.mean()),
        mean_ms=again(run.mean_ms, run.slices_mean_ms),
        p95_ms=again(run.p95_ms, run.slices_p95_ms),
    )


def _saturated(cpu: float, lag_ms: float, p95_ms: float) -> str:
    if cpu > BUSY:
        return f"the client kept {cpu:.0%} of its core busy"
    if lag_ms > LATE_MS and lag_ms > min(LATE_SHARE * p95_ms, TOO_LATE_MS):
        return f"the client was {lag_ms:.0f} ms late in sending, at p95"
    return ""
