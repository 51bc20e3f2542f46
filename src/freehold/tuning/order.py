"""An order to tune, whatever the role: what a job of the service carries out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from freehold.core.errors import UsageError
from freehold.core.training import Role
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.tuning import adapter, encoder, fusion
from freehold.tuning.candidate import Tuned
from freehold.tuning.data import open_training
from freehold.tuning.hyper import Hyper, settings_of


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be trained, and on which training set of the house."""

    role: Role
    training: str = "latest"
    """Its name, the beginning of it or of its root."""
    kind: Literal["late-interaction", "cross-encoder"] = "late-interaction"
    """Of a reranker."""
    trials: int = 0
    """Settings to try; 0: no search."""
    settings: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


def tune(house: House, order: Order, *, call: Mapping[str, object], progress: Progress) -> Tuned:
    """Train, measure as it would be served, and keep as a candidate.

    Raises UsageError for a set or a setting that there is not, and as ``tune_adapter``, ``tune_fusion`` and
    ``tune_encoder``.
    """
    from freehold.train.adapter import AdapterTraining

    training = open_training(house, order.training)
    texts = [f"{key}={value}" for key, value in order.settings.items()]
    if order.role == "fusion":
        if texts or order.trials:
            raise UsageError("fusion has no settings to try: its weights are fitted", hint="leave them out")
        return fusion.tune_fusion(house, training, seed=order.seed, call=call, progress=progress)
    if order.role == "adapter":
        request = adapter.Request(
            hyper=Hyper(order.trials, pruner="none"),
            settings=settings_of(AdapterTraining, texts),
            seed=order.seed,
            call=call,
        )
        return adapter.tune_adapter(house, training, request, progress=progress)
    kind = "embedder" if order.role == "embedder" else order.kind
    what = encoder.Request(
        kind=kind,
        settings=encoder.settings_for(kind, texts, {"seed": order.seed}),
        hyper=Hyper(order.trials),
        call=call,
    )
    return encoder.tune_encoder(house, training, what, progress=progress)
