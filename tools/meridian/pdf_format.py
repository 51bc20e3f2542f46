"""PDF through reportlab: A4, running header and footer, page numbers, outline."""

from __future__ import annotations

import io
import textwrap
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, ListFlowable, ListItem, PageTemplate
from reportlab.platypus import Paragraph as PdfParagraph
from reportlab.platypus import Table as PdfTable

from markup import COMPANY, PAGE_WORD, Block, Bullets, Document, Heading, Table, fits_cp1252, runs


def render_pdf(doc: Document) -> bytes:
    regular, bold = pdf_fonts(doc)
    styles = pdf_styles(regular, bold)
    out = io.BytesIO()
    template = PdfPages(doc, regular, out)
    template.build([pdf_block(block, styles) for block in doc.blocks])
    return out.getvalue()


class PdfPages(BaseDocTemplate):
    """A4 pages with a running header and footer, and an outline entry for every heading."""

    def __init__(self, doc: Document, font: str, out: io.BytesIO) -> None:
        super().__init__(
            out,
            pagesize=A4,
            invariant=1,
            title=doc.title,
            author=COMPANY,
            lang=doc.lang,
            leftMargin=24 * mm,
            rightMargin=24 * mm,
            topMargin=26 * mm,
            bottomMargin=24 * mm,
        )
        self.source, self.font, self.headings = doc, font, 0
        frame = Frame(self.leftMargin, self.bottomMargin, self.width, self.height, id="text")
        self.addPageTemplates(PageTemplate("page", [frame], onPage=self.draw_margins))

    def draw_margins(self, canvas: Canvas, _: BaseDocTemplate) -> None:
        doc, right = self.source, A4[0] - self.rightMargin
        canvas.setFont(self.font, 8)
        canvas.setFillGray(0.35)
        canvas.drawString(self.leftMargin, A4[1] - 15 * mm, textwrap.shorten(doc.title, 80, placeholder=" ..."))
        canvas.drawString(self.leftMargin, 13 * mm, f"{COMPANY} · {doc.meta['date']}")
        canvas.drawRightString(right, 13 * mm, f"{PAGE_WORD[doc.lang]} {canvas.getPageNumber()}")
        canvas.setStrokeGray(0.6)
        canvas.line(self.leftMargin, A4[1] - 17 * mm, right, A4[1] - 17 * mm)
        canvas.line(self.leftMargin, 17 * mm, right, 17 * mm)

    def afterFlowable(self, flowable: Flowable) -> None:
        if isinstance(flowable, PdfParagraph) and flowable.style.name.startswith("h"):
            self.headings += 1
            key, level = f"h{self.headings}", int(flowable.style.name[1:]) - 1
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(flowable.getPlainText(), key, level=level)


def pdf_fonts(doc: Document) -> tuple[str, str]:
    """Helvetica holds the Windows code page; a name such as Aydın needs the Vera that comes with reportlab."""
    if fits_cp1252(doc.title + doc.body):
        return "Helvetica", "Helvetica-Bold"
    regular, bold = TTFont("Vera", "Vera.ttf"), TTFont("Vera-Bold", "VeraBd.ttf")
    missing = {char for char in doc.title + doc.body if char > " " and ord(char) not in regular.face.charToGlyph}
    if missing:
        raise ValueError(f"{doc.id}: no font for {sorted(missing)}")
    pdfmetrics.registerFont(regular)
    pdfmetrics.registerFont(bold)
    pdfmetrics.registerFontFamily("Vera", normal="Vera", bold="Vera-Bold", italic="Vera", boldItalic="Vera-Bold")
    return "Vera", "Vera-Bold"


def pdf_styles(regular: str, bold: str) -> dict[str, ParagraphStyle]:
    text = ParagraphStyle("text", fontName=regular, fontSize=10, leading=14, spaceAfter=6)
    cell = ParagraphStyle("cell", fontName=regular, fontSize=9, leading=11.5)
    styles = [text, cell, ParagraphStyle("head", parent=cell, fontName=bold)]
    for level, size in ((1, 17), (2, 12.5), (3, 10.5)):
        styles.append(
            ParagraphStyle(
                f"h{level}",
                fontName=bold,
                fontSize=size,
                leading=size * 1.3,
                spaceBefore=10,
                spaceAfter=5,
                keepWithNext=1,
            )
        )
    return {style.name: style for style in styles}


def pdf_block(block: Block, styles: dict[str, ParagraphStyle]) -> Flowable:
    if isinstance(block, Heading):
        return PdfParagraph(pdf_text(block.text), styles[f"h{block.level}"])
    if isinstance(block, Bullets):
        items = [ListItem(PdfParagraph(pdf_text(item), styles["text"])) for item in block.items]
        return ListFlowable(items, bulletType="bullet", start="•", leftIndent=14)
    if isinstance(block, Table):
        return pdf_table(block, styles)
    return PdfParagraph(pdf_text(block.text), styles["text"])


def pdf_table(table: Table, styles: dict[str, ParagraphStyle]) -> PdfTable:
    head = [PdfParagraph(pdf_text(cell), styles["head"]) for cell in table.rows[0]]
    body = [[PdfParagraph(pdf_text(cell), styles["cell"]) for cell in row] for row in table.rows[1:]]
    longest = [min(40, max(len(cell) for cell in column)) for column in zip(*table.rows, strict=True)]
    widths = [162 * mm * (length + 4) / sum(length + 4 for length in longest) for length in longest]
    look = [
        ("GRID", (0, 0), (-1, -1), 0.4, colors.grey),
        ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
    return PdfTable([head, *body], colWidths=widths, repeatRows=1, style=look, spaceBefore=4, spaceAfter=10)


def pdf_text(text: str) -> str:
    return "".join(f"<b>{escape(part)}</b>" if bold else escape(part) for part, bold in runs(text))
