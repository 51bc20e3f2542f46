"""What can come of reading a file other than its text, and the limits every reader works under."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "archive_bomb",
    "crashed",
    "empty",
    "encrypted",
    "malformed",
    "memory",
    "no_text",
    "timeout",
    "too_large",
    "unknown_format",
    "unreadable",
    "unsafe_path",
    "whitespace_only",
]


@dataclass(frozen=True, slots=True)
class Rejected:
    """A file that gives no text. ``reason`` is stable and meant for programs; ``message`` says what to do about it.

    Neither holds a word of the document.
    """

    reason: Reason
    message: str


class Unreadable(Exception):
    """Raised by a reader that cannot go on; ``parse`` turns it into its ``Rejected``."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.rejected = Rejected(reason, message)


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """How much one file may cost before it is given up."""

    max_bytes: int = 200 * 2**20
    """Size of the file."""
    max_text_chars: int = 5_000_000
    """Length of the text that comes out. The parent tokenizes a text as a whole when it cuts it, outside the sandbox:
    English of 5 million characters takes 0.7 GiB there, of 20 million 2.5 GiB."""
    max_archive_members: int = 10_000
    max_archive_bytes: int = 500 * 2**20
    """Unpacked size of all members of an archive together."""
    max_archive_ratio: float = 200.0
    """Unpacked over packed size of the whole archive, if it unpacks to more than a megabyte."""
    max_attachments: int = 100
    """Attachments of one message."""
    max_depth: int = 3
    """How deep messages may be attached to messages."""
    cpu_s: int = 60
    wall_s: float = 120.0
    memory_bytes: int = 2 * 2**30
    """Address space of the process that reads."""
