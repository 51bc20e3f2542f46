"""Measures of rankings, with the names and definitions of ``ir-measures`` (trec_eval's, graded where labels are).

A run maps a query to scored documents, a qrel maps a query to graded ones. The mean is over the queries of the qrels:
one that the run does not answer scores 0. Documents are ranked as trec_eval ranks them, by score as float32 and then by
id, both descending, so that no figure depends on the order in which an engine returned its ties.

==============  ==================================================================================================
``nDCG@k``      sum of grade / log2(rank + 1) over that of the ideal ranking (Järvelin and Kekäläinen 2002);
                ``nDCG(dcg='exp-log2')@k`` with gain 2^grade - 1 (Burges et al. 2005)
``AP@k``        mean over all relevant documents of the precision at their ranks
``RR@k``        1 / rank of the first relevant document
``P@k``         relevant among the first k, over k
``R@k``         relevant among the first k, over all relevant
``F1@k``        harmonic mean of P@k and R@k
``FPR@k``       false positives: places among the first k that hold a document not labelled relevant, over k. Fallout
                divides the same count by the number of non-relevant documents instead, which is the same for two
                systems on one corpus: relative differences agree.
``Success@k``   1 if a relevant document is among the first k
``Judged@k``    share of the first k documents (of those there are) that carry a label at all
==============  ==================================================================================================

The cutoff is optional for nDCG, AP and RR. Binary measures count grades of ``rel`` and above: ``P(rel=2)@5``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from freehold.core.errors import UsageError

Float64: TypeAlias = NDArray[np.float64]
Scores: TypeAlias = Mapping[str, float]
"""Document id -> score; higher is better."""
Grades: TypeAlias = Mapping[str, int]
"""Document id -> grade; 0 or less is labelled not relevant, absent is not labelled."""
Kind = Literal["nDCG", "AP", "RR", "P", "R", "F1", "FPR", "Success", "Judged"]

DEFAULT_CUTOFF = 10
_UNLABELLED = np.iinfo(np.int32).min
_NAME = re.compile(rf"({'|'.join(get_args(Kind))})(?:\(([^()]*)\))?(?:@([1-9]\d{{0,5}}))?")
_REL = re.compile(r"rel=([1-9]\d{0,3})")
_DCG = re.compile(r"dcg=['\"]?(log2|exp-log2)['\"]?")


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure as a value: its text is its whole definition, and ``parse`` reads it back."""

    kind: Kind
    cutoff: int | None = None
    rel: int = 1
    """Lowest grade that counts as relevant, for the binary measures."""
    exponential: bool = False
    """For nDCG: gain 2^grade - 1."""

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return direction(self.kind)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``nDCG@10``, ``AP(rel=2)@100`` and the like. Raises UsageError."""
        match = _NAME.fullmatch(text.strip())
        if not match:
            raise UsageError(f"{text!r} is no measure", hint=f"write one of {', '.join(get_args(Kind))} and a cutoff, "
                             "for example nDCG@10")  # fmt: skip
        measure = cls(match[1], int(match[3]) if match[3] else None)  # type: ignore[arg-type]
        for option in filter(None, (part.strip() for part in (match[2] or "").split(","))):
            if (rel := _REL.fullmatch(option)) and measure.kind not in {"nDCG", "Judged"}:
                measure = replace(measure, rel=int(rel[1]))
            elif (dcg := _DCG.fullmatch(option)) and measure.kind == "nDCG":
                measure = replace(measure, exponential=dcg[1] == "exp-log2")
            else:
                raise UsageError(f"{measure.kind} has no parameter {option!r}", hint="rel=N for binary measures, "
                                 "dcg='exp-log2' for nDCG")  # fmt: skip
        if measure.cutoff is None and measure.kind not in {"nDCG", "AP", "RR"}:
            raise UsageError(f"{measure.kind} needs a cutoff", hint=f"for example {measure.kind}@10")
        return measure

    def __str__(self) -> str:
        options = [f"rel={self.rel}"] * (self.rel != 1) + ["dcg='exp-log2'"] * self.exponential
        parameters = f"({','.join(options)})" if options else ""
        return f"{self.kind}{parameters}" + ("" if self.cutoff is None else f"@{self.cutoff}")


def direction(measure: str) -> int:
    """1 where more of the measure of that name is better, -1 where less is."""
    return -1 if measure.startswith("FPR") else 1


def ranked(scores: Scores) -> list[str]:
    """Document ids, best first: by score as float32, then by id, both descending."""
    singles = np.fromiter(scores.values(), dtype=np.float32, count=len(scores)).tolist()
    return [document for _, document in sorted(zip(singles, scores, strict=True), reverse=True)]


def score(run: Mapping[str, Scores], qrels: Mapping[str, Grades], measures: Sequence[Measure]) -> Float64:
    """float64 (queries, measures), queries in ascending order of id; every value lies in [0, 1].

    A query without a relevant document scores 0 (FPR aside), as in trec_eval; queries of the run that are not in the
    qrels are left out.
    """
    table = _Table.of(run, qrels)
    columns = [_COMPUTE[measure.kind](table, measure) for measure in measures]
    return np.column_stack(columns) if columns else np.empty((len(qrels), 0))


@dataclass(frozen=True, slots=True)
class _Table:
    """All rankings side by side: what measures are computed on, a column of ranks at a time."""

    grades: NDArray[np.int32]
    """(queries, places): the grade of the document there; _UNLABELLED for one without a label and for no document."""
    labelled: NDArray[np.int32]
    """(queries, most labels): every labelled grade, descending, padded with _UNLABELLED."""
    returned: NDArray[np.int64]
    """(queries,): number of documents returned."""

    @classmethod
    def of(cls, run: Mapping[str, Scores], qrels: Mapping[str, Grades]) -> _Table:
        queries = sorted(qrels)
        rows = [[qrels[query].get(d, _UNLABELLED) for d in ranked(run.get(query, {}))] for query in queries]
        labels = [sorted(qrels[query].values(), reverse=True) for query in queries]
        return cls(_padded(rows), _padded(labels), np.array([len(row) for row in rows], dtype=np.int64))

    def relevant(self, measure: Measure) -> NDArray[np.bool_]:
        """(queries, places down to the cutoff): whether a relevant document stands there."""
        hits: NDArray[np.bool_] = self.grades[:, : measure.cutoff] >= measure.rel
        return hits

    def relevant_total(self, measure: Measure) -> NDArray[np.int64]:
        """(queries,): how many documents are labelled relevant."""
        total: NDArray[np.int64] = (self.labelled >= measure.rel).sum(axis=1)
        return total


def _padded(rows: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    width = max(map(len, rows), default=0)
    table = np.full((len(rows), width), _UNLABELLED, dtype=np.int32)
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    table[np.arange(width) < lengths[:, None]] = [grade for row in rows for grade in row]
    return table


def _ndcg(table: _Table, measure: Measure) -> Float64:
    return _ratio(_dcg(table.grades, measure), _dcg(table.labelled, measure))


def _dcg(grades: NDArray[np.int32], measure: Measure) -> Float64:
    gains = np.asarray(np.maximum(grades[:, : measure.cutoff], 0), dtype=np.float64)
    if measure.exponential:
        np.subtract(np.exp2(gains), 1, out=gains)
    discounted: Float64 = np.dot(gains, 1 / np.log2(np.arange(2, gains.shape[1] + 2)))
    return discounted


def _average_precision(table: _Table, measure: Measure) -> Float64:
    hits = table.relevant(measure)
    precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    return _ratio((precision * hits).sum(axis=1), table.relevant_total(measure))


def _reciprocal_rank(table: _Table, measure: Measure) -> Float64:
    hits = table.relevant(measure)
    if not hits.shape[1]:
        return np.zeros(len(hits))
    return np.where(hits.any(axis=1), 1 / (hits.argmax(axis=1) + 1.0), 0.0)


def _precision(table: _Table, measure: Measure) -> Float64:
    found: Float64 = table.relevant(measure).sum(axis=1) / float(measure.cutoff or 1)
    return found


def _recall(table: _Table, measure: Measure) -> Float64:
    return _ratio(table.relevant(measure).sum(axis=1), table.relevant_total(measure))


def _f1(table: _Table, measure: Measure) -> Float64:
    precision, recall = _precision(table, measure), _recall(table, measure)
    return _ratio(2 * precision * recall, precision + recall)


def _false_positives(table: _Table, measure: Measure) -> Float64:
    cutoff = measure.cutoff or 1
    filled = np.minimum(table.returned, cutoff)
    wrong: Float64 = (filled - table.relevant(measure).sum(axis=1)) / cutoff
    return wrong


def _success(table: _Table, measure: Measure) -> Float64:
    return np.asarray(table.relevant(measure).any(axis=1), dtype=np.float64)


def _judged(table: _Table, measure: Measure) -> Float64:
    labelled = (table.grades[:, : measure.cutoff] != _UNLABELLED).sum(axis=1)
    return _ratio(labelled, np.minimum(table.returned, measure.cutoff or 1))


def _ratio(above: NDArray[np.generic], below: NDArray[np.generic]) -> Float64:
    """Element by element; 0 where the denominator is 0."""
    out = np.zeros(len(above))
    np.divide(above, below, out=out, where=below != 0)
    return out


_COMPUTE: Mapping[Kind, Callable[[_Table, Measure], Float64]] = {
    "nDCG": _ndcg,
    "AP": _average_precision,
    "RR": _reciprocal_rank,
    "P": _precision,
    "R": _recall,
    "F1": _f1,
    "FPR": _false_positives,
    "Success": _success,
    "Judged": _judged,
}
