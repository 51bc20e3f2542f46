"""The report: what it says, that hostile texts stay text, and how it looks to a real browser."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_samples import (
    HOSTILE,
    RUNS,
    degenerate,
    degenerate_detail,
    detail,
    experiment,
    gate,
    hostile,
    minimal,
    run,
    study,
    tune,
)

from freehold.core.experiment import Estimate, Verdict
from freehold.measure.report import figures, plots, studies
from freehold.measure.report.contest import contest, pair
from freehold.measure.report.page import render
from freehold.measure.report.svg import clip, linear, logarithmic, marker, text_width, tick_labels

VOID = {"meta", "link", "br", "img"}
LOADING = {"href", "src", "srcset", "data", "action", "poster", "xlink:href", "background"}


class Reader(HTMLParser):
    """The elements of a page with their attributes, and its text. Fails on a tag that is closed out of order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)
        if tag in {"td", "th", "dd"}:
            self.text += " "

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    @property
    def words(self) -> str:
        return " ".join(self.text.split())

    @property
    def sections(self) -> list[str]:
        return [attributes["id"] for tag, attributes in self.elements if tag == "section"]


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {
        "eval": render(experiment(), detail()),
        "without words": render(experiment()),
        "gate": render(gate(), detail(("candidate", "live"))),
        "tune": render(tune(), detail(("tuned", "default"))),
        "minimal": render(minimal()),
        "degenerate": render(degenerate(), degenerate_detail()),
        "hostile": render(*hostile()),
    }


# What it says


def test_sections_are_those_with_data(pages: dict[str, str]) -> None:
    assert Reader(pages["eval"]).sections == [
        *("measures", "comparisons", "slices", "queries", "latency", "ambiguity", "answers", "reproduce")
    ]
    assert Reader(pages["gate"]).sections[0] == "gate"
    assert "study" in Reader(pages["tune"]).sections
    assert "queries" not in Reader(pages["without words"]).sections
    assert Reader(pages["minimal"]).sections == ["reproduce"]


def test_summary_names_the_best_and_the_served_run(pages: dict[str, str]) -> None:
    words = Reader(pages["eval"]).words
    assert "Best by nDCG@10: hybrid+rerank with .846 [.823, .869] over 300 queries." in words
    assert "The house serves hybrid: nDCG@10 .832 [.809, .855] over 300 queries." in words
    assert "hybrid+rerank minus hybrid: +.014 [+.002, +.026], Holm p .012." in words
    assert "3 labelled passages of this dataset are not in the house. They count as missed." in words
    alone = Reader(render(experiment(runs=(run("hybrid", 0.8, served=True),), comparisons=()))).words
    assert "The house serves hybrid: nDCG@10 .800" in alone
    assert "Best by" not in alone
    one = replace(experiment().runs[0], measures=(Estimate("nDCG@10", 0.5, None, 1),))
    assert "nDCG@10 .500 over 1 query." in Reader(render(experiment(runs=(one,)))).words


@pytest.mark.parametrize(
    ("decision", "word"), [("passed", "✓ Passed"), ("refused", "✕ Refused"), ("underpowered", "? Undecided")]
)
def test_the_verdict_is_said_in_words_and_with_reasons(decision: str, word: str) -> None:
    page = Reader(render(gate(decision)))
    banner = page.words[: page.words.index("Measured")]
    assert word.replace(" ", "") in banner.replace(" ", "")
    assert "nDCG@10 −.031 [−.043, −.019] on language=de" in banner


def test_gate_shows_checks_and_the_rules(pages: dict[str, str]) -> None:
    words = Reader(pages["gate"]).words
    assert "worse by more than the margin" in words
    assert "410 needed" in words
    assert "slices.language de, fr" in words
    assert "21.4 ms" in words
    assert "1.30 ms[0.40, 2.20]" in words
    empty = replace(gate(), verdict=Verdict("passed", (), (), {}))
    assert "Rules declared before the run: none." in Reader(render(empty)).words


def test_no_data_is_not_zero(pages: dict[str, str]) -> None:
    page = Reader(pages["eval"])
    titles = [attributes["title"] for tag, attributes in page.elements if tag == "abbr"]
    assert "the run file holds no scores below rank 5" in titles
    assert page.text.count("the run file holds no scores below rank 5") == 1, "once, below the table"
    assert "lexical has no RR@10" in page.text
    assert "4 queries are too few for an interval" in page.text
    assert "Fewer than 100 values: the largest of a few is no 99th percentile." in page.text
    assert "nan" not in Reader(pages["degenerate"]).words.lower()
    assert "inf " not in Reader(pages["degenerate"]).words.lower()


