"""Which digest did somebody write, under whatever name and in whatever form?

A word that is none of ours (whirlpool, SHA3-256, SHA-512/256, BLAKE2b-256) is never taken for one that merely has as
many digits.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Final

from integrity.errors import UsageError, did_you_mean
from integrity.stores.manifests.claims import Claim
from integrity.trees.digests import HEX

__all__ = ["digits_of", "kind_of", "named", "option", "shown_kinds", "told_by"]

_OURS: Final = {
    **{name: name for name in HEX},
    "sha2224": "sha224",
    "sha2256": "sha256",  # as OpenSSL 3 writes it
    "sha2384": "sha384",
    "sha2512": "sha512",
    "blake2b512": "blake2b",
    "b2": "blake2b",
}
#: Digests that are in use and none of ours, as the names of files tell them.
_OTHERS: Final = (
    "sha512224", "sha512256", "sha3", "sha3224", "sha3256", "sha3384", "sha3512", "shake128", "shake256",
    "blake2s", "blake3", "b3", "whirlpool", "tiger", "quickxor", "sm3", "md4", "ripemd160", "rmd160", "xxh3", "xxh32",
    "xxh64", "xxh128", "dropbox", "hidrive", "mailru", "crc64",
)  # fmt: skip
_BASE64: Final = re.compile(r"[0-9A-Za-z+/_-]+={0,2}")
_HEX: Final = re.compile(r"[0-9A-Fa-f]+")


def _plain(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


def kind_of(word: str) -> str | None:
    """Return which of our digests a word means.

    Example:
        >>> kind_of("SHA2-256"), kind_of("BLAKE2b"), kind_of("SHA512/256"), kind_of("SHA3-256")
        ('sha256', 'blake2b', None, None)
    """
    return _OURS.get(_plain(word))


def option(word: str | None) -> str | None:
    """Return the digest that somebody asked for by its name.

    Raises:
        UsageError: it is none of ours.
    """
    if word is None or (kind := kind_of(word)) is not None:
        return kind if word is not None else None
    raise UsageError(f"there is no digest {word!r} here", did_you_mean(_plain(word), HEX))


def named(name: str) -> tuple[bool, str | None]:
    """Return whether the name of a file tells of which kind the digests in it are, and which of ours that is.

    Example:
        >>> named("SHA256SUMS"), named("disk.iso.sha512"), named("b2sum.txt"), named("SHA3-256SUMS"), named("list.txt")
        ((True, 'sha256'), (True, 'sha512'), (True, 'blake2b'), (True, None), (False, None))
    """
    # A dash or a slash is part of a word (SHA3-256) if the whole is one; else what is beside it is another word.
    words = re.split(r"[^a-z0-9]+", name.lower())
    for count in (3, 2, 1):
        for at in range(len(words) - count + 1):
            word = re.sub(r"(sums?|deep)$", "", "".join(words[at : at + count]))
            if word in _OURS or word in _OTHERS:
                return True, _OURS.get(word)
    return False, None


def digits_of(text: str, kind: str | None = None) -> str | None:
    """Return a digest written in hexadecimal digits or in base64, of either alphabet, as lower-case digits.

    Args:
        text: What is written.
        kind: Which digest it has to be; ``None`` is any.

    Example:
        >>> digits_of("1B2M2Y8AsgTpgAmY7PhCfg==", "md5"), digits_of("D41D", "md5"), digits_of("D41D")
        ('d41d8cd98f00b204e9800998ecf8427e', None, 'd41d')
    """
    if _HEX.fullmatch(text) is not None and (kind is None or len(text) == HEX[kind]):
        return text.lower()
    if _BASE64.fullmatch(text) is None or len(text) % 4:
        return None
    try:
        octets = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        return None
    return octets.hex() if kind is None or len(octets) * 2 == HEX[kind] else None


def shown_kinds() -> str:
    """Return the names of our digests, for advice."""
    return ", ".join(HEX)


def told_by(claims: Iterable[Claim], possible: frozenset[str] | None = None) -> frozenset[str]:
    """Return what some of the claims tell.

    Args:
        claims: A pass over them.
        possible: What they can tell at most, if that is known: then it is not read on when all of it was seen.
    """
    told: set[str] = set()
    for claim in claims:
        told.update(claim.digests)
        if claim.size is not None:
            told.add("size")
        if claim.modified_at is not None:
            told.add("modified_at")
        if possible is not None and possible <= told:
            break
    return frozenset(told)
