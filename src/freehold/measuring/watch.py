"""``freehold watch``: one look at what is asked of a house and what it holds, and what it says of each signal.

Nothing about people is kept between two looks: the questions that a look compares are read from the query log and
embedded again, by the models that serve. What the log forgets, the watch forgets: a course of looks ends where its
first questions expire, and begins anew with younger ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from freehold.core.errors import HouseBusy, InvalidQuery
from freehold.core.ids import keyed_order, new_id, sha256_hex
from freehold.core.traffic import Asked, Feedback
from freehold.core.watch import TESTED, Alarm, Course, Example, Reading, Remedy, Signal, Watch
from freehold.house import House
from freehold.journeys.ingest import Progress, in_context
from freehold.journeys.search import question
from freehold.measure import drift
from freehold.measure.drift import LEAST_KNOWN, LEAST_NEW, Moved
from freehold.measuring.canaries import canaries_of, found
from freehold.store import watch as store
from freehold.store.lock import writer_lock

if TYPE_CHECKING:
    from freehold.core.types import Float32

MONTH_DAYS = 30
DOCUMENT_DAYS = 365
"""How far back documents are known, as questions are for as long as the log keeps them."""
EXAMPLES = 5

_RECHECKED = 32
"""Vectors that are made again at a look, to see whether the embedder still makes the same."""
SAME = 0.99
"""Cosine: other threads or another machine change the last digits, another model far more."""
_RETRAIN = (
    "freehold tune data --traffic --synthetic 500 --name drift",
    "freehold tune plan --data drift",
    "freehold tune adapter --data drift",
)
_RETRAIN_DOCUMENTS = ("freehold tune data --synthetic 500 --name drift", *_RETRAIN[1:])


@dataclass(frozen=True, slots=True)
class _Event:
    """Something of a signal: it goes by ``key``, and is shown as the example ``id``."""

    key: str
    at: str
    id: str


@dataclass(frozen=True, slots=True)
class _Stream:
    """A signal that is tested."""

    signal: Signal
    noun: str
    events: Sequence[_Event]
    """In the order of their times."""
    moved: Callable[[Sequence[str], Sequence[str], np.random.Generator], Moved]
    """Compares keys of what is known with keys of what is new."""
    days: int
    """How far back there is anything."""
    is_rate: bool = False
    """Whether it is cheap to take all there is."""
    missing: str = ""
    """Why there is nothing."""

    @property
    def proposal(self) -> tuple[str, ...]:
        return _RETRAIN_DOCUMENTS if self.signal == "documents" else _RETRAIN


def look(house: House, *, progress: Progress, now: datetime | None = None) -> Watch:
    """Look once, and remember it. What is tested is tested once in ``schedule.watch_days``, however often one looks.

    Raises HouseBusy where another look or an erasure came between; UsageError for canaries that cannot be read, and
    while the house is empty.
    """
    now = now or datetime.now(UTC)
    before, at = store.read(house.root), _written(now)
    courses = {course.signal: course for course in before.courses}
    readings = {reading.signal: reading for reading in before.readings}
    alarms = {alarm.signal: alarm for alarm in before.alarms}
    streams = _Sources(house).streams()
    for done, stream in enumerate(streams):
        progress("watch", done, len(streams) + 2)
        course = _renewed(courses.get(stream.signal), stream, now)
        if not _was_in_this_period(house, course, now) or stream.signal not in readings:
            course, readings[stream.signal], alarm = _step(house, stream, course, at)
            alarms = {stream.signal: alarm, **alarms} if alarm else alarms
        courses[stream.signal] = course
    progress("watch", len(streams), len(streams) + 2)
    asked, here = _asked_canaries(house)
    normal = (set(before.found) | here) & asked
    for reading, alarm in (_vectors(house, at), _canaries(asked, here, normal, at)):
        readings[reading.signal] = reading
        if alarm is None:
            alarms.pop(reading.signal, None)  # no chance is in it: when it is well again it is over
        else:
            alarms.setdefault(reading.signal, alarm)
    for signal in alarms:
        readings[signal] = replace(readings[signal], outcome="alarm")
    progress("watch", len(streams) + 2, len(streams) + 2)
    after = Watch(at, tuple(courses.values()), tuple(readings.values()), tuple(alarms.values()), tuple(sorted(normal)))
    with writer_lock(house.root):
        if store.read(house.root) != before:
            raise HouseBusy("another look or an erasure came between", hint="look again")
        after = store.without(after, store.named(after) - _present(house, store.named(after)))
        store.write(house.root, after)
    return after


def accept(house: House, signals: Collection[Signal] = ()) -> Watch:
    """What is now is normal, for these signals or all: their alarms are over, and what came since they began is known.

    Raises HouseBusy while another process writes.
    """
    with writer_lock(house.root):
        before = store.read(house.root)
        over = {alarm.signal: alarm for alarm in before.alarms if not signals or alarm.signal in signals}
        after = replace(
            before,
            courses=tuple(Course(c.signal, over[c.signal].since) if c.signal in over else c for c in before.courses),
            readings=tuple(
                Reading(r.signal, "not enough", "accepted as normal: the next look begins anew", r.at)
                if r.signal in over
                else r
                for r in before.readings
            ),
            alarms=tuple(alarm for alarm in before.alarms if alarm.signal not in over),
            found=() if "canaries" in over else before.found,
        )
        store.write(house.root, after)
    return after


def remedied(house: House, alarm_ids: Collection[str], remedy: Remedy) -> Watch:
    """Remember what was done about these alarms, as far as they are open still. Raises HouseBusy."""
    with writer_lock(house.root):
        before = store.read(house.root)
        alarms = (replace(one, remedy=remedy) if one.id in alarm_ids else one for one in before.alarms)
        after = replace(before, alarms=tuple(alarms))
        store.write(house.root, after)
    return after


def last(house: House) -> Watch:
    """What the last look said. Raises StorageFault."""
    return store.read(house.root)


# -- what is tested --------------------------------------------------------------------------------------------------


def _step(house: House, stream: _Stream, course: Course, at: str) -> tuple[Course, Reading, Alarm | None]:
    """The next look of a course, if there is enough for one."""
    told = _waiting(stream, course)
    signal = stream.signal
    if told or not course.cuts:
        ready = not told and not course.cuts
        text = f"{len(stream.events):,} {stream.noun} are known, what comes from now on is compared" if ready else told
        course = replace(course, cuts=(at,)) if ready else course
        known, new = _counts(stream, course)
        return course, Reading(signal, "not enough", text, at, new, known), None
    seed = int(sha256_hex(f"{signal} {course.begun} {at}".encode())[:16], 16)
    known_keys, new_keys = _keys(stream, course)
    moved = stream.moved(known_keys, new_keys, np.random.default_rng(seed))
    course = replace(course, cuts=(*course.cuts, at), bets=(*course.bets, drift.evidence(moved.p)))
    total, level = drift.total_of(course.bets), _level(house)
    rises = total >= level
    told = "moved" if rises else "as before"
    reading = Reading(
        signal, "alarm" if rises else "quiet", told, at,
        moved.new, moved.known, moved.statistic, moved.unit, moved.p, total, level,
    )  # fmt: skip
    if not rises:
        return course, reading, None
    ids = {event.key: event.id for event in stream.events}
    examples = tuple(dict.fromkeys(ids[new_keys[row]] for row in moved.outliers))[:EXAMPLES]
    kind: Literal["document", "question"] = "document" if signal == "documents" else "question"
    since = course.cuts[drift.likeliest_start(course.bets) - len(course.bets) - 1]
    text = f"{stream.noun} are not as they were: {moved.unit} {moved.statistic:.3g}, p {moved.p:.2g} at this look"
    alarm = Alarm(new_id(), signal, at, since, text, tuple(Example(kind, id) for id in examples), stream.proposal)
    return replace(course, bets=()), reading, alarm


def _waiting(stream: _Stream, course: Course) -> str:
    """What is still needed; empty where there is enough."""
    if stream.missing and not stream.events:
        return stream.missing
    known, new = _counts(stream, course)
    if not course.cuts:
        known = new
    if known < LEAST_KNOWN:
        return f"{LEAST_KNOWN - known:,} more {stream.noun} are needed to know what is normal"
    if course.cuts and new < LEAST_NEW:
        return f"{LEAST_NEW - new:,} more {stream.noun} are needed for the next look"
    return ""


def _counts(stream: _Stream, course: Course) -> tuple[int, int]:
    """How many are known, and how many came since."""
    there = [event.at for event in stream.events if event.at > course.begun]
    known = sum(at <= course.cuts[-1] for at in there) if course.cuts else 0
    return known, len(there) - known


def _keys(stream: _Stream, course: Course) -> tuple[list[str], list[str]]:
    """What the next look compares."""
    ends = [*course.cuts, ""]
    batches: list[list[str]] = [[] for _ in ends]
    number = 0
    for event in stream.events:
        if event.at > course.begun:
            while ends[number] and event.at > ends[number]:
                number += 1
            batches[number].append(event.key)
    if stream.is_rate:
        return [key for batch in batches[:-1] for key in batch], batches[-1]
    return drift.samples(batches[0], batches[1:])


def _renewed(course: Course | None, stream: _Stream, now: datetime) -> Course:
    """The course; or one that begins anew, where what was known at its beginning is about to be forgotten."""
    if course is not None and _time(course.begun) > now - timedelta(days=stream.days):
        return course
    if course is None:
        return Course(stream.signal, _written(now - timedelta(days=stream.days)))
    return Course(stream.signal, _written(now - timedelta(days=stream.days / 2)), course.cuts[-1:])


def _level(house: House) -> float:
    settings = house.settings
    return drift.level(
        false_alarms_per_month=settings.watch.false_alarms_per_month,
        looks_per_month=MONTH_DAYS / _days(house),
        signals=len(TESTED),
    )


def _days(house: House) -> int:
    return house.settings.schedule.watch_days or 1


def _was_in_this_period(house: House, course: Course, now: datetime) -> bool:
    """Whether its last look was within the same ``schedule.watch_days`` as now: there is one in each at most."""
    seconds = 86_400 * _days(house)
    return bool(course.cuts) and int(_time(course.cuts[-1]).timestamp() // seconds) >= int(now.timestamp() // seconds)


# -- where it comes from ---------------------------------------------------------------------------------------------


class _Sources:
    """The signals of a house, read and embedded when a look needs them."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._embedded: dict[str, Float32] = {}

    @cached_property
    def _asked(self) -> dict[str, Asked]:
        return {one.id: one for one in sorted(self._house.traffic.all(), key=lambda one: one.at) if self._fits(one)}

    def streams(self) -> list[_Stream]:
        """All that are tested, in the order of ``TESTED``."""
        house = self._house
        days = house.settings.privacy.query_retention_days
        missing = "" if house.settings.traffic.query_log else "nothing is kept: traffic.query_log is false"
        asked = list(self._asked.values())
        votes = sorted(house.traffic.votes(), key=lambda vote: vote.at)
        clicks = {_place(vote): vote for vote in votes if vote.signal == "click"}
        ranks = {key: rank for key, vote in clicks.items() if (rank := self._rank(vote))}
        thumbs = {f"{_place(vote)}/{number}": vote for number, vote in enumerate(votes) if vote.signal != "click"}
        abstained = {one.id: one.abstained for one in asked if one.abstained is not None}
        return [
            _Stream("questions", "questions", _events(asked), self._questions_moved, days, missing=missing),
            _Stream(
                "scores", "questions with a hit", _events([one for one in asked if _first(one)]), self._scores_moved,
                days, missing=missing,
            ),
            _Stream(
                "clicks", "clicks", [_Event(k, _written(v.at), v.question_id) for k, v in clicks.items() if k in ranks],
                lambda known, new, rng: drift.values_moved(_of(ranks, known), _of(ranks, new), rng=rng), days,
                missing=missing,
            ),
            _Stream(
                "abstentions", "answers", _events([one for one in asked if one.id in abstained]),
                lambda known, new, rng: drift.rate_rose(
                    [bool(abstained[k]) for k in known], [bool(abstained[k]) for k in new], rng=rng
                ),
                days, is_rate=True, missing=missing,
            ),
            _Stream(
                "thumbs down", "thumbs", [_Event(k, _written(v.at), v.question_id) for k, v in thumbs.items()],
                lambda known, new, rng: drift.rate_rose(
                    [thumbs[k].signal == "down" for k in known], [thumbs[k].signal == "down" for k in new], rng=rng
                ),
                days, is_rate=True, missing=missing,
            ),
            _Stream("documents", "documents", self._documents(), self._documents_moved, DOCUMENT_DAYS),
        ]  # fmt: skip

    def _documents(self) -> list[_Event]:
        arrivals = self._house.shelf.arrivals()
        made = self._house.shelf.document_vectors([id for id, _ in arrivals], self._maker)
        self._embedded.update(made)
        return [_Event(id, _written(datetime.fromisoformat(at)), id) for id, at in arrivals if id in made]

    def _questions_moved(self, known: Sequence[str], new: Sequence[str], rng: np.random.Generator) -> Moved:
        self._embed([*known, *new])
        return drift.vectors_moved(self._vectors(known), self._vectors(new), rng=rng)

    def _documents_moved(self, known: Sequence[str], new: Sequence[str], rng: np.random.Generator) -> Moved:
        return drift.vectors_moved(self._vectors(known), self._vectors(new), rng=rng)

    def _scores_moved(self, known: Sequence[str], new: Sequence[str], rng: np.random.Generator) -> Moved:
        """Cosine of each question and the hit that was first for it, both as the embedder makes them now."""
        self._embed([*known, *new])
        firsts = {key: _first(self._asked[key]) for key in (*known, *new)}
        shelf = self._house.shelf
        dense = {one.view.chunk.id: one.dense for one in shelf.indexable(sorted(set(firsts.values())), self._maker)}
        nowhere = np.zeros_like(next(iter(self._embedded.values())))
        cosines = {key: float(self._embedded[key] @ dense.get(firsts[key], nowhere)) for key in firsts}
        return drift.values_moved(_of(cosines, known), _of(cosines, new), rng=rng)

    @property
    def _maker(self) -> str:
        return self._house.crew.encoder.info.digest

    def _vectors(self, keys: Sequence[str]) -> Float32:
        return np.array([self._embedded[key] for key in keys])

    def _embed(self, keys: Collection[str]) -> None:
        wanted = [key for key in dict.fromkeys(keys) if key not in self._embedded]
        if wanted:
            texts = [question(self._asked[key].text, embedder=self._house.embedder).text for key in wanted]
            self._embedded.update(zip(wanted, self._house.embedder.embed_queries(texts).vectors, strict=True))

    def _fits(self, one: Asked) -> bool:
        """Whether the embedder that serves now can read it: the one that answered may have read more."""
        try:
            question(one.text, embedder=self._house.embedder)
        except InvalidQuery:
            return False
        return True

    def _rank(self, vote: Feedback) -> int | None:
        """Of the hit that it is about; None where that is gone."""
        shown = self._asked[vote.question_id].shown if vote.question_id in self._asked else ()
        return next((hit.rank for hit in shown if hit.chunk_id == vote.chunk_id), None)


