"""What every ``Embedder`` must do. Subclass, give an ``embedder`` fixture, and inherit the tests.

    class TestMyEmbedder(EmbedderCase):
        token_vectors = True
        prefixed = False

        @pytest.fixture
        def embedder(self) -> Embedder: ...   # of a module-wide fixture, where opening takes long

Needs pytest and hypothesis. ``TEXTS`` stay below 60 tokens each in any common vocabulary.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.core.errors import ContextOverflow, SettingsError
from freehold.core.ports import Embedder

TEXTS = (
    "The notice period is thirty days.",
    "Records are kept for six years in a form that cannot be altered without trace, and produced on request.",
    "",
    "   \n\t ",
    "Naïve café: ½ ﬁne, Straße, 日本語, 😀 and 𝔘𝔫𝔦𝔠𝔬𝔡𝔢.",
    "a\u0301 combining, zero\u200bwidth, soft\u00adhyphen, \x07bell",
    "[CLS] </s> [SEP] <s> [PAD] [MASK]",
    "Wie lange ist die Kündigungsfrist?",
    "x",
    "The excess is EUR 250 for each event; for escape of water it is EUR 500.",
)

_TEXT = st.text(st.characters(codec="utf-8"), max_size=40)


class EmbedderCase:
    """The contract of ``freehold.core.ports.Embedder``, on real parts."""

    token_vectors = True
    """Whether ``tokens=True`` is served; if not, it must be refused with SettingsError."""
    prefixed = False
    """Whether queries and documents get different prefixes."""
    tolerance = 1e-5
    """Largest difference between a vector made alone and one made in company."""

    @pytest.fixture
    def embedder(self) -> Embedder:
        raise NotImplementedError("return the embedder under test")

    def test_rows_are_float32_of_unit_norm(self, embedder: Embedder) -> None:
        vectors = embedder.embed_documents(TEXTS).vectors
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(TEXTS), embedder.info.dim)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_is_deterministic(self, embedder: Embedder) -> None:
        first, second = (embedder.embed_documents(TEXTS).vectors for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_nothing_gives_nothing(self, embedder: Embedder) -> None:
        assert embedder.embed_documents([]).vectors.shape == (0, embedder.info.dim)
        assert embedder.embed_queries([]).vectors.shape == (0, embedder.info.dim)

    def test_a_vector_does_not_depend_on_company_or_order(self, embedder: Embedder) -> None:
        together = embedder.embed_documents([*TEXTS, *TEXTS]).vectors
        reverse = embedder.embed_documents(TEXTS[::-1]).vectors[::-1]
        alone = np.concatenate([embedder.embed_documents([text]).vectors for text in TEXTS])
        for other in (together[: len(TEXTS)], together[len(TEXTS) :], reverse):
            np.testing.assert_allclose(other, alone, atol=self.tolerance)

    def test_like_texts_are_nearer_than_unlike(self, embedder: Embedder) -> None:
        water, notice = TEXTS[-1], TEXTS[0]
        query = embedder.embed_queries(["How much do I pay myself after water damage?"]).vectors[0]
        vectors = embedder.embed_documents([water, notice]).vectors
        assert vectors[0] @ query > vectors[1] @ query

    def test_prefixes_set_queries_apart(self, embedder: Embedder) -> None:
        as_document = embedder.embed_documents(TEXTS[:2]).vectors
        as_query = embedder.embed_queries(TEXTS[:2]).vectors
        assert np.allclose(as_document, as_query, atol=self.tolerance) != self.prefixed

    def test_progress_counts_up_to_all(self, embedder: Embedder) -> None:
        seen: list[int] = []
        embedder.embed_documents(TEXTS * 5, progress=seen.append)
        assert seen == sorted(seen)
        assert seen[-1] == len(TEXTS) * 5

    def test_too_long_is_refused_by_index_before_work(self, embedder: Embedder) -> None:
        secret, seen = "zebra", list[int]()
        texts = ["short", f"{secret} " * (embedder.info.max_tokens + 1)]
        with pytest.raises(ContextOverflow) as caught:
            embedder.embed_documents(texts, progress=seen.append)
        assert caught.value.refs == ("1",)
        assert str(embedder.info.max_tokens) in caught.value.message
        assert secret not in str(caught.value.as_dict())
        assert seen == []
        with pytest.raises(ContextOverflow):
            embedder.embed_queries(texts[1:])

    def test_the_limit_itself_is_fine(self, embedder: Embedder) -> None:
        word = "a "
        per_word = len(embedder.offsets(word * 10)) / 10
        assert per_word == 1
        text = word * (embedder.info.max_tokens - embedder.overhead_tokens)
        assert embedder.embed_documents([text]).vectors.shape == (1, embedder.info.dim)
        with pytest.raises(ContextOverflow):
            embedder.embed_documents([text + word])

    @settings(
        max_examples=200,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(text=_TEXT)
    def test_offsets_ascend_inside_the_text(self, embedder: Embedder, text: str) -> None:
        spans = list(embedder.offsets(text))
        assert all(0 <= start <= end <= len(text) for start, end in spans)
        assert spans == sorted(spans)
        assert [end for _, end in spans] == sorted(end for _, end in spans)

    def test_offsets_are_in_code_points(self, embedder: Embedder) -> None:
        text = "😀😀 naïve 𝔘 water"
        start, end = embedder.offsets(text)[-1]
        assert end == len(text)
        assert text.index("water") <= start

    def test_offsets_cover_every_word(self, embedder: Embedder) -> None:
        text = TEXTS[1] + "\n\n" + TEXTS[7]
        covered = set()
        for start, end in embedder.offsets(text):
            covered |= set(range(start, end))
        assert all(i in covered for i, character in enumerate(text) if not character.isspace())

    def test_token_vectors_align_with_offsets(self, embedder: Embedder) -> None:
        if not self.token_vectors:
            with pytest.raises(SettingsError):
                embedder.embed_documents(TEXTS, tokens=True)
            return
        for embed in (embedder.embed_documents, embedder.embed_queries):
            assert embed(TEXTS).tokens is None
            result = embed(TEXTS, tokens=True)
            np.testing.assert_allclose(result.vectors, embed(TEXTS).vectors, atol=self.tolerance)
            assert result.tokens is not None
            assert [len(rows) for rows in result.tokens] == [len(embedder.offsets(text)) for text in TEXTS]
            for rows in result.tokens:
                assert rows.dtype == np.float32
                np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
