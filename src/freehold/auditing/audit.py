"""``freehold audit``: a house looked at by every rule."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from freehold import __version__
from freehold.auditing.facts import HouseFacts
from freehold.auditing.finding import F, Finding, Report, Rule, Seen, fault, told_of, unclear
from freehold.auditing.kept import keep
from freehold.auditing.rules import all_rules
from freehold.auditing.rules.safety import secrets_of
from freehold.config import FILE_NAME
from freehold.core.errors import SettingsError, UsageError
from freehold.house import House, open_house
from freehold.journeys.ingest import Progress


def audit(
    root: Path,
    *,
    questions: Path | None = None,
    only: Collection[str] = (),
    now: datetime | None = None,
    keeping: bool = False,
    progress: Progress,
) -> Report:
    """Audit the house at ``root``: every rule, or ``only`` those.

    ``keeping``: state where data goes, signed and in the ledger, and keep the report as the last one (see ``keep``).
    Without it nothing in the house changes. A house whose settings are refused is audited too, as far as its file
    goes. Raises SettingsError where there is no house, UsageError for a rule that there is not.
    """
    rules = _chosen(only)
    now = now or datetime.now(UTC)
    try:
        house = open_house(root)
    except SettingsError as error:
        text = _settings_text(root)
        if text is None:
            raise
        return report_of(root.resolve().name, now, {"settings": "refused"}, rules, _of_closed(rules, error, text))
    with house:
        report = audit_open(house, questions=questions, rules=rules, now=now, progress=progress)
        return keep(house, report) if keeping else report


def audit_open(
    house: House, *, questions: Path | None, rules: Collection[Rule[HouseFacts]], now: datetime, progress: Progress
) -> Report:
    """Audit a house that is open."""
    facts = HouseFacts(house, now=now, questions=questions, progress=progress)
    findings: list[Finding] = []
    for done, rule in enumerate(rules):
        progress("rules", done, len(rules))
        findings += rule.check(facts)
    progress("rules", len(rules), len(rules))
    name = house.settings.house.name or house.root.resolve().name
    return report_of(name, now, facts.told(), rules, findings)


def _chosen(only: Collection[str]) -> tuple[Rule[HouseFacts], ...]:
    rules = all_rules()
    known = {rule.id for rule in rules}
    for name in only:
        if name not in known:
            raise UsageError(f"there is no rule {name!r}", hint="freehold audit rules lists those there are")
    return tuple(rule for rule in rules if not only or rule.id in only)


def _settings_text(root: Path) -> str | None:
    """None where there is no settings file to read."""
    try:
        return (root if root.name == FILE_NAME else root / FILE_NAME).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _of_closed(rules: Collection[Rule[HouseFacts]], error: SettingsError, text: str) -> list[Finding]:
    """What can be said of a house that does not open, from the refusal and the text of its settings."""
    told = fault(error.message, fix=error.hint, refs=error.refs)
    undeclared = "endpoint is off this machine" in error.message or "is not in house.regions" in error.message
    seen = {
        "settings-refused": told,
        "secret-in-settings": told if "holds a secret" in error.message or "not the secret" in error.message
        else secrets_of(text),
    }  # fmt: skip
    if undeclared:
        seen["endpoint-undeclared"] = told
    closed = unclear("the house does not open", "see settings-refused")
    return [finding for rule in rules for finding in _as_seen(rule, seen.get(rule.id, closed))]


def _as_seen(rule: Rule[HouseFacts], seen: Seen) -> list[Finding]:
    said: Rule[None] = Rule(rule.id, rule.title, rule.theme, rule.severity, rule.basis, lambda _: (seen,))
    return list(said.check(None))


def report_of(
    subject: str,
    now: datetime,
    facts: Mapping[str, str],
    rules: Collection[Rule[F]],
    findings: Collection[Finding],
) -> Report:
    """A report on these findings."""
    made = now.astimezone(UTC).isoformat(timespec="seconds")
    return Report(subject, made, __version__, facts, tuple(findings), tuple(told_of(rule) for rule in rules))
