"""What each kind of chunk is for, on small texts with the wanted cut written out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from freehold.core.types import Heading, Slice
from freehold.text.chunk import ChunkKind, chunk
from freehold.text.chunk.clauses import ClauseTree


def offsets(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]


def cut(
    text: str, kind: ChunkKind, max_tokens: int = 32, *, overlap: int = 0, title: str = "", language: str = "en"
) -> Sequence[Slice]:
    headings = [Heading(len(found[1]), *found.span(2)) for found in re.finditer(r"(?m)^(#+) (.+)$", text)]
    return chunk(
        text,
        headings,
        kind=kind,
        max_tokens=max_tokens,
        overlap_tokens=overlap,
        offsets=offsets,
        language=language,
        title=title,
    )


def texts(text: str, pieces: Sequence[Slice]) -> list[str]:
    return [text[piece.start : piece.end] for piece in pieces]


WORDS = " ".join(f"word{number}" for number in range(40))


def test_token_windows_overlap_by_words() -> None:
    pieces = texts(WORDS, cut(WORDS, "tokens", overlap=8))
    assert [len(piece.split()) for piece in pieces] == [32, 16]
    assert pieces[1].startswith("word24 ")


def test_sentences_stay_whole_and_overlap_whole() -> None:
    text = " ".join(f"This is sentence number {number} of all." for number in range(8))
    pieces = texts(text, cut(text, "sentences", overlap=8))
    assert all(piece.startswith("This") and piece.endswith("all.") for piece in pieces)
    assert all(left.split(". ")[-1] == right.split(". ")[0] + "." for left, right in pairwise(pieces))


def test_a_sentence_above_the_budget_breaks_at_its_commas() -> None:
    text = ", ".join(f"part {number} of one very long sentence" for number in range(8)) + "."
    assert all(piece.endswith((",", ".")) for piece in texts(text, cut(text, "sentences")))


def test_structure_keeps_sections_apart_and_names_what_is_above() -> None:
    text = "# Policy\n\n## Cover\n\nFire is covered.\n\nTheft is covered.\n\n## Excess\n\n" + WORDS
    pieces = cut(text, "structure", 40, title="Policy")
    assert texts(text, pieces)[0] == "# Policy\n\n## Cover\n\nFire is covered.\n\nTheft is covered."
    assert texts(text, pieces)[1].startswith("## Excess\n\nword0")
    assert [piece.heading_path for piece in pieces] == [("Policy",), ("Policy",), ("Policy", "Excess")]


def test_no_chunk_is_a_heading_alone_unless_nothing_follows() -> None:
    text = "## Excess\n\n" + WORDS.replace(" ", "-") + " " + WORDS + "\n\n## End"
    pieces = texts(text, cut(text, "structure"))
    assert pieces[0].startswith("## Excess\n\nword0")
    assert pieces[-1] == "## End"


def test_tables_are_cut_between_rows() -> None:
    text = "| Code | Fee |\n| --- | --- |\n" + "\n".join(f"| F{row} | EUR {row} |" for row in range(12))
    pieces = texts(text, cut(text, "structure"))
    assert len(pieces) > 1
    assert all(piece.startswith("|") and piece.endswith("|") for piece in pieces)


def test_a_long_path_keeps_the_title_and_the_innermost_heading() -> None:
    text = f"# {'outer ' * 30}\n\n## {'middle ' * 30}\n\n### Inner\n\n{WORDS} {WORDS}"
    last = cut(text, "structure", 64, title="The title")[-1]
    assert last.heading_path == ("The title", "Inner")


def test_a_path_of_one_long_title_is_cut_between_words() -> None:
    last = cut(WORDS, "tokens", title="an extremely long title " * 10)[-1]
    assert last.heading_path
    assert all("an extremely long title ".startswith(part) for part in last.heading_path[0].split("title ")[-1:])
    assert len(offsets(last.heading_path[0])) <= 8


ENGLISH = """Article 5. Security

5.1 Keys are held by the controller and by no one else at all.

5.2 The processor shall:
(a) encrypt all the data it stores;
(b) test its own systems once a year, see Article 7; and
(c) report what it has found in these tests to us in
Section 3.2 of the report.

Article 6. Term

6.1 It runs for 2 years."""
GERMAN = """§ 3 Haftung

(1) Wir haften nur für Vorsatz und grobe Fahrlässigkeit.

(2) Nach § 5 Abs. 2 gilt das nicht für
1. Schäden am Leben und
2. Schäden an der Gesundheit eines Menschen.

§ 4 Frist

(1) Sie beträgt 14 Tage.

Anhang 1

Artikel 1 Gebühren"""
FRENCH = """Chapitre I – Garanties

Article premier – Objet

1.1 Le contrat garantit le véhicule désigné aux conditions.

Article 2 – Exclusions

2.1 Sont exclus les dommages visés à l'article 5.

Chapitre II – Sinistres

Article 3 – Délai

