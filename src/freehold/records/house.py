"""What several records say of a house: what it does, to whom data goes, how long it stays, what protects it."""

from __future__ import annotations

from dataclasses import replace

from freehold.core.erasure import STAGES
from freehold.records.facts import NONE, Facts, many, page
from freehold.records.lines import Line
from freehold.residency.places import BASES
from freehold.store.jobs import KEPT_DAYS


def what_it_does(facts: Facts, point: str) -> Line:
    """The processing, in one line."""
    stats, settings = facts.house.stats(), facts.settings
    serving = len(facts.house.registry.lineup().versions)
    languages = ", ".join(f"{language} {count:,}" for language, count in sorted(stats.languages.items()))
    told = (
        "search and answers with quotations over "
        f"{many(stats.documents, 'document')} in {many(stats.chunks, 'passage')} ({languages or 'none yet'})",
        f"answers by generator {settings.generator.kind}"
        + (f", model {settings.generator.model}" if settings.generator.model else ""),
        f"{many(len(facts.versions), 'model version')} trained here, {serving} of them serve",
    )
    evidence = (*facts.leaf("ingest.committed"), *facts.setting("generator.kind"), *page("architecture"))
    return Line(point, "What the house does", told, evidence)


def query_log(facts: Facts, point: str) -> Line:
    """What is kept of whoever asks."""
    part, days = facts.settings.traffic, facts.settings.privacy.query_retention_days
    if not part.query_log:
        told = "nothing is kept of what is asked"
    else:
        what = "questions, the ids of what was shown, clicks, thumbs and the id of the key"
        told = f"{what}{', and answers' if part.answers else ''}, for {days} days"
    keys = ("traffic.query_log", "traffic.answers", "privacy.query_retention_days")
    return Line(point, "People who ask", (told,), (*facts.setting(*keys), *page("operations#query-log")))


def recipients(facts: Facts, point: str) -> Line:
    """Whom data goes to: those the settings name, and every address that they have the house speak to, with what the
    table of well-known addresses knows of it.
    """
    told = [f"{name}: named as a recipient" for name in facts.settings.privacy.recipients]
    told += [
        f"{way.host} ({way.operator}{f', {way.country}' if way.country else ''}) in {way.region}: {way.purpose}; "
        f"gets {way.sends}"
        for way in facts.ways
    ]
    if not told:
        told = ["no recipient is named, and no address off this machine is set"]
    keys = [way.setting for way in facts.ways]
    evidence = (*facts.setting("privacy.recipients", *keys), *page("residency", "erasure#what-is-not-reached"))
    return Line(point, "Recipients", tuple(told), evidence)


def transfers(facts: Facts, point: str) -> Line:
    """Where it goes: regions are declared and enforced, and the table of well-known addresses says what it knows of
    each. Which safeguard is agreed on only a person can say.
    """
    regions = ", ".join(facts.settings.house.regions) or NONE
    told = [f"regions that an address may be in: {regions}; any other is refused when the house is opened"]
    told += [
        f"{way.host}: {way.region}; {BASES[way.basis]}"
        + (f", by {way.source}, read {way.checked}" if way.source else "")
        + (f"; {way.remark}" if way.remark else "")
        for way in facts.ways
    ]
    line = facts.own(point, "Transfers to third countries", "records.transfers")
    evidence = (
        *facts.setting("house.regions"),
        *facts.leaf("residency.stated"),
        *page("residency#what-leaves-and-what-was-stopped"),
    )
    return facts.also(line, *told, evidence=evidence)


def documents_stay(facts: Facts, point: str, topic: str) -> Line:
    """How long documents stay: what the house carries out, and what the controller says of their categories."""
    part = facts.settings.privacy
    line = facts.own(point, topic, "records.retention")
    retention = part.retention
    if not retention:
        return line
    told = [f"what is like {pattern}: {_days(days)}" for pattern, days in retention.rules]
    told += [f"{'all else' if retention.rules else 'all'}: {_days(retention.otherwise)}"]
    since = f"the date in the field {part.document_date}, else the day on which it came in"
    told += [
        f"counted from {since if part.document_date else 'the day on which it came in'}; what is under a hold stays"
    ]
    keys = ("privacy.document_retention_days", "privacy.document_retention", "privacy.document_date")
    evidence = (*facts.setting(*keys), *facts.leaf("retention.purged"), *page("operations#retention"))
    return replace(facts.also(line, *told, evidence=evidence), to_fill=())


def _days(days: int) -> str:
    return f"{many(days, 'day')}, then removed from the house and its backups" if days else "for good"


