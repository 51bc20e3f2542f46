"""Conformance suites for reranking: subclass one in a test module and run pytest.

    class TestMyReranker(RerankerCase):
        def make_reranker(self, passages: Mapping[str, str]) -> Reranker: ...

    class TestMyCodec(TokenCodecCase):
        def make_codec(self, *, dim: int) -> TokenCodec: ...

Need pytest. A codec's scores are compared with ``exact``, the readable version of MaxSim over the vectors as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from freehold.core.errors import FreeholdError
from freehold.core.ports import Reranker, TokenCodec
from freehold.core.types import Embeddings

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


PASSAGES: Mapping[str, str] = {
    "rent": "The rent is 900 euros a month.",
    "notice": "Notice is given in writing, three months before the end of a quarter, to the address below.",
    "keys": "There are two keys. A lost key is reported at once.",
    "empty": "...",
    "pets": "Cats are welcome; dogs after a word with the neighbours. " * 3,
    "winter": "In winter the tenant clears the snow before eight o'clock.",
    "again": "The rent is 900 euros a month.",
}
"""Chunk id -> text. Two are the same."""
QUESTIONS = ("How much is the rent?", "May I keep a dog?", "keys")


class RerankerCase:
    """What every reranker must do. Its model may be any: no test asks which passage is the best.

    ``tolerance``: how far a score may move with what is scored beside it.
    """

    tolerance = 1e-3

    def make_reranker(self, passages: Mapping[str, str]) -> Reranker:
        """A reranker over a shelf that holds these texts under these chunk ids."""
        raise NotImplementedError

    def embed(self, questions: Sequence[str]) -> Embeddings | None:  # noqa: ARG002
        """What the house's embedder makes of questions, for a reranker that reads its tokens."""
        return None

    @pytest.fixture
    def reranker(self) -> Reranker:
        """The reranker under test."""
        return self.make_reranker(PASSAGES)

    def ask(self, reranker: Reranker, question: str, chunk_ids: Sequence[str]) -> Mapping[str, float | None]:
        """Scores for one question."""
        return reranker.ready([question], self.embed([question]))[0].scores(chunk_ids)

    def near(self, one: Mapping[str, float | None], other: Mapping[str, float | None]) -> None:
        """Raise AssertionError where two sets of scores differ by more than the tolerance."""
        assert one.keys() == other.keys()
        for chunk_id, score in one.items():
            assert score == pytest.approx(other[chunk_id], abs=self.tolerance), chunk_id

    def test_what_is_on_the_shelf_is_scored(self, reranker: Reranker) -> None:
        """A finite number each; ids that are gone are left out, wherever they stand."""
        scores = self.ask(reranker, QUESTIONS[0], ["gone", *PASSAGES, "also gone"])
        assert scores.keys() == PASSAGES.keys()
        assert all(score is not None and np.isfinite(score) for score in scores.values())
        assert len({round(score or 0, 3) for score in scores.values()}) > 2
        assert scores["rent"] == pytest.approx(scores["again"], abs=self.tolerance)

    def test_a_score_does_not_depend_on_its_company(self, reranker: Reranker) -> None:
        """Nor on order, on what was scored before, or on the questions that were prepared in the same pass."""
        together = self.ask(reranker, QUESTIONS[1], list(PASSAGES))
        self.near(self.ask(reranker, QUESTIONS[1], list(PASSAGES)[::-1]), together)
        scorer = reranker.ready(QUESTIONS, self.embed(QUESTIONS))[1]
        one_by_one: dict[str, float | None] = {}
        for chunk_id in PASSAGES:
            one_by_one |= scorer.scores([chunk_id])
        self.near(one_by_one, together)
        self.near(scorer.scores(list(PASSAGES)), together)

    def test_questions_have_scores_of_their_own(self, reranker: Reranker) -> None:
        """Scorers come in the order of the questions and do not mix them up."""
        scorers = reranker.ready(QUESTIONS, self.embed(QUESTIONS))
        assert len(scorers) == len(QUESTIONS)
        scores = [scorer.scores(list(PASSAGES)) for scorer in scorers]
        for question, own in zip(QUESTIONS, scores, strict=True):
            self.near(self.ask(reranker, question, list(PASSAGES)), own)
        assert scores[0] != scores[1]

    def test_the_time_it_takes_is_foretold_by_what_it_took(self, reranker: Reranker) -> None:
        """0 before anything was measured; then more for more, and about what it took."""
        scorer = reranker.ready(QUESTIONS[:1], self.embed(QUESTIONS[:1]))[0]
        assert scorer.predicted_ms(list(PASSAGES)) == 0
        scorer.scores(list(PASSAGES))
        later = reranker.ready(QUESTIONS[1:2], self.embed(QUESTIONS[1:2]))[0]
        assert 0 < later.predicted_ms(["rent", "keys"]) < later.predicted_ms(list(PASSAGES))
        assert later.predicted_ms([]) == 0

    def test_nothing_gives_nothing(self, reranker: Reranker) -> None:
        """No question, no candidate, none that is still there."""
        assert list(reranker.ready([], self.embed([]))) == []
        assert self.ask(reranker, QUESTIONS[0], []) == {}
        assert self.ask(reranker, QUESTIONS[0], ["gone"]) == {}

    def test_it_says_what_it_is(self, reranker: Reranker) -> None:
        """One made anew of the same has the same name and digest."""
        assert reranker.name
        assert reranker.unit
        assert reranker.block >= 1
        other = self.make_reranker(PASSAGES)
        assert (other.name, other.digest) == (reranker.name, reranker.digest)