def test_a_finding_is_marked_by_a_word_and_a_sign(pages: dict[str, str]) -> None:
    words = Reader(pages["eval"]).words
    assert "▲ better" in words
    assert "▼ worse" in words
    assert "not shown" in words
    assert "not tested" in words


def test_texts_appear_only_with_detail(pages: dict[str, str]) -> None:
    question = "be notified under clause"
    assert question in pages["eval"]
    assert "This page holds words of queries and documents." in pages["eval"]
    assert "national drug authority" in pages["eval"]
    assert question not in pages["without words"]
    assert "This page holds words" not in pages["without words"]


def test_wins_and_losses_are_counted() -> None:
    words = detail()
    found = contest("hybrid", "dense", words)
    assert found is not None
    ours, theirs = words.values["hybrid"], words.values["dense"]
    differences = {query: ours[query] - theirs[query] for query in ours}
    assert found.wins == sum(value > 0 for value in differences.values())
    assert found.losses == sum(value < 0 for value in differences.values())
    assert found.wins + found.ties + found.losses == len(differences)
    assert list(found.differences) == sorted(differences.values(), reverse=True)
    assert len(found.largest_wins) == len(found.largest_losses) == 15
    assert found.largest_losses[0].difference == min(differences.values())
    first = found.largest_wins[0]
    assert first.query == words.queries[first.query_id]
    assert [unit.id for unit in first.run_top] == list(words.tops["hybrid"][first.query_id])
    assert all(unit.relevant == (unit.id in words.relevant[first.query_id]) for unit in first.base_top)
    assert contest("hybrid", "nobody", words) is None


def test_the_pair_worth_reading() -> None:
    assert pair(experiment(), "nDCG@10") == ("hybrid", "dense"), "the best that asks one index alone"
    assert pair(gate(), "nDCG@10") == ("candidate", "live")
    assert pair(tune(), "nDCG@10") == ("tuned", "default")
    assert pair(minimal(), "nDCG@10") is None
    unserved = tuple(replace(each, served=False) for each in experiment().runs)
    assert pair(experiment(runs=unserved, comparisons=()), "nDCG@10") == ("hybrid+rerank", "dense")


def test_study_lists_what_differs_and_what_does_not(pages: dict[str, str]) -> None:
    words = Reader(pages["tune"]).words
    assert "The same in every trial: fusion = weighted, candidates = 100." in words
    assert "All 60 trials" in words
    assert "Left out for want of a quality or a latency: 1." in words
    assert studies.view(study()).keys == ("rerank.depth", "rerank.weight")


def test_the_same_record_makes_the_same_page(pages: dict[str, str]) -> None:
    assert render(experiment(), detail()) == pages["eval"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (figures.measure(0.8464), ".846"),
        (figures.measure(1.0), "1.000"),
        (figures.measure(-0.0001), ".000"),
        (figures.measure(math.nan), "n/a"),
        (figures.change(0.021), "+.021"),
        (figures.change(-0.021), "−.021"),
        (figures.interval((0.1, math.nan)), ""),
        (figures.p_value(0.0004), "< .001"),
        (figures.p_value(0.0312), ".031"),
        (figures.ms(0.4512), "0.45 ms"),
        (figures.ms(9.996), "10.0 ms"),
        (figures.ms(12.34), "12.3 ms"),
        (figures.ms(1530.4), "1,530 ms"),
        (figures.ms(None), "n/a"),
        (figures.duration(341), "5 min 41 s"),
        (figures.duration(7500), "2 h 5 min"),
        (figures.moment("2026-05-04T14:33:10+02:00"), "4 May 2026, 12:33 UTC"),
        (figures.moment("yesterday"), "yesterday"),
        (figures.plain(("a", None, True)), "a, none, yes"),
        (figures.clipped("word " * 100, 12), "word word …"),
    ],
)
def test_numbers_in_words(said: str, expected: str) -> None:
    assert said == expected


# Drawings

VALUES = st.floats(-1e12, 1e12)


