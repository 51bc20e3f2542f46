"""What is left of training examples and rankings once what names an erased document, or the person, is out of them."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote

from freehold.core.erasure import SubjectFinder, Target
from freehold.core.training import Example, Manifest
from freehold.journeys.examples import root_of

ERASED = "erased"
"""Stands where a document was named."""
_PASSAGE = re.compile(r"(?:\[\d+:\d+\]|#[\d.]+)$")
"""What a ranking of passages adds to the name of a document."""


def is_about(text: str, finder: SubjectFinder | None) -> bool:
    """Whether a text surely speaks of the person."""
    return finder is not None and any(finding.band == "certain" for finding in finder.find(text))


def is_of(example: Example, target: Target) -> bool:
    """Whether an example is about the person, or has a passage of an erased document."""
    return not target.documents.isdisjoint(example.documents) or is_about(example.query, target.finder)


def names_any(examples: Sequence[Example], target: Target) -> bool:
    """Whether one of the examples ``is_of`` what is erased. Most say nothing of the person: those are not read."""
    if any(not target.documents.isdisjoint(example.documents) for example in examples):
        return True
    queries = [example.query for example in examples]
    return target.finder is not None and any(
        is_about(queries[at], target.finder) for at in target.finder.screen(queries)
    )


def without(example: Example, target: Target) -> Example | None:
    """The example less the passages that are erased, under a salt of its own: the old one would tell what is missing.
    None where it speaks of the person, or nothing that answers is left.
    """
    if not is_of(example, target):
        return example
    positives, negatives = (
        tuple(chunk for chunk in chunks if chunk not in target.chunks)
        for chunks in (example.positives, example.negatives)
    )
    documents = tuple(id for id in example.documents if id not in target.documents)
    gone = len(example.positives) + len(example.negatives) - len(positives) - len(negatives)
    # Of a document whose passages are not known any more, nobody can tell which of these are.
    is_known = gone >= len(example.documents) - len(documents)
    if not positives or not is_known or is_about(example.query, target.finder):
        return None
    salt = secrets.token_hex(len(example.salt) // 2)
    return replace(example, positives=positives, negatives=negatives, documents=documents, salt=salt)


def resealed(manifest: Manifest, examples: Sequence[Example]) -> Manifest:
    """The manifest of what is left of a set."""
    return replace(
        manifest,
        root=root_of(examples),
        examples=dict(sorted(Counter(example.part for example in examples).items())),
        documents=tuple(sorted({document for example in examples for document in example.documents})),
        origins=dict(sorted(Counter(example.origin for example in examples).items())),
    )


def _names_of(source: str) -> Iterator[str]:
    """A source as rankings may call it: itself, or, after a label, the end of its path or its file name alone."""
    parts = source.split("/")
    yield from ("/".join(parts[at:]) for at in range(len(parts)))
    yield PurePosixPath(source).stem


def rewritten(path: Path, target: Target) -> str | None:
    """A ranking without the names of what is erased; None where it names nothing of it."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    rows = [line.split(" ", 3) for line in lines]
    gone = _gone({columns[2] for columns in rows if len(columns) > 2}, target)
    if not gone:
        return None
    for at, columns in enumerate(rows):
        if len(columns) > 2 and columns[2] in gone:
            lines[at] = " ".join([*columns[:2], quote(f"{ERASED}:{at}"), *columns[3:]])
    return "".join(lines)


def _gone(names: Collection[str], target: Target) -> set[str]:
    """Of names as a ranking has them, those of erased documents. One names the same few for every question."""
    called = {name for source in target.sources for name in _names_of(source)}
    plain = {name: unquote(name) for name in names}
    gone = {name for name, text in plain.items() if _PASSAGE.sub("", text) in called}
    if target.finder is None:
        return gone
    rest = sorted(plain.keys() - gone)
    about = (rest[at] for at in target.finder.screen([plain[name] for name in rest]))
    return gone | {name for name in about if is_about(plain[name], target.finder)}
