from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from freehold.journeys.language import language_tools
from freehold.models.embed import open_embedder
from freehold.models.pull import pull
from freehold.text.terms import TermAnalyzer

# A busy machine is no failure.
settings.register_profile("answers", deadline=None)
settings.load_profile("answers")


@pytest.fixture(scope="session")
def smollm() -> Path:
    """The GGUF file of the packaged language model."""
    return next(pull("smollm2-135m-instruct").glob("*.gguf"))


@pytest.fixture(scope="session")
def embedder(minilm):
    return open_embedder("onnx", str(minilm))


@pytest.fixture(scope="session")
def tools():
    return language_tools(TermAnalyzer(("en", "de", "fr")))
