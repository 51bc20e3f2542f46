"""Fine-tuning an encoder whose pooled vectors are compared by cosine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freehold.core.training import ExampleTexts
from freehold.train.loop import Made, Recipe, run
from freehold.train.settings import EmbedderTraining, Encode, Facts, Progress, Report, TrainingOutcome

if TYPE_CHECKING:
    from freehold.train.batches import Batches


def train_embedder(
    base: Path,
    examples: Sequence[ExampleTexts],
    settings: EmbedderTraining,
    *,
    facts: Facts,
    dev: Callable[[Encode], float] | None,
    out: Path,
    checkpoints: Path,
    progress: Progress,
    report: Report | None = None,
) -> TrainingOutcome:
    """Train the encoder in folder ``base`` to find what answers a query among the passages of its batch.

    ``facts`` say how texts reach it at serving, and so in training. ``dev`` scores the model at hand, higher is
    better; the weights of the best evaluation are saved at ``out``, of which the base's own is the first, and without
    ``dev`` the last ones. ``out`` is a folder as ``base``, with the same prefixes, pooling and limit. The rest is as
    freehold.train.loop.run has it.
    """

    def make(batches: Batches, tight: bool) -> Made:
        from freehold.train.collate import Contrastive, Turns
        from freehold.train.feed import Feed
        from freehold.train.infer import encoding
        from freehold.train.losses import embedding_loss
        from freehold.train.trainer import EmbedderTrainer

        feed = Feed(base, facts)
        model = pooled_model(base, settings, facts.pooling)
        return Made(
            trainer=EmbedderTrainer,
            model=model,
            loss=embedding_loss(model, settings, tight=tight),
            collate=Contrastive(Turns(examples, batches), feed, settings.max_tokens),
            dev=None if dev is None else lambda model: dev(encoding(model, feed)),
        )

    identity = {"kind": "embedder", "facts": facts_of(facts)}
    recipe = Recipe(settings, base, identity, make, lambda model, folder: save_encoder(model, base, facts, folder))
    return run(recipe, examples, out=out, checkpoints=checkpoints, progress=progress, report=report)


def pooled_model(base: Path, settings: EmbedderTraining, pooling: str) -> Any:
    """Encoder, pooling, unit norm, as a model of sentence-transformers."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling

    from freehold.train.encoder import Encoder, load

    model, frozen = load(base, settings)
    mode = {"mean": "mean", "cls": "cls", "last": "lasttoken"}[pooling]
    modules = [Encoder(model, frozen), Pooling(model.config.hidden_size, pooling_mode=mode), Normalize()]
    return SentenceTransformer(modules=modules, device=settings.device)


def save_encoder(model: Any, base: Path, facts: Facts, folder: Path) -> None:
    """The encoder's folder, low-rank matrices merged into its weights."""
    from freehold.train.encoder import save_weights
    from freehold.train.folders import write_encoder

    write_encoder(folder, base, facts)
    save_weights(model[0].model, base, folder)


def facts_of(facts: Facts) -> dict[str, object]:
    """What of the facts decides the weights and the folder."""
    names = ("pooling", "query_prefix", "document_prefix", "max_tokens")
    return {name: getattr(facts, name) for name in names}
