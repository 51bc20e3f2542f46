"""The query log: ``freehold.core.traffic`` in a database of its own, which is made when there is something to keep.

Nothing is kept unless the settings say so, and nothing for longer than they say; no backup has it. It is written while
others erase: what comes in is held against fence and catalog under the lock of whoever writes here, so that nothing is
logged afterwards of somebody who was erased, or of a document that is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from freehold.core.errors import HouseBusy
from freehold.core.faults import step
from freehold.core.fence import Print
from freehold.core.traffic import Asked, Feedback, Shown, ShownAt, Volume
from freehold.store.rows import batches
from freehold.store.shelf import HouseShelf
from freehold.store.sqlite import connect, guarded, truncate_log, write_anew

FILE = "traffic.sqlite"

_AT_A_TIME = 1_000
_metadata = sa.MetaData()
_questions = sa.Table(
    "questions",
    _metadata,
    # Rows lie in the order in which they came: one that comes in moves no other, and the oldest go together.
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("at", sa.String, nullable=False, index=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("answer", sa.Text),
    sa.Column("abstained", sa.Boolean),
    sa.Column("filter", sa.JSON, nullable=False),
    sa.Column("key", sa.String, nullable=False),
    sa.Column("latency_ms", sa.Float),
    sa.Column("lineup", sa.Integer, nullable=False),
    sa.Column("models", sa.JSON, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
)
_shown = sa.Table(
    "shown",
    _metadata,
    sa.Column("question", sa.ForeignKey("questions.number", ondelete="CASCADE"), primary_key=True),
    sa.Column("rank", sa.Integer, primary_key=True),
    sa.Column("document_id", sa.String, nullable=False),
    sa.Column("chunk_id", sa.String),
    sqlite_with_rowid=False,
)
_feedback = sa.Table(
    "feedback",
    _metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("question", sa.ForeignKey("questions.number", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("chunk_id", sa.String),
    sa.Column("signal", sa.String, nullable=False),
    sa.Column("voter", sa.String, nullable=False),
    sa.Column("at", sa.String, nullable=False),
)
_q, _s, _f = _questions.c, _shown.c, _feedback.c


class TrafficLog:
    """The log of one house. One thread may write while others read."""

    def __init__(self, root: Path, shelf: HouseShelf, *, queries: bool, answers: bool) -> None:
        """``queries``: whether anything that comes in is kept; ``answers``: the text of answers too."""
        self._path, self._shelf = root / FILE, shelf
        self._queries, self._answers = queries, answers
        self._engine: sa.Engine | None = None

    def close(self) -> None:
        """Let go of the file."""
        if self._engine is not None:
            self._engine.dispose()

    # -- what comes in -----------------------------------------------------------------------------------------------

    def put(self, entries: Iterable[Asked | Feedback]) -> int:
        """Keep these in one transaction, durable on return; how many were kept. Raises StorageFault.

        Left out is a question that names somebody who was erased, what was shown of a document that is gone, an answer
        made from one, with its question, and feedback on what is not here. What is here already stays as it is.
        """
        given = list(entries)
        if not (self._queries and given):
            return 0
        with guarded(self._path), self._made().begin() as c:
            c.exec_driver_sql("DELETE FROM questions WHERE number < 0")  # takes the writer's lock
            asked = self._admitted([one for one in given if isinstance(one, Asked)])
            _insert(c, _questions, [self._row(one) for one in asked])
            numbers = _numbers(c, {one.id if isinstance(one, Asked) else one.question_id for one in given})
            _insert(c, _shown, [_shown_row(numbers[one.id], hit) for one in asked for hit in one.shown])
            votes = [_vote_row(numbers, one) for one in given if isinstance(one, Feedback)]
            kept = _about_what_was_shown(c, [vote for vote in votes if vote["question"] is not None])
            _insert(c, _feedback, kept)
            step("traffic.before_put")
        step("traffic.put")
        return len(asked) + len(kept)

    def _admitted(self, asked: Sequence[Asked]) -> list[Asked]:
        """What may be kept."""
        alive = self._shelf.present({hit.document_id for one in asked for hit in one.shown})
        is_fenced = self._shelf.fence.epoch > 0  # else nobody ever was
        admitted = []
        for one in asked:
            shown = tuple(hit for hit in one.shown if hit.document_id in alive)
            outdated = one.kind != "search" and len(shown) < len(one.shown)
            if not outdated and not (is_fenced and self._names_somebody(one)):
                admitted.append(replace(one, shown=shown))
        return admitted

    def _names_somebody(self, one: Asked) -> bool:
        """Somebody who was erased."""
        return any(self._shelf.fence.refusal(Print("", text, "", b"")) for text in one.words)

    def _row(self, one: Asked) -> dict[str, Any]:
        return {
            "id": one.id,
            "at": _written(one.at),
            "kind": one.kind,
            "text": _text(one.text),
            "answer": _text(one.answer) if self._answers and one.answer is not None else None,
            "abstained": one.abstained,
            "filter": dict(one.filter),
            "key": one.key,
            "latency_ms": one.latency_ms,
            "lineup": one.lineup,
            "models": dict(one.models),
            "revision": one.revision,
        }

    # -- what goes ---------------------------------------------------------------------------------------------------

    def forget(self, question_ids: Collection[str], document_ids: Collection[str]) -> None:
        """These questions go with all that hangs on them, and so does every answer made from one of the documents; of a
        search that showed one, that hit goes, with the feedback on it. No byte of what goes stays; once more changes
        nothing. Raises HouseBusy while a reader holds an old state, and StorageFault.
        """
        if (engine := self._there()) is None:
            return
        with guarded(self._path), engine.begin() as c:
            gone = 0
            for batch in batches(question_ids):
                gone += c.execute(sa.delete(_questions).where(_q.id.in_(batch))).rowcount
            for batch in batches(document_ids):
                of_them = _s.document_id.in_(batch)
                answers = sa.and_(_q.kind != "search", _q.number.in_(sa.select(_s.question).where(of_them)))
                gone += c.execute(sa.delete(_questions).where(answers)).rowcount
                hit = sa.select(_s.rank).where(_s.question == _f.question, _s.chunk_id == _f.chunk_id, of_them)
                gone += c.execute(sa.delete(_feedback).where(hit.exists())).rowcount
                gone += c.execute(sa.delete(_shown).where(of_them)).rowcount
            step("traffic.before_forget")
        step("traffic.forgotten")
        self._purge(engine, gone)

    def forget_before(self, time: datetime) -> int:
        """Questions from before then go with all that hangs on them, as in ``forget``; how many those were."""
        if (engine := self._there()) is None:
            return 0
        with guarded(self._path), engine.begin() as c:
            gone = c.execute(sa.delete(_questions).where(_q.at < _written(time))).rowcount
            step("traffic.before_expired")
        step("traffic.expired")
        self._purge(engine, gone)
        return gone

    def _purge(self, engine: sa.Engine, gone: int) -> None:
        """What SQLite copied where it moved a row lies behind no row any more: the file is written anew."""
        if not (write_anew(engine) if gone else truncate_log(engine)):
            hint = "end the processes that read the house, or wait for them, and run the command again"
            raise HouseBusy("a reader holds an old state of the query log, which cannot be overwritten yet", hint=hint)

    def write_anew(self) -> bool:
        """Write the database anew, without what deleted rows left in it; False while a reader holds an old state."""
        engine = self._there()
        return engine is None or write_anew(engine)

    # -- reading -----------------------------------------------------------------------------------------------------

    def all(self, *, hits: bool = True) -> Iterator[Asked]:
        """All questions, in the order in which they came; without ``hits`` for whoever reads their words alone."""
        last = 0  # no reader stays in the database between two batches
        while rows := self._rows(sa.select(_questions).where(_q.number > last).order_by(_q.number).limit(_AT_A_TIME)):
            yield from self._asked(rows, hits=hits)
            last = rows[-1].number

    def get(self, question_ids: Collection[str]) -> list[Asked]:
        """These, as far as they are here, in the order in which they came."""
        found = [row for batch in batches(question_ids) for row in self._rows(_whole(batch))]
        return self._asked(sorted(found, key=lambda row: row.number))

    def shown_at(self, document_ids: Collection[str]) -> list[ShownAt]:
        """Where something of these documents was shown. Reads all that was."""
        query = sa.select(_q.id, _q.kind, _s.rank).select_from(_questions.join(_shown))
        rows = (row for batch in batches(document_ids) for row in self._rows(query.where(_s.document_id.in_(batch))))
        return [ShownAt(row.id, row.kind, row.rank) for row in rows]

    def feedback(self) -> list[dict[str, str]]:
        """Feedback on hits, in the order in which it came, each as ``freehold.journeys.given`` reads it."""
        query = sa.select(_q.text, _f.chunk_id, _f.signal, _f.voter).select_from(_feedback.join(_questions))
        rows = self._rows(query.where(_f.chunk_id.is_not(None)).order_by(_f.number))
        return [
            {"query": r.text, "chunk_id": r.chunk_id, "signal": r.signal, **({"person": r.voter} if r.voter else {})}
            for r in rows
        ]

    def votes(self) -> list[Feedback]:
        """All clicks and thumbs, in the order in which they came."""
        query = sa.select(_q.id, _f.chunk_id, _f.signal, _f.voter, _f.at).select_from(_feedback.join(_questions))
        rows = self._rows(query.order_by(_f.number))
        return [Feedback(r.id, r.signal, datetime.fromisoformat(r.at), r.chunk_id, r.voter) for r in rows]

    def volume(self) -> Volume:
        """How much there is."""
        count = sa.func.count()
        ends = self._rows(sa.select(sa.func.min(_q.at), sa.func.max(_q.at)))
        oldest, newest = ends[0] if ends else (None, None)
        outcomes = dict(self._pairs(sa.select(_q.abstained, count).where(_q.kind != "search").group_by(_q.abstained)))
        whole = self._rows(sa.select(count).select_from(_feedback).where(_f.chunk_id.is_(None)))
        shown = self._rows(sa.select(count).select_from(_shown))
        files = self._path.parent.glob(f"{FILE}*")
        return Volume(
            questions=dict(self._pairs(sa.select(_q.kind, count).group_by(_q.kind).order_by(_q.kind))),
            oldest=oldest or "",
            newest=newest or "",
            answered=outcomes.get(True, 0) + outcomes.get(False, 0),
            abstained=outcomes.get(True, 0),
            shown=shown[0][0] if shown else 0,
            feedback=dict(self._pairs(sa.select(_f.signal, count).group_by(_f.signal).order_by(_f.signal))),
            on_answers=whole[0][0] if whole else 0,
            size_mb=round(sum(path.stat().st_size for path in files) / 1e6, 3),
        )

    def _asked(self, rows: Sequence[Any], *, hits: bool = True) -> list[Asked]:
        shown: dict[int, list[Shown]] = {}
        for batch in batches([row.number for row in rows] if hits else []):
            for hit in self._rows(sa.select(_shown).where(_s.question.in_(batch)).order_by(_s.question, _s.rank)):
                shown.setdefault(hit.question, []).append(Shown(hit.rank, hit.document_id, hit.chunk_id))
        return [
            Asked(
                id=row.id,
                at=datetime.fromisoformat(row.at),
                kind=row.kind,
                text=row.text,
                shown=tuple(shown.get(row.number, ())),
                key=row.key,
                filter=row.filter,
                latency_ms=row.latency_ms,
                lineup=row.lineup,
                models=row.models,
                revision=row.revision,
                abstained=row.abstained,
                answer=row.answer,
            )
            for row in rows
        ]

    def _rows(self, query: sa.Select[Any]) -> Sequence[Any]:
        if (engine := self._there()) is None:
            return ()
        with guarded(self._path), engine.connect() as c:
            return c.execute(query).all()

    def _pairs(self, query: sa.Select[Any]) -> Iterator[tuple[Any, Any]]:
        yield from map(tuple, self._rows(query))

    def _there(self) -> sa.Engine | None:
        """The database; None where nothing was ever kept."""
        return self._made() if self._engine is not None or self._path.exists() else None

    def _made(self) -> sa.Engine:
        if self._engine is None:
            self._engine = connect(self._path, _metadata)
        return self._engine


def _whole(question_ids: Collection[str]) -> sa.Select[Any]:
    return sa.select(_questions).where(_q.id.in_(question_ids))


def _insert(c: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        c.execute(sa.insert(table).prefix_with("OR IGNORE"), rows)


def _numbers(c: sa.Connection, question_ids: Collection[str]) -> dict[str, int]:
    query = sa.select(_q.id, _q.number)
    return {row.id: row.number for batch in batches(question_ids) for row in c.execute(query.where(_q.id.in_(batch)))}


def _shown_row(question: int, hit: Shown) -> dict[str, Any]:
    return {"question": question, "rank": hit.rank, "document_id": hit.document_id, "chunk_id": hit.chunk_id}


def _vote_row(numbers: Mapping[str, int], vote: Feedback) -> dict[str, Any]:
    return {
        "question": numbers.get(vote.question_id),
        "chunk_id": vote.chunk_id,
        "signal": vote.signal,
        "voter": vote.voter,
        "at": _written(vote.at),
    }


def _about_what_was_shown(c: sa.Connection, votes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those on an answer as a whole, and those on a hit that the question had and still has."""
    query = sa.select(_s.question, _s.chunk_id)
    questions = batches({vote["question"] for vote in votes})
    shown = {tuple(row) for batch in questions for row in c.execute(query.where(_s.question.in_(batch)))}
    return [vote for vote in votes if vote["chunk_id"] is None or (vote["question"], vote["chunk_id"]) in shown]


def _written(time: datetime) -> str:
    """In one form, so that texts compare as times do."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")


def _text(text: str) -> str:
    """What a database can hold: half of a pair of surrogates it cannot."""
    return text.encode("utf-8", "replace").decode()
