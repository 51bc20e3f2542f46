"""Laws of every kind of chunk, over generated texts and three families of real tokenizers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from freehold.core.errors import SettingsError
from freehold.core.types import Heading, Slice
from freehold.text.chunk import MIN_TOKENS, ChunkKind, chunk
from freehold.text.chunk.context import with_context

Offsets = Callable[[str], Sequence[tuple[int, int]]]
KINDS: tuple[ChunkKind, ...] = ("tokens", "sentences", "structure", "clauses")
PIECES = [
    "the",
    "a",
    "b",
    "e",
    "i",
    "n",
    "s",
    "t",
    "ing",
    "claim",
    "shall",
    "1",
    "2",
    ".",
    ",",
    "(",
    ")",
    "ä",
    "é",
    "日",
]


def _encoder(tokenizer: Tokenizer) -> Offsets:
    return lambda text: tokenizer.encode(text, add_special_tokens=False).offsets


def wordpiece() -> Offsets:
    vocabulary = ["[UNK]", *PIECES, *("##" + piece for piece in PIECES)]
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _encoder(tokenizer)


def unigram() -> Offsets:
    pieces = ["<unk>", "▁", *PIECES, *("▁" + piece for piece in PIECES)]
    tokenizer = Tokenizer(models.Unigram([(piece, -float(i)) for i, piece in enumerate(pieces)], unk_id=0))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return _encoder(tokenizer)


def byte_level() -> Offsets:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n"), ("Ġ", "a")]
    pieces = [*alphabet, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _encoder(tokenizer)


def words() -> Offsets:
    pattern = re.compile(r"\w+|[^\w\s]")
    return lambda text: [match.span() for match in pattern.finditer(text)]


TOKENIZERS = {"wordpiece": wordpiece(), "unigram": unigram(), "byte-level": byte_level(), "words": words()}

_LINES = st.sampled_from(
    [
        *("Article 5. Security", "§ 3 Haftung", "1. Definitions", "1.1 The claim shall be settled, in 14 days.", "2."),
        *("(a)", "(i) the thing; and", "b) another", "Section 3.2 of the policy", "# Title", "## Chapitre II"),
        *(
            "| a | b |",
            "- item",
            "",
            "   ",
            "see Article 5 and 2019.",
            "The claims. They shall. E.g. this: it, that; a claim",
        ),
    ]
)
_ANY = st.text(
    st.one_of(st.sampled_from("aei .,;:\n\t\u00a0\u2028ä日ﷺ👩‍👧#(1)"), st.characters(exclude_categories=["Cs"])),
    max_size=60,
)
_REPEATED = st.sampled_from(["a", "日", "the", "ﷺ", "é", "the shall ", "x.", "claim, "])
_LONG = st.builds(lambda piece, times: piece * times, _REPEATED, st.integers(1, 300))
TEXTS = st.lists(st.one_of(_LINES, _ANY, _LONG), max_size=14).map("\n".join)


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[Heading]]:
    text = draw(TEXTS)
    spots = st.tuples(st.integers(1, 4), st.integers(0, len(text)), st.integers(0, 30))
    headings = [
        Heading(level, start, min(len(text), start + size)) for level, start, size in draw(st.lists(spots, max_size=4))
    ]
    line_starts = [match.start() for match in re.finditer(r"(?m)^", text)]
    for start in draw(st.lists(st.sampled_from(line_starts), max_size=4)) if text else []:
        end = text.find("\n", start)
        headings.append(Heading(draw(st.integers(1, 3)), start, end if end >= 0 else len(text)))
    return text, headings


def _check(text: str, pieces: Sequence[Slice], offsets: Offsets, max_tokens: int) -> None:
    covered = bytearray(len(text))
    for piece in pieces:
        part = text[piece.start : piece.end]
        assert part
        assert part == part.strip()
        assert len(offsets(with_context(piece.heading_path, part))) <= max_tokens
        covered[piece.start : piece.end] = b"\1" * len(part)
    assert all(seen or character.isspace() for seen, character in zip(covered, text, strict=True))
    assert all(left.start < right.start for left, right in pairwise(pieces))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    case=cases(),
    max_tokens=st.integers(MIN_TOKENS, 90),
    overlap=st.integers(0, 16),
    title=st.sampled_from(["", "A title"]),
)
def test_slices_keep_the_law(
    kind: ChunkKind, tokenizer: str, case: tuple[str, list[Heading]], max_tokens: int, overlap: int, title: str
) -> None:
    text, headings = case
    offsets = TOKENIZERS[tokenizer]

    def cut(overlap_tokens: int) -> list[Slice]:
        return chunk(
            text,
            headings,
            kind=kind,
            max_tokens=max_tokens,
            overlap_tokens=overlap_tokens,
            offsets=offsets,
            language="en",
            title=title,
        )

    disjoint, overlapping = cut(0), cut(overlap)
    _check(text, disjoint, offsets, max_tokens)
    _check(text, overlapping, offsets, max_tokens)
    assert all(left.end <= right.start for left, right in pairwise(disjoint))
    spans = offsets(text)
    for left, right in pairwise(overlapping):
        shared = sum(start < left.end and end > right.start for start, end in spans) if right.start < left.end else 0
        assert shared <= overlap
        assert right.end > left.end
    assert cut(overlap) == overlapping


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@settings(max_examples=30, deadline=None)
@given(case=cases(), max_tokens=st.integers(MIN_TOKENS, 90))
def test_structure_never_crosses_a_heading(tokenizer: str, case: tuple[str, list[Heading]], max_tokens: int) -> None:
    text, _ = case
    headings = [
        Heading(1, *match.span()) for match in re.finditer(r"(?m)^\S.*$", text) if match[0].startswith(("Art", "#"))
    ]
    openings = [heading.start for heading in headings]
    for piece in chunk(
        text,
        headings,
        kind="structure",
        max_tokens=max_tokens,
        overlap_tokens=0,
        offsets=TOKENIZERS[tokenizer],
        language="en",
    ):
        inside = [start for start in openings if piece.start < start < piece.end]
        body = text[piece.start : inside[0]] if inside else ""
        assert all(any(heading.start <= at < heading.end for heading in headings) for at in _visible(body, piece.start))


def _visible(text: str, offset: int) -> list[int]:
    return [offset + index for index, character in enumerate(text) if not character.isspace()]


@pytest.mark.parametrize(("max_tokens", "overlap_tokens"), [(MIN_TOKENS - 1, 0), (100, -1), (100, 51)])
def test_budgets_that_cannot_work_are_settings_errors(max_tokens: int, overlap_tokens: int) -> None:
    with pytest.raises(SettingsError):
        chunk(
            "a", (), kind="tokens", max_tokens=max_tokens, overlap_tokens=overlap_tokens, offsets=words(), language="en"
        )