3.1 Cinq jours.

Annexe A"""
RECITALS = """PARTIES
(1) Acme Limited, a company; and
(2) Beta Limited, another company.
BACKGROUND
(A) The parties wish to talk about a deal.
1. TERM
1.1 This lasts for 2 years.
(a) a
(b) b
(c) c
(d) d
(e) e
(f) f
(g) g
(h) h
(i) nine; and
(j) ten:
(i) eleven;
(ii) twelve.
2. LAW
2.1 Irish law applies to it.
Schedule 1
Fees"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ENGLISH, "Article 5. Security/ 5.1/ 5.2 The processor shall:/  (a)/  (b)/  (c)/Article 6. Term/ 6.1"),
        (GERMAN, "§ 3 Haftung/ (1)/ (2)/  1./  2./§ 4 Frist/ (1)/Anhang 1/ Artikel 1 Gebühren"),
        (
            FRENCH,
            "Chapitre I – Garanties/ Article premier – Objet/  1.1/ Article 2 – Exclusions/  2.1"
            "/Chapitre II – Sinistres/ Article 3 – Délai/  3.1/Annexe A",
        ),
        (
            RECITALS,
            "(1)/(2)/(A)/1. TERM/ 1.1/  (a)/  (b)/  (c)/  (d)/  (e)/  (f)/  (g)/  (h)/  (i)/  (j)/   (i)/   (ii)"
            "/2. LAW/ 2.1/Schedule 1",
        ),
    ],
)
def test_clauses_follow_the_numbering(text: str, expected: str) -> None:
    found = [" " * (post.level - 1) + post.label for post in ClauseTree(text, ()).signposts()]
    assert len(found) == len(wanted := expected.split("/"))
    assert all(label.startswith(start) for label, start in zip(found, wanted, strict=True))


def test_a_clause_is_one_chunk_where_it_fits_and_knows_what_is_above() -> None:
    pieces = cut(ENGLISH, "clauses", 60)
    first, second, third = texts(ENGLISH, pieces)
    assert first.startswith("Article 5. Security\n\n5.1 Keys")
    assert second.startswith("5.2 The processor shall:\n(a)")
    assert second.endswith("Section 3.2 of the report.")
    assert third == "Article 6. Term\n\n6.1 It runs for 2 years."
    assert [piece.heading_path for piece in pieces] == [(), ("Article 5. Security",), ()]


def test_a_clause_too_large_is_split_at_the_next_level() -> None:
    items = "".join(f"({letter}) {WORDS.replace('word', letter)};\n" for letter in "abc")
    text = f"Article 5. Security\n\n5.2 The processor shall:\n{items}\nArticle 6. Term"
    pieces = cut(text, "clauses", 80)
    assert [piece[:9] for piece in texts(text, pieces)] == ["Article 5", "(b) b0 b1", "(c) c0 c1", "Article 6"]
    above = ("Article 5. Security", "5.2 The processor shall:")
    assert [piece.heading_path for piece in pieces] == [(), above, above, ()]


def test_small_clauses_share_a_chunk_only_below_the_same_clause() -> None:
    text = "1. A\n1.1 One.\n1.2 Two.\n1.3 " + WORDS + "\n2. B\n2.1 Three.\n2.2 Four.\n2.3 " + WORDS
    starts = [piece.split("\n")[0][:3] for piece in texts(text, cut(text, "clauses", 50))]
    assert starts == ["1. ", "1.3", "2. ", "2.3"]


@pytest.mark.parametrize(
    "line",
    [
        "2019 was a good year for the company.",
        "1.5 million people are insured here.",
        "Article 7 of the directive applies.",
        "Section 3.2 shall prevail over it.",
        "§ 5 Abs. 2 BGB bleibt unberührt.",
        "3 months after the end it lapses.",
        "2 TERM ............................ 12",
        "(7) of them were accepted.",
        "see Article 2. It applies.",
        "1.3 Mio. Euro sind versichert.",
        "2 % of the premium",
    ],
)
def test_numbers_that_are_no_clauses_open_none(line: str) -> None:
    text = f"1. FIRST\n1.1 Some wording.\n{line}\n1.2 More wording."
    assert [post.label for post in ClauseTree(text, ()).signposts()] == [
        "1. FIRST",
        "1.1 Some wording.",
        "1.2 More wording.",
    ]


def test_a_piece_of_a_word_is_counted_on_its_own() -> None:
    """WordPiece calls a word of more than a hundred letters one unknown token, and its parts many."""
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1, "##a": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    text = "a" * 101
    pieces = chunk(
        text,
        [Heading(1, 1, 2)],
        kind="structure",
        max_tokens=32,
        overlap_tokens=0,
        offsets=lambda text: tokenizer.encode(text).offsets,
        language="en",
    )
    assert "".join(texts(text, pieces)) == text
    assert all(len(tokenizer.encode(piece).ids) <= 32 for piece in texts(text, pieces))
