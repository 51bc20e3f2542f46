"""Cleaning: the same words in a form that searches, compares and cites well. Offsets are carried through exactly.

Letters are composed (NFC) and never replaced by lookalikes: ``x²``, ``§`` and ``½`` stay, only typesetting goes
(ligatures, soft hyphens, invisible and control characters, kinds of space). Words hyphenated at line ends are joined,
running headers and page numbers are taken out, trailing spaces and runs of empty lines are dropped.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, fields, replace

from freehold.core.types import Heading, Page, ParsedText


@dataclass(frozen=True, slots=True)
class CleaningReport:
    """How often each thing was done to a text."""

    characters: int = 0
    """Characters replaced or dropped, and sequences composed."""
    furniture_lines: int = 0
    """Running headers, footers and page numbers taken out."""
    joined_words: int = 0
    """Words put together that a line end had parted."""
    white_space: int = 0
    """Runs of spaces at line ends and of empty lines made shorter."""

    def __add__(self, other: CleaningReport) -> CleaningReport:
        """Sum, count by count."""
        return CleaningReport(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class _Edit:
    """``text[start:end]`` becomes ``new``."""

    start: int
    end: int
    new: str = ""


_REPLACED = {
    **dict.fromkeys("\v\f\x85\u2028\u2029", "\n"),
    **dict.fromkeys("\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007", " "),
    **dict.fromkeys("\u2008\u2009\u200a\u202f\u205f\u3000", " "),
    "ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "ſt", "ﬆ": "st",
}  # fmt: skip
_DROPPED = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f"  # control characters
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"  # zero width, and direction marks that can disguise a text
    "\ud800-\udfff\ufff9-\ufffb\ufffe\uffff"  # halves of characters, and no characters
)
_LATIN = "\u0000-\u024f"
_JOINER = f"(?:(?<=[{_LATIN}])|^)[\u200c\u200d]|[\u200c\u200d](?=[{_LATIN}]|$)"  # in Persian or Hindi they spell
_SHOWN_HYPHEN = "(?P<shown_hyphen>(?<=[^\\W\\d_])\u00ad(?=[ \t]*[\r\n]))"
_CHARACTER = re.compile(f"\r\n?|[{''.join(_REPLACED)}]|[{_DROPPED}]+|{_JOINER}|{_SHOWN_HYPHEN}|\u00ad+")


_COMPOSABLE = re.compile("[\x00-\x7f]?[^\x00-\x7f]+")
_HYPHEN = "[-\u2010]"
_PARTED = re.compile(f"(?<![\\w-])([^\\W_]+(?:{_HYPHEN}[^\\W_]+)*)({_HYPHEN})[ \t]*\n[ \t]*([^\\W\\d_]+)")
_SPELLING = re.compile(f"[^\\W_]+(?:{_HYPHEN}[^\\W_]+)*")
_HYPHENS = re.compile(_HYPHEN)
_KEEPS_HYPHEN = frozenset({"all", "cross", "long", "mid", "non", "self", "short", "third", "well"})
_SUSPENDED = frozenset({
    "als", "and", "as", "beziehungsweise", "bis", "bzw", "e", "ed", "en", "et", "nor", "o", "oder", "of", "or",
    "ou", "sowie", "statt", "und", "u", "wie", "y",
})  # fmt: skip
"""Words after a hyphen that stands for a missing second part: ``Haupt- und Nebenpflichten``."""
_MIN_PART_LETTERS = 2
_TRAILING_SPACE = re.compile(r"(?<![ \t])[ \t]++(?=\n|\Z)")
_EMPTY_LINES = re.compile(r"\n{4,}")

_LINE = re.compile(r"[^\n]*[^\s][^\n]*")
_NUMBER_ONLY = re.compile(r"\W*(\d{1,4})\W*")
_NEIGHBOUR_PAGES = 4
_MIN_NEIGHBOURS = 2


def clean(parsed: ParsedText) -> tuple[ParsedText, CleaningReport]:
    """The cleaned text and what was done to it. ``clean`` of a cleaned text changes nothing.

    Pages still tile the text, headings still point at their wording; headings left without wording are dropped.
    """
    title = " ".join(_polished(parsed.title).split())
    metadata = {_polished(key): _polished(value) for key, value in parsed.metadata.items()}
    parsed = replace(parsed, title=title, metadata=metadata)
    report = CleaningReport()
    while True:  # one step may make way for another; texts only get plainer, so this ends, mostly after two rounds
        cleaned, done = _round(parsed)
        report += done
        if done == CleaningReport():
            return parsed, report
        parsed = cleaned


def _polished(text: str) -> str:
    """A title or the like: characters and composition only."""
    parsed, _ = _step(ParsedText(text), _character_edits(text))
    return unicodedata.normalize("NFC", parsed.text)


def _round(parsed: ParsedText) -> tuple[ParsedText, CleaningReport]:
    parsed, characters = _step(parsed, _character_edits(parsed.text))
    parsed, compositions = _step(parsed, _composition_edits(parsed.text))
    parsed, furniture = _step(parsed, _furniture_edits(parsed))
    parsed, joined = _step(parsed, _hyphen_edits(parsed))
    parsed, spaces = _step(parsed, (_Edit(*match.span()) for match in _TRAILING_SPACE.finditer(parsed.text)))
    parsed, lines = _step(
        parsed, (_Edit(match.start() + 3, match.end()) for match in _EMPTY_LINES.finditer(parsed.text))
    )
    return parsed, CleaningReport(characters + compositions, furniture, joined, spaces + lines)


def _step(parsed: ParsedText, edits: Iterable[_Edit]) -> tuple[ParsedText, int]:
    """Apply edits, given in ascending order and without overlap, and move the offsets along."""
    edits = list(edits)
    if not edits:
        return parsed, 0
    parts, at = [], 0
    for edit in edits:
        parts += [parsed.text[at : edit.start], edit.new]
        at = edit.end
    text = "".join([*parts, parsed.text[at:]])
    moved = _mover(edits)
    pages = tuple(Page(page.number, moved(page.start), moved(page.end)) for page in parsed.pages)
    headings = (_trimmed(text, Heading(h.level, moved(h.start), moved(h.end))) for h in parsed.headings)
    kept = tuple(heading for heading in headings if heading.start < heading.end)
    return replace(parsed, text=text, pages=pages, headings=kept), len(edits)


def _mover(edits: list[_Edit]) -> Callable[[int], int]:
    """Old offset to new. What points into an edit ends up before its new wording, at its end after it."""
    starts = [edit.start for edit in edits]
    shifts = [0]
    for edit in edits:
        shifts.append(shifts[-1] + len(edit.new) - (edit.end - edit.start))

    def moved(offset: int) -> int:
        last = bisect_right(starts, offset)
        if last and offset < edits[last - 1].end:
            return edits[last - 1].start + shifts[last - 1]
        return offset + shifts[last]

    return moved


def _trimmed(text: str, heading: Heading) -> Heading:
    wording = text[heading.start : heading.end]
    start = heading.start + len(wording) - len(wording.lstrip())
    return Heading(heading.level, start, start + len(wording.strip()))


def _character_edits(text: str) -> Iterator[_Edit]:
    if text.isascii() and text.isprintable():
        return
    for match in _CHARACTER.finditer(text):
        if match[0][0] == "\r":
            new = "\n"
        elif match["shown_hyphen"]:
            new = "-"  # it shows here, and goes with the other hyphens at line ends
        else:
            new = _REPLACED.get(match[0], "")
        yield _Edit(match.start(), match.end(), new)


def _composition_edits(text: str) -> Iterator[_Edit]:
    """NFC, in pieces: no ASCII character ever composes with what stands before it."""
    if unicodedata.is_normalized("NFC", text):
        return
    for match in _COMPOSABLE.finditer(text):
        composed = unicodedata.normalize("NFC", match[0])
        if composed != match[0]:
            yield _Edit(match.start(), match.end(), composed)


def _hyphen_edits(parsed: ParsedText) -> Iterator[_Edit]:
    """Put together what a line end parted, but never a heading and what follows it."""
    matches = [m for m in _PARTED.finditer(parsed.text) if m[3][0].islower() and m[3].lower() not in _SUSPENDED]
    if not matches:
        return
    spellings = frozenset(_SPELLING.findall(parsed.text))
    heading_ends = frozenset(offset for heading in parsed.headings for offset in (heading.start, heading.end))
    for match in matches:
        start, end = match.span(2)[0], match.start(3)
        if heading_ends.isdisjoint(range(start, end + 1)):
            yield _Edit(start + _keeps_hyphen(match[1], match[3], spellings), end)


def _keeps_hyphen(left: str, right: str, spellings: Collection[str]) -> bool:
    """``EU-wide``, ``24-month`` and ``e-mail`` keep it, and words that the text spells with it elsewhere."""
    last = _HYPHENS.split(left)[-1]
    if not last[-1].islower() or len(last) < _MIN_PART_LETTERS or last.lower() in _KEEPS_HYPHEN:
        return True
    return f"{left}-{right}" in spellings and f"{left}{right}" not in spellings


def _furniture_edits(parsed: ParsedText) -> Iterator[_Edit]:
    """The outermost line of a page, where pages nearby have the same one there. Headings stay."""
    headings = {heading.start for heading in parsed.headings}
    edges = [_edges(parsed.text, page) for page in parsed.pages]
    doomed: set[tuple[int, int]] = set()
    for edge in (0, 1):
        keys = [_key(page, lines[edge]) if lines else None for page, lines in zip(parsed.pages, edges, strict=True)]
        for at, lines in enumerate(edges):
            nearby = keys[max(0, at - _NEIGHBOUR_PAGES) : at] + keys[at + 1 : at + 1 + _NEIGHBOUR_PAGES]
            if lines and nearby.count(keys[at]) >= _MIN_NEIGHBOURS:
                doomed.add(lines[edge].span())
    for start, end in sorted(doomed):
        if not any(place in headings for place in range(start, end)):
            yield _Edit(start, end)


def _edges(text: str, page: Page) -> tuple[re.Match[str], re.Match[str]] | None:
    """The first and the last line of a page that are not blank."""
    first = _LINE.search(text, page.start, page.end)
    if first is None:
        return None
    last_start = text.rfind("\n", first.start(), page.start + len(text[page.start : page.end].rstrip())) + 1
    return first, _LINE.search(text, max(last_start, first.start()), page.end) or first


def _key(page: Page, line: re.Match[str]) -> str:
    """Equal for lines that differ only in the page number. A bare number must count along with the pages."""
    if number := _NUMBER_ONLY.fullmatch(line[0]):
        return f"page {int(number[1]) - page.number:+d}"
    return re.sub(r"\d+", "#", " ".join(line[0].split())).casefold()
