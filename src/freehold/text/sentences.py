"""Sentence boundaries of English, German and French prose, with the habits of contracts and statutes in mind.

One pass over the places where a sentence may end; each is judged by the word before it and the character after it.
"""

from __future__ import annotations

import re


def _word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Never the last word of a sentence when something capitalised follows.
_TITLES = _word_set(
    """mr mrs ms dr prof st jr sr messrs hon rev gen col capt sgt hr fr frl mag dipl ing me mme mlle mm mgr m
    vgl bzw sog ggf evtl inkl exkl zzgl abzgl bspw insb gem i.v i.a i.d.r z.b u.a d.h o.ä s.o s.u i.s.d i.s.v
    z.t v.a u.u e.g i.e cf viz vs approx resp incl excl ca env av apr p.ex ex c.-à-d c.à.d n.b p.s p.o a.k.a
    str bd boul"""
)
# Abbreviations only in front of a number or a letter that numbers something.
_BEFORE_NUMBER = _word_set(
    """no nos nr nrn n° art arts artt abs ziff rn rdnr rz tz lit bst buchst anl anh kap abschn teilz s p pp pg fig
    tab vol vols ch chap sec secs sect cl para paras par reg regs sch ann app exh eq al alin tit v cass n
    bgbl abl oj jo f ff tel fax"""
)
# Abbreviations that may also close a sentence: they do when a typical opener follows.
_MAY_CLOSE = _word_set(
    """inc ltd co corp plc llc llp bros gmbh ag kg sa sarl etc usw ua u.dgl a.m p.m u.s u.k e.u s.a s.a.r.l s.a.s
    s.e n.v b.v  bzgl et.al al esq ph.d jan feb mar jun jul aug sep sept oct nov dec okt dez janv févr avr juil
    déc min max std abt dept est"""
)
_OPENERS = _word_set(
    """the this that these those it its in if a an any all no each such we you he she they there where when for on
    at by as but and however neither nothing der die das den dem des dies diese dieser dieses es ein eine
    einem einen er sie wir im in am an bei beim mit nach für wenn soweit sofern hat ist wird kann alle jeder
    jede kein keine und aber auch le la les l un une des ce cette ces cet il elle ils elles on nous vous en
    dans pour si lorsque tout toute tous toutes aucun aucune chaque sauf à au aux et mais"""
)
_MONTHS = _word_set(
    """januar jänner februar märz april mai juni juli august september oktober november dezember janvier février
    mars avril juin juillet août septembre octobre novembre décembre january february march may june july
    october december"""
)
_KEYWORDS = (
    r"article|section|clause|chapter|part|annex|schedule|appendix|exhibit|rule|recital|artikel|abschnitt|kapitel|teil"
    r"|anhang|anlage|ziffer|absatz|titre|chapitre|partie|annexe|paragraph|§{1,2}"
)
_CLOSERS = r"(?:[\"'”’“»›)\]]*(?:[ \u00a0\u202f][»›])?)"
# Possessive, and only from the start of a run: a megabyte of dots or blanks must not take quadratic time.
_STOP = re.compile(
    rf"(?P<dot>(?<=\S)\.{_CLOSERS}(?=\s))"
    rf"|(?P<mark>(?<![.!?…])(?:[!?…]|\.\.)[.!?…]*+{_CLOSERS}(?=\s))"
    r"|(?P<wide>[。！？]+[”’」』）]*)"
    r"|(?P<line>(?<![^\S\n])[^\S\n]*+\n\s*+)"
)
_WORD_BEFORE = re.compile(r"[^\s(\[{„“”\"«»‹›]*\Z")
_NEXT_WORD = re.compile(r"\s*[(\[{„“”\"«‹'‘]*\s*(\w*)(\.?)")
_DOTTED = re.compile(r"[^\W\d](?:\.[^\W\d])*")
_MARKER_ONLY = re.compile(
    rf"\s*(?:#+\s*)?(?:(?:{_KEYWORDS})\s+)?\(?(?:\d+(?:\.\d+)*|[^\W\d_]|[ivxl]+)\)?\s*", re.IGNORECASE
)
_BULLET = re.compile(
    r"[-*•‣▪◦·–—+]\s|#{1,6}\s|\||\((?:\d{1,3}|[a-z]|[ivxl]{1,5})\)|(?:\d{1,3}|[a-z]|[ivxl]{1,5})\)\s", re.IGNORECASE
)
_ROW = re.compile(
    r"[^:;\n]{1,60}: [^\n]*?; [^:;\n]{1,60}: "
)  # a table row with its headers: "Class: R01; Kept for: 7 years"
_NUMBERED = re.compile(r"\d{1,3}\.(?:\d{1,3}\.?)*\s+[^\W\d_a-z]|\d{1,3}\s+[^\W\d_a-z]{2}")
_LEADER = "...."  # between a title and its page in a table of contents
_REFERS_ON = re.compile(rf".*(?:{_KEYWORDS}|clauses|sections|articles)\Z", re.IGNORECASE)
_LONGEST_ABBREVIATION_CHARS = 24
_SHORT_LINE_CHARS = 50  # a shorter line did not end for want of room


