"""A whole load test: its levels, the law that they follow, the file that it leaves, and its plot."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from freehold.core.errors import UsageError
from freehold.core.files import write_durably
from freehold.measure.capacity import scaling
from freehold.measure.capacity.checks import Check, checks
from freehold.measure.capacity.levels import Level, Run, Target, bodies, measure
from freehold.measure.capacity.scaling import Forecast, Law

STANDARD = "1,2,4,8"


@dataclass(frozen=True, slots=True)
class Trial:
    """A load test. ``law`` is None where its levels do not suffice for one."""

    url: str
    made: str
    runs: tuple[Run, ...]
    law: Law | None
    checks: tuple[Check, ...] = ()
    """What the levels say of each other."""


def questions(path: Path) -> list[str]:
    """The questions of a file: one a line, or the ``text`` of each line of JSON. Raises UsageError."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [str(json.loads(line)["text"]) if path.suffix == ".jsonl" else line for line in lines]
    except (OSError, ValueError, KeyError, TypeError):
        hint = "a text file with one question a line, or the queries.jsonl of a BEIR set"
        raise UsageError(f"{path} holds no questions that can be read", hint=hint) from None


def levels(clients: str, rate: str, arrivals: str) -> list[Level]:
    """Levels as they are written: ``1,2,4`` clients, ``5,10`` requests a second. Raises UsageError."""
    if not clients and not rate:
        clients = STANDARD
    try:
        many = [Level(clients=int(part)) for part in clients.split(",") if part]
        fast = [Level(rate_per_s=float(part), arrivals=arrivals) for part in rate.split(",") if part]
    except ValueError:
        many, fast = [], []
    if (not many and not fast) or any(one.clients < 0 or one.rate_per_s < 0 for one in (*many, *fast)):
        raise UsageError("the levels of load are no numbers", hint="for example --clients 1,2,4,8 or --rate 5,10,20")
    if any(not one.clients and not one.rate_per_s for one in (*many, *fast)):
        raise UsageError("a level of no load at all", hint="levels are above zero")
    return [*many, *fast]


def run(
    url: str,
    asked: Sequence[str],
    each: Sequence[Level],
    *,
    seconds: float,
    ramp_s: float = 0.0,
    key: str = "",
    model: str = "freehold",
    timeout_s: float = 60.0,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Trial:
    """Every level in turn. Raises UsageError and EndpointFault."""
    target = Target(url, bodies(asked, url.partition("?")[0], model), key, timeout_s)
    runs = []
    for done, level in enumerate(each):
        progress("load", done, len(each))
        runs.append(measure(target, level, seconds=seconds, ramp_s=ramp_s, seed=done + 1))
    progress("load", len(each), len(each))
    used = scaling.closed(runs)
    enough = len({one.clients for one in used}) >= scaling.FEWEST
    law = scaling.fit([one.clients for one in used], [one.per_s for one in used]) if enough else None
    return Trial(url, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", tuple(runs), law, tuple(checks(runs)))


def as_dict(trial: Trial) -> dict[str, object]:
    """The result file."""
    runs = [asdict(one) for one in trial.runs]
    law = trial.law and {**asdict(trial.law), "best_clients": trial.law.best if trial.law.kappa > 0 else None}
    return {
        "made": trial.made, "url": trial.url, "client_cores": os.cpu_count(), "runs": runs,
        "law": law, "checks": [asdict(one) for one in trial.checks], "remarks": remarks(trial),
    }  # fmt: skip


def save(trial: Trial, path: Path) -> None:
    """Write the result file. Raises StorageFault."""
    write_durably(path, (json.dumps(as_dict(trial), indent=1) + "\n").encode())


def load(path: Path) -> Trial:
    """A result file. Raises UsageError for what is none."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        known = {one.name for one in fields(Run)}
        runs = tuple(Run(**{name: value for name, value in one.items() if name in known}) for one in told["runs"])
        law = told["law"] and Law(*(float(told["law"][name]) for name in ("lam", "sigma", "kappa")))
        held = tuple(_check(one) for one in told.get("checks", []))
        return Trial(str(told["url"]), str(told["made"]), runs, law, held)
    except (OSError, ValueError, KeyError, TypeError):
        hint = "make one with freehold loadtest --out FILE"
        raise UsageError(f"{path} is no result of a load test", hint=hint) from None


def _check(told: dict[str, Any]) -> Check:
    one = told["forecast"]
    spans = one and {name: tuple(one[name]) for name in ("per_s_interval", "p95_interval")}
    return Check(**{**told, "forecast": one and Forecast(**{**one, **spans})})


def remarks(trial: Trial) -> list[str]:
    """What the reader of the figures must know."""
    lines = []
    for one in trial.runs:
        load = f"{one.clients} clients" if one.clients else f"{one.rate_per_s:g} a second"
        if one.saturated:
            lines.append(f"{load}: {one.saturated}; its figures are the client's, not the service's")
        if one.errors:
            seen = ", ".join(f"{count} x {name}" for name, count in sorted(one.errors.items()))
            lines.append(f"{load}: not answered: {seen}")
    if trial.law:
        law = trial.law
        peak = f"; most throughput at {law.best:.0f} clients" if law.kappa > 0 else ""
        lines.append(f"law: {law.lam:.1f}/s alone, {law.sigma:.1%} in line, {law.kappa:.2%} to keep in step{peak}")
        lines += [str(one) for one in trial.checks]
    elif any(one.clients for one in trial.runs):
        lines.append("no law fitted: that takes three numbers of clients at which the client is not saturated")
    return lines


def draw(trial: Trial, path: Path) -> None:
    """Write throughput by clients, measured and fitted, as an SVG of its own. Raises UsageError, StorageFault."""
    from freehold.measure.report.plots import Track, throughput

    used = sorted((one.clients, one.per_s) for one in trial.runs if one.clients)
    if not used:
        raise UsageError("there is no closed-loop level to draw", hint="give --clients 1,2,4,8")
    tracks = [Track(0, "measured", used)]
    if trial.law:
        tracks.append(Track(1, "law", [(n, trial.law.per_s(n)) for n in range(1, used[-1][0] + 1)]))
    drawn = str(throughput("load", "Throughput by clients", tracks))
    head = '<svg xmlns="http://www.w3.org/2000/svg"'
    style = (
        "<style>text{font:12px sans-serif}.line{fill:none;stroke-width:2}.grid{stroke:#ddd}.axis{stroke:#888}"
        ".s0{stroke:#2462ac;fill:#2462ac}.s1{stroke:#b3520b;fill:#b3520b}path.line{fill:none}</style>"
    )
    drawn = drawn.replace("<svg", head, 1).replace("<title", style + "<title", 1)
    write_durably(path, (drawn + "\n").encode())
