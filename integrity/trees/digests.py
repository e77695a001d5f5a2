"""Which digests of a file are there, and how is each made from its octets?

SHA-256 is what we compute when nobody asks for another. What somebody else declared (an MD5, a CRC, the ETag of an
object that was uploaded in parts) can be compared with its own kind only, so that each kind has a name of its own here.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from integrity.errors import MissingExtraError

__all__ = ["DIGESTS", "HEX", "Digest", "Multipart", "by_length", "digest", "etag", "part_sizes", "strongest", "tagged"]

_MIB = 2**20
#: Every digest by its name, the one first by which two files are rather compared; and its length in hexadecimal digits.
#: ``etag`` is that of an object uploaded in parts: the MD5 of the MD5s of its parts, and their number.
HEX: Final[dict[str, int]] = {
    "sha256": 64,
    "sha512": 128,
    "sha384": 96,
    "sha224": 56,
    "blake2b": 128,
    "sha1": 40,
    "md5": 32,
    "crc64nvme": 16,
    "crc32c": 8,
    "crc32": 8,
}
DIGESTS: Final = (*HEX, "etag")
#: Sizes of parts that uploaders choose when nobody asks them for another: the command line and the SDKs of AWS, rclone,
#: s3fs, minio and others, in MiB; then in megabytes.
_PARTS: Final = (*(n * _MIB for n in (5, 6, 8, 10, 12, 15, 16, 20, 25, 32, 50, 64, 100, 128, 256, 512, 1024, 5120)),
                 *(n * 1_000_000 for n in (5, 8, 10, 16, 50, 64, 100)))  # fmt: skip


class Digest(Protocol):
    """What octets are given to, piece by piece."""

    def update(self, data: bytes | memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


class _Aws:
    """A CRC that amazon's own library computes; a table in Python would take a minute a gigabyte."""

    def __init__(self, name: str) -> None:
        try:
            from awscrt import checksums
        except ImportError:
            raise MissingExtraError(f"computing {name}", "s3") from None
        self._add: Callable[[bytes, int], int] = getattr(checksums, name)
        self._value, self._digits = 0, HEX[name]

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._add(bytes(data), self._value)

    def hexdigest(self) -> str:
        return f"{self._value:0{self._digits}x}"


class Multipart:
    """The ETag of an object that is uploaded in parts of some size, without the tag.

    Example:
        >>> upload = Multipart(5)
        >>> upload.update(b"hello, world")
        >>> upload.hexdigest()
        '909ce955bd5188668b0191809affc873-3'
    """

    def __init__(self, part_size: int) -> None:
        self._size, self._left, self._parts = part_size, part_size, 0
        self._part, self._all = hashlib.md5(usedforsecurity=False), hashlib.md5(usedforsecurity=False)

    def update(self, data: bytes | memoryview, /) -> None:
        rest = memoryview(data)
        while rest:
            piece, rest = rest[: self._left], rest[self._left :]
            self._part.update(piece)
            self._left -= len(piece)
            if not self._left:
                self._close()

    def _close(self) -> None:
        self._all.update(self._part.digest())
        self._parts += 1
        self._part, self._left = hashlib.md5(usedforsecurity=False), self._size

    def hexdigest(self) -> str:
        if self._left < self._size or not self._parts:
            self._close()
        return f"{self._all.hexdigest()}-{self._parts}"


def digest(name: str) -> Digest:
    """Return a new digest by its name, one of :data:`HEX`.

    Raises:
        MissingExtraError: what computes it is not installed.

    Example:
        >>> made = digest("crc32")
        >>> made.update(b"123456789")
        >>> made.hexdigest()
        'cbf43926'
    """
    if name == "crc32":
        return _Crc32()
    if name in ("crc64nvme", "crc32c"):
        return _Aws(name)
    made: Digest = getattr(hashlib, name)(usedforsecurity=False)  # twice as fast to make as by hashlib.new
    return made


def by_length(digits: str) -> str | None:
    """Return which digest one of such a length is, if nothing else is said; ``None`` if it is none of ours.

    Example:
        >>> by_length("d41d8cd98f00b204e9800998ecf8427e")
        'md5'
    """
    if re.fullmatch(r"[0-9a-fA-F]+", digits) is None:
        return None
    known = {64: "sha256", 128: "sha512", 96: "sha384", 56: "sha224", 40: "sha1", 32: "md5"}
    return known.get(len(digits))


def strongest(names: Iterable[str]) -> str | None:
    """Return the digest, of some, by which two files are rather compared."""
    there = set(names)
    return next((name for name in DIGESTS if name in there), None)


def etag(text: str, part_size: int | None = None) -> tuple[str, str] | None:
    """Return an object's ETag as a digest, its name and value; ``None`` if it is none.

    The ETag of an object uploaded at once is its MD5, unless it is encrypted with a key of its own, which only whoever
    lists it can know. Of one uploaded in parts it is a digest of digests, which two uploads share only if they were cut
    alike: the size of the parts stands before it, a question mark where nobody knows it.

    Example:
        >>> etag('"D41D8CD98F00B204E9800998ECF8427E"')
        ('md5', 'd41d8cd98f00b204e9800998ecf8427e')
        >>> etag("f55eae7b80c5e7dc9e13b5eeff6fb6ee-3"), etag("f55eae7b80c5e7dc9e13b5eeff6fb6ee-3", 8388608)
        (('etag', '?:f55eae7b80c5e7dc9e13b5eeff6fb6ee-3'), ('etag', '8388608:f55eae7b80c5e7dc9e13b5eeff6fb6ee-3'))
    """
    found = re.fullmatch(r'(?:w/)?"?([0-9a-f]{32})(-[1-9][0-9]{0,4})?"?', text.strip().lower())
    if found is None:
        return None
    if found[2] is None:
        return "md5", found[1]
    return "etag", tagged(found[1] + found[2], part_size)


def tagged(value: str, part_size: int | None) -> str:
    """Return the ETag of parts with the size of these parts before it."""
    return f"{'?' if part_size is None else part_size}:{value}"


def part_sizes(size: int, parts: int) -> Sequence[int]:
    """Return the sizes of parts in which a file of such a length may have been uploaded in so many.

    Example:
        >>> part_sizes(20_000_000, 3), part_sizes(5, 1)
        ((8388608, 8000000, 7340032, 6666667), (5,))
    """
    if parts == 1:
        return (max(size, 1),)  # however large the part might have been

    def rounded() -> Iterator[int]:
        # rclone and others double until the number of parts is small enough; boto3 and s3fs divide and round up.
        yield from _PARTS
        for power in range(23, 33):
            yield 1 << power
        least = -(-size // parts)
        yield -(-least // _MIB) * _MIB
        yield least

    fits = (part for part in rounded() if part and max(1, -(-size // part)) == parts)
    return tuple(dict.fromkeys(fits))
