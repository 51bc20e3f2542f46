"""MinHash: the estimate against the true similarity, the index against comparing all."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.core.errors import UsageError
from freehold.text.duplicates import SIGNATURE_BYTES, NearDuplicates, signature, similarity

VOCABULARY = [f"word{n}" for n in range(5000)]


def shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.casefold())
    return {tuple(words[at : at + 5]) for at in range(max(1, len(words) - 4))}


def jaccard(one: str, other: str) -> float:
    return len(shingles(one) & shingles(other)) / len(shingles(one) | shingles(other))


def document(seed: int, words: int = 600) -> list[str]:
    return random.Random(seed).choices(VOCABULARY, k=words)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 600))
def test_the_estimate_agrees_with_the_true_similarity(seed: int, kept: int) -> None:
    """Five standard errors of 128 coin throws: one failure in some two million."""
    one, other = document(seed), document(seed)[:kept] + document(seed + 1)[kept:]
    true = jaccard(" ".join(one), " ".join(other))
    estimate = similarity(signature(" ".join(one)), signature(" ".join(other)))
    assert abs(estimate - true) <= 5 * max((true * (1 - true) / 128) ** 0.5, 1 / 128)


def test_estimates_are_not_biased() -> None:
    errors = []
    for seed in range(200):
        one, other = document(seed), document(seed)[:500] + document(seed + 1)[500:]
        estimate = similarity(signature(" ".join(one)), signature(" ".join(other)))
        errors.append(estimate - jaccard(" ".join(one), " ".join(other)))
    assert abs(sum(errors) / len(errors)) < 0.01


def test_signatures_ignore_case_spacing_and_punctuation() -> None:
    assert signature("The Supplier shall deliver, within 30 days.") == signature(
        "the supplier SHALL deliver within 30\ndays"
    )


def test_signatures_never_change() -> None:
    """They are kept on disk: another value here would part old documents from new ones."""
    value = signature("The supplier shall deliver the goods within thirty days.")
    assert len(value) == SIGNATURE_BYTES
    assert value[:8].hex() == "560f711172c65806"


@pytest.mark.parametrize("text", ["", "one", "one two three", "§ – …"])
def test_short_texts_have_signatures(text: str) -> None:
    assert similarity(signature(text), signature(text)) == 1.0


def test_the_index_finds_what_comparing_all_finds() -> None:
    texts = {
        f"{seed}-{kept}": document(seed)[:kept] + document(seed + 500)[kept:]
        for seed in range(40)
        for kept in (600, 590, 570, 300)
    }
    signatures = {id: signature(" ".join(words)) for id, words in texts.items()}
    index = NearDuplicates()
    for id, value in signatures.items():
        index.add(id, value)
    for value in signatures.values():
        scores = ((other, similarity(value, known)) for other, known in signatures.items())
        assert index.similar(value) == sorted((s for s in scores if s[1] >= 0.9), key=lambda s: (-s[1], s[0]))


def test_removed_ids_are_not_found_and_leave_nothing() -> None:
    index, value = NearDuplicates(), signature("one two three four five six")
    index.add("a", value)
    index.add("b", value)
    index.remove("a")
    index.remove("never there")
    assert index.similar(value) == [("b", 1.0)]
    index.remove("b")
    assert (len(index), vars(index)["_buckets"]) == (0, {})


def test_an_id_added_again_has_its_new_signature_only() -> None:
    index = NearDuplicates()
    old, new = signature("one two three four five six"), signature("seven eight nine ten eleven twelve")
    index.add("a", old)
    index.add("a", new)
    assert (index.similar(old), index.similar(new)) == ([], [("a", 1.0)])


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(UsageError):
        NearDuplicates().similar(signature("text"), threshold=0.5)
    with pytest.raises(UsageError):
        NearDuplicates().add("a", b"short")
