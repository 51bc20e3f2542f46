"""What is taken out of a document that names others, where the detector misses one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from freehold.core.types import Document, Mention
from freehold.erasing.identity import finder_of
from freehold.journeys.erase import others_in, redact
from freehold.journeys.resolve import numbers_in
from freehold.privacy.subjects import parse_subject

HERS = "Keller, Anna (HH-4034-000341) says that the roof of the barn was mended."
HIS = "Ekholm, Bertil (HH-4169-001691) says that the roof of the mill was mended."
TEXT = f"Minutes\n\n{HERS}\n\n{HIS}\n\nMr Halpin says nothing.\n"


class Blind:
    """Sees Anna and Mr Halpin, not Bertil; and of numbers the digits alone."""

    def of(self, documents: Sequence[Document]) -> list[tuple[Mention, ...]]:
        def spans(text: str):
            for words in ("Anna", "4034-000341", "4169-001691", "Halpin"):
                kind = "person" if words.isalpha() else "national_id"
                at = text.index(words)
                yield Mention(at, at + len(words), kind, 1.0, "blind")

        return [tuple(spans(document.text)) for document in documents]


def test_a_number_of_the_form_of_theirs_is_somebody_elses_even_where_nobody_is_seen_beside_it():
    subject = parse_subject([("name", "Anna Keller"), ("policy", "HH-4034-000341")])
    document = Document(
        id="d", source="minutes.txt", title="Minutes", text=TEXT, language="en", media_type="text/plain"
    )
    without = redact(document, finder_of(subject), Blind()).raw.parsed.text  # type: ignore[arg-type]
    assert HIS in without
    assert "4034" not in without
    assert "Keller" not in without


def test_a_paper_with_somebody_elses_number_is_not_deleted_where_nobody_else_is_seen():
    subject = parse_subject([("name", "Anna Keller"), ("policy", "HH-4034-000341")])
    text = TEXT.replace("Mr Halpin says nothing.", "Halpin says nothing.")
    document = Document(id="d", source="minutes.txt", title="", text=text, language="en", media_type="text/plain")

    class Blinder(Blind):
        def of(self, documents: Sequence[Document]) -> list[tuple[Mention, ...]]:
            return [tuple(m for m in found if m.kind != "person") for found in super().of(documents)]

    (others,) = others_in([document], finder_of(subject), Blinder())  # type: ignore[arg-type]
    assert [text[start:end] for start, end in others] == ["HH-4169-001691"]


def test_a_number_that_stands_in_papers_of_others_is_theirs_only_beside_their_name():
    subject = replace(parse_subject([("name", "Anna Keller")]), foreign=("HH-4169-001691", "HH-4034-000341"))
    document = Document(id="d", source="minutes.txt", title="", text=TEXT, language="en", media_type="text/plain")
    without = redact(document, finder_of(subject), Blind()).raw.parsed.text  # type: ignore[arg-type]
    assert HIS in without
    assert "4034" not in without


def test_a_number_that_only_stands_with_them_goes_with_them():
    subject = parse_subject([("name", "Anna Keller")])
    document = Document(id="d", source="minutes.txt", title="", text=TEXT, language="en", media_type="text/plain")
    assert "4169" not in redact(document, finder_of(subject), Blind()).raw.parsed.text  # type: ignore[arg-type]


def test_an_amount_that_the_detector_takes_for_an_address_is_none():
    text = "The roof was mended for 5780 euros.\nLindenweg 4, 10969 Berlin\n"
    places = [(text.index("5780"), 4), (text.index("Lindenweg"), 25)]
    mentions = [Mention(at, at + length, "address", 1.0, "blind") for at, length in places]
    assert [text[start:end] for start, end, _ in numbers_in(text, mentions)] == ["Lindenweg 4, 10969 Berlin"]


def test_a_relative_with_a_rare_given_name_keeps_the_family_name():
    subject = parse_subject([("name", "Anna Keller")])
    his = "Keller, Mortimer says that the roof of the mill was mended."
    text = f"Anna Keller says that the roof of the barn was mended.\n\n{his}\n"
    document = Document(id="d", source="minutes.txt", title="", text=text, language="en", media_type="text/plain")

    class Sees:
        def of(self, documents: Sequence[Document]) -> list[tuple[Mention, ...]]:
            names = ("Anna Keller", "Keller, Mortimer")
            places = [(one.text.index(name), name) for one in documents for name in names]
            return [tuple(Mention(at, at + len(name), "person", 1.0, "sees") for at, name in places)]

    finder = finder_of(subject)
    without = redact(document, finder, Sees()).raw.parsed.text  # type: ignore[arg-type]
    assert his in without
    assert "Anna" not in without
    # A salutation that the detector takes for a part of the name says nothing of another.
    letter = replace(document, text=f"{text}\nDear Ms Keller,\n\nit is mended.\n")

    class Greedy(Sees):
        def of(self, documents: Sequence[Document]) -> list[tuple[Mention, ...]]:
            at = documents[0].text.index("Dear Ms Keller")
            greeting = Mention(at, at + len("Dear Ms Keller"), "person", 1.0, "greedy")
            return [(*found, greeting) for found in super().of(documents)]

    assert "Keller" not in redact(letter, finder, Greedy()).raw.parsed.text.replace(his, "")  # type: ignore[arg-type]
    # Where a person has decided on the paper, it goes.
    decided = redact(document, finder, Sees(), bands=("certain", "ask")).raw.parsed.text  # type: ignore[arg-type]
    assert "Keller" not in decided


def test_a_number_that_was_theirs_in_the_text_goes_from_the_title_too():
    subject = parse_subject([("name", "Anna Keller")])
    text = "Claim CLM-2025-04126 of Anna Keller is settled.\n\nBertil Ekholm signed.\n"
    title = "Settlement of claim CLM-2025-04126"
    document = Document(id="d", source="letter.txt", title=title, text=text, language="en", media_type="text/plain",
                        metadata={"subject": title})  # fmt: skip

    class Sees:
        def of(self, documents: Sequence[Document]) -> list[tuple[Mention, ...]]:
            names = ("Anna Keller", "Bertil Ekholm")
            places = [(one.text.index(name), name) for one in documents for name in names]
            return [tuple(Mention(at, at + len(name), "person", 1.0, "sees") for at, name in places)]

    parsed = redact(document, finder_of(subject), Sees()).raw.parsed  # type: ignore[arg-type]
    assert "04126" not in parsed.text
    assert parsed.title == parsed.metadata["subject"] == "Settlement of claim […]"
