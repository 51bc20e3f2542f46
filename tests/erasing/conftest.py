"""The practice, made once; a test that changes it takes a copy."""

from __future__ import annotations

from pathlib import Path

import practice
import pytest


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> Path:
    """A house with everybody in it. Not to be changed."""
    from freehold.models.pull import pull

    pull("rampart")
    return practice.build(tmp_path_factory.mktemp("practice"), practice.ANNA, practice.SHARED, practice.OTHERS)


@pytest.fixture(scope="session")
def erased(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after Anna was erased. Not to be changed."""
    house = practice.copied(made, tmp_path_factory.mktemp("erased"))
    assert practice.told("erase", *practice.SUBJECT, "--yes", house=house)["verdict"] == "COMPLETE"
    return house


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A copy with everybody in it, to do with as one likes."""
    return practice.copied(made, tmp_path)
