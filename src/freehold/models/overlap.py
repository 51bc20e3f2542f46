"""How far the words of one text are found in another, rare words counting most."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Set


class Rarity:
    """Inverse document frequency of terms over a few stretches of text.

    The weight of a term in ``df`` of ``n`` stretches is ln(1 + (n + 1) / (df + 0.5)): positive, highest for df = 0.
    """

    def __init__(self, stretches: Collection[Set[int]]) -> None:
        counts = Counter(term for stretch in stretches for term in stretch)
        top = len(stretches) + 1
        self._weights: Mapping[int, float] = {term: math.log(1 + top / (count + 0.5)) for term, count in counts.items()}
        self._unseen = math.log(1 + top / 0.5)

    def of(self, terms: Iterable[int]) -> float:
        """Summed weight of ``terms``."""
        return sum(self._weights.get(term, self._unseen) for term in terms)

    def coverage(self, wanted: Set[int], given: Set[int]) -> float:
        """The share, by weight, of ``wanted`` that occurs in ``given``, in [0, 1]; 0 when nothing is wanted."""
        total = self.of(wanted)
        return self.of(wanted & given) / total if total else 0.0
