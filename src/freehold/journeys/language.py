"""What generators and citations need to know of language, put together from the text room."""

from __future__ import annotations

import re

from freehold.models.generate import Language
from freehold.text.sentences import sentence_spans
from freehold.text.stopwords import STOP_WORDS
from freehold.text.terms import TermAnalyzer

_WORD = re.compile(r"[^\W\d_]+")


def likely_language(text: str) -> str:
    """``en``, ``de`` or ``fr``, by whose stop words are the most; ``en`` where none or several lead.

    Good enough to choose a stemmer and the words of an abstention, and it loads no model.
    """
    words = _WORD.findall(text.lower())
    return max(("en", "de", "fr"), key=lambda code: sum(word in STOP_WORDS[code] for word in words))


def language_tools(analyzer: TermAnalyzer) -> Language:
    """The tools over ``analyzer``, which keeps the words it saw until it is told to forget them."""
    return Language(
        of=likely_language,
        sentences=sentence_spans,
        terms=lambda text, language: analyzer.document(text, language).indices,
    )
