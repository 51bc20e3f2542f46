"""Every kind of file: its text, its headings, its pages."""

from __future__ import annotations

import pytest
from file_makers import docx, eml, epub, odt, paragraph, pdf, pptx, shape, xlsx

from freehold.core.types import ParsedText
from freehold.text.parse.outcome import Rejected
from freehold.text.parse.parser import parse


def read(data: bytes | str, name: str = "file") -> ParsedText:
    parsed = parse(data.encode() if isinstance(data, str) else data, name=name)
    assert isinstance(parsed, ParsedText), parsed
    return parsed


def headings(parsed: ParsedText) -> list[tuple[int, str]]:
    return [(h.level, parsed.text[h.start : h.end]) for h in parsed.headings]


def pages(parsed: ParsedText) -> list[str]:
    assert [p.start for p in parsed.pages] == [0, *(p.end for p in parsed.pages[:-1])]
    assert parsed.pages[-1].end == len(parsed.text)
    return [parsed.text[p.start : p.end].strip() for p in parsed.pages]


GREETING = "Grüße aus Köln: 5 € für § 7 – “fin”"


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "cp1252"],
)
def test_text_in_any_encoding(encoding: str) -> None:
    assert read(GREETING.encode(encoding), "a.txt").text == GREETING


def test_latin_1_bytes_that_windows_does_not_know() -> None:
    assert read(b"caf\xe9 \x81 na\xefve", "a.txt").text == "café \x81 naïve"


def test_a_bad_byte_costs_one_character_of_utf_8() -> None:
    text = "Grüße aus Köln: Übermaß, 5 € für § 7. "
    assert read(text.encode() + b"\xff" + text.encode(), "a.txt").text == text + "\ufffd" + text
    cut = (text * 3).encode()[:-9]  # in the middle of a sequence
    assert read(cut, "a.txt").text == (text * 3).encode()[:-10].decode() + "\ufffd"


def test_windows_1252_with_a_sequence_that_could_be_utf_8() -> None:
    text = "„MENÜ“ für Gäste, Übermaß"
    assert read(text.encode("cp1252"), "a.txt").text == text


@pytest.mark.parametrize(
    ("data", "name", "media_type"),
    [
        (pdf([[(12, 700, "Hello there")]]), "letter.txt", "application/pdf"),
        (
            docx(paragraph("Hello")),
            "sheet.xlsx",
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ),
        (b"Just words, no PDF.", "report.pdf", "text/plain"),
        (b"Dear all, nothing of a mail here", "note.eml", "text/plain"),
        (b"From: a@example.org\nTo: b@example.org\nSubject: Hi\n\nHello", "saved.txt", "message/rfc822"),
        (b"Subject: this is one line of an agenda\nand text", "agenda.txt", "text/plain"),
        (b"<!DOCTYPE html><html><p>Hello</html>", "page.txt", "text/html"),
        (b"no markup, 1 < 2 here", "page.html", "text/plain"),
        (b'{"a": 1}\n{"a": 2}', "records.json", "application/x-ndjson"),
        (b"{not json}", "records.json", "text/plain"),
        (b"{\\rtf1 Hello}", "letter.doc", "application/rtf"),
    ],
)
def test_content_wins_over_the_name(data: bytes, name: str, media_type: str) -> None:
    assert read(data, name).media_type == media_type


def test_markdown() -> None:
    source = "# Title #\n\ntext\n\n## Part *one*\n\n```sh\n# a comment\n```\n\nUnder\n-----\n\n---\n#hashtag\n"
    parsed = read(source, "a.md")
    assert (parsed.text, parsed.title) == (source, "Title")
    assert headings(parsed) == [(1, "Title"), (2, "Part *one*"), (2, "Under")]


def test_restructured_text() -> None:
    source = "=====\nTitle\n=====\n\nPart\n----\n\ntext\n\nDeeper\n~~~~~~\n\nOther\n-----\n\n+---+\n| a |\n+---+\n"
    assert headings(read(source, "a.rst")) == [(1, "Title"), (2, "Part"), (3, "Deeper"), (2, "Other")]


def test_csv_rows_are_readable_one_by_one() -> None:
    parsed = read('Name;Price;Note\n"Trowel; small";12,5;\nCan;18;"two\nlines"\n', "a.csv")
    assert (
        parsed.text
        == "| Name | Price | Note |\nName: Trowel; small; Price: 12,5\nName: Can; Price: 18; Note: two lines"
    )


def test_csv_without_a_header_is_a_table() -> None:
    assert read("1,2\n3,4\n", "a.csv").text == "| 1 | 2 |\n| 3 | 4 |"


