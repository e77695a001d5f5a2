"""How is a list bound, so that nothing in it can be changed, added, left out or moved?

The tree of RFC 6962, section 2.1: a leaf is hashed with a zero octet before it, a pair of nodes with a one, so that
neither can stand for the other. A root of 32 octets binds the list; a proof of a few dozen hashes shows to somebody who
knows only the root that a leaf is in it (inclusion), or that a longer list still begins with the shorter one that they
saw before (consistency). What the leaves say is known elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

__all__ = [
    "EMPTY",
    "Frontier",
    "Tree",
    "consistency_proof",
    "inclusion_proof",
    "is_consistent",
    "is_included",
    "leaf_hash",
    "root_of",
]

#: The root of a list without leaves.
EMPTY = sha256(b"").digest()
_SIZE = 32


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + leaf).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Frontier:
    """The roots of the largest whole trees that a list begins with: all that is needed to append to it.

    Attributes:
        size: How many leaves the list has.
        roots: A hash for each bit of ``size`` that is one, the largest tree first.

    Example:
        >>> grown = Frontier().append(leaf_hash(b"a")).append(leaf_hash(b"b"))
        >>> grown.root == root_of([leaf_hash(b"a"), leaf_hash(b"b")])
        True
        >>> Frontier.from_bytes(2, grown.to_bytes()) == grown
        True
    """

    size: int = 0
    roots: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> Frontier:
        """Return the frontier of the list with one more leaf, of which ``leaf`` is the hash."""
        roots, carried, size = list(self.roots), leaf, self.size
        while size & 1:
            carried, size = _node(roots.pop(), carried), size >> 1
        return Frontier(self.size + 1, (*roots, carried))

    @property
    def root(self) -> bytes:
        """The root of the whole list."""
        if not self.roots:
            return EMPTY
        *others, root = self.roots
        for left in reversed(others):
            root = _node(left, root)
        return root

    def to_bytes(self) -> bytes:
        """The hashes, one after the other."""
        return b"".join(self.roots)

    @classmethod
    def from_bytes(cls, size: int, octets: bytes) -> Frontier:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            ValueError: it is not as long as a list of ``size`` leaves wants it.
        """
        if size < 0 or len(octets) != _SIZE * size.bit_count():
            raise ValueError(f"{len(octets)} octets are no frontier of {size} leaves")
        return cls(size, tuple(octets[i : i + _SIZE] for i in range(0, len(octets), _SIZE)))


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes, in their order.

    Example:
        >>> root_of([]) == EMPTY
        True
    """
    level = list(leaves)
    if not level:
        return EMPTY
    while len(level) > 1:
        level = _above(level)
    return level[0]


def _above(level: Sequence[bytes]) -> list[bytes]:
    """Pair nodes up; one that is left over goes up as it is, which gives the split of RFC 6962 at every level."""
    pairs = [sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        pairs.append(level[-1])
    return pairs


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree that is asked for many proofs.

    Attributes:
        levels: The hashes of each level, the leaves first.
    """

    levels: tuple[tuple[bytes, ...], ...]

    @classmethod
    def over(cls, leaves: Iterable[bytes]) -> Tree:
        """Return the tree over leaf hashes."""
        levels = [tuple(leaves)]
        while len(levels[-1]) > 1:
            levels.append(tuple(_above(levels[-1])))
        return cls(tuple(levels))

    def proof(self, index: int) -> list[bytes]:
        """Return the hashes that lead from leaf number ``index`` to the root, the nearest first (RFC 6962, 2.1.1).

        Raises:
            IndexError: there is no such leaf.
        """
        if not 0 <= index < len(self.levels[0]):
            raise IndexError(f"there is no leaf {index} among {len(self.levels[0])}")
        proof = []
        for level in self.levels[:-1]:
            beside = index ^ 1
            if beside < len(level):
                proof.append(level[beside])
            index >>= 1
        return proof


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from leaf number ``index`` to the root, the nearest first (RFC 6962, 2.1.1).

    Raises:
        IndexError: there is no such leaf.

    Example:
        >>> leaves = [leaf_hash(text) for text in (b"a", b"b", b"c")]
        >>> is_included(leaves[2], 2, 3, inclusion_proof(leaves, 2), root_of(leaves))
        True
        >>> is_included(leaves[1], 2, 3, inclusion_proof(leaves, 2), root_of(leaves))
        False
    """
    return Tree.over(leaves).proof(index)


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether a proof shows that ``leaf`` is number ``index`` of the ``size`` leaves under ``root``."""
    if not 0 <= index < size:
        return False
    at, last, rest = index, size - 1, iter(proof)
    while last:
        if at & 1 or at < last:
            beside = next(rest, None)
            if beside is None:
                return False
            leaf = _node(beside, leaf) if at & 1 else _node(leaf, beside)
        at, last = at >> 1, last >> 1
    return next(rest, None) is None and leaf == root


def consistency_proof(leaves: Sequence[bytes], old: int) -> list[bytes]:
    """Return the hashes that show that a list begins with its first ``old`` leaves (RFC 6962, 2.1.2).

    Raises:
        IndexError: the list is not that long.

    Example:
        >>> leaves = [leaf_hash(text) for text in (b"a", b"b", b"c", b"d", b"e")]
        >>> proof = consistency_proof(leaves, 3)
        >>> is_consistent(3, root_of(leaves[:3]), 5, root_of(leaves), proof)
        True
        >>> is_consistent(3, root_of(leaves[1:4]), 5, root_of(leaves), proof)
        False
    """
    if not 0 <= old <= len(leaves):
        raise IndexError(f"there are no {old} leaves among {len(leaves)}")
    if old in (0, len(leaves)):
        return []
    return _subproof(old, leaves, whole=True)


def _subproof(old: int, leaves: Sequence[bytes], *, whole: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [root_of(leaves)]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)  # the largest power of two below the size
    if old <= split:
        return [*_subproof(old, leaves[:split], whole=whole), root_of(leaves[split:])]
    return [*_subproof(old - split, leaves[split:], whole=False), root_of(leaves[:split])]


def is_consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether a proof shows that the list of ``new`` leaves under its root begins with the ``old`` ones."""
    if not 0 <= old <= new:
        return False
    if old == 0:
        return not proof and old_root == EMPTY
    if old == new:
        return not proof and old_root == new_root
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    rest = list(proof)
    if at:  # the old list is no whole tree, so its largest part has to be given
        if not rest:
            return False
        here = there = rest.pop(0)
    else:
        here = there = old_root
    for beside in rest:
        if last == 0:
            return False
        if at & 1 or at == last:
            here, there = _node(beside, here), _node(beside, there)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            there = _node(there, beside)
        at, last = at >> 1, last >> 1
    return last == 0 and here == old_root and there == new_root
