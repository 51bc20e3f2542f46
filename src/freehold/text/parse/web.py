"""HTML and EPUB, read as a browser would show them: no scripts, no styles, tables row by row."""

from __future__ import annotations

import posixpath
import re
from html.parser import HTMLParser
from urllib.parse import unquote

from freehold.core.types import ParsedText
from freehold.text.parse.archive import Archive
from freehold.text.parse.builder import TextBuilder, table
from freehold.text.parse.outcome import ParseLimits, Unreadable

HTML_MEDIA_TYPE = "text/html"
EPUB_MEDIA_TYPE = "application/epub+zip"

_CHARSET = re.compile(rb"""<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_SKIPPED = frozenset({"script", "style", "template", "svg", "noscript", "iframe", "object", "canvas", "math", "select"})
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
)
_MAY_STAY_OPEN = _VOID | {
    "body", "dd", "dt", "head", "html", "li", "option", "p", "tbody", "td", "tfoot", "th", "thead", "tr",
}  # fmt: skip
"""Tags without a sure end: hiding from one of them on could hide the rest of the page."""
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "html", "legend", "main", "nav",
    "ol", "p", "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "ul",
})  # fmt: skip


def charset(data: bytes) -> str | None:
    """The encoding an HTML or XML text declares in its first kilobytes."""
    match = _CHARSET.search(data[:4096])
    return match[1].decode("ascii") if match else None


def read_html(text: str, limits: ParseLimits) -> ParsedText:
    """Raises Unreadable: too_large."""
    builder = TextBuilder(limits.max_text_chars)
    title = write_html(text, builder)
    return builder.build(HTML_MEDIA_TYPE, title=title)


def read_epub(data: bytes, limits: ParseLimits) -> ParsedText:
    """The chapters in reading order. Raises Unreadable: archive_bomb, encrypted, malformed, too_large, unsafe_path."""
    archive = Archive(data, limits)
    if "META-INF/rights.xml" in archive.names:
        raise Unreadable("encrypted", "The book is locked by rights management.")
    root = archive.xml("META-INF/container.xml").find(".//{*}rootfile")
    package_name = "" if root is None else root.get("full-path", "")
    package = archive.xml(package_name)
    files = {item.get("id"): item.get("href", "") for item in package.iterfind("{*}manifest/{*}item")}
    builder = TextBuilder(limits.max_text_chars)
    for chapter in package.iterfind("{*}spine/{*}itemref"):
        name = posixpath.normpath(
            posixpath.join(posixpath.dirname(package_name), unquote(files.get(chapter.get("idref"), "")))
        )
        if name in archive.names:
            data = archive.read(name)
            write_html(data.decode(charset(data) or "utf-8", errors="replace"), builder)
    about = {key: package.findtext(f".//{{*}}metadata/{{*}}{key}", "") for key in ("title", "creator")}
    return builder.build(EPUB_MEDIA_TYPE, title=about["title"], metadata={"author": about["creator"]})


def write_html(text: str, builder: TextBuilder) -> str:
    """Write a page into ``builder``; returns its title."""
    reader = _Reader(builder)
    reader.feed(text)
    reader.close()
    reader.finish()
    return " ".join("".join(reader.title).split())


class _Reader(HTMLParser):
    """Collects text between block tags; tolerant of tags that are never closed."""

    def __init__(self, builder: TextBuilder) -> None:
        super().__init__(convert_charrefs=True)
        self.title: list[str] = []
        self._builder = builder
        self._text: list[str] = []
        self._skipping: list[str] = []
        self._heading = 0
        self._in_title = False
        self._preformatted = 0
        self._rows: list[list[str]] | None = None
        self._tables = 0
        self._in_cell = False
        self._starts_item = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._skipping:
            self._skipping += [tag] if tag == self._skipping[0] else []
            return
        given = dict(attrs)
        hidden = "hidden" in given or _HIDDEN.search(given.get("style") or "")
        if tag in _SKIPPED or (hidden and tag not in _MAY_STAY_OPEN):
            self._skipping = [tag]
        elif tag == "title":
            self._in_title = True
        elif tag == "br":
            self._text.append("\n")
        elif tag == "table":
            self._start_table()
        elif tag in ("tr", "td", "th") and self._rows is not None:
            self._end_cell()
            self._start_cell(tag)
        elif tag == "li":
            self._break()
            self._starts_item = True
        elif tag in _HEADINGS and self._rows is None:
            self.flush()
            self._heading = _HEADINGS[tag]
        elif tag in _BLOCKS or tag in _HEADINGS:
            self._break()
            self._preformatted += tag == "pre"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._skipping:
            if tag == self._skipping[0]:
                self._skipping.pop()
        elif tag == "title":
            self._in_title = False
        elif tag == "table":
            self._end_table()
        elif tag in ("td", "th", "tr"):
            self._end_cell()
        elif tag in _BLOCKS or tag in _HEADINGS or tag == "li":
            self._break()
            self._heading = 0 if tag in _HEADINGS else self._heading
            self._preformatted -= tag == "pre" and self._preformatted > 0

    def handle_data(self, data: str) -> None:
        if self._skipping:
            return
        if self._in_title:
            self.title.append(data)
        else:
            self._text.append(data if self._preformatted else re.sub(r"\s+", " ", data))

    def finish(self) -> None:
        """Write what is left, also of a table that was never closed."""
        if self._rows is not None:
            self._tables = 1
            self._end_table()
        self.flush()

    def flush(self) -> None:
        """Write what was collected as one block."""
        text = re.sub(r" *\n *" if not self._preformatted else r" *\n", "\n", "".join(self._text))
        text = text if self._preformatted else re.sub(r" {2,}", " ", text).strip()
        self._text.clear()
        if self._heading:
            self._builder.heading(text, self._heading)
        elif self._starts_item and text:
            self._builder.line(f"- {text}")
        else:
            self._builder.block(text)
        if text:
            self._heading, self._starts_item = 0, False

    def _break(self) -> None:
        """A block ends, unless a table is open: there it only parts words."""
        if self._rows is None:
            self.flush()
        else:
            self._text.append(" ")

    def _start_table(self) -> None:
        self._break()
        self._tables += 1
        if self._rows is None:
            self._rows = []

    def _start_cell(self, tag: str) -> None:
        if self._rows is None or self._tables > 1:
            return
        if tag == "tr" or not self._rows:
            self._rows.append([])
        self._in_cell = tag != "tr"

    def _end_cell(self) -> None:
        """Also ends a cell that was never closed. A table inside a cell only adds words to it."""
        if self._rows is None or self._tables > 1:
            self._text.append(" ")
            return
        text = "".join(self._text).strip()
        if self._in_cell:
            self._rows[-1].append(text)
        elif text:
            self._rows.append([text])
        self._text.clear()
        self._in_cell = False

    def _end_table(self) -> None:
        if self._tables > 1:
            self._tables -= 1
        elif self._rows is not None:
            self._end_cell()
            self._builder.block(_table(self._rows))
            self._rows, self._tables = None, 0


def _table(rows: list[list[str]]) -> str:
    """Tables that only place text on the page have one cell a row: they are paragraphs."""
    if all(sum(map(bool, row)) <= 1 for row in rows):
        return "\n".join(" ".join("".join(row).split()) for row in rows)
    return table(rows)
