"""What is kept on disk is what its type says: there and back for anything, and a name for what does not fit."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.core.experiment import (
    AnswerResult,
    Check,
    Comparison,
    Estimate,
    Experiment,
    HardQuery,
    Quantiles,
    RunResult,
    Study,
    Verdict,
)
from freehold.core.records import from_json, to_json

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
BASIC: dict[object, st.SearchStrategy[Any]] = {
    str: st.text(max_size=4),
    int: st.integers(),
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False),
    object: plain,
}


def of(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a type, read from its hints."""
    if kind in BASIC:
        return BASIC[kind]
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in {typing.Union, types.UnionType}:
        return st.none() | of(next(a for a in arguments if a is not type(None)))
    if origin is tuple and arguments[1:] == (Ellipsis,):
        return st.lists(of(arguments[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(of, arguments))
    if origin is Mapping:
        return st.dictionaries(of(arguments[0]), of(arguments[1]), max_size=2)
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{f.name: of(hints[f.name]) for f in dataclasses.fields(kind)})


def through_a_file(value: object) -> Any:
    return json.loads(json.dumps(to_json(value), allow_nan=False))


@pytest.mark.parametrize("kind", [Estimate, Comparison, Check, Verdict, HardQuery, RunResult, AnswerResult, Study])
def test_there_and_back(kind: type) -> None:
    @given(of(kind))
    @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
    def law(value: object) -> None:
        assert from_json(kind, through_a_file(value)) == value

    law()


@given(of(Experiment))
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_experiments_there_and_back(experiment: Experiment) -> None:
    record = through_a_file(experiment)
    again = from_json(Experiment, record)
    assert again == experiment
    assert isinstance(again.runs, tuple)
    assert through_a_file(again) == record


@dataclass(frozen=True)
class Inner:
    """Where a value is not needed."""

    kind: Literal["a", "b"]
    share: float | None = None


@dataclass(frozen=True)
class Outer:
    """One field of every sort."""

    count: int
    mean: float
    pair: tuple[float, float] | None
    inner: tuple[Inner, ...]
    names: Mapping[str, Inner]
    anything: Mapping[str, object] = field(default_factory=dict)


GOOD = Outer(1, 2.5, (0.0, 1.0), (Inner("a"),), {"x": Inner("b", 0.5)}, {"list": [1, "two"]})


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_becomes_null(number: float) -> None:
    assert to_json(Inner("a", number)) == {"kind": "a", "share": None}
    assert to_json({"deep": [(number, 1.0)]}) == {"deep": [[None, 1.0]]}
    assert from_json(Inner, to_json(Inner("a", number))) == Inner("a", None)
    with pytest.raises(ValueError, match=r"Outer\.mean is not as it was written"):
        from_json(Outer, to_json(dataclasses.replace(GOOD, mean=number)))


def test_json_has_arrays_and_strings_alone() -> None:
    assert to_json({1: (2, {3}), "q": Quantiles(1.0, None, None, 4)}) == {
        "1": [2, [3]],
        "q": {"p50": 1.0, "p95": None, "p99": None, "n": 4},
    }


def test_whole_numbers_may_stand_for_floats_and_defaults_may_be_missing() -> None:
    record = through_a_file(GOOD)
    record |= {"mean": 2, "pair": [0, 1]}
    del record["anything"]
    again = from_json(Outer, record)
    assert again == Outer(1, 2.0, (0.0, 1.0), GOOD.inner, GOOD.names)
    assert isinstance(again.mean, float)


@pytest.mark.parametrize(
    ("change", "at"),
    [
        ({"count": "1"}, "Outer.count"),
        ({"count": 1.0}, "Outer.count"),
        ({"count": True}, "Outer.count"),
        ({"count": None}, "Outer.count"),
        ({"mean": "x"}, "Outer.mean"),
        ({"mean": False}, "Outer.mean"),
        ({"pair": [1.0]}, "Outer.pair"),
        ({"pair": [1.0, 2.0, 3.0]}, "Outer.pair"),
        ({"pair": [1.0, "2"]}, "Outer.pair[1]"),
        ({"pair": {"0": 1.0}}, "Outer.pair"),
        ({"inner": None}, "Outer.inner"),
        ({"inner": [{"kind": "a"}, {"kind": "c"}]}, "Outer.inner[1].kind"),
        ({"inner": [{"kind": ["a"]}]}, "Outer.inner[0].kind"),
        ({"inner": ["a"]}, "Outer.inner[0]"),
        ({"inner": [{"share": 0.5}]}, "Outer.inner[0].kind"),
        ({"names": []}, "Outer.names"),
        ({"names": {"x": {"kind": "b", "share": "0.5"}}}, "Outer.names.x.share"),
        ({"names": {"x": {"kind": "b", "more": 1}}}, "Outer.names.x.more"),
        ({"anything": [1]}, "Outer.anything"),
        ({"added": 1}, "Outer.added"),
    ],
)
def test_what_does_not_fit_is_named(change: dict[str, object], at: str) -> None:
    with pytest.raises(ValueError, match=r"is not as it was written") as caught:
        from_json(Outer, through_a_file(GOOD) | change)
    assert str(caught.value) == f"{at} is not as it was written"


@pytest.mark.parametrize("name", ["count", "mean", "pair", "inner", "names"])
def test_what_is_missing_is_named(name: str) -> None:
    record = through_a_file(GOOD)
    del record[name]
    with pytest.raises(ValueError, match=rf"Outer\.{name} is not"):
        from_json(Outer, record)


@given(plain)
def test_anything_is_read_or_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not as it was written"):
        from_json(Outer, value)