def _events(asked: Sequence[Asked]) -> list[_Event]:
    return [_Event(one.id, _written(one.at), one.id) for one in asked]


def _place(vote: Feedback) -> str:
    return f"{vote.question_id}/{vote.chunk_id}"


def _first(one: Asked) -> str:
    """Id of the first passage that was shown; empty where none was, or none is left."""
    return next((hit.chunk_id for hit in one.shown if hit.rank == 1 and hit.chunk_id), "")


def _of(values: dict[str, int] | dict[str, float], keys: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([values[key] for key in keys], dtype=np.float64)


# -- what is certain -------------------------------------------------------------------------------------------------


def _vectors(house: House, at: str) -> tuple[Reading, Alarm | None]:
    """Whether every passage has a vector by the embedder that serves, and the embedder still makes the same ones."""
    encoder = house.crew.encoder
    foreign = house.shelf.unmade(encoder.info.digest, dense=True, codes=False)
    made = sorted(house.shelf.chunk_ids(encoder.info.digest))
    views = list(house.shelf.indexable(keyed_order(made, at)[:_RECHECKED], encoder.info.digest))
    again = encoder.embed_documents([in_context(one.view.chunk) for one in views]).vectors if views else ()
    cosines = [float(one.dense @ vector) for one, vector in zip(views, again, strict=True)]
    changed = [one.view.chunk.document_id for one, cosine in zip(views, cosines, strict=True) if cosine < SAME]
    if not made and not foreign:
        return Reading("vectors", "not enough", "the house holds no passage", at), None
    told = f"{len(made):,} by the embedder that serves, {len(foreign):,} by none or another; "
    told += f"{len(views) - len(changed)} of {len(views)} made again are the same"
    lowest = min(cosines, default=None)
    reading = Reading("vectors", "quiet", told, at, len(views), len(made), lowest, "lowest cosine")
    if not foreign and not changed:
        return reading, None
    documents = changed or sorted({view.chunk.document_id for view in house.shelf.views(sorted(foreign)).values()})
    examples = tuple(Example("document", id) for id in dict.fromkeys(documents))[:EXAMPLES]
    commands = ("freehold doctor", "freehold ingest PATH...")
    return replace(reading, outcome="alarm"), Alarm(new_id(), "vectors", at, at, told, examples, commands)


def _asked_canaries(house: House) -> tuple[set[str], set[str]]:
    """Ids of all canaries, and of those that were found."""
    canaries = canaries_of(house)
    return {one.id for one in canaries}, found(house, canaries)


def _canaries(asked: set[str], here: set[str], normal: set[str], at: str) -> tuple[Reading, Alarm | None]:
    """Whether each canary that was found before is found now."""
    if not asked:
        return Reading("canaries", "not enough", "name some by watch.canaries or gate.dataset", at), None
    lost = sorted(normal - here)
    told = f"{len(here):,} of {len(asked):,} found"
    told += f", {len(lost):,} no more" if lost else ""
    outcome = Reading("canaries", "alarm" if lost else "quiet", told, at, len(asked), len(normal))
    if not lost:
        return outcome, None
    examples = tuple(Example("canary", id) for id in lost[:EXAMPLES])
    return outcome, Alarm(new_id(), "canaries", at, at, told, examples, ("freehold doctor", "freehold eval DATASET"))


# -- what is remembered ----------------------------------------------------------------------------------------------


def _present(house: House, ids: Collection[str]) -> set[str]:
    """Those that are still here: somebody may have been erased while we looked."""
    return {one.id for one in house.traffic.get(ids)} | house.shelf.present(ids)


def _written(time: datetime) -> str:
    """As the query log writes times, so that texts compare as times do."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")


def _time(at: str) -> datetime:
    return datetime.fromisoformat(at)