def test_json_and_json_lines() -> None:
    assert read('{"a": {"b": [1, "two"]}, "c": null, "d": false}', "a.json").text == "a.b: 1\na.b: two\nd: false"
    assert read('{"n": "x"}\n\n{"n": "y"}', "a.jsonl").text == "n: x\n\nn: y"


def test_xml_records_and_running_text() -> None:
    source = '<?xml version="1.0" encoding="iso-8859-1"?><r><i><n>Köln</n><c>DE</c></i><p>A <b>bold</b> word.</p></r>'
    assert read(source.encode("latin-1"), "a.xml").text == "n: Köln\nc: DE\n\nA bold word."


def test_html() -> None:
    parsed = read(
        "<html><head><title>T &amp; Co</title><style>p {}</style></head><body><h1>One <i>two</i></h1>"
        "<p>First<br>line &euro;5<p>Second <span style='display: none'>hidden</span>para"
        "<script>var x = '<p>no</p>';</script><ul><li>a<li>b <ul><li>c</ul></ul><h3>Deep</h3>"
        "<table><tr><th>K<th>V<tr><td>x<td><p>1</p><p>2</p></table><pre>  keep\n   this</pre></body></html>"
    )
    assert parsed.text == (
        "One two\n\nFirst\nline €5\n\nSecond para\n- a\n- b\n- c\n\nDeep\n\n| K | V |\n| x | 1 2 |\n\n  keep\n   this"
    )
    assert headings(parsed) == [(1, "One two"), (3, "Deep")]
    assert parsed.title == "T & Co"


def test_html_headings_with_blocks_inside() -> None:
    parsed = read(
        "<html><h1><div>Title</div></h1><p>a</p><h2> </h2><p>b</p><h3><table><tr><td>c</table></h3><p>d</html>"
    )
    assert parsed.text == "Title\n\na\n\nb\n\nc\n\nd"
    assert headings(parsed) == [(1, "Title")]


def test_html_left_open_loses_nothing() -> None:
    parsed = read("<html><p hidden>a<p>b<table><tr><td>c<td>d<tr><td>e<table><td>f")
    assert parsed.text == "a\n\nb\n\n| c | d |\n| e f |"


def test_html_says_its_encoding() -> None:
    assert read("<html><meta charset=iso-8859-2><p>Łódź</p></html>".encode("iso-8859-2")).text == "Łódź"


def test_epub_chapters_in_reading_order() -> None:
    parsed = read(epub(["<html><h1>One</h1><p>first</p></html>", "<html><h1>Two</h1><p>second</p></html>"], "The book"))
    assert (parsed.text, parsed.title) == ("One\n\nfirst\n\nTwo\n\nsecond", "The book")
    assert headings(parsed) == [(1, "One"), (1, "Two")]


def test_rtf() -> None:
    parsed = read(
        rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\info{\title secret}}{\*\generator X;}"
        rb"\pard\outlinelevel0 Gro\'dfe \'dcbersicht\par\pard Preis: 5 \u8364?{\b fett}\line n\u228\'e4chste "
        rb"\{1\}\~x\par "
        rb"\trowd a\cell b\cell\row c\cell d\cell\row\pard \u-10179?\u-8704?\par}"
    )
    assert parsed.text == "Große Übersicht\n\nPreis: 5 €fett\nnächste {1}\u00a0x\n\n| a | b |\n| c | d |\n\n😀"
    assert headings(parsed) == [(1, "Große Übersicht")]


def test_docx_headings_numbers_tables_and_tracked_changes() -> None:
    style = '<w:style w:styleId="{}"><w:name w:val="{}"/>{}</w:style>'
    styles = style.format("H1", "heading 1", "") + style.format("Own", "My own", '<w:basedOn w:val="H1"/>')
    level = '<w:lvl w:ilvl="{}"><w:start w:val="1"/><w:numFmt w:val="{}"/><w:lvlText w:val="{}"/></w:lvl>'
    numbering = (
        f'<w:abstractNum w:abstractNumId="7">{level.format(0, "decimal", "%1.")}'
        f"{level.format(1, 'lowerLetter', '%1(%2)')}"
        '</w:abstractNum><w:num w:numId="3"><w:abstractNumId w:val="7"/></w:num>'
    )
    item = '<w:numPr><w:ilvl w:val="{}"/><w:numId w:val="3"/></w:numPr>'
    cell = "<w:tc><w:p><w:r><w:t>{}</w:t></w:r></w:p></w:tc>"
    body = "".join(
        [
            paragraph("Scope", '<w:pStyle w:val="H1"/>' + item.format(0)),
            paragraph("first", item.format(1)),
            paragraph("second", item.format(1)),
            paragraph("Term", '<w:pStyle w:val="Own"/>' + item.format(0)),
            paragraph("again first", item.format(1)),
            "<w:p><w:r><w:t>kept</w:t></w:r><w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>"
            "<w:ins><w:r><w:t> added</w:t><w:tab/><w:noBreakHyphen/></w:r></w:ins>"
            '<w:r><w:footnoteReference w:id="2"/></w:r></w:p>',
            f"<w:tbl><w:tr>{cell.format('a')}{cell.format('b')}</w:tr></w:tbl>",
            paragraph("outlined", '<w:outlineLvl w:val="2"/>'),
        ]
    )
    parsed = read(
        docx(
            body,
            styles=styles,
            numbering=numbering,
            footnotes=f'<w:footnote w:id="2">{paragraph("A note")}</w:footnote>',
        )
    )
    assert parsed.text == (
        "1. Scope\n1(a) first\n1(b) second\n\n2. Term\n2(a) again first\n\n"
        "kept added\t-[2]\n\n| a | b |\n\noutlined\n\n[2] A note"
    )
    assert headings(parsed) == [(1, "1. Scope"), (1, "2. Term"), (3, "outlined")]


