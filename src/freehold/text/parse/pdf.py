"""PDF, through PDFium: text in reading order, pages, headings by outline or type size."""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import pypdfium2 as pdfium
from pypdfium2 import raw

from freehold.core.types import ParsedText
from freehold.text.parse.builder import TextBuilder
from freehold.text.parse.outcome import ParseLimits, Unreadable

MEDIA_TYPE = "application/pdf"

_HYPHEN_AT_LINE_END = "\x02"  # PDFium joins the word it stands in and moves the line break behind that word
_NUMBERED = re.compile(
    r"(?i)(?:\d+(?:\.\d+)*[.)]?|[IVX]+\.|[A-Z]\.|§+|Art(?:icle|ikel|\.)|Section|Clause|Annex|Anhang)\s"
)
_BOLD_WEIGHT = 540  # TeX's bold says 545, its regular faces at most 425
_HEADING_CHARS = 150
_LARGER = 1.12
"""A heading's type is at least this much larger than the body's."""
_MAX_LEVELS = 4
_SAME_SIZE_PT = 0.6
_SAMPLED = 5
"""Characters of a line that are measured, about."""


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float
    """Type size in points as it stands on the page, rounded to half a point."""
    bold: bool
    first_y: float
    last_y: float
    """Heights of the first and the last character over the page's lower edge, in points."""
    page: int


def read(data: bytes, limits: ParseLimits) -> ParsedText:
    """Raises Unreadable: encrypted, malformed, no_text or too_large."""
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if error.err_code == raw.FPDF_ERR_PASSWORD:
            message = "The PDF opens only with a password. Save a copy without one."
            raise Unreadable("encrypted", message) from error
        raise Unreadable("malformed", "The PDF is damaged. Ask for the file again.") from error
    with document:
        pages = [list(_lines(document, number)) for number in range(len(document))]
        if not any(pages):
            raise Unreadable("no_text", "The PDF holds images only. Run text recognition (OCR) over it first.")
        levels = _levels([line for page in pages for line in page], _outline(document))
        builder = TextBuilder(limits.max_text_chars)
        for number, page in enumerate(pages, start=1):
            builder.page(number)
            _write(builder, page, levels)
        about = document.get_metadata_dict()
    return builder.build(MEDIA_TYPE, title=_title(about), metadata={"author": about.get("Author", "")})


def _lines(document: pdfium.PdfDocument, page_number: int) -> Iterator[_Line]:
    try:
        page = document[page_number]
        textpage = page.get_textpage()
    except pdfium.PdfiumError as error:
        raise Unreadable("malformed", f"Page {page_number + 1} of the PDF is damaged.") from error
    codes = [raw.FPDFText_GetUnicode(textpage, index) for index in range(textpage.count_chars())]
    text = "".join(chr(code) if code < 0xD800 or 0xDFFF < code < 0x110000 else "\ufffd" for code in codes)
    for match in re.finditer(r"\S(?:[^\r\n]*\S)?", text):
        yield _line(textpage, match, page_number)
    textpage.close()
    page.close()


