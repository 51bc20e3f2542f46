"""``freehold tune fusion``: weights of fusion and reranking for what serves, fitted to labelled queries."""

from __future__ import annotations

import time
from collections.abc import Mapping

from freehold.core.files import write_durably
from freehold.core.ids import canonical_json
from freehold.house import House
from freehold.journeys.ingest import Progress
from freehold.tuning.candidate import Making, Tuned, admit, refitted, workplace
from freehold.tuning.sets import TrainingSet

UNSURE = "no weights were surely better than those in force: it changes nothing"


def tune_fusion(house: House, data: TrainingSet, *, seed: int, call: Mapping[str, object], progress: Progress) -> Tuned:
    """Fit on the dev part; both parts would not be better: the train part is what a tuned leg has learned by heart.

    The default stays where no gain was sure. Raises UsageError for fewer than 20 queries.
    """
    started = time.perf_counter()
    serving = refitted(house, house.engines(), data.dev_labels(), seed=seed, progress=progress)
    made = workplace(house, f"fusion-{data.manifest.root[:12]}-{seed}", data) / "model"
    made.mkdir(exist_ok=True)
    write_durably(made / "weights.json", f"{canonical_json(serving)}\n".encode())
    making = Making(
        role="fusion",
        kind="weights",
        base=house.settings.embedder_model,
        bound=True,
        seed=seed,
        settings={},
        call=call,
        started=started,
        refit=False,
        serving=serving,
        notes=() if serving else (UNSURE,),
    )
    return admit(house, data, made, making, progress=progress)
