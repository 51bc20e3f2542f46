"""Merkle trees as RFC 6962 2.1 defines them, over SHA-256: one root speaks for a list, a short proof for one member.

A member is represented by its leaf hash, so that a root and its proofs can be kept after what they speak of is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from freehold.core.ids import canonical_json

HASH_BYTES = 32


def leaf(data: bytes) -> bytes:
    """32 bytes: the hash of one member."""
    # RFC 6962 2.1: 0x00 and 0x01 keep a leaf from posing as a node, and a node as a leaf.
    return sha256(b"\x00" + data).digest()


def commitment(record: object, salt: bytes) -> bytes:
    """The leaf of a record of JSON: equal records have equal leaves under equal salts alone.

    Without the salt nobody can tell by trying which record it is of; who destroys the salt takes that away from all.
    Raises ValueError for a number that is not finite.
    """
    return leaf(salt + canonical_json(record).encode("utf-8", "surrogatepass"))


def root(leaves: Sequence[bytes]) -> bytes:
    """32 bytes: the tree hash over the leaf hashes in their order; of nothing it is SHA-256 of nothing."""
    if not leaves:
        return sha256(b"").digest()
    level = list(leaves)
    while len(level) > 1:
        # An odd one goes up as it is: the same tree as splitting at the largest power of two below the length.
        paired = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
    return level[0]


def proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of RFC 6962 2.1.1: the hashes beside the way from a leaf up to the root, the lowest first.

    Raises IndexError where there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} among {len(leaves)}")
    path, level = [], list(leaves)
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            path.append(level[beside])
        paired = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = paired + level[len(paired) * 2 :]
        index //= 2
    return path


def consistency(leaves: Sequence[bytes], before: int) -> list[bytes]:
    """The proof of RFC 6962 2.1.2 that the tree of the first ``before`` leaves is a beginning of this one.

    Raises IndexError unless 0 < before <= the number of leaves.
    """
    if not 0 < before <= len(leaves):
        raise IndexError(f"no tree of {before} leaves among {len(leaves)}")
    return _subproof(before, leaves, whole=True)


def _subproof(before: int, leaves: Sequence[bytes], *, whole: bool) -> list[bytes]:
    if before == len(leaves):
        return [] if whole else [root(leaves)]
    half = 1 << (len(leaves) - 1).bit_length() - 1  # the largest power of two below
    if before <= half:
        return [*_subproof(before, leaves[:half], whole=whole), root(leaves[half:])]
    return [*_subproof(before - half, leaves[half:], whole=False), root(leaves[:half])]


def verify_consistency(before: int, size: int, path: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether the path shows that the tree with ``old_root`` is a beginning of the other (RFC 9162 2.1.4.2)."""
    if not 0 < before <= size or any(len(part) != HASH_BYTES for part in path):
        return False
    if before == size:
        return not path and old_root == new_root
    parts = [old_root, *path] if before & (before - 1) == 0 else list(path)
    if not parts:
        return False
    at, last = before - 1, size - 1
    while at % 2:
        at, last = at // 2, last // 2
    old = new = parts[0]
    for part in parts[1:]:
        if last == 0:
            return False
        if at % 2 or at == last:
            old, new = _node(part, old), _node(part, new)
            while at % 2 == 0 and at:
                at, last = at // 2, last // 2
        else:
            new = _node(new, part)
        at, last = at // 2, last // 2
    return last == 0 and old == old_root and new == new_root


def verify(leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], root_hash: bytes) -> bool:
    """Whether the path shows that the leaf is number ``index`` of the ``size`` under this root (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size or any(len(part) != HASH_BYTES for part in (leaf_hash, *path)):
        return False
    at, last, found = index, size - 1, leaf_hash
    for beside in path:
        if last == 0:
            return False
        if at % 2 or at == last:
            found = _node(beside, found)
            while at % 2 == 0 and at:
                at, last = at // 2, last // 2
        else:
            found = _node(found, beside)
        at, last = at // 2, last // 2
    return last == 0 and found == root_hash


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()
