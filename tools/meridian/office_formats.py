"""Zipped office files: docx, xlsx and odt, with fixed dates so that two builds give the same bytes."""

from __future__ import annotations

import io
import re
import zipfile
from xml.sax.saxutils import escape

import docx
import openpyxl
from docx.document import Document as WordDocument
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.text.paragraph import Paragraph as WordParagraph
from openpyxl.styles import Alignment, Font

from markup import COMPANY, PAGE_WORD, Block, Bullets, Document, Heading, Table, only_table, plain, runs

ZIP_DATE = (2025, 1, 1, 0, 0, 0)


# Word and Excel


def render_docx(doc: Document) -> bytes:
    word = docx.Document()
    core = word.core_properties
    core.title, core.author, core.language, core.comments = doc.title, COMPANY, doc.lang, ""
    core.created = core.modified = doc.date
    word.sections[0].header.paragraphs[0].text = doc.title
    add_page_number(word.sections[0].footer.paragraphs[0], PAGE_WORD[doc.lang])
    for block in doc.blocks:
        add_word_block(word, block)
    out = io.BytesIO()
    word.save(out)
    return repacked(out.getvalue(), doc)


def add_word_block(word: WordDocument, block: Block) -> None:
    if isinstance(block, Heading):
        word.add_heading(plain(block.text), block.level)
    elif isinstance(block, Bullets):
        for item in block.items:
            add_runs(word.add_paragraph(style="List Bullet"), item)
    elif isinstance(block, Table):
        grid = word.add_table(len(block.rows), len(block.rows[0]), style="Table Grid")
        for row, cells in zip(grid.rows, block.rows, strict=True):
            for cell, text in zip(row.cells, cells, strict=True):
                add_runs(cell.paragraphs[0], text, bold=cells is block.rows[0])
        word.add_paragraph()
    else:
        add_runs(word.add_paragraph(), block.text)


def add_runs(paragraph: WordParagraph, text: str, bold: bool = False) -> None:
    for part, strong in runs(text):
        paragraph.add_run(part).bold = True if bold or strong else None


def add_page_number(paragraph: WordParagraph, word: str) -> None:
    run = paragraph.add_run(f"{word} ")
    for kind, text in (("begin", None), (None, "PAGE"), ("end", None)):
        element = OxmlElement("w:fldChar" if kind else "w:instrText")
        if kind:
            element.set(qn("w:fldCharType"), kind)
        else:
            element.text = text
        run._r.append(element)


def render_xlsx(doc: Document) -> bytes:
    """The title in the first row, the table from the third row on."""
    book = openpyxl.Workbook()
    book.properties.title, book.properties.creator, book.properties.created = doc.title, COMPANY, doc.date
    sheet = book.active
    sheet.title = re.sub(r"[\[\]:*?/\\]", " ", doc.title)[:31].strip()
    sheet.append([plain(doc.blocks[0].text) if isinstance(doc.blocks[0], Heading) else doc.title])
    sheet.append([])
    for row in only_table(doc).rows:
        sheet.append([plain(cell) for cell in row])
    for cell in (sheet["A1"], *sheet[3]):
        cell.font = Font(bold=True)
    for column in sheet.iter_cols(min_row=3):
        longest = max(len(cell.value or "") for cell in column)
        sheet.column_dimensions[column[0].column_letter].width = min(45, longest + 2)
        for cell in column:
            cell.alignment = Alignment(wrap_text=True, vertical="top")
    out = io.BytesIO()
    book.save(out)
    return repacked(out.getvalue(), doc)


def repacked(archive: bytes, doc: Document) -> bytes:
    """The same zip with fixed times, so that two builds give the same bytes."""
    stamp = doc.date.strftime(r"\g<1>%Y-%m-%dT%H:%M:%SZ").encode()
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        members = [(name, source.read(name)) for name in sorted(source.namelist()) if "thumbnail" not in name]
    fixed = {
        name: re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", stamp, data) if name == "docProps/core.xml" else data
        for name, data in members
    }
    fixed["_rels/.rels"] = re.sub(rb"<Relationship [^>]*thumbnail[^>]*/>", b"", fixed["_rels/.rels"])
    return zipped(fixed)


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, ZIP_DATE)
            info.external_attr = 0o644 << 16
            info.create_system = 3
            info.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return out.getvalue()


