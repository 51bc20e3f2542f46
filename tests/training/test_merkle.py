"""A root speaks for every member, in this order and number, and for nothing else."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.core.ids import keyed_order
from freehold.proof.merkle import commitment, leaf, proof, root, verify

DATA = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ROOTS = (  # of the first 1, 2, ... 8 of DATA, as the tests of Certificate Transparency have them
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
LEAVES = [leaf(bytes.fromhex(data)) for data in DATA]
TREES = st.lists(st.binary(max_size=8).map(leaf), min_size=1, max_size=70)


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert root(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_the_root_of_nothing() -> None:
    assert root([]) == sha256(b"").digest()


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962 2.1, word by word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + by_definition(leaves[:k]) + by_definition(leaves[k:])).digest()


@given(TREES)
def test_the_root_is_the_one_defined(leaves: list[bytes]) -> None:
    assert root(leaves) == by_definition(leaves)


@given(TREES, st.data())
def test_every_member_is_shown_to_be_one(leaves: list[bytes], draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(leaves) - 1))
    path = proof(leaves, at)
    assert len(path) <= (len(leaves) - 1).bit_length()
    assert verify(leaves[at], at, len(leaves), path, root(leaves))


@given(TREES, st.data())
def test_any_changed_bit_is_found_out(leaves: list[bytes], draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(leaves) - 1))
    parts = [leaves[at], root(leaves), *proof(leaves, at)]
    which, bit = draw.draw(st.integers(0, len(parts) - 1)), draw.draw(st.integers(0, 255))
    changed = bytearray(parts[which])
    changed[bit // 8] ^= 1 << bit % 8
    parts[which] = bytes(changed)
    assert not verify(parts[0], at, len(leaves), parts[2:], parts[1])


@given(TREES, st.data())
def test_place_number_and_length_count(leaves: list[bytes], draw: st.DataObject) -> None:
    at, size = draw.draw(st.integers(0, len(leaves) - 1)), len(leaves)
    path, top = proof(leaves, at), root(leaves)
    assert not verify(leaves[at], size, size, path, top)
    assert not verify(leaves[at], -1, size, path, top)
    assert not verify(leaves[at], at, size, [*path, leaves[0]], top)
    if path:
        assert not verify(leaves[at], at, size, path[:-1], top)
    wrong = draw.draw(st.integers(0, size - 1))
    if leaves[wrong] != leaves[at]:
        assert not verify(leaves[wrong], at, size, path, top)


@pytest.mark.parametrize("at", [-1, 8])
def test_no_proof_of_what_is_not_there(at: int) -> None:
    with pytest.raises(IndexError):
        proof(LEAVES, at)


def test_a_commitment_hides_behind_its_salt() -> None:
    record = {"query": "what is the rent", "positives": ["c1"]}
    assert commitment(record, b"\x01" * 16) == commitment(dict(reversed(record.items())), b"\x01" * 16)
    assert commitment(record, b"\x01" * 16) != commitment(record, b"\x02" * 16)
    assert commitment({**record, "query": "What is the rent"}, b"\x01" * 16) != commitment(record, b"\x01" * 16)


@given(st.sets(st.text(min_size=1), max_size=30), st.text(max_size=10), st.data())
def test_taking_one_away_leaves_the_order_of_the_others(ids: set[str], key: str, draw: st.DataObject) -> None:
    whole = keyed_order(ids, key)
    assert sorted(whole) == sorted(ids)
    gone = draw.draw(st.sampled_from(sorted(ids))) if ids else ""
    assert keyed_order(ids - {gone}, key) == [id for id in whole if id != gone]


def test_another_key_gives_another_order() -> None:
    ids = [str(number) for number in range(100)]
    assert keyed_order(ids, "1.0") != keyed_order(ids, "1.1") != keyed_order(ids, "2.1")
    first = {keyed_order(ids, f"7.{epoch}")[0] for epoch in range(200)}
    assert len(first) > 60
