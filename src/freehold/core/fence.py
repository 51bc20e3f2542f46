"""The fence: what keeps an erased person, or a document whose time was over, from coming back with the next ingest, and
the port of who keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from freehold.core.erasure import Subject

Reason = Literal["same_file", "same_text", "names_person", "resembles", "past_retention"]
"""By what a document was known: its bytes, its text, somebody in it, or most of its wording; or, by its bytes or text,
that it went because its time was over.
"""

Override = Literal["namesake", "new-relationship", "legal-obligation", "consent", "mistaken-erasure"]
"""Why a document may come in all the same. It stands in the ledger, so it is one of these and no free text."""


@dataclass(frozen=True, slots=True)
class Print:
    """A document as the fence is to know it: kept under a key only, so that nobody can read or guess it back."""

    sha256: str
    """Of the file's bytes; empty where there is none."""
    text: str
    source: str
    signature: bytes
    """MinHash signature; empty where only equal documents are meant, since others share its wording lawfully."""


class Fence(Protocol):
    """Remembers whom and what was erased by keyed digests alone. Every method raises StorageFault."""

    @property
    def epoch(self) -> int:
        """Raised whenever somebody is fenced out: what was let through under an older one is looked at again."""
        ...

    def put_subject(self, request: str, subject: Subject) -> None:
        """Fence a person out by what identifies them; durable on return."""
        ...

    def put_documents(self, request: str, prints: Sequence[Print], *, past_retention: bool = False) -> None:
        """Fence documents out, for somebody's sake or because their time is over; durable on return."""
        ...

    def refusal(self, seen: Print) -> Reason | None:
        """Why a document may not come in; None: it may."""
        ...

    def remove(self, request: str) -> None:
        """Let in again what was fenced out for a request."""
        ...

    def counts(self) -> Mapping[str, int]:
        """Request -> number of its entries."""
        ...
