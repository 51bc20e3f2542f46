"""Rules on passages: what they are after parsing and cutting."""

from __future__ import annotations

from collections.abc import Iterator

from freehold.auditing.facts import HouseFacts
from freehold.auditing.finding import Seen, fault, sound, unclear
from freehold.auditing.passages import Passages
from freehold.auditing.rules import house_rules
from freehold.records.facts import many

MANY_COPIES = 0.05
"""Share of passages that repeat others from which they crowd out what else would be found."""
MANY_ORPHANS = 0.02

_AGAIN = 'chunking.kind = "structure" in freehold.toml, then `freehold ingest PATH...`'


@house_rules.rule(
    "passages-cut-tables",
    theme="passages",
    severity="medium",
    basis=("practice: half a row gives a figure without what it is of",),
)
def tables(facts: HouseFacts) -> Iterator[Seen]:
    """Rows of tables are whole."""
    found = facts.passages
    figures = {**_counts(found), "documents with tables": found.tables, "edges within rows": found.cut_rows}
    if not found.passages:
        yield _nothing()
    elif found.cut_rows:
        told = (
            f"passages begin or end within a row, {many(found.cut_rows, 'time')} in {many(len(found.cut), 'document')}"
        )
        yield fault(told, figures, fix=_AGAIN, refs=found.cut)
    else:
        yield sound(f"no row is cut, in {found.tables} documents with tables", figures)


@house_rules.rule(
    "passages-orphaned-headings",
    theme="passages",
    severity="low",
    basis=("practice: a heading that ends a passage names what is in another one",),
)
def orphans(facts: HouseFacts) -> Iterator[Seen]:
    """Headings stand with their text."""
    found = facts.passages
    figures = {**_counts(found), "end in a heading": found.orphans}
    if not found.passages:
        yield _nothing()
    elif found.orphans > max(2, MANY_ORPHANS * found.passages):
        told = f"{found.orphans} of {found.passages} passages end in a heading, its text is in the next"
        yield fault(told, figures, fix=_AGAIN, refs=found.orphaned)
    else:
        yield sound(f"{found.orphans} of {found.passages} passages end in a heading", figures)


@house_rules.rule(
    "passages-copies",
    theme="passages",
    severity="low",
    basis=("Lee et al. 2022, Deduplicating Training Data: copies crowd out the rest, in results as in training",),
)
def copies(facts: HouseFacts) -> Iterator[Seen]:
    """Passages are there once."""
    found = facts.passages
    if not found.passages:
        yield _nothing()
        return
    share = found.copies / found.passages
    figures = {**_counts(found), "copies": found.copies, "share": round(share, 4)}
    if share > MANY_COPIES:
        told = f"{found.copies} of {found.passages} passages say what another one says, word for word"
        yield fault(
            told, figures, fix="remove the double files and `freehold ingest PATH... --prune`", refs=found.copied
        )
    else:
        yield sound(f"{found.copies} of {found.passages} passages are copies", figures)


@house_rules.rule(
    "passages-too-long",
    theme="passages",
    severity="high",
    basis=("practice: what is beyond the limit of the model is in no vector, or its call fails",),
)
def too_long(facts: HouseFacts) -> Iterator[Seen]:
    """The model reads whole passages."""
    found = facts.passages
    figures = {**_counts(found), "limit in tokens": found.limit_tokens, "longest": found.longest_tokens}
    if not found.passages:
        yield _nothing()
    elif found.too_long:
        told = f"{found.too_long} of {found.passages} passages are longer than {found.limit_tokens} tokens"
        fix = "`freehold ingest PATH...` cuts them anew by the settings"
        yield fault(told, {**figures, "too long": found.too_long}, fix=fix, refs=found.overlong)
    else:
        yield sound(f"the longest has {found.longest_tokens} of {found.limit_tokens} tokens", figures)


@house_rules.rule(
    "documents-refused",
    theme="passages",
    severity="medium",
    basis=("practice: what was refused is missing from every answer, and nobody is told",),
)
def refused(facts: HouseFacts) -> Iterator[Seen]:
    """Every file was read."""
    held, out = facts.health.stats.documents, facts.health.quarantined
    codes = ", ".join(sorted({one.code for one in out}))
    figures = {"documents": held, "refused": len(out)}
    if out:
        yield fault(
            f"{many(len(out), 'file')} could not be read: {codes}", figures, fix="`freehold doctor` names each, and why"
        )
    elif held:
        yield sound("no file is in quarantine", figures)
    else:
        yield _nothing()


def _counts(found: Passages) -> dict[str, object]:
    counts: dict[str, object] = {"passages": found.passages}
    if found.looked_at < found.documents:
        counts["documents looked at"] = f"{found.looked_at:,} of {found.documents:,}"
    return counts


def _nothing() -> Seen:
    return unclear("the house holds no passage", "`freehold ingest PATH...`")
