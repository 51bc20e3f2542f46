"""The school, made once; tests that change a house take a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import school
from school import School


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, minilm: Path) -> School:
    """The papers and a house that holds them. Not to be changed."""
    root = tmp_path_factory.mktemp("school")
    beir = school.write(root)
    return School(beir, school.build(root, beir))


@pytest.fixture(scope="session")
def tuned(made: School, tmp_path_factory: pytest.TempPathFactory) -> School:
    """A house with a trained adapter as a candidate. Not to be changed."""
    house = tmp_path_factory.mktemp("tuned") / "house"
    shutil.copytree(made.house, house)
    school.run_json("tune", "adapter", "--data", str(made.beir), "--seed", "7", house=house)
    return School(made.beir, house)


@pytest.fixture
def own(tuned: School, tmp_path: Path) -> School:
    """A copy of it to do with as one likes."""
    shutil.copytree(tuned.house, tmp_path / "house")
    return School(tuned.beir, tmp_path / "house")
