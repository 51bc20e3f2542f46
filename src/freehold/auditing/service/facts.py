"""What a service said to questions with known answers, to orders, to riddles, and when asked again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path, PurePath

from freehold.auditing.service.client import Problem, Reply, Service
from freehold.auditing.service.probes import MARK, NOBODY_KNOWS, ORDERS
from freehold.core.errors import UsageError
from freehold.core.ids import keyed_order
from freehold.core.types import Mention
from freehold.journeys.ingest import Progress
from freehold.measure.labels import Labels, read_labels
from freehold.measure.ranking import Measure, score

MOST_QUESTIONS = 100
REPEATED, TIMES = 5, 3
CLIENTS = 4
"""At once, when questions are asked again: a light load."""
GIVEN_UP = 3
"""Questions that fail in a row from the first on, after which nothing more is asked."""
MEASURES = ("Success@10", "nDCG@10")


class ServiceFacts:
    """Replies of one service, each question asked once, when a rule first wants it. Raises UsageError for labels."""

    def __init__(self, service: Service, questions: Path, *, progress: Progress) -> None:
        self.service, self._progress = service, progress
        self.labels = _one_split(questions)
        named = set(self.labels.qrels) | set(self.labels.gold)
        self.chosen = sorted(keyed_order(named, "audit")[:MOST_QUESTIONS])

    @cached_property
    def replies(self) -> Mapping[str, Reply]:
        """Question id -> what came back, asked one after the other. None comes after the service was given up."""
        told: dict[str, Reply] = {}
        for done, id in enumerate(self.chosen, 1):
            told[id] = self.service.ask(self.labels.queries[id].text)
            self._progress("questions", done, len(self.chosen))
            if len(told) == GIVEN_UP and all(one.problem for one in told.values()):
                break
        return told

    @property
    def is_up(self) -> bool:
        """Whether it answered anything."""
        return any(reply.problem is None for reply in self.replies.values())

    @property
    def answered(self) -> Mapping[str, Reply]:
        """Those that came back as they should."""
        return {id: reply for id, reply in self.replies.items() if reply.problem is None}

    @property
    def problems(self) -> Counter[Problem]:
        return Counter(reply.problem for reply in self.replies.values() if reply.problem)

    @property
    def unanswerable(self) -> Sequence[str]:
        """Ids of labelled questions that have no answer."""
        return [id for id, gold in self.labels.gold.items() if gold.answerable is False and id in self.replies]

    @property
    def answerable(self) -> Sequence[str]:
        """Ids of those that have one, and came back."""
        silent = set(self.unanswerable)
        return [id for id in self.answered if id not in silent]

    @cached_property
    def riddles(self) -> Mapping[str, Reply]:
        """Questions of things that do not exist -> what came back."""
        return self._asked("riddles", NOBODY_KNOWS) if self.is_up else {}

    @cached_property
    def orders(self) -> Sequence[tuple[str, str, Reply]]:
        """(order, question that held it, what came back)."""
        carriers = self.answerable[: len(ORDERS)]
        if not carriers:
            return ()
        orders = [order.format(mark=MARK) for order in ORDERS]
        asked = [f"{self.labels.queries[carriers[n % len(carriers)]].text} {order}" for n, order in enumerate(orders)]
        replies = self._asked("orders", asked)
        return [(order, question, replies[question]) for order, question in zip(orders, asked, strict=True)]

    @cached_property
    def repeats(self) -> Mapping[str, Sequence[Reply]]:
        """Question id -> what came back each time, the first included; asked by ``CLIENTS`` at once."""
        ids = keyed_order(self.answerable, "again")[:REPEATED]
        again = [id for _ in range(TIMES - 1) for id in ids]
        with ThreadPoolExecutor(CLIENTS) as clients:
            replies = list(clients.map(lambda id: self.service.ask(self.labels.queries[id].text), again))
        told: dict[str, list[Reply]] = {id: [self.replies[id]] for id in ids}
        for id, reply in zip(again, replies, strict=True):
            told[id].append(reply)
        return told

    @property
    def quality_ids(self) -> Sequence[str]:
        """Of the questions whose values ``quality`` holds, in their order."""
        return sorted(id for id in self.answered if self.labels.qrels.get(id))

    @cached_property
    def quality(self) -> Mapping[str, Sequence[float]]:
        """Measure -> value of each labelled question that came back, by the documents that it names."""
        qrels = {id: self._by_document(id) for id in self.quality_ids}
        run = {id: self._ranking(self.answered[id], set(qrels[id])) for id in qrels}
        measures = [Measure.parse(name) for name in MEASURES]
        values = score(run, qrels, measures)
        return {str(measure): values[:, column].tolist() for column, measure in enumerate(measures)}

    def _by_document(self, id: str) -> dict[str, int]:
        """Labelled passages count as the document that they lie in."""
        spans = self.labels.spans
        found: dict[str, int] = {}
        for unit, grade in self.labels.qrels[id].items():
            name = spans[unit].unit if unit in spans else unit
            found[name] = max(grade, found.get(name, 0))
        return found

    @staticmethod
    def _ranking(reply: Reply, labelled: set[str]) -> dict[str, float]:
        """A document's name counts with or without its folder and suffix, in the order in which they were named."""
        ranking: dict[str, float] = {}
        for place, name in enumerate(reply.sources):
            path = PurePath(name)
            known = next((one for one in (name, path.name, path.stem) if one in labelled), None)
            known = known or next((one for one in labelled if PurePath(one).stem == path.stem), name)
            ranking.setdefault(known, -float(place))
        return ranking

    @cached_property
    def mentions(self) -> Mapping[str, tuple[Mention, ...]]:
        """Question id -> people in what came back whom neither the question nor its label names."""
        from freehold.auditing.service.people import mentions_in

        told = {id: reply.answer or "" for id, reply in self.answered.items() if (reply.answer or "").strip()}
        given = {id: " ".join((self.labels.queries[id].text, *self._gold(id))) for id in told}
        return mentions_in(told, given)

    def _gold(self, id: str) -> tuple[str, ...]:
        return self.labels.gold[id].answers if id in self.labels.gold else ()

    def _asked(self, stage: str, questions: Sequence[str]) -> dict[str, Reply]:
        told = {}
        for done, question in enumerate(questions, 1):
            told[question] = self.service.ask(question)
            self._progress(stage, done, len(questions))
        return told

    def told(self) -> Mapping[str, str]:
        """What was audited, in a few lines."""
        return {
            "address": self.service.url,
            "labelled questions": f"{len(self.labels.queries):,}, {len(self.replies):,} asked",
            "came back": f"{len(self.answered):,}",
        }


def _one_split(path: Path) -> Labels:
    labels = read_labels(path)
    if not labels.queries:
        raise UsageError(f"{path} holds no question", hint='one a line: {"id", "query", "relevant", "answers"}')
    return labels
