"""The encoder as a module of sentence-transformers. Imports torch: to be imported inside functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from sentence_transformers.base.modules import Module
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from freehold.core.errors import ModelMismatch, SettingsError
from freehold.train.feed import PairFeed, PairRow, Row
from freehold.train.settings import Training

ROWS = 8
"""Rows for each thread that go through a transformer at once on a CPU: their hidden states stay in its cache."""

_FAMILIES = {"bert", "roberta", "xlm-roberta", "camembert", "mpnet"}
_FAMILIES_HINT = "encoders of the BERT, RoBERTa and MPNet families can be trained, from a folder with all their weights"
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_TARGETS = {"mpnet": ("q", "k", "v", "o", "intermediate.dense", "output.dense")}
_BERT_TARGETS = ("query", "key", "value", "output.dense", "intermediate.dense")


class _Body(Module):  # type: ignore[misc]
    """A transformer whose frozen parts compute as they do at serving, without dropout."""

    def __init__(self, model: Any, frozen: Sequence[Any]) -> None:
        super().__init__()
        self.model = model
        self._frozen = list(frozen)
        self._first = 0 if model.config.model_type == "bert" else model.config.pad_token_id + 1

    def train(self, mode: bool = True) -> _Body:
        """As torch's, but for what is frozen."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Not used: freehold.train.folders writes the files."""
        raise NotImplementedError

    def _parts(self, features: dict[str, Any]) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """Rows by falling length, a few at a time, with the model's inputs cut to their own width.

        A row's result does not depend on the others: it is only padding that is saved. On a GPU all go at once.
        """
        inputs = {key: features[key] for key in _INPUTS if key in features}
        ids = inputs["input_ids"]
        # Counted here as at serving: left to themselves, RoBERTa's descendants tell padding by its id.
        inputs["position_ids"] = (self._first + torch.arange(ids.shape[1], device=ids.device)).expand_as(ids)
        lengths = features["attention_mask"].sum(dim=1)
        order = torch.argsort(lengths, descending=True, stable=True)
        for rows in order.split(ROWS * torch.get_num_threads() if ids.device.type == "cpu" else len(order)):
            width = int(lengths[rows[0]])
            yield rows, {key: value[rows, :width] for key, value in inputs.items()}


class Encoder(_Body):
    """Texts to token vectors."""

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Adds ``token_embeddings`` float32 (rows, width, dim)."""
        width, order, hidden = features["input_ids"].shape[1], [], []
        for rows, inputs in self._parts(features):
            order.append(rows)
            states = self.model(**inputs).last_hidden_state
            hidden.append(nn.functional.pad(states, (0, 0, 0, width - states.shape[1])))
        features["token_embeddings"] = torch.cat(hidden)[torch.argsort(torch.cat(order))]
        return features


class PairEncoder(_Body):
    """Pairs of query and passage to logits."""

    def __init__(self, model: Any, frozen: Sequence[Any], feed: PairFeed, max_tokens: int) -> None:
        super().__init__(model, frozen)
        self._feed, self._max_tokens = feed, max_tokens

    def preprocess(self, inputs: Sequence[tuple[str, str]], **_: Any) -> dict[str, Tensor]:
        """What the losses call to tokenize pairs, in training cut to its limit."""
        rows = self._feed.rows(inputs, max_tokens=self._max_tokens)
        return padded_pairs(rows, typed=self._feed.typed)

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Adds ``scores`` float32 (rows, 1)."""
        order, logits = [], []
        for rows, inputs in self._parts(features):
            order.append(rows)
            logits.append(self.model(**inputs).logits)
        features["scores"] = torch.cat(logits)[torch.argsort(torch.cat(order))]
        return features


class TokenVectors(Module):  # type: ignore[misc]
    """Token vectors of unit norm, and as the mask of those that count, the text's own."""

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Replaces ``token_embeddings`` and ``attention_mask``."""
        features["token_embeddings"] = nn.functional.normalize(features["token_embeddings"], dim=-1)
        features["attention_mask"] = features["own"]
        return features

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Not used: freehold.train.folders writes the files."""
        raise NotImplementedError


