"""Questions written for a passage: by the words of the passage alone, or by a language model.

Without a model a passage gives up to three: what its heading promises, what it defines, and a cloze: the key words of
its richest sentence, the rarest left out, as people type them into a search.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Protocol

from freehold.core.errors import CutShort
from freehold.core.ids import keyed_order
from freehold.core.ports import Generator
from freehold.core.shelf import ChunkView, Shelf
from freehold.core.types import Passage
from freehold.journeys.examples import same_words
from freehold.journeys.language import likely_language
from freehold.text.sentences import sentence_spans
from freehold.text.terms import TermAnalyzer

LONGEST_CHARS = 300

_COUNTED = 10_000
"""Chunks in which words are counted."""
_MANY = 200
_BATCH = 500
_KEY_WORDS = range(3, 8)
_FEWEST_SENTENCE_WORDS = 6
_HEADING_WORDS = 12


class Writer(Protocol):
    """Writes questions that a passage answers."""

    @property
    def name(self) -> str: ...

    @property
    def turns(self) -> int:
        """How many different questions it may have for one passage."""
        ...

    def write(self, view: ChunkView, turn: int) -> str | None:
        """The question number ``turn`` for a passage; None where it has none.

        Raises EndpointFault where a model cannot be reached or fails.
        """
        ...


# -- by the words alone ----------------------------------------------------------------------------------------------


def _word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ON = r"(?:\s+(?!(?:[Aa]n?|[Tt]he|[Ee]ine?|[Dd](?:er|ie|as)|[Uu]ne?|[Ll](?:es?|a))\s)[\w’'/-]+){0,4}?"
_QUOTED = r"[\"“„«‘]\s*([^\"”“»’\n]{2,60}?)\s*[\"”“»’]"


def _opening(articles: str) -> str:
    """The subject that a sentence opens with: after an article, or with a capital letter."""
    return rf"^(?:(?:{articles})(\w[\w’'/-]*{_ON})|([A-ZÀ-Ý0-9][\w’'/-]*{_ON}))\s+"


_EN, _DE = _opening(r"(?:An?|The(?:\s+term)?)\s+"), _opening(r"(?:Der|Die|Das|Eine?)\s+")
_FR = _opening(r"(?:Les?|La|Une?)\s+|L[’']")
_DEFINITIONS: Mapping[str, tuple[re.Pattern[str], ...]] = {
    "en": (
        re.compile(
            _QUOTED + r"\s+(?:\([^)]*\)\s*)?(?:shall\s+mean|means?|refers?\s+to|has\s+the\s+meaning|is\s+defined)\b"
        ),
        re.compile(_EN + r"(?:means?|shall\s+mean|refers?\s+to|is\s+defined\s+as)\b"),
        re.compile(_EN + r"(?:is|are)\s+(?:an?|the|any)\s"),
    ),
    "de": (
        re.compile(_QUOTED + r"\s+(?:ist|sind|bezeichne[tn]+|bedeute[tn]+|meint|meinen)\b"),
        re.compile(rf"^Unter\s+(?:(?:eine[mr]?|de[mnr])\s+)?(\w[\w’'/-]*{_ON})\s+(?:versteht|ist|sind)\b"),
        re.compile(_DE + r"(?:bezeichne[tn]+|bedeute[tn]+)\b"),
        re.compile(_DE + r"(?:im\s+Sinne\s[^.]{3,60}?\s)?(?:ist|sind)\s+ein"),
    ),
    "fr": (
        re.compile(_QUOTED + r"\s*(?:désigne(?:nt)?|signifie(?:nt)?|s[’']entend(?:ent)?)\b"),
        re.compile(r"[Oo]n\s+entend\s+par\s+" + _QUOTED),
        re.compile(_FR + r"(?:désigne|signifie|s[’']entend)(?:nt|ent)?\b"),
        re.compile(_FR + r"(?:est|sont)\s+(?:une?|des|la|le)\s"),
    ),
}
_MEANING = {"en": "What does {} mean?", "de": "Was bedeutet {}?", "fr": "Que signifie {} ?"}
_ABOUT = {"en": "What applies to {}?", "de": "Was gilt für {}?", "fr": "Quelles sont les règles sur {} ?"}
_ABOUT_IN = {
    "en": "What does {1} say about {0}?",
    "de": "Was steht in {1} über {0}?",
    "fr": "Que dit {1} sur {0} ?",
}
_NO_TERM = _word_set(
    """it this that these those there he she they we you i one such each both all what which who here same following
    if when where while although since because for in on at by with under other another example note
    es dies diese dieser dieses das er sie wir man hier dort alle beide solche solcher was wer
    il elle ils elles on ce cela ceci celui celle ceux nous vous tout tous toutes cette ces"""
)
_EMPTY_HEADINGS = _word_set(
    """introduction general overview contents preamble background annex appendix schedule miscellaneous definitions
    scope notes summary chapter section article part allgemeines einleitung inhalt übersicht anhang anlage kapitel
    abschnitt artikel teil sommaire généralités annexe chapitre partie préambule résumé"""
)
_NUMBERING = re.compile(
    r"^(?:(?:#+|§+|(?:article|section|clause|chapter|part|rule|annex|schedule|artikel|abschnitt|kapitel|teil|anhang"
    r"|ziffer|chapitre|partie|titre|annexe)\b)?[\s.:–-]*)*(?:\(?(?:\d+[a-z]?|[ivxl]+|[a-z])(?:[.)]\d*)+|\d[\d.]*)*[\s.:)–-]*",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:[-’'][^\W_]+)*")


class RuleWriter:
    """Writes by rules: the same question of the same passage, every time, and no model."""

    name: ClassVar[str] = "rules-v1"
    turns: ClassVar[int] = 3

    def __init__(self, terms: TermAnalyzer, frequency: Mapping[int, int], counted: int) -> None:
        """``frequency``: term id -> in how many of the ``counted`` chunks it stands."""
        self._terms = terms
        self._frequency = frequency
        self._counted = max(1, counted)

    def write(self, view: ChunkView, turn: int) -> str | None:
        language = view.language if view.language in _MEANING else likely_language(view.chunk.text)
        kinds: tuple[Callable[[ChunkView, str], str | None], ...] = (self._definition, self._heading, self._cloze)
        found = [question for kind in kinds if (question := kind(view, language))]
        return found[turn] if turn < len(found) else None

    def _definition(self, view: ChunkView, language: str) -> str | None:
        text = view.chunk.text
        for start, end in sentence_spans(text, language):
            for pattern in _DEFINITIONS[language]:
                match = pattern.search(text[start:end])
                if match:
                    term = " ".join(next(filter(None, match.groups())).split())
                    if term.split()[0].casefold() not in _NO_TERM and self._says_something(term, language):
                        return _MEANING[language].format(term)
        return None

    def _heading(self, view: ChunkView, language: str) -> str | None:
        title = _bare(view.title)
        labels = map(_bare, (*view.chunk.heading_path, *_opening_lines(view.chunk.text)))
        inner = [label for label in labels if label and same_words(label) != same_words(title)]
        if not inner or not self._says_something(inner[-1], language):
            return None
        heading = inner[-1]
        if heading.endswith("?"):
            return heading
        told = title and not any(c.isdigit() for c in title) and self._says_something(title, language)
        return _ABOUT_IN[language].format(heading, title) if told else _ABOUT[language].format(heading)

    def _cloze(self, view: ChunkView, language: str) -> str | None:
        text = view.chunk.text
        sentences = (text[start:end] for start, end in sentence_spans(text, language))
        best: tuple[float, list[str]] = (0.0, [])
        for sentence in sentences:
            weights = self._weights(sentence, language)
            if len(_WORD.findall(sentence)) >= _FEWEST_SENTENCE_WORDS:
                rarest = sorted(weights, key=lambda word: (-weights[word], word))
                chosen = {word for word in rarest[1 : _KEY_WORDS.stop] if weights[word]}
                score = sum(weights[word] for word in chosen)
                if score > best[0] and len(chosen) in _KEY_WORDS:
                    best = score, [word for word in weights if word in chosen]
        return " ".join(best[1]) or None

    def _weights(self, sentence: str, language: str) -> dict[str, float]:
        """Word -> IDF of its term, in the order of the sentence, for words with one, each once."""
        weights: dict[str, float] = {}
        once = {word.casefold(): word for word in reversed(_WORD.findall(sentence))}
        for word in reversed(once.values()):
            if not word.isdigit() and len(word) > 1:
                ids = self._terms.document(word, language).indices
                if ids:
                    weights[word] = self._weight(min(self._frequency.get(id, 0) for id in ids))
        return weights

    def _weight(self, count: int) -> float:
        # In more than a handful of texts, a word that comes once is a name, a number or a slip.
        lonely = self._counted >= _MANY and count <= 1
        return 0.0 if lonely else math.log(1 + self._counted / (1 + count))

    def _says_something(self, label: str, language: str) -> bool:
        words = [word for word in same_words(label).split() if word not in _EMPTY_HEADINGS and not word.isdigit()]
        known = self._terms.document(" ".join(words), language).indices
        return bool(known) and len(words) <= _HEADING_WORDS and len(label) <= 120


def _opening_lines(text: str) -> list[str]:
    """The lines that a chunk begins with and that are headings by their looks: the path names only those above it."""
    found = []
    for line in filter(None, map(str.strip, text.split("\n")[:-1])):
        if len(line.split()) > _HEADING_WORDS or line[-1] in ".;,:" or not any(map(str.isalpha, line)):
            break
        found.append(line)
    return found


def _bare(label: str) -> str:
    """A heading without its number and marks."""
    return " ".join(_NUMBERING.sub("", label, count=1).strip(" #*_:.–-\t").split())


def word_frequency(shelf: Shelf, chunk_ids: Sequence[str], terms: TermAnalyzer) -> tuple[Counter[int], int]:
    """In how many chunks each term stands, counted in some ten thousand of them, and in how many was looked."""
    frequency: Counter[int] = Counter()
    looked_at = 0
    chosen = keyed_order(chunk_ids, "frequency")[:_COUNTED]
    for start in range(0, len(chosen), _BATCH):
        for view in shelf.views(chosen[start : start + _BATCH]).values():
            frequency.update(set(terms.document(view.chunk.text, view.language).indices))
            looked_at += 1
    return frequency, looked_at


# -- by a model ------------------------------------------------------------------------------------------------------

_ASK = {
    "en": "Write one question that somebody who has not read the passage could ask, and that the passage answers. "
    "Do not speak of the passage or the text. Write the question and nothing else.",
    "de": "Schreibe eine Frage, die jemand stellen könnte, der den Text nicht kennt, und die der Text beantwortet. "
    "Sprich nicht von dem Text. Schreibe nur die Frage.",
    "fr": "Écris une question que pourrait poser quelqu'un qui n'a pas lu le texte, et à laquelle le texte répond. "
    "Ne parle pas du texte. Écris seulement la question.",
}
_PREFACE = re.compile(r"^\s*(?:[-*•]|\d+[.)]|(?:question|frage)\s*(?:\d+)?\s*:)\s*", re.IGNORECASE)


class ModelWriter:
    """Has a generator write. What it writes is looked over: one line, in words, not too long."""

    turns: ClassVar[int] = 1

    def __init__(self, generator: Generator, *, timeout_s: float) -> None:
        self._generator = generator
        self._timeout_s = timeout_s

    @property
    def name(self) -> str:
        return self._generator.name

    def write(self, view: ChunkView, turn: int) -> str | None:  # noqa: ARG002
        """Raises EndpointFault as the generator does."""
        language = view.language if view.language in _ASK else likely_language(view.chunk.text)
        chunk = view.chunk
        passage = Passage(
            chunk.document_id, view.source, view.title, chunk.start, chunk.end, chunk.text, chunk.heading_path
        )
        words: list[str] = []
        try:
            words.extend(self._generator.generate(_ASK[language], [passage], timeout_s=self._timeout_s))
        except CutShort:
            if not words:
                raise
        return _asked("".join(words))


def _asked(text: str) -> str | None:
    """The question in what a model wrote; None where there is none."""
    lines = [line.strip() for line in text.splitlines() if same_words(line)]
    asked = next((line for line in lines if "?" in line), "")
    asked = _PREFACE.sub("", asked).strip(" \"'“”«»*")
    return asked if len(asked.split()) > 2 and len(asked) <= LONGEST_CHARS else None
