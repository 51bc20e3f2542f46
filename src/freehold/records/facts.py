"""What a house knows of itself for its records, read once, and where each fact can be looked up.

Nothing of a document or a person is in it: counts, ids, digests, settings and measures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property

from freehold.core.erasure import ErasureRequest
from freehold.core.errors import FreeholdError
from freehold.core.experiment import Experiment, RunResult
from freehold.core.ledger import Kind, Leaf
from freehold.core.training import Manifest, ModelVersion
from freehold.detectors import engine_for
from freehold.endpoints import Endpoint, endpoints
from freehold.erasing.walk import requests_of
from freehold.house import House
from freehold.records.lines import Evidence, Line
from freehold.residency.report import Way, residency
from freehold.store.training import TrainingFolder, read_manifest
from freehold.tuning.sets import TRAINING

NONE = "none"
"""What a setting says where there is none."""


class Facts:
    """The facts of one house at one time. Reading them changes nothing. Raises as the stores do."""

    def __init__(self, house: House, now: datetime) -> None:
        self.house = house
        self.settings = house.settings
        self.made = now.date().isoformat()
        self._origins = {key: (value, origin) for key, value, origin in self.settings.items()}

    # -- evidence ----------------------------------------------------------------------------------------------------

    def setting(self, *keys: str) -> tuple[Evidence, ...]:
        """Where these settings came from."""
        return tuple(Evidence("setting", key, self._origins[key][1]) for key in keys)

    def leaf(self, kind: Kind, **ids: str) -> tuple[Evidence, ...]:
        """The last leaf of this kind that names these ids; nothing where there is none."""
        found = [n for n, leaf in enumerate(self.leaves) if leaf.kind == kind and ids.items() <= leaf.ids.items()]
        return (Evidence("ledger", str(found[-1]), kind),) if found else ()

    def switched(self, number: int) -> tuple[Evidence, ...]:
        """The leaf that tells of this lineup."""
        found = [n for n, leaf in enumerate(self.leaves) if leaf.counts.get("lineup") == number]
        return (Evidence("ledger", str(found[-1]), self.leaves[found[-1]].kind),) if found else ()

    def experiment(self, found: Experiment | None) -> tuple[Evidence, ...]:
        return (Evidence("experiment", found.id, found.kind),) if found else ()

    # -- lines -------------------------------------------------------------------------------------------------------

    def own(self, point: str, topic: str, *keys: str) -> Line:
        """What only the controller knows: what their settings say, and which say nothing."""
        told: list[str] = []
        empty = []
        for key in keys:
            value = self._origins[key][0]
            if not value:
                empty.append(key)
            else:
                told += [str(item) for item in value] if isinstance(value, tuple) else [str(value)]
        return Line(point, topic, tuple(told), self.setting(*keys), tuple(empty))

    def also(self, line: Line, *told: str, evidence: Sequence[Evidence]) -> Line:
        """The line with what the house itself knows before it."""
        return Line(line.point, line.topic, (*told, *line.told), (*evidence, *line.evidence), line.to_fill)

    # -- what is here ------------------------------------------------------------------------------------------------

    @cached_property
    def leaves(self) -> list[Leaf]:
        return list(self.house.ledger.leaves())

    @cached_property
    def requests(self) -> tuple[ErasureRequest, ...]:
        return requests_of(self.house).all()

    @property
    def certified(self) -> Counter[str]:
        """Verdict of the latest certificate -> requests."""
        return Counter(request.certificate for request in self.requests if request.certificate)

    @cached_property
    def versions(self) -> tuple[ModelVersion, ...]:
        return self.house.registry.all()

    def manifest(self, version: ModelVersion) -> Manifest:
        return read_manifest(self.house.root / "models" / version.id)

    @cached_property
    def sets(self) -> dict[str, Manifest]:
        """Name of a training set -> what it was made of."""
        folder = TrainingFolder(self.house.root / TRAINING)
        return {name: read_manifest(self.house.root / TRAINING / name) for name in sorted(folder.names())}

    @cached_property
    def experiments(self) -> tuple[Experiment, ...]:
        return self.house.experiments.all()

    def latest(self, kind: str) -> Experiment | None:
        """The last experiment of this kind."""
        return next((one for one in reversed(self.experiments) if one.kind == kind), None)

    @staticmethod
    def served(experiment: Experiment) -> RunResult:
        """The run that the house served when it was measured, or the first."""
        return next((run for run in experiment.runs if run.served), experiment.runs[0])

    @cached_property
    def detector(self) -> str:
        """What finds people here; or that it is not here."""
        try:
            return engine_for(self.settings)
        except FreeholdError:
            return f"{self.settings.privacy.detector}, which is not on this machine"

    @cached_property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Everything that the settings name an address of, in the order of the file."""
        return tuple(endpoints(self.settings))

    @cached_property
    def ways(self) -> tuple[Way, ...]:
        """What leaves the machine, as the residency report has it."""
        return residency(self.settings, self.house.root).leaves

    @property
    def remote(self) -> tuple[Endpoint, ...]:
        """Those off this machine."""
        return tuple(endpoint for endpoint in self.endpoints if not endpoint.is_here)


def page(*names: str) -> tuple[Evidence, ...]:
    """Pages of the handbook: ``erasure#backups`` is a heading of docs/erasure.md."""
    return tuple(Evidence("page", name) for name in names)


def many(count: int, what: str) -> str:
    """``1 document``, ``2,048 documents``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
