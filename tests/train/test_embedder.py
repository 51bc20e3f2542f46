"""Training an embedder: what is saved is what was trained, byte for byte the same, also after a kill."""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("sentence_transformers")
pytest.importorskip("peft")

import torch
from child import FACTS, train
from labelled import harbour, short_harbour

from freehold.core.errors import HouseBusy, ModelMismatch, ModelNotFound, SettingsError, StorageFault, UsageError
from freehold.core.training import ExampleTexts
from freehold.models.embed import open_embedder
from freehold.models.facts import ModelFacts, facts_for
from freehold.models.safetensors import read_tensors, write_tensors
from freehold.train.embedder import pooled_model, train_embedder
from freehold.train.encoder import Encoder, padded
from freehold.train.feed import Feed
from freehold.train.losses import Joint
from freehold.train.settings import EmbedderTraining, Encode, TrainingOutcome

if TYPE_CHECKING:
    from conftest import Tiny

SETTINGS = EmbedderTraining(
    threads=1, batch_size=6, epochs=2, max_tokens=40, negatives=2, learning_rate=1e-3, dropout=None
)


def trained(base: Path, root: Path, settings: EmbedderTraining = SETTINGS, **changes: Any) -> TrainingOutcome:
    how: dict[str, Any] = {"facts": FACTS, "dev": None, "progress": lambda *_: None} | changes
    examples = how.pop("examples", short_harbour())
    root.mkdir(exist_ok=True)
    return train_embedder(base, examples, settings, out=root / "out", checkpoints=root / "checkpoints", **how)


def weights(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def child(kind: str, base: Path, root: Path, *, kill: str = "", **settings: Any) -> tuple[int, dict[str, Any]]:
    """Exit code of a training in a process of its own, and what it said."""
    command = [
        sys.executable,
        str(Path(__file__).parent / "child.py"),
        kind,
        str(base),
        str(root),
        json.dumps(settings),
    ]
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent / "models")])
    # One arena: what each thread's own keeps of freed memory counts against a limit.
    own = {"FREEHOLD_KILL_AT": kill, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1", "PYTHONPATH": paths}
    environment = {**os.environ, **own}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode in {0, -9}, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}


# -- what is saved ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "mpnet"])
@pytest.mark.parametrize("lora", [0, 4])
def test_the_folder_serves_the_vectors_that_were_trained(tiny: Tiny, tmp_path: Path, family: str, lora: int) -> None:
    base = tiny(family)
    seen: dict[str, np.ndarray] = {}
    texts = ["rope, sail [SEP] ice", "x" * 20, "who?"]

    def dev(encode: Encode) -> float:
        better = float(len(seen))  # than the base
        seen.update({kind: encode(texts, kind) for kind in ("query", "document")})  # type: ignore[misc]
        return better

    def last(_step: int, _score: float) -> bool:
        return True  # after the first evaluation: what it saw is what is saved

    outcome = trained(base, tmp_path, replace(SETTINGS, lora_rank=lora), dev=dev, report=last)
    served = open_embedder("onnx", str(outcome.folder), precision="float32", threads=1)
    assert served.info.max_tokens == FACTS.max_tokens
    for kind, ask in (("query", served.embed_queries), ("document", served.embed_documents)):
        cosines = np.sum(ask(texts).vectors * seen[kind], axis=1)
        assert cosines.min() > 0.9999
    stock = open_embedder("onnx", str(base), precision="float32", threads=1)
    assert np.abs(stock.embed_queries(texts).vectors - served.embed_queries(texts).vectors).max() > 1e-3
    assert facts_for(str(outcome.folder), outcome.folder) == FACTS


def test_sentence_transformers_reads_the_folder_as_freehold_does(tiny: Tiny, tmp_path: Path) -> None:
    outcome = trained(tiny(), tmp_path, facts=replace(FACTS, pooling="cls"))
    served = open_embedder("onnx", str(outcome.folder), precision="float32", threads=1)
    theirs = open_embedder("sentence-transformers", str(outcome.folder), threads=1)
    texts = ["rope and sail", "ice"]
    assert np.abs(theirs.embed_documents(texts).vectors - served.embed_documents(texts).vectors).max() < 1e-4


