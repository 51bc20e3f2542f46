"""What a month costs as one self-contained HTML page: no script, no request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from freehold.measure.cost import plots
from freehold.measure.cost.compare import curves
from freehold.measure.cost.figures import Figure
from freehold.measure.cost.prices import Price


def render(told: Mapping[str, Any], figures: Mapping[str, Figure], table: Mapping[str, Price], *, title: str) -> str:
    """The page, to be written as UTF-8. ``told``: what ``compare`` gave for these figures and prices."""
    environment = Environment(
        loader=PackageLoader("freehold.measure", ""), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["euros"] = plots.euros
    return environment.get_template("cost/page.html.j2").render(title=title, **shown(told, figures, table))


def shown(told: Mapping[str, Any], figures: Mapping[str, Figure], table: Mapping[str, Price]) -> dict[str, Any]:
    """What the page shows, for other pages too."""
    cheapest = min(told["options"], key=lambda one: one["monthly"], default=None)
    return {
        **told,
        "months": plots.months(told["options"]),
        "growth": plots.growth(curves(figures, table), figures["queries_a_day"].likely),
        "tornado": plots.tornado(cheapest) if cheapest else "",
        "cheapest": cheapest,
    }
