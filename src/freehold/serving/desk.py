"""A desk: the house as it is at one moment, with all that answers from it open. It is replaced, never changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from freehold.core.errors import EndpointFault, UsageError
from freehold.core.ports import Detector
from freehold.core.types import Mode, Query
from freehold.detectors import open_detector_for
from freehold.house import open_house
from freehold.journeys.ask import Voice, ask
from freehold.journeys.language import language_tools
from freehold.journeys.search import Engines, Found, Plan, question, search
from freehold.models.generate import open_generator
from freehold.models.rerank import LateInteraction
from freehold.serving.mask import Mask
from freehold.serving.messages import Answered, Ask, Embed, Score, Search, Searched, State, Vectors

_CHECKING_S = 0.25
"""Of an answer's time, for attaching its citations once it is written."""


class Desk:
    """Everything is opened at once, by the constructor: a search pays for nothing."""

    def __init__(self, root: Path, *, lender: Desk | None = None) -> None:
        """``lender``: the desk before, whose models that still serve are not opened anew. The first desk brings the
        index up to the catalog, where a crash left it behind; those after it search what there is.

        Raises as ``open_house``.
        """
        self._house = open_house(root)
        self._detector: Detector | None = None
        if lender is not None:
            self._house.borrow(lender._house)
            self._detector = lender._detector
        self._lock = threading.Lock()
        self._users = 1
        self._plans: dict[Mode | None, Plan] = {}
        try:
            self._open(level=lender is None)
        except BaseException:
            self._house.close()
            raise

    def _open(self, *, level: bool) -> None:
        # Made anew with each desk: what it remembers of passages is not to outlive them.
        self._mask = Mask(self.detector) if self.detector else None
        lineup = self._house.registry.lineup().number
        self._engines = None if self._house.shelf.is_empty() else self._house.engines(level=level)
        """None for a house that is empty as yet."""
        if self._engines is not None:
            self._warm_up(self._engines)
        models = {"embedder": self._house.embedder.info.name, "generator": self._house.settings.generator.kind}
        if self._house.reranker is not None:
            models["reranker"] = self._house.reranker.name
        generation = self._house.generation()
        self._generation = generation.name if generation else ""
        self.state = State(generation.revision if generation else 0, lineup, models)

    def _warm_up(self, engines: Engines) -> None:
        """The first call to each engine takes several times as long as any after it."""
        search(question("warm up", embedder=engines.embedder), k=1, plan=self._house.plan(), engines=engines)
        self.voice  # noqa: B018 - opened now

    def is_stale(self) -> bool:
        """Whether another generation of the index is to be searched, or other models are to serve.

        What else changed in the catalog is read from there anyway.
        """
        generation = self._house.generation()
        name, revision = (generation.name, generation.revision) if generation else ("", 0)
        if (name, self._house.registry.lineup().number) != (self._generation, self.state.lineup):
            return True
        self.state = replace(self.state, revision=revision)
        return False

    @property
    def engines(self) -> Engines:
        """What searches go through. Raises UsageError while the house is empty."""
        if self._engines is None:
            raise UsageError("the house holds no documents yet", hint="upload documents first")
        return self._engines

    @cached_property
    def voice(self) -> Voice:
        """Who words the answers."""
        return self._house.voice()

    @cached_property
    def _quoting(self) -> Voice:
        """Who answers where the voice cannot: nothing that could fail."""
        tools = language_tools(self._house.terms)
        generator = open_generator("extractive", language=tools, embedder=self.voice.judge)
        return replace(self.voice, generator=generator)

    @property
    def detector(self) -> Detector | None:
        """What finds people, where the settings want questions or answers read for them."""
        part = self._house.settings.server
        if self._detector is None and (part.mask_people or not part.cache_people):
            self._detector = open_detector_for(self._house.settings)
        return self._detector

    def read(self, message: Search | Ask) -> tuple[Query, Plan]:
        """The question and how to retrieve for it. Raises InvalidQuery, and UsageError while the house is empty."""
        query = question(message.text, embedder=self.engines.embedder, filter=message.filter, caller=message.caller)
        if message.mode not in self._plans:
            self._plans[message.mode] = self._house.plan(message.mode)
        plan = self._plans[message.mode]
        depth = message.rerank_depth if isinstance(message, Search) else None
        return query, plan if depth is None else replace(plan, rerank_depth=min(depth, plan.rerank_depth))

    def searched(self, query: Query, hits: Found) -> Searched:
        """What was found, as it may be given out."""
        if self._mask is None:
            return Searched(hits)
        part = self._house.settings.server
        may_keep = part.cache_people or not part.cache or not self._mask.names_somebody(query.text)
        return Searched(self._mask.found(hits, query.text) if part.mask_people else hits, may_keep)

    def answer(
        self, query: Query, plan: Plan, hits: Found, on_text: Callable[[str], None], *, deadline: float
    ) -> Answered:
        """An answer from what was found. Where the generator fails, the passages are quoted and the reply says so.

        Where people are masked no word is shown before the whole answer is there: a name in two pieces is none.
        """
        if self._mask is None or not self._house.settings.server.mask_people:
            return self._answered(query, plan, hits, on_text, deadline)
        answered = self._answered(query, plan, hits, None, deadline)
        answer = self._mask.answer(answered.answer, hits, query.text)
        on_text(answer.text)
        return replace(answered, answer=answer, found=self._mask.found(hits, query.text))

    def _answered(
        self, query: Query, plan: Plan, hits: Found, on_text: Callable[[str], None] | None, deadline: float
    ) -> Answered:
        voice = self.voice
        left_s = max(0.1, deadline - time.monotonic() - _CHECKING_S)
        voice = replace(voice, timeout_s=min(voice.timeout_s, left_s))
        try:
            answer = ask(query, plan=plan, engines=self.engines, voice=voice, on_text=on_text, found=hits)
            return Answered(answer, hits)
        except EndpointFault:
            answer = ask(query, plan=plan, engines=self.engines, voice=self._quoting, found=hits)
            return Answered(answer, hits, degraded="generator")

    def embed(self, message: Embed) -> Vectors:
        """Raises ContextOverflow for a text above the model's limit."""
        crew = self._house.embedder
        texts = list(message.texts)
        made = crew.embed_queries(texts) if message.queries else crew.embed_documents(texts)
        read = sum(len(crew.offsets(text)) + crew.overhead_tokens for text in texts)
        return Vectors(made.vectors, read, crew.info.name)

    def score(self, message: Score) -> list[float]:
        """MaxSim of each text in [-1, 1], of its first tokens where it has more than the model reads.

        Raises UsageError where the embedder gives no token vectors.
        """
        embedder = self._house.embedder
        if not self._house.crew.gives_tokens:
            raise UsageError("this house's embedder gives no token vectors to rerank by", hint="see embedder.kind")
        limit = embedder.info.max_tokens - embedder.overhead_tokens
        cut = []
        for text in message.texts:
            offsets = embedder.offsets(text)
            cut.append(text if len(offsets) <= limit else text[: offsets[limit - 1][1]])
        asked = embedder.embed_queries([message.question], tokens=True).tokens
        made = embedder.embed_documents(cut, tokens=True).tokens
        assert asked is not None
        assert made is not None
        codec = LateInteraction(dim=embedder.info.dim)
        return [float(score) for score in codec.score(asked[0], codec.encode([np.asarray(one) for one in made]))]

    # -- letting go --------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Stay open until ``close`` was called once more."""
        with self._lock:
            self._users += 1

    def retire(self) -> None:
        """No more searches: the index is let go of at once, the rest when the last answer is written."""
        self._house.indexes.close()
        self.close()

    def close(self) -> None:
        """The last one closes the house."""
        with self._lock:
            self._users -= 1
            last = not self._users
        if last:
            self._house.close()
