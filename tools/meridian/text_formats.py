"""Text files: md, txt, eml, csv, html and rtf; each function gives the bytes of one file."""

from __future__ import annotations

import csv
import datetime as dt
import html
import io
import textwrap
from collections.abc import Iterable
from email.message import EmailMessage
from email.policy import SMTP

from markup import COMPANY, Block, Bullets, Document, Heading, Table, fits_cp1252, only_table, plain, runs, shown_blocks


def render_md(doc: Document) -> bytes:
    return doc.body.encode("utf-8")


def render_txt(doc: Document) -> bytes:
    """Wrapped text; German and French files use the Windows code page, as old exports do."""
    text = "\n\n".join(text_block(block, 78) for block in doc.blocks) + "\n"
    return text.encode("cp1252" if doc.lang != "en" and fits_cp1252(text) else "utf-8")


def render_eml(doc: Document) -> bytes:
    """A quoted-printable mail; the title is left out, the subject takes its place."""
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = (doc.meta[key] for key in ("from", "to", "subject"))
    message["Date"] = doc.date.replace(tzinfo=dt.UTC)
    message["Message-ID"] = f"<{doc.id}@meridian.example>"
    text = "\n\n".join(text_block(block, None) for block in shown_blocks(doc)) + "\n"
    message.set_content(text, charset="utf-8", cte="quoted-printable")
    message["Content-Language"] = doc.lang
    return message.as_bytes()


def render_csv(doc: Document) -> bytes:
    """The table alone; German and French spreadsheets write semicolons and a byte-order mark."""
    english = doc.lang == "en"
    out = io.StringIO()
    writer = csv.writer(out, delimiter="," if english else ";", lineterminator="\r\n")
    writer.writerows([plain(cell) for cell in row] for row in only_table(doc).rows)
    return out.getvalue().encode("utf-8" if english else "utf-8-sig")


def text_block(block: Block, width: int | None) -> str:
    if isinstance(block, Heading):
        text = plain(block.text)
        return text if block.level > 2 else text + "\n" + ("=" if block.level == 1 else "-") * min(len(text), 78)
    if isinstance(block, Bullets):
        return "\n".join(wrapped("- " + plain(item), width, "  ") for item in block.items)
    if isinstance(block, Table):
        return text_table(block)
    return wrapped(plain(block.text), width, "")


def wrapped(text: str, width: int | None, indent: str) -> str:
    if width is None:
        return text
    return textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def text_table(table: Table) -> str:
    rows = [[plain(cell) for cell in row] for row in table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


# HTML


def render_html(doc: Document) -> bytes:
    article = "\n".join(html_block(block) for block in doc.blocks)
    page = f"""<!DOCTYPE html>
<html lang="{doc.lang}">
<head>
<meta charset="utf-8">
<title>{html.escape(doc.title)}</title>
<meta name="date" content="{doc.meta["date"]}">
</head>
<body>
<header><p>{COMPANY}</p></header>
<main>
<article>
{article}
</article>
</main>
<footer><p>{doc.id} · {doc.meta["date"]}</p></footer>
</body>
</html>
"""
    return page.encode("utf-8")


def html_block(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{html_text(block.text)}</h{block.level}>"
    if isinstance(block, Bullets):
        return "<ul>\n" + "\n".join(f"<li>{html_text(item)}</li>" for item in block.items) + "\n</ul>"
    if isinstance(block, Table):
        head = html_row(block.rows[0], "th")
        body = "\n".join(html_row(row, "td") for row in block.rows[1:])
        return f"<table>\n<thead>\n{head}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>"
    return f"<p>{html_text(block.text)}</p>"


def html_row(cells: Iterable[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html_text(cell)}</{tag}>" for cell in cells) + "</tr>"


def html_text(text: str) -> str:
    return "".join(
        f"<strong>{html.escape(part)}</strong>" if bold else html.escape(part, quote=False) for part, bold in runs(text)
    )


# Rich text format


def render_rtf(doc: Document) -> bytes:
    header = (
        r"{\rtf1\ansi\ansicpg1252\deff0\uc1{\fonttbl{\f0\fswiss Arial;}}"
        r"{\stylesheet{\s0 Normal;}{\s1\b\fs36\outlinelevel0 heading 1;}"
        r"{\s2\b\fs28\outlinelevel1 heading 2;}{\s3\b\fs24\outlinelevel2 heading 3;}}"
    )
    body = "\n".join(rtf_block(block) for block in doc.blocks)
    return f"{header}\n{rtf_info(doc)}\n{body}\n}}\n".encode("ascii")


def rtf_info(doc: Document) -> str:
    day = f"\\yr{doc.date.year}\\mo{doc.date.month}\\dy{doc.date.day}"
    return f"{{\\info{{\\title {rtf_escape(doc.title)}}}{{\\author {COMPANY}}}{{\\creatim{day}}}}}"


def rtf_block(block: Block) -> str:
    if isinstance(block, Heading):
        look = f"\\s{block.level}\\b\\fs{(36, 28, 24)[block.level - 1]}\\outlinelevel{block.level - 1}"
        return f"{{\\pard{look}\\sb240\\sa120 {rtf_text(block.text)}\\par}}"
    if isinstance(block, Bullets):
        return "\n".join(f"{{\\pard\\fi-360\\li720\\sa60 \\bullet\\tab {rtf_text(item)}\\par}}" for item in block.items)
    if isinstance(block, Table):
        return "\n".join(map(rtf_row, block.rows)) + "\n\\pard"
    return f"{{\\pard\\s0\\fs22\\sa120 {rtf_text(block.text)}\\par}}"


def rtf_row(cells: tuple[str, ...]) -> str:
    edges = "".join(f"\\cellx{9000 * (index + 1) // len(cells)}" for index in range(len(cells)))
    return f"\\trowd{edges}\n" + "".join(f"\\pard\\intbl {rtf_text(cell)}\\cell\n" for cell in cells) + "\\row"


def rtf_text(text: str) -> str:
    return "".join(f"{{\\b {rtf_escape(part)}}}" if bold else rtf_escape(part) for part, bold in runs(text))


def rtf_escape(text: str) -> str:
    return "".join(map(rtf_char, text))


def rtf_char(char: str) -> str:
    if char in "\\{}":
        return "\\" + char
    if ord(char) < 128:
        return char
    if fits_cp1252(char):
        return f"\\'{char.encode('cp1252')[0]:02x}"
    return f"\\u{ord(char)}?"
