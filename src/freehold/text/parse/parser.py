"""``parse``: the bytes of one file to its text, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from freehold.core.types import ParsedText
from freehold.text.parse.kind import Kind, decode, kind_of_bytes, kind_of_text
from freehold.text.parse.outcome import ParseLimits, Rejected, Unreadable
from freehold.text.parse.web import charset

DEFAULT_LIMITS = ParseLimits()

_BYTE_READERS: dict[Kind, str] = {
    "pdf": "pdf:read",
    "docx": "word:read",
    "odt": "opendocument:read",
    "pptx": "slides:read",
    "xlsx": "sheet:read_xlsx",
    "epub": "web:read_epub",
    "rtf": "rtf:read",
    "msg": "outlook:read",
    "eml": "mail:read",
}
_TEXT_READERS: dict[Kind, str] = {
    "csv": "sheet:read_csv",
    "html": "web:read_html",
    "json": "plain:read_json",
    "jsonl": "plain:read_json_lines",
    "md": "plain:read_markdown",
    "rst": "plain:read_rst",
    "text": "plain:read_text",
    "xml": "plain:read_xml",
}


def parse(data: bytes, *, name: str, limits: ParseLimits = DEFAULT_LIMITS) -> ParsedText | Rejected:
    """Read one file. ``name`` is a hint at its kind; content that contradicts it wins.

    Text is as it stands in the file, uncleaned. Never raises for bad input, but may take all the time and memory of its
    process: files that are not trusted go through ``freehold.text.sandbox``.
    """
    try:
        parsed = parse_or_raise(data, name=name, limits=limits)
    except Unreadable as unreadable:
        return unreadable.rejected
    except MemoryError:
        return Rejected("memory", "Reading the file takes more memory than allowed.")
    except Exception as error:
        return Rejected("malformed", f"The file is damaged ({type(error).__name__}). Ask for it again.")
    return parsed


def parse_or_raise(data: bytes, *, name: str, limits: ParseLimits) -> ParsedText:
    """As ``parse``, for readers that read files inside files. Raises Unreadable."""
    if not data:
        raise Unreadable("empty", "The file is empty.")
    if len(data) > limits.max_bytes:
        raise Unreadable(
            "too_large", f"The file is larger than {limits.max_bytes:,} bytes. Split it or raise the limit."
        )
    parsed = _read(data, name, limits)
    if not any(c.isprintable() and not c.isspace() for c in parsed.text):
        if parsed.media_type.startswith("text/"):
            raise Unreadable("whitespace_only", "The file holds nothing but white space.")
        raise Unreadable("no_text", "The document holds no text.")
    return parsed


def _read(data: bytes, name: str, limits: ParseLimits) -> ParsedText:
    kind = kind_of_bytes(data)
    if kind is not None:
        return _reader(_BYTE_READERS[kind])(data, limits)
    text = decode(data)
    kind = kind_of_text(text, name)
    if kind in _BYTE_READERS:
        return _reader(_BYTE_READERS[kind])(data, limits)
    if kind in ("html", "xml"):
        text = _decode_as_declared(data, text)
    return _reader(_TEXT_READERS[kind])(text, limits)


def _decode_as_declared(data: bytes, text: str) -> str:
    """Markup says its own encoding; where it lies or says nothing, ``text`` stands."""
    declared = charset(data)
    if declared is None or declared.lower() in ("utf-8", "utf8", "utf-16", "unicode"):
        return text
    try:
        return data.decode(declared)
    except (UnicodeDecodeError, LookupError):
        return text


def _reader(place: str) -> Callable[..., ParsedText]:
    """Readers are loaded when they are first needed: a worker that only sees PDF never loads the others."""
    module, _, function = place.partition(":")
    reader: Callable[..., ParsedText] = getattr(import_module(f"freehold.text.parse.{module}"), function)
    return reader
