"""Technical documentation after Annex IV of the AI Act, Regulation (EU) 2024/1689, point by point.

Whether Annex IV applies depends on what the house is used for: only a high-risk system needs it (Art. 6, Art. 11). The
table is made either way, and says what class the provider takes it to be of.
"""

from __future__ import annotations

from freehold import __version__
from freehold.records import house
from freehold.records.assessment import risks
from freehold.records.data import measured_on
from freehold.records.facts import Facts, many, page
from freehold.records.lines import Evidence, Line, Record, Section
from freehold.records.measured import measures_of, verdict_of
from freehold.records.models import base_models, learned


def technical_documentation(facts: Facts) -> Record:
    """Every point of Annex IV."""
    return Record(
        kind="technical",
        title="Technical documentation",
        law="Annex IV AI Act (Regulation (EU) 2024/1689)",
        about="What the house can say to each point of Annex IV. It is no assessment of conformity; what only the "
        "provider knows is theirs to say in [records] of freehold.toml.",
        house=facts.settings.house.name,
        made=facts.made,
        sections=(
            Section("1. General description", tuple(_general(facts))),
            Section("2. Elements and development", tuple(_development(facts))),
            Section("3. Monitoring, functioning, control", tuple(_control(facts))),
            Section("4 to 9. Measures, risks, changes, standards, monitoring in use", tuple(_rest(facts))),
        ),
    )


def _general(facts: Facts) -> list[Line]:
    lineup = facts.house.registry.lineup()
    version = f"freehold {__version__}, lineup {lineup.number}, catalog revision {facts.house.shelf.revision}"
    remote = [f"{end.host}: {end.purpose}" for end in facts.remote]
    purpose = facts.own("1(a)", "Purpose, provider, version", "records.intended_purpose", "records.provider")
    return [
        facts.own("6, 11", "Class of the system", "records.risk_class"),
        facts.also(purpose, version, evidence=(*facts.switched(lineup.number), *page("versions"))),
        Line(
            "1(b)",
            "What it works with",
            (
                "callers over HTTP, OpenAI-style clients, MCP clients, a console and a command line",
                *(remote or ("nothing off this machine",)),
            ),
            (*facts.setting(*(end.setting for end in facts.remote)), *page("http", "mcp")),
        ),
        Line(
            "1(c)",
            "Versions of software",
            ("every package with its version: see the bill of materials", "an upgrade keeps the layout or refuses"),
            (Evidence("file", "bom.cdx.json"), *page("operations#versions")),
        ),
        Line("1(d)", "Forms of delivery", ("a package, an image, a chart for Kubernetes",), page("deploy")),
        Line(
            "1(e)",
            "Hardware",
            _hardware(facts),
            (*facts.experiment(facts.latest("eval")), *page("operations#memory-and-processors")),
        ),
        Line("1(f)", "Product that it is a part of", ("none: it is software of its own",), page("index")),
        Line(
            "1(g)",
            "Interface",
            ("a console in the browser; each answer shows what it quotes, and where",),
            page("console", "answers"),
        ),
        Line("1(h)", "Instructions for use", ("the handbook",), page("index", "quickstart", "operations")),
    ]


def _hardware(facts: Facts) -> tuple[str, ...]:
    found = facts.latest("eval")
    if found is None:
        return ("a machine of the x86-64 or ARM kind with Linux; what it takes is in the handbook",)
    machine = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in sorted(found.machine.items()))
    return (f"last measured on: {machine}",)


