"""A tagged text, and what stands around its words: capitals, titles, roles, introductions, what follows."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache

from freehold.privacy.rampart import Word
from freehold.privacy.words import flat, folded, given_names, phrases, words

_BLANK = re.compile(r"[ \t\u00a0]{1,2}")


class Surroundings:
    """One text. Words are named by their number in it."""

    def __init__(self, text: str, tagged: Sequence[Word], ordinary: Collection[str]) -> None:
        self.text, self.words, self.ordinary = text, tagged, ordinary
        self.folded = [folded(word.text) for word in tagged]
        self.uncased = text == text.lower()
        self.shouted = text == text.upper()
        self.nouns_small = not self.uncased and words("names", "german").isdisjoint(word.text for word in tagged)

    def _gap(self, i: int) -> str:
        """What stands between a word and the next."""
        return self.text[self.words[i].end : self.words[i + 1].start]

    def _capital(self, i: int) -> bool:
        return self.uncased or self.words[i].text[0].isupper()

    def _names(self, first: int, last: int) -> list[int]:
        """The words of the stretch without particles and initials."""
        particles = words("names", "particles")
        return [i for i in range(first, last + 1) if len(self.words[i].text) > 1 and self.folded[i] not in particles]

    def _is_ending(self, i: int) -> bool:
        """The ``s`` of "Keller's"."""
        return (
            i < len(self.words)
            and self.folded[i] == "s"
            and self.text[self.words[i].start - 1 : self.words[i].start] in ("'", "’")
        )

    def _before(self, i: int, listed: Collection[str], *, dot: bool = False) -> bool:
        if i == 0 or self.folded[i - 1] not in listed:
            return False
        gap = self._gap(i - 1)
        return bool(_BLANK.fullmatch(gap.removeprefix(".") if dot else gap) or (dot and gap == "."))

    def _title_before(self, i: int) -> bool:
        while i > 1 and self._gap(i - 1) == " " and self.words[i - 1].text in words("names", "begin_surnames"):
            i -= 1
        return self._before(i, words("names", "titles"), dot=True)

    def _role_before(self, i: int) -> bool:
        return self._before(i, words("names", "roles") | words("names", "romance_kin"))

    def _kin_before(self, i: int) -> bool:
        """French and Spanish: after a word for kin, a capital can only be a name."""
        return self.nouns_small and self._before(i, words("names", "romance_kin"))

    def _introduced(self, i: int) -> bool:
        start = self.words[i].start
        return bool(_introduction().search(flat(self.text[max(0, start - 40) : start])))

    def _surname_after(self, i: int) -> bool:
        """Whether a usual given name stands before another capital, where capitals are kept for names."""
        if not self.nouns_small or i + 1 == len(self.words) or self._gap(i) not in (" ", "-"):
            return False
        after = self.words[i + 1].text
        return after[0].isupper() and not after.isupper() and after.isalpha()

    def _is_genitive(self, i: int) -> bool:
        """German: "Luthers Karriere" is a name and what he has; "Hans Keller" is one name."""
        name = self.folded[i]
        german = not self.nouns_small and not self.uncased
        return german and len(name) > 4 and name.endswith("s") and name not in given_names()

    def _followed_by(self, last: int, listed: str, *, within: int) -> bool:
        """Whether one of the next words is of the list; beyond the first only through words with a capital."""
        for i in range(last + 1, min(last + 1 + within, len(self.words))):
            gap = self._gap(i - 1)
            if len(gap) > 3 or any(c in gap for c in ".;:!?\n,("):
                return False
            if self.folded[i] in words("not_names", listed):
                return self._capital(i) or listed in ("after", "things")
            if not self.words[i].text[0].isupper():
                return False
        return False


@cache
def _introduction() -> re.Pattern[str]:
    return re.compile(rf"\b{phrases('names', 'introductions')}[\s:,\"'„“»«]{{1,3}}$")
