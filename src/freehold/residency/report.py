"""What leaves a house, to whom, why and on which basis, and what was stopped; the same as a signed statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from freehold.config import Settings
from freehold.core.attempts import REPORT, attempts
from freehold.core.telemetry import SWITCHES
from freehold.endpoints import Endpoint, endpoints, is_private
from freehold.residency.places import BASES, Basis, place_of

NOT_SEEN = (
    "native code that opens connections by itself, and programs that are not Python",
    "what a declared operator does with what it gets",
    "code that means to get round the guard",
)
"""What no report of a guard within Python can rule out."""


@dataclass(frozen=True, slots=True)
class Way:
    """One endpoint, as it is reported."""

    setting: str
    purpose: str
    sends: str
    host: str
    port: int
    operator: str
    country: str
    """Where the operator is established by the table, ISO 3166-1; empty where it does not know the host."""
    region: str
    basis: Basis
    remark: str
    """What the table has to say besides; empty: nothing."""
    source: str
    checked: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """Attempts of one kind, over all processes."""

    host: str
    port: int
    how: str
    processes: tuple[str, ...]
    attempts: int
    """At least so many."""
    last: str


@dataclass(frozen=True, slots=True)
class Residency:
    """The report."""

    regions: tuple[str, ...]
    operator: str
    ways: tuple[Way, ...]
    stopped: tuple[Stopped, ...]
    unseen: Mapping[str, int]
    """Programs that are not Python and were started, and how often at least: no guard looks at them."""
    switches: Mapping[str, str]
    not_seen: tuple[str, ...] = NOT_SEEN

    @property
    def leaves(self) -> tuple[Way, ...]:
        """Those beyond this machine."""
        return tuple(way for way in self.ways if way.basis != "here")


def residency(settings: Settings, root: Path) -> Residency:
    """The report of a house. Raises SettingsError as ``endpoints`` does."""
    told = attempts(root / REPORT)
    kinds: dict[tuple[str, int, str], list[Any]] = {}
    for one in told:
        if one.stopped:
            kinds.setdefault((one.host, one.port, one.how), []).append(one)
    stopped = tuple(
        Stopped(host, port, how, tuple(sorted({one.process for one in ones})), sum(one.count for one in ones),
                max(one.at for one in ones))
        for (host, port, how), ones in sorted(kinds.items())
    )  # fmt: skip
    unseen: dict[str, int] = {}
    for one in told:
        if not one.stopped:
            unseen[one.host] = unseen.get(one.host, 0) + one.count
    ways = tuple(_way(one) for one in endpoints(settings))
    return Residency(settings.house.regions, settings.house.operator, ways, stopped, unseen, SWITCHES)


def statement(report: Residency, *, house: str, at: str, software: str, settings_digest: str) -> dict[str, Any]:
    """The report as a statement to be signed (in-toto v1). Host names and counts, nothing of documents."""
    from freehold.proof.statement import RESIDENCY, STATEMENT_TYPE

    predicate = {
        "house": house,
        "issued": at,
        "software": software,
        "regions": list(report.regions),
        "operator": report.operator,
        "leaves": [asdict(way) for way in report.leaves],
        "stopped": [{**asdict(one), "processes": list(one.processes)} for one in report.stopped],
        "unseen": dict(report.unseen),
        "notSeen": list(report.not_seen),
    }
    subject = [{"name": f"settings:{house}", "digest": {"sha256": settings_digest}}]
    return {"_type": STATEMENT_TYPE, "subject": subject, "predicateType": RESIDENCY, "predicate": predicate}


def lines(report: Residency) -> Sequence[tuple[str, str, str, str, str]]:
    """Purpose, host, operator, region and basis of every endpoint."""
    return [
        (f"{way.purpose}: {way.sends}", f"{way.host}:{way.port}", way.operator or "-", way.region or "-",
         BASES[way.basis] + (f"; {way.remark}" if way.remark else ""))
        for way in report.ways
    ]  # fmt: skip


def _way(one: Endpoint) -> Way:
    place = place_of(one.host)
    if one.is_here:
        basis: Basis = "here"
    elif place is not None:
        basis = place.basis
    else:
        basis = "own-network" if is_private(one.host) else "not-in-table"
    remarks = []
    if place is not None and place.operator.split()[0].lower() not in one.operator.lower():
        remarks.append(f"the table names {place.operator} as operator")
    if place is not None and place.country == "US":
        looked = f": {place.framework}" if place.framework else " is unchecked"
        remarks.append(f"whether {place.operator} is on the Data Privacy Framework's list{looked}")
    source, checked = (place.source, place.checked.isoformat()) if place is not None else ("", "")
    return Way(
        one.setting,
        one.purpose,
        one.sends,
        one.host,
        one.port,
        one.operator,
        place.country if place is not None else "",
        one.region,
        basis,
        "; ".join(remarks),
        source,
        checked,
    )
