"""The words that a report shows beside the record: looked up in the house and in the labels when it is made."""

from __future__ import annotations

from freehold.house import House
from freehold.journeys.evaluate import TOPS
from freehold.measure.ranking import ranked
from freehold.measure.report.contest import Detail
from freehold.measuring.record import Evaluation

SNIPPET_CHARS = 400


def detail(evaluation: Evaluation, house: House) -> Detail:
    """The words and the query-by-query values that a report shows, looked up in the house and in the labels."""
    assessment, labels = evaluation.assessment, evaluation.labels
    headline = assessment.measures[0]
    meanings = evaluation.acronyms.ambiguous() if evaluation.acronyms else {}
    return Detail(
        measure=str(headline),
        queries={query: labelled.text for query, labelled in labels.queries.items()},
        values={run: assessment.by_query(run, headline) for run in assessment.runs},
        tops={
            name: {query: tuple(ranked(scores)[:TOPS]) for query, scores in run.items()}
            for name, run in assessment.runs.items()
        },
        relevant={q: tuple(u for u, grade in grades.items() if grade > 0) for q, grades in labels.qrels.items()},
        texts=_labelled(evaluation, house),
        expansions={name: tuple(spellings) for name, spellings in meanings.items()},
        passages=_passages(evaluation, house),
    )


def _passages(evaluation: Evaluation, house: House) -> dict[str, dict[str, str]]:
    """Query -> unit that it found -> the words of the chunk by which it did."""
    views = house.shelf.views({chunk for found in evaluation.chunks.values() for chunk in found.values()})
    return {
        query: {unit: views[chunk].chunk.text for unit, chunk in found.items() if chunk in views}
        for query, found in evaluation.chunks.items()
    }


def _labelled(evaluation: Evaluation, house: House) -> dict[str, str]:
    """Labelled unit -> the beginning of its text."""
    labels, known = evaluation.labels, house.shelf.known()
    sources = {name: source for source, name in evaluation.located.names.items()}
    texts: dict[str, str] = {}
    for unit in labels.at:
        source = sources.get(labels.spans[unit].unit if labels.spans else unit)
        if source is not None and source in known:
            span = labels.spans.get(unit)
            text = house.shelf.text(known[source].document_id)
            texts[unit] = span.quote or text[span.start : span.end] if span else text[:SNIPPET_CHARS]
    return texts
