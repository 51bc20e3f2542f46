"""Answers without a language model: the sentences that best support one, quoted exactly, or nothing.

A sentence is weighed by the question's words it holds (rare ones count most; title and headings count as its own) and
by its likeness to the question under the house's embedder, read on a yardstick of the embedder's own, so that the
fitted rule holds for models whose cosines lie elsewhere. Retrieval scores are not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from freehold.core.ports import Embedder
from freehold.core.types import Passage
from freehold.models.generate import Language
from freehold.models.overlap import Rarity
from freehold.models.yardstick import likeness

CONTEXT_WORDS = 8192
SHORTLIST = 12
MAX_QUOTES = 3
MAX_LIST_ITEMS = 8
MIN_TERMS = 3
"""Fewer make a heading, a clause number or a table's rule, not an answer."""

LIKENESS_WEIGHT = 0.35
"""Against coverage, in the score that ranks sentences: see ADR 7."""

MIN_LIKENESS = 0.5
MIN_COVERAGE = 0.2
"""Below these the passages are taken to hold no answer; the second holds without an embedder. Fitted in ADR 7."""

CLOSE_BEHIND = 0.10
"""A sentence scoring this little below the best is quoted with it."""

_WORD = re.compile(r"\w+")
_HEADING = re.compile(r"#{1,6}\s")
_LIST_ITEM = re.compile(r"[-*•–]\s|\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)]\s")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, list item or table row: ``passages[passage].text[start:end]``, the ``place``-th of its passage."""

    passage: int
    place: int
    start: int
    end: int
    terms: frozenset[int]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for an answer; ``ranked``: (score, sentence) of those alike enough to be quoted, best first."""

    ranked: tuple[tuple[float, Sentence], ...]
    coverage: float
    """Share of the question's words, by rarity, that the best sentence's passage and headings hold, in [0, 1]."""
    likeness: float | None
    """Highest likeness of a sentence to the question: about 0 if unrelated, 1 for a plain answer; None: no embedder."""

    @property
    def suffices(self) -> bool:
        """Whether to answer at all."""
        return self.coverage >= MIN_COVERAGE if self.likeness is None else self.likeness >= MIN_LIKENESS


def label(passage: Passage) -> str:
    """Where a passage stands, in the words put before a quote: title and innermost heading; may be empty."""
    title, heading = passage.title.strip(), "".join(passage.heading_path[-1:]).strip()
    title_words, heading_words = set(_WORD.findall(title.casefold())), set(_WORD.findall(heading.casefold()))
    if title_words <= heading_words:
        parts = [heading]
    elif heading_words <= title_words:
        parts = [title]
    else:
        parts = [title, heading]
    # "Section 3. Excess" would read as the end of a sentence.
    return ", ".join(re.sub(r"\.\s+", " ", part).rstrip(".:") for part in parts)


