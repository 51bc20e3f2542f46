"""Which of the words that look like names are people.

The classifier sees neither capitals nor what a word means elsewhere: to it "Adrenal Gland" is a name as good as any.
So what it marks counts only with other evidence, which is any of: a title, a kinship or role before it; a phrase that
introduces somebody; a usual given name; a given name and a surname side by side. And nothing counts that is a firm, an
illness, a statute, a product or a place by the words around it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from freehold.privacy.surroundings import Surroundings
from freehold.privacy.words import given_names, words

LIKELY = 0.2
"""Probability of being part of a name, from which a word is looked at."""
AFTER_TITLE = 0.1
"""The same after a title, which is evidence enough that something with a capital is a name."""
BESIDE_NAME = 0.15
"""The same beside a word of a name."""
USUAL = 0.01
"""The same of a usual given name."""
GIVEN = 0.8
"""Probability of being a given name from which the next word, too, is looked at more kindly."""
AFTER_GIVEN = 0.005
"""The same of a capital after a usual given name, in languages that write no other nouns so."""
SURE_PAIR = 0.4
"""Mean probability from which a given name beside a surname is a person without more evidence."""
SURE_NAMES = 0.5
"""The same of any two names side by side."""
SINGLE = 0.9
"""Probability from which a lone capital within a sentence is a person without more evidence."""
OWNER = 0.5
"""Probability from which somebody whose something it is ("Cleo's epilepsy") is a person."""
SURE_UNCASED = 0.8
"""The same of a usual given name in a text without capitals."""

_JOINT = re.compile(r"[ \t\u00a0]{1,2}|\.[ \t\u00a0]?|[-‐‑]|['’]")
_AND = re.compile(r"\s?[,&/+]\s?|\s+")
_CONJUNCTIONS = frozenset({"and", "und", "et", "y", "e", "or", "oder", "ou", "o"})
_NEAR_WORDS = 25
_LEAST_SCORE = 0.0001  # a person by the words around alone
_MEDICAL = re.compile(
    r"\w{3}(?:itis|osis|emia|pathy|plasia|trophy|ectomy|algia|uria|penia|rrhea|rrhagic|gravis|genesis)$"
)
_ROMAN = re.compile(r"II|III|IV|VI{1,3}|IX|XI{0,3}|XIV|XVI{0,3}|XXI{0,3}")


@dataclass(frozen=True, slots=True)
class Person:
    """A stretch of words, ``first`` to ``last`` inclusive, with the mean probability of its names."""

    first: int
    last: int
    score: float


class PeopleFinder(Surroundings):
    """Finds the people of one text."""

    def people(self) -> list[Person]:
        """By place."""
        runs = [self._grown(first, last) for first, last in self._runs()]
        found = {run for run in runs if self._is_person(*run)}
        known = {self.folded[i] for run in found for i in self._names(*run)}
        more = {
            run
            for run in runs
            if run not in found
            and self._may_be(*run)
            and (self._stands_beside(run, found) or any(self.folded[i] in known for i in self._names(*run)))
        }
        people = [Person(first, last, self._probability(first, last)) for first, last in found | more]
        return sorted([*people, *self._again(people)], key=lambda person: person.first)

    # --- stretches of words that may be a name ---

    def _runs(self) -> Iterator[tuple[int, int]]:
        first = last = -1
        for i in range(len(self.words)):
            if not self._is_likely(i):
                continue
            if first >= 0 and self._joined(last, i):
                last = i
                continue
            if first >= 0:
                yield first, last
            first = last = i
        if first >= 0:
            yield first, last

    def _is_likely(self, i: int) -> bool:
        word = self.words[i]
        if self._is_ending(i) or self.folded[i] in words("names", "titles") or any(map(str.isdigit, word.text)):
            return False
        if not self._capital(i):
            return False
        if word.person >= LIKELY:
            return True
        if self.folded[i] in given_names() and not self.uncased and (word.person >= USUAL or self._surname_after(i)):
            return True
        if self._kin_before(i):
            return True
        if self._title_before(i):
            return word.person >= AFTER_TITLE or (
                self.nouns_small and self._before(i, words("names", "plain_titles"), dot=True)
            )
        told = self._introduced(i) or (self.nouns_small and self._role_before(i))
        return told and word.person >= AFTER_TITLE

    def _joined(self, left: int, right: int) -> bool:
        """Nothing between but a blank, a hyphen, a dot of an initial, particles ("von der") or more initials."""
        if not all(_JOINT.fullmatch(self._gap(i)) for i in range(left, right)) or self._is_genitive(left):
            return False
        between = range(left + 1, right)
        if self._gap(left).startswith(".") and len(self.words[left].text) > 3 and left + 1 == right:
            return False  # the end of a sentence
        return len(between) <= 3 and all(
            self.folded[i] in words("names", "particles") or (len(self.words[i].text) == 1 and self._capital(i))
            for i in between
        )

    def _grown(self, first: int, last: int) -> tuple[int, int]:
        """With the rest of hyphenated names, and with neighbours that are names less surely."""
        if self.uncased:
            return first, last
        first = self._given_before(first)
        while first > 0 and self._belongs(first - 1, self._gap(first - 1), first):
            first -= 1
        least = AFTER_GIVEN if self.nouns_small and self._is_told(first) else BESIDE_NAME
        if self.folded[last] in given_names() and self._surname_after(last):
            last += 1
        last = self._over_initial(last)
        while last + 1 < len(self.words) and self._belongs(last + 1, self._gap(last), last, least=least):
            last += 1
        return first, self._with_particles(last)

    def _is_told(self, first: int) -> bool:
        """Something before it or its own first word says that a name begins here."""
        given = self.folded[first] in given_names() or self.words[first].given_name >= GIVEN
        return given or self._title_before(first) or self._role_before(first) or self._introduced(first)

    def _given_before(self, first: int) -> int:
        """Back over "de" or "von" to a given name, unless that is only the first word of a sentence."""
        i = first - 1
        while i > 0 and self._gap(i) == " " and self.folded[i] in words("names", "continue_surnames"):
            i -= 1
        if i < 2 or not self.nouns_small or self.words[i].text not in words("names", "begin_surnames"):
            return first
        told = self._gap(i - 1) == self._gap(i - 2) == self._gap(i) == " " and self.words[i - 1].text[0].isupper()
        barred = words("not_names", "before") | words("names", "titles")
        return i - 1 if told and self.folded[i - 1] not in barred else first

    def _over_initial(self, last: int) -> int:
        """As far as a surname goes that stands behind an initial: "Stefania K. Oddgeirsdottir"."""
        if last + 2 >= len(self.words) or len(self.words[last + 1].text) > 1 or self._gap(last) != " ":
            return last
        dotted = self._gap(last + 1) == ". "
        if not dotted and (self._gap(last + 1) != " " or self.words[last].given_name < LIKELY):
            return last
        capitals = self.words[last + 1].text.isupper() and self.words[last + 2].text[0].isupper()
        return last + 2 if capitals and not self.uncased else last

    def _with_particles(self, last: int) -> int:
        """As far as a surname goes that begins with "von", "de la" or the like."""
        small = words("names", "begin_surnames") | words("names", "continue_surnames")
        i = last + 1
        while i < len(self.words) and self._gap(i - 1) == " " and self.folded[i] in small:
            i += 1
        begins = last + 1 < i < len(self.words) and self.words[last + 1].text in words("names", "begin_surnames")
        if begins and self.words[last + 1].text == "zu" and self.words[i].nothing > 1 - BESIDE_NAME:
            return last  # "zu Hause"
        if not begins or self._gap(i - 1) != " " or not self.words[i].text[0].isupper():
            return last
        while i + 1 < len(self.words) and self._gap(i) in ("-", "‐", "‑") and self._capital(i + 1):
            i += 1
        return i

    def _belongs(self, i: int, gap: str, beside: int, *, least: float = BESIDE_NAME) -> bool:
        if self._is_ending(i) or not self._capital(i) or any(map(str.isdigit, self.words[i].text)):
            return False
        if gap in ("-", "‐", "‑"):
            return True
        if self._is_genitive(min(i, beside)):
            return False
        if gap in ("'", "’"):
            return len(self.words[min(i, beside)].text) == 1  # O'Rourke
        if self.folded[i] in words("names", "titles"):
            return False
        if not _JOINT.fullmatch(gap) or (gap.startswith(".") and len(self.words[min(i, beside)].text) > 1):
            return False
        if len(self.words[i].text) == 1 and i < beside and self.text[self.words[i].end : self.words[i].end + 1] == ".":
            return True  # J. Kowalczyk
        return self.words[i].person >= least

    # --- evidence ---

    def _is_person(self, first: int, last: int) -> bool:
        if not self._may_be(first, last):
            return False
        names, probability = self._names(first, last), self._probability(first, last)
        if self._title_before(first):
            return True
        if self._introduced(first) or self._role_before(first):
            surest = max(self.words[i].person for i in names)
            if surest >= (AFTER_TITLE if self.nouns_small else LIKELY) or self._kin_before(first):
                return True
        usual = any(self.folded[i] in given_names() for i in names)
        if self.uncased:
            least = LIKELY if usual and len(names) > 1 else SURE_UNCASED
            return (usual or self._is_pair(names)) and probability >= least
        if any(len(self.words[i].text) > 1 and self.words[i].text.isupper() for i in names) and not self.shouted:
            return (usual or self._is_pair(names)) and probability >= SURE_NAMES  # else an acronym
        if usual:
            return probability >= USUAL or self._surname_after(names[0])
        if any(self._has_initial(i, last) for i in names):
            return True
        if len(names) == 1:
            if probability >= SINGLE and self.nouns_small and self._alone_within(first, last):
                return True
            return (probability >= OWNER and self._initial_before(first, names[0])) or self._lives(last)
        return probability >= (SURE_PAIR if self._is_pair(names) else SURE_NAMES)

    def _is_pair(self, names: Sequence[int]) -> bool:
        """A given name and a surname."""
        first, last = self.words[names[0]], self.words[names[-1]]
        return len(names) > 1 and first.given_name > first.surname and last.surname > last.given_name

    def _alone_within(self, first: int, last: int) -> bool:
        """Within a sentence, no other capital beside it.

        What ends a question may as well be what it is about, unless the collection's own words are known.
        """
        if first == 0 or self.words[first - 1].text[0].isupper():
            return False
        ends = last + 1 == len(self.words) or any(c in ".?!:;\n" for c in self._gap(last))
        return bool(self.ordinary) if ends else not self.words[last + 1].text[0].isupper()

    def _has_initial(self, i: int, last: int) -> bool:
        """ "Janka M. Szasz": a capital, an initial with a dot, a capital."""
        return i + 2 <= last and len(self.words[i + 1].text) == 1 and self._gap(i + 1).startswith(".")

    def _initial_before(self, first: int, name: int) -> bool:
        return any(len(self.words[i].text) == 1 for i in range(first, name))

    def _lives(self, last: int) -> bool:
        """Somebody who lives or dies; in English also who is a he or she, or whose injury, wife or pension it is."""
        after = self.folded[last + 1 : last + 1 + _NEAR_WORDS]
        if self._is_ending(last + 1) and len(self._gap(last)) == 1 and after[1:] and self._gap(last + 1) == " ":
            owner = self.words[last].person >= OWNER and self.words[last + 2].text.islower()
            if owner or after[1] in words("names", "belongings"):
                return True
        return bool(after) and (
            after[0] in words("names", "doings") or not words("names", "pronouns").isdisjoint(after)
        )

    def _may_be(self, first: int, last: int) -> bool:
        """Nothing around it says that it is something else."""
        names = self._names(first, last)
        if not names:
            return False
        if self._followed_by(last, "firms", within=4) or self._inside(first, last) or self._goes_on(first, last):
            return False
        titled = self._title_before(first)
        if titled:
            return True
        if all(self.folded[i] in words("not_names", "eponyms") for i in names):
            return False
        if all(self.folded[i] in self.ordinary for i in names):
            return False
        if self._named_thing(first, last, alone=len(names) == 1):
            return False
        if self._followed_by(last, "things", within=1):
            return False
        return self._role_before(first) or not self._followed_by(last, "institutions", within=2)

    def _probability(self, first: int, last: int) -> float:
        return max(round(fmean(self.words[i].person for i in self._names(first, last)), 4), _LEAST_SCORE)

    def _stands_beside(self, run: tuple[int, int], found: Collection[tuple[int, int]]) -> bool:
        """In an enumeration with a person: "X and Y", "Y, X"."""
        return any(self._enumerated(other[1], run[0]) or self._enumerated(run[1], other[0]) for other in found)

    def _enumerated(self, left: int, right: int) -> bool:
        if right - left == 1:
            gap = self._gap(left)
            return bool(_AND.fullmatch(gap)) and not gap.isspace()
        between = right - left == 2 and self.folded[left + 1] in _CONJUNCTIONS
        return between and all(_AND.fullmatch(self._gap(i)) for i in (left, left + 1))

    # --- evidence against ---

    def _inside(self, first: int, last: int) -> bool:
        """A word of the stretch itself says that it is an illness, a statute or an institution: "Wilms Tumor"."""
        lists = ("after", "institutions", "things", "firms")
        listed = frozenset().union(*(words("not_names", name) for name in lists))
        if self.folded[first] in words("not_names", "before") or any(
            self.folded[i] in listed for i in range(first if first == last else first + 1, last + 1)
        ):
            return True
        usual = any(self.folded[i] in given_names() for i in range(first, last + 1))
        return not usual and any(_MEDICAL.search(self.folded[i]) for i in range(first, last + 1))

    def _goes_on(self, first: int, last: int) -> bool:
        """Whether a word is only the beginning of one with an apostrophe: "Shari'a"."""
        following = (i for i in range(first, min(last + 1, len(self.words) - 1)) if self._gap(i) in ("'", "’"))
        return any(len(self.words[i + 1].text) == 1 and not self._is_ending(i + 1) for i in following)

    def _named_thing(self, first: int, last: int, *, alone: bool) -> bool:
        """An illness, test, statute, product or ruler by the word after ("Crohn's disease") or before ("loi Évin")."""
        possessive = self._is_ending(last + 1)
        if (alone or not possessive) and self._followed_by(last + possessive, "after", within=2):
            return True
        if last + 1 < len(self.words) and _ROMAN.fullmatch(self.words[last + 1].text):
            return True
        listed = words("not_names", "before")
        if self._before(first, listed) or (first and self._gap(first - 1) == "-" and self.folded[first - 1] in listed):
            return True
        if self._before(first, ("v", "vs"), dot=True):
            return True  # a case that is cited: "Donoghue v Stevenson"
        linked = first > 1 and alone and self.folded[first - 1] in words("names", "particles") | {"d"}
        return linked and self.folded[first - 2] in listed

    # --- the same people once more ---

    def _again(self, people: Sequence[Person]) -> list[Person]:
        """Other places where a name of somebody found stands alone: "Anna Keller ... Keller's"."""
        taken = {i for person in people for i in range(person.first, person.last + 1)}
        scores: dict[str, float] = {}
        for person in people:
            for i in self._names(person.first, person.last):
                if len(self.folded[i]) > 2:
                    scores[self.folded[i]] = max(person.score, scores.get(self.folded[i], 0))
        again = []
        for i, name in enumerate(self.folded):
            known = scores.get(name) or scores.get(name.removesuffix("s"))
            if known and i not in taken and self._capital(i) and not self._named_thing(i, i, alone=True):
                again.append(Person(i, i, known))
        return again
