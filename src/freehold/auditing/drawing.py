"""The overview of a report: a row for each theme, a square for each rule, by what came of it."""

from __future__ import annotations

from markupsafe import Markup

from freehold.auditing.finding import SEVERITIES, THEMES, Finding, Report
from freehold.measure.report.svg import drawing, tag, text

_SIDE, _GAP, _LEFT, _ROW = 20, 5, 92, 30


def overview(report: Report) -> Markup:
    """Squares lead to their findings. The gravest come first; shape tells apart what colour does."""
    rows = [(theme, _worst([f for f in report.findings if f.theme == theme])) for theme in THEMES]
    rows = [(theme, found) for theme, found in rows if found]
    widest = max((len(found) for _, found in rows), default=0)
    parts: list[str] = []
    for number, (theme, found) in enumerate(rows):
        y = number * _ROW
        parts.append(text(0, y + 15, theme))
        parts += [_square(finding, _LEFT + place * (_SIDE + _GAP), y) for place, finding in enumerate(found)]
    told = ", ".join(
        f"{theme}: {sum(f.outcome == 'fault' for f in found)} of {len(found)} at fault" for theme, found in rows
    )
    width, height = _LEFT + widest * (_SIDE + _GAP), max(1, len(rows)) * _ROW
    return drawing("overview", "Every rule, by theme", told, width, height, *parts)


def _worst(findings: list[Finding]) -> list[Finding]:
    order = ("fault", "inconclusive", "sound")
    return sorted(findings, key=lambda f: (order.index(f.outcome), SEVERITIES.index(f.severity)))


def _square(finding: Finding, x: float, y: float) -> Markup:
    state = finding.severity if finding.outcome == "fault" else finding.outcome
    sign = {"high": "!", "medium": "!", "low": "!", "inconclusive": "?", "sound": "✓"}[state]
    shape = tag("rect", x=x, y=y, width=_SIDE, height=_SIDE, rx=4, class_=f"cell {state}")
    mark = text(x + _SIDE / 2, y + 14.5, sign, anchor="middle", class_=f"sign {state}")
    title = tag("title", f"{finding.title}: {state}")
    return tag("a", title, shape, mark, href=f"#{finding.rule}")