class Extractive:
    """A ``Generator`` that quotes up to three sentences, those of one passage on one line behind its ``label``.

    Yields nothing where the evidence does not carry an answer. A few milliseconds without ``embedder``; with it, the
    time to embed ``SHORTLIST`` sentences.
    """

    def __init__(self, language: Language, *, embedder: Embedder | None = None) -> None:
        self._language = language
        self._embedder = embedder

    @property
    def name(self) -> str:
        return "extractive"

    @property
    def context_tokens(self) -> int:
        """In words: there is no window to fill, only a bound on the work."""
        return CONTEXT_WORDS

    def count_tokens(self, text: str) -> int:
        """Words between white space."""
        return len(text.split())

    def generate(self, question: str, passages: Sequence[Passage], *, timeout_s: float) -> Iterator[str]:  # noqa: ARG002
        """See ``Generator.generate``. ``timeout_s`` is not watched: the work is bounded."""
        evidence = self.weigh(question, passages)
        if evidence is not None and evidence.suffices:
            yield self.quote(evidence, passages)

    def weigh(self, question: str, passages: Sequence[Passage]) -> Evidence | None:
        """The evidence in ``passages``; None where they hold no sentence, or the question no word."""
        everything = self._sentences(passages)
        sentences = [
            s for s in everything if len(s.terms) >= MIN_TERMS and not _HEADING.match(passages[s.passage].text, s.start)
        ]
        # The question is read in each passage's language: a few words alone do not tell theirs.
        spoken = [self._language.of(passage.text) for passage in passages]
        wanted = [frozenset(self._language.terms(question, language)) for language in spoken]
        if not sentences or not any(wanted):
            return None
        rarity = Rarity([sentence.terms for sentence in everything])
        headings = [
            frozenset(self._language.terms(label(passage), language))
            for passage, language in zip(passages, spoken, strict=True)
        ]
        coverage = {s: rarity.coverage(wanted[s.passage], s.terms | headings[s.passage]) for s in sentences}
        # Stable sorts: among equals the better passage's earlier sentence comes first.
        shortlist = sorted(sentences, key=lambda s: -coverage[s])[:SHORTLIST]
        alike = self._likeness(question, [(passages[s.passage], s) for s in shortlist])
        # What decides whether to answer is what is quoted: a sentence below the mark never stands in for one above.
        bar = min(MIN_LIKENESS, max(alike))
        scored = [
            (coverage[s] + LIKENESS_WEIGHT * like, s) for s, like in zip(shortlist, alike, strict=True) if like >= bar
        ]
        ranked = sorted(scored, key=lambda pair: -pair[0])
        best = ranked[0][1].passage
        around = headings[best].union(*(s.terms for s in everything if s.passage == best))
        return Evidence(
            ranked=tuple(ranked),
            coverage=rarity.coverage(wanted[best], around),
            likeness=max(alike) if self._embedder else None,
        )

    def quote(self, evidence: Evidence, passages: Sequence[Passage]) -> str:
        """The best sentence and those close behind it, one line per passage."""
        return "\n".join(_lines(_chosen(evidence), passages, self._sentences(passages)))

    def _sentences(self, passages: Sequence[Passage]) -> list[Sentence]:
        found = []
        for number, passage in enumerate(passages):
            language = self._language.of(passage.text)
            for place, (start, end) in enumerate(self._language.sentences(passage.text, language)):
                terms = frozenset(self._language.terms(passage.text[start:end], language))
                found.append(Sentence(number, place, start, end, terms))
        return found

    def _likeness(self, question: str, candidates: Sequence[tuple[Passage, Sentence]]) -> list[float]:
        """Likeness of the question to each sentence read behind its label; zeros without an embedder."""
        if self._embedder is None:
            return [0.0] * len(candidates)
        texts = [shortened(f"{label(p)}: {p.text[s.start : s.end]}", self._embedder) for p, s in candidates]
        asked = self._embedder.embed_queries([question], tokens=True)
        told = self._embedder.embed_documents(texts, tokens=True)
        return [float(value) for value in likeness(self._embedder, asked, told, self._language.of(question))]


def shortened(text: str, embedder: Embedder) -> str:
    """``text`` cut to the embedder's limit: enough to weigh a long sentence, which is quoted whole all the same."""
    room = embedder.info.max_tokens - embedder.overhead_tokens
    if len(text) <= room:
        return text
    offsets = embedder.offsets(text)
    return text if len(offsets) <= room else text[: offsets[room - 1][0]]


def _chosen(evidence: Evidence) -> list[Sentence]:
    """The best sentence and those close behind it, in the order of reading."""
    top = evidence.ranked[0][0]
    near = [sentence for score, sentence in evidence.ranked[:MAX_QUOTES] if score >= top - CLOSE_BEHIND]
    return sorted(near, key=lambda sentence: (sentence.passage, sentence.start))


def _lines(chosen: Sequence[Sentence], passages: Sequence[Passage], everything: Sequence[Sentence]) -> Iterator[str]:
    """One line per passage: its label and the quotes, white space evened out."""
    for number in dict.fromkeys(sentence.passage for sentence in chosen):
        passage = passages[number]
        own = [sentence for sentence in everything if sentence.passage == number]
        places = sorted({p for s in chosen if s.passage == number for p in _with_list(s.place, own, passage.text)})
        quotes = " ".join(" ".join(passage.text[own[p].start : own[p].end].split()) for p in places)
        place = label(passage)
        yield f"{place}: {quotes}" if place else quotes


def _with_list(place: int, own: Sequence[Sentence], text: str) -> list[int]:
    """``place``, and where that sentence ends in a colon, the list items that follow it."""
    places = [place]
    if text[own[place].end - 1] == ":":
        for following in own[place + 1 : place + 1 + MAX_LIST_ITEMS]:
            if not _LIST_ITEM.match(text, following.start):
                break
            places.append(following.place)
    return places
