"""Bad input: each kind gets its reason, and nothing raises."""

from __future__ import annotations

import random
import struct
import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from file_makers import docx, eml, epub, odt, paragraph, pdf, pptx, shape, xlsx, zipped
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.types import ParsedText
from freehold.text.parse.outcome import ParseLimits, Rejected
from freehold.text.parse.parser import parse

ENCRYPTED_PDF = (
    "/Encrypt << /Filter /Standard /V 1 /R 2 /Length 40 /P -44 "
    "/O <2055c756c72e1ad702608e8196acad447ad32d17cff583235f6dd15fed7dab67> "
    "/U <7150bd1da9d292af3627fca6a8dde1d696e25312041aed09059f9daee04353ae> >> "
    "/ID [<db5774ecc7b1b1c4> <db5774ecc7b1b1c4>] "
)
ENCRYPTED_MAIL = (
    b"From: a@example.org\nTo: b@example.org\nContent-Type: multipart/encrypted; boundary=x\n\n--x\n\nzz\n--x--"
)
ENVELOPED_MAIL = (
    b"From: a@example.org\nTo: b@example.org\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\n"
    b"Content-Transfer-Encoding: base64\n\nAAAA"
)
BILLION_LAUGHS = b"<?xml version='1.0'?><!DOCTYPE r [<!ENTITY a0 'ha'>" + b"".join(
    b"<!ENTITY a%d '%s'>" % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 10)
)
MANIFEST = {"META-INF/manifest.xml": '<m:m xmlns:m="urn:m"><m:encryption-data/></m:m>'}


def reason(data: bytes, name: str = "file", limits: ParseLimits | None = None) -> str | None:
    outcome = parse(data, name=name, limits=limits or ParseLimits())
    return outcome.reason if isinstance(outcome, Rejected) else None


def locked(data: bytes) -> bytes:
    """The zip with the encryption flag set in every member's central record."""
    parts = data.split(b"PK\x01\x02")
    return b"PK\x01\x02".join([parts[0], *(p[:4] + b"\x01\x00" + p[6:] for p in parts[1:])])


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b"", "a.txt", "empty"),
        (b"", "a.pdf", "empty"),
        (b" \n\t\n", "a.txt", "whitespace_only"),
        ("\u200b\ufeff\u00a0\n".encode(), "a.txt", "whitespace_only"),
        (xlsx({"Sheet": ""}), "a.xlsx", "no_text"),
        (pdf([[], []]), "scan.pdf", "no_text"),
        (pdf([[(12, 700, "secret")]], encrypt=ENCRYPTED_PDF), "a.pdf", "encrypted"),
        (ENCRYPTED_MAIL, "a.eml", "encrypted"),
        (ENVELOPED_MAIL, "a.eml", "encrypted"),
        (locked(docx(paragraph("secret"))), "a.docx", "encrypted"),
        (odt("<text:p>x</text:p>", **MANIFEST), "a.odt", "encrypted"),
        (b"%PDF-1.7\nnot really", "a.pdf", "malformed"),
        (docx("<w:p>")[:200], "a.docx", "malformed"),
        (zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": "<w:document"}), "a.docx", "malformed"),
        (zipped({"[Content_Types].xml": "<Types/>", "word/other.xml": "<x/>"}), "a.docx", "malformed"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "a.msg", "malformed"),
        (b"<?xml version='1.0'?><a><b></a>", "a.xml", "malformed"),
        (BILLION_LAUGHS + b"]><r>&a9;</r>", "a.xml", "malformed"),
        (
            b"<?xml version='1.0'?><!DOCTYPE r [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><r>&x;</r>",
            "a.xml",
            "malformed",
        ),
        (b"[" * 100_000, "a.json", "malformed"),
        (b"\xff\xfeA\x00B\x00C\xd8\x00\x00", "a.txt", "malformed"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(100), "a.png", "unknown_format"),
        (random.Random(1).randbytes(5000), "a.bin", "unknown_format"),
        (zipped({"readme.txt": "hello"}), "a.docx", "unknown_format"),
        (zipped({"[Content_Types].xml": "<Types/>", "word/../../etc/x": "x"}), "a.docx", "unsafe_path"),
        (zipped({"[Content_Types].xml": "<Types/>", "word/a.xml": "x", "/etc/passwd": "x"}), "a.docx", "unsafe_path"),
        (zipped({"[Content_Types].xml": "<Types/>", "word/a.xml": "x", "C:\\boot.ini": "x"}), "a.docx", "unsafe_path"),
    ],
)
def test_reasons(data: bytes, name: str, expected: str) -> None:
    assert reason(data, name) == expected


def test_json_nested_too_deep_is_malformed_or_plain_text() -> None:
    assert reason(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "a.json") == "malformed"


def test_a_zip_bomb_is_not_unpacked() -> None:
    bomb = zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": bytes(300 * 2**20)})
    assert len(bomb) < 2**20
    assert reason(bomb) == "archive_bomb"


