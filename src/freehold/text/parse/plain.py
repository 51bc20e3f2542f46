"""Texts that are read as they stand: plain text, Markdown, reStructuredText, JSON and generic XML."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

from freehold.core.types import Heading, ParsedText
from freehold.text.parse.archive import local, parse_xml
from freehold.text.parse.builder import TextBuilder
from freehold.text.parse.outcome import ParseLimits, Unreadable

_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-{2,})[ \t]*$")
_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1+[ \t]*$")
_MAX_VALUE_CHARS = 200


def read_text(text: str, limits: ParseLimits) -> ParsedText:
    """Plain text has no headings. Raises Unreadable: too_large."""
    return _as_it_stands(text, "text/plain", (), limits)


def read_markdown(text: str, limits: ParseLimits) -> ParsedText:
    """The source as it stands; ``#`` lines and underlined lines are headings. Raises Unreadable: too_large."""
    return _as_it_stands(text, "text/markdown", tuple(_markdown_headings(text)), limits)


def read_rst(text: str, limits: ParseLimits) -> ParsedText:
    """The source as it stands; underlined lines are headings. Raises Unreadable: too_large."""
    return _as_it_stands(text, "text/x-rst", tuple(_rst_headings(text)), limits)


def read_json(text: str, limits: ParseLimits) -> ParsedText:
    """Each record a block of lines ``path: value``. Raises Unreadable: malformed or too_large."""
    return _records([_load(text)], "application/json", limits)


def read_json_lines(text: str, limits: ParseLimits) -> ParsedText:
    """As ``read_json``, one record per line. Raises Unreadable: malformed (naming the line) or too_large."""
    values = [_load(line, n) for n, line in enumerate(text.splitlines(), start=1) if line.strip()]
    return _records(values, "application/x-ndjson", limits)


def read_xml(text: str, limits: ParseLimits) -> ParsedText:
    """Records as lines ``name: value``, running text as paragraphs. Raises Unreadable: malformed or too_large."""
    builder = TextBuilder(limits.max_text_chars)
    # The text is decoded already; a declaration of the old encoding would now be wrong.
    _write_xml(builder, parse_xml(re.sub(r"^\s*<\?xml[^>]*\?>", "", text).encode("utf-8")))
    return builder.build("application/xml")


def _as_it_stands(text: str, media_type: str, headings: tuple[Heading, ...], limits: ParseLimits) -> ParsedText:
    if len(text) > limits.max_text_chars:
        raise Unreadable("too_large", f"The text is longer than {limits.max_text_chars:,} characters. Split the file.")
    title = next((text[h.start : h.end] for h in headings if h.level == 1), "")
    return ParsedText(text=text, title=title, media_type=media_type, headings=headings)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Offset and wording of each line."""
    start = 0
    for line in text.split("\n"):
        yield start, line.rstrip("\r")
        start += len(line) + 1


def _heading(level: int, start: int, line: str) -> Heading:
    wording = line.strip()
    start += len(line) - len(line.lstrip())
    return Heading(level, start, start + len(wording))


def _markdown_headings(text: str) -> Iterator[Heading]:
    fence = ""
    above = (0, "")
    for start, line in _lines(text):
        mark = _FENCE.match(line)
        if fence:
            fence = "" if mark and mark[1].startswith(fence) else fence
        elif mark:
            fence = mark[1]
        elif (atx := _ATX.match(line)) and atx[2]:
            yield Heading(len(atx[1]), start + atx.start(2), start + atx.end(2))
        elif (underline := _SETEXT.match(line)) and _may_be_underlined(above[1]):
            yield _heading(1 if underline[1][0] == "=" else 2, *above)
        above = (start, "" if mark or fence else line)


def _may_be_underlined(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith(("#", "|", "-", "*", ">", "+", "="))


def _rst_headings(text: str) -> Iterator[Heading]:
    styles: list[tuple[str, bool]] = []
    lines = list(_lines(text))
    for n, (start, line) in enumerate(lines[:-1]):
        underline = _ADORNMENT.match(lines[n + 1][1])
        above = lines[n - 1][1] if n else ""
        if (
            not underline
            or not line.strip()
            or _ADORNMENT.match(line)
            or len(underline[0].rstrip()) < len(line.rstrip())
        ):
            continue
        overlined = bool(_ADORNMENT.match(above)) and above[:1] == underline[1]
        if not overlined and (line[0].isspace() or above.strip()):
            continue
        style = (underline[1], overlined)
        if style not in styles:
            styles.append(style)
        yield _heading(styles.index(style) + 1, start, line)


def _load(text: str, line_number: int | None = None) -> object:
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"Line {line_number} of the file" if line_number else "The file"
        raise Unreadable("malformed", f"{where} is not valid JSON.") from error
    return value


def _records(values: list[object], media_type: str, limits: ParseLimits) -> ParsedText:
    builder = TextBuilder(limits.max_text_chars)
    for value in values:
        for record in value if isinstance(value, list) else [value]:
            builder.block("\n".join(_paths(record, "")))
    return builder.build(media_type)


def _paths(value: object, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _paths(inner, path)
    elif value not in (None, ""):
        wording = value if isinstance(value, str) else json.dumps(value)
        yield f"{path}: {wording}" if path else wording


def _write_xml(builder: TextBuilder, element: ET.Element) -> None:
    if _is_record(element):
        builder.block("\n".join(f"{local(child)}: {' '.join(child.text.split())}" for child in element if child.text))
    elif _is_running_text(element):
        builder.block(" ".join("".join(element.itertext()).split()))
    else:
        for child in element:
            _write_xml(builder, child)


def _is_running_text(element: ET.Element) -> bool:
    inside = [element.text or "", *(child.tail or "" for child in element)]
    return not len(element) or any(text.strip() for text in inside)


def _is_record(element: ET.Element) -> bool:
    """Children that are short values, each under a name of its own."""
    names = [local(child) for child in element]
    values = [(child.text or "").strip() for child in element]
    return (
        len(names) > 1
        and len(set(names)) == len(names)
        and not any(len(child) for child in element)
        and not _is_running_text(element)
        and all(len(value) <= _MAX_VALUE_CHARS for value in values)
    )
