"""Likeness of a question and a sentence on a scale that does not depend on the embedder."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from freehold.core.ports import Embedder
from freehold.core.types import Embeddings

if TYPE_CHECKING:
    from freehold.core.types import Float32

_PAIRS = {
    "en": (
        ("How long do I have to pay the invoice?", "Invoices are due within thirty days of receipt."),
        ("Who signs the contract for the supplier?", "The agreement is signed by the supplier's managing director."),
        ("Can I bring my dog into the office?", "Pets are not allowed on the premises, except for guide dogs."),
        ("When does the museum open on Sundays?", "On Sundays the museum opens at ten in the morning."),
        ("What causes the tides?", "Tides arise from the pull of the moon and the sun on the oceans."),
        ("Which river flows through the town?", "The town lies on both banks of the river Aller."),
    ),
    "de": (
        ("Wie lange habe ich Zeit, die Rechnung zu bezahlen?", "Rechnungen sind binnen dreißig Tagen fällig."),
        ("Wer unterschreibt den Vertrag für den Lieferanten?", "Den Vertrag zeichnet dessen Geschäftsführerin."),
        ("Darf ich meinen Hund ins Büro mitbringen?", "Haustiere sind im Gebäude nicht erlaubt."),
        ("Wann öffnet das Museum sonntags?", "Am Sonntag öffnet das Museum um zehn Uhr."),
        ("Wodurch entstehen die Gezeiten?", "Gezeiten entstehen durch die Anziehung von Mond und Sonne."),
        ("Welcher Fluss fließt durch die Stadt?", "Die Stadt liegt zu beiden Seiten der Aller."),
    ),
    "fr": (
        ("Combien de temps ai-je pour payer la facture ?", "Les factures sont payables sous trente jours."),
        ("Qui signe le contrat pour le fournisseur ?", "Le contrat est signé par sa directrice générale."),
        ("Puis-je venir au bureau avec mon chien ?", "Les animaux sont interdits dans les locaux."),
        ("À quelle heure ouvre le musée le dimanche ?", "Le dimanche, le musée ouvre à dix heures."),
        ("Quelle est la cause des marées ?", "Les marées naissent de l'attraction de la lune et du soleil."),
        ("Quelle rivière traverse la ville ?", "La ville s'étend sur les deux rives de la Vilaine."),
    ),
}


_MARKS: WeakKeyDictionary[Embedder, dict[str, tuple[float, float]]] = WeakKeyDictionary()


def likeness(embedder: Embedder, question: Embeddings, sentences: Embeddings, language: str) -> Float32:
    """float32 (sentences,): likeness of the one ``question`` to each; 1 may be exceeded, 0 undercut.

    0 is where unrelated pairs lie on average with this embedder, 1 where plain answers do: told from six built-in pairs
    per language (of English, where ``language`` is another) that are embedded once, when first needed.
    """
    zero, one = _marks(embedder, language if language in _PAIRS else "en")
    scaled: Float32 = (similarity(question, sentences)[0] - np.float32(zero)) / np.float32(one - zero)
    return scaled


def _marks(embedder: Embedder, language: str) -> tuple[float, float]:
    known = _MARKS.setdefault(embedder, {})
    if language not in known:
        asked, told = zip(*_PAIRS[language], strict=True)
        table = similarity(embedder.embed_queries(asked, tokens=True), embedder.embed_documents(told, tokens=True))
        matched = np.eye(len(asked), dtype=bool)
        zero, one = float(table[~matched].mean()), float(table[matched].mean())
        # An embedder that cannot tell these apart says nothing: everything then reads as unrelated.
        known[language] = (zero, one) if one - zero > 0.01 else (zero, zero + 1e6)
    return known[language]


def similarity(questions: Embeddings, sentences: Embeddings) -> Float32:
    """float32 (questions, sentences): mean of the cosine and, where token vectors came along, of MaxSim."""
    table: Float32 = questions.vectors @ sentences.vectors.T
    if questions.tokens is None or sentences.tokens is None:
        return table
    for row, asked in enumerate(questions.tokens):
        table[row] += [_maxsim(asked, told) for told in sentences.tokens]
    return table / np.float32(2)


def _maxsim(asked: Float32, told: Float32) -> float:
    """Mean over the question's tokens of the best cosine in the sentence (Khattab and Zaharia 2020)."""
    return float((asked @ told.T).max(axis=1).mean()) if len(asked) and len(told) else 0.0
