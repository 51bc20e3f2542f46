"""Encoders of the BERT family as ONNX graphs, built from their weights: no torch, no exporter, every node chosen here.

A graph takes ``input_ids`` int64 (batch, length), padded on the right, and ``lengths`` int32 (batch,); it gives
``embedding`` float32 (batch, dim), pooled, and ``tokens`` float32 (batch, length, dim), the last hidden state; all
vectors of unit L2 norm. Attention, skip connections and activations are ONNX Runtime's fused operators.

A cross-encoder's graph takes ``first`` int64 (batch,) besides, the number of tokens at the beginning that are of type
0, and gives ``score`` float32 (batch,): the logit of its head, which stays in float32.

Precision ``int8``: weights have one scale per output column, activations one scale per token, taken at run time. A
scale per tensor, which is what stock dynamic quantization does, makes a vector depend on the texts that happen to
share its batch; a scale per token does not, and it is closer to float32 as well (docs/decisions/0006). With the second
moments of each linear map's inputs the weights are rounded for such inputs (see ``calibrate``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from freehold.core.errors import ModelMismatch
from freehold.models.calibrate import compensated
from freehold.models.facts import Pooling

Precision = Literal["int8", "float32"]
Tensors = Mapping[str, NDArray[Any]]
Moments = Mapping[str, NDArray[np.float64]]
"""Linear map, by the name of its weight, or of the first of several side by side -> mean of x x^T over its inputs x."""

_FUSED = "com.microsoft"
_WEIGHT_LEVELS = (
    63  # 7 bits: without VNNI, u8 x s8 products are added in 16 bits, and full-range weights overflow there
)
_ACTIVATION_LEVELS = 127
_GELU = {"gelu": "BiasGelu", "gelu_new": "FastGelu", "gelu_fast": "FastGelu", "gelu_pytorch_tanh": "FastGelu"}

_BERT_LAYER = {
    "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
    "attention": "attention.output.dense", "attention_norm": "attention.output.LayerNorm",
    "widen": "intermediate.dense", "narrow": "output.dense", "norm": "output.LayerNorm",
}  # fmt: skip
_MPNET_LAYER = _BERT_LAYER | {
    "query": "attention.attn.q", "key": "attention.attn.k", "value": "attention.attn.v",
    "attention": "attention.attn.o", "attention_norm": "attention.LayerNorm",
}  # fmt: skip
_LAYERS = {
    "bert": _BERT_LAYER, "roberta": _BERT_LAYER, "xlm-roberta": _BERT_LAYER, "camembert": _BERT_LAYER,
    "mpnet": _MPNET_LAYER,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """What a ``config.json`` says that the weights do not."""

    family: str
    layers: int
    heads: int
    epsilon: float
    gelu: str
    first_position: int
    """Row of the position table that the first token takes: RoBERTa's descendants start after the padding id."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> EncoderShape:
        """Raises ModelMismatch for an architecture or activation that no graph is built for."""
        family, activation = config.get("model_type"), config.get("hidden_act", "gelu")
        if family not in _LAYERS or activation not in _GELU:
            raise ModelMismatch(
                f"no graph for model type {family!r} with activation {activation!r}",
                hint=f'use embedder kind "sentence-transformers", or a model of type {", ".join(_LAYERS)}',
            )
        if config.get("position_embedding_type", "absolute") != "absolute":
            raise ModelMismatch("only absolute positions are supported", hint='use kind "sentence-transformers"')
        return cls(
            family=family,
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            epsilon=float(config.get("layer_norm_eps", 1e-12)),
            gelu=_GELU[activation],
            first_position=0 if family == "bert" else int(config.get("pad_token_id", 1)) + 1,
        )


def build_encoder(
    tensors: Tensors,
    shape: EncoderShape,
    *,
    pooling: Pooling,
    precision: Precision,
    moments: Moments | None = None,
) -> bytes:
    """The serialized ONNX model. ``moments``: what int8 weights are rounded for. Raises ModelMismatch when a tensor is
    missing.
    """
    model = _encoder(tensors, shape, precision, moments).model(pooling)
    return model.SerializeToString()  # type: ignore[no-any-return]


def build_probe(tensors: Tensors, shape: EncoderShape) -> tuple[bytes, Mapping[str, str]]:
    """The float32 model, and for each of its linear maps the output that gives what goes into it.

    These are float32 (batch, length, inputs). Raises ModelMismatch when a tensor is missing.
    """
    encoder = _encoder(tensors, shape, "float32", None)
    model = encoder.model("mean")
    for taken in dict.fromkeys(encoder.inputs.values()):
        model.graph.output.append(helper.make_tensor_value_info(taken, TensorProto.FLOAT, None))
    return model.SerializeToString(), encoder.inputs