def sentence_spans(text: str, language: str = "und") -> list[tuple[int, int]]:
    """Half-open offsets of the sentences of ``text``: trimmed, ascending, disjoint, covering every non-space character.

    ``language`` is ISO 639-1; it only matters for "3. Quartal", where German writes an ordinal and others end a
    sentence. A blank line, a heading, a list item and a short line end a sentence too; a wrapped line does not.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _STOP.finditer(text):
        if _ends_sentence(text, start, match, language):
            _append_trimmed(spans, text, start, match.end())
            start = match.end()
    _append_trimmed(spans, text, start, len(text))
    return spans


def breaks_line(text: str, start: int, end: int) -> bool:
    """Whether the white space ``text[start:end]``, which holds a line break, ends a paragraph, list item or heading.

    False where a sentence merely runs on in the next line.
    """
    if end >= len(text) or text.count("\n", start, end) > 1:
        return True
    line_start = text.rfind("\n", 0, start) + 1
    if text[line_start : line_start + 1] in ("#", "|") or any(
        text.find(mark, line_start, start) >= 0 for mark in ("\t", _LEADER)
    ):
        return True
    last = text[start - 1 : start]
    if last in (":", ";", "|") or _BULLET.match(text, end) or _ROW.match(text, end):
        return True
    if text[end].islower() or last in (",", "-", "–", "("):
        return False
    if start - line_start < _SHORT_LINE_CHARS or last in (".", "!", "?", "…"):
        return True
    return bool(_NUMBERED.match(text, end)) and not _REFERS_ON.match(text, line_start, start)


def _append_trimmed(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    part = text[start:end]
    left = len(part) - len(part.lstrip())
    right = len(part.rstrip())
    if left < right:
        spans.append((start + left, start + right))


def _ends_sentence(text: str, start: int, match: re.Match[str], language: str) -> bool:
    kind = match.lastgroup
    if kind == "line":
        return breaks_line(text, match.start(), match.end())
    following = _NEXT_WORD.match(text, match.end())
    word, initial = (following[1], following[2] == ".") if following else ("", False)
    if kind == "wide":
        return True
    if word[:1].islower() or (_LEADER in match[0] and word.isdigit()):
        return False
    return kind == "mark" or _dot_ends_sentence(text, start, match.start(), word, language, initial=initial)


def _dot_ends_sentence(text: str, start: int, dot: int, next_word: str, language: str, *, initial: bool) -> bool:
    if dot - start < _LONGEST_ABBREVIATION_CHARS and _MARKER_ONLY.fullmatch(text, start, dot):
        return False
    found = _WORD_BEFORE.search(text, max(start, dot - _LONGEST_ABBREVIATION_CHARS), dot)
    before = found[0].lower().rpartition("'")[2].rpartition("’")[2] if found else ""
    opener = not initial and next_word.lower() in _OPENERS
    if before in _TITLES:
        return False
    if before in _BEFORE_NUMBER:
        numbered = len(next_word) < 2 or next_word[0].isdigit() or next_word.lower() in _BEFORE_NUMBER
        return opener or not numbered
    if before.isdigit():
        ordinal = len(before) < 3 and (language == "de" or next_word.lower() in _MONTHS)
        return opener or not ordinal
    if before in _MAY_CLOSE or _DOTTED.fullmatch(before):
        return opener
    return True