@given(st.lists(VALUES | st.sampled_from([math.nan, math.inf, -math.inf]) | st.none(), max_size=6))
def test_a_linear_scale_holds_every_value_and_has_ticks(values: list[float | None]) -> None:
    scale = linear(values, 10, 500)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 14
    assert ticks == sorted(ticks)
    assert all(10 <= scale(tick) <= 500 for tick in ticks)
    assert len(tick_labels(ticks)) == len(ticks)
    for value in values:
        assert value is None or not math.isfinite(value) or 10 <= scale(value) <= 500


@given(st.lists(st.floats(1e-9, 1e12) | st.floats(-5, 0) | st.none(), max_size=6))
def test_a_logarithmic_scale_passes_over_what_has_no_logarithm(values: list[float | None]) -> None:
    scale = logarithmic(values, 0, 100)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 14
    assert all(0 <= scale(tick) <= 100 for tick in ticks)
    assert all(0 <= scale(value) <= 100 for value in values if value is not None)


@pytest.mark.parametrize(
    ("ticks", "expected"),
    [
        ([0.75, 0.8, 0.85], [".75", ".80", ".85"]),
        ([0.5, 1.0], [".5", "1.0"]),
        ([-0.02, 0.0, 0.02], ["−.02", "0", "+.02"]),
    ],
)
def test_tick_labels_tell_neighbours_apart(ticks: list[float], expected: list[str]) -> None:
    assert tick_labels(ticks, bare=True, signed=min(ticks) < 0) == expected


def test_marks_repeat_only_after_fifty_six() -> None:
    assert len({marker(series, 0, 0) for series in range(56)}) == 56


@given(st.text(max_size=60), st.floats(30, 300))
def test_a_clipped_text_fits(text: str, width: float) -> None:
    assert text_width(clip(text, width)) <= width


def test_nothing_to_draw_is_no_drawing() -> None:
    assert not plots.dots("n", "t", [plots.Group("a", ())], axis="x")
    assert not plots.cumulative("n", "t", [plots.Curve(0, "a", (0.0, -1.0, math.nan))])
    assert not plots.tradeoff("n", "t", [plots.Spot(0, "a", 0.0, math.nan)], x_title="x", y_title="y")
    assert not plots.throughput("n", "t", [plots.Track(0, "a", [(1, math.nan)])])
    assert not plots.differences("n", "t", [0.0, math.nan], run="a", base="b")
    assert not studies.trials("n", "t", replace(study(), trials=()))
    assert not studies.history("n", "t", replace(study(), trials=()))
    assert not studies.importance("n", "t", [])


# What it must never do


def test_a_page_is_whole_and_loads_nothing(pages: dict[str, str]) -> None:
    for page in pages.values():
        page.encode("utf-8")
        reader = Reader(page)
        tags = {tag for tag, _ in reader.elements}
        assert not tags & {"script", "img", "iframe", "object", "embed", "form", "base", "image", "use"}
        links = [value for _, attributes in reader.elements for name, value in attributes.items() if name in LOADING]
        assert all(link.startswith(("#", "data:")) for link in links), links
        names = {name for _, attributes in reader.elements for name in attributes}
        assert not {name for name in names if name.startswith("on")} | names & {"style", "srcdoc"}
        assert "url(" not in page.partition("</style>")[0]
        assert "@import" not in page.partition("</style>")[0]
        ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
        assert len(ids) == len(set(ids))
        assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
        drawings = [
            attributes for tag, attributes in reader.elements if tag == "svg" and "aria-hidden" not in attributes
        ]
        assert all(attributes["role"] == "img" for attributes in drawings)
        assert {name for each in drawings for name in each["aria-labelledby"].split()} <= set(ids)


def test_hostile_texts_stay_text(pages: dict[str, str]) -> None:
    reader, benign = Reader(pages["hostile"]), Reader(pages["eval"] + pages["gate"])
    known = {(tag, name) for tag, attributes in benign.elements for name in attributes}
    assert {(tag, name) for tag, attributes in reader.elements for name in attributes} <= known
    assert {tag for tag, _ in reader.elements} <= {tag for tag, _ in benign.elements}
    for text in HOSTILE:
        seen = re.sub("[\u202a-\u202e\u2066-\u2069]", "", text)
        seen = re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\uffff]", "\ufffd", seen)
        assert " ".join(seen.split()) in reader.words
    assert not re.search(
        "[\u202a-\u202e\u2066-\u2069\ud800-\udfff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", pages["hostile"]
    )


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_have_the_contrast_that_wcag_aa_asks_for() -> None:
    schemes: list[dict[str, str]] = [{}, {}, {}]
    for name in ("page.css", "plots.css"):
        css = (resources.files("freehold.measure.report") / name).read_text(encoding="utf-8")
        blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
        for scheme, block in zip(schemes, blocks, strict=True):  # light, dark and print
            scheme |= dict(re.findall(r"--([\w-]+): (#\w{6})", block))
    assert len({frozenset(scheme) for scheme in schemes}) == 1, "each names every colour"
    for scheme in schemes:
        ground = scheme["bg"]
        for name in ("ink", "muted", "accent", "good", "bad", "warn", *(f"c{n}" for n in range(8))):
            assert contrast(scheme[name], ground) >= 4.5, name
        for name in ("axis", "win", "loss"):
            assert contrast(scheme[name], ground) >= 3, name
        for name in ("good", "bad", "warn"):
            for ink in ("ink", name):
                assert contrast(scheme[ink], scheme[f"{name}-bg"]) >= 4.5, name


