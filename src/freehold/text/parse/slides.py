"""PPTX: slides are pages, their titles headings."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

from freehold.core.types import ParsedText
from freehold.text.parse.archive import Archive, attribute, local
from freehold.text.parse.builder import TextBuilder, table
from freehold.text.parse.outcome import ParseLimits

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

_PRESENTATION = "ppt/presentation.xml"
_TITLES = frozenset({"title", "ctrTitle"})
_FURNITURE = frozenset({"sldNum", "ftr", "hdr", "sldImg"})


def read(data: bytes, limits: ParseLimits) -> ParsedText:
    """Notes follow their slide. Raises Unreadable: archive_bomb, encrypted, malformed, too_large or unsafe_path."""
    archive = Archive(data, limits)
    parts = archive.related(_PRESENTATION)
    builder = TextBuilder(limits.max_text_chars)
    slides = archive.xml(_PRESENTATION).iterfind("{*}sldIdLst/{*}sldId")
    names = (parts.get(_relation(slide), "") for slide in slides)
    for number, name in enumerate(names, start=1):
        builder.page(number)
        if name not in archive.names:
            continue
        _write(builder, archive.xml(name))
        for notes in archive.related(name).values():
            if "notesSlides/" in notes and notes in archive.names:
                builder.block("\n".join(text for shape in _shapes(archive.xml(notes)) for text in _paragraphs(shape)))
    return builder.build(MEDIA_TYPE)


def _relation(slide: ET.Element) -> str:
    """The relationship id: ``r:id``, not the slide's own ``id``."""
    return next((value for key, value in slide.attrib.items() if key.endswith("}id")), "")


def _write(builder: TextBuilder, slide: ET.Element) -> None:
    shapes = list(_shapes(slide))
    for shape in shapes:
        if _role(shape) in _TITLES:
            builder.heading(" ".join(_paragraphs(shape)), 1)
    for shape in shapes:
        if local(shape) == "graphicFrame":
            builder.block(table([_cell(cell) for cell in row.iterfind("{*}tc")] for row in shape.iterfind(".//{*}tr")))
        elif _role(shape) not in _TITLES:
            builder.block("\n".join(_paragraphs(shape)))


def _shapes(container: ET.Element) -> Iterator[ET.Element]:
    """Shapes and tables in the order of the file, those in groups too, without footers and slide numbers."""
    for element in container:
        name = local(element)
        if name in ("sp", "graphicFrame"):
            if _role(element) not in _FURNITURE:
                yield element
        elif name in ("cSld", "spTree", "grpSp", "AlternateContent", "Choice"):
            yield from _shapes(element)


def _role(shape: ET.Element) -> str:
    placeholder = shape.find("{*}nvSpPr/{*}nvPr/{*}ph")
    return "" if placeholder is None else attribute(placeholder, "type") or ""


def _paragraphs(container: ET.Element) -> Iterator[str]:
    for paragraph in container.iter():
        if local(paragraph) == "p":
            text = "".join(
                "\n" if local(e) == "br" else e.text or "" for e in paragraph.iter() if local(e) in ("t", "br")
            )
            if text.strip():
                yield text.strip()


def _cell(cell: ET.Element) -> str:
    return " ".join(_paragraphs(cell))
