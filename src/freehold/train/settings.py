"""How encoders are trained, and what a training gives back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from freehold.core.errors import SettingsError

if TYPE_CHECKING:
    from freehold.core.types import Float32

Pooling = Literal["mean", "cls", "last"]
Kind = Literal["query", "document"]
Device = Literal["cpu", "cuda"]

Encode: TypeAlias = "Callable[[Sequence[str], Kind], Float32]"
"""Texts to float32 (len(texts), dim), rows of unit L2 norm, by the model as it is at that step."""
EncodeTokens: TypeAlias = "Callable[[Sequence[str], Kind], tuple[Float32, ...]]"
"""Texts to float32 (tokens, dim) each, rows of unit L2 norm; special tokens and prefix left out."""
ScorePairs: TypeAlias = "Callable[[Sequence[tuple[str, str]]], Float32]"
"""Pairs of query and passage to float32 (len(pairs),), logits."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with a stage's name, how much of it is done, and how much there is."""
Report: TypeAlias = Callable[[int, float], bool]
"""Told of the step and of every dev score; ends training when it returns True. What it raises goes to the caller."""


class Facts(Protocol):
    """How texts reach a model at serving: ``freehold.models.facts.ModelFacts`` is one."""

    @property
    def pooling(self) -> Pooling: ...
    @property
    def query_prefix(self) -> str: ...
    @property
    def document_prefix(self) -> str: ...
    @property
    def max_tokens(self) -> int:
        """The longest input in tokens, special tokens and prefix included."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What all trainings have in common. Raises SettingsError for a value that cannot be meant."""

    learning_rate: float = 1e-4
    """Its highest, after warm-up; from there it falls in a line to 0. For encoders of 384 dimensions, as the packaged
    ones are; twice as wide ones want 2e-5 to 5e-5."""
    batch_size: int = 32
    """Examples a step, each with one positive and its hard negatives."""
    epochs: int = 3
    warmup_ratio: float = 0.1
    weight_decay: float = 0.01
    negatives: int = 1
    """Hard negatives an example brings to a batch; of more, others take their turn in the next epoch. Each costs as
    much time as the positive, and more than one were worth little beside the passages of the batch."""
    max_tokens: int = 128
    """Longer texts are cut in training, never at serving. Special tokens and prefix included."""
    mini_batch_size: int = 16
    """Texts that go through the model at once where gradients are cached."""
    dropout: float | None = 0.0
    """None: as the model's own configuration has it, which is slower and learned less on what was tried.

    Layers that are frozen have none."""
    freeze_embeddings: bool = False
    freeze_layers: int = 0
    """So many of the lowest layers stay as they are."""
    lora_rank: int = 0
    """Low-rank matrices are trained in place of the weights, and merged into them at the end. 0: the weights."""
    lora_alpha: float = 32.0
    lora_targets: tuple[str, ...] = ()
    """Linear maps by the end of their name; empty: those of attention and feed-forward of the architecture."""
    seed: int = 0
    threads: int = 0
    """Of torch. 0: as many as it would take. Equal weights need equal numbers."""
    evaluations_per_epoch: int = 2
    """After each, and after the last step, a checkpoint is written."""
    patience: int = 4
    """Training ends after so many evaluations without a better dev score."""
    device: Device = "cpu"
    """On ``cuda`` matrices are multiplied in bfloat16."""

    def __post_init__(self) -> None:
        within(self.learning_rate, "learning_rate", above=0)
        within(self.batch_size, "batch_size", least=2)
        within(self.weight_decay, "weight_decay", least=0)
        within(self.warmup_ratio, "warmup_ratio", least=0, most=1)
        for name in ("epochs", "mini_batch_size", "evaluations_per_epoch", "patience"):
            within(getattr(self, name), name, least=1)
        for name in ("negatives", "freeze_layers", "lora_rank", "threads"):
            within(getattr(self, name), name, least=0)
        within(self.max_tokens, "max_tokens", least=8)
        within(self.lora_alpha, "lora_alpha", above=0)
        within(self.dropout or 0.0, "dropout", least=0, most=0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderTraining(Training):
    """Of an encoder whose pooled vectors are compared by cosine."""

    loss: Literal["mnrl", "cached-mnrl"] = "mnrl"
    """Multiple negatives ranking (InfoNCE); cached: by small batches (Gao et al. 2021), slower and with less memory."""
    temperature: float = 0.05
    matryoshka: tuple[int, ...] = ()
    """Dimensions that a vector may be cut to (Kusupati et al. 2022); its full one is always among them."""
    late_interaction_weight: float = 0.0
    """Of a MaxSim term over the token vectors of the same encoder, beside the loss over pooled ones, which has 1."""
    late_interaction_temperature: float = 0.02

    def __post_init__(self) -> None:
        Training.__post_init__(self)  # zero-argument super() does not work in a class with slots
        within(self.temperature, "temperature", above=0)
        within(self.late_interaction_weight, "late_interaction_weight", least=0)
        within(self.late_interaction_temperature, "late_interaction_temperature", above=0)
        for dim in self.matryoshka:
            within(dim, "matryoshka", least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class LateInteractionTraining(Training):
    """Of an encoder whose token vectors are compared by MaxSim, averaged over the query's tokens."""

    loss: Literal["mnrl", "cached-mnrl", "distill", "margin-mse"] = "mnrl"
    """``distill`` learns a teacher's distribution over the candidates (KL divergence), ``margin-mse`` its margins."""
    temperature: float = 0.02
    """Lower than for pooled vectors: means over many tokens lie closer together."""
    teacher_temperature: float = 1.0
    """The teacher's scores are divided by it before their softmax. For ``margin-mse`` its margins are."""

    def __post_init__(self) -> None:
        Training.__post_init__(self)
        within(self.temperature, "temperature", above=0)
        within(self.teacher_temperature, "teacher_temperature", above=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossEncoderTraining(Training):
    """Of an encoder that reads query and passage together and gives one logit."""

    learning_rate: float = 5e-5
    batch_size: int = 8
    negatives: int = 4
    max_tokens: int = 256
    loss: Literal["listnet", "lambda", "mnrl", "bce"] = "listnet"
    """Over the positive and the hard negatives of a query; ``mnrl`` draws passages of other queries besides."""

    def __post_init__(self) -> None:
        Training.__post_init__(self)
        within(self.negatives, "negatives", least=1)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A line of a training's history."""

    step: int
    loss: float | None
    """Mean since the line before; None before the first step."""
    dev: float | None


@dataclass(frozen=True, slots=True)
class TrainingOutcome:
    """What a training gave. Its figures are of the process that ended it; one that resumed says what it did itself."""

    folder: Path
    steps: int
    """Of all that were planned: fewer where it stopped early."""
    planned_steps: int
    resumed_at: int
    """Step of the checkpoint it went on from; 0: it began anew."""
    seconds: float
    """Of this process, evaluations and saving included."""
    steps_per_s: float | None
    """Of training alone, without evaluations and checkpoints; None where no step was left to do."""
    peak_memory_mb: float
    """Of the process on the CPU, of the card on ``cuda``."""
    dev: float | None
    """Of the weights that were saved."""
    dev_before: float | None
    """Of the base model, by the same callback."""
    best_step: int
    """Of the weights that were saved. 0: no evaluation was better than the base, whose weights they are."""
    history: tuple[Evaluation, ...]
    stopped_early: bool
    retried_with_caching: bool
    """Whether memory ran out, and training began anew with gradients cached by small batches."""
    left_out: int
    """Turns (one example in one epoch) that found no batch free of the same query or passage."""


def within(
    value: float, name: str, *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf
) -> None:
    """Raises SettingsError unless ``above`` < ``value``, ``least`` <= ``value`` <= ``most``."""
    if not (value > above and least <= value <= most and math.isfinite(value)):
        bounds = [
            f"{word} {bound:g}"
            for word, bound in (("above", above), ("at least", least), ("at most", most))
            if math.isfinite(bound)
        ]
        raise SettingsError(f"{name} = {value:g} cannot be trained with", hint=f"{name} is {' and '.join(bounds)}")
