"""The conformance suite of the ``Reranker`` port: subclass ``RerankerCase`` in a test module and run pytest.

    class TestMyReranker(RerankerCase):
        def make_reranker(self, *, dim: int) -> Reranker: ...

Needs pytest. Scores are compared with ``exact``, the readable version of MaxSim over the vectors as they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from freehold.core.errors import FreeholdError
from freehold.core.ports import Reranker

if TYPE_CHECKING:
    from freehold.core.types import Float32

DIM = 384
COMPANY = 2e-6
"""Sums of float32 may differ in the last digits with what is scored beside them."""


def exact(query: Float32, passages: Sequence[Float32]) -> Float32:
    """float32 (len(passages),): MaxSim by its definition."""
    return np.array([(query @ passage.T).max(axis=1).mean() for passage in passages], dtype=np.float32)


def unit_rows(rows: Float32) -> Float32:
    """The rows scaled to unit L2 norm."""
    scaled: Float32 = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


def synthetic(*, passages: int, seed: int) -> list[Float32]:
    """Token vectors of passages of 1 to 200 tokens. Like an encoder's, those of one passage lean the same way."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 200, passages)
    return [
        unit_rows((rng.standard_normal((n, DIM)) + rng.standard_normal(DIM)).astype(np.float32))
        for n in lengths.tolist()
    ]


class RerankerCase:
    """What every reranker over token vectors must do. ``tolerance`` is the codec's largest error of a score."""

    tolerance = 0.08

    def make_reranker(self, *, dim: int) -> Reranker:
        """A reranker for token vectors of ``dim`` numbers."""
        raise NotImplementedError

    @pytest.fixture
    def reranker(self) -> Reranker:
        """The reranker under test."""
        return self.make_reranker(dim=DIM)

    def test_scores_are_maxsim_within_the_tolerance(self, reranker: Reranker) -> None:
        """One float32 in [-1, 1] for each candidate, in their order."""
        passages = synthetic(passages=30, seed=1)
        query = synthetic(passages=1, seed=2)[0][:20]
        scores = reranker.score(query, reranker.encode(passages))
        assert scores.shape == (30,)
        assert scores.dtype == np.float32
        assert np.abs(scores).max() <= 1
        np.testing.assert_allclose(scores, exact(query, passages), atol=self.tolerance)

    def test_the_passage_that_holds_the_query_wins(self, reranker: Reranker) -> None:
        """A noisy copy of a few of a passage's tokens finds that passage."""
        rng = np.random.default_rng(3)
        passages = synthetic(passages=40, seed=4)
        codes = reranker.encode(passages)
        for wanted in range(40):
            tokens = passages[wanted][:8]
            query = unit_rows((tokens + 0.02 * rng.standard_normal(tokens.shape)).astype(np.float32))
            assert int(np.argmax(reranker.score(query, codes))) == wanted

    def test_a_score_does_not_depend_on_its_company(self, reranker: Reranker) -> None:
        """Neither on the other candidates nor on their order, nor on the order of the query's tokens."""
        passages = synthetic(passages=25, seed=5)
        query = synthetic(passages=1, seed=6)[0][:12]
        codes = reranker.encode(passages)
        scores = reranker.score(query, codes)
        alone = np.array([reranker.score(query, [code])[0] for code in codes])
        np.testing.assert_allclose(alone, scores, atol=COMPANY)
        np.testing.assert_allclose(reranker.score(query, codes[::-1])[::-1], scores, atol=COMPANY)
        np.testing.assert_allclose(reranker.score(query[::-1].copy(), codes), scores, atol=COMPANY)

    def test_codes_of_a_text_depend_on_nothing_else(self, reranker: Reranker) -> None:
        """Erasing a document leaves no trace in another's codes: the same alone, in company and after others."""
        passages = synthetic(passages=6, seed=7)
        together = list(reranker.encode(passages))
        assert together == [reranker.encode([passage])[0] for passage in passages]
        fresh = self.make_reranker(dim=DIM)
        assert list(fresh.encode(passages[3:])) == together[3:]
        assert fresh.name == reranker.name
        assert [code.count for code in together] == [len(passage) for passage in passages]

    def test_arguments_stay_as_they_are(self, reranker: Reranker) -> None:
        """Nothing that comes in is written to."""
        passages = synthetic(passages=3, seed=8)
        query = passages[0][:4].copy()
        before = [passage.copy() for passage in passages]
        for array in (*passages, query):
            array.flags.writeable = False
        reranker.score(query, reranker.encode(passages))
        assert all(np.array_equal(a, b) for a, b in zip(passages, before, strict=True))

    def test_nothing_gives_nothing(self, reranker: Reranker) -> None:
        """No texts, no candidates, a text without tokens, a query without tokens."""
        empty = np.zeros((0, DIM), dtype=np.float32)
        query = synthetic(passages=1, seed=9)[0]
        assert list(reranker.encode([])) == []
        assert reranker.score(query, []).shape == (0,)
        codes = reranker.encode([empty, query, empty])
        scores = reranker.score(query, codes)
        assert scores[0] == scores[2] == 0 < scores[1]
        assert reranker.score(empty, codes).tolist() == [0, 0, 0]

    def test_vectors_of_another_dimension_are_refused(self, reranker: Reranker) -> None:
        """As an error of the house with a way out, both in encoding and in scoring."""
        other = unit_rows(np.ones((2, DIM * 2), dtype=np.float32))
        codes = reranker.encode(synthetic(passages=1, seed=10))
        for call in (lambda: reranker.encode([other]), lambda: reranker.score(other, codes)):
            with pytest.raises(FreeholdError) as caught:
                call()
            assert caught.value.hint

    def test_data_of_another_codec_is_refused(self, reranker: Reranker) -> None:
        """Damaged, cut or foreign codes are never scored."""
        query = synthetic(passages=1, seed=11)[0]
        good = reranker.encode([query])[0]
        for data in (good.data[:-1], b"", bytes([good.data[0] ^ 0xFF]) + good.data[1:]):
            with pytest.raises(FreeholdError) as caught:
                reranker.score(query, [replace(good, data=data)])
            assert caught.value.hint
