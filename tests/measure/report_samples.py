"""Made-up experiments for the tests of the report: as full as they get, and as empty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from freehold.core.experiment import (
    Ambiguity,
    AnswerResult,
    Check,
    Comparison,
    DatasetInfo,
    Estimate,
    Experiment,
    HardQuery,
    HouseInfo,
    JudgeAgreement,
    Load,
    Quantiles,
    RunResult,
    Signal,
    SliceEstimates,
    Study,
    Trial,
    Verdict,
)
from freehold.measure.report.contest import Detail

MEASURES = ("nDCG@10", "R@50", "RR@10", "P@5")
SLICES = {"language": {"en": 190, "de": 71, "fr": 39}, "kind": {"definition": 88, "obligation": 160, "deadline": 4}}
RUNS = {"hybrid+rerank": 0.846, "hybrid": 0.832, "dense": 0.784, "lexical": 0.741}
QUERIES = 300
RULES = {"measures": ["nDCG@10", "R@50"], "margin": 0.01, "alpha": 0.05, "slices": {"language": ["de", "fr"]}}
SHORT = "4 queries are too few for an interval"


def estimate(measure: str, value: float, queries: int = QUERIES, reason: str = "") -> Estimate:
    half = 0.4 / queries**0.5
    interval = None if reason else (round(value - half, 4), round(min(value + half, 1), 4))
    return Estimate(measure, value, interval, queries, judged=0.31, reason=reason)


def quantiles(values: Sequence[float]) -> Quantiles:
    p50, p95, p99 = (float(v) for v in np.quantile(values, [0.5, 0.95, 0.99]))
    return Quantiles(p50, p95, p99 if len(values) >= 100 else None, len(values))


def run(name: str, level: float, *, served: bool = False, place: int = 0) -> RunResult:
    rng = np.random.default_rng(place)
    times = 4.0 * (1 + 2.2 * ("rerank" in name) + ("hybrid" in name)) * rng.lognormal(0, 0.35, QUERIES)
    slices = [
        SliceEstimates(
            f"{field}={value}",
            n,
            tuple(
                estimate(m, float(np.clip(level + rng.normal(0, 0.05), 0, 1)), n, SHORT if n < 5 else "")
                for m in MEASURES
            ),
        )
        for field, values in SLICES.items()
        for value, n in values.items()
    ]
    measures = [
        estimate(measure, level * factor) for measure, factor in zip(MEASURES, (1, 1.12, 0.97, 0.4), strict=True)
    ]
    if name == "lexical":
        measures[2] = Estimate("RR@10", None, None, 0, reason="the run file holds no scores below rank 5")
    loads = [Load(c, 190 * c**0.7 / (1 + place), quantiles(times * (1 + c / 10)), 480.0 + 61 * c) for c in (1, 2, 4, 8)]
    return RunResult(
        name,
        {
            "mode": name.split("+", maxsplit=1)[0],
            "fusion": "weighted",
            "candidates": 100,
            "rerank_depth": 50 * ("rerank" in name),
        },
        served,
        tuple(measures),
        tuple(slices),
        {
            "total": quantiles(times),
            "embed": quantiles(times * 0.3),
            "search": quantiles(times * 0.6),
            "warm-up": quantiles(times[:20]),
        },
        tuple(times.tolist()),
        tuple(loads) if place < 2 else (),
    )


def comparison(run: str, base: str, measure: str, difference: float, *, slice_: str = "", p: float = 0.2) -> Comparison:
    interval = (difference - 0.012, difference + 0.012)
    return Comparison(run, base, measure, slice_, difference, interval, p, min(p * 4, 1), 0.021, QUERIES)


def experiment(**changes: object) -> Experiment:
    """An evaluation with everything that an evaluation can hold."""
    runs = tuple(run(name, level, served=name == "hybrid", place=i) for i, (name, level) in enumerate(RUNS.items()))
    pairs = [
        ("hybrid+rerank", "hybrid", 0.014, 0.003),
        ("hybrid", "dense", 0.048, 0.0001),
        ("hybrid", "lexical", 0.091, 1e-5),
    ]
    pairs.append(("dense", "hybrid+rerank", -0.062, 0.0002))
    compared = [comparison(a, b, m, d * s, p=p) for a, b, d, p in pairs for m, s in (("nDCG@10", 1), ("R@50", 0.3))]
    compared += [
        comparison(a, b, "nDCG@10", d * 0.8, slice_=f"{field}={value}", p=0.04)
        for a, b, d, _ in pairs
        for field, values in SLICES.items()
        for value in values
    ]
    compared.append(
        Comparison("hybrid", "lexical", "RR@10", "", None, None, None, None, None, 0, "lexical has no RR@10")
    )
    whole = Experiment(
        id="0199f3a2c4d07c1e",
        kind="eval",
        created="2026-05-04T12:33:10Z",
        dataset=DatasetInfo(
            "Meridian questions", "datasets/meridian", "test", "9f" * 32, "passage", QUERIES, missing=3
        ),
        house=HouseInfo("Meridian contracts", 1240, 48210, 17, "g-0042"),
        models={"embedder all-minilm-l6-v2": "sha256:" + "ab" * 32},
        settings={"retrieval": {"mode": "hybrid", "candidates": 100}, "gate": RULES, "reranker": {"kind": "none"}},
        settings_passed={"dataset": "datasets/meridian", "retrieval": {"mode": "hybrid"}},
        versions={"freehold": "0.4.0", "numpy": "2.4.6", "python": "3.11.2"},
        machine={"cpu": "AMD EPYC 7B13", "cores": 2, "memory_gb": 7.8, "gpu": None},
        seed=7,
        resamples=10_000,
        runs=runs,
        comparisons=tuple(compared),
        ambiguity=ambiguity(),
        answers=answers(),
        seconds=341.0,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def ambiguity() -> Ambiguity:
    signals = (
        Signal("score gap", 0.71, (0.63, 0.79), 300, 61),
        Signal("rank disagreement of dense and lexical", 0.66, (0.58, 0.74), 300, 61),
        Signal("acronyms", 0.44, (0.36, 0.52), 300, 61),
        Signal("topic spread", None, None, 300, 0, "no query failed"),
    )
    hard = tuple(
        HardQuery(
            f"q{i:03}",
            0.97 - i / 100,
            {"score gap": 0.02 * i, "acronyms": i % 3},
            {"NDA": 3} if i % 3 else {},
            i / 10 if i else None,
        )
        for i in range(8)
    )
    return Ambiguity("hybrid", "nDCG@10", "nDCG@10 is below .5", signals, hard, {"NDA": 3, "SLA": 2, "DPA": 5})


def answers() -> AnswerResult:
    few = Quantiles(812.0, 1930.5, None, 60)
    return AnswerResult(
        generator="extractive",
        plan="hybrid",
        measures=(estimate("token F1", 0.61, 120), Estimate("support", None, None, 0, reason="no judge is calibrated")),
        judges=(
            JudgeAgreement("overlap", 240, 0.86, (0.81, 0.9), 0.71, 0.9, 0.82, "ContractNLI, test"),
            JudgeAgreement("entailment", 0, None, None, None, None, None, "none", "the model is not installed"),
        ),
        latency_ms={"total": few, "generate": Quantiles(640.0, 1500.0, 1999.0, 120)},
        tokens={"prompt": Quantiles(910.0, 1400.0, None, 60), "answer": Quantiles(48.0, 120.0, None, 60)},
        slices=(SliceEstimates("language=de", 30, (estimate("token F1", 0.55, 30),)),),
        failed={"endpoint_timeout": 2},
    )


def detail(names: Sequence[str] = tuple(RUNS)) -> Detail:
    rng = np.random.default_rng(5)
    ids = [f"q{i:03}" for i in range(QUERIES)]
    units = [f"c{i:04}" for i in range(60)]
    shared = rng.uniform(0.3, 1, QUERIES)
    values = {}
    for name in names:
        own = np.where(rng.random(QUERIES) < 0.45, rng.normal(0, 0.22, QUERIES), 0)
        values[name] = dict(zip(ids, np.clip(shared + own, 0, 1).round(4).tolist(), strict=True))
    tops = {name: {q: tuple(rng.choice(units, 3, replace=False).tolist()) for q in ids} for name in names}
    words = [
        "the",
        "supplier",
        "shall",
        "notify",
        "customer",
        "breach",
        "without",
        "undue",
        "delay",
        "within",
        "thirty",
    ]
    texts = {unit: " ".join(rng.choice(words, 60).tolist()).capitalize() + "." for unit in units[:55]}
    queries = {
        q: f"When must the {rng.choice(words)} {rng.choice(words)} be notified under clause {i}?"
        for i, q in enumerate(ids)
    }
    relevant = {q: (tops[names[0]][q][0], units[i % 60]) for i, q in enumerate(ids)}
    expansions = {"NDA": ("non-disclosure agreement", "national drug authority", "new drug application")}
    return Detail("nDCG@10", queries, values, tops, relevant, texts, expansions)


def check(name: str, decision: str, difference: float, **changes: object) -> Check:
    interval = (difference - 0.012, difference + 0.012)
    made = Check(name, "passed", "", 0.01, 0.832, 0.832 + difference, difference, interval, 0.41, 0.016, QUERIES, None)
    return replace(made, decision=decision, **changes)  # type: ignore[arg-type]


def gate(decision: str = "refused") -> Experiment:
    none: dict[str, object] = dict.fromkeys(
        ("difference", "ci", "p_worse", "candidate", "baseline", "visible_drop", "margin")
    )
    few = {"queries": 39, "queries_needed": 410, "reason": "39 queries cannot tell"}
    checks = (
        check("nDCG@10", "passed", 0.014),
        check("R@50", "passed", 0.006),
        check("nDCG@10 on language=de", "refused", -0.031, reason="worse by more than the margin", p_worse=0.003),
        check("nDCG@10 on language=fr", "underpowered", -0.004, **few),
        replace(check("nDCG@10 on kind=deadline", "underpowered", 0, queries=4, reason=SHORT), **none),
        check("p95 latency", "passed", 1.3, baseline=21.4, candidate=22.7, ci=(0.4, 2.2), margin=1.2),
    )
    reasons = ("nDCG@10 −.031 [−.043, −.019] on language=de",)
    runs = (run("candidate", 0.846), run("live", 0.832, served=True, place=1))
    return experiment(
        kind="gate",
        runs=runs,
        comparisons=(comparison("candidate", "live", "nDCG@10", 0.014), comparison("candidate", "live", "R@50", 0.006)),
        ambiguity=None,
        answers=None,
        verdict=Verdict(decision, reasons, checks, RULES),  # type: ignore[arg-type]
    )


def study(trials: int = 60) -> Study:
    rng = np.random.default_rng(2)
    made = []
    for number in range(trials):
        depth, weight = int(rng.integers(0, 6)) * 20, float(rng.uniform())
        quality = 0.72 + 0.1 * (1 - np.exp(-depth / 40)) + 0.06 * weight * (1 - weight) * 4 + rng.normal(0, 0.006)
        p95 = 8 + 0.32 * depth + rng.exponential(2)
        state = "complete" if p95 < 38 else "over budget"
        state = "stopped" if quality < 0.75 else state
        settings = {"rerank": {"depth": depth, "weight": round(weight, 3)}, "fusion": "weighted", "candidates": 100}
        made.append(
            Trial(number, settings, state, float(quality), float(p95), QUERIES if state == "complete" else 60, 2.1)
        )
    made[3] = replace(made[3], state="stopped", quality=None, p95_ms=None)
    done = [t for t in made if t.state == "complete"]
    best = max(done, key=lambda t: t.quality)
    front = [t for t in done if not any(o.quality > t.quality and o.p95_ms < t.p95_ms for o in done)]
    return Study(
        name="retrieval",
        sampler="TPE",
        seed=11,
        measure="nDCG@10",
        p95_limit_ms=38.0,
        splits=("train", "dev"),
        queries=QUERIES,
        trials=tuple(made),
        best=best.number,
        default=done[0].number,
        pareto=tuple(t.number for t in sorted(front, key=lambda t: t.p95_ms)),
        importance={"rerank.depth": 0.62, "rerank.weight": 0.27, "candidates": 0.0},
    )


def tune() -> Experiment:
    runs = (run("tuned", 0.861), run("default", 0.832, served=True, place=1))
    compared = (comparison("tuned", "default", "nDCG@10", 0.029, p=0.0002),)
    return experiment(kind="tune", runs=runs, comparisons=compared, ambiguity=None, answers=None, study=study())


def minimal() -> Experiment:
    """Nothing but what every record has."""
    return experiment(
        dataset=DatasetInfo("d", "d", "", "", "document", 0),
        house=HouseInfo("h", 0, 0, 0, ""),
        models={},
        settings={},
        settings_passed={},
        versions={},
        machine={},
        runs=(),
        comparisons=(),
        ambiguity=None,
        answers=None,
        seconds=0.0,
    )


def degenerate() -> Experiment:
    """Values that no drawing can hold: none, no numbers, all equal, zero and below zero where logarithms are taken."""
    nan, endless = float("nan"), float("inf")
    blank = Quantiles(None, None, None, 0)
    broken = RunResult(
        "broken",
        {},
        True,
        (Estimate("nDCG@10", nan, (nan, nan), 0), Estimate("R@50", None, None, 0)),
        (SliceEstimates("all", 0, ()), SliceEstimates("language=", 0, (Estimate("nDCG@10", endless, None, 1),))),
        {"total": blank, "search": Quantiles(0.0, nan, -1.0, 1)},
        (0.0, -3.0, nan),
        (Load(0, 0.0, blank, 0.0), Load(0, nan, blank, nan)),
    )
    level = replace(
        broken,
        name="level",
        measures=(Estimate("nDCG@10", 1.0, (1.0, 1.0), 1), Estimate("R@50", 0.0, None, 1, reason="one query")),
        latency_ms={"total": Quantiles(5.0, 5.0, 5.0, 100)},
        timings_ms=(5.0,) * 100,
        load=(Load(1, 12.0, blank, 1.0),),
    )
    huge = replace(level, name="huge", served=False, timings_ms=(1e-7, 1e9), load=())
    lost = Trial(0, {}, "stopped", None, None, 0, 0.0)
    return experiment(
        kind="tune",
        created="yesterday",
        runs=(broken, level, huge, replace(huge, measures=(), slices=(), latency_ms={})),
        comparisons=(
            Comparison("level", "nobody", "nDCG@10", "", 0.0, (nan, 0.0), 0.0, 0.0, 0.0, 1),
            Comparison("level", "broken", "nDCG@10", "", nan, None, nan, nan, nan, 0),
        ),
        ambiguity=Ambiguity("nobody", "nDCG@10", "", (Signal("flat", 0.5, (0.5, 0.5), 1, 1),), ()),
        answers=AnswerResult("none", "nobody", (), (), {}, {}),
        verdict=Verdict("underpowered", (), (check("nDCG@10", "passed", nan, margin=nan, ci=(nan, nan)),), {}),
        study=Study("s", "grid", 0, "nDCG@10", nan, (), 0, (lost, replace(lost, quality=1.0, p95_ms=0.0)), 9, 8, (7,)),
        seconds=nan,
    )


def degenerate_detail() -> Detail:
    equal = {"q1": 1.0, "q2": 1.0, "q3": float("nan")}
    return Detail("nDCG@10", {}, {"level": equal, "nobody": equal}, {}, {}, {}, {})


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "' onmouseover='alert(3)",
    "</style></title><iframe src=https://evil.example/></iframe>",
    "{{ 7 * 7 }}{% raw %}&lt;b&gt; & <!-- ]]>",
    "bell\x07 nul\x00 escape\x1b[31m next\x85 lone \ud800 \udfff bom\ufeff none\uffff",
    "مرحبا بالعالم \u202eright to left\u2066 never closed",
    "W" * 3000,
    "भाषा 漢字漢字漢字漢字漢字漢字 👩‍👩‍👧 Z̸̡͓̑à̷l̴g̵o̶ \u2028 line",
    "two\nlines\tand\r\na tab",
)


def hostile() -> tuple[Experiment, Detail]:
    """The full evaluation with every word replaced by one that would break a careless page."""
    words = iter(HOSTILE * 200)

    def spoil(value: object) -> object:
        if isinstance(value, str):
            return next(words)
        if isinstance(value, dict):
            return {f"{next(words)}{n}": spoil(each) for n, each in enumerate(value.values())}
        return value

    first, second = HOSTILE[1], HOSTILE[7]
    made = experiment()
    runs = (
        replace(made.runs[0], name=first, plan=spoil(dict(made.runs[0].plan))),
        replace(made.runs[1], name=second, slices=tuple(replace(s, slice=next(words)) for s in made.runs[1].slices)),
        *(replace(each, name=text) for each, text in zip(made.runs[2:], HOSTILE[5:7], strict=True)),
    )
    whole = replace(
        made,
        id=HOSTILE[0],
        created=HOSTILE[3],
        dataset=replace(made.dataset, name=HOSTILE[3], path=HOSTILE[4], split=HOSTILE[6], digest=HOSTILE[2]),
        house=replace(made.house, name=HOSTILE[8], generation=HOSTILE[5]),
        models=spoil(dict(made.models)),
        settings=spoil({**made.settings, "list": [1, None, {"a": HOSTILE[0]}]}),
        versions=spoil(dict(made.versions)),
        machine=spoil(dict(made.machine)),
        runs=runs,
        comparisons=tuple(
            replace(each, run=second, base=first, slice=each.slice and next(words), reason=next(words))
            for each in made.comparisons
        ),
        ambiguity=replace(
            ambiguity(),
            run=HOSTILE[0],
            failure=HOSTILE[1],
            signals=tuple(replace(each, name=next(words), reason=next(words)) for each in ambiguity().signals),
            acronyms=dict.fromkeys(HOSTILE, 2),
        ),
        answers=replace(answers(), generator=HOSTILE[3], failed={HOSTILE[0]: 1}),
        verdict=Verdict("refused", HOSTILE, tuple(check(text, "refused", -0.1, reason=text) for text in HOSTILE), {}),
    )
    plain = detail(("a", "b"))
    return whole, replace(
        plain,
        queries={query: next(words) for query in plain.queries},
        values={first: plain.values["a"], second: plain.values["b"]},
        tops={first: plain.tops["a"], second: plain.tops["b"]},
        texts={unit: next(words) * 3 for unit in plain.texts},
        expansions=dict.fromkeys(HOSTILE, HOSTILE),
    )
