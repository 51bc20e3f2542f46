"""What a month costs: by hand, by law, with bad prices, within a latency target, and for as long as things are kept."""

import json
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.errors import UsageError
from freehold.measure.cost import compare, figures, page, prices
from freehold.measure.cost.options import HOURS, OPTIONS, machines_of, month, stored

TODAY = date(2026, 11, 27)
FIXED = {
    "queries_a_day": "10000",
    "prompt_tokens": "1000",
    "answer_tokens": "100",
    "hours_bought": "2",
    "hour_eur": "50",
}


def told(given=None, table=None):
    chosen = figures.scenario("10k-queries-a-day", given)
    return compare.compare(chosen, prices.prices() if table is None else table, today=TODAY)


def option(result, part):
    return next(one for one in result["options"] if part in one["name"])


def likely(**given):
    """Every figure and price as it likely is, but for those given, once."""
    at = {key: one.likely for key, one in figures.scenario("10k-queries-a-day").items()}
    return {key: np.array([float(value)]) for key, value in (at | prices.euros(prices.prices()) | given).items()}


def of(part, **given):
    d = likely(**given)
    return month(next(one for one in OPTIONS if part in one.name), d, machines_of(d))


def test_a_month_of_a_bought_model_by_hand():
    found = option(told(FIXED), "own search + Mistral")
    tokens = 10_000 * 30.4 / 1e6 * (1000 * 1.36 + 100 * 4.18) / 1.1133
    assert found["monthly"] == pytest.approx(tokens + 2 * 50 + 64.99, abs=65)
    assert {one["basis"] for one in found["assumptions"]} == {"assumed", "set by you", "price"}
    assert all(one["source"] and one["date"] for one in found["assumptions"] if one["basis"] == "price")


def test_a_bought_server_by_hand():
    found = of("bought server", server_eur=3600, server_years=3, server_watts=100, power_overhead=1.5, rack_eur=40)
    power = 0.1 * 1.5 * HOURS * 0.1902
    assert found.euros[0] == pytest.approx(found.servers[0] * (100 + power + 40) + 12 * 65, rel=1e-9)


def test_every_option_says_how_fast_it_is():
    result = told()
    assert len(result["options"]) >= 15
    for one in result["options"]:
        assert 0 < one["p95_interval"][0] <= one["p95_ms"] <= one["p95_interval"][1]
        assert 0 <= one["meets_target"] <= 1
        assert one["servers"] >= 1
        assert bool(one["gpus"]) == ("vLLM" in one["name"])


def test_a_tighter_target_takes_more_machines_and_is_then_held():
    slack, tight = (
        of("H100, vLLM with an 8B model (OVH", queries_a_day=1e6, latency_target_ms=ms) for ms in (1e5, 3000)
    )
    assert tight.gpus[0] > slack.gpus[0]
    assert tight.p95_ms[0] <= 3000 < slack.p95_ms[0]
    busy, calm = (of("RISE-S", queries_a_day=3e6, log_months=0, latency_target_ms=ms) for ms in (1e4, 70))
    assert calm.servers[0] > busy.servers[0]
    assert calm.p95_ms[0] <= 70 < busy.p95_ms[0]


def test_no_machine_fewer_would_hold_the_target():
    found = of("RISE-S", queries_a_day=3e6, log_months=0, latency_target_ms=70)
    d = likely(queries_a_day=3e6)
    search, servers = machines_of(d).search, found.servers[0]
    peak = 3e6 / 86400 * d["peak_factor"]
    assert search.p95_ms(peak / (servers - 2))[0] > 70  # one more than peaks ask for stands for what is done beside


def test_a_target_out_of_reach_is_said_and_costs_no_more():
    at = {"latency_target_ms": "5"}
    assert all(one["meets_target"] == 0 for one in told(at)["options"])
    assert of("RISE-S", latency_target_ms=5).servers[0] == of("RISE-S", latency_target_ms=1e5).servers[0]


@pytest.mark.parametrize("target_ms", ["0", "1", "30", "1000000"])
def test_whatever_is_asked_the_figures_are_numbers(target_ms):
    at = {"latency_target_ms": target_ms, "load_share": "1", "search_in_line": "3", "search_tail": "20", "vectors": "0"}
    for queries in ("0", "1", "10000000"):
        json.dumps(told(at | {"queries_a_day": queries}), allow_nan=False)  # raises for what JSON has no word for


def test_a_gpu_that_is_too_slow_is_no_answer_to_a_bought_model():
    names = {one["self_hosted"] for one in told()["break_even"] if one["queries_a_day"]}
    assert names
    for name in names:
        assert of(name).p95_ms[0] <= 10_000


def test_a_price_never_falls_with_more_questions():
    at = {key: np.repeat(value, 400) for key, value in likely().items()}
    at["queries_a_day"] = np.geomspace(10, 1e7, 400)
    for one in compare.priced(prices.prices()):
        assert (np.diff(month(one, at, machines_of(at)).euros) >= -1e-6).all(), one.name


def test_what_is_kept_longer_is_stored_longer():
    short, long = (likely(retention_months=months) for months in (0, 100))
    assert stored(short)[0] == 1e6
    assert stored(long)[0] == pytest.approx(1e6 * (1 + 0.03 * 100))
    at = {"vectors": 1e8, "reembeddings_a_month": 0, "growth_a_month": 0.03, "log_months": 0}
    assert of("RISE-S", **at, retention_months=0).servers[0] == 2  # 500 GB, 400 a server
    assert of("RISE-S", **at, retention_months=100).servers[0] == 5
    assert of("RISE-S", queries_a_day=3e5, log_months=120).servers[0] > of("RISE-S", queries_a_day=3e5).servers[0]
    assert (
        of("Pinecone", vectors=1e8, retention_months=100).euros[0]
        > of("Pinecone", vectors=1e8, retention_months=0).euros[0]
    )


def test_the_page_holds_what_was_told_and_asks_nobody():
    chosen, table = figures.scenario("10k-queries-a-day", {"queries_a_day": "20000"}), prices.prices()
    result = compare.compare(chosen, table, today=TODAY)
    shown = page.render(result, chosen, table, title="A <month>")
    assert "A &lt;month&gt;" in shown
    assert all(f"{one['monthly']:,.0f}" in shown for one in result["options"])
    assert all(table[key].source in shown for one in compare.priced(table) for key in one.prices)
    assert "<script" not in shown
    assert shown.count("<svg") == 3


def test_the_curves_are_the_model_at_its_likely_figures():
    chosen, table = figures.scenario("10k-queries-a-day"), prices.prices()
    for name, points in compare.curves(chosen, table, points=5).items():
        for queries, euros in points:
            assert euros == pytest.approx(float(of(name, queries_a_day=queries).euros[0]))


@settings(max_examples=8, deadline=None)
@given(st.integers(100, 100_000))
def test_more_queries_never_cost_less(queries):
    few, many = (told({"queries_a_day": str(n)}) for n in (queries, 3 * queries))
    for one, other in zip(few["options"], many["options"], strict=True):
        assert one["monthly"] <= other["monthly"] + 1e-6
        assert one["interval"][0] <= one["monthly"] <= one["interval"][1]


def test_at_the_break_even_the_gpu_is_cheaper_and_before_it_is_not():
    line = next(one for one in told()["break_even"] if one["queries_a_day"])
    step = (compare.MOST_QUERIES / 10) ** (1 / 599)  # of the grid that the point is sought on
    for queries, cheaper in ((line["queries_a_day"] + 1, True), (line["queries_a_day"] / step, False)):
        mine, theirs = (of(line[key], queries_a_day=queries) for key in ("self_hosted", "bought"))
        assert bool(mine.euros[0] <= theirs.euros[0] and mine.p95_ms[0] <= 10_000) is cheaper


def test_a_break_even_moves_with_what_it_hangs_on():
    line = next(one for one in told()["break_even"] if one["queries_a_day"] and one["sensitivity"])
    move = line["sensitivity"][0]
    chosen = figures.scenario("10k-queries-a-day")
    for end in ("low", "high"):
        value = getattr(chosen[move["figure"]], end)
        again = told({move["figure"]: str(value)})["break_even"]
        same = [one["queries_a_day"] for one in again if one["bought"] == line["bought"]]
        assert move[end] is None or same[0] <= move[end] * 1.2  # another GPU may be earlier still


def test_a_missing_price_leaves_its_options_out_by_name():
    table = {name: one for name, one in prices.prices().items() if name != "ovh_h100"}
    result = told(table=table)
    assert any("left out" in note and "ovh_h100" in note for note in result["notes"])
    assert not any("H100" in one["name"] and "OVHcloud" in one["name"] for one in result["options"])
    assert any("H100" in one["name"] and "Scaleway" in one["name"] for one in result["options"])
    assert told(table={})["options"] == []


def test_old_prices_and_dates_to_come_are_said():
    table = prices.prices()
    aged = replace(table["ovh_h100"], date=TODAY - timedelta(days=181))
    early = replace(table["ovh_h100"], date=TODAY + timedelta(days=1))
    assert "price ovh_h100 is 181 days old: check it" in told(table=table | {"ovh_h100": aged})["notes"]
    assert "price ovh_h100 has a date in the future: check it" in told(table=table | {"ovh_h100": early})["notes"]
    fresh = replace(table["ovh_h100"], date=TODAY - timedelta(days=180))
    assert not any("ovh_h100" in note for note in told(table=table | {"ovh_h100": fresh})["notes"])


def test_a_price_of_ones_own_brings_an_option_in(tmp_path):
    line = 'amount = {}\ncurrency = "USD"\nunit = "GB of memory, month"\ndate = 2026-11-01\nsource = "our contract"\n'
    (tmp_path / "p.toml").write_text("[qdrant_gb]\n" + line.format(40))
    table = prices.prices(tmp_path / "p.toml")
    with_it = option(told(table=table), "Qdrant Cloud")
    without = option(told(table=table), "own search + Mistral")
    assert with_it["monthly"] > without["monthly"]
    assert {"name": "qdrant_gb", "value": 40, "unit": "USD GB of memory, month", "basis": "price",
            "date": "2026-11-01", "source": "our contract"} in with_it["assumptions"]  # fmt: skip


def test_bad_figures_are_refused():
    bad = ({"nothing": "1"}, {"vectors": "x"}, {"vectors": "3,2,1"}, {"vectors": "-1"}, {"vectors": "nan"},
           {"search_ms": "0"}, {"a100_tokens_per_s": "0,1,2"}, {"load_share": "1.2"})  # fmt: skip
    for given_ in bad:
        with pytest.raises(UsageError):
            figures.scenario("10k-queries-a-day", given_)
    with pytest.raises(UsageError, match="no scenario"):
        figures.scenario("base")


@pytest.mark.parametrize(
    "text",
    [
        "[ovh_h100]\namount = 3\n",
        '[ovh_h100]\namount = -3\nunit = "h"\ndate = 2026-01-01\nsource = "x"\n',
        '[ovh_h100]\namount = 3\nunit = "h"\ndate = "soon"\nsource = "x"\n',
        '[ovh_h100]\namount = 3\nunit = "h"\ndate = 2026-01-01\nsource = ""\n',
        '[ovh_h100]\namount = 3\nunit = "h"\ndate = 2026-01-01\nsource = "x"\ncurrency = "GBP"\n',
        '[ovh_h100]\namount = nan\nunit = "h"\ndate = 2026-01-01\nsource = "x"\n',
        "ovh_h100 = 3\n",
    ],
)
def test_a_bad_line_is_named(tmp_path, text):
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(UsageError, match="ovh_h100"):
        prices.prices(tmp_path / "p.toml")


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "p.toml").write_text("nonsense")
    with pytest.raises(UsageError):
        prices.prices(tmp_path / "p.toml")
