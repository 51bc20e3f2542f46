"""The words that a report shows beside the record: looked up in the house and in the labels when it is made."""

from __future__ import annotations

from freehold.house import House
from freehold.measure.report.contest import Detail
from freehold.measuring.record import Evaluation

TOPS = 3
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
            run: {query: tuple(list(scores)[:TOPS]) for query, scores in ranked.items()}
            for run, ranked in assessment.runs.items()
        },
        relevant={q: tuple(u for u, grade in grades.items() if grade > 0) for q, grades in labels.qrels.items()},
        texts=_texts(evaluation, house),
        expansions={name: tuple(spellings) for name, spellings in meanings.items()},
    )


def _texts(evaluation: Evaluation, house: House) -> dict[str, str]:
    """Unit -> the chunk that was found for it; for a labelled one that was not, the beginning of its text."""
    views = house.shelf.views(set(evaluation.chunks.values()))
    texts = {unit: views[chunk].chunk.text for unit, chunk in evaluation.chunks.items() if chunk in views}
    labels, known = evaluation.labels, house.shelf.known()
    sources = {name: source for source, name in evaluation.located.names.items()}
    for unit in labels.at:
        source = sources.get(labels.spans[unit].unit if labels.spans else unit)
        if unit not in texts and source is not None and source in known:
            span = labels.spans.get(unit)
            text = house.shelf.text(known[source].document_id)
            texts[unit] = span.quote or text[span.start : span.end] if span else text[:SNIPPET_CHARS]
    return texts
