"""Cross-encoders against torch, and the laws of their scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_encoders import (
    HEADS,
    HIDDEN,
    LAYERS,
    VOCABULARY,
    WIDE,
    tiny_config,
    tiny_cross_encoder,
    tiny_pair_tensors,
    tiny_tokenizer,
)

from freehold.core.errors import ModelMismatch, ModelNotFound
from freehold.models.compiled import build_record, open_session
from freehold.models.cross_encoder import LOWEST_CORRELATION, CrossEncoder, Pair, open_cross_encoder
from freehold.models.onnx import EncoderShape, Precision, build_cross_encoder
from freehold.models.safetensors import read_tensors, write_tensors

Maker = Callable[..., Path]

QUESTION = "may i keep a dog?"
TEXTS = (
    "a dog is a friend.",
    "",
    "x",
    "no pets but cats, " * 9,
    "rent: 900",
    "a dog is a friend.",
    "dogs and more dogs",
)


@pytest.fixture
def tiny_pairs(tmp_path: Path) -> Maker:
    """Makes a cross-encoder's folder; keywords are more JSON files by name."""

    def make(family: str = "bert", *, name: str = "pairs", **told: Any) -> Path:
        return tiny_cross_encoder(tmp_path / name, family, **told)

    return make


def opened(
    folder: Path, *, precision: Precision = "float32", threads: int = 1, batch_tokens: int = 256
) -> CrossEncoder:
    return CrossEncoder(folder, name="tiny", precision=precision, threads=threads, batch_tokens=batch_tokens)


# -- torch -------------------------------------------------------------------------------------------------------------


def saved_by_transformers(folder: Path, family: str, *, names: list[str] | None) -> Path:
    """A random classifier, saved as its library saves it. ``names``: what its tokenizer passes on."""
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    torch.manual_seed(5)
    config, model = {
        "bert": (transformers.BertConfig, transformers.BertForSequenceClassification),
        "xlm-roberta": (transformers.XLMRobertaConfig, transformers.XLMRobertaForSequenceClassification),
        "mpnet": (transformers.MPNetConfig, transformers.MPNetForSequenceClassification),
    }[family]
    made = model(
        config(
            vocab_size=len(VOCABULARY), hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
            intermediate_size=WIDE, max_position_embeddings=64 if family == "bert" else 66, num_labels=1,
            initializer_range=0.3, layer_norm_eps=1e-12, pad_token_id=0 if family == "bert" else 1,
            type_vocab_size=2 if family == "bert" else 1,
        )
    ).eval()  # fmt: skip
    made.save_pretrained(folder)
    tokenizer = tiny_tokenizer(family) | {"truncation": None, "padding": None}
    tokens = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    about = {"tokenizer_class": "TokenizersBackend", "model_max_length": 64, **tokens}
    if names:
        about["model_input_names"] = names
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    return folder


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "mpnet"])
def test_float32_is_what_torch_computes(tmp_path: Path, family: str) -> None:
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    folder = saved_by_transformers(tmp_path / "model", family, names=["input_ids", "token_type_ids"])
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True).eval()
    ours = opened(folder, threads=2, batch_tokens=100)
    pairs = ours.pairs(QUESTION, TEXTS)
    theirs = []
    for pair in pairs:
        more = {}
        if family == "bert":
            more["token_type_ids"] = torch.tensor([[int(i >= pair.first) for i in range(len(pair.ids))]])
        with torch.no_grad():
            theirs.append(model(input_ids=torch.tensor(pair.ids[None].astype(np.int64)), **more).logits[0, 0].item())
    assert np.ptp(theirs) > 0.1
    np.testing.assert_allclose(ours.score(pairs), theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("bert", ["input_ids", "token_type_ids", "attention_mask"]),
        ("bert", ["input_ids", "attention_mask"]),
        ("bert", None),
        ("xlm-roberta", None),
    ],
)
def test_scores_are_those_of_sentence_transformers(tmp_path: Path, family: str, names: list[str] | None) -> None:
    """Pairs that are too long included, and token types passed on only where its tokenizer passes them on."""
    library = pytest.importorskip("sentence_transformers")
    torch = pytest.importorskip("torch")
    folder = saved_by_transformers(tmp_path / "model", family, names=names)
    model = library.CrossEncoder(str(folder), device="cpu", local_files_only=True)
    model.save_pretrained(str(tmp_path / "saved"))
    theirs = model.predict([(QUESTION, text) for text in TEXTS], activation_fn=torch.nn.Identity())
    for here in (folder, tmp_path / "saved"):
        ours = opened(here, threads=2)
        assert ours.max_tokens == 64
        np.testing.assert_allclose(ours.scores(QUESTION, TEXTS), theirs, atol=1e-4)


