"""Cite: attach exact spans to a text, sentence by sentence, whoever wrote it, and take out what they do not carry.

Nothing is believed of the text: its own markers are dropped, and a sentence stays only if spans of the passages hold
enough of its words, all of its numbers and all of its names. What this cannot see is a negation turned round or two
true halves joined wrongly: it shows where to look, it does not prove.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.ports import Embedder
from freehold.core.types import Answer, Citation, Passage, Trace
from freehold.journeys.figures import Figure, figures, missing, names
from freehold.journeys.language import language_tools, likely_language
from freehold.models.extractive import label, shortened
from freehold.models.generate import NOT_FOUND, Language
from freehold.models.overlap import Rarity
from freehold.models.yardstick import likeness
from freehold.text.terms import TermAnalyzer

ABSTENTION = {
    "en": "Not in these documents.",
    "de": "Nicht in diesen Dokumenten.",
    "fr": "Pas dans ces documents.",
}

SUPPORTED = 0.5
"""Share of a sentence's words, by rarity, that its spans must hold; how it was chosen is in ADR 7."""

MAYBE_SUPPORTED = 0.35
"""From here on an embedder may vouch for a sentence in other words."""

LIKE_ENOUGH = 0.8
"""Likeness on the embedder's yardstick at which it does."""

MAX_RUN = 3
"""Sentences in a row that may be one span."""

MAX_SPANS = 2
"""Spans that may carry one sentence between them."""

_LONGER_RUN = 0.05
"""What a run must gain in coverage for each sentence more."""

_MARKER = re.compile(
    r"\s*(?:\[(?:\^|(?:passage|source|quelle)s?\s+)?\d+(?:\s*[,;–-]\s*\d+)*\]|【[^】]*】)", re.IGNORECASE
)
_BULLET = re.compile(r"^(?:[-*•]|\d{1,2}[.)])\s+")


@dataclass(frozen=True, slots=True)
class _Claim:
    """A sentence of the text and what is said in it."""

    text: str
    language: str
    terms: frozenset[int]
    figures: frozenset[Figure]
    places: tuple[int, ...]
    """Passages it may be found in: those its line's label names, else all."""
    before: str
    """What stands between it and the one before: a space, or a line break and the line's label."""


@dataclass(frozen=True, slots=True)
class _Span:
    """``passages[passage].text[start:end]``: whole sentences, with what is said in them."""

    passage: int
    start: int
    end: int
    terms: frozenset[int]
    figures: frozenset[Figure]
    length: int


def cite(
    text: str,
    passages: Sequence[Passage],
    *,
    question: str,
    embedder: Embedder | None = None,
    language: str = "und",
    tools: Language | None = None,
) -> Answer:
    """The answer that ``passages`` carry: ``text`` with markers ``[1]`` at the ends of its sentences, and the spans.

    Sentences without support are left out; ``trace.tokens["removed_sentences"]`` counts them. If none is left, the
    answer is an abstention in the question's language. ``language`` is that of the text, told from it where ``und``.
    ``tools`` are the caller's, if it has some that already know the words.
    Every ``quote`` is ``passage.text[start - passage.start : end - passage.start]``; pages are left to the caller.
    """
    bare = _MARKER.sub("", text).strip()
    spoken = likely_language(question)
    if not bare or bare == NOT_FOUND or bare in ABSTENTION.values():
        return _abstention(spoken, removed=0)
    tools = tools or language_tools(TermAnalyzer(("en", "de", "fr")))
    claims = _claims(bare, passages, tools, likely_language(bare) if language == "und" else language)
    evidence = _Evidence(passages, tools, embedder)
    kept: list[tuple[_Claim, tuple[_Span, ...]]] = []
    for claim in claims:
        spans = evidence.carrying(claim, near=kept[-1][1][0].passage if kept else None)
        if spans:
            kept.append((claim, spans))
    if not kept:
        return _abstention(spoken, removed=len(claims))
    return _answer(kept, passages, removed=len(claims) - len(kept))


