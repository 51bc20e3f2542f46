"""A search over hyper-parameters, of whatever is trained: how it is asked for, where it lies, what is kept of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

from freehold.core.errors import UsageError
from freehold.core.experiment import Study
from freehold.core.ids import canonical_json, sha256_hex
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.train.search import Backend, Pruner, Sampler, SearchResult, search
from freehold.train.space import parse_space
from freehold.tuning.candidate import workplace
from freehold.tuning.sets import TrainingSet


@dataclass(frozen=True, slots=True)
class Hyper:
    """What to search for, how, and for how long."""

    trials: int = 0
    """0: nothing is searched; those of earlier calls count."""
    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    backend: Backend = "optuna"
    workers: int = 1
    """Trials at a time, with ray."""
    space: tuple[str, ...] = ()
    """``learning_rate=1e-5..1e-3:log`` and the like; empty: as the kind of training has it."""

    def run(
        self,
        house: House,
        objective: Any,
        space: Sequence[str],
        *,
        default: Mapping[str, Any],
        identity: object,
        training: TrainingSet,
        seed: int,
        progress: Progress,
    ) -> SearchResult:
        """Search, ``default`` first where it lies in the space; killed, it goes on where it was when called again.

        ``training``: what it learns from.
        """
        axes = parse_space(space)
        known = {axis.name: default[axis.name] for axis in axes if default.get(axis.name) in axis}
        name = sha256_hex(canonical_json([identity, list(space), known, self.sampler, self.pruner, seed]).encode())[:12]
        return search(
            objective,
            axes,
            trials=self.trials,
            sampler=self.sampler,
            pruner=self.pruner,
            seed=seed,
            journal=workplace(house, f"search-{name}", training) / "journal.log",
            backend=self.backend,
            default=known if len(known) == len(axes) else None,
            identity=name,
            workers=self.workers,
            progress=progress,
        )


def study_of(
    found: SearchResult, hyper: Hyper, training: TrainingSet, *, default: Mapping[str, Any], measure: str, seed: int
) -> Study:
    """The search as an experiment keeps it."""
    tried = (t.number for t in found.trials if all(default.get(key) == value for key, value in t.settings.items()))
    return Study(
        name=training.name,
        sampler=hyper.sampler,
        seed=seed,
        measure=measure,
        p95_limit_ms=None,
        splits=training.manifest.splits,
        queries=training.manifest.examples.get("dev", 0),
        trials=found.trials,
        best=found.best_number,
        default=next(tried, -1),
        pareto=(),
        importance=found.importance,
    )


def settings_of(kind: type[Any], texts: Sequence[str]) -> dict[str, Any]:
    """Training settings from ``key=value``. Raises UsageError, naming the nearest, for a key that there is not."""
    hints = get_type_hints(kind)
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in hints:
            near = difflib.get_close_matches(key, hints, 1)
            known = f"did you mean {near[0]}? " if near else ""
            raise UsageError(f"{text!r} sets nothing", hint=f"{known}KEY=VALUE with: {', '.join(hints)}")
        found[key] = _value(hints[key], value, text)
    try:
        kind(**found)
    except TypeError as error:
        raise UsageError(f"{', '.join(texts)} cannot be meant", hint=str(error)) from None
    return found


def _value(hint: Any, value: str, text: str) -> Any:
    """``value`` as the field's type has it."""
    if value == "none" and type(None) in get_args(hint):
        return None
    if hint is bool:
        if value not in {"true", "false"}:
            raise UsageError(f"{text!r} is neither true nor false", hint="write true or false")
        return value == "true"
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        return tuple(item(part) for part in value.split("+") if part)
    for plain in (int, float):
        if hint is plain or plain in get_args(hint):
            try:
                return plain(value)
            except ValueError:
                raise UsageError(f"{text!r} is no number", hint=f"for example {text.partition('=')[0]}=8") from None
    choices = get_args(hint)
    if choices and value not in choices:
        raise UsageError(f"{text!r} is no choice", hint=f"one of {', '.join(map(str, choices))}")
    return value
