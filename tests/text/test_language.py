"""Languages of short paragraphs, real questions, and texts too short to tell."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import pytest

from freehold.text.language import detect

SENTENCES = [
    ("en", "The supplier shall deliver the goods within thirty days."),
    ("en", "Thank you for your order."),
    ("de", "Der Lieferant liefert die Ware innerhalb von dreißig Tagen."),
    ("de", "Vielen Dank für Ihre Bestellung."),
    ("fr", "Le fournisseur livre les marchandises dans les trente jours."),
    ("fr", "Merci pour votre commande."),
    ("es", "El proveedor entregará la mercancía en treinta días."),
    ("es", "Los datos personales están protegidos por la ley."),
    ("it", "Il fornitore consegna la merce entro trenta giorni."),
    ("it", "I dati personali sono protetti dalla legge."),
    ("nl", "De leverancier levert de goederen binnen dertig dagen."),
    ("nl", "Persoonsgegevens worden beschermd door de wet."),
    ("pt", "O fornecedor entrega a mercadoria em trinta dias."),
    ("pt", "Os dados pessoais são protegidos por lei."),
    ("pl", "Dostawca dostarcza towar w ciągu trzydziestu dni."),
    ("en", "THIS AGREEMENT IS GOVERNED BY THE LAWS OF ENGLAND."),
]


@pytest.mark.parametrize(("language", "text"), SENTENCES)
def test_short_sentences(language: str, text: str) -> None:
    assert detect(text) == language


@pytest.mark.parametrize("text", ["", "12 345,00 € / 17.03.2024", "Nr. 7 b", "GRD-8842 GRD-1290"])
def test_too_little_text_is_undetermined(text: str) -> None:
    assert detect(text) == "und"


def test_candidates_limit_the_answer() -> None:
    swedish = "Kvinnan åt köttbullar med lingonsylt och betalade för maten."
    assert detect(swedish) == "sv"
    assert detect(swedish, ("en", "de", "sv")) == "sv"
    assert detect(swedish, {"en", "de", "fr"}) in {"de", "en", "fr", "und"}
    assert detect(swedish, ("xx",)) == "und"


def test_the_beginning_does_not_decide_alone() -> None:
    title = "Contrat de prestation de services. " * 3
    body = "The supplier shall deliver the goods within thirty days after the order was placed. " * 200
    assert detect(title + body) == "en"


def test_from_several_threads() -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda pair: detect(pair[1]), SENTENCES * 5))
    assert found == [language for language, _ in SENTENCES] * 5


@pytest.mark.parametrize(
    ("corpus", "language"), [("cnil-fr", "fr"), ("obliqa", "en"), ("medquad", "en"), ("gdpr-en-de", "de")]
)
def test_real_paragraphs(data: Path, corpus: str, language: str) -> None:
    """At least 97 % of the first 200 records right from their first 400 characters."""
    path = next((data / corpus).rglob("corpus.jsonl"))
    with path.open(encoding="utf-8") as lines:
        records = (json.loads(line) for line in lines)
        if corpus == "gdpr-en-de":
            records = (record for record in records if "de" in record["_id"].lower())
        texts = [record["text"][:400] for record in islice(records, 200) if len(record["text"]) >= 60]
    right = sum(detect(text) == language for text in texts)
    assert len(texts) > 50
    assert right / len(texts) >= 0.97
