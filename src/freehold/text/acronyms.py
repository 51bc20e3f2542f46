"""Acronyms and what they stand for, as the texts themselves define them, and those that stand for several things.

After Schwartz and Hearst (2003), "A simple algorithm for identifying abbreviation definitions in biomedical text": a
short form in parentheses beside a long form that holds its characters in order. Theirs is the second try here. The
first asks for the initials of the words, which settles where a long form begins ("personal data and other data (PD)");
what neither finds may still be the initials in another order, as German insurers write theirs.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

_LONGEST_SHORT_FORM_CHARS = 10
_WINDOW_CHARS = 200
"""Where a long form is looked for: so much text on either side of its acronym."""
_MOST_EXPANSIONS = 64
"""Spellings compared per acronym, the most frequent first: comparing is quadratic, and a hostile text has many."""

_QUOTES = "\"'“”„‟«»‹›‘’‚"
_PARENTHESIS = re.compile(rf"\(([^()]{{2,{_WINDOW_CHARS}}})\)")
_SHORT_FORM = re.compile(r"[^\W_](?:[.&/-]?[^\W_])+\.?")
_QUOTED = re.compile(rf"[{_QUOTES}]\s?([^\s{_QUOTES}]{{2,14}})\s?[{_QUOTES}]")
_LAST_TOKEN = re.compile(rf"(?<![^\s(\[|/{_QUOTES}])([^\s()\[\]|{_QUOTES}]{{2,14}})[{_QUOTES}]?\s{{0,2}}\Z")
# "SLA: Service Level Agreement" on a line of its own, maybe of a list or a table, and "PAS bezeichnet das ...".
_GLOSSARY = re.compile(
    rf"^[-*•|\s]{{0,8}}[*_]{{0,2}}[{_QUOTES}]?([^\W\d_][^\s:=|{_QUOTES}*()]{{1,13}})[{_QUOTES}]?[*_]{{0,2}}\s{{0,4}}"
    r"(?:[:=|]|[–—-]\s)\s{0,4}",
    re.MULTILINE,
)
_VERB = re.compile(
    r"\s(?:(?:shall )?means?|stands for|is short for|bezeichnet|bedeutet|steht für|désigne|signifie)\b[\s:]{0,3}"
)
_STOPS = ";:()[]|!?"
_STARTS_AFTER = re.compile(r"\n\s{0,20}\n|(?<=\w\w\w)\.\s")
_ENDS_BEFORE = re.compile(r"[;()\[\]|!?]|\n\s{0,20}\n|(?<=\w\w)\.(?:\s|\Z)|\n\s{0,8}[-*•]\s")
_WORD = re.compile(r"[^\W_]+")
_LEAD_IN = re.compile(
    r"(?:(?:the|hereinafter|hereafter|referred|to|as|collectively|abbreviated|short|for|or|im|folgenden|nachfolgend"
    r"|nachstehend|kurz|abgekürzt|auch|oder|ci-après|ci-apres|dénommée?s?|dite?s?|en|abrégé|abrégée?|soit|ou|le|la|les"
    r"|die|der|das|engl|frz|dt)[.,:]?\s+)+",
    re.IGNORECASE,
)
_VOWELS = frozenset("aeiouyäöüàâéèêëîïôùûæœ")


def _word_set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Articles, prepositions and conjunctions, accents folded: they lend no letter to an acronym, or may (DoD, ASAP).
_FUNCTION_WORDS = _word_set(
    """a an and at by for from in into of on or per that the this to upon which with
    als am an auf aus bei beim das dem den der des die durch ein eine einem einen einer eines fur gegen im in mit nach
    oder uber um und unter vom von vor zu zum zur
    a au aux avec ce ces cette contre d dans de des du en entre et l la le les leur ou par pour qu sa ses son sur un
    une vers s"""
)


def _fold_table() -> dict[int, str]:
    """One character to one: lower case without marks, so that offsets stay."""
    table = {}
    for code in range(0x530):  # Latin, Greek, Cyrillic
        base = unicodedata.normalize("NFKD", chr(code))[0].lower()
        if len(base) == 1 and base != chr(code):
            table[code] = base
    return table


_FOLD = _fold_table()


class _Word(NamedTuple):
    start: int
    end: int
    folded: str

    @property
    def carries(self) -> bool:
        """Whether it has to lend a letter: numbers and function words need not."""
        return not self.folded.isdigit() and self.folded not in _FUNCTION_WORDS


class _Region(NamedTuple):
    """A stretch of text, the same folded, and its words by their offsets in both."""

    text: str
    folded: str
    words: list[_Word]


def definitions(text: str) -> Iterator[tuple[str, str]]:
    """Acronyms with their long forms as ``text`` defines them, in the order of the text; the same one may come again.

    Found are "long form (SF)", "SF (long form)", defined terms such as ``Receiving Party (the "RP")``, glossary lines
    "SF: long form" and "SF means long form". An acronym is one word of 2 to 10 characters with two capitals, or with
    one and no vowel ("Kfz"); its dots and a plural's s are dropped. Long forms keep their spelling, white space folded.
    Takes time linear in the length of the text.
    """
    found = [*_in_parentheses(text), *_in_glossaries(text), *_by_verbs(text)]
    found.sort(key=lambda item: item[0])
    for _, acronym, expansion in found:
        yield acronym, " ".join(expansion.split())


class Acronyms:
    """The acronyms of a corpus. For one thread at a time; all that was added stays in this process's memory."""

    def __init__(self) -> None:
        self._expansions: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._by_folded: dict[str, set[str]] = {}
        self._ambiguous: dict[str, tuple[str, ...]] | None = None

    def __len__(self) -> int:
        """Acronyms that the texts define."""
        return len(self._expansions)

    def add(self, text: str) -> None:
        """Take in the definitions of a text."""
        for acronym, expansion in definitions(text):
            self._expansions[acronym][expansion] += 1
            self._by_folded.setdefault(acronym.casefold(), set()).add(acronym)
            self._ambiguous = None

    def ambiguous(self) -> Mapping[str, tuple[str, ...]]:
        """Acronyms with several meanings, in alphabetical order: one spelling of each meaning, the most frequent first.

        Spellings are of one meaning where they differ in case, hyphens, inflection, function words, numbers, a word
        that only one of them has, or about one letter in ten. A translation counts as another meaning. The order in
        which texts were added makes no difference.
        """
        if self._ambiguous is None:
            meanings = ((acronym, _meanings(self._expansions[acronym])) for acronym in sorted(self._expansions))
            self._ambiguous = {acronym: spellings for acronym, spellings in meanings if len(spellings) > 1}
        return self._ambiguous

    def in_query(self, text: str) -> tuple[str, ...]:
        """Known acronyms among the words of ``text``, in its order, each once.

        Case matters for those of two or three characters: "car" and "it" are words. A plural's s is ignored.
        """
        mentioned: dict[str, None] = {}
        for match in _SHORT_FORM.finditer(text):
            parts = [match[0], *re.split(r"[/-]", match[0])]
            mentioned.update((acronym, None) for part in parts for acronym in self._known(part))
        return tuple(mentioned)

    def unsettled(self, text: str) -> Mapping[str, int]:
        """Acronyms in ``text`` that have several meanings, none of which it spells out -> how many."""
        mentioned = [acronym for acronym in self.in_query(text) if acronym in self.ambiguous()]
        if not mentioned:
            return {}
        said = f" {' '.join(_content(text))} "
        return {
            acronym: len(self.ambiguous()[acronym])
            for acronym in mentioned
            if not any(f" {' '.join(_content(spelling))} " in said for spelling in self._expansions[acronym])
        }

    def _known(self, token: str) -> list[str]:
        plain = token.replace(".", "")
        forms = (plain, plain[:-1]) if plain.endswith("s") else (plain,)
        exact = [form for form in forms if form in self._expansions]
        folded = (self._by_folded.get(form.casefold(), set()) for form in forms if len(form) >= 4)
        return exact or sorted(acronym for known in folded for acronym in known)


