"""A report as JSON, as SARIF and as one self-contained HTML page."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from freehold.auditing.drawing import overview
from freehold.auditing.finding import SEVERITIES, THEMES, Finding, Report, Severity
from freehold.core.errors import UsageError
from freehold.core.ids import sha256_hex
from freehold.core.records import to_json
from freehold.proof.verify import canonical
from freehold.residency.places import BASES

# What HTML does not allow, and what reorders the text around it: as in the report of an experiment.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_REORDERING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_LEVELS: Mapping[Severity, str] = {"high": "error", "medium": "warning", "low": "note"}
_SCORES: Mapping[Severity, str] = {"high": "8.0", "medium": "5.0", "low": "2.0"}
"""``security-severity``, by which code hosts sort: above 7 is high, above 4 medium."""


def form_for(path: Path) -> Callable[[Report], str]:
    """The form that a file's suffix asks for. Raises UsageError for another."""
    forms = {".html": page, ".json": as_json, ".sarif": sarif}
    found = forms.get(path.suffix.lower())
    if found is None:
        raise UsageError(f"{path.name} says no form of report", hint=f"end it in one of: {', '.join(forms)}")
    return found


def summary(report: Report) -> dict[str, object]:
    """The report as one JSON object: counts first, findings from the gravest on."""
    findings = [finding for outcome in ("fault", "inconclusive", "sound") for finding in report.of(outcome)]
    return {
        "subject": report.subject,
        "made": report.made,
        "freehold": report.version,
        "facts": dict(report.facts),
        "faults": {severity: report.faults[severity] for severity in SEVERITIES},
        "inconclusive": len(report.of("inconclusive")),
        "sound": len(report.of("sound")),
        "findings": [to_json(finding) for finding in findings],
        "rules": to_json(report.rules),
        "residency": dict(report.residency) or None,
        "unsigned": report.unsigned,
    }


def as_json(report: Report) -> str:
    """``summary``, written out."""
    return json.dumps(summary(report), ensure_ascii=False, indent=2) + "\n"


def sarif(report: Report) -> str:
    """SARIF 2.1.0 (OASIS 2020). What could not be judged is of kind ``open``, what is sound of kind ``pass``."""
    places = {str(rule["id"]): number for number, rule in enumerate(report.rules)}
    log = {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "freehold audit",
                        "semanticVersion": report.version,
                        "rules": [_rule(rule) for rule in report.rules],
                    }
                },
                "invocations": [{"executionSuccessful": True, "endTimeUtc": report.made.replace("+00:00", "Z")}],
                "results": [_result(report, finding, places[finding.rule]) for finding in report.findings],
                "columnKind": "unicodeCodePoints",
            }
        ],
    }
    return json.dumps(log, ensure_ascii=False, indent=2) + "\n"


def _rule(rule: Mapping[str, Any]) -> dict[str, object]:
    severity: Severity = rule["severity"]
    return {
        "id": rule["id"],
        "name": "".join(part.capitalize() for part in rule["id"].split("-")),
        "shortDescription": {"text": rule["title"]},
        "fullDescription": {"text": f"{rule['title']}. {'; '.join(rule['basis'])}"},
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": {"tags": [rule["theme"]], "security-severity": _SCORES[severity]},
    }


def _result(report: Report, finding: Finding, place: int) -> dict[str, object]:
    kind = {"fault": "fail", "inconclusive": "open", "sound": "pass"}[finding.outcome]
    fix = f" {'Mend' if kind == 'fail' else 'Needed'}: {finding.fix}." if finding.fix else ""
    return {
        "ruleId": finding.rule,
        "ruleIndex": place,
        "kind": kind,
        "level": _LEVELS[finding.severity] if kind == "fail" else "none",
        "message": {"text": f"{finding.told}.{fix}"},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": ref} for ref in finding.refs or (report.subject,)]}],
        "partialFingerprints": {"freehold/v1": sha256_hex(f"{report.subject}\n{finding.rule}".encode())[:32]},
        "properties": {"figures": to_json(finding.figures), "basis": list(finding.basis), "fix": finding.fix},
    }


def page(report: Report) -> str:
    """The report as an HTML document that can be written as UTF-8: no script, no request."""
    style = resources.files("freehold.measure.report").joinpath("page.css").read_text(encoding="utf-8")
    own = resources.files("freehold.auditing").joinpath("page.css").read_text(encoding="utf-8")
    shown = (
        _environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            style=style + own,
            faults=report.of("fault"),
            unclear=report.of("inconclusive"),
            sound=report.of("sound"),
            counts=[(severity, report.faults[severity]) for severity in SEVERITIES],
            themes=[theme for theme in THEMES if any(finding.theme == theme for finding in report.findings)],
            overview=overview(report),
            statement=_statement(report),
            bundle=canonical(report.residency).decode() if report.residency else "",
            bases=BASES,
            WORST=8,
        )
    )
    return _FORBIDDEN.sub("\ufffd", _REORDERING.sub("", shown.lstrip()))


def _statement(report: Report) -> Mapping[str, Any] | None:
    """What the signed statement says of where data goes."""
    if not report.residency:
        return None
    payload = base64.b64decode(report.residency["envelope"]["payload"])
    return {**json.loads(payload)["predicate"], "index": report.residency["log"]["index"]}


def _figure(value: object) -> str:
    """A figure in a cell: numbers with their thousands apart, mappings as pairs."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_figure(one)}" for key, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_figure, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


def marked(text: str) -> Markup:
    """Words in which commands stand between backticks; each can be taken whole by one click."""
    command, words = Markup('<code class="command">{}</code>'), Markup("{}")
    return Markup("").join((command if at % 2 else words).format(part) for at, part in enumerate(text.split("`")))


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("freehold.auditing", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["figure"] = _figure
    environment.filters["marked"] = marked
    return environment
