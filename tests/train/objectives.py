"""Objectives that worker processes can load: objects of a module."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

from freehold.core.errors import UsageError
from freehold.train.adapter import AdapterTraining, Pairs, choose, train
from freehold.train.search import Outcome

STEPS = 5


@dataclass
class Hill:
    """Best at learning_rate 5e-4 and two epochs; known in five steps."""

    log: Path | None = None
    seconds: float = 0.0

    def __call__(self, settings, report):
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{settings['learning_rate']}\n")
        quality = 1 - abs(math.log10(settings["learning_rate"]) - math.log10(5e-4)) - 0.1 * abs(settings["epochs"] - 2)
        for step in range(1, STEPS + 1):
            time.sleep(self.seconds)
            if report(step, quality * step / STEPS):
                return quality
        return quality


class Fussy:
    """Refuses high rates."""

    def __call__(self, settings, report):
        if settings["learning_rate"] > 1e-3:
            raise UsageError("the loss is no longer a number", hint="lower the learning rate")
        return -settings["learning_rate"]


class Refuses:
    """Refuses everything."""

    def __call__(self, settings, report):
        raise UsageError("too few pairs", hint="label more")


class Breaks:
    """Has a fault."""

    def __call__(self, settings, report):
        raise RuntimeError("a fault of the trainer")


@dataclass
class AdapterTrial:
    """Trains an adapter and judges it on other queries."""

    pairs: Pairs
    others: Pairs

    def __call__(self, settings, report):
        def score(adapter):
            nearest = (adapter.apply(self.others.queries) @ self.others.passages.T).argmax(axis=1)
            return 1.0 * (nearest == [rows[0] for rows in self.others.positives])

        def told(epoch, adapter):
            return report(epoch, float(score(adapter).mean()))

        training = replace(AdapterTraining(epochs=4), **settings)
        chosen = choose([(training, train(self.pairs, training, report=told))], score, strengths=(1.0,))
        best = chosen.best
        return Outcome(float(chosen.base_scores.mean()) + best.gain, best.gain, best.gain_error, len(chosen.scores))
