"""The trainers of sentence-transformers with checkpoints of our own. Imports torch: to be imported inside functions.

What is changed: a checkpoint holds what is trained and nothing else, is on disk before it counts, and two are kept,
the best and the last; a loss that is no number ends training; no model card is made, nothing is reported to anyone.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.cross_encoder.trainer import CrossEncoderTrainer
from sentence_transformers.multi_vector_encoder.trainer import MultiVectorEncoderTrainer
from sentence_transformers.sentence_transformer.trainer import SentenceTransformerTrainer
from transformers import TrainerCallback

from freehold.core.errors import UsageError
from freehold.core.faults import step
from freehold.core.files import sync_tree, write_durably
from freehold.train.batches import Batches
from freehold.train.collate import row_of
from freehold.train.folders import check_kept, discard
from freehold.train.settings import Evaluation, Progress, Report, Training

DONE = "complete.json"
"""Stands in a checkpoint that is whole, and says whether training ended there."""

_WEIGHTS = "trained.safetensors"


@dataclass(slots=True)
class Watch:
    """What a training tells of itself while it runs."""

    evaluations: frozenset[int]
    """Steps after which the model is evaluated, and a checkpoint written."""
    patience: int
    progress: Progress
    report: Report
    dev: Callable[[Any], float] | None
    """Score of the model at hand."""
    ended: bool = False
    seconds: float = 0.0
    """Spent in steps."""
    steps: int = 0
    _began: float = field(default=0.0)

    def tick(self) -> None:
        """A step begins."""
        self._began = time.perf_counter()

    def tock(self) -> None:
        """It ends."""
        self.seconds += time.perf_counter() - self._began
        self.steps += 1


class PlannedBatches(DefaultBatchSampler):  # type: ignore[misc]
    """The batches of the plan, whatever the trainer's own generator says."""

    def __init__(self, dataset: Any, plan: Batches, examples: int, **how: Any) -> None:
        super().__init__(dataset, **how)
        self._plan, self._examples = plan, examples

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self._plan.epochs[self.epoch]:
            yield [row_of(turn, self.epoch, self._examples) for turn in batch]

    def __len__(self) -> int:
        return self._plan.per_epoch


