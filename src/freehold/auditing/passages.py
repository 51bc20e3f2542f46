"""The health of passages: what cutting did to tables and headings, what is there twice, what no model can read."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from freehold.core.ids import keyed_order
from freehold.core.types import Chunk, Document
from freehold.house import House
from freehold.journeys.ingest import Progress, in_context

MOST_DOCUMENTS = 5_000
"""Of more than these so many are looked at, always the same ones while they are there."""
TOLD_APART = 40
"""Characters from which two equal passages are a copy: shorter ones repeat by nature."""

_ROW = re.compile(r"^\|.*\|[^\S\n]*$", re.MULTILINE)
"""A row of a table as the parsers write it."""
_AT_A_TIME = 100


@dataclass(frozen=True, slots=True)
class Passages:
    """Passages of the documents that were looked at, counted; documents by their ids."""

    documents: int
    looked_at: int
    """Documents."""
    passages: int
    copies: int
    """Passages whose words another one says already."""
    copied: tuple[str, ...]
    """Documents with copies."""
    limit_tokens: int
    """What the settings allow, or the model reads, whichever is less."""
    too_long: int
    longest_tokens: int
    overlong: tuple[str, ...]
    orphans: int
    """Passages that end in a heading whose text stands in the next one."""
    orphaned: tuple[str, ...]
    tables: int
    """Documents with tables."""
    cut_rows: int
    """Edges of passages within the row of a table."""
    cut: tuple[str, ...]


def passages_of(house: House, progress: Progress) -> Passages:
    """Read documents with their passages, and count. Raises as the shelf and the embedder do."""
    shelf, embedder = house.shelf, house.embedder
    limit = min(embedder.info.max_tokens, house.settings.chunking.max_tokens)
    everything = shelf.document_ids()
    ids = keyed_order(everything, "passages")[:MOST_DOCUMENTS]
    said: dict[str, str] = {}
    copied, overlong, orphaned, cut = (defaultdict[str, int](int) for _ in range(4))
    passages = longest = tables = 0
    for start in range(0, len(ids), _AT_A_TIME):
        batch = ids[start : start + _AT_A_TIME]
        by_document: dict[str, list[Chunk]] = defaultdict(list)
        for view in shelf.views(shelf.chunks_of(batch)).values():
            by_document[view.chunk.document_id].append(view.chunk)
        for document_id, chunks in sorted(by_document.items()):
            document = shelf.document(document_id)
            passages += len(chunks)
            tables += bool(_ROW.search(document.text))
            orphaned[document_id] += sum(ends_in_heading(document, chunk) for chunk in chunks)
            cut[document_id] += cuts_in_rows(document, chunks)
            for chunk in sorted(chunks, key=lambda chunk: chunk.ordinal):
                words = " ".join(chunk.text.casefold().split())
                copied[document_id] += len(words) >= TOLD_APART and said.setdefault(words, chunk.id) != chunk.id
                tokens = len(embedder.offsets(in_context(chunk))) + embedder.overhead_tokens
                longest = max(longest, tokens)
                overlong[document_id] += tokens > limit
        progress("passages", min(start + _AT_A_TIME, len(ids)), len(ids))
    return Passages(
        documents=len(everything),
        looked_at=len(ids),
        passages=passages,
        copies=sum(copied.values()),
        copied=_named(copied),
        limit_tokens=limit,
        too_long=sum(overlong.values()),
        longest_tokens=longest,
        overlong=_named(overlong),
        orphans=sum(orphaned.values()),
        orphaned=_named(orphaned),
        tables=tables,
        cut_rows=sum(cut.values()),
        cut=_named(cut),
    )


def ends_in_heading(document: Document, chunk: Chunk) -> bool:
    """Whether the last that the passage says is a heading, and what it heads comes after."""
    last = chunk.start + len(chunk.text.rstrip())
    heads = any(chunk.start <= heading.start and heading.start < last <= heading.end for heading in document.headings)
    return heads and bool(document.text[chunk.end :].strip())


def cuts_in_rows(document: Document, chunks: Sequence[Chunk]) -> int:
    """Edges of the passages that lie within the row of a table."""
    edges = {edge for chunk in chunks for edge in (chunk.start, chunk.start + len(chunk.text.rstrip()))}
    rows = [(row.start(), row.start() + len(row[0].rstrip())) for row in _ROW.finditer(document.text)]
    return sum(start < edge < end for start, end in rows for edge in edges)


def _named(counts: dict[str, int]) -> tuple[str, ...]:
    """Ids of those that have any, the most first."""
    return tuple(sorted((id for id, count in counts.items() if count), key=lambda id: (-counts[id], id)))