def test_docx_rows_in_content_controls_and_deleted_rows() -> None:
    def row(text: str, properties: str = "") -> str:
        return f"<w:tr>{properties}<w:tc>{paragraph(text)}</w:tc><w:tc>{paragraph('x')}</w:tc></w:tr>"

    control = f"<w:sdt><w:sdtPr/><w:sdtContent>{row('controlled')}</w:sdtContent></w:sdt>"
    wrapped = f"<w:tr><w:sdt><w:sdtContent><w:tc>{paragraph('cell')}</w:tc></w:sdtContent></w:sdt></w:tr>"
    deleted, inserted = (row(f"{name}eted", f"<w:trPr><w:{name}/></w:trPr>") for name in ("del", "ins"))
    parsed = read(docx(f"<w:tbl>{row('plain')}{control}{deleted}{inserted}{wrapped}</w:tbl>"))
    assert parsed.text == "| plain | x |\n| controlled | x |\n| inseted | x |\n| cell |"


def test_odt() -> None:
    parsed = read(
        odt(
            '<text:h text:outline-level="2">Part</text:h><text:p>a<text:s text:c="3"/>b<text:line-break/>c'
            "<text:note><text:note-citation>1</text:note-citation>"
            "<text:note-body><text:p>Note</text:p></text:note-body>"
            "</text:note></text:p><text:list><text:list-item><text:p>x</text:p></text:list-item></text:list>"
            "<table:table><table:table-row><table:table-cell><text:p>1</text:p></table:table-cell>"
            '<table:table-cell table:number-columns-repeated="2"><text:p>2</text:p></table:table-cell>'
            "</table:table-row></table:table>"
        )
    )
    assert parsed.text == "Part\n\na   b\nc[1]\n\n[1] Note\n\n- x\n\n| 1 | 2 | 2 |"
    assert headings(parsed) == [(2, "Part")]


def test_xlsx_rows_dates_and_percentages() -> None:
    styles = (
        '<numFmts><numFmt numFmtId="164" formatCode="dd/mm/yyyy"/></numFmts>'
        '<cellXfs><xf numFmtId="0"/><xf numFmtId="164"/><xf numFmtId="9"/></cellXfs>'
    )
    rows = (
        '<row><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c>'
        '<c r="D1" t="inlineStr"><is><t>Share</t></is></c></row>'
        '<row><c r="A2" t="str"><v>Ann</v></c><c r="B2" s="1"><v>46083</v></c><c r="D2" s="2"><v>0.125</v></c></row>'
        '<row><c r="A3" t="b"><v>1</v></c><c r="B3"><v>0.30000000000000004</v></c></row>'
    )
    parsed = read(
        xlsx({"Staff": rows, "Empty": "", "Far": '<row><c r="XFD9"><v>7</v></c></row>'}, ["Name", "Since"], styles)
    )
    staff, far = parsed.text.split("\n\nFar\n\n")
    assert staff == (
        "Staff\n\n| Name | Since | Share |\nName: Ann; Since: 2026-03-02; Share: 12.5%\nName: TRUE; Since: 0.3"
    )
    assert far == "| 7 |"
    assert headings(parsed) == [(1, "Staff"), (1, "Far")]


