"""Model folders written whole or not at all, and checkpoints removed with their content."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from freehold.core.errors import FreeholdError, HouseBusy, StorageFault
from freehold.core.files import DENIED_ERRNOS, FULL_ERRNOS, shred_tree, sync, sync_tree
from freehold.train.settings import Facts

RECORD = "training.json"
"""Stands beside the checkpoints from before the first one to the end."""

_TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt",
    "sentencepiece.bpe.model",
)  # fmt: skip
_NOT_OF_THE_MODEL = ("_name_or_path", "transformers_version", "torch_dtype", "dtype")
_OF_THE_DISK = {errno.EIO, *FULL_ERRNOS, *DENIED_ERRNOS}
_ERROR_CODE = re.compile(r"\b(?:code:|os error|Errno) (\d+)")


def check_kept(checkpoints: Path) -> None:
    """Raise HouseBusy where the checkpoints were taken away by somebody else, with nothing left of those made since."""
    if not (checkpoints / RECORD).exists():
        discard(checkpoints)
        hint = "run the same command again: it begins anew"
        raise HouseBusy("what was trained so far was removed while training went on", hint=hint)


def write_folder(out: Path, fill: Callable[[Path], None]) -> None:
    """Have ``fill`` write the files of a new folder, and put it at ``out`` when they are on disk.

    ``out`` is absent before, and after an error. Raises StorageFault when the disk fails.
    """
    made = out.with_name(out.name + ".new")
    discard(made)
    try:
        made.mkdir()
        fill(made)
        sync_tree(made)
        made.rename(out)
        sync(out.parent)
    except FreeholdError:
        discard(made)
        raise
    except Exception as error:
        discard(made)
        if is_storage_error(error):
            raise storage_fault(error, out) from error
        raise


def write_encoder(folder: Path, base: Path, facts: Facts) -> None:
    """Everything of an encoder's folder but its weights, as freehold.models and sentence-transformers read it."""
    _copy_base(folder, base)
    modules = [("0", "", "Transformer"), ("1", "1_Pooling", "Pooling"), ("2", "2_Normalize", "Normalize")]
    listed = [
        {"idx": int(name), "name": name, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for name, path, kind in modules
    ]
    dim = _read(base / "config.json")["hidden_size"]
    modes = {"mean": "mean_tokens", "cls": "cls_token", "last": "lasttoken"}
    pooling = {f"pooling_mode_{key}": mode == facts.pooling for mode, key in modes.items()}
    prompts = {"query": facts.query_prefix, "document": facts.document_prefix}
    for path in ("1_Pooling", "2_Normalize"):
        (folder / path).mkdir()
    write_json(folder / "modules.json", listed)
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": dim} | pooling)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": facts.max_tokens, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None})


def write_pair_encoder(folder: Path, base: Path, architecture: str, *, max_tokens: int, typed: bool) -> None:
    """Everything of a cross-encoder's folder but its weights. ``typed``: whether it was trained with token types."""
    labels = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    _copy_base(folder, base, architectures=[architecture], **labels)
    names = ["input_ids", *(["token_type_ids"] if typed else []), "attention_mask"]
    told = _read(base / "tokenizer_config.json") if (base / "tokenizer_config.json").is_file() else {}
    write_json(folder / "tokenizer_config.json", {**told, "model_input_names": names})
    write_json(folder / "cross_encoder.json", {"max_tokens": max_tokens})


def write_json(path: Path, value: object) -> None:
    """With keys as they come, readable."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _copy_base(folder: Path, base: Path, **changes: object) -> None:
    config = {key: value for key, value in _read(base / "config.json").items() if key not in _NOT_OF_THE_MODEL}
    write_json(folder / "config.json", config | changes)
    for name in _TOKENIZER_FILES:
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)


def _read(path: Path) -> Mapping[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def discard(folder: Path) -> None:
    """Overwrite a folder's files and remove it. A full disk may refuse to; then it is only removed."""
    with suppress(StorageFault):
        shred_tree(folder)


def is_storage_error(error: BaseException) -> bool:
    """Whether it is the disk's: torch and safetensors raise errors of their own for what the system reports."""
    if isinstance(error, OSError):
        return error.errno in _OF_THE_DISK
    kind, text = type(error).__name__, str(error)
    return (kind == "SafetensorError" and "I/O error" in text) or (
        kind == "RuntimeError" and "PytorchStreamWriter" in text
    )


def storage_fault(error: BaseException, path: Path) -> StorageFault:
    """What a failed write means to the user."""
    found = _ERROR_CODE.search(str(error))
    code = error.errno if isinstance(error, OSError) else int(found[1]) if found else None
    if code in DENIED_ERRNOS:
        hint = "run Freehold as the owner of the house, or correct the permissions"
    else:
        hint = "free space on the disk and run the command again; training goes on from its last checkpoint"
    said = os.strerror(code) if code else "a file could not be written"
    return StorageFault(f"{path}: {said}", hint=hint, refs=(str(path),))
