from __future__ import annotations

from pathlib import Path

import pytest

from freehold.models.pull import pull
from freehold.privacy.detect import CombinedDetector, open_detector


@pytest.fixture(scope="session")
def rampart() -> Path:
    """The folder of the names model, pulled from the package registry when it is missing."""
    return pull("rampart")


@pytest.fixture(scope="session")
def combined(rampart: Path) -> CombinedDetector:
    return open_detector(rampart)
