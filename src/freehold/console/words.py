"""How the console words things: stages, kinds of work, places that a certificate names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import PurePath

from markupsafe import Markup, escape

JOBS: Mapping[str, str] = {
    "ingest": "Read documents",
    "remove": "Remove documents",
    "erase": "Erase a person",
    "tune": "Train a model version",
    "retrain": "Train models again",
    "eval": "Measure quality",
    "audit": "Audit the house",
    "promote": "Promote a model version",
    "rollback": "Roll models back",
    "schedule": "Do what is due",
    "index": "Bring the index up to date",
}
STATES: Mapping[str, str] = {"waiting": "Waiting", "running": "Running", "done": "Done", "failed": "Failed"}
STAGES: Mapping[str, str] = {
    "received": "Received",
    "fenced": "Fenced out",
    "restricted": "Hidden from searches",
    "erased": "Erased",
    "models": "Models replaced",
    "verified": "Looked for again",
    "certified": "Certified",
    "closed": "Closed",
}
GROUNDS: Mapping[str, str] = {
    "17(1)(b)": "Consent is withdrawn, Art. 17(1)(b)",
    "17(1)(a)": "No longer needed for its purpose, Art. 17(1)(a)",
    "17(1)(c)": "The person objects, Art. 17(1)(c)",
    "17(1)(d)": "It was processed unlawfully, Art. 17(1)(d)",
    "17(1)(e)": "A law demands it, Art. 17(1)(e)",
    "17(1)(f)": "Collected from a child, Art. 17(1)(f)",
    "retention-expiry": "The time to keep it is over",
    "controller-initiative": "The house's own decision",
}
KINDS: Mapping[str, str] = {
    "name": "Name",
    "email": "Email address",
    "phone": "Telephone",
    "birth_date": "Date of birth",
    "address": "Postal address",
    "iban": "IBAN",
    "national_id": "National or tax number",
    "reference": "Customer, policy or claim number",
}
VERDICTS: Mapping[str, tuple[str, str, str]] = {
    "COMPLETE": ("passed", "Complete", "Everything within the house's reach is gone, and was looked for again."),
    "PARTIAL_EXEMPT": (
        "underpowered",
        "Complete but for what the law keeps",
        "The rest is gone. What stays is hidden.",
    ),
    "INTERIM": ("underpowered", "Interim", "Something is still to be done: see what is pending."),
    "FAILED": ("refused", "Failed", "Something that should be gone was found, or could not be looked for."),
}
PLACES: Mapping[str, str] = {
    "source-files": "The files that documents were read from, where they lie outside the house",
    "labelled-sets": "Labelled question sets that people made",
    "reports-handed-out": "Reports, exports and pages that were handed out",
    "recipients": "Those whom the data was passed on to (to be told, Art. 19)",
    "base-models": "What the base models learned before they came here",
    "block-devices": "Traces below the file system: flash cells, snapshots of disks",
    "index-server": "Files and snapshots of the server that keeps the vectors",
}
PENDING: Mapping[str, str] = {
    "decisions": "A person has to decide on documents",
    "models": "Models that learned from the person are not replaced yet",
    "backups": "Backups hold keys that are out of reach",
    "tracking-server": "A tracking server still keeps what was learned, or cannot be reached",
}
LEVELS: Mapping[str, str] = {
    "physical": "no byte is left",
    "crypto": "its key is destroyed",
    "logical": "a server gives nothing of it back",
}
DECISIONS: Mapping[str, tuple[str, str]] = {
    "passed": ("passed", "Passed"),
    "refused": ("refused", "Refused"),
    "underpowered": ("underpowered", "Undecided"),
}
EXPERIMENTS: Mapping[str, str] = {
    "eval": "Evaluation",
    "compare": "Comparison",
    "gate": "Gate",
    "tune": "Search over settings",
    "train": "Training",
}
ROLES: Mapping[str, str] = {
    "embedder": "this embedder",
    "adapter": "this adapter",
    "reranker": "this reranker",
    "fusion": "these fusion weights",
}
_WITHIN = {"quarantine": "documents", "models": "quality", "subject": "requests"}
"""Pages that stand in another part than their address says."""

_MARKER = re.compile(r"\[(\d{1,4})\]")


def part(path: str) -> str:
    """The part of the console that a page belongs to, by the address of its first page."""
    _, home, *rest = path.split("/")
    return f"/{home}/{_WITHIN.get(rest[0], rest[0])}" if rest else f"/{home}"


def many(count: int, one: str, more: str = "") -> str:
    """``1 document``, ``1,200 documents``."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def file_name(source: str) -> str:
    """The last part of a source: the whole is long, and begins as all others do."""
    return PurePath(source.removeprefix("upload:")).name or source


def cited(text: str, markers: Collection[int]) -> Markup:
    """The text of an answer, escaped, with each marker that has a citation as a link to it."""
    pieces: list[str] = []
    at = 0
    for found in _MARKER.finditer(text):
        if (number := int(found[1])) in markers:
            pieces += [
                escape(text[at : found.start()]),
                Markup('<a class="marker" href="#citation-{0}" aria-label="Citation {0}">[{0}]</a>').format(number),
            ]
            at = found.end()
    return Markup("").join([*pieces, escape(text[at:])])
