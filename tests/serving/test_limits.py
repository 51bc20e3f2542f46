"""What is kept to while requests come: time, rate, size, and what a cache may know."""

from __future__ import annotations

import asyncio
import time

import pytest
from starlette.exceptions import HTTPException

from freehold.http import envelope
from freehold.journeys.search import Found, Plan
from freehold.serving.cache import Cache
from freehold.serving.engine import _in_time
from freehold.serving.limits import RateLimit
from freehold.serving.messages import Request, Search
from freehold.serving.metrics import Metrics


def test_as_its_time_runs_out_a_search_reranks_within_what_is_left():
    plan = Plan(rerank_depth=50)
    for left_s, least, most in ((0.1, 1.0, 100.0), (0.005, 1.0, 1.0)):
        tight = _in_time(plan, Request(1, Search("kilns"), time.monotonic() + left_s))
        assert least <= tight.rerank_budget_ms <= most
    assert _in_time(plan, Request(1, Search("kilns"), time.monotonic() + 10)) == plan
    tighter = _in_time(Plan(rerank_depth=50, rerank_budget_ms=2.0), Request(1, Search("kilns"), time.monotonic() + 0.3))
    assert tighter.rerank_budget_ms == 2.0


def test_a_rate_lets_bursts_pass_and_then_tells_how_long_to_wait():
    limit = RateLimit(2.0)
    waits = [limit.wait_s("one") for _ in range(6)]
    assert waits[:4] == [0, 0, 0, 0]
    assert all(wait >= 1 for wait in waits[4:])
    assert limit.wait_s("other") == 0
    assert not any(RateLimit(0.0).wait_s("one") for _ in range(1000))


def test_a_cache_forgets_all_when_anything_changes():
    cache, found = Cache(2), Found((), {})
    cache.see((1, 0))
    for text in ("a", "b", "c"):
        cache.put(Search(text), found, (1, 0))
    assert len(cache) == 2
    assert cache.get(Search("c")) is found
    assert cache.get(Search("a")) is None
    cache.put(Search("late"), found, (0, 0))  # found in what has changed since
    assert cache.get(Search("late")) is None
    cache.see((2, 0))
    assert len(cache) == 0


def test_a_body_that_drips_in_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(envelope, "_BODY_S", 0.05)

    async def never() -> dict:
        await asyncio.sleep(30)
        return {}

    async def app(_scope, receive, _send):
        await receive()

    whole = envelope.Envelope(app, metrics=Metrics(), max_body_bytes=1 << 20, max_upload_bytes=1 << 20)
    scope = {"type": "http", "path": "/v1/search", "headers": [], "state": {}}
    with pytest.raises(HTTPException) as refused:
        asyncio.run(whole(scope, never, never))
    assert refused.value.status_code == 408
