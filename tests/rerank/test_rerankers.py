"""Both rerankers on a real shelf: the conformance suite, and what each of them reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from tiny_encoders import tiny_cross_encoder

from freehold.core.ports import Embedder, Reranker
from freehold.core.shelf import Changes
from freehold.core.types import Embeddings
from freehold.journeys.rerank import Pace, TextReranker, TokenReranker
from freehold.models.cross_encoder import open_cross_encoder
from freehold.models.embed import open_embedder
from freehold.models.rerank import LateInteraction
from freehold.testing.reranker import PASSAGES, QUESTIONS, RerankerCase, exact

from .small_shelf import shelf_of

OWN, OTHER = "digest of the house's encoder", "digest of another"


@pytest.fixture(scope="module")
def encoder(minilm: Path) -> Embedder:
    return open_embedder("onnx", str(minilm), threads=1)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny cross-encoder of random weights."""
    return tiny_cross_encoder(tmp_path_factory.mktemp("pairs"))


class TokenCase(RerankerCase):
    """Late interaction over a shelf whose codes the encoder made."""

    tolerance = 1e-5
    own_encoder = False

    @pytest.fixture(autouse=True)
    def _engines(self, encoder: Embedder, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.encoder, self.roots = encoder, tmp_path_factory
        self.codec = LateInteraction(encoder.info.dim)

    def make_reranker(self, passages: Mapping[str, str]) -> Reranker:
        tokens = self.encoder.embed_documents(list(passages.values()), tokens=True).tokens
        assert tokens is not None
        codes = dict(zip(passages, self.codec.encode(tokens), strict=True))
        shelf = shelf_of(self.roots.mktemp("shelf"), passages, codes, maker=OWN)
        return TokenReranker(shelf, self.codec, maker=OWN, encoder=self.encoder if self.own_encoder else None)


class TestOwnTokens(TokenCase):
    def embed(self, questions: Sequence[str]) -> Embeddings | None:
        return self.encoder.embed_queries(questions, tokens=True)

    def test_the_passage_with_the_words_of_the_question_is_the_best(self, reranker: Reranker) -> None:
        assert reranker.reads_tokens
        scores = self.ask(reranker, PASSAGES["winter"], list(PASSAGES))
        assert max(PASSAGES, key=lambda chunk_id: scores[chunk_id] or 0) == "winter"

    def test_scores_are_the_codecs(self, reranker: Reranker) -> None:
        embeddings = self.embed(QUESTIONS)
        made = self.encoder.embed_documents(list(PASSAGES.values()), tokens=True).tokens
        assert embeddings is not None
        assert embeddings.tokens is not None
        assert made is not None
        scores = self.ask(reranker, QUESTIONS[0], list(PASSAGES))
        truth = exact(embeddings.tokens[0], made)
        np.testing.assert_allclose([scores[chunk_id] or 0 for chunk_id in PASSAGES], truth, atol=0.08)


class TestOtherEncoder(TokenCase):
    own_encoder = True

    def test_it_reads_questions_by_itself(self, reranker: Reranker) -> None:
        assert not reranker.reads_tokens
        (scorer,) = reranker.ready([PASSAGES["keys"]], None)
        scores = scorer.scores(list(PASSAGES))
        assert max(PASSAGES, key=lambda chunk_id: scores[chunk_id] or 0) == "keys"
        assert self.encoder.info.name in reranker.name


class TestTexts(RerankerCase):
    @pytest.fixture(autouse=True)
    def _engines(self, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.pairs, self.roots = pairs, tmp_path_factory

    def make_reranker(self, passages: Mapping[str, str]) -> Reranker:
        shelf = shelf_of(self.roots.mktemp("shelf"), passages, {}, maker=OWN)
        return TextReranker(shelf, open_cross_encoder(self.pairs, threads=2))

    def test_scores_are_the_models_on_texts_under_their_headings(self, reranker: Reranker) -> None:
        assert not reranker.reads_tokens
        model = open_cross_encoder(self.pairs, threads=1)
        expected = model.scores(QUESTIONS[0], [f"House rules\n\n{text}" for text in PASSAGES.values()])
        scores = self.ask(reranker, QUESTIONS[0], list(PASSAGES))
        np.testing.assert_allclose([scores[chunk_id] or 0 for chunk_id in PASSAGES], expected, atol=2e-4)

    def test_what_is_foretold_is_read_once(self, reranker: Reranker) -> None:
        (scorer,) = reranker.ready(QUESTIONS[:1], None)
        scorer.scores(list(PASSAGES))
        scorer.predicted_ms(["rent"])
        assert scorer.scores(["rent"])["rent"] == pytest.approx(scorer.scores(["again"])["again"], abs=1e-3)


def test_codes_of_another_encoder_are_not_read(encoder: Embedder, tmp_path: Path) -> None:
    """A chunk that the encoder has not made codes of has no score, which is not a score of zero."""
    codec = LateInteraction(encoder.info.dim)
    tokens = encoder.embed_documents(list(PASSAGES.values()), tokens=True).tokens
    assert tokens is not None
    codes = dict(zip(PASSAGES, codec.encode(tokens), strict=True))
    shelf = shelf_of(tmp_path, PASSAGES, codes, maker=OWN)
    stranger = TokenReranker(shelf, codec, maker=OTHER, encoder=encoder)
    scores = stranger.ready(QUESTIONS[:1], None)[0].scores([*PASSAGES, "gone"])
    assert scores == dict.fromkeys(PASSAGES)
    assert stranger.digest != TokenReranker(shelf, codec, maker=OWN, encoder=encoder).digest


def test_a_deleted_chunk_is_gone_for_both(encoder: Embedder, pairs: Path, tmp_path: Path) -> None:
    codec = LateInteraction(encoder.info.dim)
    shelf = shelf_of(tmp_path, PASSAGES, {}, maker=OWN)
    shelf.commit(Changes(remove=[shelf.views(["keys"])["keys"].chunk.document_id]))
    rerankers: list[Reranker] = [
        TokenReranker(shelf, codec, maker=OWN, encoder=encoder),
        TextReranker(shelf, open_cross_encoder(pairs, threads=1)),
    ]
    for reranker in rerankers:
        scores = reranker.ready(QUESTIONS[:1], None)[0].scores(list(PASSAGES))
        assert scores.keys() == PASSAGES.keys() - {"keys"}


def test_one_hiccup_does_not_change_the_pace() -> None:
    pace = Pace()
    assert pace.predicted_ms(10) == 0
    pace.learn(0, 5.0)
    assert pace.predicted_ms(10) == 0
    for _ in range(5):
        pace.learn(10, 20.0)
    pace.learn(10, 9000.0)
    assert pace.predicted_ms(5) == 10
    for _ in range(9):
        pace.learn(1, 4.0)
    assert pace.predicted_ms(5) == 20
