"""Ranking measures with the names and definitions of ``ir-measures`` (trec_eval's, graded where labels are graded).

A run maps a query to scored documents, a qrel maps a query to graded ones. Documents with equal scores are ordered by
id descending, as trec_eval does, so that a score does not depend on the order in which an engine returned its ties.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

Qrel = Mapping[str, int]
"""Document id -> grade; 0 or absent is not relevant."""


def ranked(scores: Mapping[str, float]) -> list[str]:
    """Document ids, best first; ties by id descending."""
    return sorted(sorted(scores, reverse=True), key=lambda document: -scores[document])


def ndcg(ranking: Sequence[str], qrel: Qrel, *, k: int) -> float:
    """nDCG@k: sum of grade / log2(rank + 1), over that of the ideal ranking (Järvelin and Kekäläinen 2002).

    NaN when no document is relevant: there is nothing to be right about.
    """
    ideal = _dcg(sorted((grade for grade in qrel.values() if grade > 0), reverse=True)[:k])
    if ideal == 0:
        return math.nan
    return _dcg([max(qrel.get(document, 0), 0) for document in ranking[:k]]) / ideal


def recall(ranking: Sequence[str], qrel: Qrel, *, k: int) -> float:
    """R@k: the share of the relevant documents that are among the first k. NaN when none is relevant."""
    relevant = {document for document, grade in qrel.items() if grade > 0}
    return len(relevant.intersection(ranking[:k])) / len(relevant) if relevant else math.nan


def _dcg(grades: Sequence[int]) -> float:
    return sum(grade / math.log2(rank + 1) for rank, grade in enumerate(grades, 1))
