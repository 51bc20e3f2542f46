"""XLSX and CSV: every row a line that can be read by itself."""

from __future__ import annotations

import csv
import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from freehold.core.types import ParsedText
from freehold.text.parse.archive import Archive, attribute, local
from freehold.text.parse.builder import TextBuilder, records
from freehold.text.parse.outcome import ParseLimits, Unreadable

XLSX_MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
CSV_MEDIA_TYPE = "text/csv"

_BUILT_IN_DATES = frozenset({*range(14, 23), 45, 46, 47})  # ECMA-376 part 1, 18.8.30
_BUILT_IN_PERCENT = frozenset({9, 10})
_QUOTED_IN_FORMAT = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')
_COLUMN = re.compile(r"[A-Z]{1,3}")
_EPOCHS = {False: datetime(1899, 12, 30, tzinfo=UTC), True: datetime(1904, 1, 1, tzinfo=UTC)}
_LAST_DAY = 2_958_465  # 9999-12-31
_MAX_DELIMITER_SAMPLE_CHARS = 20_000


def read_csv(text: str, limits: ParseLimits) -> ParsedText:
    """Raises Unreadable: malformed or too_large."""
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=_delimiter(text)))
    except csv.Error as error:
        raise Unreadable("malformed", "The table is damaged: a cell is not closed or too long.") from error
    builder = TextBuilder(limits.max_text_chars)
    builder.block(records(rows))
    return builder.build(CSV_MEDIA_TYPE)


def read_xlsx(data: bytes, limits: ParseLimits) -> ParsedText:
    """Each sheet under its name. Raises Unreadable: archive_bomb, encrypted, malformed, too_large or unsafe_path."""
    archive = Archive(data, limits)
    workbook = archive.xml("xl/workbook.xml")
    parts = archive.related("xl/workbook.xml")
    cells = _Cells(archive, since_1904=(workbook.find("{*}workbookPr[@date1904='1']") is not None))
    builder = TextBuilder(limits.max_text_chars)
    for sheet in workbook.iterfind("{*}sheets/{*}sheet"):
        part = parts.get(attribute(sheet, "id") or "", "")
        if part not in archive.names or "worksheets/" not in part:
            continue  # a chart sheet has no cells
        if rows := records(list(cells.rows(archive.read(part)))):
            builder.heading(sheet.get("name", ""), 1)
            builder.block(rows)
    return builder.build(XLSX_MEDIA_TYPE)


class _Cells:
    """Turns the cells of a workbook's sheets into text."""

    def __init__(self, archive: Archive, *, since_1904: bool) -> None:
        self._epoch = _EPOCHS[since_1904]
        strings = "xl/sharedStrings.xml"
        self._strings = [_rich_text(item) for item in archive.xml(strings)] if strings in archive.names else []
        styles = "xl/styles.xml"
        self._formats = _number_formats(archive.xml(styles)) if styles in archive.names else []

    def rows(self, sheet: bytes) -> Iterator[list[str]]:
        try:
            for _, element in ET.iterparse(io.BytesIO(sheet)):  # noqa: S314 - capped by the sandbox
                if local(element) == "row":
                    yield self._row(element)
                    element.clear()
        except ET.ParseError as error:
            raise Unreadable("malformed", "A sheet of the workbook is damaged.") from error

    def _row(self, row: ET.Element) -> list[str]:
        texts: list[str] = []
        for cell in row.iterfind("{*}c"):
            if text := self._text(cell):
                column = _column(cell.get("r", ""), default=len(texts))
                texts += [""] * (column - len(texts))
                texts[column:] = [text]
        return texts

    def _text(self, cell: ET.Element) -> str:
        kind, value = cell.get("t", "n"), cell.findtext("{*}v", "")
        if kind == "inlineStr":
            return "".join(_rich_text(item) for item in cell.iterfind("{*}is"))
        if kind == "s" and value.isdigit():
            return self._strings[int(value)] if int(value) < len(self._strings) else ""
        if kind == "b":
            return {"1": "TRUE", "0": "FALSE"}.get(value, value)
        return self._number(value, cell.get("s", "0")) if kind == "n" and value else value

    def _number(self, value: str, style: str) -> str:
        try:
            number = float(value)
        except ValueError:
            return value
        number_format = self._formats[int(style)] if style.isdigit() and int(style) < len(self._formats) else "number"
        if number_format == "date" and 0 <= number <= _LAST_DAY:
            return _date(self._epoch + timedelta(days=number), number)
        if number_format == "percent":
            return f"{number * 100:.6g}%"
        return f"{number:.15g}"  # Excel keeps 15 digits; the file may hold 0.30000000000000004


def _number_formats(styles: ET.Element) -> list[str]:
    """``date``, ``percent`` or ``number`` for every cell style."""
    custom = {f.get("numFmtId"): f.get("formatCode", "") for f in styles.iterfind("{*}numFmts/{*}numFmt")}
    return [
        _format_kind(style.get("numFmtId", "0"), custom.get(style.get("numFmtId"), ""))
        for style in styles.iterfind("{*}cellXfs/{*}xf")
    ]


def _format_kind(format_id: str, code: str) -> str:
    bare = _QUOTED_IN_FORMAT.sub("", code).lower()
    built_in = int(format_id) if format_id.isdigit() and not code else -1
    if built_in in _BUILT_IN_DATES or any(sign in bare for sign in ("yy", "d", "h", "mm", "ss")):
        return "date"
    return "percent" if built_in in _BUILT_IN_PERCENT or "%" in bare else "number"


def _date(moment: datetime, days: float) -> str:
    moment += timedelta(milliseconds=500)
    if days < 1:
        return f"{moment:%H:%M:%S}"
    return f"{moment:%Y-%m-%d}" if days == int(days) else f"{moment:%Y-%m-%d %H:%M:%S}"


def _rich_text(item: ET.Element) -> str:
    """The text of runs; phonetic hints (``rPh``) are left out."""
    return "".join(e.text or "" for part in item if local(part) in ("t", "r") for e in part.iter() if local(e) == "t")


def _column(reference: str, *, default: int) -> int:
    match = _COLUMN.match(reference)
    if match is None:
        return default
    number = 0
    for letter in match[0]:
        number = number * 26 + ord(letter) - ord("A") + 1
    return max(number - 1, default)


def _delimiter(text: str) -> str:
    """The sign that splits most lines into the same number of fields."""
    lines = text[:_MAX_DELIMITER_SAMPLE_CHARS].splitlines()[:50]

    def evenness(delimiter: str) -> tuple[float, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        usual = max(set(widths), key=widths.count, default=1)
        return (widths.count(usual) / len(widths) if usual > 1 else 0.0), usual

    return max(",;\t|", key=evenness)
