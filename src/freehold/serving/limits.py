"""Limits: so many requests a second for each key, with bursts of twice as many."""

from __future__ import annotations

import math
import time
from collections import OrderedDict

_MOST_KEYS = 10_000


class RateLimit:
    """A token bucket for each key. For one thread."""

    def __init__(self, per_s: float) -> None:
        """``per_s``: 0 lets everything pass."""
        self._per_s = per_s
        self._burst = max(1.0, 2 * per_s)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: str) -> int:
        """0 and the request is counted; else the seconds after which there is room again."""
        if not self._per_s:
            return 0
        now = time.monotonic()
        tokens, since = self._buckets.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - since) * self._per_s)
        passes = tokens >= 1
        self._buckets[key] = (tokens - 1 if passes else tokens, now)
        while len(self._buckets) > _MOST_KEYS:
            self._buckets.popitem(last=False)
        return 0 if passes else max(1, math.ceil((1 - tokens) / self._per_s))
