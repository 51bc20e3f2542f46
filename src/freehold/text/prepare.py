"""A parsed text made ready for the house: cleaned, its language told, its signature taken."""

from __future__ import annotations

from dataclasses import dataclass

from freehold.core.ids import sha256_hex
from freehold.core.types import ParsedText
from freehold.text.clean import CleaningReport, clean
from freehold.text.duplicates import signature
from freehold.text.language import detect
from freehold.text.parse.outcome import Rejected


@dataclass(frozen=True, slots=True)
class ParsedDoc:
    """What ingestion needs to know of one file or record."""

    parsed: ParsedText
    """Cleaned."""
    language: str
    """ISO 639-1, or ``und``."""
    sha256: str
    """Of the source bytes, lower-case hexadecimal."""
    size_bytes: int
    """Of the source."""
    signature: bytes
    """MinHash of the cleaned text, for ``freehold.text.duplicates``."""
    cleaning: CleaningReport


def prepare(parsed: ParsedText, *, source: bytes | None = None) -> ParsedDoc | Rejected:
    """Clean and describe a text that is already read. ``source`` is the file it came from, else the text itself counts.

    Safe to call from several threads. Rejects (no_text) what has no text left after cleaning.
    """
    source = parsed.text.encode("utf-8", errors="surrogatepass") if source is None else source
    cleaned, report = clean(parsed)
    if not cleaned.text.strip():
        return Rejected("no_text", "Nothing but page furniture and invisible characters is left of the text.")
    return ParsedDoc(
        parsed=cleaned,
        language=detect(cleaned.text),
        sha256=sha256_hex(source),
        size_bytes=len(source),
        signature=signature(cleaned.text),
        cleaning=report,
    )