# OpenDocument text

ODF = "urn:oasis:names:tc:opendocument:xmlns:"
ODT_SPACES = (
    " ".join(
        f'xmlns:{prefix}="{ODF}{name}:1.0"'
        for prefix, name in (
            ("office", "office"),
            ("text", "text"),
            ("table", "table"),
            ("style", "style"),
            ("meta", "meta"),
            ("fo", "xsl-fo-compatible"),
            ("manifest", "manifest"),
        )
    )
    + ' xmlns:dc="http://purl.org/dc/elements/1.1/"'
)
ODT_TYPE = "application/vnd.oasis.opendocument.text"


def render_odt(doc: Document) -> bytes:
    content = "".join(odt_block(block) for block in doc.blocks)
    bold = (
        '<style:style style:name="B" style:family="text"><style:text-properties fo:font-weight="bold"/></style:style>'
    )
    meta = (
        f"<dc:title>{escape(doc.title)}</dc:title><dc:creator>{COMPANY}</dc:creator>"
        f"<dc:language>{doc.lang}</dc:language><dc:date>{doc.date.isoformat()}</dc:date>"
    )
    parts = {
        "content.xml": odt_xml(
            "office:document-content",
            f"<office:automatic-styles>{bold}</office:automatic-styles>"
            f"<office:body><office:text>{content}</office:text></office:body>",
        ),
        "styles.xml": odt_xml("office:document-styles", f"<office:styles>{odt_styles()}</office:styles>"),
        "meta.xml": odt_xml("office:document-meta", f"<office:meta>{meta}</office:meta>"),
    }
    entries = "".join(
        f'<manifest:file-entry manifest:full-path="{path}" manifest:media-type="{kind}"/>'
        for path, kind in [("/", ODT_TYPE), *((name, "text/xml") for name in parts)]
    )
    manifest = f'<manifest:manifest {ODT_SPACES} manifest:version="1.2">{entries}</manifest:manifest>'
    return zipped({"mimetype": ODT_TYPE.encode(), **parts, "META-INF/manifest.xml": xml_bytes(manifest)})


def odt_xml(root: str, inside: str) -> bytes:
    return xml_bytes(f'<{root} {ODT_SPACES} office:version="1.2">{inside}</{root}>')


def xml_bytes(text: str) -> bytes:
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + text).encode("utf-8")


def odt_styles() -> str:
    return "".join(
        f'<style:style style:name="Heading_20_{level}" style:display-name="Heading {level}" style:family="paragraph"'
        f' style:default-outline-level="{level}">'
        '<style:paragraph-properties fo:margin-top="0.4cm" fo:margin-bottom="0.2cm"/>'
        f'<style:text-properties fo:font-size="{size}pt" fo:font-weight="bold"/></style:style>'
        for level, size in ((1, 18), (2, 14), (3, 12))
    )


def odt_block(block: Block) -> str:
    if isinstance(block, Heading):
        look = f'text:style-name="Heading_20_{block.level}" text:outline-level="{block.level}"'
        return f"<text:h {look}>{odt_text(block.text)}</text:h>"
    if isinstance(block, Bullets):
        items = "".join(f"<text:list-item>{odt_paragraph(item)}</text:list-item>" for item in block.items)
        return f"<text:list>{items}</text:list>"
    if isinstance(block, Table):
        head = f"<table:table-header-rows>{odt_row(block.rows[0])}</table:table-header-rows>"
        columns = f'<table:table-column table:number-columns-repeated="{len(block.rows[0])}"/>'
        return f"<table:table>{columns}{head}{''.join(map(odt_row, block.rows[1:]))}</table:table>"
    return odt_paragraph(block.text)


def odt_row(cells: tuple[str, ...]) -> str:
    start, end = '<table:table-cell office:value-type="string">', "</table:table-cell>"
    inside = "".join(start + odt_paragraph(cell) + end for cell in cells)
    return f"<table:table-row>{inside}</table:table-row>"


def odt_paragraph(text: str) -> str:
    return f"<text:p>{odt_text(text)}</text:p>"


def odt_text(text: str) -> str:
    return "".join(
        f'<text:span text:style-name="B">{escape(part)}</text:span>' if bold else escape(part)
        for part, bold in runs(text)
    )