def time_limits(facts: Facts, point: str) -> list[Line]:
    """How long each kind of data stays."""
    settings = facts.settings
    house = facts.house
    held, hidden = len(house.shelf.holds()), len(house.shelf.restricted())
    kept = settings.schedule.backup_kept_days
    backups = (
        f"every {settings.schedule.backup_days} days, each removed after {kept} days"
        if settings.schedule.backup_days
        else "none is made by the schedule"
    )
    off = settings.privacy.switch_off_days
    return [
        documents_stay(facts, point, "Documents"),
        query_log(facts, point),
        Line(
            point,
            "Documents under a hold, and restricted ones",
            (f"{held:,} are kept under Art. 17(3), {hidden:,} are hidden",),
            page("erasure#the-other-rights"),
        ),
        Line(
            point,
            "Models that learned from somebody who was erased",
            (f"trained again without them, and out of service after {off} days at the latest",),
            (*facts.setting("privacy.switch_off_days", "schedule.retrain_days"), *page("erasure#models")),
        ),
        Line(
            point,
            "Backups",
            (backups, "whoever is erased is noise in every one of them from then on: their keys are destroyed"),
            (
                *facts.setting("schedule.backup_days", "schedule.backup_kept_days"),
                *facts.leaf("backup.made"),
                *page("operations#backup"),
            ),
        ),
        Line(
            point,
            "Uploads and jobs",
            (f"an upload until it is read, what is told of a job for {KEPT_DAYS} days",),
            page("http", "operations#what-lies-in-a-house"),
        ),
    ]


def erasures(facts: Facts, point: str) -> Line:
    """Requests, and what came of them."""
    still = [request for request in facts.requests if request.stage != STAGES[-1]]
    verdicts = ", ".join(f"{verdict} {count}" for verdict, count in sorted(facts.certified.items()))
    told = [f"{many(len(facts.requests), 'request')} to erase, {len(still):,} of them open"]
    told += [f"the first open one is due {min(request.due for request in still)[:10]}"] if still else []
    told += [f"certificates: {verdicts}"] if verdicts else []
    evidence = [ref for kind in ("erasure.received", "erasure.certified") for ref in facts.leaf(kind)]
    return Line(point, "Erasure on request", tuple(told), (*evidence, *page("erasure")))


def safeguards(facts: Facts, point: str) -> list[Line]:
    """Technical measures of the house, as they are set."""
    settings = facts.settings
    bars = "people whom a question does not name stand under bars in what is given out"
    told = bars if settings.server.mask_people else "people in a passage are shown to whoever may see the document"
    return [
        Line(
            point,
            "Encryption",
            (
                "originals are sealed with AES-256-GCM under a key each, and so is every unit of a backup",
                "the catalog holds texts in clear: the disk under it is to be encrypted",
            ),
            page("operations#what-lies-in-a-house", "operations#backup"),
        ),
        Line(
            point,
            "Access",
            (
                "API keys with scopes, kept as digests; documents belong to groups that bind search and answers",
                told,
            ),
            (
                *facts.setting("server.mask_people"),
                *facts.leaf("groups.changed"),
                *page("http#who-may-do-what", "search#who-sees-what"),
            ),
        ),
        Line(
            point,
            "Accountability",
            ("every change is a leaf of an append-only Merkle log, signed, whose leaves hold no word of anybody",),
            (*facts.leaf("house.opened"), *page("ledger")),
        ),
        Line(
            point,
            "Untrusted input",
            (
                f"files are read in processes of their own: {settings.ingest.cpu_s} s, {settings.ingest.memory_mb} MB",
                "what a document says is data: answers are plain words, citations are the house's own",
            ),
            (
                *facts.setting("ingest.cpu_s", "ingest.memory_mb"),
                *page("ingest#limits-and-quarantine", "http#what-a-document-cannot-do"),
            ),
        ),
        Line(
            point,
            "Availability",
            (
                "writes survive a crash; the index is made again from the catalog",
                f"backups: every {settings.schedule.backup_days} days"
                if settings.schedule.backup_days
                else "backups: none by the schedule",
            ),
            (*facts.setting("schedule.backup_days"), *page("operations#crashes")),
        ),
        Line(
            point,
            "Testing of the measures",
            (
                "what certificates say is gone is searched for again"
                f" every {settings.schedule.reprobe_days} days" * bool(settings.schedule.reprobe_days),
                f"the ledger is verified every {settings.schedule.checkpoint_days} days"
                if settings.schedule.checkpoint_days
                else "the ledger is verified when somebody asks",
            ),
            (
                *facts.setting("schedule.reprobe_days", "schedule.checkpoint_days"),
                *facts.leaf("schedule.ran"),
                *page("operations#schedule"),
            ),
        ),
        facts.own(point, "Around the house", "records.security"),
    ]
