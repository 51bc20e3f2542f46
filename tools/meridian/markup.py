"""The small Markdown of the Meridian sources: front matter, headings, paragraphs, lists, tables, bold."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import Path

COMPANY = "Meridian Insurance Europe SE"
PAGE_WORD = {"en": "Page", "de": "Seite", "fr": "Page"}

Run = tuple[str, bool]  # text, is it bold


@dataclass(frozen=True)
class Heading:
    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Bullets:
    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    rows: tuple[tuple[str, ...], ...]  # the first row is the header


Block = Heading | Paragraph | Bullets | Table


@dataclass(frozen=True)
class Document:
    id: str
    meta: dict[str, str]
    body: str
    blocks: tuple[Block, ...]

    @property
    def title(self) -> str:
        return self.meta["title"]

    @property
    def lang(self) -> str:
        return self.meta["lang"]

    @property
    def format(self) -> str:
        return self.meta["format"]

    @property
    def split(self) -> str:
        return self.meta["split"]

    @property
    def date(self) -> dt.datetime:
        return dt.datetime.fromisoformat(self.meta["date"]).replace(hour=9, minute=30)


def read_document(path: Path) -> Document:
    text = path.read_text(encoding="utf-8")
    match = re.fullmatch(r"---\n(.*?)\n---\n(.*)", text, re.DOTALL)
    if match is None:
        raise ValueError(f"{path.name}: no front matter")
    meta = dict(line.split(": ", 1) for line in match[1].splitlines() if line.strip())
    meta = {key: value.split("  #")[0].strip() for key, value in meta.items()}
    return Document(meta.get("id", ""), meta, match[2].strip() + "\n", parse_blocks(match[2]))


def parse_blocks(body: str) -> tuple[Block, ...]:
    """Group neighbouring lines of the same kind; a heading always stands alone."""
    groups: list[tuple[str, list[str]]] = []
    for line in body.splitlines():
        kind = line_kind(line)
        if groups and groups[-1][0] == kind != "heading":
            groups[-1][1].append(line.strip())
        else:
            groups.append((kind, [line.strip()]))
    return tuple(make_block(kind, lines) for kind, lines in groups if kind != "blank")


def line_kind(line: str) -> str:
    if not line.strip():
        return "blank"
    if re.match(r"#{1,3} ", line):
        return "heading"
    if line.startswith("|"):
        return "table"
    return "bullets" if line.startswith("- ") else "paragraph"


def make_block(kind: str, lines: list[str]) -> Block:
    if kind == "heading":
        marks, text = lines[0].split(" ", 1)
        return Heading(len(marks), text.strip())
    if kind == "bullets":
        return Bullets(tuple(line[2:].strip() for line in lines))
    if kind == "table":
        rows = [line for line in lines if not re.fullmatch(r"[|:\- ]+", line)]
        return Table(tuple(table_cells(row) for row in rows))
    return Paragraph(" ".join(lines))


def table_cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in line.strip().strip("|").split("|"))


def runs(text: str) -> list[Run]:
    """Split "a **b** c" into plain and bold runs."""
    parts = text.split("**")
    return [(part, index % 2 == 1) for index, part in enumerate(parts) if part]


def plain(text: str) -> str:
    return text.replace("**", "")


def plain_quote(quote: str) -> str:
    """A quote as evidence: no bold marks; table cells joined by ' | ' without the outer bars."""
    text = plain(quote).strip()
    return " | ".join(table_cells(text)) if "|" in text else text


def block_texts(block: Block) -> list[str]:
    if isinstance(block, Table):
        return [plain(" | ".join(row)) for row in block.rows]
    if isinstance(block, Bullets):
        return [plain(item) for item in block.items]
    return [plain(block.text)]


def shown_blocks(doc: Document) -> tuple[Block, ...]:
    """The blocks that reach the file: mails and csv files leave out the title heading."""
    return doc.blocks[1:] if doc.format in ("eml", "csv") else doc.blocks


def only_table(doc: Document) -> Table:
    return next(block for block in doc.blocks if isinstance(block, Table))


def fits_cp1252(text: str) -> bool:
    return text.encode("cp1252", errors="ignore").decode("cp1252") == text
