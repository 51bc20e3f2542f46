"""The codec of late interaction: the conformance suite at every width, and the layout that houses keep on disk."""

from __future__ import annotations

import numpy as np
import pytest

from freehold.core.errors import HouseMismatch, ModelMismatch
from freehold.core.ports import TokenCodec
from freehold.models.rerank import FORMAT, LateInteraction
from freehold.testing.reranker import DIM, TokenCodecCase, exact, synthetic, unit_rows


class TestOneBit(TokenCodecCase):
    tolerance = 0.25

    def make_codec(self, *, dim: int) -> TokenCodec:
        return LateInteraction(dim, bits=1)


class TestTwoBits(TokenCodecCase):
    def make_codec(self, *, dim: int) -> TokenCodec:
        return LateInteraction(dim)


class TestFourBits(TokenCodecCase):
    tolerance = 0.01

    def make_codec(self, *, dim: int) -> TokenCodec:
        return LateInteraction(dim, bits=4)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_size_and_mark(bits):
    code = LateInteraction(DIM, bits=bits).encode(synthetic(passages=1, seed=1))[0]
    assert len(code.data) == 1 + code.count * DIM * bits // 8
    assert code.data[0] == FORMAT << 4 | bits


def test_the_layout_on_disk_is_fixed():
    """Codes written by an earlier release must mean the same in this one: this vector always gives these bytes."""
    vector = np.cos(np.arange(16) ** 2 / 7.0).astype(np.float32)[None]
    vector /= np.linalg.norm(vector)
    expected = {1: "110042", 2: "125051654c", 4: "1454225545695773d3"}
    for bits, data in expected.items():
        assert LateInteraction(16, bits=bits).encode([vector])[0].data.hex() == data


def test_the_rotation_protects_from_a_model_with_outlying_coordinates():
    """Some encoders put most of a vector's length into a few coordinates; without it two bits would drown the rest."""
    rng = np.random.default_rng(2)
    heavy = np.ones(DIM)
    heavy[:4] = 12

    def stretched(tokens):
        return unit_rows((rng.standard_normal((tokens, DIM)) * heavy).astype(np.float32))

    passages, query = [stretched(60) for _ in range(50)], stretched(16)
    turned, straight = LateInteraction(DIM), LateInteraction(DIM)
    straight._rotation = np.eye(DIM, dtype=np.float32)
    truth = exact(query, passages)
    agreement = [np.corrcoef(r.score(query, r.encode(passages)), truth)[0, 1] for r in (turned, straight)]
    assert agreement[0] > 0.93
    assert agreement[0] > agreement[1] + 0.1


def test_more_bits_come_closer():
    passages, query = synthetic(passages=20, seed=3), synthetic(passages=1, seed=4)[0][:16]
    rerankers = [LateInteraction(DIM, bits=bits) for bits in (1, 2, 4)]
    errors = [np.abs(r.score(query, r.encode(passages)) - exact(query, passages)).mean() for r in rerankers]
    assert errors[0] > errors[1] > errors[2]


def test_names_tell_codecs_apart_and_one_does_not_read_the_other():
    one, two = LateInteraction(DIM, bits=1), LateInteraction(DIM, bits=2)
    tokens = synthetic(passages=1, seed=5)
    assert one.name != two.name
    with pytest.raises(HouseMismatch):
        two.score(tokens[0], one.encode(tokens))


def test_equal_passages_score_alike():
    passage, query = synthetic(passages=1, seed=6)[0], synthetic(passages=1, seed=7)[0][:9]
    reranker = LateInteraction(DIM)
    codes = reranker.encode([passage, *synthetic(passages=40, seed=8), passage])
    scores = reranker.score(query, codes)
    assert scores[0] == scores[-1]


def test_a_dimension_that_does_not_fill_bytes_is_refused():
    with pytest.raises(ModelMismatch):
        LateInteraction(100)
