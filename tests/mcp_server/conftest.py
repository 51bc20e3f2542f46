"""The house, made once; a test that changes it takes a copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import clients
import pytest


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    """Not to be changed."""
    from freehold.models.pull import pull

    pull("rampart")
    return clients.build(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def service(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[clients.Served]:
    """A copy in service, for tests that leave its documents as they are."""
    with clients.served(clients.copied(small, tmp_path_factory.mktemp("served"))) as running:
        yield running


@pytest.fixture
def own(small: Path, tmp_path: Path) -> Path:
    """A copy of the house, to do with as one likes."""
    return clients.copied(small, tmp_path)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
