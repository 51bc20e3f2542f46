"""The skeleton of a data-protection impact assessment, Art. 35(7) GDPR, filled as far as the house knows.

Risks are those that a house of this kind has whoever runs it; how likely and how grave each is here, a person says in
``records.risks``. Beside each stands what the house does about it, with the figures that were measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from freehold.core.errors import SettingsError
from freehold.core.experiment import Experiment
from freehold.erasing.certify import measured_recall
from freehold.measure.report.figures import interval, percent
from freehold.records import house
from freehold.records.facts import Facts, many, page
from freehold.records.lines import Evidence, Line, Record, Section
from freehold.records.measured import estimate, measures_of


@dataclass(frozen=True, slots=True)
class Risk:
    """Something that may happen to people, and what the house does about it."""

    name: str
    """As ``records.risks`` calls it."""
    told: str
    done: tuple[str, ...]
    evidence: tuple[Evidence, ...]


def assessment(facts: Facts) -> Record:
    """Every letter of Art. 35(7), and what Art. 35 asks for besides. Raises SettingsError for a risk that is none."""
    return Record(
        kind="assessment",
        title="Data-protection impact assessment",
        law="Art. 35(7) GDPR",
        about="A skeleton: the house puts in what it knows and has measured. Whether the processing is necessary, and "
        "which risk is bearable, is for the controller to say, with the advice of the officer.",
        house=facts.settings.house.name,
        made=facts.made,
        sections=(
            Section("(a) The processing and its purposes", tuple(_described(facts))),
            Section("(b) Necessity and proportionality", tuple(_necessary(facts))),
            Section("(c) Risks to those concerned", tuple(_risks(facts))),
            Section("(d) Measures", tuple(house.safeguards(facts, "35(7)(d)"))),
            Section("Advice, views, review", tuple(_besides(facts))),
        ),
    )


def _described(facts: Facts) -> list[Line]:
    point = "35(7)(a)"
    return [
        house.what_it_does(facts, point),
        facts.own(point, "Purposes", "records.purposes"),
        facts.own(point, "Whose data, and which", "records.subjects", "records.data", "records.special"),
        house.query_log(facts, point),
        house.recipients(facts, point),
        house.transfers(facts, point),
    ]


def _necessary(facts: Facts) -> list[Line]:
    point = "35(7)(b)"
    return [
        facts.own(point, "Lawful basis", "records.lawful_basis"),
        facts.own(point, "Necessity and proportionality", "records.necessity"),
        Line(
            point,
            "Data minimisation",
            (
                "the index holds ids, vectors and filter fields, no text; statistics are counted anew, never baked in",
                "people in questions that models learn from stand under surrogates",
            ),
            page("architecture#what-follows-from-being-able-to-forget", "training-data#people"),
        ),
        *house.time_limits(facts, point),
        Line(
            point,
            "Rights of those concerned",
            ("access, copy, restriction, rectification and erasure are commands, and pages of the console",),
            page("erasure#the-other-rights", "console#requests"),
        ),
        house.erasures(facts, point),
    ]


def _risks(facts: Facts) -> list[Line]:
    rated = _rated(facts)
    lines = []
    for risk in risks(facts):
        rating = rated.get(risk.name)
        told = (risk.told, *risk.done, *((f"rated: {rating}",) if rating else ()))
        evidence = (*risk.evidence, *(facts.setting("records.risks") if rating else ()))
        lines.append(Line("35(7)(c)", risk.name, told, evidence, () if rating else ("records.risks",)))
    return lines


def _rated(facts: Facts) -> Mapping[str, str]:
    known = [risk.name for risk in risks(facts)]
    found = {}
    for text in facts.settings.records.risks:
        name, colon, rating = text.partition(":")
        if name.strip() not in known or not colon or not rating.strip():
            hint = f"write NAME: likelihood, gravity, what is left; names: {', '.join(known)}"
            raise SettingsError(f"records.risks holds {text!r}", hint=hint)
        found[name.strip()] = rating.strip()
    return found


def risks(facts: Facts) -> tuple[Risk, ...]:
    """What may happen, in a fixed order."""
    settings = facts.settings
    remote = ", ".join(end.host for end in facts.remote)
    return (
        Risk(
            "wrong-reader",
            "Somebody sees passages about a person that they have no business with.",
            ("documents belong to groups; a search or an answer uses none that its caller may not see",),
            (*facts.leaf("groups.changed"), *page("search#who-sees-what")),
        ),
        Risk(
            "wrong-answer",
            "An answer says something of a person that is not so, and is acted on.",
            ("answers are quotations with places, or say that there is no answer", *_answers(facts)),
            (*facts.setting("generator.kind"), *facts.experiment(_with_answers(facts)), *page("answers")),
        ),
        Risk(
            "in-the-model",
            "A model that was trained here keeps something of a person.",
            (f"{many(len(facts.versions), 'version')} trained here", *_surrogates(facts)),
            (*facts.leaf("training.finished"), *page("training-data#people", "erasure#models")),
        ),
        Risk(
            "left-behind",
            "Somebody who was to be forgotten is not found, or comes back.",
            (*_found(), "a fence keeps out what names them, backups lose their keys, and all is searched for again"),
            (*facts.leaf("erasure.certified"), *page("erasure", "erasure#what-is-not-reached")),
        ),
        Risk(
            "leaves-the-house",
            "Data goes to somebody, or somewhere, that nobody decided on.",
            (
                f"addresses off this machine: {remote}" if remote else "no address off this machine is set",
                f"a region outside {', '.join(settings.house.regions)} is refused",
                "what the settings do not declare is stopped while the house runs, and written down",
            ),
            (*facts.setting("house.regions", *(end.setting for end in facts.remote)), *page("residency")),
        ),
        Risk(
            "watched-askers",
            "Whoever asks is watched by what they ask.",
            house.query_log(facts, "").told,
            house.query_log(facts, "").evidence,
        ),
        Risk(
            "found-by-a-document",
            "A document is written so as to make answers say or send something.",
            ("what documents say is data; answers are plain words without links of theirs",),
            page("http#what-a-document-cannot-do", "mcp#what-documents-say-is-data"),
        ),
        Risk(
            "unseen-change",
            "What is asked or held changes, and the answers get worse without anybody noticing.",
            (
                f"a look for drift every {settings.schedule.watch_days} days"
                if settings.schedule.watch_days
                else "no look for drift is on the schedule",
            ),
            (*facts.setting("schedule.watch_days", "watch.false_alarms_per_month"), *page("drift")),
        ),
        Risk(
            "unequal-service",
            "The search serves some worse than others: another language, another kind of question.",
            _slices(facts),
            (*facts.experiment(facts.latest("eval")), *facts.setting("gate.slices"), *page("evaluation#slices")),
        ),
    )


def _with_answers(facts: Facts) -> Experiment | None:
    return next((one for one in reversed(facts.experiments) if one.answers), None)


def _answers(facts: Facts) -> tuple[str, ...]:
    found = _with_answers(facts)
    if found is None or found.answers is None:
        return ("answers were not measured: freehold eval --answers",)
    return tuple(map(estimate, found.answers.measures))


def _surrogates(facts: Facts) -> tuple[str, ...]:
    checks = [manifest.pseudonyms for manifest in facts.sets.values() if manifest.pseudonyms]
    if not checks:
        return ("no training set is here",) if not facts.sets else ("no surrogates stand in the training sets here",)
    check = checks[-1]
    told = f"{check.detector} left {check.missed} of {check.labelled} labelled mentions in clear"
    ends = check.miss_rate_ci95
    return (told + (f", 95 % interval {percent(ends[0])} to {percent(ends[1])}" if ends else ""),)


def _found() -> tuple[str, ...]:
    recall = measured_recall()
    told = f"{percent(recall['value'])} of labelled mentions are found, {percent(recall['lower95'])} at least (95 %)"
    return (f"{told}, on {recall['sample']}",)


def _slices(facts: Facts) -> tuple[str, ...]:
    found = facts.latest("eval")
    slices = facts.served(found).slices if found else ()
    if not slices:
        return ("no measure by language or kind of question: freehold eval --slice language",)
    told = []
    for part in slices:
        first = part.measures[0]
        ends = interval(first.ci95)
        value = "n/a" if first.value is None else f"{first.value:.3f}"
        told.append(f"{part.slice}: {first.measure} {value}{f' {ends}' if ends else ''}, {part.queries} questions")
    return tuple(told)


def _besides(facts: Facts) -> list[Line]:
    return [
        facts.own("35(2)", "Advice of the data protection officer", "records.officer", "records.advice"),
        facts.own("35(9)", "Views of those concerned", "records.views"),
        facts.own("35(11)", "Review", "records.review"),
        Line("35(7)(d)", "How good the search is", measures_of(facts), facts.experiment(facts.latest("eval"))),
    ]