def test_a_bomb_that_lies_about_its_size_is_stopped() -> None:
    """The directory promises 10 bytes; the packed stream holds 50 megabytes."""
    data = bytearray(zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": bytes(50 * 2**20)}))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 10)
    assert reason(bytes(data)) == "malformed"


def test_too_many_members() -> None:
    members = {f"word/{n}.xml": "" for n in range(50)}
    limits = ParseLimits(max_archive_members=20)
    assert reason(zipped({"[Content_Types].xml": "<Types/>", **members}), limits=limits) == "archive_bomb"


def test_members_that_overlap_are_refused_or_read() -> None:
    """A quoted-overlap bomb needs many records for one stream; their declared sizes add up."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", bytes(2**20))
        first = archive.infolist()[1]
        for n in range(300):
            copy = zipfile.ZipInfo(f"word/{n}.xml")
            for field in ("header_offset", "CRC", "compress_size", "file_size", "compress_type"):
                setattr(copy, field, getattr(first, field))
            archive.filelist.append(copy)
    assert reason(buffer.getvalue()) == "archive_bomb"


def test_limits_of_size() -> None:
    assert reason(b"x" * 101, limits=ParseLimits(max_bytes=100)) == "too_large"
    assert reason(b"x" * 101, "a.txt", ParseLimits(max_text_chars=100)) == "too_large"
    assert reason(docx(paragraph("x" * 101)), limits=ParseLimits(max_text_chars=100)) == "too_large"
    many = odt('<text:p><text:s text:c="1000000000"/>x</text:p>')
    assert reason(many, limits=ParseLimits(max_text_chars=200)) is None


def test_form_feeds_and_escapes_are_text() -> None:
    assert isinstance(parse(b"plain \x0c page two \x1b[0m", name="a.txt"), ParsedText)


SAMPLES = {
    "a.pdf": pdf([[(20, 700, "Title"), (12, 600, "Body text of the page")]]),
    "a.docx": docx(paragraph("Hello") + "<w:tbl><w:tr><w:tc><w:p/></w:tc></w:tr></w:tbl>"),
    "a.odt": odt("<text:h>H</text:h><text:p>p</text:p>"),
    "a.xlsx": xlsx({"S": '<row><c r="A1" t="s"><v>0</v></c></row>'}, ["x"]),
    "a.pptx": pptx([shape("T", "title")]),
    "a.epub": epub(["<html><p>x</p></html>"], "T"),
    "a.rtf": rb"{\rtf1\ansi{\fonttbl\f0}\outlinelevel1 H\par \u8364?\'e4 \cell\row}",
    "a.eml": eml("S", "b", {"x.csv": b"a,b\n1,2"}),
    "a.html": b"<html><table><tr><td>x<h1>y</h1></table><ul><li>z",
    "a.json": b'{"a": [1, {"b": null}]}',
    "a.xml": b"<?xml version='1.0' encoding='utf-8'?><a><b>x</b><c>y</c></a>",
    "a.md": b"# T\n\nx\n---\n```\n",
    "a.rst": b"T\n=\n\nx\n",
    "a.csv": b'a;b\n"1;2";3\n',
}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(SAMPLES)), st.randoms(use_true_random=False), st.integers(1, 12))
def test_damaged_files_never_raise(name: str, rng: random.Random, changes: int) -> None:
    data = bytearray(SAMPLES[name])
    for _ in range(changes):
        at = rng.randrange(len(data))
        damage = rng.randrange(3)
        if damage == 0:
            data[at] = rng.randrange(256)
        elif damage == 1:
            del data[at : at + rng.randrange(1, 20)]
        else:
            data[at:at] = rng.randbytes(3)
        data = data or bytearray(b"x")
    outcome = parse(bytes(data), name=name)
    assert isinstance(outcome, ParsedText | Rejected)
    if isinstance(outcome, ParsedText):
        assert all(0 <= h.start < h.end <= len(outcome.text) for h in outcome.headings)
        assert [p.start for p in outcome.pages] == [0, *(p.end for p in outcome.pages)][: len(outcome.pages)]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(sorted(SAMPLES)))
def test_any_bytes_never_raise(data: bytes, name: str) -> None:
    assert isinstance(parse(data, name=name), ParsedText | Rejected)


def test_messages_hold_no_text_of_the_document() -> None:
    for name, data in SAMPLES.items():
        marked = data.replace(b"Hello", b"JaneRoe")[:-5]
        outcome = parse(marked, name=name)
        assert not isinstance(outcome, Rejected) or "JaneRoe" not in outcome.message


REAL = {
    "empty.txt": "empty",
    "empty.eml": "whitespace_only",
    "empty.xlsx": "no_text",
    "fake-text-all-whitespace.txt": "whitespace_only",
    "fake-encrypted.eml": "encrypted",
    "password_protected.xlsx": "encrypted",
}


def test_real_files(data: Path) -> None:
    """Every file of the folder is text, but for the six that hold none or are locked."""
    found = {}
    for path in sorted((data / "documents").iterdir()):
        if (why := reason(path.read_bytes(), path.name)) is not None:
            found[path.name] = why
    assert found == REAL
