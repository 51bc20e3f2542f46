from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_encoders import Maker, tiny_config, tiny_tensors, tiny_tokenizer

from freehold.models.safetensors import write_tensors


@pytest.fixture
def tiny(tmp_path: Path) -> Maker:
    """Makes a model folder of a family; ``files`` are more JSON files by name."""

    def make(
        family: str = "bert",
        *,
        seed: int = 0,
        prefix: str = "",
        name: str = "tiny",
        files: dict[str, Any] | None = None,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        write_tensors(folder / "model.safetensors", tiny_tensors(family, seed, prefix))
        texts = {"config.json": tiny_config(family), "tokenizer.json": tiny_tokenizer()} | (files or {})
        for file, value in texts.items():
            path = folder / file
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(value), encoding="utf-8")
        return folder

    return make
