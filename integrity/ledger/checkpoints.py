"""What is signed and sent out, so that nobody can rewrite the log behind it?

A checkpoint is a few lines of text: whose log it is, how many leaves it has, and its root; below them, signatures (C2SP
tlog-checkpoint and signed-note). Whoever holds one can tell whether the log still begins with what it began with then.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from integrity.errors import LedgerError
from integrity.ledger.keys import LedgerKey, PublicKey
from integrity.merkle import Frontier

__all__ = ["Checkpoint"]

_DASH = "\u2014"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed statement about a log.

    Attributes:
        origin: Whose log it is.
        size: How many leaves it has.
        root: Its Merkle root.
        signatures: The key's name, its four octets, and the signature, a line each.

    Example:
        >>> key = LedgerKey.made("example.org/ledger")
        >>> note = Checkpoint.signed(Frontier(), key)
        >>> Checkpoint.from_text(note.text) == note, note.is_signed_by(key.public)
        (True, True)
        >>> note.text.splitlines()[:2]
        ['example.org/ledger', '0']
    """

    origin: str
    size: int
    root: bytes
    signatures: tuple[tuple[str, bytes, bytes], ...] = ()

    @classmethod
    def signed(cls, log: Frontier, *keys: LedgerKey) -> Checkpoint:
        """Return the checkpoint of a log, signed with these keys, all of one name."""
        bare = cls(keys[0].public.name, log.size, log.root)
        lines = ((key.public.name, key.public.id, key.sign(bare.body.encode())) for key in keys)
        return cls(bare.origin, bare.size, bare.root, tuple(lines))

    @property
    def body(self) -> str:
        """The text on which the signatures are."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @property
    def text(self) -> str:
        """All of it, as it is sent out."""
        lines = (f"{_DASH} {name} {base64.b64encode(id_ + sig).decode()}\n" for name, id_, sig in self.signatures)
        return f"{self.body}\n{''.join(lines)}"

    @property
    def sha256(self) -> str:
        """The digest by which the next leaf names it."""
        return sha256(self.text.encode()).hexdigest()

    def is_signed_by(self, key: PublicKey) -> bool:
        """Tell whether a signature of this key is on it."""
        text = self.body.encode()
        return any(
            name == key.name and id_ == key.id and key.holds(signature, text)
            for name, id_, signature in self.signatures
        )

    def is_signed_by_any(self, keys: Iterable[PublicKey]) -> bool:
        """Tell whether a signature of one of these keys is on it."""
        return any(self.is_signed_by(key) for key in keys)

    @classmethod
    def from_text(cls, text: str) -> Checkpoint:
        """Read a checkpoint.

        Raises:
            LedgerError: it is none.
        """
        try:
            body, _, signed = text.partition("\n\n")
            origin, size, root, *_ = body.split("\n")
            if not (size.isascii() and size.isdigit()) or str(int(size)) != size:
                raise ValueError("the size is no number")
            read = cls(origin, int(size), base64.b64decode(root, validate=True), tuple(_lines(signed.splitlines())))
            if read.text != text or len(read.root) != 32:
                raise ValueError("it is not written as checkpoints are")
        except (ValueError, binascii.Error) as error:
            raise LedgerError(
                "this is no checkpoint of a ledger", "it has an origin, a size, a root, a blank line and signatures"
            ) from error
        return read


def _lines(lines: Sequence[str]) -> Iterable[tuple[str, bytes, bytes]]:
    for line in lines:
        dash, name, encoded = line.split(" ")
        octets = base64.b64decode(encoded, validate=True)
        if dash != _DASH or len(octets) <= 4:
            raise ValueError("no signature line")
        yield name, octets[:4], octets[4:]