def _encoder(tensors: Tensors, shape: EncoderShape, precision: Precision, moments: Moments | None) -> _Encoder:
    prefix = _prefix(tensors)
    return _Encoder({name.removeprefix(prefix): t for name, t in tensors.items()}, shape, precision, moments)


def build_cross_encoder(tensors: Tensors, shape: EncoderShape, *, precision: Precision) -> bytes:
    """The serialized ONNX model of an encoder with a head that scores pairs.

    Two classes become one score, the second's logit minus the first's. Raises ModelMismatch when a tensor is missing
    and for a head of more classes.
    """
    model = _encoder(tensors, shape, precision, None).pair_model()
    return model.SerializeToString()  # type: ignore[no-any-return]


def position_limit(tensors: Tensors, shape: EncoderShape) -> int:
    """The longest input, special tokens included, that the position table has rows for."""
    table = tensors[_prefix(tensors) + "embeddings.position_embeddings.weight"]
    return len(table) - shape.first_position


def _prefix(tensors: Tensors) -> str:
    """What stands before ``embeddings.`` in the names: nothing, or the architecture's (``bert.``)."""
    last = "embeddings.word_embeddings.weight"
    for name in tensors:
        if name.endswith(last):
            return name.removesuffix(last)
    raise ModelMismatch("the weights lack word embeddings", hint="pull or export the model again")


