"""One training from its first step or its last checkpoint to a folder of weights, whatever is trained.

The loop itself is the trainer's of sentence-transformers. Here is what surrounds it: settled threads and random
numbers, silence, going on from a checkpoint, a second try with less memory, errors that say what to do.
"""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import random
import re
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from freehold.core.errors import FreeholdError, HouseFault, ModelNotFound, SettingsError, UsageError
from freehold.core.files import write_durably
from freehold.core.ids import canonical_json, sha256_hex
from freehold.core.training import ExampleTexts
from freehold.train.batches import Batches, plan
from freehold.train.folders import RECORD, check_kept, discard, is_storage_error, storage_fault, write_folder
from freehold.train.settings import Evaluation, Progress, Report, Training, TrainingOutcome

FEWEST_EXAMPLES = 16
"""Fewer leave a batch without negatives worth the name."""

_NO_MEMORY = re.compile(
    r"(out of|not enough) memory|can(no|')t allocate memory|could not create a (memory|primitive)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Made:
    """What is trained, and by what."""

    trainer: Any
    """Class of it."""
    model: Any
    loss: Any
    collate: Any
    dev: Callable[[Any], float] | None
    """Score of the model."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one kind of training does in its own way."""

    settings: Training
    base: Path
    identity: Mapping[str, object]
    """What decides the weights besides settings, base and examples."""
    make: Callable[[Batches, bool], Made]
    """From the plan of the batches. The second says whether memory ran out before: to be made so that it takes less."""
    save: Callable[[Any, Path], None]
    """The model's files into a new folder."""
    accumulate: int = 1
    """Batches to a step after memory ran out. 1: it is the loss that takes less then."""
    baseline: bool = True
    """Whether the base can be scored before training."""


def run(
    recipe: Recipe,
    examples: Sequence[ExampleTexts],
    *,
    out: Path,
    checkpoints: Path,
    progress: Progress,
    report: Report | None = None,
) -> TrainingOutcome:
    """Train, and put the best weights' folder at ``out``, which is not there yet. The checkpoints are gone then.

    Whatever breaks off leaves the checkpoints, and the same call again goes on from the last one; with anything else
    in it, it begins anew. On a CPU equal calls give equal bytes on one machine, also where one of them broke off.

    Raises SettingsError without sentence-transformers, ModelNotFound and ModelMismatch for the base, UsageError for too
    few examples and for a loss that is no number, HouseFault where memory does not suffice, HouseBusy where somebody
    else removed the checkpoints meanwhile, StorageFault when the disk fails; ``out`` is absent then, and but for the
    last so are the checkpoints. Neither folder is made in a folder that is not there.
    """
    settings = recipe.settings
    _check(examples, settings, out)
    began = time.perf_counter()
    identity = _identity(recipe, examples)
    with _calm(), _settled(settings):
        try:
            record = _opened(checkpoints, identity)
            trained = _attempt(recipe, examples, checkpoints, record, progress, report)
            if trained is None:
                _release()
                discard(checkpoints)
                record = _opened(checkpoints, identity, short_of_memory=True)
                trained = _attempt(recipe, examples, checkpoints, record, progress, report)
            if trained is None:
                discard(checkpoints)
                raise HouseFault(
                    "training needs more memory than there is, also with gradients cached by small batches",
                    hint="lower max_tokens, negatives or batch_size, or set lora_rank or freeze_layers",
                )
            progress("saving", 0, 1)
            check_kept(checkpoints)
            write_folder(out, lambda folder: recipe.save(trained.model, folder))
            if not (checkpoints / RECORD).exists():
                discard(out)
            check_kept(checkpoints)
            progress("saving", 1, 1)
            discard(checkpoints)
        except (UsageError, SettingsError):  # would come again: there is nothing to go on with
            discard(checkpoints)
            raise
        except FreeholdError:
            raise
        except Exception as error:
            check_kept(checkpoints)
            if is_storage_error(error):
                raise storage_fault(error, checkpoints) from error
            raise
    return trained.outcome(out, record, time.perf_counter() - began, settings)


@dataclass(frozen=True, slots=True)
class _Trained:
    model: Any
    state: Mapping[str, Any]
    best: int
    resumed_at: int
    step_seconds: float
    steps_here: int
    left_out: int
    history: Sequence[Evaluation]

    def outcome(self, folder: Path, record: Mapping[str, Any], seconds: float, settings: Training) -> TrainingOutcome:
        steps, planned = self.state["global_step"], self.state["max_steps"]
        before = record["dev_before"]
        first = [] if before is None else [Evaluation(0, None, before)]
        return TrainingOutcome(
            folder=folder,
            steps=steps,
            planned_steps=planned,
            resumed_at=self.resumed_at,
            seconds=seconds,
            steps_per_s=self.steps_here / self.step_seconds if self.steps_here else None,
            peak_memory_mb=_peak_memory_mb(settings),
            dev=next((line.dev for line in (*first, *self.history) if line.step == self.best), None),
            dev_before=before,
            best_step=self.best,
            history=(*first, *self.history),
            stopped_early=steps < planned,
            retried_with_caching=record["short_of_memory"],
            left_out=self.left_out,
        )


def _attempt(
    recipe: Recipe,
    examples: Sequence[ExampleTexts],
    root: Path,
    record: dict[str, Any],
    progress: Progress,
    report: Report | None,
) -> _Trained | None:
    """None where memory ran out. Nothing of the try is referred to any more then, its memory can be had again."""
    try:
        return _train(recipe, examples, root, record, progress, report or (lambda _step, _score: False))
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
            return None
        raise


def _train(
    recipe: Recipe,
    examples: Sequence[ExampleTexts],
    root: Path,
    record: dict[str, Any],
    progress: Progress,
    report: Report,
) -> _Trained:
    from freehold.train.trainer import Watch, checkpoints, evaluations

    settings, tight = recipe.settings, bool(record["short_of_memory"])
    accumulate = recipe.accumulate if tight else 1
    progress("preparing", 0, 1)
    batches = plan(
        examples,
        batch_size=max(2, settings.batch_size // accumulate),
        epochs=settings.epochs,
        negatives=settings.negatives,
        seed=settings.seed,
    )
    made = _made(recipe, batches, tight)
    if made.dev is not None and recipe.baseline and record["dev_before"] is None:
        record["dev_before"] = float(made.dev(made.model))
        check_kept(root)
        _write_record(root, record)
    progress("preparing", 1, 1)
    per_epoch = -(-batches.per_epoch // accumulate)
    watch = Watch(_evaluated(per_epoch, settings), settings.patience, progress, report, made.dev)
    trainer = _trainer(settings, made, watch, batches, len(examples), root, accumulate)
    last = max(checkpoints(root), default=0)
    if not (last and _ended(root, last)):
        trainer.train(resume_from_checkpoint=str(_checkpoint(root, last)) if last else None)
    state = json.loads((_checkpoint(root, checkpoints(root)[-1]) / "trainer_state.json").read_text(encoding="utf-8"))
    model, best = _best(recipe, made, batches, root, record, state)
    return _Trained(model, state, best, last, watch.seconds, watch.steps, batches.left_out, evaluations(state))


def _made(recipe: Recipe, batches: Batches, tight: bool) -> Made:
    from transformers import set_seed

    set_seed(recipe.settings.seed)  # what is new in a model begins with random numbers
    return recipe.make(batches, tight)


def _trainer(
    settings: Training, made: Made, watch: Any, batches: Batches, examples: int, root: Path, accumulate: int
) -> Any:
    from datasets import Dataset
    from transformers import PrinterCallback

    from freehold.train import trainer as ours

    steps = -(-batches.per_epoch // accumulate) * settings.epochs
    arguments = made.trainer.training_args_class(
        **ours.arguments(settings, root, steps, accumulate=accumulate),
        batch_sampler=lambda data, **how: ours.PlannedBatches(data, batches, examples, **how),
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # torch's DataParallel would divide the batch, and with it the in-batch negatives
    trainer = made.trainer(
        model=made.model,
        args=arguments,
        train_dataset=Dataset.from_dict({"row": list(range(examples * settings.epochs))}),
        loss=made.loss,
        evaluator=None if made.dev is None else ours.DevScore(watch),
        data_collator=made.collate,
        callbacks=[ours.Steps(watch)],
    )
    trainer.watch = watch
    trainer.remove_callback(PrinterCallback)
    return trainer


def _best(
    recipe: Recipe, made: Made, batches: Batches, root: Path, record: Mapping[str, Any], state: Mapping[str, Any]
) -> tuple[Any, int]:
    """The model with the weights of its best evaluation, or as it began, and the step that they are of."""
    import torch

    from freehold.train.trainer import restore

    model, best, before = made.model, state["best_global_step"] or state["global_step"], record["dev_before"]
    if before is not None and before >= state["best_metric"]:
        model, best = _made(recipe, batches, tight=False).model, 0
    else:
        restore(model, _checkpoint(root, best))
    if not all(bool(torch.isfinite(weight).all()) for weight in model.parameters()):
        raise UsageError("weights are no numbers any more", hint="lower learning_rate, or raise temperature")
    return model.to("cpu").eval(), best


def _checkpoint(root: Path, number: int) -> Path:
    return root / f"checkpoint-{number}"


def _ended(root: Path, number: int) -> bool:
    from freehold.train.trainer import DONE

    return bool(json.loads((_checkpoint(root, number) / DONE).read_text(encoding="utf-8"))["ended"])


def _evaluated(per_epoch: int, settings: Training) -> frozenset[int]:
    """Steps, counted from 1, spread evenly over each epoch; its last is among them."""
    times = min(settings.evaluations_per_epoch, per_epoch)
    within = [round(per_epoch * (i + 1) / times) for i in range(times)]
    return frozenset(epoch * per_epoch + number for epoch in range(settings.epochs) for number in within)


def _check(examples: Sequence[ExampleTexts], settings: Training, out: Path) -> None:
    if len(examples) < FEWEST_EXAMPLES:
        raise UsageError(
            f"{len(examples)} examples are too few to train on",
            hint=f"at least {FEWEST_EXAMPLES} are needed, and some hundred before it is likely to help",
        )
    if len({example.id for example in examples}) < len(examples):
        raise UsageError("two examples have the same id", hint="give each an id of its own")
    bare = [example.id for example in examples if not example.positives]
    if bare:
        raise UsageError("examples without a passage that answers them", hint="leave them out", refs=tuple(bare[:20]))
    if out.exists():
        raise UsageError(f"{out} is there already", hint="name a folder that is not there yet", refs=(str(out),))
    try:
        import peft  # noqa: F401
        import sentence_transformers.multi_vector_encoder  # noqa: F401
    except ImportError as error:
        hint = "pip install 'freehold[train]'"
        raise SettingsError("sentence-transformers 6 or newer, with peft, is not installed", hint=hint) from error
    import torch

    if settings.device == "cuda" and not torch.cuda.is_available():
        raise SettingsError(
            'torch finds no GPU for device = "cuda"', hint='set device to "cpu", or install a CUDA torch'
        )


# -- what a call is, and whether checkpoints are of it ----------------------------------------------------------------


def _identity(recipe: Recipe, examples: Sequence[ExampleTexts]) -> str:
    import sentence_transformers
    import torch
    import transformers

    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (recipe.base / name).is_file():
            raise ModelNotFound(
                f"no {name} at {recipe.base}", hint="a model folder holds its weights and its tokenizer"
            )
    with (recipe.base / "model.safetensors").open("rb") as weights:
        base = file_digest(weights, "sha256").hexdigest()
    told = {
        "settings": asdict(recipe.settings),
        "base": base,
        "tokenizer": sha256_hex((recipe.base / "tokenizer.json").read_bytes()),
        "recipe": dict(recipe.identity),
        "examples": sorted([e.id, e.query, [*e.positives], [*e.negatives]] for e in examples),
        "versions": [module.__version__ for module in (torch, transformers, sentence_transformers)],
    }
    return sha256_hex(canonical_json(told).encode())


def _opened(root: Path, identity: str, *, short_of_memory: bool = False) -> dict[str, Any]:
    """The record of the training that the checkpoints are of; those of any other one are removed."""
    try:
        record = dict(json.loads((root / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        record = {}
    if record.get("identity") != identity:
        discard(root)
        record = {"identity": identity, "short_of_memory": short_of_memory, "dev_before": None}
        _write_record(root, record)
    return record


def _write_record(root: Path, record: Mapping[str, Any]) -> None:
    root.mkdir(exist_ok=True)
    write_durably(root / RECORD, json.dumps(record).encode())


# -- surroundings -----------------------------------------------------------------------------------------------------


@contextmanager
def _settled(settings: Training) -> Iterator[None]:
    """Threads and random numbers that depend on the settings alone, and after that as they were."""
    import numpy as np
    import torch

    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    torch.set_num_threads(settings.threads or threads)
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing reads it, and filling takes time
    torch.use_deterministic_algorithms(settings.device == "cpu")
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        torch.utils.deterministic.fill_uninitialized_memory = fill
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@contextmanager
def _calm() -> Iterator[None]:
    """Nothing on the terminal but what is told through ``progress``."""
    from transformers.utils import logging as chatty

    names = ("sentence_transformers", "accelerate", "datasets", "torch", "peft")
    levels = {name: logging.getLogger(name).level for name in names}
    verbosity, bars = chatty.get_verbosity(), chatty.is_progress_bar_enabled()
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    chatty.set_verbosity_error()
    chatty.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        chatty.set_verbosity(verbosity)
        if bars:
            chatty.enable_progress_bar()


def _release() -> None:
    """Give back what a try that ran out of memory held."""
    import torch

    gc.collect()
    with suppress(OSError, AttributeError):  # glibc keeps what was freed, for requests of the sizes that just failed
        ctypes.CDLL(None).malloc_trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _peak_memory_mb(settings: Training) -> float:
    if settings.device == "cuda":
        import torch

        return float(torch.cuda.max_memory_allocated()) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024  # getrusage counts in bytes there, in KiB on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