class TokenCodecCase:
    """What every codec of token vectors must do. ``tolerance`` is its largest error of a score."""

    tolerance = 0.08

    def make_codec(self, *, dim: int) -> TokenCodec:
        """A codec for token vectors of ``dim`` numbers."""
        raise NotImplementedError

    @pytest.fixture
    def codec(self) -> TokenCodec:
        """The codec under test."""
        return self.make_codec(dim=DIM)

    def test_scores_are_maxsim_within_the_tolerance(self, codec: TokenCodec) -> None:
        """One float32 in [-1, 1] for each candidate, in their order."""
        passages = synthetic(passages=30, seed=1)
        query = synthetic(passages=1, seed=2)[0][:20]
        scores = codec.score(query, codec.encode(passages))
        assert scores.shape == (30,)
        assert scores.dtype == np.float32
        assert np.abs(scores).max() <= 1
        np.testing.assert_allclose(scores, exact(query, passages), atol=self.tolerance)

    def test_the_passage_that_holds_the_query_wins(self, codec: TokenCodec) -> None:
        """A noisy copy of a few of a passage's tokens finds that passage."""
        rng = np.random.default_rng(3)
        passages = synthetic(passages=40, seed=4)
        codes = codec.encode(passages)
        for wanted in range(40):
            tokens = passages[wanted][:8]
            query = unit_rows((tokens + 0.02 * rng.standard_normal(tokens.shape)).astype(np.float32))
            assert int(np.argmax(codec.score(query, codes))) == wanted

    def test_a_score_does_not_depend_on_its_company(self, codec: TokenCodec) -> None:
        """Neither on the other candidates nor on their order, nor on the order of the query's tokens."""
        passages = synthetic(passages=25, seed=5)
        query = synthetic(passages=1, seed=6)[0][:12]
        codes = codec.encode(passages)
        scores = codec.score(query, codes)
        alone = np.array([codec.score(query, [code])[0] for code in codes])
        np.testing.assert_allclose(alone, scores, atol=COMPANY)
        np.testing.assert_allclose(codec.score(query, codes[::-1])[::-1], scores, atol=COMPANY)
        np.testing.assert_allclose(codec.score(query[::-1].copy(), codes), scores, atol=COMPANY)

    def test_codes_of_a_text_depend_on_nothing_else(self, codec: TokenCodec) -> None:
        """Erasing a document leaves no trace in another's codes: the same alone, in company and after others."""
        passages = synthetic(passages=6, seed=7)
        together = list(codec.encode(passages))
        assert together == [codec.encode([passage])[0] for passage in passages]
        fresh = self.make_codec(dim=DIM)
        assert list(fresh.encode(passages[3:])) == together[3:]
        assert fresh.name == codec.name
        assert [code.count for code in together] == [len(passage) for passage in passages]

    def test_arguments_stay_as_they_are(self, codec: TokenCodec) -> None:
        """Nothing that comes in is written to."""
        passages = synthetic(passages=3, seed=8)
        query = passages[0][:4].copy()
        before = [passage.copy() for passage in passages]
        for array in (*passages, query):
            array.flags.writeable = False
        codec.score(query, codec.encode(passages))
        assert all(np.array_equal(a, b) for a, b in zip(passages, before, strict=True))

    def test_nothing_gives_nothing(self, codec: TokenCodec) -> None:
        """No texts, no candidates, a text without tokens, a query without tokens."""
        empty = np.zeros((0, DIM), dtype=np.float32)
        query = synthetic(passages=1, seed=9)[0]
        assert list(codec.encode([])) == []
        assert codec.score(query, []).shape == (0,)
        codes = codec.encode([empty, query, empty])
        scores = codec.score(query, codes)
        assert scores[0] == scores[2] == 0 < scores[1]
        assert codec.score(empty, codes).tolist() == [0, 0, 0]

    def test_vectors_of_another_dimension_are_refused(self, codec: TokenCodec) -> None:
        """As an error of the house with a way out, both in encoding and in scoring."""
        other = unit_rows(np.ones((2, DIM * 2), dtype=np.float32))
        codes = codec.encode(synthetic(passages=1, seed=10))
        for call in (lambda: codec.encode([other]), lambda: codec.score(other, codes)):
            with pytest.raises(FreeholdError) as caught:
                call()
            assert caught.value.hint

    def test_data_of_another_codec_is_refused(self, codec: TokenCodec) -> None:
        """Damaged, cut or foreign codes are never scored."""
        query = synthetic(passages=1, seed=11)[0]
        good = codec.encode([query])[0]
        for data in (good.data[:-1], b"", bytes([good.data[0] ^ 0xFF]) + good.data[1:]):
            with pytest.raises(FreeholdError) as caught:
                codec.score(query, [replace(good, data=data)])
            assert caught.value.hint
