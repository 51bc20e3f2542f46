"""The demo: ingest the Meridian papers, measure the search, tune it to the claims desk, see the gain, ask questions."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from freehold.core.experiment import Experiment
from freehold.core.types import Answer
from freehold.detectors import RAMPART
from freehold.house import House
from freehold.journeys.ingest import IngestReport, Progress
from freehold.measure.report.page import render
from freehold.measuring.evaluate import Request, evaluate
from freehold.measuring.gate import LIVE, MODEL, compare
from freehold.measuring.words import detail
from freehold.models.pull import pull
from freehold.tuning import adapter, data
from freehold.tuning.candidate import Tuned

MERIDIAN = Path(__file__).parent / "meridian"
DESK = MERIDIAN / "desk"
"""Questions about the same papers in the shorthand of the claims desk, which none of the papers explains."""
LANGUAGES = ("en", "de", "fr")
ASKED = (
    "What excess do I pay when my windscreen is replaced?",
    "Wie hoch ist die Selbstbeteiligung bei Fahrraddiebstahl?",
    "Quel est le délai pour déclarer un vol ?",
    "What is the capital of Australia?",
)
"""One question in each language, and one that no paper answers."""

MEASURED = Request(
    MERIDIAN,
    split="test",
    modes=("lexical", "dense", "hybrid"),
    measures=("nDCG@10", "R@5", "FPR@5"),
    searches=100,
)


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What the demo shows."""

    house: Path
    kept: bool
    ingest: IngestReport
    experiment: Experiment
    page: str
    """The measurement as an HTML page."""
    tuned: Tuned
    """A query adapter, trained on the desk's train questions and chosen on its dev ones."""
    gain: Experiment
    """It beside what serves, on the desk's test questions, which it never saw."""
    answers: tuple[tuple[str, Answer], ...]


def walk(keep: Path | None, *, progress: Progress, download: Callable[[str, int], None]) -> DemoReport:
    """Run the demo in a temporary house, or in a new one at ``keep``. Pulls the house's model when it is missing."""
    with _folder(keep) as folder:
        values = {"house.name": "Meridian", "house.languages": LANGUAGES}
        with House.create(folder, values) as house:
            for model in (house.settings.embedder_model, RAMPART):
                pull(model, progress=download)
            report = house.ingest([MERIDIAN / "documents"], progress=progress)
            kept = evaluate(house, MEASURED, progress=progress)
            page = render(kept.experiment, detail(kept.evaluation, house))
            tuned, gain = _tuned(house, progress)
            answers = tuple((text, house.ask(text)) for text in ASKED)
        return DemoReport(folder, keep is not None, report, kept.experiment, page, tuned, gain, answers)


def _tuned(house: House, progress: Progress) -> tuple[Tuned, Experiment]:
    """An adapter that learned the desk's shorthand, and what it gains: no embedder knows what stands for what here."""
    training = data.prepare(house, data.Request(dataset=DESK), progress=progress)
    tuned = adapter.tune_adapter(house, training, adapter.Request(), progress=progress)
    told = compare(
        house,
        f"{MODEL}{tuned.version.id}",
        LIVE,
        dataset=DESK,
        split=MEASURED.split,
        measures=MEASURED.measures,
        call={},
        progress=progress,
    )
    return tuned, told.experiment


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="freehold-demo-") as folder:
        yield Path(folder) / "house"