def _abstention(language: str, *, removed: int) -> Answer:
    return Answer(ABSTENTION[language], (), abstained=True, supported=True, trace=_trace(removed))


def _trace(removed: int) -> Trace:
    return Trace(tokens={"removed_sentences": removed})


def _answer(kept: Sequence[tuple[_Claim, tuple[_Span, ...]]], passages: Sequence[Passage], *, removed: int) -> Answer:
    """Number the spans in the order of their first use; spans of a passage that overlap become one."""
    merged = _merged([span for _, spans in kept for span in spans])
    numbers: dict[tuple[int, int, int], int] = {}
    text = ""
    for claim, spans in kept:
        used = [next(m for m in merged if m[0] == s.passage and m[1] <= s.start and s.end <= m[2]) for s in spans]
        marks = sorted({numbers.setdefault(place, len(numbers) + 1) for place in used})
        text += f"{claim.before}{claim.text} " + "".join(f"[{mark}]" for mark in marks)
    citations = tuple(_citation(passages[number], start, end, mark) for (number, start, end), mark in numbers.items())
    return Answer(text.lstrip(), citations, abstained=False, supported=True, trace=_trace(removed))


def _merged(spans: Sequence[_Span]) -> list[tuple[int, int, int]]:
    """(passage, start, end) of the union of ``spans``, disjoint."""
    merged: list[tuple[int, int, int]] = []
    for passage, start, end in sorted((span.passage, span.start, span.end) for span in spans):
        if merged and merged[-1][0] == passage and start < merged[-1][2]:
            merged[-1] = (passage, merged[-1][1], max(end, merged[-1][2]))
        else:
            merged.append((passage, start, end))
    return merged


def _citation(passage: Passage, start: int, end: int, marker: int) -> Citation:
    return Citation(
        document_id=passage.document_id,
        source=passage.source,
        page=None,
        start=passage.start + start,
        end=passage.start + end,
        quote=passage.text[start:end],
        marker=marker,
    )


def _claims(text: str, passages: Sequence[Passage], tools: Language, language: str) -> list[_Claim]:
    """The sentences of ``text``, line by line."""
    claims: list[_Claim] = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        lead, places = _label(line, passages)
        # Behind a label stands a quote: read it in its source's language.
        spoken = tools.of(passages[places[0]].text) if lead else language
        before = f"\n{lead}"
        for sentence in _sentences(line[len(lead) :], tools, spoken):
            said = _BULLET.sub("", sentence)
            terms = frozenset(tools.terms(said, spoken))
            claims.append(_Claim(sentence, spoken, terms, figures(said), places, before))
            before = " "
    return claims


def _sentences(line: str, tools: Language, language: str) -> list[str]:
    """The sentences of one line; one that says nothing by itself ("Yes.") goes with the next."""
    found: list[str] = []
    pending = ""
    for start, end in tools.sentences(line, language):
        sentence = pending + line[start:end]
        telling = len(tools.terms(sentence, language)) > 1 or figures(sentence)
        pending = "" if telling else f"{sentence} "
        if telling:
            found.append(sentence)
    return [*found, pending.rstrip()] if pending else found


def _label(line: str, passages: Sequence[Passage]) -> tuple[str, tuple[int, ...]]:
    """The label that ``line`` begins with, and the passages of that label; all passages where there is none."""
    labels = [f"{label(passage)}: " for passage in passages]
    lead = max((known for known in labels if known != ": " and line.startswith(known)), key=len, default="")
    places = tuple(number for number, known in enumerate(labels) if not lead or known == lead)
    return lead, places