class DevScore(BaseEvaluator):  # type: ignore[misc]
    """The caller's measure on its dev part."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def __call__(self, model: Any, *, steps: int = -1, **_: Any) -> dict[str, float]:
        """The score as ``dev``. Raises UsageError where it is no number."""
        assert self._watch.dev is not None
        self._watch.progress("evaluating", 0, 1)
        score = self._watch.dev(model)
        self._watch.progress("evaluating", 1, 1)
        if not math.isfinite(score):
            raise UsageError(f"the dev score is no number after step {steps}", hint=_CALMER)
        if self._watch.report(steps, score):
            self._watch.ended = True
        return {"dev": score}


class Steps(TrainerCallback):  # type: ignore[misc]
    """Times steps, says when to evaluate, and tells of progress."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        """Starts the clock."""
        self._watch.tick()

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stops it."""
        self._watch.tock()
        self._watch.progress("training", state.global_step, state.max_steps)
        if state.global_step in self._watch.evaluations:
            control.should_log = control.should_save = True
            control.should_evaluate = self._watch.dev is not None

    def on_save(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
        """Ends training where the checkpoint said so."""
        control.should_training_stop = control.should_training_stop or self._watch.ended


class _Kept:
    """What all three trainers do in our way."""

    watch: Watch
    args: Any
    model: Any
    state: Any

    def add_model_card_callback(self, default_args_dict: Any) -> None:
        """None is made: it would ask the hub about licences and languages."""

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As the trainer's. Raises UsageError for a loss that is no number."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)  # type: ignore[misc]
        if not torch.isfinite(loss):
            raise UsageError(f"the loss is no number at step {self.state.global_step + 1}", hint=_CALMER)
        return loss

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """As the trainer's; what is drawn on its way is not missing from training."""
        with torch.random.fork_rng(devices=[]):
            return super().evaluate(*args, **kwargs)  # type: ignore[misc, no-any-return]

    def _save(self, output_dir: str | None = None, **_: Any) -> None:
        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(trained(self.model), folder / _WEIGHTS)

    def _load_from_checkpoint(self, checkpoint: str, *_: Any) -> None:
        restore(self.model, Path(checkpoint))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        watch, root, number = self.watch, Path(self.args.output_dir), self.state.global_step
        check_kept(root)
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        check_kept(root)
        step("train.checkpoint")
        since = [line for line in evaluations(self.state) if line.step > (self.state.best_global_step or 0)]
        watch.ended = watch.ended or (watch.dev is not None and len(since) >= watch.patience)
        here = root / f"checkpoint-{number}"
        sync_tree(here)
        ended = {"ended": watch.ended or number >= self.state.max_steps}
        write_durably(here / DONE, json.dumps(ended).encode())
        for other in checkpoints(root):
            if other not in {number, self.state.best_global_step}:
                discard(root / f"checkpoint-{other}")
        step("train.checkpointed")


class EmbedderTrainer(_Kept, SentenceTransformerTrainer):  # type: ignore[misc]
    """Of encoders whose pooled vectors count."""


class TokenTrainer(_Kept, MultiVectorEncoderTrainer):  # type: ignore[misc]
    """Of encoders whose token vectors count."""


class PairTrainer(_Kept, CrossEncoderTrainer):  # type: ignore[misc]
    """Of cross-encoders."""


def arguments(settings: Training, folder: Path, steps: int, *, accumulate: int) -> dict[str, Any]:
    """Of the trainer: ``steps`` in all, of ``accumulate`` batches each, evaluated and saved by ``Steps`` alone."""
    return {
        "output_dir": str(folder),
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": accumulate,
        "learning_rate": settings.learning_rate,
        "warmup_steps": math.ceil(settings.warmup_ratio * steps),
        "weight_decay": settings.weight_decay,
        "lr_scheduler_type": "linear",
        "optim": "adamw_torch_fused",
        "max_grad_norm": 1.0,
        "seed": settings.seed,
        "bf16": settings.device == "cuda",
        "use_cpu": settings.device == "cpu",
        "eval_strategy": "no",
        "logging_strategy": "no",
        "save_strategy": "steps",
        "save_steps": steps + 1,
        "save_total_limit": None,
        "metric_for_best_model": "dev",
        "greater_is_better": True,
        "load_best_model_at_end": False,
        "dataloader_pin_memory": settings.device == "cuda",
        "disable_tqdm": True,
        "report_to": "none",
        "push_to_hub": False,
    }


def trained(model: Any) -> dict[str, torch.Tensor]:
    """What training changes, by name."""
    return {
        name: weight.detach().to("cpu").contiguous()
        for name, weight in model.named_parameters()
        if weight.requires_grad
    }


def restore(model: Any, checkpoint: Path) -> None:
    """The weights of a checkpoint into the model."""
    weights = load_file(checkpoint / _WEIGHTS)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.requires_grad:
                weight.copy_(weights[name])


def checkpoints(root: Path) -> list[int]:
    """Steps of the whole ones, the first first. What a killed process left half is removed."""
    found = []
    for folder in root.glob("checkpoint-*"):
        if (folder / DONE).is_file():
            found.append(int(folder.name.rpartition("-")[2]))
        else:
            discard(folder)
    return sorted(found)


def evaluations(state: Any) -> list[Evaluation]:
    """Lines of the history, of a trainer's state or a saved one."""
    log = state["log_history"] if isinstance(state, Mapping) else state.log_history
    losses = {line["step"]: line["loss"] for line in log if "loss" in line}
    scores = {line["step"]: line["eval_dev"] for line in log if "eval_dev" in line}
    return [Evaluation(number, losses.get(number), scores.get(number)) for number in sorted(losses | scores)]


_CALMER = "lower learning_rate, or raise temperature; the base model may also hold weights that are no numbers"