# -- pairs ------------------------------------------------------------------------------------------------------------


def test_a_pair_is_laid_out_as_the_tokenizer_states(tiny_pairs: Maker) -> None:
    bert, roberta = opened(tiny_pairs("bert")), opened(tiny_pairs("roberta", name="r"))
    ids = {piece: i for i, piece in enumerate(VOCABULARY)}
    a, b, cls, sep = ids["a"], ids["b"], ids["[CLS]"], ids["[SEP]"]
    (pair,) = bert.pairs("a", ["b"])
    assert (pair.ids.tolist(), pair.first) == ([cls, a, sep, b, sep], 3)
    (pair,) = roberta.pairs("a", ["b"])
    assert (pair.ids.tolist(), pair.first) == ([cls, a, sep, sep, b, sep], 6)


@given(asked=st.integers(0, 60), told=st.integers(0, 60), limit=st.integers(8, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_the_longer_text_loses_its_end(tmp_path: Path, asked: int, told: int, limit: int) -> None:
    folder = tiny_cross_encoder(tmp_path / "cut", cross_encoder={"max_tokens": limit})
    model = opened(folder)
    assert model.max_tokens == limit
    room = limit - 3
    (pair,) = model.pairs("q " * asked, ["d " * told])
    q, d = VOCABULARY.index("q"), VOCABULARY.index("d")
    kept_q, kept_d = pair.ids.tolist().count(q), pair.ids.tolist().count(d)
    assert len(pair.ids) == kept_q + kept_d + 3 <= limit
    assert pair.first == kept_q + 2
    assert kept_q >= min(asked, room // 2)
    assert kept_q + kept_d == min(room, asked + told)
    if asked <= room // 2:
        assert kept_q == asked


# -- laws of scores ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "mpnet"])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_score_does_not_depend_on_batches_threads_or_company(
    tiny_pairs: Maker, family: str, precision: Precision
) -> None:
    folder = tiny_pairs(family)
    alone = opened(folder, precision=precision, batch_tokens=1)
    expected = [float(alone.scores(QUESTION, [text])[0]) for text in TEXTS]
    assert np.ptp(expected) > 0.1
    for threads, size in ((1, 120), (2, 60), (3, 1000)):
        scores = opened(folder, precision=precision, threads=threads, batch_tokens=size).scores(QUESTION, TEXTS)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, expected, atol=2e-4)
        assert scores[0] == scores[5]
        back = opened(folder, precision=precision, threads=threads, batch_tokens=size)
        np.testing.assert_allclose(back.scores(QUESTION, TEXTS[::-1])[::-1], expected, atol=2e-4)


def test_what_stands_in_the_padding_is_not_seen(tiny_pairs: Maker) -> None:
    tensors = read_tensors(tiny_pairs() / "model.safetensors")
    for precision in ("float32", "int8"):
        graph = build_cross_encoder(tensors, EncoderShape.of(tiny_config("bert")), precision=precision)
        session = open_session(graph, threads=1)
        told = {"lengths": np.array([4], np.int32), "first": np.array([3])}
        zeros, noise = np.array([[2, 9, 3, 8, 0, 0]]), np.array([[2, 9, 3, 8, 11, 12]])
        first, second = (session.run(["score"], {"input_ids": ids, **told})[0] for ids in (zeros, noise))
        np.testing.assert_array_equal(first, second)


def test_which_text_is_the_question_matters(tiny_pairs: Maker) -> None:
    model = opened(tiny_pairs())
    (pair,) = model.pairs("ab", ["cd"])
    untyped = Pair(pair.ids, len(pair.ids))
    assert model.score([pair])[0] != model.score([untyped])[0]
    assert model.scores("ab", ["cd"])[0] != model.scores("cd", ["ab"])[0]


def test_two_classes_are_one_score(tiny_pairs: Maker) -> None:
    """The logit of the second minus that of the first."""
    folder = tiny_pairs("bert", classes=2)
    both = opened(folder).scores(QUESTION, TEXTS)
    tensors = {name: np.array(tensor) for name, tensor in read_tensors(folder / "model.safetensors").items()}
    weight, bias = tensors["classifier.weight"], tensors["classifier.bias"]
    single = []
    for row in (0, 1):
        tensors["classifier.weight"], tensors["classifier.bias"] = weight[row : row + 1], bias[row : row + 1]
        write_tensors(folder / "model.safetensors", tensors)
        single.append(opened(folder).scores(QUESTION, TEXTS))
    np.testing.assert_allclose(both, single[1] - single[0], atol=2e-4)


def test_nothing_gives_nothing(tiny_pairs: Maker) -> None:
    model = opened(tiny_pairs())
    assert model.pairs(QUESTION, []) == []
    assert model.score([]).shape == (0,)


# -- int8 and what is kept of it --------------------------------------------------------------------------------------


def test_int8_is_near_float32_and_kept(tiny_pairs: Maker) -> None:
    folder = tiny_pairs()
    fast, exact = opened(folder, precision="int8"), opened(folder)
    record = build_record(folder)
    assert record is not None
    assert LOWEST_CORRELATION <= record.checks["correlation"] < 1
    assert 0.9 < record.checks["order"] <= 1
    assert np.corrcoef(fast.scores(QUESTION, TEXTS), exact.scores(QUESTION, TEXTS))[0, 1] > 0.97
    kept = (folder / "onnx" / "int8.onnx").stat().st_mtime_ns
    assert opened(folder, precision="int8").digest == fast.digest
    assert (folder / "onnx" / "int8.onnx").stat().st_mtime_ns == kept


def test_int8_too_far_from_float32_is_refused(tiny_pairs: Maker) -> None:
    """A head that hardly tells passages apart: its differences are lost in rounding."""
    folder = tiny_pairs()
    tensors = {name: tensor.copy() for name, tensor in read_tensors(folder / "model.safetensors").items()}
    for name, tensor in tensors.items():  # huge weights on an input that is always zero leave no level for the others
        if "LayerNorm" in name:
            tensor[0] = 0
        elif name.endswith(("query.weight", "key.weight", "value.weight", "intermediate.dense.weight")):
            tensor[:, 0] = 3000
    write_tensors(folder / "model.safetensors", tensors)
    with pytest.raises(ModelMismatch, match="correlate"):
        opened(folder, precision="int8")
    assert build_record(folder) is None
    assert opened(folder).scores(QUESTION, TEXTS).shape == (len(TEXTS),)


def test_other_weights_and_other_reading_are_another_model(tiny_pairs: Maker) -> None:
    digests = {opened(tiny_pairs(name="a")).digest, opened(tiny_pairs(name="b", seed=3)).digest}
    digests.add(opened(tiny_pairs(name="a"), precision="int8").digest)
    digests.add(opened(tiny_pairs(name="c", cross_encoder={"max_tokens": 20})).digest)
    digests.add(opened(tiny_pairs(name="d", tokenizer_config={"model_input_names": ["input_ids"]})).digest)
    assert len(digests) == 5
    assert opened(tiny_pairs(name="a")).digest in digests


# -- folders ----------------------------------------------------------------------------------------------------------


def test_where_the_limit_is_from(tiny_pairs: Maker) -> None:
    assert opened(tiny_pairs(name="none")).max_tokens == 40  # rows of the position table
    assert opened(tiny_pairs(name="x", tokenizer_config={"model_max_length": 30})).max_tokens == 30
    assert opened(tiny_pairs(name="y", tokenizer_config={"model_max_length": int(1e30)})).max_tokens == 40
    stated = {"cross_encoder": {"max_tokens": 20}, "tokenizer_config": {"model_max_length": 30}}
    assert opened(tiny_pairs(name="z", **stated)).max_tokens == 20
    with pytest.raises(ModelMismatch):
        opened(tiny_pairs(name="small", cross_encoder={"max_tokens": 4}))


def test_folders_that_are_no_cross_encoder_are_refused(tiny_pairs: Maker, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        open_cross_encoder(tmp_path / "nowhere")
    many = tiny_pairs(name="many", classes=3)
    with pytest.raises(ModelMismatch, match="3 classes"):
        opened(many)
    bare = tiny_pairs(name="bare")
    tensors = {name: t for name, t in tiny_pair_tensors("bert", 0).items() if not name.startswith("classifier")}
    write_tensors(bare / "model.safetensors", tensors)
    with pytest.raises(ModelMismatch, match=r"classifier\.weight") as caught:
        opened(bare)
    assert "head" in caught.value.hint
    more = [{"type": "sentence_transformers.base.modules.transformer.Transformer"}, {"type": "x.y.Dense"}]
    with pytest.raises(ModelMismatch, match="Dense"):
        opened(tiny_pairs(name="more", modules=more))
    for name in ("model.safetensors", "tokenizer.json", "config.json", "cross_encoder.json"):
        broken = tiny_pairs(name=f"broken-{name}")
        (broken / name).write_bytes(b"\xff\xff\xff\xff\xff\xff\xff\x7f nonsense")
        with pytest.raises(ModelMismatch):
            opened(broken)


def test_it_opens_by_folder(tiny_pairs: Maker) -> None:
    folder = tiny_pairs()
    model = open_cross_encoder(str(folder), threads=2)
    assert (model.name, model.threads) == (str(folder), 2)
    assert open_cross_encoder(folder, name="own").digest == model.digest