class _Evidence:
    """The passages cut into spans, ready to be asked which of them carry a claim."""

    def __init__(self, passages: Sequence[Passage], tools: Language, embedder: Embedder | None) -> None:
        self._passages = passages
        self._tools = tools
        self._embedder = embedder
        self._spans: list[_Span] = []
        units: list[frozenset[int]] = []
        for number, passage in enumerate(passages):
            sentences = self._sentences(number, passage)
            units += [sentence.terms for sentence in sentences]
            for length in range(1, MAX_RUN + 1):
                self._spans += [_run(sentences[n : n + length]) for n in range(len(sentences) - length + 1)]
        self._rarity = Rarity(units)
        self._headings = [frozenset(tools.terms(label(p), tools.of(p.text))) for p in passages]
        self._heading_figures = [figures(label(passage)) for passage in passages]

    def carrying(self, claim: _Claim, *, near: int | None) -> tuple[_Span, ...]:
        """The spans that carry ``claim``, the main one first; none if they fall short. Ties go to passage ``near``."""
        pool = [span for span in self._spans if span.passage in claim.places]
        chosen: list[_Span] = []
        while pool and len(chosen) < MAX_SPANS:
            terms, numbers = self._missing(claim, chosen)
            best = max(pool, key=lambda span: (self._worth(span, terms, numbers), span.passage == near))
            if not best.terms & terms and missing(numbers, best.figures) == numbers:
                break
            chosen.append(best)
            if self._holds(claim, chosen):
                return tuple(chosen)
        return ()

    def _worth(self, span: _Span, terms: frozenset[int], numbers: frozenset[Figure]) -> float:
        gain = self._rarity.coverage(terms, span.terms)
        agreeing = 1 - len(missing(numbers, span.figures)) / len(numbers) if numbers else 0.0
        return gain + agreeing - _LONGER_RUN * (span.length - 1)

    def _missing(self, claim: _Claim, chosen: Sequence[_Span]) -> tuple[frozenset[int], frozenset[Figure]]:
        """What of the claim's words and numbers ``chosen`` and their headings do not hold."""
        terms, numbers = claim.terms, claim.figures
        for span in chosen:
            terms = terms - span.terms - self._headings[span.passage]
            numbers = missing(numbers, span.figures | self._heading_figures[span.passage])
        return terms, numbers

    def _holds(self, claim: _Claim, chosen: Sequence[_Span]) -> bool:
        terms, numbers = self._missing(claim, chosen)
        if numbers or not self._names_agree(claim, chosen):
            return False
        covered = self._rarity.coverage(claim.terms, claim.terms - terms)
        return covered >= SUPPORTED or (covered >= MAYBE_SUPPORTED and self._alike(claim, chosen))

    def _names_agree(self, claim: _Claim, chosen: Sequence[_Span]) -> bool:
        """Names may stand anywhere in the cited passages: the sentence cited often says "he" or "the insurer"."""
        cited = (self._passages[span.passage] for span in chosen)
        around = _words(" ".join(f"{label(passage)} {passage.text}" for passage in cited))
        return all(_words(name) <= around for name in names(claim.text, claim.language))

    def _alike(self, claim: _Claim, chosen: Sequence[_Span]) -> bool:
        if self._embedder is None:
            return False
        cited = " ".join(self._passages[span.passage].text[span.start : span.end] for span in chosen)
        asked = self._embedder.embed_documents([shortened(claim.text, self._embedder)], tokens=True)
        told = self._embedder.embed_documents([shortened(cited, self._embedder)], tokens=True)
        return float(likeness(self._embedder, asked, told, claim.language)[0]) >= LIKE_ENOUGH

    def _sentences(self, number: int, passage: Passage) -> list[_Span]:
        spoken = self._tools.of(passage.text)
        found = []
        for start, end in self._tools.sentences(passage.text, spoken):
            said = passage.text[start:end]
            terms = frozenset(self._tools.terms(said, spoken))
            found.append(_Span(number, start, end, terms, figures(said, lenient=True), 1))
        return found


def _words(text: str) -> set[str]:
    """The words of ``text`` without the ending of a plural or genitive: "Müllers" is "Müller"."""
    return {word.casefold().removesuffix("s") for word in re.findall(r"\w+", text)}


def _run(sentences: Sequence[_Span]) -> _Span:
    """Consecutive sentences as one span."""
    return _Span(
        sentences[0].passage,
        sentences[0].start,
        sentences[-1].end,
        frozenset[int]().union(*(sentence.terms for sentence in sentences)),
        frozenset[Figure]().union(*(sentence.figures for sentence in sentences)),
        len(sentences),
    )
