"""A house with its console, as people see it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import console_house
import pytest

from freehold.house import House


@pytest.fixture(scope="session")
def papers(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    """A small house. Not to be changed."""
    from freehold.models.pull import pull

    pull("rampart")
    root = tmp_path_factory.mktemp("console")
    folder = root / "papers"
    folder.mkdir()
    for name, text in console_house.PAPERS.items():
        (folder / name).write_text(text)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and nothing else")
    values = {
        "house.name": "Harbour Mutual",
        "house.languages": ("en",),
        "gate.dataset": "questions.jsonl",
        "schedule.service": False,
    }
    with House.create(root / "house", values) as house:
        house.ingest([folder])
    (root / "house" / "questions.jsonl").write_text(console_house.labelled())
    return root / "house"


@pytest.fixture(scope="module")
def console(papers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[console_house.Console]:
    """The house in service, for tests that leave its documents as they are."""
    with console_house.served(console_house.copied(papers, tmp_path_factory.mktemp("served"))) as running:
        yield running


@pytest.fixture(scope="session")
def filled(papers: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[console_house.Console, str]]:
    """A house in which something was measured, trained and asked to be forgotten; and the path of that request."""
    with console_house.served(console_house.copied(papers, tmp_path_factory.mktemp("filled"))) as running:
        yield running, console_house.fill(running, tmp_path_factory.mktemp("made"))


@pytest.fixture
def own(papers: Path, tmp_path: Path) -> Iterator[console_house.Console]:
    """A house in service, to do with as one likes."""
    with console_house.served(console_house.copied(papers, tmp_path)) as running:
        yield running
