"""Tells what a file is: by its content first, by its name where the content leaves it open."""

from __future__ import annotations

import codecs
import io
import json
import re
import zipfile
from pathlib import PurePath
from typing import Literal

from freehold.text.parse.outcome import Unreadable

Kind = Literal[
    "csv", "docx", "eml", "epub", "html", "json", "jsonl", "md", "msg",
    "odt", "pdf", "pptx", "rst", "rtf", "text", "xlsx", "xml",
]  # fmt: skip

_BY_EXTENSION: dict[str, Kind] = {
    ".csv": "csv", ".tsv": "csv", ".eml": "eml", ".htm": "html", ".html": "html", ".xhtml": "html", ".json": "json",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".md": "md", ".markdown": "md", ".rst": "rst",
}  # fmt: skip

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with theirs
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ZERO_PATTERNS: dict[tuple[bool, ...], str] = {
    (True, False, False, False): "utf-32-le",
    (False, False, False, True): "utf-32-be",
    (True, False, True, False): "utf-16-le",
    (False, True, False, True): "utf-16-be",
}
"""Which bytes of four are filled in a text of mostly Latin letters."""
_MAIL_HEADER = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]*:[^\n]*\n(?:[ \t][^\n]*\n)*)+", re.ASCII)
_MAIL_FIELD = re.compile(
    r"^(?:from|date|received|message-id|mime-version|return-path|subject|to):", re.IGNORECASE | re.MULTILINE
)
_HTML_START = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_HTML_TAG = re.compile(r"<(?:p|div|span|h[1-6]|table|ul|ol|a|br|body|b|i|pre|section|article)\b[^>]*>", re.IGNORECASE)
_HEAD_CHARS = 4096
_SAVE_AS = "Save it as PDF, DOCX or another supported format."


def kind_of_bytes(data: bytes) -> Kind | None:
    """The kind of a binary format, or None for what may be a text.

    Raises Unreadable: encrypted, malformed (a broken archive) or unknown_format.
    """
    if b"%PDF-" in data[:1024]:
        return "pdf"
    if data.startswith(b"PK\x03\x04"):
        return _kind_of_zip(data)
    if data.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _kind_of_compound_file(data)
    if data.lstrip()[:5] == b"{\\rtf":
        return "rtf"
    return None


def kind_of_text(text: str, name: str) -> Kind:
    """The kind of a decoded text. A name only decides among kinds that the content allows."""
    hint = _BY_EXTENSION.get(PurePath(name).suffix.lower())
    head = text[:_HEAD_CHARS]
    if _HTML_START.match(head):
        return "html"
    if head.lstrip().startswith("<?xml"):
        return "xml"
    if _looks_like_mail(head):
        return "eml"
    if hint == "html":
        return "html" if _HTML_TAG.search(text) else "text"
    if hint in ("json", "jsonl"):
        return _kind_of_json(text)
    if hint is None and PurePath(name).suffix.lower() == ".xml" and head.lstrip().startswith("<"):
        return "xml"
    return "text" if hint in (None, "eml") else hint


def decode(data: bytes) -> str:
    """Bytes to text: byte order mark, else UTF-32 or UTF-16 by their zero bytes, else UTF-8, else Windows-1252.

    UTF-8 stays UTF-8 with a few invalid bytes in it, which become U+FFFD.

    Raises Unreadable (unknown_format) for what is no text in any of them.
    """
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), None) or _encoding_by_zeros(data)
    text = _decoded(data, encoding or "utf-8")
    if text is None and encoding:
        raise Unreadable("malformed", f"The text is not valid {encoding.upper()}. Save it as UTF-8.")
    text = text or _damaged_utf8(data) or _decoded(data, "cp1252") or data.decode("latin-1")
    head = text[:_HEAD_CHARS]
    strange = sum(1 for c in head if c < " " and c not in "\t\n\v\f\r\x1b")
    if strange > len(head) * 0.02:
        raise Unreadable("unknown_format", f"This is neither a text nor a document of a known kind. {_SAVE_AS}")
    return text


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _damaged_utf8(data: bytes) -> str | None:
    """UTF-8 where invalid bytes are few beside valid sequences of several bytes, which other encodings hardly hold."""
    text = data.decode(errors="replace")
    invalid = text.count("\ufffd")
    several = len(text) - len(text.encode("ascii", errors="ignore")) - invalid
    return text if invalid * 4 <= several else None


def _encoding_by_zeros(data: bytes) -> str | None:
    """Text in UTF-16 or UTF-32 without a mark has its zero bytes in the same places of each unit."""
    head = data[:_HEAD_CHARS]
    if len(head) < 4 or 0 not in head:
        return None
    filled = [sum(map(bool, head[place::4])) / len(head[place::4]) for place in range(4)]
    pattern = tuple(share > 0.5 for share in filled)
    return _ZERO_PATTERNS.get(pattern) if all(abs(share - 0.5) > 0.2 for share in filled) else None


def _kind_of_zip(data: bytes) -> Kind:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            mimetype = archive.open("mimetype").read(100) if "mimetype" in names else b""
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise Unreadable("malformed", "The archive is damaged. Ask for the file again.") from error
    by_mimetype: dict[bytes, Kind] = {
        b"application/vnd.oasis.opendocument.text": "odt",
        b"application/epub+zip": "epub",
    }
    if kind := by_mimetype.get(mimetype.strip()):
        return kind
    by_part: dict[str, Kind] = {"word/": "docx", "xl/": "xlsx", "ppt/": "pptx"}
    if "[Content_Types].xml" in names:
        for folder, kind in by_part.items():
            if any(name.startswith(folder) for name in names):
                return kind
    raise Unreadable("unknown_format", f"The archive is no document of a known kind. {_SAVE_AS}")


def _kind_of_compound_file(data: bytes) -> Kind:
    import olefile

    try:
        with olefile.OleFileIO(io.BytesIO(data)) as compound:
            streams = {path[0] for path in compound.listdir()}
    except Exception as error:
        raise Unreadable("malformed", "The file is damaged. Ask for it again.") from error
    if "EncryptedPackage" in streams:
        raise Unreadable("encrypted", "The file is protected by a password. Save a copy without one.")
    if "__properties_version1.0" in streams:
        return "msg"
    raise Unreadable("unknown_format", f"This Office format from before 2007 is not read. {_SAVE_AS}")


def _looks_like_mail(head: str) -> bool:
    head = head.replace("\r\n", "\n")
    header = _MAIL_HEADER.match(head)
    return header is not None and len({field.lower() for field in _MAIL_FIELD.findall(header[0])}) >= 2


def _kind_of_json(text: str) -> Kind:
    try:
        json.loads(text)
    except ValueError:
        first = next((line for line in text.splitlines() if line.strip()), "")
        try:
            json.loads(first)
        except ValueError:
            return "text"
        return "jsonl"
    return "json"
