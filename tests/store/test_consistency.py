"""Consistency proofs, against a reference straight from RFC 6962 2.1.2."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from freehold.proof import merkle


def tree(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return sha256(b"\x01" + tree(leaves[:half]) + tree(leaves[half:])).digest()


sizes = st.integers(1, 70).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n)))


@given(sizes)
def test_a_beginning_is_shown_to_be_one(pair):
    before, size = pair
    leaves = [merkle.leaf(bytes([n])) for n in range(size)]
    assert merkle.root(leaves) == tree(leaves)
    proof = merkle.consistency(leaves, before)
    assert merkle.verify_consistency(before, size, proof, tree(leaves[:before]), tree(leaves))


@given(sizes, st.integers(0, 69))
def test_another_beginning_is_not(pair, at):
    before, size = pair
    leaves = [merkle.leaf(bytes([n])) for n in range(size)]
    other = list(leaves)
    other[at % before] = merkle.leaf(b"other")
    proof = merkle.consistency(leaves, before)
    assert not merkle.verify_consistency(before, size, proof, tree(other[:before]), tree(leaves))
    if proof:
        assert not merkle.verify_consistency(before, size, proof[:-1], tree(leaves[:before]), tree(leaves))
