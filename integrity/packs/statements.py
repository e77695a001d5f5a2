"""Who vouches for a pack, in a form that others read?

Two in-toto statements in DSSE envelopes, signed with the ledger's key. Both name every other file by its SHA-256. One
is a ``test-result``, which generic policy engines read; the other says what a reconciliation found in our own words.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signature, SSlibKey  # type: ignore[attr-defined]

from integrity.errors import LedgerError
from integrity.ledger.keys import LedgerKey, PublicKey
from integrity.ledger.log import canonical_json

__all__ = ["OURS", "STATEMENT", "TEST_RESULT", "opened", "signed", "subjects"]

#: The file of a pack in which our own statement is.
STATEMENT: Final = "reconciliation.dsse.json"

TEST_RESULT: Final = "https://in-toto.io/attestation/test-result/v0.1"
OURS: Final = "https://pypi.org/project/processing-integrity/reconciliation/v1"
_TYPE: Final = "application/vnd.in-toto+json"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"


def subjects(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return the files of a pack as subjects, by name."""
    return [{"name": name, "digest": {"sha256": sha256(files[name]).hexdigest()}} for name in sorted(files)]


def signed(predicate_type: str, predicate: Mapping[str, Any], about: list[dict[str, Any]], key: LedgerKey) -> bytes:
    """Return a signed statement as JSON."""
    statement = {"_type": _STATEMENT, "subject": about, "predicateType": predicate_type, "predicate": dict(predicate)}
    envelope = Envelope(canonical_json(statement).encode(), _TYPE, {})
    signature = Signature(_keyid(key.public), key.sign(envelope.pae()).hex())
    envelope.signatures[signature.keyid] = signature
    return (json.dumps(envelope.to_dict(), sort_keys=True, indent=1) + "\n").encode()


def opened(octets: bytes, key: PublicKey) -> dict[str, Any]:
    """Return the statement in an envelope that a key signed.

    Raises:
        LedgerError: it is none, or the key did not sign it.
    """
    try:
        envelope = Envelope.from_dict(json.loads(octets))
        public = SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(key.octets), keyid=_keyid(key))
        envelope.verify([public], 1)
        statement = json.loads(envelope.payload)
        if envelope.payload_type != _TYPE or statement["_type"] != _STATEMENT:
            raise ValueError("it is no in-toto statement")
    except Exception as error:  # whatever a hostile envelope makes the library raise
        raise LedgerError(f"its statement is not signed by {key.name}+{key.id.hex()}", str(error)[:100]) from error
    return dict(statement)


def _keyid(key: PublicKey) -> str:
    return base64.urlsafe_b64encode(key.id).decode().rstrip("=")
