"""Fine-tuning encoders for the second stage: token vectors for late interaction, and cross-encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freehold.core.errors import UsageError
from freehold.core.training import ExampleTexts
from freehold.train.embedder import facts_of, save_encoder
from freehold.train.loop import Made, Recipe, run
from freehold.train.settings import (
    CrossEncoderTraining,
    EncodeTokens,
    Facts,
    LateInteractionTraining,
    Progress,
    Report,
    ScorePairs,
    TrainingOutcome,
)

if TYPE_CHECKING:
    from freehold.train.batches import Batches

Teacher = Mapping[str, Sequence[float]]
"""Example id -> scores of its best known positive and of its negatives, in their order; any scale, higher is better."""


def train_late_interaction(
    base: Path,
    examples: Sequence[ExampleTexts],
    settings: LateInteractionTraining,
    *,
    facts: Facts,
    dev: Callable[[EncodeTokens], float] | None,
    out: Path,
    checkpoints: Path,
    progress: Progress,
    report: Report | None = None,
    teacher: Teacher | None = None,
) -> TrainingOutcome:
    """Train the encoder in folder ``base`` so that MaxSim over its token vectors ranks what answers a query first.

    All of its dimensions count, there is no further projection, no token is added to a query and none is skipped:
    a score is the mean over the query's own tokens of the best cosine among the passage's own tokens, as the serving
    codec has it. ``teacher`` is what ``distill`` and ``margin-mse`` learn from. ``out`` is an encoder's folder; its
    pooled vectors are not trained. The rest is as in ``train_embedder``.
    """
    distilling = settings.loss in {"distill", "margin-mse"}
    if distilling:
        teacher = _checked(teacher, examples, settings)

    def make(batches: Batches, tight: bool) -> Made:
        from freehold.train.collate import Contrastive, Distilled, Turns
        from freehold.train.feed import Feed
        from freehold.train.infer import encoding_tokens
        from freehold.train.losses import late_interaction_loss
        from freehold.train.trainer import TokenTrainer

        feed = Feed(base, facts)
        model = _token_model(base, settings)
        turns = Turns(examples, batches)
        collate: Any = Contrastive(turns, feed, settings.max_tokens)
        if distilling and teacher is not None:
            scale = 1 / settings.teacher_temperature if settings.loss == "margin-mse" else 1.0
            collate = Distilled(
                turns, feed, settings.max_tokens, teacher=teacher, negatives=settings.negatives, scale=scale
            )
        return Made(
            trainer=TokenTrainer,
            model=model,
            loss=late_interaction_loss(model, settings, tight=tight),
            collate=collate,
            dev=None if dev is None else lambda model: dev(encoding_tokens(model, feed)),
        )

    told = {id: [float(s) for s in scores] for id, scores in (teacher or {}).items()} if distilling else {}
    identity = {"kind": "late-interaction", "facts": facts_of(facts), "teacher": told}
    recipe = Recipe(
        settings,
        base,
        identity,
        make,
        lambda model, folder: save_encoder(model, base, facts, folder),
        accumulate=_SMALLER if distilling else 1,
    )
    return run(recipe, examples, out=out, checkpoints=checkpoints, progress=progress, report=report)


def train_cross_encoder(
    base: Path,
    examples: Sequence[ExampleTexts],
    settings: CrossEncoderTraining,
    *,
    max_tokens: int,
    dev: Callable[[ScorePairs], float] | None,
    out: Path,
    checkpoints: Path,
    progress: Progress,
    report: Report | None = None,
) -> TrainingOutcome:
    """Train the encoder in folder ``base``, with a head of one logit, to score query and passage read together.

    ``max_tokens`` is the limit of a pair at serving; the passage is cut, and a query longer than half of it.
    ``out`` holds config.json, model.safetensors, tokenizer.json and cross_encoder.json with that limit. There is no
    score of the base: its head is new. The rest is as in ``train_embedder``.

    Raises UsageError for examples without negatives: there is nothing to tell their positive from.
    """
    bare = [example.id for example in examples if not set(example.negatives) - set(example.positives)]
    if bare:
        raise UsageError("examples without negatives", hint="mine negatives, or leave them out", refs=tuple(bare[:20]))

    def make(batches: Batches, _tight: bool) -> Made:
        from sentence_transformers import CrossEncoder

        from freehold.train.collate import Pairs, Turns
        from freehold.train.encoder import PairEncoder, load
        from freehold.train.feed import PairFeed
        from freehold.train.infer import scoring
        from freehold.train.losses import pair_loss
        from freehold.train.trainer import PairTrainer

        transformer, frozen = load(base, settings, head=True)
        feed = PairFeed(base, max_tokens)
        encoder = PairEncoder(transformer, frozen, feed, settings.max_tokens)
        model = CrossEncoder(modules=[encoder], device=settings.device, num_labels=1)
        return Made(
            trainer=PairTrainer,
            model=model,
            loss=pair_loss(model, settings),
            collate=Pairs(Turns(examples, batches), settings.loss),
            dev=None if dev is None else lambda model: dev(scoring(model, feed)),
        )

    identity = {"kind": "cross-encoder", "max_tokens": max_tokens}
    recipe = Recipe(
        settings,
        base,
        identity,
        make,
        lambda model, folder: _save_pairs(model, base, max_tokens, folder),
        accumulate=_SMALLER,
        baseline=False,
    )
    return run(recipe, examples, out=out, checkpoints=checkpoints, progress=progress, report=report)


_SMALLER = 4
"""Times that a batch is divided by when memory ran out and its loss needs no other query's passages."""


def _token_model(base: Path, settings: LateInteractionTraining) -> Any:
    from sentence_transformers import MultiVectorEncoder

    from freehold.train.encoder import Encoder, TokenVectors, load

    model, frozen = load(base, settings)
    return MultiVectorEncoder(modules=[Encoder(model, frozen), TokenVectors()], device=settings.device)


def _checked(teacher: Teacher | None, examples: Sequence[ExampleTexts], settings: LateInteractionTraining) -> Teacher:
    """Raises UsageError where the teacher says nothing of an example that is to be trained on."""
    if settings.negatives < 1:
        raise UsageError(f"{settings.loss} needs negatives", hint="set negatives to 1 or more")
    known = teacher or {}
    bad = [e.id for e in examples if not e.negatives or len(known.get(e.id, ())) != 1 + len(e.negatives)]
    if bad:
        raise UsageError(
            f"{len(bad)} examples have no negatives, or not one teacher's score for each passage",
            hint="score the best positive and all negatives of each, or train with loss mnrl",
            refs=tuple(bad[:20]),
        )
    return known


def _save_pairs(model: Any, base: Path, max_tokens: int, folder: Path) -> None:
    from freehold.train.encoder import save_pair_weights
    from freehold.train.feed import PairFeed
    from freehold.train.folders import write_pair_encoder

    architecture = save_pair_weights(model[0].model, folder)
    write_pair_encoder(folder, base, architecture, max_tokens=max_tokens, typed=PairFeed(base, max_tokens).typed)