def test_what_is_frozen_and_what_is_not_the_encoders_stays_as_it_was(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny(prefix="bert.")
    outcome = trained(base, tmp_path, replace(SETTINGS, freeze_embeddings=True, freeze_layers=1))
    before = {name.removeprefix("bert."): value for name, value in read_tensors(base / "model.safetensors").items()}
    after = read_tensors(outcome.folder / "model.safetensors")
    assert set(before) == set(after)
    same = {name for name in before if np.array_equal(before[name], after[name])}
    assert same == {name for name in before if not name.startswith("encoder.layer.1.")}


def test_low_rank_training_changes_the_maps_that_it_is_told(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny()
    outcome = trained(base, tmp_path, replace(SETTINGS, lora_rank=2, lora_targets=("query", "value")))
    before, after = (read_tensors(folder / "model.safetensors") for folder in (base, outcome.folder))
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {
        f"encoder.layer.{layer}.attention.self.{part}.weight" for layer in (0, 1) for part in ("query", "value")
    }
    delta = after["encoder.layer.0.attention.self.query.weight"] - before["encoder.layer.0.attention.self.query.weight"]
    assert np.linalg.matrix_rank(delta, tol=1e-6) <= 2


# -- always the same --------------------------------------------------------------------------------------------------


def test_equal_calls_give_equal_bytes_and_the_order_of_examples_is_nothing(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny()
    shuffled = random.Random(5).sample(short_harbour(), 24)
    runs = [
        trained(base, tmp_path / "a"),
        trained(base, tmp_path / "b", examples=shuffled),
        trained(base, tmp_path / "c", replace(SETTINGS, seed=1)),
        trained(base, tmp_path / "d", examples=short_harbour()[:-1]),
    ]
    one, same, other_seed, fewer = (weights(run.folder) for run in runs)
    assert one == same
    assert len({one, other_seed, fewer}) == 3


def test_the_process_is_left_as_it_was_found(tiny: Tiny, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def state() -> tuple[Any, ...]:
        return (
            random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes(),
            torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(),
        )  # fmt: skip

    before = state()
    outcome = trained(tiny(), tmp_path)
    assert state() == before
    assert capfd.readouterr() == ("", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "tiny"]
    assert outcome.steps == outcome.planned_steps == 8
    assert outcome.resumed_at == 0
    assert outcome.history[-1].step == 8


def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(tiny: Tiny, tmp_path: Path) -> None:
    """Killed before a checkpoint counts, and when it does: then it is where it was, and one further."""
    base = tiny()
    how = {"scored": True, "late_interaction_weight": 0.5, "evaluations_per_epoch": 1, "patience": 2, "epochs": 3}
    scores = [0.1, 0.5, 0.4, 0.3]  # of the base, and of the evaluations
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    uninterrupted = train("embedder", base, whole, scores=scores, **how)
    assert (uninterrupted["best_step"], uninterrupted["steps"], uninterrupted["resumed_at"]) == (4, 12, 0)
    for moment, left in (("train.checkpoint", scores), ("train.checkpointed", scores[1:])):
        code, _ = child("embedder", base, killed, kill=moment, scores=left, **how)
        assert code == -9
        assert not (killed / "out").exists()
    resumed = train("embedder", base, killed, scores=scores[2:], **how)
    assert resumed["resumed_at"] == 4
    assert resumed["history"] == uninterrupted["history"]
    assert weights(killed / "out") == weights(whole / "out")
    assert [path.name for path in killed.iterdir()] == ["out"]


# -- when to stop -----------------------------------------------------------------------------------------------------


def scripted(scores: Sequence[float]) -> Any:
    told = iter(scores)
    return lambda _encode: next(told)


def test_the_best_step_is_saved_and_patience_ends_training(tiny: Tiny, tmp_path: Path) -> None:
    base, settings = tiny(), replace(SETTINGS, epochs=4, patience=2)
    scores = [0.2, 0.6, 0.5, 0.5, 0.9]
    outcome = trained(base, tmp_path / "a", settings, dev=scripted(scores))
    assert (outcome.best_step, outcome.dev, outcome.dev_before) == (2, 0.6, 0.2)
    assert (outcome.steps, outcome.planned_steps, outcome.stopped_early) == (6, 16, True)
    assert [line.dev for line in outcome.history] == scores[:4]
    assert [line.step for line in outcome.history] == [0, 2, 4, 6]
    at_best = trained(base, tmp_path / "b", settings, dev=scripted(scores), report=lambda step, _: step == 2)
    assert at_best.stopped_early
    assert weights(at_best.folder) == weights(outcome.folder)


def test_weights_that_no_training_made_better_stay(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny()
    outcome = trained(base, tmp_path, replace(SETTINGS, lora_rank=2), dev=scripted([0.9, 0.3, 0.2, 0.1, 0.1]))
    assert (outcome.best_step, outcome.dev, outcome.dev_before) == (0, 0.9, 0.9)
    before, after = (read_tensors(folder / "model.safetensors") for folder in (base, outcome.folder))
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_what_a_report_raises_comes_through_and_training_can_go_on(tiny: Tiny, tmp_path: Path) -> None:
    class Pruned(Exception):
        pass

    def report(step: int, _score: float) -> bool:
        if step == 4:
            raise Pruned
        return False

    base = tiny()
    with pytest.raises(Pruned):
        trained(base, tmp_path / "a", dev=scripted([0, 1, 2]), report=report)
    assert not (tmp_path / "a" / "out").exists()
    resumed = trained(base, tmp_path / "a", dev=scripted([2, 3, 4]))
    assert resumed.resumed_at == 2
    whole = trained(base, tmp_path / "b", dev=scripted([0, 1, 2, 3, 4]))
    assert weights(resumed.folder) == weights(whole.folder)
    assert resumed.history == whole.history


@pytest.mark.parametrize("moment", ["preparing", "training", "evaluating", "saving"])
def test_checkpoints_that_were_taken_away_are_not_written_again(tiny: Tiny, tmp_path: Path, moment: str) -> None:
    work, aside = tmp_path / "work", tmp_path / "aside"

    def progress(stage: str, done: int, _total: int) -> None:
        if stage == moment and done != 1 and work.exists():
            work.rename(aside)

    with pytest.raises(HouseBusy, match="removed"):
        trained(tiny(), work, dev=scripted([0, 1, 2, 3, 4]), progress=progress)
    assert aside.exists()
    assert not [path for path in work.rglob("*") if path.is_file()]


def test_checkpoints_of_other_settings_are_not_gone_on_with(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny()
    with pytest.raises(ZeroDivisionError):
        trained(base, tmp_path, dev=scripted([0, 1]), report=lambda step, _: bool(1 // (step - 2)))
    other = trained(base, tmp_path, replace(SETTINGS, seed=9), dev=scripted([0, 1, 2, 3, 4]))
    assert other.resumed_at == 0
    assert weights(other.folder) == weights(trained(base, tmp_path / "b", replace(SETTINGS, seed=9)).folder)


# -- the losses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"matryoshka": (8, 16)},
        {"late_interaction_weight": 0.7},
        {"late_interaction_weight": 1.0, "matryoshka": (16,)},
    ],
)
def test_cached_gradients_are_the_gradients(tiny: Tiny, tmp_path: Path, changes: dict[str, Any]) -> None:
    base, settings = tiny(), replace(SETTINGS, epochs=1, dropout=0.0, **changes)
    plain = trained(base, tmp_path / "a", settings)
    cached = trained(base, tmp_path / "b", replace(settings, loss="cached-mnrl", mini_batch_size=5))
    one, other = (read_tensors(run.folder / "model.safetensors") for run in (plain, cached))
    before = read_tensors(base / "model.safetensors")
    for name, value in one.items():
        if name.endswith("key.bias"):  # attention does not depend on it: its gradient is nothing but rounding
            continue
        moved = np.abs(value - before[name]).max()
        assert np.abs(value - other[name]).max() <= 0.05 * moved + 2e-5, name


def test_the_joint_loss_is_what_its_definition_says(tiny: Tiny) -> None:
    settings = replace(SETTINGS, late_interaction_weight=0.7, late_interaction_temperature=0.1, dropout=0.0)
    base = tiny()
    feed = Feed(base, FACTS)
    model = pooled_model(base, settings, "mean")
    columns = {
        "query": feed.rows(["rope?", "who has the keys?"], "query"),
        "document": feed.rows(["sail and rope", "keys", "ice", "no crew on the sail"], "document"),
    }
    loss = Joint(model, settings, [], rows=0)([padded(rows) for rows in columns.values()])
    vectors, tokens = {}, {}
    for name, rows in columns.items():
        out = model(padded(rows))
        vectors[name] = out["sentence_embedding"].detach().numpy()
        hidden = out["token_embeddings"].detach().numpy()
        own = [hidden[i, row.first : row.last] for i, row in enumerate(rows)]
        tokens[name] = [t / np.linalg.norm(t, axis=1, keepdims=True) for t in own]
    pooled = vectors["query"] @ vectors["document"].T / settings.temperature
    late = np.array([[(q @ d.T).max(axis=1).mean() for d in tokens["document"]] for q in tokens["query"]]) / 0.1

    def cross_entropy(scores: np.ndarray) -> float:
        return float(np.mean([np.log(np.exp(row - row[i]).sum()) for i, row in enumerate(scores)]))

    assert loss.item() == pytest.approx(cross_entropy(pooled) + 0.7 * cross_entropy(late), rel=1e-4)


def test_rows_in_parts_by_length_are_the_rows_in_one(tiny: Tiny) -> None:
    base = tiny("xlm-roberta")
    feed = Feed(base, FACTS)
    rows = feed.rows(["x" * (1 + 7 * i % 30) for i in range(27)], "document")
    model = pooled_model(base, SETTINGS, "mean").eval()
    assert isinstance(model[0], Encoder)
    parts = model(padded(rows))["token_embeddings"]
    whole = torch.zeros_like(parts)
    for i, row in enumerate(rows):
        one = padded([row])
        whole[i, : len(row.ids)] = (
            model[0]
            .model(input_ids=one["input_ids"], position_ids=2 + torch.arange(len(row.ids))[None])
            .last_hidden_state[0]
        )
    mask = padded(rows)["attention_mask"].bool()
    assert (parts - whole)[mask].abs().max() < 1e-4


def test_it_learns_what_the_labels_say(minilm: Path, tmp_path: Path) -> None:
    """Questions about boats, where everything said of the same boat looks alike to the base model."""
    examples = harbour()
    passages = [e.positives[0] for e in examples]

    def dev(encode: Encode) -> float:
        scores = encode([e.query for e in examples], "query") @ encode(passages, "document").T
        return float(np.mean(np.argmax(scores, axis=1) == np.arange(len(examples))))

    settings = EmbedderTraining(
        batch_size=16, epochs=2, max_tokens=32, negatives=3, learning_rate=1e-4, freeze_layers=3
    )
    outcome = trained(
        minilm, tmp_path, settings, examples=examples, facts=facts_for("all-minilm-l6-v2", minilm), dev=dev
    )
    assert outcome.dev is not None
    assert outcome.dev_before is not None
    assert outcome.dev > outcome.dev_before + 0.1
    served = open_embedder("onnx", str(outcome.folder), precision="int8", threads=1)

    def ask(texts: Sequence[str], kind: str) -> Any:
        return (served.embed_queries if kind == "query" else served.embed_documents)(texts).vectors

    assert dev(ask) >= outcome.dev - 0.1


# -- what cannot be ---------------------------------------------------------------------------------------------------


def test_a_loss_that_is_no_number_ends_training_and_names_the_learning_rate(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        trained(tiny(), tmp_path, replace(SETTINGS, learning_rate=1e30, warmup_ratio=0.0))
    assert "learning_rate" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_base_that_is_not_whole(tiny: Tiny, tmp_path: Path, missing: str) -> None:
    base = tiny()
    (base / missing).unlink()
    with pytest.raises(ModelNotFound, match=missing):
        trained(base, tmp_path)


@pytest.mark.parametrize("broken", ["model.safetensors", "tokenizer.json"])
def test_a_base_that_is_no_model(tiny: Tiny, tmp_path: Path, broken: str) -> None:
    base = tiny()
    (base / broken).write_bytes(b"no such thing")
    with pytest.raises(ModelMismatch):
        trained(base, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_weights_that_are_missing_are_not_made_up(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny()
    tensors = dict(read_tensors(base / "model.safetensors"))
    del tensors["encoder.layer.1.output.dense.weight"]
    write_tensors(base / "model.safetensors", {name: np.array(tensor) for name, tensor in tensors.items()})
    with pytest.raises(ModelMismatch, match="lacks 1 weights"):
        trained(base, tmp_path)


@pytest.mark.parametrize(
    ("examples", "said"),
    [
        (short_harbour()[:15], "too few"),
        ([*short_harbour(), short_harbour()[0]], "same id"),
        ([*short_harbour(), ExampleTexts("bare", "rope?", (), ())], "without a passage"),
    ],
)
def test_examples_that_cannot_be_trained_on(
    tiny: Tiny, tmp_path: Path, examples: list[ExampleTexts], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        trained(tiny(), tmp_path, examples=examples)
    assert caught.value.hint
    assert "rope?" not in str(caught.value.as_dict())


@pytest.mark.parametrize(
    "changes", [{"learning_rate": 0}, {"batch_size": 1}, {"epochs": 0}, {"temperature": 0}, {"warmup_ratio": 2},
                {"dropout": 1}, {"matryoshka": (0,)}, {"learning_rate": float("nan")}],
)  # fmt: skip
def test_settings_that_cannot_be_meant(changes: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        EmbedderTraining(**changes)
    assert next(iter(changes)) in caught.value.hint


def test_settings_that_the_model_does_not_bear(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny()
    with pytest.raises(SettingsError, match="freeze_layers"):
        trained(base, tmp_path, replace(SETTINGS, freeze_layers=3))
    with pytest.raises(SettingsError, match="lora_targets"):
        trained(base, tmp_path, replace(SETTINGS, lora_rank=2, lora_targets=("nothing",)))
    with pytest.raises(SettingsError, match="no room"):
        trained(base, tmp_path, replace(SETTINGS, max_tokens=8), facts=ModelFacts("mean", "", "a long prefix", 40))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_cuda_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no GPU"):
        trained(tiny(), tmp_path, replace(SETTINGS, device="cuda"))


def test_an_output_that_is_there_is_left_alone(tiny: Tiny, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(UsageError, match="already"):
        trained(tiny(), tmp_path)


def test_without_sentence_transformers_it_says_what_to_install(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers.multi_vector_encoder", None)
    with pytest.raises(SettingsError) as caught:
        trained(tiny(), tmp_path)
    assert caught.value.hint == "pip install 'freehold[train]'"


def test_a_full_disk_leaves_nothing_half_and_training_goes_on_later(tiny: Tiny, tmp_path: Path) -> None:
    base, limits = tiny(), resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
        with pytest.raises(StorageFault) as caught:
            trained(base, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "free space" in caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "tiny"]
    assert trained(base, tmp_path).steps == 8


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_where_memory_runs_out_gradients_are_cached_and_then_it_gives_up(tiny: Tiny, tmp_path: Path) -> None:
    base = tiny()
    how = {"copies": 80, "batch_size": 1920, "epochs": 1, "mini_batch_size": 64, "limits": {"memory": 520 << 20}}
    _, outcome = child("embedder", base, tmp_path / "a", **how)
    assert outcome["retried_with_caching"]
    assert outcome["steps"] == 1
    # Every query's tokens against every passage's are too many, however the encoder's gradients are had.
    _, said = child("embedder", base, tmp_path / "b", late_interaction_weight=1.0, **how)
    assert said["class"] == "HouseFault"
    assert "batch_size" in said["error"]["hint"]
    assert not (tmp_path / "b" / "out").exists()
