"""The demo: ingest the Meridian papers, measure the search on its test questions, ask a few more."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from freehold.core.experiment import Experiment
from freehold.core.types import Answer
from freehold.house import House
from freehold.journeys.ingest import IngestReport, Progress
from freehold.measure.report.page import render
from freehold.measuring.evaluate import Request, evaluate
from freehold.measuring.words import detail
from freehold.models.pull import pull

MERIDIAN = Path(__file__).parent / "meridian"
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
    answers: tuple[tuple[str, Answer], ...]


def walk(keep: Path | None, *, progress: Progress, download: Callable[[str, int], None]) -> DemoReport:
    """Run the demo in a temporary house, or in a new one at ``keep``. Pulls the house's model when it is missing."""
    with _folder(keep) as folder:
        values = {"house.name": "Meridian", "house.languages": LANGUAGES}
        with House.create(folder, values) as house:
            pull(house.settings.embedder_model, progress=download)
            report = house.ingest([MERIDIAN / "documents"], progress=progress)
            kept = evaluate(house, MEASURED, progress=progress)
            page = render(kept.experiment, detail(kept.evaluation, house))
            answers = tuple((text, house.ask(text)) for text in ASKED)
        return DemoReport(folder, keep is not None, report, kept.experiment, page, answers)


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="freehold-demo-") as folder:
        yield Path(folder) / "house"
