"""The record of processing activities of a controller, Art. 30(1) GDPR, letter by letter."""

from __future__ import annotations

from freehold.records import house
from freehold.records.facts import Facts, many, page
from freehold.records.lines import Line, Record, Section


def record_of_processing(facts: Facts) -> Record:
    """Every letter of Art. 30(1)."""
    return Record(
        kind="processing",
        title="Record of processing",
        law="Art. 30(1) GDPR",
        about="What is processed in this house, for whom and with what limits. It is made from the house's settings, "
        "stores and ledger; what only the controller knows is theirs to say in [records] of freehold.toml.",
        house=facts.settings.house.name,
        made=facts.made,
        sections=(
            Section("(a) Who is responsible", tuple(_who(facts))),
            Section(
                "(b) Purposes",
                (
                    facts.own("30(1)(b)", "Purposes", "records.purposes"),
                    house.what_it_does(facts, "30(1)(b)"),
                ),
            ),
            Section("(c) Whose data, and which", tuple(_whose(facts))),
            Section("(d) Recipients", (house.recipients(facts, "30(1)(d)"),)),
            Section("(e) Transfers to third countries", (house.transfers(facts, "30(1)(e)"),)),
            Section(
                "(f) Time limits for erasure",
                (*house.time_limits(facts, "30(1)(f)"), house.erasures(facts, "30(1)(f)")),
            ),
            Section("(g) Technical and organisational measures", tuple(house.safeguards(facts, "30(1)(g)"))),
        ),
    )


def _who(facts: Facts) -> list[Line]:
    asked = (
        ("Controller", ("records.controller", "records.contact")),
        ("Joint controllers", ("records.joint_controllers",)),
        ("Representative", ("records.representative",)),
        ("Data protection officer", ("records.officer",)),
    )
    return [facts.own("30(1)(a)", topic, *keys) for topic, keys in asked]


def _whose(facts: Facts) -> list[Line]:
    stats = facts.house.stats()
    read, kinds = facts.house.shelf.surveyed()
    mentions = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items()) or "nobody is mentioned"
    told = f"{read:,} of {many(stats.documents, 'document')} read for people"
    told += f": {mentions}" if read else ""
    told += "; freehold survey reads the rest" if read < stats.documents else ""
    return [
        facts.own("30(1)(c)", "Categories of people", "records.subjects"),
        facts.own("30(1)(c)", "Categories of personal data", "records.data"),
        facts.own("30(1)(c)", "Categories under Art. 9 and 10", "records.special"),
        Line(
            "30(1)(c)",
            "What the house holds",
            (told, f"people are found by {facts.detector}"),
            (
                *facts.leaf("ingest.committed"),
                *facts.setting("privacy.detector"),
                *page("erasure#who-is-in-there-at-all", "privacy#what-is-found"),
            ),
        ),
        house.query_log(facts, "30(1)(c)"),
    ]
