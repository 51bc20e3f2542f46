"""One house of leases for all tests of training data, opened anew by each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from allotments import build

from freehold.house import House


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    return build(tmp_path_factory.mktemp("allotments"))


@pytest.fixture
def house(built: Path) -> Iterator[House]:
    with House(built) as opened:
        yield opened
