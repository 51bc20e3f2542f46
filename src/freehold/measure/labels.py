"""Labelled questions: folders in the BEIR layout, and the house's own labelled sets, one JSON object per line.

BEIR (Thakur et al. 2021): ``queries.jsonl``, ``qrels/SPLIT.tsv`` and, for answers, ``answers.jsonl``. The own format
labels documents or passages in one file and is described in docs/evaluation.md. Both become ``Labels``. Whatever is
wrong is told with file and line, and nothing of a set with a fault is used.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from freehold.core.errors import UsageError
from freehold.core.experiment import Unit
from freehold.measure.answers import Evidence, Gold
from freehold.measure.ranking import Grades

PREFERRED_SPLITS = ("test", "dev", "train")
"""The split that is taken where none is named."""

_ANSWERABLE = {"ANSWERABLE": True, "PARTIAL": True, "UNANSWERABLE": False}
"""What the values of ``answerability`` mean; any other says nothing."""


@dataclass(frozen=True, slots=True)
class LabelledQuery:
    """A question of the set. ``at`` is its file and line."""

    id: str
    text: str
    metadata: Mapping[str, object]
    at: str


@dataclass(frozen=True, slots=True)
class Labels:
    """One split of a labelled set."""

    name: str
    path: Path
    split: str
    digest: str
    """sha256 over the names and contents of the files that were read."""
    unit: Unit
    queries: Mapping[str, LabelledQuery]
    """Every query that the split scores or asks."""
    qrels: Mapping[str, Grades]
    """Query id -> labelled unit -> grade. For documents a unit is the name by which the set calls a document."""
    at: Mapping[str, str]
    """Labelled unit -> file and line of its first label."""
    spans: Mapping[str, Evidence] = field(default_factory=dict)
    """Labelled unit -> where it lies, in a set that labels passages."""
    gold: Mapping[str, Gold] = field(default_factory=dict)
    """Labelled answers, and which questions have none."""

    @property
    def documents(self) -> Mapping[str, str]:
        """Name of every document that a label speaks of -> file and line."""
        return {self.spans[unit].unit if self.spans else unit: place for unit, place in self.at.items()}


def read_labels(path: Path, split: str | None = None) -> Labels:
    """Read a set. ``split``: None takes the first there is of PREFERRED_SPLITS, else the only one; ``train+dev`` both.

    Raises UsageError, naming file and line, for anything that is not as it must be.
    """
    if split and "+" in split:
        return _merged([read_labels(path, part.strip()) for part in split.split("+")])
    if path.is_dir():
        return _read_beir(path, split)
    if path.is_file():
        return _read_own(path, split)
    hint = "give a folder in the BEIR layout (queries.jsonl, qrels/) or a labelled set (.jsonl)"
    raise UsageError(f"{path} does not exist", hint=hint)


def splits_of(path: Path) -> tuple[str, ...]:
    """Names of the splits of a set, in alphabetical order. Raises UsageError for what is no set."""
    if path.is_dir():
        return tuple(sorted(file.stem for file in path.glob("qrels/*.tsv")))
    return tuple(sorted({str(record.get("split") or "all") for _, record in _records(path, {})}))


def part_of(labels: Labels, queries: Collection[str], name: str) -> Labels:
    """The same labels for some of the queries, as a split of that name."""
    kept = {query: grades for query, grades in labels.qrels.items() if query in queries}
    units = {unit for grades in kept.values() for unit in grades}
    return replace(
        labels,
        split=name,
        queries={query: labels.queries[query] for query in labels.queries if query in queries},
        qrels=kept,
        at={unit: at for unit, at in labels.at.items() if unit in units},
        spans={unit: span for unit, span in labels.spans.items() if unit in units},
        gold={query: gold for query, gold in labels.gold.items() if query in queries},
    )


def _merged(parts: Sequence[Labels]) -> Labels:
    if len({part.unit for part in parts}) > 1:
        hint = "label either documents or passages throughout"
        raise UsageError(f"the splits of {parts[0].name} label different things", hint=hint)
    for number, part in enumerate(parts):
        again = {query for other in parts[:number] for query in other.qrels if query in part.qrels}
        if again:
            query = part.queries[min(again)]
            raise _fault(query.at, f"the query {query.id} is in split {part.split} and in another of those asked for")
    digest = sha256("".join(sorted(part.digest for part in parts)).encode()).hexdigest()
    return replace(
        parts[0],
        split="+".join(part.split for part in parts),
        digest=digest,
        queries={query: labelled for part in parts for query, labelled in part.queries.items()},
        qrels={query: grades for part in parts for query, grades in part.qrels.items()},
        at={unit: at for part in parts for unit, at in part.at.items()},
        spans={unit: span for part in parts for unit, span in part.spans.items()},
        gold={query: gold for part in parts for query, gold in part.gold.items()},
    )


# -- BEIR ------------------------------------------------------------------------------------------------------------


def _read_beir(folder: Path, split: str | None) -> Labels:
    files: dict[str, bytes] = {}
    known = sorted(path.stem for path in folder.glob("qrels/*.tsv"))
    name = _chosen(split, known, folder / "qrels")
    queries = _beir_queries(folder / "queries.jsonl", files)
    qrels, at = _beir_qrels(folder / "qrels" / f"{name}.tsv", queries, files)
    gold: dict[str, Gold] = {}
    answers = folder / "answers.jsonl"
    if answers.exists():
        wanted = {q for q in queries if q in qrels or queries[q].metadata.get("split") == name}
        gold = _beir_gold(answers, queries, qrels, wanted, files)
    used = {q: queries[q] for q in queries if q in qrels or q in gold}
    return Labels(folder.resolve().name, folder, name, _digest(files), "document", used, qrels, at, gold=gold)


def _chosen(split: str | None, known: Sequence[str], where: Path) -> str:
    if not known:
        raise UsageError(f"{where} holds no split", hint="a split is a file such as qrels/test.tsv with labels in it")
    if split is None:
        found = next((name for name in PREFERRED_SPLITS if name in known), known[0])
        if len(known) > 1 and found not in PREFERRED_SPLITS:
            raise UsageError(f"{where} holds several splits", hint=f"choose one with --split: {', '.join(known)}")
        return found
    if split not in known:
        raise UsageError(f"there is no split {split!r} in {where}", hint=f"there are: {', '.join(known)}")
    return split


def _beir_queries(path: Path, files: dict[str, bytes]) -> dict[str, LabelledQuery]:
    queries: dict[str, LabelledQuery] = {}
    for at, record in _records(path, files):
        identifier, text, metadata = record.get("_id"), record.get("text"), record.get("metadata") or {}
        if not isinstance(identifier, str) or not isinstance(text, str) or not isinstance(metadata, dict):
            raise _fault(at, 'is no query: it needs strings "_id" and "text"')
        _add_query(queries, LabelledQuery(identifier, text, metadata, at))
    return queries


def _add_query(queries: dict[str, LabelledQuery], query: LabelledQuery) -> None:
    if not query.id or not query.id.isprintable() or any(c.isspace() for c in query.id):
        raise _fault(query.at, "has an id that is empty or holds white space")
    if not query.text.strip():
        raise _fault(query.at, f"the query {query.id} has no text")
    if query.id in queries:
        raise _fault(query.at, f"the query id {query.id} stands in {queries[query.id].at} already")
    queries[query.id] = query


def _beir_qrels(
    path: Path, queries: Mapping[str, LabelledQuery], files: dict[str, bytes]
) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    qrels: dict[str, dict[str, int]] = {}
    places: dict[str, str] = {}
    for number, line in enumerate(_text(path, files).split("\n"), 1):
        columns = line.rstrip("\r").split("\t")
        if not line.strip() or (number == 1 and columns[:1] == ["query-id"]):
            continue
        at = f"{path}:{number}"
        if len(columns) != 3:
            raise _fault(at, "has not the three columns query-id, corpus-id and score, parted by tabs")
        query, document, grade = (column.strip() for column in columns)
        if query not in queries:
            raise _fault(at, f"there is no query {query} in queries.jsonl")
        _add_label(qrels.setdefault(query, {}), document, _grade(grade, at), at)
        places.setdefault(document, at)
    if not qrels:
        raise UsageError(f"{path} holds no labels", hint="a split without labels cannot be measured; choose another")
    return qrels, places


def _grade(text: object, at: str) -> int:
    try:
        number = float(text)  # type: ignore[arg-type]
        if not number.is_integer() or abs(number) > 1_000_000:
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise _fault(at, "the score is no whole number") from None
    return int(number)


def _add_label(qrel: dict[str, int], unit: str, grade: int, at: str) -> None:
    if not unit:
        raise _fault(at, "names no document")
    if unit in qrel:
        raise _fault(at, "labels a document that the same query has labelled already")
    qrel[unit] = grade


def _beir_gold(
    path: Path,
    queries: Mapping[str, LabelledQuery],
    qrels: Mapping[str, Grades],
    wanted: set[str],
    files: dict[str, bytes],
) -> dict[str, Gold]:
    gold: dict[str, Gold] = {}
    seen: dict[str, str] = {}
    for at, record in _records(path, files):
        query = str(record.get("_id"))
        if query not in queries:
            raise _fault(at, f"there is no query {query!r} in queries.jsonl")
        if query in seen:
            raise _fault(at, f"the query {query} has answers in {seen[query]} already")
        seen[query] = at
        if query in wanted:
            relevant = [document for document, grade in qrels.get(query, {}).items() if grade > 0]
            gold[query] = Gold(_answers(record, at), _answerable(record, at), _beir_evidence(record, relevant, at))
    return gold


def _answers(record: Mapping[str, Any], at: str) -> tuple[str, ...]:
    answers = record.get("answers", record.get("answer"))
    listed = [answers] if isinstance(answers, str) else answers or []
    if not isinstance(listed, list) or not all(isinstance(answer, str) for answer in listed):
        raise _fault(at, "the answers are no list of strings")
    return tuple(answer for answer in listed if answer.strip())


def _answerable(record: Mapping[str, Any], at: str) -> bool | None:
    told = record.get("answerable")
    if told is not None and not isinstance(told, bool):
        raise _fault(at, '"answerable" is neither true nor false')
    return told if told is not None else _ANSWERABLE.get(str(record.get("answerability", "")).upper())


def _beir_evidence(record: Mapping[str, Any], relevant: Sequence[str], at: str) -> tuple[Evidence, ...]:
    listed, passages = record.get("evidence"), record.get("gold_passages") or relevant
    if listed is None:
        if not isinstance(passages, list) or not all(isinstance(passage, str) for passage in passages):
            raise _fault(at, '"gold_passages" is no list of strings')
        return tuple(Evidence(document) for document in passages)
    if not isinstance(listed, list) or not all(_is_evidence(item) for item in listed):
        raise _fault(at, 'the evidence is no list of objects with "doc" and "quote"')
    return tuple(Evidence(item["doc"], quote=item.get("quote")) for item in listed)


def _is_evidence(item: object) -> bool:
    return isinstance(item, dict) and isinstance(item.get("doc"), str) and isinstance(item.get("quote"), str | None)


# -- the house's own format ------------------------------------------------------------------------------------------


def _read_own(path: Path, split: str | None) -> Labels:
    files: dict[str, bytes] = {}
    records = list(_records(path, files))
    if not records:
        raise UsageError(f"{path} holds no question", hint="write one JSON object per line")
    known = sorted({str(record.get("split") or "all") for _, record in records})
    name = _chosen(split, known, path)
    reader = _OwnReader()
    for number, (at, record) in enumerate(records, 1):
        reader.take(record, number, at, used=str(record.get("split") or "all") == name)
    if not reader.qrels and not reader.gold:
        raise UsageError(f"{path} holds no labels in split {name}", hint="choose another with --split")
    unit: Unit = "passage" if reader.spans else "document"
    digest = _digest(files)
    return Labels(path.stem, path, name, digest, unit, reader.used, reader.qrels, reader.at, reader.spans, reader.gold)


class _OwnReader:
    """Collects the records of one split; those of others are checked as well."""

    def __init__(self) -> None:
        self.used: dict[str, LabelledQuery] = {}
        self.qrels: dict[str, dict[str, int]] = {}
        self.at: dict[str, str] = {}
        self.spans: dict[str, Evidence] = {}
        self.gold: dict[str, Gold] = {}
        self._all: dict[str, LabelledQuery] = {}

    def take(self, record: Mapping[str, Any], number: int, at: str, *, used: bool) -> None:
        identifier, text, metadata = record.get("id"), record.get("query"), record.get("metadata") or {}
        if not isinstance(identifier, str) or not isinstance(text, str) or not isinstance(metadata, dict):
            raise _fault(at, 'is no labelled question: it needs strings "id" and "query"')
        query = LabelledQuery(identifier, text, metadata, at)
        _add_query(self._all, query)
        relevant = [
            (_place(item, at), _grade(item.get("grade", 1), at)) for item in _objects(record.get("relevant"), at)
        ]
        if used:
            self.used[identifier] = query
            for place, (evidence, grade) in enumerate(relevant, 1):
                self._label(identifier, evidence, grade, f"{number}.{place}", at)
            answers, answerable = _answers(record, at), _answerable(record, at)
            if answers or answerable is not None:
                self.gold[identifier] = Gold(answers, answerable, tuple(e for e, grade in relevant if grade > 0))

    def _label(self, query: str, evidence: Evidence, grade: int, place: str, at: str) -> None:
        is_passage = evidence.quote is not None or evidence.start is not None
        if self.at and is_passage != bool(self.spans):
            raise _fault(at, "a set labels either documents or passages; here it does the other")
        unit = evidence.unit
        if is_passage:
            unit += f"#{place}" if evidence.start is None else f"[{evidence.start}:{evidence.end}]"
            self.spans[unit] = evidence
        _add_label(self.qrels.setdefault(query, {}), unit, grade, at)
        self.at.setdefault(unit, at)


def _objects(value: object, at: str) -> list[dict[str, Any]]:
    listed = value or []
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise _fault(at, '"relevant" is no list of objects')
    return listed


def _place(item: Mapping[str, Any], at: str) -> Evidence:
    source, quote, start, end = item.get("source"), item.get("quote"), item.get("start"), item.get("end")
    if not isinstance(source, str) or not source:
        raise _fault(at, 'a relevant place names no "source"')
    if quote is not None and (not isinstance(quote, str) or not quote.strip()):
        raise _fault(at, 'a "quote" is no text')
    spanned = isinstance(start, int) and isinstance(end, int) and 0 <= start < end
    if not spanned and (start, end) != (None, None):
        raise _fault(at, '"start" and "end" are no span of characters')
    return Evidence(source, start, end, quote)


# -- shared ----------------------------------------------------------------------------------------------------------


def _records(path: Path, files: dict[str, bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, line in enumerate(_text(path, files).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise _fault(f"{path}:{number}", "is no JSON object")
        yield f"{path}:{number}", record


def _text(path: Path, files: dict[str, bytes]) -> str:
    try:
        data = path.read_bytes()
    except OSError as e:
        hint = "give a folder in the BEIR layout (queries.jsonl, qrels/) or a labelled set (.jsonl)"
        raise UsageError(f"{path} cannot be read: {e.strerror}", hint=hint) from None
    files[path.name] = data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data[: e.start].count(b"\n") + 1
        raise _fault(f"{path}:{line}", "is not UTF-8 text") from None


def _digest(files: Mapping[str, bytes]) -> str:
    parts = (f"{name} {sha256(data).hexdigest()}\n" for name, data in sorted(files.items()))
    return sha256("".join(parts).encode()).hexdigest()


def _fault(at: str, what: str) -> UsageError:
    return UsageError(f"{at}: {what}", hint="correct the set; nothing was measured", refs=(at,))