def _development(facts: Facts) -> list[Line]:
    bases = [f"{model.part}: {model.name}, {model.where}" for model in base_models(facts)]
    sets = [f"{name}: {', '.join(learned(manifest)[:2])}" for name, manifest in facts.sets.items()]
    labelled = [
        f"{info.name}, split {info.split or 'none'}: {info.queries:,} questions" for info, _ in measured_on(facts)
    ]
    gate = facts.settings.gate
    answering = facts.settings.watch.retrain == "run"
    changes = (
        "an alarm of the drift watch may train a query adapter and promote it, if the gate lets it"
        if answering
        else "none happens by itself: an alarm of the drift watch proposes commands"
    )
    return [
        Line(
            "2(a)",
            "Steps of development, and models of third parties",
            (*bases, f"{many(len(facts.versions), 'version')} trained here from labelled, logged or written questions"),
            (Evidence("file", "models.json"), *facts.leaf("training.finished"), *page("fine-tuning", "adapter")),
        ),
        Line(
            "2(b)",
            "Design, and what it optimises for",
            (
                f"{facts.settings.retrieval.mode} search, fused by {facts.settings.retrieval.fusion}, reranked by "
                f"{facts.settings.reranker.kind}; it optimises the order of passages: {', '.join(gate.measures)}",
                "trade-offs, with the figures that settled them, are in the decisions of the handbook",
            ),
            (
                *facts.setting("retrieval.mode", "retrieval.fusion", "reranker.kind", "gate.measures"),
                *page("architecture#decisions"),
            ),
        ),
        Line("2(c)", "Architecture", ("floors, walks and engines",), page("architecture")),
        Line(
            "2(d)",
            "Data",
            (*(sets or ("nothing was trained on yet",)), *labelled),
            (Evidence("file", "data.json"), *(Evidence("training set", n, m.root) for n, m in facts.sets.items())),
        ),
        facts.also(
            facts.own("2(e)", "Human oversight", "records.oversight"),
            "an answer quotes, names its place, and says when there is none; whoever reads it can look",
            evidence=page("answers#how-citations-are-made", "answers#when-there-is-no-answer"),
        ),
        Line(
            "2(f)",
            "Changes determined in advance",
            (
                changes,
                f"every {facts.settings.schedule.retrain_days} days versions that learned from somebody erased are "
                "trained again without them, and pass the gate"
                if facts.settings.schedule.retrain_days
                else "versions that learned from somebody erased are trained again by hand",
            ),
            (*facts.setting("watch.retrain", "schedule.retrain_days"), *page("drift#an-alarm", "erasure#models")),
        ),
        Line(
            "2(g)",
            "Validation and tests",
            (*measures_of(facts), "gate: " + verdict_of(facts)[0]),
            (
                *facts.experiment(facts.latest("eval")),
                *facts.experiment(facts.latest("gate")),
                *page("evaluation#what-the-intervals-and-tests-are", "gate"),
            ),
        ),
        *house.safeguards(facts, "2(h)"),
    ]


def _control(facts: Facts) -> list[Line]:
    return [
        Line(
            "3",
            "Capabilities, and how exact",
            measures_of(facts),
            (*facts.experiment(facts.latest("eval")), *page("evaluation")),
        ),
        Line(
            "3",
            "Foreseeable unintended outcomes",
            tuple(f"{risk.name}: {risk.told}" for risk in risks(facts)),
            (Evidence("file", "assessment.json"), *page("search#when-the-results-are-poor")),
        ),
        facts.own("3", "Human oversight", "records.oversight"),
        Line(
            "3",
            "Specifications of input",
            (
                f"documents of the formats in the handbook up to {facts.settings.ingest.max_file_mb} MB, in "
                f"{', '.join(facts.settings.house.languages)}; questions as the embedder can read them",
            ),
            (*facts.setting("ingest.max_file_mb", "house.languages"), *page("ingest#formats")),
        ),
    ]


def _rest(facts: Facts) -> list[Line]:
    gate, lineups = facts.settings.gate, facts.house.registry.lineups()[1:]
    changes = tuple(f"lineup {one.number}: {one.verb} on {one.since[:10]}" for one in lineups)
    leaves = tuple(leaf for one in lineups for leaf in facts.switched(one.number))
    watching = facts.settings.schedule.watch_days
    rates = f"{facts.settings.watch.false_alarms_per_month:g} false alarms a month are allowed"
    return [
        Line(
            "4",
            "Why these measures",
            (
                f"{', '.join(gate.measures)}: whether what answers is among the first passages, which is all that a "
                "reader or a generator sees",
            ),
            (*facts.setting("gate.measures"), *page("evaluation#measures-of-rankings")),
        ),
        facts.also(
            facts.own("5", "Risk management (Art. 9)", "records.risks"),
            "risks and what is done about each are in the assessment",
            evidence=(Evidence("file", "assessment.json"),),
        ),
        Line(
            "6",
            "Changes through its life",
            changes or ("nothing was promoted yet",),
            (*leaves, *facts.leaf("settings.changed"), *page("ledger")),
        ),
        facts.own("7", "Standards", "records.standards"),
        facts.own("8", "EU declaration of conformity", "records.declaration"),
        facts.also(
            facts.own("9", "Monitoring in use (Art. 72)", "records.monitoring"),
            f"a look for drift every {watching} days, {rates}" if watching else "no look for drift is on the schedule",
            evidence=(*facts.setting("schedule.watch_days", "watch.false_alarms_per_month"), *page("drift")),
        ),
    ]
