"""Puts a ParsedText together: readers say what comes next, the builder keeps the offsets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from freehold.core.types import Heading, Page, ParsedText
from freehold.text.parse.outcome import Unreadable


class TextBuilder:
    """Collects blocks, separated by an empty line. One builder makes one text."""

    def __init__(self, max_chars: int) -> None:
        self._max_chars = max_chars
        self._parts: list[str] = []
        self._length = 0
        self._headings: list[Heading] = []
        self._page_starts: list[tuple[int, int]] = []

    def block(self, text: str) -> None:
        """A paragraph, a table, a list: set off by an empty line. Blank text is left out."""
        self._separate(text, "\n\n")

    def line(self, text: str) -> None:
        """The next line of the same block. Blank text is left out."""
        self._separate(text, "\n")

    def heading(self, text: str, level: int) -> None:
        """A heading of its own, its white space made single. ``level`` is 1 for the outermost."""
        wording = " ".join(text.split())
        if wording:
            self._separate(wording, "\n\n")
            self._headings.append(Heading(level, self._length - len(wording), self._length))

    def page(self, number: int) -> None:
        """What follows stands on page ``number``. The first page also owns what came before it."""
        self._add("\n\n" if self._length else "")
        self._page_starts.append((number, self._length if self._page_starts else 0))

    def append(self, parsed: ParsedText, *, below: int) -> None:
        """Another document as a block of this one, its headings ``below`` levels further in. Its pages are let go."""
        self._separate(parsed.text, "\n\n")
        start = self._length - len(parsed.text.strip("\n"))
        skipped = len(parsed.text) - len(parsed.text.lstrip("\n"))
        self._headings += [
            Heading(h.level + below, h.start - skipped + start, h.end - skipped + start) for h in parsed.headings
        ]

    def build(self, media_type: str, *, title: str = "", metadata: Mapping[str, str] | None = None) -> ParsedText:
        """The text so far. ``title`` falls back on the first heading of level 1, empty metadata is left out."""
        text = "".join(self._parts)
        ends = [start for _, start in self._page_starts[1:]] + [self._length]
        pages = tuple(Page(number, start, end) for (number, start), end in zip(self._page_starts, ends, strict=False))
        first = next((text[h.start : h.end] for h in self._headings if h.level == 1), "")
        return ParsedText(
            text=text,
            title=" ".join(title.split()) or first,
            media_type=media_type,
            pages=pages,
            headings=tuple(self._headings),
            metadata={key: value for key, value in (metadata or {}).items() if value},
        )

    def _separate(self, text: str, separator: str) -> None:
        text = text.strip("\n")
        if not text.strip():
            return
        at_page_start = bool(self._page_starts) and self._page_starts[-1][1] == self._length
        if self._length and not at_page_start:
            self._add(separator)
        self._add(text)

    def _add(self, text: str) -> None:
        self._length += len(text)
        if self._length > self._max_chars:
            raise Unreadable("too_large", f"The text is longer than {self._max_chars:,} characters. Split the file.")
        self._parts.append(text)


def table(rows: Iterable[Sequence[str]]) -> str:
    """Rows as lines ``| a | b |``. Empty rows, columns and ends of rows are left out, cells made one line each."""
    cells = [[" ".join(cell.split()) for cell in row] for row in rows]
    used = sorted({column for row in cells for column, cell in enumerate(row) if cell})
    lines = []
    for row in cells:
        line = [row[column] if column < len(row) else "" for column in used]
        while line and not line[-1]:
            line.pop()
        if line:
            lines.append("| " + " | ".join(line) + " |")
    return "\n".join(lines)


def records(rows: Sequence[Sequence[str]]) -> str:
    """A sheet as lines a reader understands one by one: ``Zone NA; Sales: 12553; Profit: 2713``.

    The first row that names at least two of the columns, and most of them, in different words is taken for the header.
    Rows before it, and sheets without such a row, stay tables.
    """
    rows = [[" ".join(cell.split()) for cell in row] for row in rows]
    rows = [row for row in rows if any(row)]
    used = {column for row in rows for column, cell in enumerate(row) if cell}
    at = next((n for n, row in enumerate(rows[:-1]) if _is_header(row, len(used))), None)
    if at is None:
        return table(rows)
    header = rows[at]
    lines = [table(rows[: at + 1])]
    for row in rows[at + 1 :]:
        names = (header[column] if column < len(header) else "" for column in range(len(row)))
        cells = (f"{name}: {cell}" if name else cell for name, cell in zip(names, row, strict=True) if cell)
        lines.append("; ".join(cells))
    return "\n".join(lines)


def _is_header(row: Sequence[str], used_columns: int) -> bool:
    names = [cell for cell in row if cell]
    wordy = all(any(c.isalpha() for c in name) for name in names)
    return wordy and len(names) >= 2 and len(names) >= used_columns * 0.6 and len(set(names)) == len(names)
