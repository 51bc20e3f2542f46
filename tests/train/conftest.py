"""What the tests of training share: tiny encoders as transformers reads them, and short labelled questions."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# The makers of tiny encoders, as the tests of models find them; and this folder, for children.
sys.path.insert(0, str(Path(__file__).parent.parent / "models"))

from labelled import tiny_encoder

Tiny = Callable[..., Path]


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    """Makes an encoder's folder of a family: bert, xlm-roberta or mpnet."""

    def make(family: str = "bert", *, seed: int = 0, name: str = "tiny", prefix: str = "") -> Path:
        return tiny_encoder(tmp_path / name, family, seed=seed, prefix=prefix)

    return make


@pytest.fixture(autouse=True, scope="session")
def _no_hub() -> None:
    """Nothing here may ask a hub: it would fail."""
    import os

    os.environ["HF_HUB_OFFLINE"] = "1"


def read_json(path: Path) -> object:
    return json.loads(path.read_text(encoding="utf-8"))
