"""An erasure by the detector that the settings name: whom it finds decides what stays."""

from __future__ import annotations

from pathlib import Path

import practice
import pytest


@pytest.fixture
def knows_halpin(tmp_path: Path) -> Path:
    pytest.importorskip("presidio_analyzer")
    import spacy

    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "PERSON", "pattern": "Desmond Halpin"}])
    nlp.to_disk(tmp_path / "spacy")
    return tmp_path / "spacy"


def test_an_erasure_by_presidio(own: Path, knows_halpin: Path) -> None:
    settings = own / "freehold.toml"
    chosen = f'[privacy]\ndetector = "presidio"\npresidio_models = ["{knows_halpin}"]'
    settings.write_text(settings.read_text().replace("[privacy]", chosen))
    assert practice.told("erase", *practice.SUBJECT, "--yes", house=own)["verdict"] == "COMPLETE"
    minutes = practice.texts(own)["minutes.txt"]
    assert practice.BYSTANDERS[0] in minutes
    assert "Ekholm" not in minutes  # nobody to this model: the sentence speaks of the person alone
    assert not practice.residue(own, *practice.TRACES)


def test_a_model_that_is_not_here_stops_it_before_it_begins(own: Path, knows_halpin: Path) -> None:
    settings = own / "freehold.toml"
    settings.write_text(settings.read_text().replace("[privacy]", '[privacy]\ndetector = "presidio"'))
    result = practice.freehold("erase", *practice.SUBJECT, "--yes", house=own)
    assert result.returncode == 3
    assert "en_core_web_sm" in result.stderr
