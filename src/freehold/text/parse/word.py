"""DOCX: paragraphs, heading styles, automatic numbering, tables, footnotes. Tracked deletions are left out."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from freehold.core.types import ParsedText
from freehold.text.parse.archive import Archive, attribute, local
from freehold.text.parse.builder import TextBuilder, table
from freehold.text.parse.outcome import ParseLimits
from freehold.text.parse.word_styles import Numbering, Styles

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

_SKIPPED = frozenset({"del", "moveFrom", "Fallback", "instrText", "delText", "pPr", "rPr", "txbxContent", "annotation"})
_WRAPPERS = frozenset({"sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag", "AlternateContent", "Choice"})
_LITERAL = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}


def read(data: bytes, limits: ParseLimits) -> ParsedText:
    """Raises Unreadable: archive_bomb, encrypted, malformed, too_large or unsafe_path."""
    archive = Archive(data, limits)
    styles = Styles(_optional(archive, "word/styles.xml"))
    numbering = Numbering(_optional(archive, "word/numbering.xml"), styles)
    builder = TextBuilder(limits.max_text_chars)
    body = archive.xml("word/document.xml").find("{*}body")
    _write(builder, body if body is not None else ET.Element("body"), styles, numbering)
    for part in ("word/footnotes.xml", "word/endnotes.xml"):
        for note in _optional(archive, part):
            text = " ".join(_paragraph_texts(note))
            if text and attribute(note, "type") is None:
                builder.block(f"[{attribute(note, 'id')}] {text}")
    properties = _properties(archive)
    return builder.build(MEDIA_TYPE, title=properties.pop("title", ""), metadata=properties)


def _properties(archive: Archive) -> dict[str, str]:
    core = {local(element): element.text or "" for element in _optional(archive, "docProps/core.xml")}
    return {"title": core.get("title", ""), "author": core.get("creator", "")}


def _optional(archive: Archive, name: str) -> ET.Element:
    return archive.xml(name) if name in archive.names else ET.Element("absent")


def _write(builder: TextBuilder, container: ET.Element, styles: Styles, numbering: Numbering) -> None:
    for element in _inside(container, "p", "tbl"):
        if local(element) == "tbl":
            builder.block(table(_rows(element)))
            continue
        text = "".join(_inline(element)).strip()
        level = styles.heading_level(element)
        label = numbering.label(element) if text else ""
        if level:
            builder.heading(f"{label} {text}", level)
        elif label:
            builder.line(f"{label} {text}")
        else:
            builder.block(text)
        for box in _text_boxes(element):
            _write(builder, box, styles, numbering)


def _inside(container: ET.Element, *names: str) -> Iterator[ET.Element]:
    """The elements of these names, also those inside content controls and tracked insertions."""
    for element in container:
        name = local(element)
        if name in names:
            yield element
        elif name in _WRAPPERS:
            yield from _inside(element, *names)


def _inline(element: ET.Element) -> Iterator[str]:
    for child in element:
        name = local(child)
        if name == "t":
            yield child.text or ""
        elif name in _LITERAL:
            yield _LITERAL[name]
        elif name in ("footnoteReference", "endnoteReference"):
            yield f"[{attribute(child, 'id')}]"
        elif name not in _SKIPPED:
            yield from _inline(child)


def _text_boxes(element: ET.Element) -> Iterator[ET.Element]:
    for child in element:
        name = local(child)
        if name == "txbxContent":
            yield child
        elif name not in ("Fallback", "del", "moveFrom"):
            yield from _text_boxes(child)


def _rows(element: ET.Element) -> Iterator[list[str]]:
    for row in _inside(element, "tr"):
        if row.find("{*}trPr/{*}del") is None:
            yield [" ".join(_paragraph_texts(cell)) for cell in _inside(row, "tc")]


def _paragraph_texts(container: ET.Element) -> Iterator[str]:
    """Every paragraph inside, also of nested tables."""
    for paragraph in container.iter():
        if local(paragraph) == "p" and (text := "".join(_inline(paragraph)).strip()):
            yield text
