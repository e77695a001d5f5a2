"""How can a pack be given away that names nobody?

Identities become keyed digests, HMAC-SHA256 under a key of their own that is kept apart: one key an engagement, so that
whoever is in two packs cannot be recognised across them. Everything else that is private is left out.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from integrity.packs.files import PackError

__all__ = ["Pseudonyms"]


class Pseudonyms:
    """Gives pseudonyms under one key.

    Args:
        path: The key's file, which is made where there is none.

    Raises:
        PackError: it cannot be read or made, others can read it, or it is no key.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._key = _key(Path(path))

    def of(self, contract: str, column: str, value: object) -> str | None:
        """Return the pseudonym of a value in a column; NULL has none."""
        if value is None:
            return None
        text = json.dumps([contract, column, str(value)]).encode()
        return hmac.digest(self._key, text, "sha256").hex()[:32]

    def of_all(self, contract: str, values: Mapping[str, Any]) -> dict[str, str | None]:
        """Return the pseudonyms of some columns."""
        return {name: self.of(contract, name, value) for name, value in values.items()}


def _key(path: Path) -> bytes:
    try:
        if not path.exists():
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(base64.b64encode(secrets.token_bytes(32)) + b"\n")
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise PackError(f"the key of pseudonyms {path} can be read by others", f"chmod 600 {path}")
        key = base64.b64decode(path.read_bytes().strip(), validate=True)
    except (OSError, binascii.Error) as error:
        raise PackError(f"cannot use the key of pseudonyms {path}: {error}", "name a writable place") from error
    if len(key) != 32:
        raise PackError(f"{path} is no key of pseudonyms", "name another file, which is made then")
    return key
