"""One office for all tests of records. Not to be changed: a test that writes takes a copy."""

from __future__ import annotations

from pathlib import Path

import office
import pytest


@pytest.fixture(scope="session")
def practised(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    from freehold.models.pull import pull

    pull("rampart")
    return office.build(tmp_path_factory.mktemp("office"))
