"""The search on a real local Ray: as with one process, in others."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from objectives import AdapterTrial, Breaks, Fussy, Refuses
from test_adapter import town
from test_search import DEFAULT, found, told

from freehold.core.errors import HouseFault, UsageError
from freehold.train.search import search
from freehold.train.space import parse_space

pytest.importorskip("ray.tune")

ADAPTER_SPACE = parse_space(["learning_rate=1e-4..1e-2:log", "l2=1e-3..0.3:log"])
HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def workers_find_the_objectives(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE))


def test_ray_tries_what_one_process_tries(tmp_path):
    objective = AdapterTrial(town(), town(80, seed=1))
    more = {"trials": 5, "seed": 1, "default": {"learning_rate": 1e-3, "l2": 0.03}, "pruner": "none"}
    here = search(objective, ADAPTER_SPACE, journal=tmp_path / "here", **more)
    there = search(objective, ADAPTER_SPACE, journal=tmp_path / "there", backend="ray", **more)
    assert told(there) == told(here)
    assert [t.gain for t in there.trials] == [t.gain for t in here.trials]
    assert there.trials[there.best_number].gain > 0.05
    # Either goes on where the other stopped.
    again = search(objective, ADAPTER_SPACE, journal=tmp_path / "there", **{**more, "trials": 6})
    assert told(again)[:5] == told(there)
    assert not list(Path(tempfile.gettempdir()).glob(f"fh-ray-{os.getpid()}-*"))


@pytest.mark.slow  # each start of Ray takes a quarter of a minute
def test_progress_may_be_what_cannot_be_sent(tmp_path):
    lock = threading.RLock()  # as bars on a terminal have
    seen = []

    def progress(_stage, done, _total):
        with lock:
            seen.append(done)

    result = found(tmp_path / "j", trials=2, backend="ray", progress=progress)
    assert len(result.trials) == 2
    assert seen[-1] == 2


@pytest.mark.slow
def test_two_workers_stop_what_is_hopeless(tmp_path):
    result = found(tmp_path / "j", trials=10, backend="ray", workers=2)
    assert len(result.trials) == 10
    assert {trial.state for trial in result.trials} == {"complete", "stopped"}
    assert all(trial.settings["learning_rate"] > 0 for trial in result.trials)


@pytest.mark.slow
def test_errors_come_back_from_workers(tmp_path):
    with pytest.raises(UsageError, match="too few pairs") as caught:
        found(tmp_path / "refused", Refuses(), backend="ray")
    assert caught.value.hint == "label more"
    with pytest.raises(HouseFault, match="failed in its worker") as broken:
        found(tmp_path / "broken", Breaks(), backend="ray")
    assert "--backend optuna" in broken.value.hint
    result = found(tmp_path / "fussy", Fussy(), backend="ray", trials=4)
    assert [trial.state for trial in result.trials] == [
        "complete" if trial.settings["learning_rate"] <= 1e-3 else "stopped" for trial in result.trials
    ]


SCRIPT = """
import sys
from pathlib import Path
from objectives import Hill
from test_search import found
found(Path(sys.argv[1]), Hill(Path(sys.argv[2]), seconds=0.1), trials=5, backend="ray")
"""


@pytest.mark.slow
def test_killed_under_ray_it_goes_on_without(tmp_path):
    log = tmp_path / "log"
    running = subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path / "j"), str(log)], cwd=HERE)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and (not log.exists() or log.read_text().count("\n") < 3):
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    for left in Path(tempfile.gettempdir()).glob(f"fh-ray-{running.pid}-*"):
        shutil.rmtree(left, ignore_errors=True)  # as the next search on Ray does
    assert told(found(tmp_path / "j", trials=5)) == told(found(tmp_path / "whole", trials=5))
    assert found(tmp_path / "j", trials=5).trials[0].settings == DEFAULT
