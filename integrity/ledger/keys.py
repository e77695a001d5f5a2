"""Who signs a ledger, and with what are its private parts hidden?

A key file holds two secrets: an Ed25519 key that signs checkpoints and packs, and a key for the keyed digests by which
identities are recognised again. Both are written as one line of text; the first as the signed-note tools of the
transparency logs write theirs (C2SP signed-note), so that these read it, too. Whoever has the file can continue the
ledger, and rewrite what no checkpoint held elsewhere vouches for: it belongs where the ledger does not lie.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from integrity.errors import LedgerError

__all__ = ["KEY_VARIABLE", "LedgerKey", "PublicKey"]

#: Names the file of the key that signs.
KEY_VARIABLE = "INTEGRITY_LEDGER_KEY"
_ED25519 = b"\x01"
_HEAD = "# The key of an integrity ledger. Keep it where the ledger does not lie; only its owner may read it.\n"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """By what a signature is known.

    Attributes:
        name: Of the ledger that it signs, its origin.
        octets: The 32 octets of an Ed25519 public key.
    """

    name: str
    octets: bytes

    @property
    def id(self) -> bytes:
        """The four octets by which a signature line names its key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.octets).digest()[:4]

    def __str__(self) -> str:
        """The key as text: ``name+id+key``, as the signed-note tools read it."""
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(_ED25519 + self.octets).decode()}"

    @classmethod
    def from_text(cls, text: str) -> PublicKey:
        """Read a key as :meth:`__str__` writes it.

        Raises:
            LedgerError: it is no such key.
        """
        try:
            name, id_, encoded = text.strip().split("+", 2)
            octets = base64.b64decode(encoded, validate=True)
            key = cls(name, octets[1:])
            if octets[:1] != _ED25519 or len(octets) != 33 or key.id.hex() != id_:
                raise ValueError("its parts do not fit together")
        except ValueError as error:
            raise LedgerError(
                f"{text.strip()[:80]!r} is no public key of a ledger", "it reads name+8 hex digits+base64"
            ) from error
        return key

    def holds(self, signature: bytes, text: bytes) -> bool:
        """Tell whether a signature of this key is on a text."""
        try:
            Ed25519PublicKey.from_public_bytes(self.octets).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """The two secrets of a ledger.

    Attributes:
        public: By what its signatures are known.
    """

    public: PublicKey
    _signing: bytes = field(repr=False)
    _hiding: bytes = field(repr=False)

    @classmethod
    def made(cls, name: str, hiding: bytes | None = None) -> LedgerKey:
        """Make a new key for the ledger of this name.

        Args:
            name: The ledger's origin.
            hiding: The key of keyed digests, where another signing key takes over: what was recognised, still is.
        """
        private = Ed25519PrivateKey.generate()
        public = PublicKey(name, private.public_key().public_bytes_raw())
        return cls(public, private.private_bytes_raw(), hiding or secrets.token_bytes(32))

    def sign(self, text: bytes) -> bytes:
        """Return the signature of 64 octets on a text."""
        return Ed25519PrivateKey.from_private_bytes(self._signing).sign(text)

    def hide(self, what: str, *parts: str) -> str:
        """Return a keyed digest, 32 hex digits: who lacks the key can neither compute nor guess what it is of.

        Args:
            what: For which purpose; digests for different ones cannot be linked.
            parts: What it is of.
        """
        text = b"".join(len(octets).to_bytes(8) + octets for octets in (part.encode() for part in (what, *parts)))
        return hmac.digest(self._hiding, text, "sha256").hex()[:32]

    def derived(self, what: str) -> bytes:
        """Return a key of 32 octets of its own for one purpose, from which the others cannot be had."""
        return hmac.digest(self._hiding, b"key for " + what.encode(), "sha256")

    def succeeded(self) -> LedgerKey:
        """Return a new key that signs, and hides as this one does."""
        return LedgerKey.made(self.public.name, self._hiding)

    # --- files

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> LedgerKey:
        """Read a key file.

        Raises:
            LedgerError: there is none, others can read it, or it is damaged.
        """
        where = Path(path)
        try:
            text = where.read_text(encoding="ascii")
            mode = where.stat().st_mode
        except (OSError, UnicodeDecodeError) as error:
            raise LedgerError(
                f"cannot read the ledger's key {where}: {getattr(error, 'strerror', None) or 'it is not text'}",
                f"set {KEY_VARIABLE} to the file in which it is kept",
            ) from error
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise LedgerError(f"the ledger's key {where} can be read by others", f"chmod 600 {where}")
        try:
            lines = [line for line in text.splitlines() if line and not line.startswith("#")]
            signing, hiding = lines
            kind, name, id_, encoded = signing.removeprefix("PRIVATE+").split("+", 3)
            octets = base64.b64decode(encoded, validate=True)
            private = Ed25519PrivateKey.from_private_bytes(octets[1:])
            key = cls(
                PublicKey(name, private.public_key().public_bytes_raw()),
                octets[1:],
                base64.b64decode(hiding.removeprefix("HIDING+KEY+"), validate=True),
            )
            if kind != "KEY" or key.public.id.hex() != id_ or len(key._hiding) != 32:
                raise ValueError("its parts do not fit together")
        except (ValueError, binascii.Error) as error:
            raise LedgerError(f"the ledger's key {where} is damaged", "take it from where a copy is kept") from error
        return key

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the key file, which only its owner may read; never over another file.

        Raises:
            LedgerError: it is there already, or cannot be written.
        """
        where, name = Path(path), self.public.name
        signing = base64.b64encode(_ED25519 + self._signing).decode()
        text = f"{_HEAD}PRIVATE+KEY+{name}+{self.public.id.hex()}+{signing}\n"
        text += f"HIDING+KEY+{base64.b64encode(self._hiding).decode()}\n"
        try:
            where.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError as error:
            raise LedgerError(f"there is a key at {where} already", "name another file") from error
        except OSError as error:
            raise LedgerError(
                f"cannot write the ledger's key {where}: {error.strerror}", f"set {KEY_VARIABLE} to a writable place"
            ) from error
