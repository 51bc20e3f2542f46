"""Ask: a question to an answer with citations, or to "not in these documents"."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from freehold.core.errors import CutShort, SettingsError
from freehold.core.ports import Embedder, Generator
from freehold.core.shelf import page_of
from freehold.core.types import Answer, Document, Passage, Query, Trace
from freehold.journeys.cite import cite
from freehold.journeys.context import fit
from freehold.journeys.language import language_tools
from freehold.journeys.neutral import Neutral, neutral
from freehold.journeys.search import Engines, Found, Plan, Stopwatch, search
from freehold.models.generate import messages

TEMPLATE_TOKENS = 64
"""Set aside for the marks that a chat template puts around the messages."""


@dataclass(frozen=True, slots=True)
class Voice:
    """Who words the answer, and within which limits."""

    generator: Generator
    timeout_s: float
    answer_tokens: int
    passages: int
    """Hits that are offered to the generator."""
    judge: Embedder | None = None
    """Weighs how alike sentences are; it must give token vectors. Without one, words alone decide."""


def ask(
    query: Query,
    *,
    plan: Plan,
    engines: Engines,
    voice: Voice,
    on_text: Callable[[str], None] | None = None,
    found: Found | None = None,
) -> Answer:
    """Answer from the house's documents alone, and of these from what the query's caller may see.

    ``on_text`` receives the generator's words as they come; the returned answer may have fewer, since a sentence that
    no cited span supports is taken out. ``found``: what was found for the query already, which saves the search. Raises
    EndpointFault when the generator fails, or is stopped before it has said a sentence, and SettingsError when not one
    passage fits its context window.
    """
    watch = Stopwatch()
    if found is None:
        found = search(query, k=voice.passages, plan=plan, engines=engines)
        watch.lap("search")
    generator = voice.generator
    frame = "\n".join(message["content"] for message in messages(query.text, ()))
    room = generator.context_tokens - voice.answer_tokens - generator.count_tokens(frame) - TEMPLATE_TOKENS

    @cache
    def read(document_id: str) -> Document:
        return engines.shelf.document_for(document_id, query.caller)

    passages, dropped = fit(
        found.hits, text_of=lambda id: read(id).text, count_tokens=generator.count_tokens, budget_tokens=room
    )
    if found.hits and not passages:
        raise SettingsError(
            f"no passage fits beside the prompt and an answer of {voice.answer_tokens} tokens",
            hint="raise generator.context_tokens, or lower generator.answer_tokens or chunking.max_tokens",
        )
    watch.lap("context")
    written, cut = _write(query, passages, voice, on_text)
    text = neutral(written)
    watch.lap("generate")
    answer = cite(text, passages, question=query.text, embedder=voice.judge, tools=language_tools(engines.terms))
    citations = tuple(replace(c, page=page_of(read(c.document_id).pages, c.start)) for c in answer.citations)
    watch.lap("cite")
    timings = {**{f"search.{stage}": ms for stage, ms in found.timings_ms.items() if stage != "total"}, **watch.stop()}
    trace = Trace(
        timings_ms=timings,
        tokens={
            **answer.trace.tokens,
            "context": sum(generator.count_tokens(p.text) for p in passages),
            "answer": generator.count_tokens(answer.text),
        },
        models=_models(engines, found, generator),
        dropped=tuple(dropped),
        rerank_depth=found.rerank_depth,
        rerank_left=found.rerank_left,
        cut=cut,
    )
    return replace(answer, citations=citations, trace=trace)


def _models(engines: Engines, found: Found, generator: Generator) -> Mapping[str, str]:
    models = {"embedder": engines.embedder.info.name, "generator": generator.name}
    if engines.reranker and found.rerank_depth:
        models["reranker"] = engines.reranker.name
    return models


def _write(
    query: Query, passages: list[Passage], voice: Voice, on_text: Callable[[str], None] | None
) -> tuple[str, bool]:
    """What the generator said, and whether it was stopped before it was done."""
    if not passages:
        return "", False
    pieces: list[str] = []
    cut = False
    shown = Neutral()
    try:
        for piece in voice.generator.generate(query.text, passages, timeout_s=voice.timeout_s):
            pieces.append(piece)
            if on_text and (words := shown.feed(piece)):
                on_text(words)
    except CutShort:
        if not pieces:
            raise
        cut = True
    if on_text and (words := shown.end()):
        on_text(words)
    return "".join(pieces), cut
