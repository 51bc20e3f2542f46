"""The search over hyper-parameters: what it tries, that it can be stopped at any point, and how a space is read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from objectives import Breaks, Fussy, Hill, Refuses

from freehold.core.errors import SettingsError, UsageError
from freehold.core.faults import KILL_AT
from freehold.train.search import Outcome, search
from freehold.train.space import EXAMPLES, Axis, grid, parse_axis, parse_space

SPACE = parse_space(["learning_rate=1e-5..1e-1:log", "epochs=1|2|3", "rank=8..64:int"])
DEFAULT = {"learning_rate": 1e-3, "epochs": 2}


def found(journal, objective=None, **more):
    arguments = {"trials": 12, "seed": 3, "default": DEFAULT, "space": SPACE} | more
    return search(objective or Hill(), arguments.pop("space"), journal=journal, **arguments)


def told(result):
    return [(trial.settings, trial.quality, trial.state) for trial in result.trials]


# -- the search --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_equal_seeds_try_equal_settings(tmp_path, sampler):
    one = found(tmp_path / "one", sampler=sampler)
    assert told(one) == told(found(tmp_path / "two", sampler=sampler))
    assert told(one)[1:] != told(found(tmp_path / "three", sampler=sampler, seed=4))[1:]
    assert [trial.number for trial in one.trials] == list(range(12))
    assert one.trials[0].settings == DEFAULT


def test_settings_lie_in_the_space(tmp_path):
    for trial in found(tmp_path / "j", trials=25).trials[1:]:
        assert all(trial.settings[axis.name] in axis for axis in SPACE)
        assert set(trial.settings) == {axis.name for axis in SPACE}


def test_the_best_is_found_and_what_it_hangs_on(tmp_path):
    result = found(tmp_path / "j", trials=40, pruner="none")
    assert result.best["epochs"] == 2
    assert 2e-4 < result.best["learning_rate"] < 1.25e-3
    assert result.trials[result.best_number].quality == max(trial.quality for trial in result.trials)
    assert max(result.importance, key=result.importance.get) == "learning_rate"
    assert sum(result.importance.values()) == pytest.approx(1)


def test_learning_beats_chance(tmp_path):
    """Of forty trials, more are good ones."""
    good = {}
    for sampler in ("tpe", "random"):
        result = found(tmp_path / sampler, trials=40, pruner="none", sampler=sampler)
        good[sampler] = sum(trial.quality > 0.6 for trial in result.trials)
    assert good["tpe"] > good["random"] + 5


def test_hopeless_trials_are_stopped(tmp_path):
    seen = tmp_path / "median", tmp_path / "hyperband", tmp_path / "none"
    stopped = []
    for journal, pruner in zip(seen, ("median", "hyperband", "none"), strict=True):
        result = found(journal, trials=30, pruner=pruner)
        stopped.append([trial for trial in result.trials if trial.state == "stopped"])
        assert result.trials[result.best_number].state == "complete"
    assert len(stopped[0]) > 5
    assert len(stopped[1]) > 5
    assert not stopped[2]
    # What a stopped trial had come to is kept.
    assert all(trial.quality is not None for trial in stopped[0])


def test_a_larger_number_of_trials_goes_on(tmp_path):
    first = found(tmp_path / "j", trials=6)
    assert told(found(tmp_path / "j", trials=12))[:6] == told(first)
    assert told(found(tmp_path / "j", trials=4)) == told(found(tmp_path / "whole", trials=12))


def test_the_grid_ends_where_it_is_through(tmp_path):
    result = found(tmp_path / "j", trials=500, sampler="grid", pruner="none", default=None)
    assert len(result.trials) == len(grid(SPACE, seed=3)) == 5 * 3 * 5
    assert len({repr(trial.settings) for trial in result.trials}) == 75


def test_the_gain_less_its_error_decides_where_there_is_one(tmp_path):
    class Sure:
        def __call__(self, settings, report):
            epochs = settings["epochs"]
            return Outcome(0.5 + 0.1 * epochs, gain=0.1 * epochs, gain_error=0.15 * (epochs - 1), queries=50)

    space = parse_space(["epochs=1|2|3"])
    result = search(Sure(), space, trials=3, sampler="grid", journal=tmp_path / "j")
    assert result.best == {"epochs": 1}
    best = result.trials[result.best_number]
    assert (best.gain, best.gain_error, best.queries) == (pytest.approx(0.1), 0, 50)


# -- bad ends ----------------------------------------------------------------------------------------------------------


def test_refused_settings_stop_a_trial_and_not_the_search(tmp_path):
    result = found(tmp_path / "j", Fussy(), trials=20)
    stopped = [trial for trial in result.trials if trial.state == "stopped"]
    assert stopped
    assert all(trial.settings["learning_rate"] > 1e-3 and trial.quality is None for trial in stopped)
    assert result.best["learning_rate"] <= 1e-3


def test_a_default_that_is_refused_is_an_error_at_once(tmp_path):
    with pytest.raises(UsageError, match="too few pairs"):
        found(tmp_path / "j", Refuses())
    assert len(found(tmp_path / "j").trials) == 12  # and nothing is spoilt by it


def test_where_all_are_refused_the_search_says_why(tmp_path):
    with pytest.raises(UsageError, match="too few pairs"):
        found(tmp_path / "j", Refuses(), default=None, trials=3)


def test_a_fault_is_not_hidden(tmp_path):
    with pytest.raises(RuntimeError, match="a fault of the trainer"):
        found(tmp_path / "j", Breaks())


def test_a_value_that_is_no_number_is_stopped(tmp_path):
    def objective(settings, report):
        if settings["epochs"] == 3:
            assert report(1, float("nan"))
            return 9.0
        return float("inf") if settings["epochs"] == 2 else 0.5

    result = search(objective, parse_space(["epochs=1|2|3"]), trials=3, sampler="grid", journal=tmp_path / "j")
    assert {trial.settings["epochs"]: trial.state for trial in result.trials} == {
        1: "complete", 2: "stopped", 3: "stopped",
    }  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"seed": 9}, {"sampler": "random"}, {"pruner": "none"}, {"identity": "other"}, {"space": SPACE[:2]}]
)
def test_a_journal_is_of_one_search(tmp_path, change):
    found(tmp_path / "j", trials=2, identity={"manifest": ("a", 1)})
    found(tmp_path / "j", trials=2, identity={"manifest": ("a", 1)})
    with pytest.raises(UsageError, match=f"begun otherwise: {next(iter(change))} changed"):
        found(tmp_path / "j", **{"trials": 3, "identity": {"manifest": ("a", 1)}, **change})


def test_several_workers_need_ray(tmp_path):
    with pytest.raises(SettingsError, match="need Ray"):
        found(tmp_path / "j", workers=2)


# -- kills -------------------------------------------------------------------------------------------------------------

SCRIPT = """
import sys
from pathlib import Path
from objectives import Hill
from test_search import found
found(Path(sys.argv[1]), Hill(Path(sys.argv[2]), seconds=float(sys.argv[3])))
"""


def child(journal, log, seconds=0.0, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(journal), str(log), str(seconds)],
        cwd=Path(__file__).parent,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("step", ["search.measured", "search.told"])
def test_killed_at_a_step_it_goes_on_as_if_it_had_not_been(tmp_path, step):
    killed = child(tmp_path / "j", tmp_path / "log", **{KILL_AT: step})
    assert killed.wait(60) == -signal.SIGKILL
    with (tmp_path / "j").open("ab") as file:
        file.write(b'{"op_code": 5, "half a li')  # as a kill within a write leaves it
    assert told(found(tmp_path / "j")) == told(found(tmp_path / "whole"))


def test_killed_at_any_moment_it_goes_on_as_if_it_had_not_been(tmp_path):
    log = tmp_path / "log"
    for count in (3, 7):
        running = child(tmp_path / "j", log, 0.02)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and (not log.exists() or log.read_text().count("\n") < count):
            time.sleep(0.01)
        running.kill()
        running.wait()
    assert told(found(tmp_path / "j")) == told(found(tmp_path / "whole"))


# -- the space ---------------------------------------------------------------------------------------------------------


def test_a_space_is_read():
    assert parse_axis("learning_rate=1e-5..1e-3:log") == Axis("learning_rate", low=1e-5, high=1e-3, log=True)
    assert parse_axis("rank=8..64:int") == Axis("rank", low=8, high=64, integer=True)
    assert parse_axis("rank = 8..64:log:int") == Axis("rank", low=8, high=64, log=True, integer=True)
    assert parse_axis("shift=-1..1") == Axis("shift", low=-1, high=1)
    assert parse_axis("epochs=1|2|2|3") == Axis("epochs", (1, 2, 3))
    assert parse_axis("pooling=mean|cls") == Axis("pooling", ("mean", "cls"))
    assert parse_axis("frozen=true|false") == Axis("frozen", (True, False))
    assert parse_axis("temperature=0.02|1e-1") == Axis("temperature", (0.02, 0.1))
    assert len(parse_space(EXAMPLES)) == len(EXAMPLES)


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        (["learning_rate"], "'learning_rate'"),
        (["=1..2"], "'=1..2'"),
        (["epochs="], "'epochs='"),
        (["epochs=1||3"], "a value is missing in 'epochs=1||3'"),
        (["rate=1e-5..x"], "'x' in 'rate=1e-5..x' is no number"),
        (["rate=..1"], "'' in 'rate=..1' is no number"),
        (["rate=0..inf"], "'inf'"),
        (["rate=3..1"], "'rate=3..1' holds nothing"),
        (["rate=1..1"], "'rate=1..1' holds nothing"),
        (["rate=0..1:log"], "'0' in 'rate=0..1:log' has no logarithm"),
        (["rank=1.5..4:int"], "'rank=1.5..4:int' does not end at whole numbers"),
        (["rank=1..4:odd"], "'odd' in 'rank=1..4:odd' is no kind of range"),
        (["rank=1|2", "rank=3|4"], "rank is in the space twice"),
        ([], "empty"),
    ],
)
def test_what_cannot_be_read_is_named(texts, named):
    with pytest.raises(UsageError) as caught:
        parse_space(texts)
    assert named in caught.value.message
    assert caught.value.hint


names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
numbers = st.floats(1e-6, 1e6).map(lambda x: float(f"{x:.4g}"))


@given(names, st.tuples(numbers, numbers).filter(lambda pair: pair[0] < pair[1]), st.booleans())
def test_a_range_reads_back_and_its_steps_lie_in_it(name, ends, log):
    axis = parse_axis(f"{name}={ends[0]!r}..{ends[1]!r}{':log' if log else ''}")
    assert axis == Axis(name, low=ends[0], high=ends[1], log=log)
    steps = axis.steps()
    assert (steps[0], steps[-1]) == ends
    assert list(steps) == sorted(set(steps))
    assert all(step in axis for step in steps)


@given(names, st.lists(st.one_of(st.integers(-99, 99), numbers, st.booleans(), names), min_size=1, max_size=6))
def test_choices_read_back(name, values):
    words = ["true" if v is True else "false" if v is False else str(v) for v in values]
    axis = parse_axis(f"{name}={'|'.join(words)}")
    assert [str(v).lower() for v in axis.choices] == list(dict.fromkeys(str(v).lower() for v in axis.choices))
    assert set(map(str, axis.steps())) <= set(map(str, values))