# -- where definitions stand ------------------------------------------------------------------------------------------

_Found = tuple[int, str, str]
"""Offset of the place, acronym, long form."""


def _in_parentheses(text: str) -> Iterator[_Found]:
    for match in _PARENTHESIS.finditer(text):
        content = match[1].strip()
        shorts = _shorts_inside(content)
        if shorts:
            before = text[max(0, match.start() - _WINDOW_CHARS) : match.start()]
            for acronym in shorts:
                expansion = _ending(before, acronym)
                if expansion:
                    yield match.start(), acronym, expansion
        else:
            acronym = _short_before(text, match.start())
            expansion = _opening(content, acronym) if acronym else ""
            if expansion:
                yield match.start(), acronym, expansion


def _in_glossaries(text: str) -> Iterator[_Found]:
    for match in _GLOSSARY.finditer(text):
        acronym = _acronym(match[1])
        expansion = _opening(text[match.end() : match.end() + _WINDOW_CHARS], acronym) if acronym else ""
        if expansion:
            yield match.start(), acronym, expansion


def _by_verbs(text: str) -> Iterator[_Found]:
    for match in _VERB.finditer(text):
        acronym = _short_before(text, match.start())
        expansion = _opening(text[match.end() : match.end() + _WINDOW_CHARS], acronym, later=True) if acronym else ""
        if expansion:
            yield match.start(), acronym, expansion


