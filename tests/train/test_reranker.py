"""Training for the second stage: token vectors are served as they were trained, and so are scores of pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("sentence_transformers")
pytest.importorskip("peft")

from child import FACTS, train
from labelled import harbour, short_harbour

from freehold.core.errors import UsageError
from freehold.models.cross_encoder import open_cross_encoder
from freehold.models.embed import open_embedder
from freehold.models.facts import facts_for
from freehold.models.rerank import LateInteraction
from freehold.models.safetensors import read_tensors
from freehold.train.reranker import train_cross_encoder, train_late_interaction
from freehold.train.settings import (
    CrossEncoderTraining,
    EncodeTokens,
    LateInteractionTraining,
    ScorePairs,
    TrainingOutcome,
)

if TYPE_CHECKING:
    from conftest import Tiny

LATE = LateInteractionTraining(
    dropout=None, threads=1, batch_size=6, epochs=2, max_tokens=40, negatives=2, learning_rate=1e-3
)
PAIRS = CrossEncoderTraining(
    dropout=None, threads=1, batch_size=6, epochs=1, max_tokens=40, negatives=3, learning_rate=1e-3
)
TEXTS = ["rope, sail [SEP] ice", "x" * 20, "who?"]


def late(base: Path, root: Path, settings: LateInteractionTraining = LATE, **changes: Any) -> TrainingOutcome:
    how: dict[str, Any] = {"facts": FACTS, "dev": None, "progress": lambda *_: None} | changes
    examples = how.pop("examples", short_harbour())
    root.mkdir(exist_ok=True)
    return train_late_interaction(base, examples, settings, out=root / "out", checkpoints=root / "checkpoints", **how)


def pairs(base: Path, root: Path, settings: CrossEncoderTraining = PAIRS, **changes: Any) -> TrainingOutcome:
    how: dict[str, Any] = {"max_tokens": 40, "dev": None, "progress": lambda *_: None} | changes
    examples = how.pop("examples", short_harbour())
    root.mkdir(exist_ok=True)
    return train_cross_encoder(base, examples, settings, out=root / "out", checkpoints=root / "checkpoints", **how)


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def once(_step: int, _score: float) -> bool:
    """Ends training after its first evaluation: what that saw is what is saved."""
    return True


def max_sim(queries: Sequence[Any], passages: Sequence[Any]) -> Any:
    return np.array([[(q @ p.T).max(axis=1).mean() for p in passages] for q in queries])


# -- late interaction -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "mpnet"])
def test_token_vectors_are_served_as_they_were_trained(tiny: Tiny, tmp_path: Path, family: str) -> None:
    seen: dict[str, tuple[Any, ...]] = {}

    def dev(encode: EncodeTokens) -> float:
        better = float(len(seen))  # than the base
        seen.update({kind: encode(TEXTS, kind) for kind in ("query", "document")})  # type: ignore[misc]
        return better

    outcome = late(tiny(family), tmp_path, dev=dev, report=once)
    served = open_embedder("onnx", str(outcome.folder), precision="float32", threads=1)
    asked = {"query": served.embed_queries(TEXTS, tokens=True), "document": served.embed_documents(TEXTS, tokens=True)}
    for kind, embeddings in asked.items():
        assert embeddings.tokens is not None
        for mine, theirs in zip(seen[kind], embeddings.tokens, strict=True):
            assert mine.shape == theirs.shape
            assert np.sum(mine * theirs, axis=1).min() > 0.9999


def test_it_learns_to_rank_by_max_sim_and_the_codec_keeps_it(minilm: Path, tmp_path: Path) -> None:
    examples = harbour()
    passages = [e.positives[0] for e in examples]
    facts = facts_for("all-minilm-l6-v2", minilm)

    def right(scores: Any) -> float:
        return float(np.mean(np.argmax(scores, axis=1) == np.arange(len(examples))))

    def dev(encode: EncodeTokens) -> float:
        return right(max_sim(encode([e.query for e in examples], "query"), encode(passages, "document")))

    settings = replace(LATE, batch_size=16, max_tokens=32, negatives=3, learning_rate=1e-4, freeze_layers=3)
    outcome = late(minilm, tmp_path, settings, examples=examples, facts=facts, dev=dev)
    assert outcome.dev is not None
    assert outcome.dev_before is not None
    assert outcome.dev > outcome.dev_before + 0.1
    served = open_embedder("onnx", str(outcome.folder), precision="int8", threads=1)
    codec = LateInteraction(served.info.dim)
    kept = codec.encode(served.embed_documents(passages, tokens=True).tokens or ())
    queries = served.embed_queries([e.query for e in examples], tokens=True).tokens or ()
    assert right(np.array([codec.score(query, kept) for query in queries])) >= outcome.dev - 0.1
    exact = open_embedder("onnx", str(outcome.folder), precision="float32", threads=1)
    for fast, slow in zip(
        queries, exact.embed_queries([e.query for e in examples], tokens=True).tokens or (), strict=True
    ):
        assert np.sum(fast * slow, axis=1).mean() > 0.98


def test_equal_calls_give_equal_bytes(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny()
    one, same, other = (
        weights(late(base, tmp_path / str(i), replace(LATE, seed=seed)).folder) for i, seed in enumerate((3, 3, 4))
    )
    assert one == same
    assert one != other


def test_cached_gradients_are_the_gradients(tiny: Tiny, tmp_path: Path) -> None:
    base, settings = tiny(), replace(LATE, epochs=1, dropout=0.0)
    plain = late(base, tmp_path / "a", settings)
    cached = late(base, tmp_path / "b", replace(settings, loss="cached-mnrl", mini_batch_size=5))
    before, one, other = (read_tensors(at / "model.safetensors") for at in (base, plain.folder, cached.folder))
    for name, value in one.items():
        if not name.endswith("key.bias"):  # attention does not depend on it: its gradient is nothing but rounding
            assert np.abs(value - other[name]).max() <= 0.05 * np.abs(value - before[name]).max() + 2e-5, name


@pytest.mark.parametrize(("loss", "temperature"), [("distill", 0.05), ("margin-mse", 30.0)])
def test_a_student_comes_to_rank_as_its_teacher(tiny: Tiny, tmp_path: Path, loss: Any, temperature: float) -> None:
    """The teacher prefers the last negatives, against the labels: only its scores can have taught it."""
    examples = short_harbour()
    teacher = {e.id: [float(10 * i) for i in range(1 + len(e.negatives))] for e in examples}
    agreed: list[float] = []

    def dev(encode: EncodeTokens) -> float:
        total = 0.0
        for example in examples[:8]:
            texts = [example.positives[0], *example.negatives]
            scores = max_sim(encode([example.query], "query"), encode(texts, "document"))[0]
            total += float(np.corrcoef(scores, np.arange(len(texts)))[0, 1]) / 8
        agreed.append(total)
        return total

    how = replace(
        LATE,
        loss=loss,
        temperature=0.05,
        teacher_temperature=10.0 if loss == "distill" else temperature,
        epochs=8,
        negatives=5,
    )
    outcome = late(tiny(), tmp_path, replace(how, evaluations_per_epoch=1), dev=dev, teacher=teacher)
    assert outcome.dev is not None
    assert outcome.dev > agreed[0] + 0.3


def test_a_teacher_has_to_say_something_of_every_passage(tiny: Tiny, tmp_path: Path) -> None:
    examples = short_harbour()
    known = {e.id: [1.0] * (1 + len(e.negatives)) for e in examples[1:]}
    for teacher in (None, known, {**known, examples[0].id: [1.0]}):
        with pytest.raises(UsageError, match="teacher") as caught:
            late(tiny(name=f"t{id(teacher)}"), tmp_path, replace(LATE, loss="distill"), teacher=teacher)
        assert examples[0].id in caught.value.refs


# -- cross-encoders ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "mpnet"])
@pytest.mark.parametrize("lora", [0, 4])
def test_pairs_are_scored_at_serving_as_in_training(tiny: Tiny, tmp_path: Path, family: str, lora: int) -> None:
    asked = [("rope?", text) for text in TEXTS] + [("y" * 30, "x" * 30), ("y" * 30, "x")]
    seen: list[Any] = []

    def dev(score: ScorePairs) -> float:
        seen.append(score(asked))
        return 1.0

    outcome = pairs(tiny(family), tmp_path, replace(PAIRS, lora_rank=lora), dev=dev, report=once)
    served = open_cross_encoder(outcome.folder, precision="float32", threads=1)
    assert served.max_tokens == 40
    scores = [float(served.scores(query, [text])[0]) for query, text in asked]
    assert np.abs(np.array(scores) - seen[-1]).max() < 2e-3
    assert outcome.dev_before is None


@pytest.mark.parametrize("loss", ["listnet", "lambda", "mnrl", "bce"])
def test_every_loss_teaches_which_passage_answers(tiny: Tiny, tmp_path: Path, loss: Any) -> None:
    examples = short_harbour()

    def dev(score: ScorePairs) -> float:
        told = [(e.query, text) for e in examples for text in (e.positives[0], *e.negatives)]
        scores = score(told).reshape(len(examples), -1)
        return float((scores[:, 0] > scores[:, 1:].T).mean())

    settings = replace(PAIRS, loss=loss, epochs=6, evaluations_per_epoch=1, learning_rate=3e-3, patience=9)
    outcome = pairs(tiny(), tmp_path, settings, dev=dev)
    assert outcome.dev is not None
    assert outcome.dev > 0.7  # by chance 0.5
    losses = [line.loss for line in outcome.history]
    assert losses[-1] is not None
    assert losses[0] is not None
    assert losses[-1] < losses[0]


def test_a_pair_encoder_is_the_same_each_time(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny()
    assert weights(pairs(base, tmp_path / "a").folder) == weights(pairs(base, tmp_path / "b").folder)


def test_a_pair_encoder_needs_negatives(tiny: Tiny, tmp_path: Path) -> None:
    examples = short_harbour()
    examples[3] = replace(examples[3], negatives=())
    with pytest.raises(UsageError, match="without negatives") as caught:
        pairs(tiny(), tmp_path, examples=examples)
    assert caught.value.refs == (examples[3].id,)


@pytest.mark.parametrize("kind", ["late-interaction", "cross-encoder"])
def test_both_go_on_from_their_checkpoints(tiny: Tiny, tmp_path: Path, kind: str) -> None:
    base, scores = tiny(), [0.1, 0.2, 0.3, 0.4, 0.5]
    first = scores if kind == "late-interaction" else scores[1:]  # no score of a head that is new
    whole = train(kind, base, tmp_path / "whole", scored=True, scores=first)
    with pytest.raises(StopIteration):  # the scores have run out
        train(kind, base, tmp_path / "broken", scored=True, scores=first[:-2])
    resumed = train(kind, base, tmp_path / "broken", scored=True, scores=first[-2:])
    assert resumed["resumed_at"] == 4
    assert resumed["history"] == whole["history"]
    assert weights(tmp_path / "broken" / "out") == weights(tmp_path / "whole" / "out")
