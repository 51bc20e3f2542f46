"""One harbour town for all tests of measuring."""

from __future__ import annotations

from pathlib import Path

import pytest
from harbour import Town, build


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Town:
    return build(tmp_path_factory.mktemp("town"))
