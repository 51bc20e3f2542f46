"""ODT: paragraphs, headings, lists, tables, notes. Deleted text of tracked changes is left out."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from freehold.core.types import ParsedText
from freehold.text.parse.archive import Archive, attribute, local
from freehold.text.parse.builder import TextBuilder, table
from freehold.text.parse.outcome import ParseLimits, Unreadable

MEDIA_TYPE = "application/vnd.oasis.opendocument.text"

_SKIPPED = frozenset({"tracked-changes", "annotation", "note", "sequence-decls", "forms"})
_MAX_REPEATED = 100


def read(data: bytes, limits: ParseLimits) -> ParsedText:
    """Raises Unreadable: archive_bomb, encrypted, malformed, too_large or unsafe_path."""
    archive = Archive(data, limits)
    manifest = "META-INF/manifest.xml"
    if manifest in archive.names and archive.xml(manifest).find(".//{*}encryption-data") is not None:
        raise Unreadable("encrypted", "The file is protected by a password. Save a copy without one.")
    builder = TextBuilder(limits.max_text_chars)
    content = archive.xml("content.xml").find(".//{*}body/{*}text")
    _write(builder, content if content is not None else ET.Element("text"))
    about = archive.xml("meta.xml") if "meta.xml" in archive.names else ET.Element("absent")
    author = about.findtext(".//{*}initial-creator", "") or about.findtext(".//{*}creator", "")
    return builder.build(MEDIA_TYPE, title=about.findtext(".//{*}title", ""), metadata={"author": author})


def _write(builder: TextBuilder, container: ET.Element) -> None:
    for element in container:
        name = local(element)
        if name == "h":
            builder.heading(_text(element), int(attribute(element, "outline-level") or 1))
        elif name == "p":
            builder.block(_text(element))
        elif name == "list":
            builder.block("\n".join(_items(element, 0)))
        elif name == "table":
            builder.block(table(_rows(element)))
        elif name not in _SKIPPED:
            _write(builder, element)
        if name in ("h", "p", "list"):
            for note in element.iterfind(".//{*}note"):
                builder.block(f"[{note.findtext('{*}note-citation', '')}] {_paragraphs(note)}")
            for box in element.iterfind(".//{*}text-box"):
                _write(builder, box)


def _inline(element: ET.Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        name = local(child)
        if name == "s":
            yield " " * _repeated(child, "c")
        elif name == "tab":
            yield "\t"
        elif name == "line-break":
            yield "\n"
        elif name == "note":
            yield f"[{child.findtext('{*}note-citation', '')}]"
        elif name not in _SKIPPED and name != "text-box":
            yield from _inline(child)
        yield child.tail or ""


def _text(element: ET.Element) -> str:
    return "".join(_inline(element)).strip()


def _paragraphs(container: ET.Element) -> str:
    return " ".join(filter(None, (_text(e) for e in container.iter() if local(e) in ("p", "h"))))


def _items(element: ET.Element, depth: int) -> Iterator[str]:
    for item in element:
        for child in item:
            if local(child) == "list":
                yield from _items(child, depth + 1)
            elif text := _text(child):
                yield f"{'  ' * depth}- {text}"


def _rows(element: ET.Element) -> Iterator[list[str]]:
    for row in element.iter():
        if local(row) == "table-row":
            yield [
                _paragraphs(cell)
                for cell in row
                if local(cell) == "table-cell"
                for _ in range(_repeated(cell, "number-columns-repeated"))
            ]


def _repeated(element: ET.Element, name: str) -> int:
    """A count from the file, capped: one small attribute must not make a huge text."""
    count = attribute(element, name) or "1"
    return min(int(count), _MAX_REPEATED) if count.isdigit() else 1