def _line(textpage: pdfium.PdfTextPage, match: re.Match[str], page_number: int) -> _Line:
    letters = [match.start() + at for at, sign in enumerate(match[0]) if sign.isalnum()] or [match.start()]
    sample = letters[:: max(1, len(letters) // _SAMPLED)]
    return _Line(
        text=match[0],
        size=median(round(_height(textpage, index) * 2) / 2 for index in sample),
        bold=all(raw.FPDFText_GetFontWeight(textpage, index) >= _BOLD_WEIGHT for index in sample),
        first_y=_y(textpage, letters[0]),
        last_y=_y(textpage, letters[-1]),
        page=page_number,
    )


def _height(textpage: pdfium.PdfTextPage, index: int) -> float:
    """Of a character's box; the font size would leave out the scale that the page is drawn at."""
    box = raw.FS_RECTF()
    return abs(box.top - box.bottom) if raw.FPDFText_GetLooseCharBox(textpage, index, ctypes.byref(box)) else 0.0


def _y(textpage: pdfium.PdfTextPage, index: int) -> float:
    x, y = ctypes.c_double(), ctypes.c_double()
    return y.value if raw.FPDFText_GetCharOrigin(textpage, index, ctypes.byref(x), ctypes.byref(y)) else 0.0


def _outline(document: pdfium.PdfDocument) -> dict[str, int]:
    return {
        _key(entry.get_title()): min(entry.level + 1, _MAX_LEVELS) for entry in document.get_toc(max_depth=_MAX_LEVELS)
    }


def _levels(lines: Sequence[_Line], outline: dict[str, int]) -> dict[_Line, int]:
    """Levels of the lines that are headings."""
    letters: Counter[float] = Counter()
    for line in lines:
        letters[line.size] += len(line.text)
    body = letters.most_common(1)[0][0]
    bold_body = sum(len(line.text) for line in lines if line.bold) > sum(letters.values()) / 2
    running = _running(lines)
    larger = [line for line in lines if line.size >= body * _LARGER and _may_be_heading(line) and line not in running]
    level_of_size = _rank({line.size for line in larger})
    levels = {line: level_of_size[line.size] for line in larger}
    smallest = min(max(level_of_size.values(), default=0) + 1, _MAX_LEVELS)
    for line in lines:
        if level := outline.get(_key(line.text)):
            levels.setdefault(line, level)
        elif line.bold and not bold_body and line.size >= body and _NUMBERED.match(line.text) and _may_be_heading(line):
            levels.setdefault(line, smallest)
    return levels


def _rank(sizes: Collection[float]) -> dict[float, int]:
    """Levels of type sizes: 1 for the largest. Sizes that differ by less than the letters measured share one."""
    ranks: dict[float, int] = {}
    for size in sorted(sizes, reverse=True):
        above = next(reversed(ranks), size)
        step = above - size > _SAME_SIZE_PT or not ranks
        ranks[size] = min(next(reversed(ranks.values()), 0) + step, _MAX_LEVELS)
    return ranks


def _may_be_heading(line: _Line) -> bool:
    letters = sum(c.isalpha() for c in line.text)
    return (
        letters >= 3
        and letters > len(line.text) / 2
        and len(line.text) <= _HEADING_CHARS
        and line.text[-1] not in ".;,"
    )


def _running(lines: Sequence[_Line]) -> frozenset[_Line]:
    """Lines that stand on three pages or more in the same size: running headers, not headings."""
    pages: dict[tuple[str, float], set[int]] = {}
    for line in lines:
        pages.setdefault((_key(line.text), line.size), set()).add(line.page)
    return frozenset(line for line in lines if len(pages[_key(line.text), line.size]) >= 3)


def _key(text: str) -> str:
    return re.sub(r"\d+", "0", " ".join(text.split())).casefold()


def _write(builder: TextBuilder, lines: Sequence[_Line], levels: dict[_Line, int]) -> None:
    steps = [a.last_y - b.first_y for a, b in pairwise(lines) if a.last_y > b.first_y]
    paragraph_step = 1.4 * median(steps) if steps else 0.0
    heading: list[_Line] = []
    above: _Line | None = None
    for line in lines:
        if heading and levels.get(line) != levels[heading[0]]:
            builder.heading(_join(heading), levels[heading[0]])
            heading, above = [], None
        if line in levels:
            heading.append(line)
            continue
        starts_paragraph = above is None or above.last_y - line.first_y > paragraph_step
        text = line.text.replace(_HYPHEN_AT_LINE_END, "-\n")
        (builder.block if starts_paragraph else builder.line)(text)
        above = line
    if heading:
        builder.heading(_join(heading), levels[heading[0]])


def _join(lines: Sequence[_Line]) -> str:
    """A heading set over several lines."""
    return " ".join(line.text for line in lines).replace(_HYPHEN_AT_LINE_END, "")


def _title(about: dict[str, str]) -> str:
    """The title in the file's properties, unless it is the name of the file it was made from."""
    title = about.get("Title", "").strip()
    return "" if re.search(r"\.\w{2,4}$|^(?:untitled|microsoft word)", title, re.IGNORECASE) else title