# How a browser takes it

MEASURED = """() => {
  const box = each => (r => [r.left, r.top, r.right, r.bottom])(each.getBoundingClientRect());
  const within = ([l, t, r, b], [left, top, right, bottom]) =>
    l >= left - 1 && r <= right + 1 && t >= top - 1 && b <= bottom + 1;
  const drawings = [...document.querySelectorAll("svg")];
  const plots = [...document.querySelectorAll("svg.plot")];
  return {
    overflow: document.documentElement.scrollWidth - window.innerWidth,
    empty: drawings.map(s => s.getBoundingClientRect()).filter(r => r.width < 5 || r.height < 5).length,
    outside: plots.flatMap(s => [...s.querySelectorAll("text")]
      .filter(t => !within(box(t), box(s))).map(t => t.textContent)),
    labels: plots.map(s => [...s.querySelectorAll("text")].map(t => [t.textContent, ...box(t)])),
    ground: getComputedStyle(document.body).backgroundColor,
  };
}"""


@pytest.mark.parametrize("name", ["eval", "gate", "tune", "minimal", "degenerate", "hostile"])
def test_in_a_browser(name: str, pages: dict[str, str], chromium: Any, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.html"
    file.write_text(pages[name], encoding="utf-8")
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    said: list[str] = []
    requested: list[str] = []
    page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: requested.append(request.url))
    page.goto(file.as_uri())
    grounds = set()
    for scheme in ("light", "dark"):
        for width in (1280, 400):
            page.emulate_media(color_scheme=scheme)
            page.set_viewport_size({"width": width, "height": 900})
            for opened in (False, True):
                page.evaluate(
                    f"document.querySelectorAll('details').forEach(each => each.open = {str(opened).lower()})"
                )
                seen = page.evaluate(MEASURED)
                assert seen["overflow"] <= 0, f"{scheme}, {width} px wide, {opened=}"
                assert seen["outside"] == []
                grounds.add((scheme, seen["ground"]))
            assert seen["empty"] == 0
            assert [touching for labels in seen["labels"] for touching in overlaps(labels)] == []
    page.close()
    assert len({ground for _, ground in grounds}) == len(grounds) == 2, "one background for each scheme"
    assert said == []
    assert requested == [file.as_uri()]


def overlaps(labels: list[list[Any]]) -> list[tuple[str, str]]:
    """Pairs of labels that run into each other by more than the air around their letters."""
    air = 2
    return [
        (one, other)
        for (one, l1, t1, r1, b1), (other, l2, t2, r2, b2) in combinations(labels, 2)
        if min(r1, r2) - max(l1, l2) > air and min(b1, b2) - max(t1, t2) > air
    ]


def test_many_runs_and_slices_still_fit(chromium: Any) -> None:
    names = [f"run {n} with a rather long name of its own" for n in range(11)]
    runs = tuple(run(name, 0.6 + n / 40, served=n == 3, place=n % 2) for n, name in enumerate(names))
    wide = tuple(replace(s, slice=f"clause={n} {s.slice}") for n, s in enumerate(runs[0].slices * 6))
    runs = (replace(runs[0], slices=wide), *runs[1:])
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.set_content(render(experiment(runs=runs, comparisons=()), detail((*names, *RUNS))))
    seen = page.evaluate(MEASURED)
    page.close()
    assert seen["overflow"] <= 0
    assert seen["outside"] == []
    assert [touching for labels in seen["labels"] for touching in overlaps(labels)] == []
    assert "Smaller slices left out: 12." in render(experiment(runs=runs))
