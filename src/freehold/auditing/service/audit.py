"""``freehold audit --endpoint``: a service looked at from outside by every rule."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from freehold.auditing.audit import report_of
from freehold.auditing.finding import Report
from freehold.auditing.service.client import Service, read_manner
from freehold.auditing.service.facts import ServiceFacts
from freehold.auditing.service.rules import service_rules
from freehold.journeys.ingest import Progress


def audit_service(
    url: str, questions: Path, *, mapping: Path | None = None, now: datetime | None = None, progress: Progress
) -> Report:
    """Ask a service labelled questions, riddles and orders, and judge what comes back.

    A service that is down, slow or talks nonsense is a finding. Raises UsageError for an address, a mapping or labels
    that are not as they must be, SettingsError for a secret that is not there.
    """
    manner = read_manner(mapping)
    facts = ServiceFacts(Service(url, manner), questions, progress=progress)
    rules = tuple(service_rules.all.values())
    findings = [finding for rule in rules for finding in rule.check(facts)]
    return report_of(facts.service.host, now or datetime.now(UTC), facts.told(), rules, findings)
