"""The tree binds its list: against RFC 6962's own recursive definitions, and known answers."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrity.merkle import (
    EMPTY,
    Frontier,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    is_included,
    leaf_hash,
    root_of,
)

# The test vectors that every implementation of Certificate Transparency uses: leaves, and the root of the first n.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

lists = st.lists(st.binary(max_size=3), max_size=40)


def mth(leaves: list[bytes]) -> bytes:
    """The Merkle Tree Hash, word for word as section 2.1 defines it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """The audit path, word for word as section 2.1.1 defines it."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return [*path(m, leaves[:k]), mth(leaves[k:])] if m < k else [*path(m - k, leaves[k:]), mth(leaves[:k])]


def test_known_answers() -> None:
    hashed = [leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES]
    assert [root_of(hashed[: n + 1]).hex() for n in range(8)] == ROOTS
    assert root_of([]) == EMPTY == Frontier().root


@given(lists)
def test_roots_are_those_of_the_definition_however_they_grow(leaves: list[bytes]) -> None:
    hashed = [leaf_hash(leaf) for leaf in leaves]
    assert root_of(hashed) == mth(leaves)
    grown = Frontier()
    for n, leaf in enumerate(hashed):
        assert grown.root == mth(leaves[:n])
        grown = Frontier.from_bytes(n, grown.to_bytes()).append(leaf)
    assert grown.root == mth(leaves)


@given(lists.filter(bool), st.data())
def test_inclusion_is_proven_of_what_is_there_and_of_nothing_else(leaves: list[bytes], data: st.DataObject) -> None:
    hashed = [leaf_hash(leaf) for leaf in leaves]
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, root = inclusion_proof(hashed, index), root_of(hashed)
    assert proof == path(index, leaves)
    assert is_included(hashed[index], index, len(leaves), proof, root)
    other = data.draw(st.binary(max_size=4).filter(lambda leaf: leaf != leaves[index]))
    assert not is_included(leaf_hash(other), index, len(leaves), proof, root)
    assert not is_included(hashed[index], index, len(leaves), [*proof, b"\0" * 32], root)
    if proof:
        assert not is_included(hashed[index], index, len(leaves), proof[:-1], root)
    for wrong in range(-1, len(leaves) + 1):
        if not 0 <= wrong < len(leaves):
            assert not is_included(hashed[index], wrong, len(leaves), proof, root)


@given(lists, st.data())
def test_consistency_is_proven_of_beginnings_and_of_nothing_else(leaves: list[bytes], data: st.DataObject) -> None:
    hashed = [leaf_hash(leaf) for leaf in leaves]
    old = data.draw(st.integers(0, len(leaves)))
    proof, root = consistency_proof(hashed, old), root_of(hashed)
    assert is_consistent(old, root_of(hashed[:old]), len(leaves), root, proof)
    if old:
        rewritten = [leaf_hash(b"rewritten"), *hashed[1:old]]
        assert not is_consistent(old, root_of(rewritten), len(leaves), root, proof)
        if old < len(leaves):
            forged = [leaf_hash(b"rewritten"), *hashed[1:]]
            assert not is_consistent(
                old, root_of(hashed[:old]), len(leaves), root_of(forged), consistency_proof(forged, old)
            )
    assert not is_consistent(old, root_of(hashed[:old]), len(leaves), root, [*proof, b"\0" * 32])
    assert not is_consistent(len(leaves) + 1, root, len(leaves), root, [])


def test_a_node_cannot_stand_for_a_leaf() -> None:
    a, b, c, d = (leaf_hash(bytes([n])) for n in range(4))
    pair = hashlib.sha256(b"\x01" + a + b).digest() + hashlib.sha256(b"\x01" + c + d).digest()
    assert leaf_hash(pair) != root_of([a, b, c, d])


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(IndexError, match="no leaf 2 among 2"):
        inclusion_proof([EMPTY, EMPTY], 2)
    with pytest.raises(IndexError, match="no 3 leaves among 2"):
        consistency_proof([EMPTY, EMPTY], 3)
    with pytest.raises(ValueError, match="no frontier of 3"):
        Frontier.from_bytes(3, b"")
