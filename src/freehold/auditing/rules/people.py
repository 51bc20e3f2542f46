"""Rules on personal data: what is there, where it goes, how long it stays, what people asked for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from freehold.auditing.facts import HouseFacts
from freehold.auditing.finding import Seen, fault, sound, unclear
from freehold.auditing.rules import house_rules
from freehold.core.attempts import REPORT, attempts
from freehold.erasing.holders import holders_of
from freehold.erasing.retention import past
from freehold.erasing.review import is_overdue, to_do
from freehold.privacy.check import exact_interval
from freehold.records.facts import many

GOOD_DETECTION = 0.8
"""Share of labelled mentions that must be found; its exact interval must reach it."""
ATTEMPT_DAYS = 30
GRACE_DAYS = 1
"""The log forgets once a day."""


@house_rules.rule(
    "people-unknown",
    theme="people",
    severity="medium",
    basis=("GDPR Art. 30(1)(c): categories of data", "GDPR Art. 5(2): accountability"),
)
def people(facts: HouseFacts) -> Iterator[Seen]:
    """It is known who is in the documents."""
    held = facts.health.stats.documents
    read, kinds = facts.surveyed
    figures = {"documents": held, "read for people": read, **{f"mentions: {kind}": n for kind, n in kinds.items()}}
    if not held:
        yield unclear("the house holds no document", "`freehold ingest PATH...`")
    elif read < held:
        yield unclear(f"{held - read} of {held} documents were not read for people", "`freehold survey`", figures)
    elif kinds and not facts.settings.records.data:
        mentions = f"{many(sum(kinds.values()), 'mention')} of {many(len(kinds), 'kind')}"
        told = f"{mentions}, and records.data says nothing of them"
        yield fault(
            told, figures, fix="fill in records.data in freehold.toml; `freehold records`", refs=("records.data",)
        )
    else:
        yield sound(f"{sum(kinds.values())} mentions of {len(kinds)} kinds, in {held} documents", figures)


@house_rules.rule(
    "detector-misses",
    theme="people",
    severity="high",
    basis=("GDPR Art. 25(1), 32(1): measures that are effective, and tested", "docs/privacy.md: recall is measured"),
)
def detector(facts: HouseFacts) -> Iterator[Seen]:
    """People are found in texts."""
    told = facts.detector
    found = told.labelled - told.missed
    ends = exact_interval(found, told.labelled) or (0.0, 1.0)
    figures = {
        "detector": told.detector,
        "sample": told.sample,
        "labelled mentions": told.labelled,
        "found": found,
        "recall, exact 95 % interval": f"{found / told.labelled:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]",
    }
    said = f"{found} of {told.labelled} labelled mentions are found"
    if ends[1] < GOOD_DETECTION:
        yield fault(said, figures, fix="another privacy.detector; label a sample of your own and measure by it")
    else:
        yield sound(said, figures)


@house_rules.rule(
    "residency-transfers",
    theme="people",
    severity="high",
    basis=("GDPR Art. 44 to 49: transfers", "GDPR Art. 28: processors", "GDPR Art. 30(1)(d), (e)"),
)
def transfers(facts: HouseFacts) -> Iterator[Seen]:
    """What leaves the house is documented."""
    remote = facts.records.remote
    outside = [end for end in remote if end.region != "eu"]
    figures = {end.setting: f"{end.host} in {end.region}: {end.purpose}" for end in remote}
    if outside and not facts.settings.records.transfers:
        told = f"{many(len(outside), 'endpoint')} outside the EU, and records.transfers names no safeguard"
        fix = "name country and safeguard in records.transfers, or an endpoint in the EU"
        yield fault(told, figures, fix=fix, refs=[end.setting for end in outside])
    else:
        yield sound(f"{len(remote)} endpoints off this machine, {len(outside)} of them outside the EU", figures)


@house_rules.rule(
    "endpoints-in-clear",
    theme="people",
    severity="high",
    basis=("GDPR Art. 32(1)(a): encryption",),
)
def in_clear(facts: HouseFacts) -> Iterator[Seen]:
    """What leaves the house is encrypted on its way."""
    values = {key: str(value) for key, value, _ in facts.settings.items()}
    bare = [end.setting for end in facts.records.remote if values.get(end.setting, "").startswith("http://")]
    figures = {"endpoints off this machine": len(facts.records.remote), "in clear": len(bare)}
    if bare:
        told = f"{many(len(bare), 'endpoint')} off this machine without TLS"
        yield fault(told, figures, fix="an https:// address", refs=bare)
    else:
        yield sound(f"{len(facts.records.remote)} endpoints off this machine, all by TLS", figures)


@house_rules.rule(
    "egress-attempts",
    theme="people",
    severity="medium",
    basis=("GDPR Art. 32(1)(b): confidentiality", "GDPR Art. 44: nothing leaves unnoticed"),
)
def stopped(facts: HouseFacts) -> Iterator[Seen]:
    """Nothing tries to leave by the way."""
    since = (facts.now - timedelta(days=ATTEMPT_DAYS)).isoformat()
    tried = [one for one in attempts(facts.house.root / REPORT) if one.stopped and one.at >= since]
    hosts = sorted({one.host for one in tried})
    figures = {"attempts stopped": sum(one.count for one in tried), "hosts": len(hosts), "days": ATTEMPT_DAYS}
    if tried:
        count = sum(one.count for one in tried)
        told = f"the guard stopped {many(count, 'attempt')} to reach {many(len(hosts), 'host')} not declared"
        fix = "`freehold doctor`; declare the host under [residency] also, or take out what calls it"
        yield fault(told, figures, fix=fix, refs=hosts)
    else:
        yield sound(f"the guard stopped nothing in {ATTEMPT_DAYS} days", figures)


@house_rules.rule(
    "retention-undeclared",
    theme="people",
    severity="medium",
    basis=("GDPR Art. 5(1)(e): storage limitation", "GDPR Art. 30(1)(f): time limits"),
)
def undeclared(facts: HouseFacts) -> Iterator[Seen]:
    """It is settled how long documents stay."""
    said = (*facts.settings.records.retention, *facts.settings.privacy.retention.limits)
    if said:
        yield sound(f"{len(said)} time limits are stated", {"time limits": len(said)})
    else:
        told = "nothing says how long documents of which category stay"
        yield fault(told, fix="records.retention in freehold.toml", refs=("records.retention",))


@house_rules.rule(
    "retention-expired",
    theme="people",
    severity="high",
    basis=("GDPR Art. 5(1)(e): storage limitation",),
)
def expired(facts: HouseFacts) -> Iterator[Seen]:
    """What is past its time is gone."""
    documents = [one for one in past(facts.house, facts.now - timedelta(days=GRACE_DAYS)) if not one.stays]
    if documents:
        told = f"the time of {len(documents)} documents is over, and they are still here"
        fix = "`freehold purge --plan` lists them; `freehold schedule run --task purge`"
        ids = [one.document for one in documents]
        yield fault(told, {"documents past their time": len(ids)}, fix=fix, refs=ids)
    days = facts.settings.privacy.query_retention_days
    volume = facts.volume
    age = facts.now - datetime.fromisoformat(volume.oldest) if volume.oldest else timedelta()
    figures = {"questions logged": sum(volume.questions.values()), "days allowed": days, "oldest, in days": age.days}
    if age > timedelta(days=days + GRACE_DAYS):
        told = f"the query log holds questions of {age.days} days ago, {days} are allowed"
        yield fault(told, figures, fix="`freehold schedule run --task expire`")
    else:
        yield sound("the query log holds nothing past its time", figures)


@house_rules.rule(
    "holds-unreviewed",
    theme="people",
    severity="medium",
    basis=("GDPR Art. 17(3): a hold lasts as long as its reason",),
)
def holds(facts: HouseFacts) -> Iterator[Seen]:
    """Holds are looked at again in time."""
    past = sorted(id for id, hold in facts.holds.items() if hold.review < facts.now.date().isoformat())
    figures = {"holds": len(facts.holds), "past their review": len(past)}
    if past:
        told = f"{len(past)} of {many(len(facts.holds), 'hold')} should have been looked at again before today"
        yield fault(
            told, figures, fix="`freehold hold remove DOCUMENT`, or `freehold hold add` with a new date", refs=past
        )
    else:
        yield sound(f"{len(facts.holds)} holds, none past its review", figures)


@house_rules.rule(
    "requests-overdue",
    theme="requests",
    severity="high",
    basis=("GDPR Art. 12(3): one month from receipt",),
)
def overdue(facts: HouseFacts) -> Iterator[Seen]:
    """Requests are answered within the month."""
    requests = facts.records.requests
    late = [one for one in requests if is_overdue(one, now=facts.now)]
    open_ones = [one for one in requests if to_do(one) not in ([], ["close"])]
    figures = {"requests": len(requests), "open": len(open_ones), "overdue": len(late)}
    if late:
        days = max((facts.now - datetime.fromisoformat(one.due)).days for one in late)
        told = f"{many(len(late), 'request')} past the month, one by {many(days, 'day')}"
        fix = f"`freehold requests show {late[0].id[:8]}`; `freehold erase --resume {late[0].id[:8]}`"
        yield fault(told, figures, fix=fix, refs=[one.id for one in late])
    else:
        yield sound(f"{len(requests)} requests, {len(open_ones)} open, none past its month", figures)


@house_rules.rule(
    "requests-waiting",
    theme="requests",
    severity="medium",
    basis=("GDPR Art. 12(3): without undue delay",),
)
def waiting(facts: HouseFacts) -> Iterator[Seen]:
    """No request waits for a decision."""
    asked = [one for one in facts.records.requests if "decide" in to_do(one)]
    if asked:
        documents = sum(len(one.asked) for one in asked)
        told = f"{many(len(asked), 'request')} waiting for somebody to decide on {many(documents, 'document')}"
        yield fault(told, {"requests": len(asked), "documents": documents}, fix="`freehold requests show ID`",
                    refs=[one.id for one in asked])  # fmt: skip
    else:
        yield sound("no request waits for a person", {"requests": len(facts.records.requests)})


@house_rules.rule(
    "erasure-unproven",
    theme="requests",
    severity="high",
    basis=("GDPR Art. 17(1), 5(2): erased, and able to show it", "docs/erasure.md: what a certificate says"),
)
def unproven(facts: HouseFacts) -> Iterator[Seen]:
    """Erasures are proven."""
    failed = [one for one in facts.records.requests if one.certificate == "FAILED"]
    unfinished = [one for one in facts.records.requests if one.certificate == "INTERIM"]
    logical = [one.name for one in holders_of(facts.house, _silent) if one.level == "logical"]
    figures = {
        "certificates": dict(sorted(facts.records.certified.items())),
        "stores that cannot prove it": ", ".join(logical) or "none",
    }
    if failed:
        told = f"something is left, by {many(len(failed), 'certificate')}"
        yield fault(told, figures, fix=f"`freehold erase --resume {failed[0].id[:8]}`", refs=[one.id for one in failed])
    if logical:
        told = f"{', '.join(logical)} can only say that nothing is given back of what was erased"
        fix = 'index.kind = "qdrant-edge", or a processor who confirms the deletion (Art. 28(3)(g))'
        yield fault(told, figures, fix=fix, severity="low")
    if not failed and not logical:
        yield sound(f"{len(unfinished)} certificates are interim, none has failed", figures)


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass
