"""What a month costs: by hand, by law, with bad prices, and fed by a load test."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.errors import UsageError
from freehold.measure.cost import model, page

TODAY = date(2026, 11, 27)
FIXED = {
    "queries_a_day": "10000",
    "prompt_tokens": "1000",
    "answer_tokens": "100",
    "hours_bought": "2",
    "hour_eur": "50",
}


def told(settings=None, table=None):
    return model.compare(model.scenario("10k-queries-a-day", settings), table or model.prices(), today=TODAY)


def option(result, part):
    return next(one for one in result["options"] if part in one["name"])


def test_a_month_of_a_bought_model_by_hand():
    found = option(told(FIXED), "own search + Mistral")
    tokens = 10_000 * 30.4 / 1e6 * (1000 * 1.36 + 100 * 4.18) / 1.1637
    assert found["monthly"] == pytest.approx(tokens + 2 * 50 + 64.99, abs=65)
    assert found["p95_ms"] is None
    assert {one["basis"] for one in found["assumptions"]} == {"assumed", "set by you", "price"}
    assert all(one["source"] and one["date"] for one in found["assumptions"] if one["basis"] == "price")


def test_the_page_holds_what_was_told_and_asks_nobody():
    figures, table = model.scenario("10k-queries-a-day", {"queries_a_day": "20000"}), model.prices()
    result = model.compare(figures, table, today=TODAY)
    shown = page.render(result, figures, table, title="A <month>")
    assert "A &lt;month&gt;" in shown
    assert all(f"{one['monthly']:,.0f}" in shown for one in result["options"])
    assert all(one.source in shown for name, one in table.items() if any(name in o[1] for o in model.OPTIONS.values()))
    assert "<script" not in shown
    assert shown.count("<svg") == 3


def test_the_curves_are_the_model_at_its_likely_figures():
    figures, table = model.scenario("10k-queries-a-day"), model.prices()
    for name, points in model.curves(figures, table, points=5).items():
        for queries, euros in points:
            at = model._at(figures, table, queries_a_day=queries)
            assert euros == pytest.approx(float(model.OPTIONS[name][0](at)[0]))


@given(st.integers(100, 100_000))
def test_more_queries_never_cost_less(queries):
    few, many = (told({"queries_a_day": str(n)}) for n in (queries, 3 * queries))
    for one, other in zip(few["options"], many["options"], strict=True):
        assert one["monthly"] <= other["monthly"] + 1e-6
        assert one["interval"][0] <= one["monthly"] <= one["interval"][1]


def test_at_the_break_even_the_gpu_is_cheaper_and_before_it_is_not():
    line = next(one for one in told()["break_even"] if one["queries_a_day"])
    figures = model.scenario("10k-queries-a-day")
    mine, theirs = (model.OPTIONS[line[key]][0] for key in ("self_hosted", "bought"))
    step = (model.MOST_QUERIES / 10) ** (1 / 599)  # of the grid that the point is sought on
    for queries, cheaper in ((line["queries_a_day"] + 1, True), (line["queries_a_day"] / step, False)):
        at = model._at(figures, model.prices(), queries_a_day=queries)
        assert bool(mine(at)[0] <= theirs(at)[0]) is cheaper


def test_missing_and_old_prices_are_said():
    table = {name: one for name, one in model.prices().items() if name != "ovh_h100"}
    result = told(table=table)
    assert any("left out" in note and "ovh_h100" in note for note in result["notes"])
    assert not any("OVHcloud)" in one["name"] and "H100" in one["name"] for one in result["options"])
    assert any("usd_per_eur is 184 days old" in note for note in result["notes"])


def test_bad_input_is_refused(tmp_path):
    for settings in ({"nothing": "1"}, {"vectors": "x"}, {"vectors": "3,2,1"}, {"vectors": "-1"}):
        with pytest.raises(UsageError):
            model.scenario("10k-queries-a-day", settings)
    with pytest.raises(UsageError, match="no scenario"):
        model.scenario("base")
    (tmp_path / "p.toml").write_text("[ovh_h100]\namount = 3\n")
    with pytest.raises(UsageError, match="ovh_h100"):
        model.prices(tmp_path / "p.toml")
    (tmp_path / "p.toml").write_text("nonsense")
    with pytest.raises(UsageError):
        model.prices(tmp_path / "p.toml")
