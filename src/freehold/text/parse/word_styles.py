"""DOCX: which paragraphs are headings, and the numbers that Word counts but does not write down."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass

from freehold.text.parse.archive import attribute

_HEADING_NAME = re.compile(r"heading (\d)", re.IGNORECASE)
_BODY_LEVEL = 9  # w:outlineLvl 9 means body text
_MAX_INHERITANCE = 20


class Styles:
    """The paragraph styles of a document."""

    def __init__(self, styles: ET.Element) -> None:
        self._by_id = {attribute(style, "styleId"): style for style in styles.iterfind("{*}style")}

    def heading_level(self, paragraph: ET.Element) -> int | None:
        """1 for the outermost, None for body text. The paragraph's own outline level wins over its style's."""
        own = _value(paragraph.find("{*}pPr/{*}outlineLvl"))
        if own is not None:
            return _level_of(own)
        for style in self.lineage(paragraph):
            name = _value(style.find("{*}name")) or ""
            if name.lower() == "title":
                return 1
            if match := _HEADING_NAME.fullmatch(name):
                return int(match[1])
            if (outline := _value(style.find("{*}pPr/{*}outlineLvl"))) is not None:
                return _level_of(outline)
        return None

    def lineage(self, paragraph: ET.Element) -> list[ET.Element]:
        """The paragraph's style and those it is based on, nearest first."""
        style_id = _value(paragraph.find("{*}pPr/{*}pStyle"))
        found: list[ET.Element] = []
        while style_id in self._by_id and len(found) < _MAX_INHERITANCE:
            found.append(self._by_id[style_id])
            style_id = _value(found[-1].find("{*}basedOn"))
        return found


@dataclass(frozen=True, slots=True)
class _Level:
    format: str
    pattern: str
    start: int


class Numbering:
    """Counts list items as Word would: ``1.``, ``(a)``, ``3.2``. Ask for labels in document order."""

    def __init__(self, numbering: ET.Element, styles: Styles) -> None:
        self._styles = styles
        self._levels = {attribute(e, "abstractNumId"): _levels(e) for e in numbering.iterfind("{*}abstractNum")}
        self._list_of = {
            attribute(e, "numId"): _value(e.find("{*}abstractNumId")) for e in numbering.iterfind("{*}num")
        }
        self._counts: dict[str | None, dict[int, int]] = {}

    def label(self, paragraph: ET.Element) -> str:
        """The item's number as it shows on paper, ``-`` for a bullet, empty outside of lists."""
        number_id, depth = self._place(paragraph)
        list_id = self._list_of.get(number_id)
        levels = self._levels.get(list_id, {})
        if depth not in levels:
            return ""
        counts = self._counts.setdefault(list_id, {})
        counts[depth] = counts.get(depth, levels[depth].start - 1) + 1
        for deeper in [d for d in counts if d > depth]:
            del counts[deeper]
        if levels[depth].format == "bullet":
            return "-"
        return re.sub(r"%(\d)", lambda m: _count(counts, levels, int(m[1]) - 1), levels[depth].pattern).strip()

    def _place(self, paragraph: ET.Element) -> tuple[str | None, int]:
        for holder in (paragraph, *self._styles.lineage(paragraph)):
            properties = holder.find("{*}pPr/{*}numPr")
            if properties is not None:
                depth = _value(properties.find("{*}ilvl")) or "0"
                return _value(properties.find("{*}numId")), int(depth) if depth.isdigit() else 0
        return None, 0


def _levels(abstract: ET.Element) -> dict[int, _Level]:
    levels = {}
    for element in abstract.iterfind("{*}lvl"):
        depth, start = attribute(element, "ilvl") or "", _value(element.find("{*}start")) or "1"
        if depth.isdigit():
            levels[int(depth)] = _Level(
                format=_value(element.find("{*}numFmt")) or "decimal",
                pattern=_value(element.find("{*}lvlText")) or "",
                start=int(start) if start.isdigit() else 1,
            )
    return levels


def _count(counts: dict[int, int], levels: dict[int, _Level], depth: int) -> str:
    if depth not in levels:
        return ""
    number = counts.get(depth, levels[depth].start)
    return _FORMATS.get(levels[depth].format, str)(number)


def _letters(number: int) -> str:
    """a, b ... z, aa, bb: as Word counts."""
    turn, letter = divmod(max(number, 1) - 1, 26)
    return chr(ord("a") + letter) * min(turn + 1, 9)


_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
    (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip


_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
    (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip


def _roman(number: int) -> str:
    text, rest = "", max(min(number, 3999), 1)
    for value, sign in _ROMAN:
        text += sign * (rest // value)
        rest %= value
    return text


_FORMATS: dict[str, Callable[[int], str]] = {
    "lowerLetter": _letters,
    "upperLetter": lambda number: _letters(number).upper(),
    "lowerRoman": _roman,
    "upperRoman": lambda number: _roman(number).upper(),
    "decimalZero": lambda number: f"{number:02d}",
    "none": lambda _: "",
}


def _value(element: ET.Element | None) -> str | None:
    return None if element is None else attribute(element, "val")


def _level_of(outline: str) -> int | None:
    return int(outline) + 1 if outline.isdigit() and int(outline) < _BODY_LEVEL else None