def load(folder: Path, settings: Training, *, head: bool = False) -> tuple[Any, list[Any]]:
    """The model in ``folder`` in float32, made ready for training, and its frozen parts. ``head``: with one logit.

    Raises ModelMismatch, and SettingsError where nothing is left to train.
    """
    dropout = {} if settings.dropout is None else _dropout(settings.dropout)
    kind, extra = (AutoModelForSequenceClassification, {"num_labels": 1}) if head else (AutoModel, {})
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, **dropout, **extra)
        bare = {} if head else {"add_pooling_layer": False}
        model, found = kind.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **bare,
        )
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise ModelMismatch(f"no encoder to train in {folder}", hint=_FAMILIES_HINT) from error
    lacking = [name for name in found["missing_keys"] if not name.startswith("classifier") and ".pooler." not in name]
    if config.model_type not in _FAMILIES or lacking:
        raise ModelMismatch(
            f"{folder} is of type {config.model_type!r} and lacks {len(lacking)} weights of it", hint=_FAMILIES_HINT
        )
    return _adapted(model, settings) if settings.lora_rank else (model, _freeze(model, settings))


def _dropout(share: float) -> dict[str, float]:
    return dict.fromkeys(("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"), share)


def _freeze(model: Any, settings: Training) -> list[Any]:
    body = getattr(model, model.base_model_prefix, model)
    layers = body.encoder.layer
    if settings.freeze_layers > len(layers) or (
        settings.freeze_layers == len(layers) and settings.freeze_embeddings and body is model
    ):
        raise SettingsError(
            f"freeze_layers = {settings.freeze_layers} leaves nothing of {len(layers)} layers to train",
            hint=f"set freeze_layers below {len(layers)}",
        )
    frozen = [*layers[: settings.freeze_layers], *([body.embeddings] if settings.freeze_embeddings else [])]
    if settings.freeze_layers and hasattr(body.encoder, "relative_attention_bias"):  # the frozen layers' too
        frozen.append(body.encoder.relative_attention_bias)
    for module in frozen:
        module.requires_grad_(False)
    return frozen


def _adapted(model: Any, settings: Training) -> tuple[Any, list[Any]]:
    """The model with low-rank matrices in the layers that are not frozen, and nothing else to train but a head."""
    from peft import LoraConfig, get_peft_model

    frozen = _freeze(model, settings)
    layers = model.config.num_hidden_layers
    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=0.0,
        target_modules=list(settings.lora_targets or _TARGETS.get(model.config.model_type, _BERT_TARGETS)),
        layers_to_transform=list(range(settings.freeze_layers, layers)),
        layers_pattern="layer",
        modules_to_save=["classifier", "pooler"] if hasattr(model, "classifier") else None,
    )
    try:
        return get_peft_model(model, config), frozen
    except ValueError as error:
        raise SettingsError(
            "lora_targets name no linear map of this encoder", hint="leave them empty to train those of its family"
        ) from error


def save_weights(model: Any, base: Path, folder: Path) -> None:
    """``model.safetensors`` of an encoder: what training changed in float32, all else as it was in ``base``.

    Names have nothing before ``embeddings.`` and ``encoder.``; a head of another kind in ``base`` is left out.
    """
    found = load_file(base / "model.safetensors")
    anchor = "embeddings.word_embeddings.weight"
    prefix = next(name for name in found if name.endswith(anchor)).removesuffix(anchor)
    weights = {name.removeprefix(prefix): tensor for name, tensor in found.items() if name.startswith(prefix)}
    for name, tensor in _merged(model).state_dict().items():
        if name not in weights or not torch.equal(weights[name].float(), tensor):
            weights[name] = tensor.contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def save_pair_weights(model: Any, folder: Path) -> str:
    """``model.safetensors`` of a cross-encoder, with its head. The architecture's name."""
    model = _merged(model)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return type(model).__name__


def _merged(model: Any) -> Any:
    """The model without adapters, which are in its weights then."""
    return model.merge_and_unload() if hasattr(model, "merge_and_unload") else model


def padded(rows: Sequence[Row]) -> dict[str, Tensor]:
    """One tensor (rows, longest) each: ``input_ids``, ``attention_mask`` and ``own``, true at the text's own tokens."""
    width = max(len(row.ids) for row in rows)
    ids, mask = np.zeros((2, len(rows), width), dtype=np.int64)
    own = np.zeros((len(rows), width), dtype=bool)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = row.ids
        mask[i, : len(row.ids)] = 1
        own[i, row.first : row.last] = True
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask), "own": torch.from_numpy(own)}


def padded_pairs(rows: Sequence[PairRow], *, typed: bool) -> dict[str, Tensor]:
    """One tensor (rows, longest) each: ``input_ids``, ``attention_mask``, and if ``typed`` ``token_type_ids``."""
    width = max(len(row.ids) for row in rows)
    ids, mask, types = np.zeros((3, len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = row.ids
        types[i, row.first : len(row.ids)] = 1
        mask[i, : len(row.ids)] = 1
    features = {"input_ids": ids, "attention_mask": mask} | ({"token_type_ids": types} if typed else {})
    return {name: torch.from_numpy(values) for name, values in features.items()}
