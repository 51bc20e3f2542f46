"""A house in service, as its callers see it: a real server process on a port of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import live
import pytest

from freehold.house import House


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    """A small house. Not to be changed."""
    from freehold.models.pull import pull

    pull("rampart")
    root = tmp_path_factory.mktemp("papers")
    for name, text in live.PAPERS.items():
        (root / name).write_text(text)
    values = {"house.name": "service", "house.languages": ("en",), "schedule.service": False}  # jobs are the tests' own
    with House.create(root / "house", values) as house:
        house.ingest([root / name for name in live.PAPERS])
    return root / "house"


@pytest.fixture(scope="module")
def server(papers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[live.Server]:
    """The house in service, for tests that leave its documents as they are."""
    with live.Server.over(live.copied(papers, tmp_path_factory.mktemp("served"))) as running:
        yield running


@pytest.fixture
def own(papers: Path, tmp_path: Path) -> Path:
    """A copy of the house, to do with as one likes."""
    return live.copied(papers, tmp_path)
