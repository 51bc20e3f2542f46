"""Parts that share nothing: what must not stand on both sides of a split, found and kept apart.

A figure on held-out questions is worth what the training did not see of them. Two things give it away: the same
question about the same passage in other words, and the passage itself. The first is looked for between what is learned
from and every split that is held out; the second as well between what is learned from and the part that chooses
settings (``hold_out``, ``apart``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal, get_args

from freehold.core.ids import keyed_order
from freehold.core.shelf import Shelf
from freehold.journeys.examples import Chunks, Pair
from freehold.text.duplicates import signature, similarity
from freehold.text.terms import TermAnalyzer

NEAR_QUESTION = 0.8
"""Share of common terms (Jaccard) from which two questions are nearly the same."""

NEAR_PASSAGE = 0.5
"""Estimated Jaccard similarity of runs of five words from which two passages say nearly the same: of a hundred words
some six, here and there, are others."""

TEMPLATE = 3
"""A question put in the same words about more places than this is a form that is filled in for each document (is the
receiving party named?): that it comes again gives nothing away, that it comes again about the same passage does."""

_COMPARED = 32
"""Chunks of a pair that are compared with those of another: a whole document need not be."""

Level = Literal["document or person", "passage or person", "passage"]
"""What no question of one part shares with a question of the other."""


# -- the same question -----------------------------------------------------------------------------------------------


def near_sets(sets: Mapping[int, frozenset[int]], threshold: float = NEAR_QUESTION) -> Iterator[tuple[int, int]]:
    """Every two keys whose sets have a Jaccard similarity of at least ``threshold``, each once; none is missed.

    By prefix filtering (Chaudhuri et al. 2006; Bayardo et al. 2007): in a common order, the rarest members first, two
    such sets share one of the first ``n - ceil(threshold * n) + 1`` of each.
    """
    frequency = Counter(member for members in sets.values() for member in members)
    postings: defaultdict[int, list[int]] = defaultdict(list)
    for key in sorted((key for key in sets if sets[key]), key=lambda key: (len(sets[key]), key)):
        members = sorted(sets[key], key=lambda member: (frequency[member], member))
        needed = ceil(threshold * len(members) - 1e-9)
        prefix = members[: len(members) - needed + 1]
        seen: set[int] = set()
        for member in prefix:
            for other in postings[member]:
                if other not in seen and len(sets[other]) >= needed:
                    seen.add(other)
                    shared = len(sets[key] & sets[other])
                    if shared >= threshold * (len(sets[key]) + len(sets[other]) - shared) - 1e-9:
                        yield other, key
        for member in prefix:
            postings[member].append(key)


class Sameness:
    """Tells of pairs whether they ask the same of the same passages. Texts of passages are read when needed."""

    def __init__(self, shelf: Shelf, chunks: Chunks, terms: TermAnalyzer) -> None:
        self._shelf = shelf
        self._chunks = chunks
        self._terms = terms
        self._signatures: dict[str, bytes] = {}

    def repeated(self, pairs: Sequence[Pair]) -> list[list[int]]:
        """Places of the pairs that ask word for word the same, whatever it is about; forms are left out (TEMPLATE)."""
        by_words: defaultdict[str, list[int]] = defaultdict(list)
        for place, pair in enumerate(pairs):
            by_words[pair.words].append(place)
        return [places for places in by_words.values() if places[1:] and not self._is_form([pairs[p] for p in places])]

    def near(self, pairs: Sequence[Pair], *, across: int = 0) -> Iterator[tuple[int, int]]:
        """Places of every two pairs, the lower first, that ask nearly the same of nearly the same passage.

        ``across``: only those of which one stands before that place and the other does not.
        """
        sets = {place: frozenset(self._terms.query(pair.query).indices) for place, pair in enumerate(pairs)}
        for low, high in map(sorted, near_sets(sets)):
            if (not across or low < across <= high) and self.same_passage(pairs[low], pairs[high]):
                yield low, high

    def same_passage(self, one: Pair, other: Pair) -> bool:
        """Whether a passage of one is a passage of the other, or nearly says the same."""
        if not set(one.relevant).isdisjoint(other.relevant) or one.spared_documents & other.spared_documents:
            return True
        mine, theirs = self._signed(one.relevant[:_COMPARED]), self._signed(other.relevant[:_COMPARED])
        return any(similarity(a, b) >= NEAR_PASSAGE for a in mine for b in theirs)

    def _is_form(self, pairs: Sequence[Pair]) -> bool:
        return len({self._chunks.documents(pair.relevant) for pair in pairs}) > TEMPLATE

    def _signed(self, chunk_ids: Sequence[str]) -> list[bytes]:
        new = [chunk_id for chunk_id in chunk_ids if chunk_id not in self._signatures]
        for chunk_id, view in self._shelf.views(new).items() if new else ():
            self._signatures[chunk_id] = signature(view.chunk.text)
        return [self._signatures[chunk_id] for chunk_id in chunk_ids if chunk_id in self._signatures]


def leaked(pairs: Sequence[Pair], held_out: Sequence[Pair], sameness: Sameness) -> set[int]:
    """Places of the ``pairs`` that ask what a held-out one asks: in its words, or nearly so of nearly its passage."""
    both, first_held_out = [*pairs, *held_out], len(pairs)
    found = {
        place
        for places in sameness.repeated(both)
        if places[-1] >= first_held_out
        for place in places
        if place < first_held_out
    }
    return found.union(low for low, _ in sameness.near(both, across=first_held_out)) if pairs else found


# -- parts that share nothing ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parting:
    """Places of the pairs that are learned from and of those that are not; the others are in neither part."""

    train: tuple[int, ...]
    dev: tuple[int, ...]
    level: Level


def hold_out(
    pairs: Sequence[Pair],
    eligible: Collection[int],
    *,
    share: float,
    seed: int,
    chunks: Chunks,
    sameness: Sameness,
) -> Parting:
    """Take a ``share`` of the eligible pairs out of the pairs, so that no question of dev shares anything with train.

    Questions are gathered into groups that hang together: by a document that answers both, by the same question of
    nearly the same passage, by a person who asks or is asked about. Whole groups go into dev, in an order that the
    ``seed`` and the questions alone decide, as long as there is room.

    Groups can hang together until one of them is nearly everything: a house of one handbook, a few people who ask
    about all. Where dev cannot be filled to half with whole groups, documents give way to passages, then people are let
    go, as ``level`` says. If even passages hang together (regulations that refer to one another), dev takes the
    questions that share a passage with the fewest others, and those others go into neither part. Only eligible pairs
    enter dev; others of its groups are in neither part.
    """
    target = max(1, round(share * len(eligible)))
    links = _links(pairs, sameness)
    for level in _LEVELS:
        groups = _groups([own | more for own, more in zip(_keys(pairs, level, chunks), links, strict=True)])
        dev = _fill(pairs, groups, eligible, target, seed)
        if 2 * len(dev) >= target:
            taken = {place for group in groups if not dev.isdisjoint(group) for place in group}
            return Parting(_without(pairs, taken), tuple(sorted(dev)), level)
    keys = [own | more for own, more in zip(_keys(pairs, _LEVELS[-1], chunks), links, strict=True)]
    dev = _loosest(pairs, keys, eligible, target, seed)
    return Parting(_without(pairs, dev | _sharing(keys, dev)), tuple(sorted(dev)), _LEVELS[-1])


def apart(pairs: Sequence[Pair], dev: Sequence[Pair], *, chunks: Chunks) -> tuple[list[int], Level]:
    """Places of the pairs that share nothing with a dev part that is given, and what it is that they do not share.

    No document and no person where that costs no more than a third of the pairs, else no passage and no person, else no
    passage.
    """
    both, held_out = [*pairs, *dev], set(range(len(pairs), len(pairs) + len(dev)))
    kept: list[int] = []
    for level in _LEVELS:
        sharing = _sharing(_keys(both, level, chunks), held_out)
        kept = [place for place in range(len(pairs)) if place not in sharing]
        if 3 * (len(pairs) - len(kept)) <= len(pairs):
            return kept, level
    return kept, _LEVELS[-1]


_LEVELS: tuple[Level, ...] = get_args(Level)


def _keys(pairs: Sequence[Pair], level: Level, chunks: Chunks) -> list[set[Hashable]]:
    """What each pair must not share with one of the other part."""
    keys: list[set[Hashable]] = []
    for pair in pairs:
        answered = chunks.documents(pair.relevant) if level == _LEVELS[0] else pair.relevant
        own: set[Hashable] = set(answered)
        if level != _LEVELS[-1]:
            own.update(("person", person) for person in pair.people)
        keys.append(own)
    return keys


def _links(pairs: Sequence[Pair], sameness: Sameness) -> list[set[Hashable]]:
    """The same question as a thing that is shared: a set of names of such ties for every pair."""
    links: list[set[Hashable]] = [set() for _ in pairs]
    for places in (*sameness.repeated(pairs), *sameness.near(pairs)):
        for place in places:
            links[place].add(("question", *places))
    return links


def _groups(keys: Sequence[set[Hashable]]) -> list[list[int]]:
    """Places in groups that share no key; in the order of their first members."""
    parent = list(range(len(keys)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    first: dict[Hashable, int] = {}
    for place, own in enumerate(keys):
        for key in own:
            parent[root(place)] = root(first.setdefault(key, place))
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for place in range(len(keys)):
        groups[root(place)].append(place)
    return sorted(groups.values())


def _fill(
    pairs: Sequence[Pair], groups: Sequence[list[int]], eligible: Collection[int], target: int, seed: int
) -> set[int]:
    """Eligible members of whole groups, ``target`` at most."""
    named = {min(pairs[place].key for place in group): group for group in groups}
    dev: set[int] = set()
    for name in keyed_order(named, f"dev.{seed}"):
        members = set(named[name]).intersection(eligible)
        if len(dev) + len(members) <= target:
            dev |= members
    return dev


def _loosest(
    pairs: Sequence[Pair], keys: Sequence[set[Hashable]], eligible: Collection[int], target: int, seed: int
) -> set[int]:
    """The eligible pairs that share something with the fewest others."""
    sharers = Counter(key for own in keys for key in own)
    place_of = {pairs[place].key: place for place in sorted(eligible)}
    order = [place_of[key] for key in keyed_order(place_of, f"dev.{seed}")]
    return set(sorted(order, key=lambda place: sum(sharers[key] - 1 for key in keys[place]))[:target])


def _sharing(keys: Sequence[set[Hashable]], taken: Collection[int]) -> set[int]:
    """Places, other than the ``taken``, that share a key with one of them."""
    theirs = {key for place in taken for key in keys[place]}
    return {place for place, own in enumerate(keys) if place not in taken and not own.isdisjoint(theirs)}


def _without(pairs: Sequence[Pair], taken: Collection[int]) -> tuple[int, ...]:
    return tuple(place for place in range(len(pairs)) if place not in taken)
