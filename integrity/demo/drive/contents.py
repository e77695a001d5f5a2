"""What is in the files of such a day: as much, and as different, as in real ones?"""

from __future__ import annotations

import hashlib
from random import Random

from integrity.trees.digests import Multipart, tagged

__all__ = ["LARGE", "etag_of", "octets", "sha256", "size"]

_MIB = 2**20
#: The files that are sent in parts: their sizes, the sizes of their parts, and whether the client tells the latter.
LARGE = (
    (5_600_000, 5 * _MIB, True),
    (5_900_000, 5 * _MIB, True),
    (6_200_000, 5 * _MIB, True),
    (5_300_000, 5 * _MIB, False),
    (9_000_000, 8 * _MIB, False),
)
#: How files of each kind begin.
_MAGIC = {
    "document": b"PK\x03\x04\x14\x00\x06\x00",
    "image": b"\x89PNG\r\n\x1a\n",
    "video": b"\x00\x00\x00\x18ftypmp42",
    "archive": b"PK\x03\x04\x0a\x00\x00\x00",
}
_LINES = (
    "이름,부서,금액\n", "김민준,기획팀,1250000\n", "이서연,재무팀,30000\n", "# 할 일\n",
    "- [ ] 계약서 검토\n", "- [x] 견적 요청\n",
    "\n",
    "SELECT * FROM orders WHERE placed_at >= '2026-03-01';\n", '{"버전": 2, "ok": true}\n',
    "The quick brown fox.\n", "각주 1) 참고 자료는 별첨합니다.\n", "\t들여쓰기 \n",
    "2026-03-02 09:14:02 INFO started\n",
)  # fmt: skip


def size(rng: Random, kind: str) -> int:
    """Return how many octets a file has: mostly some thousand, sometimes some hundred thousand."""
    if rng.random() < 0.01:
        return rng.randrange(100_000, 300_000)
    return min(int(rng.lognormvariate(7.3 if kind == "text" else 7.9, 1.0)) + 80, 100_000)


def octets(rng: Random, kind: str, length: int) -> bytes:
    """Return the content of a new file: of a text some lines in UTF-8, about as long; else exactly so many octets."""
    if kind == "text":
        lines, total = [f"{rng.randrange(10**9)}\n"], 0
        while total < length:
            lines.append(rng.choice(_LINES))
            total += len(lines[-1])
        return "".join(lines).encode()
    begin = _MAGIC.get(kind, b"")[:length]
    return begin + rng.randbytes(length - len(begin))


def etag_of(data: bytes, part: int, told: bool) -> str:
    """Return the ETag of octets that are sent in parts of a size."""
    upload = Multipart(part)
    upload.update(data)
    return tagged(upload.hexdigest(), part) if told else upload.hexdigest()


def sha256(data: bytes) -> str:
    """Return the SHA-256 of octets."""
    return hashlib.sha256(data).hexdigest()
