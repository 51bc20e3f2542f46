"""The losses of sentence-transformers as the trainings take them, and one that joins two of them over a single pass.

Imports torch: to be imported inside functions.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import torch
from sentence_transformers.base.losses import CachedLossMixin, RandContext
from sentence_transformers.cross_encoder import losses as pairwise
from sentence_transformers.multi_vector_encoder import losses as multi
from sentence_transformers.multi_vector_encoder.scoring import (
    mean_colbert_kd_scores,
    mean_colbert_scores,
    mean_colbert_scores_pairwise,
)
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
)
from torch import Tensor, nn

from freehold.train.settings import CrossEncoderTraining, EmbedderTraining, LateInteractionTraining, Training

_ALL = -1  # pairs at once: the encoder divides them itself, by length


def embedding_loss(model: Any, settings: EmbedderTraining, *, tight: bool) -> nn.Module:
    """Over pooled vectors, and over token vectors where they have a weight. ``tight``: to take less memory."""
    cached, rows = settings.loss == "cached-mnrl" or tight, _rows(settings, tight)
    dims = sorted({*settings.matryoshka, model.get_embedding_dimension()}, reverse=True) if settings.matryoshka else []
    if settings.late_interaction_weight:
        return Joint(model, settings, dims, rows=rows if cached else 0)
    scale = 1 / settings.temperature
    if cached:
        loss = CachedMultipleNegativesRankingLoss(model, scale=scale, mini_batch_size=rows)
    else:
        loss = MultipleNegativesRankingLoss(model, scale=scale)
    return MatryoshkaLoss(model, loss, dims) if dims else loss


def late_interaction_loss(model: Any, settings: LateInteractionTraining, *, tight: bool) -> nn.Module:
    """Over token vectors, MaxSim averaged over the query's tokens. ``tight``: to take less memory, where it can."""
    scale = 1 / settings.temperature
    if settings.loss == "distill":
        return multi.MultiVectorDistillKLDivLoss(
            model,
            similarity_fct=mean_colbert_kd_scores,
            student_temperature=settings.temperature,
            teacher_temperature=settings.teacher_temperature,
        )
    if settings.loss == "margin-mse":
        return multi.MultiVectorMarginMSELoss(model, similarity_fct=mean_colbert_scores_pairwise)
    if settings.loss == "cached-mnrl" or tight:
        return multi.CachedMultiVectorMultipleNegativesRankingLoss(
            model, scale=scale, similarity_fct=mean_colbert_scores, mini_batch_size=_rows(settings, tight)
        )
    return multi.MultiVectorMultipleNegativesRankingLoss(model, scale=scale, similarity_fct=mean_colbert_scores)


def pair_loss(model: Any, settings: CrossEncoderTraining) -> nn.Module:
    """Over logits of pairs."""
    if settings.loss == "listnet":
        return pairwise.ListNetLoss(model, mini_batch_size=_ALL)
    if settings.loss == "lambda":
        return pairwise.LambdaLoss(model, mini_batch_size=_ALL)
    if settings.loss == "mnrl":
        return pairwise.MultipleNegativesRankingLoss(model, num_negatives=settings.negatives)
    return pairwise.BinaryCrossEntropyLoss(model)


def _rows(settings: Training, tight: bool) -> int:
    """Texts at once where gradients are cached: fewer where that alone did not do."""
    return max(1, settings.mini_batch_size // 4) if tight else settings.mini_batch_size


class Joint(CachedLossMixin, nn.Module):  # type: ignore[misc]
    """Pooled vectors and token vectors of the same pass, each ranked among all documents of the batch.

    The second term is weighted. Both go through gradient caching together, so a text is packed into one tensor
    (1 + tokens, dim): its pooled vector, then its token vectors of unit norm, those that do not count as zeros.
    """

    def __init__(self, model: Any, settings: EmbedderTraining, dims: list[int], *, rows: int) -> None:
        super().__init__()
        self.model = model
        self.mini_batch_size = rows
        self._pooled = MultipleNegativesRankingLoss(None, scale=1 / settings.temperature)
        self._dims = dims or [model.get_embedding_dimension()]
        self._weight, self._scale = settings.late_interaction_weight, 1 / settings.late_interaction_temperature

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor | None = None) -> Tensor:
        """Mean over the queries, gradients cached where there is a size of small batches."""
        if self.mini_batch_size:
            return self.forward_cached(sentence_features, labels)
        return self.calculate_loss([[self._packed(features)] for features in sentence_features])

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """Of packed texts: queries in the first list, documents in the second, each in parts of their own width."""
        queries, documents = (_joined(parts) for parts in reps)
        pooled = [queries[:, 0], documents[:, 0]]
        loss = torch.stack(
            [self._pooled.compute_loss_from_embeddings([v[:, :dim] for v in pooled], labels) for dim in self._dims]
        ).sum()
        scores = mean_colbert_scores(
            queries[:, 1:],
            documents[:, None, 1:],
            queries_mask=_counts(queries),
            documents_mask=_counts(documents)[:, None],
        )
        targets = torch.arange(len(queries), device=scores.device)
        loss = loss + self._weight * nn.functional.cross_entropy(scores * self._scale, targets)
        if with_backward:
            loss.backward()
            loss = loss.detach()
        return loss

    def embed_minibatch(
        self,
        sentence_feature: dict[str, Tensor],
        begin: int,
        end: int,
        with_grad: bool,
        copy_random_state: bool,
        random_state: Any = None,
    ) -> tuple[Tensor, Any]:
        """Texts from ``begin`` to ``end``, packed, and the state that the random numbers of their dropout come from."""
        width = int(sentence_feature["attention_mask"][begin:end].sum(dim=1).max())
        texts = {key: value[begin:end, :width] for key, value in sentence_feature.items()}
        with random_state or nullcontext(), torch.set_grad_enabled(with_grad):
            state = RandContext(*texts.values()) if copy_random_state else None
            return self._packed(texts), state

    def _packed(self, features: dict[str, Tensor]) -> Tensor:
        out = self.model(dict(features))
        tokens = nn.functional.normalize(out["token_embeddings"], dim=-1) * out["own"].unsqueeze(-1)
        return torch.cat([out["sentence_embedding"].unsqueeze(1), tokens], dim=1)


def _joined(parts: list[Tensor]) -> Tensor:
    width = max(part.shape[1] for part in parts)
    return torch.cat([nn.functional.pad(part, (0, 0, 0, width - part.shape[1])) for part in parts])


def _counts(packed: Tensor) -> Tensor:
    return packed[:, 1:].detach().abs().amax(dim=-1) > 0
