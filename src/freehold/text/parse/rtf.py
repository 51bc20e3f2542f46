"""RTF, by its control words; pictures, fonts, styles and headers are left out."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from freehold.core.types import ParsedText
from freehold.text.parse.builder import TextBuilder, table
from freehold.text.parse.outcome import ParseLimits, Unreadable

MEDIA_TYPE = "application/rtf"

_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|[\r\n]+|([^\\{}\r\n]+)"
)
_DESTINATIONS = frozenset({
    "fonttbl", "colortbl", "stylesheet", "info", "pict", "header", "headerl", "headerr", "headerf", "footer",
    "footerl", "footerr", "footerf", "object", "fldinst", "themedata", "colorschememapping", "datastore",
    "latentstyles", "listtable", "listoverridetable", "generator", "xmlnstbl", "rsidtbl", "bkmkstart",
    "bkmkend", "shppict", "nonshppict", "annotation", "filetbl", "revtbl", "pgdsctbl", "mmathPr",
})  # fmt: skip
_LITERAL = {
    "tab": "\t", "line": "\n", "emdash": "—", "endash": "–", "emspace": " ", "enspace": " ", "bullet": "•",
    "lquote": "‘", "rquote": "’", "ldblquote": "“", "rdblquote": "”",
}  # fmt: skip
_SYMBOL = {b"~": "\u00a0", b"_": "-", b"-": "\u00ad", b"\\": "\\", b"{": "{", b"}": "}"}


@dataclass(frozen=True, slots=True)
class _State:
    """What a group inherits and its end undoes."""

    skipped: bool = False
    skip_after_unicode: int = 1


def read(data: bytes, limits: ParseLimits) -> ParsedText:
    """Raises Unreadable: malformed or too_large."""
    reader = _Reader(TextBuilder(limits.max_text_chars))
    for match in _TOKEN.finditer(data):
        reader.take(match)
    if reader.depth > 0 and not reader.has_text:
        raise Unreadable("malformed", "The RTF file ends too early.")
    return reader.finish()


class _Reader:
    def __init__(self, builder: TextBuilder) -> None:
        self._builder = builder
        self._state = _State()
        self._outer: list[_State] = []
        self._codepage = "cp1252"
        self._bytes = bytearray()
        self._text: list[str] = []
        self._to_skip = 0
        self._level: int | None = None
        self._row: list[str] = []
        self._rows: list[list[str]] = []
        self._surrogate = 0
        self.has_text = False

    @property
    def depth(self) -> int:
        return len(self._outer)

    def take(self, match: re.Match[bytes]) -> None:
        word, number, byte, symbol, brace, text = match.groups()
        if brace == b"{":
            self._outer.append(self._state)
        elif brace == b"}":
            self._state = self._outer.pop() if self._outer else _State()
        elif symbol == b"*":
            self._state = replace(self._state, skipped=True)
        elif word:
            self._control(word.decode("ascii"), int(number) if number else None)
        elif byte:
            self._literal_bytes(bytes.fromhex(byte.decode("ascii")))
        elif symbol in _SYMBOL:
            self._literal(_SYMBOL[symbol])
        elif text:
            self._literal_bytes(text)

    def finish(self) -> ParsedText:
        self._end_paragraph()
        self._end_table()
        return self._builder.build(MEDIA_TYPE)

    def _control(self, word: str, number: int | None) -> None:
        if word in _DESTINATIONS:
            self._state = replace(self._state, skipped=True)
        elif word == "ansicpg" and number:
            self._codepage = f"cp{number}" if _is_codepage(f"cp{number}") else "cp1252"
        elif word == "uc":
            self._state = replace(self._state, skip_after_unicode=max(number or 0, 0))
        elif word == "u" and number is not None:
            self._unicode(number % 0x10000)
        elif word == "outlinelevel" and number is not None:
            self._level = number + 1 if number < 9 else None
        elif word == "pard":
            self._level = None
        elif word in ("par", "sect", "page"):
            self._end_table()
            self._end_paragraph()
        elif word == "cell":
            self._row.append(self._take_text())
        elif word == "row":
            self._rows.append(self._row)
            self._row = []
        elif word in _LITERAL:
            self._literal(_LITERAL[word])

    def _literal_bytes(self, data: bytes) -> None:
        skipped = min(self._to_skip, len(data))
        self._to_skip -= skipped
        if not self._state.skipped:
            self._bytes += data[skipped:]

    def _literal(self, text: str) -> None:
        if not self._state.skipped:
            self._decode_bytes()
            self._text.append(text)

    def _unicode(self, code: int) -> None:
        """Code points above U+FFFF come as two surrogates, one control word each."""
        self._to_skip = self._state.skip_after_unicode
        if 0xD800 <= code < 0xDC00:
            self._surrogate = code
        elif 0xDC00 <= code < 0xE000:
            high = self._surrogate - 0xD800 if self._surrogate else 0
            self._literal(chr(0x10000 + (high << 10) + code - 0xDC00))
            self._surrogate = 0
        else:
            self._literal(chr(code))

    def _decode_bytes(self) -> None:
        """Bytes are decoded together: a character of an East Asian code page has two."""
        if self._bytes:
            self._text.append(self._bytes.decode(self._codepage, errors="replace"))
            self._bytes.clear()

    def _take_text(self) -> str:
        self._decode_bytes()
        text = "".join(self._text).strip()
        self._text.clear()
        self.has_text |= bool(text)
        return text

    def _end_paragraph(self) -> None:
        text = self._take_text()
        if self._level is not None:
            self._builder.heading(text, self._level)
        else:
            self._builder.block(text)

    def _end_table(self) -> None:
        if self._rows:
            self._builder.block(table(self._rows))
            self._rows = []


def _is_codepage(name: str) -> bool:
    try:
        b"".decode(name)
    except LookupError:
        return False
    return True
