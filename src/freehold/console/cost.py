"""What a month costs, with sliders: a form that works without a script, which sends it while one is moved."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from importlib import resources

from fastapi import APIRouter, Request, Response

from freehold.console.access import MayAdmin
from freehold.console.page import HOME, POLICY, PageRoute, asset, shown
from freehold.core.errors import UsageError
from freehold.measure.cost import compare, figures, page, prices

router = APIRouter(prefix=HOME, route_class=PageRoute)
SCENARIO = "10k-queries-a-day"
_STEPS = 100
SLIDERS = {
    "queries_a_day": ("Questions a day", 100.0, 1e6), "peak_factor": ("Peak, times the mean", 1.0, 20.0),
    "latency_target_ms": ("p95 of an answer to hold, ms", 100.0, 60_000.0),
    "prompt_tokens": ("Tokens of a prompt", 200.0, 10_000.0), "answer_tokens": ("Tokens of an answer", 20.0, 2_000.0),
    "vectors": ("Passages", 1e4, 1e8), "retention_months": ("Months that new ones are kept", 1.0, 240.0),
    "hour_eur": ("Euros for an hour of work", 20.0, 200.0),
}  # fmt: skip
"""Figure -> its label, and the ends of its slider, which is logarithmic."""


@router.get("/cost")
async def cost(request: Request, visitor: MayAdmin) -> Response:  # noqa: ARG001
    """The form, and below it what it comes to. Parameters are the sliders' places, 0 to 100."""
    places = {name: _place(request.query_params.get(name, "")) for name in SLIDERS}
    moved = {name: str(_value(name, at)) for name, at in places.items() if at is not None}
    chosen = figures.scenario(SCENARIO, moved)
    table = prices.prices()
    told = compare.compare(chosen, table, today=datetime.now(UTC).date())
    sliders = [
        {"name": name, "label": label, "at": _nearest(name, chosen[name].likely), "value": chosen[name].likely,
         "range": None if name in moved else (chosen[name].low, chosen[name].high)}
        for name, (label, _, _) in SLIDERS.items()
    ]  # fmt: skip
    response = shown(request, "cost.html.j2", sliders=sliders, steps=_STEPS, **page.shown(told, chosen, table))
    response.headers["Content-Security-Policy"] = f"{POLICY}; connect-src 'self'"
    return response


@router.get("/plots.css")
async def style() -> Response:
    """The look of drawings, as in reports."""
    plots = resources.files("freehold.measure.report").joinpath("plots.css").read_bytes()
    return Response(plots, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


@router.get("/cost.js")
async def script() -> Response:
    """Sends the form while a slider is moved."""
    return Response(asset("cost.js"), media_type="text/javascript", headers={"Cache-Control": "max-age=3600"})


def _place(text: str) -> int | None:
    """Where a slider stands; None where it was not moved. Raises UsageError for what is no place."""
    if not text:
        return None
    if not text.isdecimal() or int(text) > _STEPS:
        raise UsageError("a slider stands between 0 and 100", hint="go back and move it")
    return int(text)


def _value(name: str, at: int) -> float:
    """Two digits of it: what a slider can show."""
    _, low, high = SLIDERS[name]
    value = low * (high / low) ** (at / _STEPS)
    return float(f"{value:.2g}")


def _nearest(name: str, value: float) -> int:
    _, low, high = SLIDERS[name]
    return min(max(round(_STEPS * math.log(value / low) / math.log(high / low)), 0), _STEPS)
