"""Rules on what is promised to be done again and again, and on the record of it."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.auditing.facts import HouseFacts
from freehold.auditing.finding import Figures, Seen, fault, sound, unclear
from freehold.auditing.rules import house_rules
from freehold.records.facts import many


@house_rules.rule(
    "ledger-broken",
    theme="records",
    severity="high",
    basis=("RFC 6962: a Merkle tree over all entries", "GDPR Art. 5(2): accountability", "AI Act Art. 12: logs"),
)
def broken(facts: HouseFacts) -> Iterator[Seen]:
    """The ledger is whole."""
    size = len(facts.records.leaves) if not facts.damages else 0
    if facts.damages:
        first = facts.damages[0]
        told = f"it does not fit in {many(len(facts.damages), 'place')}: {first.where}: {first.what}"
        yield fault(
            told, {"damages": len(facts.damages)}, fix="`freehold audit log --verify`; restore it from a backup"
        )
    elif not size:
        yield unclear("the ledger has no entry yet", "`freehold ingest PATH...`")
    else:
        yield sound(f"{size} leaves, every hash and signature fits", {"leaves": size})


@house_rules.rule(
    "ledger-unwitnessed",
    theme="records",
    severity="medium",
    basis=("RFC 9162, 8.3: a log that nobody watches can be rewritten by whoever runs it",),
)
def unwitnessed(facts: HouseFacts) -> Iterator[Seen]:
    """Somebody else has seen the ledger."""
    path, every = facts.settings.schedule.witness, facts.settings.schedule.checkpoint_days
    if not path or not every:
        told = "no witness is kept: whoever runs the house could rewrite the ledger"
        fix = "schedule.witness in freehold.toml: a file on a disk that the house's operator cannot change"
        yield fault(told, fix=fix, refs=("schedule.witness",))
    elif not (facts.house.root / path).exists():
        yield fault("the witness's file is not there", fix="`freehold schedule run --task checkpoint`",
                    refs=("schedule.witness",))  # fmt: skip
    else:
        yield sound(f"a witness is brought up to it every {every} days")


@house_rules.rule(
    "schedule-overdue",
    theme="records",
    severity="medium",
    basis=("GDPR Art. 32(1)(d): testing regularly", "GDPR Art. 5(1)(e)"),
)
def overdue(facts: HouseFacts) -> Iterator[Seen]:
    """What is due is done."""
    on = [one for one in facts.schedule if one.every_days]
    ran = [one for one in on if one.last]
    failed = [one for one in ran if one.last and one.last.outcome == "failed"]
    missed = [one for one in ran if one.missed]
    figures = {"tasks": len(on), "never ran": len(on) - len(ran), "failed": len(failed), "missed": len(missed)}
    names = ", ".join(one.task for one in (*failed, *missed))
    if failed or missed:
        told = f"{names}: failed, or {many(sum(one.missed for one in missed), 'run')} missed"
        fix = "`freehold schedule run`; then let the service, cron or systemd do it"
        yield fault(told, figures, fix=fix, refs=[one.task for one in (*failed, *missed)])
    elif not ran:
        yield unclear("nothing of the schedule has run yet", "`freehold schedule run`", figures)
    else:
        yield sound(f"{len(ran)} of {len(on)} tasks have run, none failed or missed", figures)


@house_rules.rule(
    "drift-alarm",
    theme="records",
    severity="high",
    basis=("AI Act Art. 72: monitoring after it went into use", "Rabanser et al. 2019, Failing Loudly"),
)
def drift(facts: HouseFacts) -> Iterator[Seen]:
    """What is asked and held is as it was."""
    seen = facts.watch
    if not seen.looked:
        yield unclear("nobody has looked for drift yet", "`freehold watch`")
        return
    figures: Figures = {str(one.signal): one.outcome for one in seen.readings}
    quiet = [one for one in seen.readings if one.outcome == "quiet"]
    if seen.alarms:
        first = seen.alarms[0]
        told = "; ".join(f"{one.signal}: {one.moved}" for one in seen.alarms)
        refs = [example.id for alarm in seen.alarms for example in alarm.examples]
        yield fault(told, figures, fix=next(iter(first.proposal), "`freehold watch`"), refs=refs)
    elif not quiet:
        needs = "traffic.query_log = true, canaries and time: `freehold watch` says how much is needed of each"
        yield unclear("there was too little to test anything", needs, figures)
    else:
        yield sound(f"{len(quiet)} signals are quiet, {len(seen.readings) - len(quiet)} need more", figures)


@house_rules.rule(
    "backup-none",
    theme="records",
    severity="low",
    basis=("GDPR Art. 32(1)(c): restore availability in time",),
)
def backups(facts: HouseFacts) -> Iterator[Seen]:
    """The house can be restored."""
    made = facts.records.leaf("backup.made")
    every = facts.settings.schedule.backup_days
    if made or every:
        how = f"every {every} days" if every else "by hand"
        yield sound(f"{'some backup was made' if made else 'no backup was made yet'}, {how}")
    else:
        fix = "`freehold backup FOLDER --keys FILE`, or schedule.backup_days"
        yield fault("no backup was ever made, and none is scheduled", fix=fix, refs=("schedule.backup_days",))