def test_pptx_slides_are_pages() -> None:
    slides = [
        shape("Body one\nline two") + shape("Title one", "title") + shape("3", "sldNum") + shape("Footer", "ftr"),
        "",
        f"<p:grpSp>{shape('Grouped')}</p:grpSp>",
    ]
    parsed = read(pptx(slides, notes={2: shape("Spoken", "body")}))
    assert pages(parsed) == ["Title one\n\nBody one\nline two", "", "Grouped\n\nSpoken"]
    assert headings(parsed) == [(1, "Title one")]


def test_pdf_pages_paragraphs_and_headings() -> None:
    body = [(12, 700 - 15 * n, f"Line {n} of the first paragraph is of the usual size,") for n in range(4)]
    first = [(24, 780, "Master Agreement"), (16, 730, "1 Scope"), *body, (12, 600, "A second paragraph.")]
    second = [(16, 780, "2 Term"), (12, 750, "Thirty days.")]
    parsed = read(pdf([first, [], second]))
    assert [len(page.split("\n\n")) for page in pages(parsed)] == [4, 1, 2]
    assert headings(parsed) == [(1, "Master Agreement"), (2, "1 Scope"), (2, "2 Term")]
    assert parsed.text.endswith("2 Term\n\nThirty days.")


def test_running_titles_of_a_pdf_are_no_headings() -> None:
    parsed = read(pdf([[(18, 800, "ACME AG"), (12, 700, "Text on this page, long enough to be the body.")]] * 3))
    assert headings(parsed) == []


def test_email_with_attachments_inside_attachments() -> None:
    inner = eml("Inner", "inner body", {"notes.md": b"# Notes\n\nmarkdown"})
    parsed = read(
        eml("Outer ü", "outer body", {"inner.eml": inner, "logo.png": b"\x89PNG\r\n\x1a\n\0\0\0", "x.txt": b""})
    )
    assert headings(parsed) == [
        (1, "Outer ü"),
        (2, "Attachment: inner.eml"),
        (3, "Inner"),
        (4, "Attachment: notes.md"),
        (5, "Notes"),
    ]
    assert "From: Ann <ann@example.org>\nTo: bob@example.org\n" in parsed.text
    assert parsed.text.index("outer body") < parsed.text.index("inner body") < parsed.text.index("markdown")
    assert parsed.metadata["attachments_skipped"] == "logo.png (unknown_format), x.txt (empty)"


def test_email_of_html_only() -> None:
    source = b"From: a@example.org\nSubject: S\nContent-Type: text/html; charset=utf-8\n\n<h2>Head</h2><p>Body</p>"
    assert headings(read(source, "a.eml")) == [(1, "S"), (2, "Head")]


TEXT, HTML = "Content-Type: text/plain\n\n{}\n", "Content-Type: text/html\n\n<p>{}</p>\n"
FILE = "Content-Type: text/plain; name=notes.txt\nContent-Disposition: attachment; filename=notes.txt\n\nin a file\n"


def multipart(kind: str, *parts: str) -> str:
    inner = "".join(f"--{kind}\n{part}" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{kind}"\n\n{inner}--{kind}--\n'


@pytest.mark.parametrize(
    ("source", "body"),
    [
        (multipart("mixed", TEXT.format("before"), FILE, TEXT.format("after")), "before\n\nafter"),
        (multipart("mixed", HTML.format("before"), FILE, HTML.format("after")), "before\n\nafter"),
        (multipart("mixed", HTML.format("before"), TEXT.format("1 < 2")), "before\n\n1 < 2"),
        (multipart("mixed", multipart("alternative", TEXT.format("a"), HTML.format("b")), TEXT.format("c")), "a\n\nc"),
        (
            multipart("alternative", TEXT.format("a"), multipart("mixed", HTML.format("b"), FILE, HTML.format("c"))),
            "a",
        ),
    ],
)
def test_an_email_goes_on_after_an_attachment(source: str, body: str) -> None:
    parsed = read(f"From: a@example.org\nTo: b@example.org\nSubject: S\n{source}", "a.eml")
    text, _, attached = parsed.text.partition("\n\nAttachment: notes.txt\n\n")
    assert text == f"S\n\nFrom: a@example.org\nTo: b@example.org\n\n{body}"
    assert attached == ("in a file" if "notes.txt" in source else "")


def test_messages_attached_too_deep_are_named_not_read() -> None:
    message = eml("0", "innermost")
    for n in range(1, 6):
        message = eml(str(n), f"body {n}", {"m.eml": message})
    parsed = read(message)
    assert "body 2" in parsed.text
    assert "innermost" not in parsed.text


def test_message_of_a_rejected_file_never_quotes_it() -> None:
    outcome = parse(b'{"secret": "Jane Roe"}\n{"broken', name="a.jsonl")
    assert outcome == Rejected("malformed", "Line 2 of the file is not valid JSON.")
