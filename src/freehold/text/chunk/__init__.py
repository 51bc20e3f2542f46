"""Texts to chunks: exact slices within a token budget, each with the title and headings that stand above it.

Four kinds:

- ``tokens``: windows of words, cut anywhere between two words;
- ``sentences``: whole sentences;
- ``structure``: paragraphs, list items and table rows, never across a heading;
- ``clauses``: numbered clauses, each with its sub-clauses where they fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from freehold.core.errors import SettingsError
from freehold.core.types import Heading, Slice
from freehold.text.chunk.blocks import heading_signposts, sections
from freehold.text.chunk.clauses import ClauseTree, clause_runs
from freehold.text.chunk.context import ContextBudget, Outline
from freehold.text.chunk.pack import Packer, Run, Unit, word_spans
from freehold.text.chunk.ruler import Offsets, Ruler
from freehold.text.sentences import sentence_spans

ChunkKind = Literal["tokens", "sentences", "structure", "clauses"]
MIN_TOKENS = 32


def chunk(
    text: str,
    headings: Sequence[Heading],
    *,
    kind: ChunkKind,
    max_tokens: int,
    overlap_tokens: int,
    offsets: Offsets,
    language: str,
    title: str = "",
) -> list[Slice]:
    """Slices of ``text`` in ascending order; together they hold every character that is no white space.

    ``offsets`` is the embedder's tokenizer. For every slice ``len(offsets(with_context(heading_path, slice)))`` is at
    most ``max_tokens`` (``freehold.text.chunk.context``), of which the context takes a quarter at most. Consecutive
    slices share at most ``overlap_tokens``, and only where one passage was cut: between sentences or words.

    Raises SettingsError for a budget below ``MIN_TOKENS`` or an overlap above half of it.
    """
    _check(max_tokens, overlap_tokens)
    ruler = Ruler(text, offsets)
    context = ContextBudget(ruler, max_tokens // 4, titled=bool(title.strip()))
    tree = ClauseTree(text, headings) if kind == "clauses" else None
    outline = Outline(tree.signposts() if tree else heading_signposts(text, headings), title)
    packer = Packer(ruler, outline, context, max_tokens=max_tokens, overlap_tokens=overlap_tokens, language=language)
    runs: Iterable[Run]
    if tree:
        runs = clause_runs(tree, ruler, packer, max_tokens)
    elif kind == "structure":
        runs = sections(ruler, headings, max_tokens // 2)
    else:
        spans = word_spans(text) if kind == "tokens" else sentence_spans(text, language)
        runs = [Run([Unit(start, end, continues=True) for start, end in spans])]
    return [piece for run in runs for piece in packer.pack(run)]


def _check(max_tokens: int, overlap_tokens: int) -> None:
    if max_tokens < MIN_TOKENS:
        raise SettingsError(
            f"chunking.max_tokens is {max_tokens}",
            hint=f"set it to {MIN_TOKENS} or more",
            refs=("chunking.max_tokens",),
        )
    if not 0 <= overlap_tokens <= max_tokens // 2:
        raise SettingsError(
            f"chunking.overlap_tokens is {overlap_tokens}",
            hint="set it between 0 and half of chunking.max_tokens",
            refs=("chunking.overlap_tokens",),
        )