class _Encoder:
    """One graph in the making: nodes and constants are appended in order of computation."""

    def __init__(self, weights: Tensors, shape: EncoderShape, precision: Precision, moments: Moments | None) -> None:
        self.weights = weights
        self.shape = shape
        self.precision = precision
        self.moments = moments
        self.inputs: dict[str, str] = {}
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def model(self, pooling: Pooling) -> Any:
        positions = self._positions()
        bias = self._relative_bias(positions) if self.shape.family == "mpnet" else ""
        hidden = self._embeddings(positions)
        for layer in range(self.shape.layers):
            hidden = self._layer(f"encoder.layer.{layer}.", hidden, bias)
        self._op("LpNormalization", hidden, axis=-1, p=2, out="tokens")
        self._op("LpNormalization", self._pooled(hidden, positions, pooling), axis=-1, p=2, out="embedding")
        dim = self.weights["embeddings.word_embeddings.weight"].shape[1]
        return self._finished(embedding=["batch", dim], tokens=["batch", "length", dim])

    def pair_model(self) -> Any:
        positions = self._positions()
        bias = self._relative_bias(positions) if self.shape.family == "mpnet" else ""
        hidden = self._embeddings(positions, pairs=True)
        last = self.shape.layers - 1
        for layer in range(last):
            hidden = self._layer(f"encoder.layer.{layer}.", hidden, bias)
        # The head reads the first token alone, so the last layer is spared the others: a seventh of six layers' work.
        self._score(self._layer(f"encoder.layer.{last}.", hidden, bias, first_only=True))
        return self._finished(score=["batch"])

    def _positions(self) -> str:
        length = self._op("Squeeze", self._op("Shape", "input_ids", start=1, end=2))
        return self._op("Range", self._const(np.int64(0)), length, self._const(np.int64(1)))

    def _embeddings(self, positions: str, *, pairs: bool = False) -> str:
        table = self._f32("embeddings.position_embeddings.weight")[self.shape.first_position :]
        if "embeddings.token_type_embeddings.weight" in self.weights:
            table = table + self._f32("embeddings.token_type_embeddings.weight")[0]
        words = self._word_rows(self._f32("embeddings.word_embeddings.weight"))
        total = self._op("Add", words, self._op("Gather", self._const(table), positions))
        if pairs and len(self.weights.get("embeddings.token_type_embeddings.weight", ())) > 1:
            total = self._op("Add", total, self._second_type(positions))
        norm = [self._const(self._f32(f"embeddings.LayerNorm.{part}")) for part in ("weight", "bias")]
        return self._op("LayerNormalization", total, *norm, epsilon=self.shape.epsilon)

    def _second_type(self, positions: str) -> str:
        """What tokens of type 1 have beside those of type 0: (batch, length, dim)."""
        types = self._f32("embeddings.token_type_embeddings.weight")
        second = self._op("GreaterOrEqual", positions, self._op("Unsqueeze", "first", self._const(np.array([1]))))
        column = self._op("Unsqueeze", self._op("Cast", second, to=TensorProto.FLOAT), self._const(np.array([2])))
        return self._op("Mul", column, self._const(types[1] - types[0]))

    def _word_rows(self, table: NDArray[np.float32]) -> str:
        if self.precision == "float32":
            return self._op("Gather", self._const(table), "input_ids")
        codes, scales = _quantized(table, levels=127, axis=1)
        rows = self._op("Cast", self._op("Gather", self._const(codes), "input_ids"), to=TensorProto.FLOAT)
        return self._op("Mul", rows, self._op("Gather", self._const(scales), "input_ids"))

    def _layer(self, prefix: str, hidden: str, attention_bias: str, *, first_only: bool = False) -> str:
        names = {part: prefix + name for part, name in _LAYERS[self.shape.family].items()}
        if first_only:
            asking = self._first_row(hidden, axis=1)
            bias = self._first_row(attention_bias, axis=2) if attention_bias else ""
            attended = self._attention_of(asking, names, hidden, bias)
        else:
            asking, attended = hidden, self._attention(names, hidden, attention_bias)
        hidden = self._skip_norm(
            names["attention_norm"], self._linear([names["attention"]], attended), asking, names["attention"]
        )
        wide = self._linear([names["widen"]], hidden)
        wide = self._op(self.shape.gelu, wide, self._bias([names["widen"]]), domain=_FUSED)
        return self._skip_norm(names["norm"], self._linear([names["narrow"]], wide), hidden, names["narrow"])

    def _attention(self, names: Mapping[str, str], hidden: str, attention_bias: str) -> str:
        parts = [names["query"], names["key"], names["value"]]
        queries, keys, values = self._split(self._linear(parts, hidden), "qkv")
        inputs = (queries, keys, values, self._bias(parts), "lengths", attention_bias)
        return self._op("MultiHeadAttention", *inputs, domain=_FUSED, num_heads=self.shape.heads)

    def _attention_of(self, asking: str, names: Mapping[str, str], hidden: str, attention_bias: str) -> str:
        """Attention of the rows ``asking`` alone to all of ``hidden``."""
        parts = [names["query"], names["key"], names["value"]]
        queries = self._linear(parts[:1], asking)
        keys, values = self._split(self._linear(parts[1:], hidden), "kv")
        inputs = (queries, keys, values, self._bias(parts), "lengths", attention_bias)
        return self._op("MultiHeadAttention", *inputs, domain=_FUSED, num_heads=self.shape.heads)

    def _split(self, packed: str, parts: str) -> list[str]:
        """The packed columns apart, a name's end for each letter of ``parts``."""
        outs = [f"{packed}.{part}" for part in parts]
        self.nodes.append(helper.make_node("Split", [packed], outs, axis=-1, num_outputs=len(outs)))
        return outs

    def _skip_norm(self, norm: str, branch: str, skip: str, linear: str) -> str:
        gamma, beta = (self._const(self._f32(f"{norm}.{part}")) for part in ("weight", "bias"))
        inputs = (branch, skip, gamma, beta, self._bias([linear]))
        return self._op("SkipLayerNormalization", *inputs, domain=_FUSED, epsilon=self.shape.epsilon)

    def _bias(self, names: list[str]) -> str:
        return self._const(np.concatenate([self._f32(f"{name}.bias") for name in names]))

    def _linear(self, names: list[str], x: str) -> str:
        """``x`` times the weights side by side; their biases are added by the fused operator that follows."""
        weight = np.concatenate([self._f32(f"{name}.weight").T for name in names], axis=1)
        self.inputs[names[0]] = x
        if self.precision == "float32":
            return self._op("MatMul", x, self._const(weight))
        if self.moments is None:
            codes, scales = _quantized(weight, levels=_WEIGHT_LEVELS, axis=0)
        else:
            codes, scales = compensated(weight, self.moments[names[0]], levels=_WEIGHT_LEVELS)
        peak = self._op("ReduceMax", self._op("Abs", x), self._const(np.array([-1])), keepdims=1)
        peak = self._op("Max", peak, self._const(np.float32(1e-9)))
        step, zero = self._const(np.float32(1 / _ACTIVATION_LEVELS)), self._const(np.uint8(128))
        tokens = self._op("QuantizeLinear", self._op("Div", x, peak), step, zero)
        inputs = (tokens, self._const(codes), step, self._const(scales[0]), zero, self._const(np.zeros_like(codes[0])))
        return self._op("Mul", self._op("MatMulIntegerToFloat", *inputs, domain=_FUSED), peak)

    def _relative_bias(self, positions: str) -> str:
        """MPNet's learned bias of attention scores by the distance of two tokens: (1, heads, length, length)."""
        table = self._f32("encoder.relative_attention_bias.weight")
        longest = len(self.weights["embeddings.position_embeddings.weight"]) - self.shape.first_position
        distances = np.arange(-longest + 1, longest)
        by_distance = np.ascontiguousarray(table[_buckets(distances, len(table))].T)
        column, row = (self._op("Unsqueeze", positions, self._const(np.array([axis]))) for axis in (1, 0))
        index = self._op("Add", self._op("Sub", row, column), self._const(np.int64(longest - 1)))
        bias = self._op("Gather", self._const(by_distance), index, axis=1)
        return self._op("Unsqueeze", bias, self._const(np.array([0])))

    def _pooled(self, hidden: str, positions: str, pooling: Pooling) -> str:
        if pooling == "cls":
            first = [self._const(np.array([value])) for value in (0, 1, 1)]  # from row 0 to row 1 of axis 1
            return self._op("Squeeze", self._op("Slice", hidden, *first), first[2])
        lengths = self._op("Unsqueeze", self._op("Cast", "lengths", to=TensorProto.INT64), self._const(np.array([1])))
        if pooling == "mean":  # the sum points the same way, and length is normalised away
            kept = self._op("Less", positions, lengths)
        else:
            kept = self._op("Equal", positions, self._op("Sub", lengths, self._const(np.int64(1))))
        row = self._op("Unsqueeze", self._op("Cast", kept, to=TensorProto.FLOAT), self._const(np.array([1])))
        return self._op("Squeeze", self._op("MatMul", row, hidden), self._const(np.array([1])))

    def _first_row(self, x: str, *, axis: int) -> str:
        begin, end, along = (self._const(np.array([value])) for value in (0, 1, axis))
        return self._op("Slice", x, begin, end, along)

    def _score(self, row: str) -> None:
        """The head over the first token's row (batch, 1, dim), as BERT's descendants and RoBERTa's have it."""
        roberta = "classifier.out_proj.weight" in self.weights
        dense, out = ("classifier.dense", "classifier.out_proj") if roberta else ("pooler.dense", "classifier")
        hidden = self._op("MatMul", row, self._const(self._f32(f"{dense}.weight").T))
        hidden = self._op("Tanh", self._op("Add", hidden, self._bias([dense])))
        weight, bias = _one_class(self._f32(f"{out}.weight"), self._f32(f"{out}.bias"))
        logit = self._op("Add", self._op("MatMul", hidden, self._const(weight)), self._const(bias))
        self._op("Squeeze", logit, self._const(np.array([1])), out="score")

    def _finished(self, **outputs: list[str | int]) -> Any:
        """The model with outputs of these shapes."""
        inputs = [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"]),
            helper.make_tensor_value_info("lengths", TensorProto.INT32, ["batch"]),
        ]
        if "score" in outputs:
            inputs.append(helper.make_tensor_value_info("first", TensorProto.INT64, ["batch"]))
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs.items()]
        graph = helper.make_graph(self.nodes, "encoder", inputs, results, self.constants)
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(_FUSED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def _f32(self, name: str) -> NDArray[np.float32]:
        if name not in self.weights:
            hint = "pull or export the model again; a cross-encoder holds a classification head of one class besides"
            raise ModelMismatch(f"the weights lack tensor {name!r}", hint=hint)
        return np.asarray(self.weights[name], dtype=np.float32)

    def _const(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def _op(self, kind: str, *inputs: str, domain: str = "", out: str = "", **attributes: Any) -> str:
        out = out or f"{kind}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], domain=domain, **attributes))
        return out


def _one_class(weight: NDArray[np.float32], bias: NDArray[np.float32]) -> tuple[NDArray[np.float32], Any]:
    """Weight (dim,) and bias of a single logit, out of a head's (classes, dim) and (classes,)."""
    if len(weight) == 1:
        return weight[0], bias[0]
    if len(weight) == 2:
        return weight[1] - weight[0], bias[1] - bias[0]
    raise ModelMismatch(
        f"the head tells {len(weight)} classes apart", hint="a cross-encoder has one, or two of which the second is yes"
    )


def _quantized(weight: NDArray[np.float32], *, levels: int, axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 codes and float32 scales, one scale per line along ``axis``; ``codes * scales`` is the weight."""
    scales = np.maximum(np.abs(weight).max(axis=axis, keepdims=True), 1e-12) / levels
    return np.rint(weight / scales).astype(np.int8), scales.astype(np.float32)


def _buckets(distances: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """T5's bucket of each distance (key minus query): exact when near, logarithmic up to 128 when far."""
    half, exact = count // 2, count // 4
    away = np.abs(distances)
    ratio = np.log(np.maximum(away, 1).astype(np.float32) / np.float32(exact)) / np.float32(np.log(128 / exact))
    far = exact + (ratio * np.float32(half - exact)).astype(np.int64)
    return np.where(distances > 0, half, 0) + np.where(away < exact, away, np.minimum(far, half - 1))
