"""Results of searches, kept in memory while nothing has changed: no commit, no other models, no other hidden document.

Whatever changes what may be found or shown raises the catalog's revision, and the first look after it empties the
cache, so that what was erased or restricted is nowhere in it. Nothing of it is ever on a disk.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from freehold.journeys.search import Found
from freehold.serving.messages import Search


class Cache:
    """The latest results, the least used of which go first. For one thread."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Hashable, Found] = OrderedDict()
        self._of: Hashable = None
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._kept)

    def see(self, state: Hashable) -> None:
        """What everything depends on, as it is now: where it is another than before, all is forgotten."""
        if state != self._of:
            self._kept.clear()
            self._of = state

    def get(self, search: Search) -> Found | None:
        """What was found for it before."""
        found = self._kept.get(_key(search))
        if found is None:
            self.misses += 1
            return None
        self._kept.move_to_end(_key(search))
        self.hits += 1
        return found

    def put(self, search: Search, found: Found, state: Hashable) -> None:
        """Keep it, unless what it was found in has changed meanwhile."""
        if self._size and state == self._of and not found.rerank_left:
            self._kept[_key(search)] = found
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)


def _key(search: Search) -> Hashable:
    filter = tuple(sorted(search.filter.items()))
    return search.text, search.k, search.mode, search.rerank_depth, filter, search.caller