def _shorts_inside(content: str) -> list[str]:
    """The acronyms that a parenthesis consists of: ``SF``, ``SF, more``, ``the "SF" or "SG"``, ``im Folgenden: SF``."""
    quoted = [acronym for token in _QUOTED.findall(content) if (acronym := _acronym(token))]
    if quoted:
        return quoted
    first = re.split(r"[,;]", content, maxsplit=1)[0].strip()
    lead = _LEAD_IN.match(first)
    acronym = _acronym(first[lead.end() :] if lead else first)
    return [acronym] if acronym else []


def _short_before(text: str, end: int) -> str:
    match = _LAST_TOKEN.search(text, max(0, end - 18), end)
    return _acronym(match[1]) if match else ""


def _acronym(token: str) -> str:
    """The acronym that a word is, without dots and a plural's s; empty where it is none."""
    token = token.strip(_QUOTES + " ")
    if len(token) > 2 * _LONGEST_SHORT_FORM_CHARS or not _SHORT_FORM.fullmatch(token):
        return ""
    plain = token.replace(".", "")
    if plain.endswith("s") and len(plain) > 2 and plain[:-1].isupper():
        plain = plain[:-1]
    capitals = sum(character.isupper() for character in plain)
    enough = capitals >= 2 or (capitals == 1 and not _VOWELS.intersection(plain[1:]) and plain.isalpha())
    return plain if enough and 2 <= len(plain) <= _LONGEST_SHORT_FORM_CHARS else ""


# -- which words belong to one ----------------------------------------------------------------------------------------


def _ending(before: str, acronym: str) -> str:
    """The long form with which ``before`` ends; empty where there is none."""
    start = max(before.rfind(mark) for mark in _STOPS) + 1
    start = max((match.end() for match in _STARTS_AFTER.finditer(before, start)), default=start)
    region, letters = _region(before[start:]), _letters(acronym)
    span = _initials(region.words[::-1], letters[::-1], backward=True)
    if span:
        return _accepted(region.text[region.words[-span].start :].rstrip(_QUOTES + " \n,"), acronym)
    return _accepted(_loose(region, letters) or _permuted(region, letters), acronym)


def _opening(after: str, acronym: str, *, later: bool = False) -> str:
    """The long form with which ``after`` begins, articles left out; empty where there is none.

    ``later``: it may also begin at one of the first eight words, if it has at least three initials.
    """
    end = _ENDS_BEFORE.search(after)
    region, letters = _region(after[: end.start()] if end else after), _letters(acronym)
    words = region.words
    first = next((at for at, word in enumerate(words) if word.carries or word.folded[0] == letters[0]), len(words))
    for at in [first, *range(8 if later and len(letters) > 2 else 0)]:
        span = _initials(words[at:], letters, backward=False)
        if span:
            return _accepted(region.text[words[at].start : words[at + span - 1].end], acronym)
    head = region.text.split(",")[0]
    for part in (region, _region(head)) if len(head) < len(region.text) else (region,):
        expansion = _loose(part, letters)
        if expansion and part.text[words[first].start :].startswith(expansion):
            return _accepted(expansion, acronym)
    return ""


def _region(text: str) -> _Region:
    folded = text.translate(_FOLD)
    words = [_Word(match.start(), match.end(), match[0]) for match in _WORD.finditer(folded)]
    return _Region(text, folded, words)


def _letters(acronym: str) -> str:
    return "".join(c for c in acronym.translate(_FOLD) if c.isalnum())


def _initials(words: Sequence[_Word], letters: str, *, backward: bool) -> int | None:
    """How many of the first words ``letters`` take; None where their initials are others.

    Words that need not lend a letter are passed over, or lend theirs where it cannot be done without ("DoD").
    ``backward``: both are in reverse, and numbers may come before the first word ("Data Protection Act 2018").
    """
    for lending in (False, True):
        at = taken = 0
        while taken < len(letters) and at < len(words):
            word = words[at]
            if word.folded[0] == letters[taken] and (word.carries or lending):
                taken += 1
            elif word.carries or (taken == 0 and not (backward and word.folded.isdigit())):
                break
            at += 1
        if taken == len(letters) and words[at - 1 if backward else 0].carries:
            return at
    return None


