"""TREC run files: ``query Q0 document rank score tag``, a line for each document that a query got.

Scores are written strictly decreasing, so that every tool ranks alike: tools break ties in different ways.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, unquote

import numpy as np

from freehold.core.errors import UsageError
from freehold.measure.ranking import Scores, ranked

_PLAIN = re.compile(r"[!-$&-~]+")
_VISIBLE = "".join(chr(c) for c in range(33, 127) if chr(c) != "%")


def write_run(run: Mapping[str, Scores], *, tag: str) -> bytes:
    """The run as the bytes of a file, queries in ascending order, ranks from 1.

    Document ids that hold white space, a per cent sign or anything but ASCII are percent-encoded; others stay.
    """
    lines = []
    for query in sorted(run):
        documents = ranked(run[query])
        scores = np.array([run[query][document] for document in documents], dtype=np.float32)
        if (np.diff(scores) >= 0).any():
            for rank in range(1, len(scores)):
                scores[rank] = min(scores[rank], np.nextafter(scores[rank - 1], np.float32(-np.inf)))
        for rank, (document, value) in enumerate(zip(documents, scores.tolist(), strict=True), 1):
            name = document if _PLAIN.fullmatch(document) else quote(document, safe=_VISIBLE)
            lines.append(f"{query} Q0 {name} {rank} {value:.9g} {tag}\n")
    return "".join(lines).encode()


def read_run(path: Path) -> dict[str, dict[str, float]]:
    """Query id -> document id -> score. Ranks and tags are not read: as for trec_eval the score decides.

    Raises UsageError, naming file and line, for a line that has not six columns, a score that is no finite number, and
    a document that a query has twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as e:
        raise UsageError(f"{path} cannot be read: {e}", hint="give a TREC run file") from None
    run: dict[str, dict[str, float]] = {}
    for number, line in enumerate(text.split("\n"), 1):
        columns = line.split()
        if not columns:
            continue
        if len(columns) != 6:
            raise _fault(path, number, "has not the six columns query, Q0, document, rank, score and tag")
        query, _, document, _, value, _ = columns
        try:
            score = float(value)
        except ValueError:
            raise _fault(path, number, "the score is no number") from None
        if not math.isfinite(score):
            raise _fault(path, number, f"the score is {value}")
        scores = run.setdefault(query, {})
        name = unquote(document)
        if name in scores:
            raise _fault(path, number, "the query has this document already")
        scores[name] = score
    return run


def _fault(path: Path, number: int, what: str) -> UsageError:
    at = f"{path}:{number}"
    return UsageError(f"{at}: {what}", hint="correct the run file; nothing was measured", refs=(at,))