def _loose(region: _Region, letters: str) -> str:
    """Schwartz and Hearst's long form at the end of ``region``, empty where there is none.

    Beyond theirs, a word that lends letters lends its initial, the last word lends, few others lend none, and the last
    letter is more than a word's ending ("chantier" is no CAR).
    """
    places = _places(region, letters)
    inner = [word for word in region.words if places and word.start >= places[-1]]
    lending = [word for word in inner if any(word.start <= place < word.end for place in places)]
    if not lending or not inner[0].carries or lending[-1] is not inner[-1]:
        return ""
    idle = sum(word.carries for word in inner) - sum(word.carries for word in lending)
    if idle > len(letters) // 3 or len(inner) > min(len(letters) + 5, len(letters) * 2):
        return ""
    last = inner[-1]
    ending = places[0] > max(last.start, last.end - 3)
    if ending or any(word.start not in places for word in lending):
        return ""
    return region.text[inner[0].start : last.end]


def _places(region: _Region, letters: str) -> list[int]:
    """Where ``letters`` stand, the last one first: each as late as can be, the first at the start of a word."""
    starts = {word.start for word in region.words}
    places: list[int] = []
    place = len(region.folded)
    for at in range(len(letters) - 1, -1, -1):
        place = region.folded.rfind(letters[at], 0, place)
        while at == 0 and place >= 0 and place not in starts:
            place = region.folded.rfind(letters[at], 0, place)
        if place < 0:
            return []
        places.append(place)
    return places


def _permuted(region: _Region, letters: str) -> str:
    """The last words of ``region`` whose initials are the letters, the first in its place, the others in any order.

    "Allgemeine Bedingungen für die Kraftfahrtversicherung (AKB)".
    """
    carrying = [word for word in region.words if word.carries][-len(letters) :]
    if len(letters) < 3 or len(carrying) < len(letters) or carrying[0].folded[0] != letters[0]:
        return ""
    if sorted(word.folded[0] for word in carrying) != sorted(letters):
        return ""
    return region.text[carrying[0].start : carrying[-1].end]


def _accepted(expansion: str, acronym: str) -> str:
    """The long form, unless it is no longer than its acronym or holds it as a word."""
    if len(expansion) <= len(acronym) or acronym in _WORD.findall(expansion):
        return ""
    return expansion


# -- which long forms mean the same -----------------------------------------------------------------------------------

_INFLECTION = "esnmrx"
"""Letters of which the endings of plurals and cases are made, in all three languages: Gesetz(es), donnée(s)."""


def _content(spelling: str) -> tuple[str, ...]:
    """Its words without function words, numbers and endings, folded."""
    words = (word.folded for word in _region(spelling).words if word.carries)
    return tuple(max(word.rstrip(_INFLECTION), word[:3], key=len) for word in words)


def _meanings(spellings: Counter[str]) -> tuple[str, ...]:
    """One spelling of each meaning, the most frequent first."""
    contents: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for spelling, count in spellings.items():
        contents[_content(spelling)][spelling] += count
    most = sorted(contents, key=lambda content: (-contents[content].total(), content))[:_MOST_EXPANSIONS]
    groups: list[list[tuple[str, ...]]] = []
    for content in most:
        same = [group for group in groups if any(_same(content, other) for other in group)]
        joined = [content, *(other for group in same for other in group)]
        groups = [*(group for group in groups if group not in same), joined]
    merged = (sum((contents[content] for content in group), Counter[str]()) for group in groups)
    ranked = sorted((-group.total(), min(group, key=lambda s: (-group[s], s))) for group in merged)
    return tuple(spelling for _, spelling in ranked)


def _same(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two contents are one meaning: nearly all words begin alike, or they hardly differ when joined."""
    shorter, longer = sorted((one, other), key=len)
    rest = list(longer)
    for word in shorter:
        match = next((candidate for candidate in rest if _alike(word, candidate)), None)
        if match is not None:
            rest.remove(match)
    extra, common = len(longer) - len(shorter), len(longer) - len(rest)
    if len(shorter) > 1 and ((common == len(shorter) and extra <= 1) or common * 4 >= len(longer) * 3):
        return True
    joined, joined_other = "".join(shorter), "".join(longer)
    length = max(len(joined), len(joined_other))
    if len(longer) == 1 and _prefix(joined, joined_other) * 4 >= length * 3:
        return True
    return _within(joined, joined_other, length // 10)


def _alike(one: str, other: str) -> bool:
    """One word or its relative: exam and examination, artery and arterial; not processing and protection."""
    shorter, prefix = min(len(one), len(other)), _prefix(one, other)
    return prefix == shorter or (prefix >= 5 and prefix * 2 >= shorter)


def _prefix(one: str, other: str) -> int:
    """Length of the common beginning."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _within(one: str, other: str, limit: int) -> bool:
    """Whether at most ``limit`` characters have to be inserted, deleted or replaced (Levenshtein 1966)."""
    if abs(len(one) - len(other)) > limit:
        return False
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
        if min(row) > limit:
            return False
    return row[-1] <= limit
