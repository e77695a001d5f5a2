"""Which faults leave a file in its place, and another content in it, or say another content of it than was sent?"""

from __future__ import annotations

import gzip
from dataclasses import replace
from functools import partial

from integrity.demo.drive.cabinet import Cabinet, Filed
from integrity.demo.drive.contents import octets
from integrity.demo.drive.fault import Expected, FileFault, by_md5, fault, parts_of, solid, text

__all__ = ["CONTENTS", "CONVERSIONS", "PARTS", "RECORDS"]

#: So many octets of a disk or a page are written at once.
_SECTOR = 512


def _corrupt(filed: Filed, data: bytes) -> Expected:
    filed.stored[0].data = data
    return [("corrupt", filed.path)]


# Uploads in parts: first, because there are few -----------------------------------------------------------

PARTS: list[FileFault] = []


def _swapped(filed: Filed) -> bytes:
    middle = len(filed.data) // 2
    return filed.data[middle:] + filed.data[:middle]


@fault(PARTS, "parts swapped", "joined in the wrong order: all octets are there", fits=parts_of(told=True))
def _parts_swapped(cabinet: Cabinet, filed: Filed) -> Expected:
    return _corrupt(filed, _swapped(filed))


@fault(PARTS, "last part missing", "joined before the last part had come", fits=parts_of(told=True))
def _part_missing(cabinet: Cabinet, filed: Filed) -> Expected:
    return _corrupt(filed, filed.data[: 5 * 2**20])


@fault(PARTS, "parts swapped, unprovable", "the log tells an ETag without the size of parts", fits=parts_of(told=False))
def _unprovable(cabinet: Cabinet, filed: Filed) -> Expected:
    # An ETag that nobody can compute again may be wrong, or made in parts of another size: it proves nothing.
    filed.stored[0].data = _swapped(filed)
    cabinet.unverified.append(filed.path)
    return []


# Contents -------------------------------------------------------------------------------------------------

CONTENTS: list[FileFault] = []


@fault(CONTENTS, "contents swapped", "two files have each other's content: counts and sums agree", fits=solid)
def _exchanged(cabinet: Cabinet, filed: Filed) -> Expected | None:
    other = cabinet.take(partial(_of_the_same_kind, filed))
    if other is None:
        return None
    mine, theirs = filed.stored[0], other.stored[0]
    mine.data, theirs.data = theirs.data, mine.data
    return [("corrupt", filed.path), ("corrupt", other.path)]


def _of_the_same_kind(filed: Filed, other: Filed) -> bool:
    return solid(other) and other.kind == filed.kind and other.data != filed.data


@fault(CONTENTS, "cut off", "the connection broke: its end is missing", rate=2, fits=solid)
def _cut(cabinet: Cabinet, filed: Filed) -> Expected:
    return _corrupt(filed, filed.data[: cabinet.rng.randrange(1, len(filed.data))])


@fault(CONTENTS, "emptied", "opened for writing, and never written: no octet is left", rate=2, fits=solid)
def _emptied(cabinet: Cabinet, filed: Filed) -> Expected:
    return _corrupt(filed, b"")


@fault(CONTENTS, "one bit flipped", "on a disk; size and time are as they were", rate=3, fits=solid)
def _flipped(cabinet: Cabinet, filed: Filed) -> Expected:
    return _corrupt(filed, _with_a_bit_flipped(cabinet, filed.data))


@fault(CONTENTS, "one bit flipped, MD5 only", "of an old client's upload: no SHA-256 is told", rate=2, fits=by_md5)
def _flipped_md5(cabinet: Cabinet, filed: Filed) -> Expected:
    return _corrupt(filed, _with_a_bit_flipped(cabinet, filed.data))


def _with_a_bit_flipped(cabinet: Cabinet, data: bytes) -> bytes:
    at = cabinet.rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << cabinet.rng.randrange(8)]) + data[at + 1 :]


@fault(CONTENTS, "zeros at the end", "power failed: the size was written, the last sector was not", fits=solid)
def _zeros(cabinet: Cabinet, filed: Filed) -> Expected:
    return _corrupt(filed, filed.data[:-_SECTOR] + bytes(_SECTOR))


@fault(CONTENTS, "old revision", "the store still has what was there before this upload", rate=2, fits=solid)
def _old(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.logged[0].revision += 1
    return _corrupt(filed, octets(cabinet.rng, filed.kind, len(filed.data)))


@fault(CONTENTS, "error page", "a gateway's answer was stored in the place of the file", fits=solid)
def _page(cabinet: Cabinet, filed: Filed) -> Expected:
    return _corrupt(filed, b"<html><body><h1>502 Bad Gateway</h1></body></html>\n")


@fault(CONTENTS, "compressed", "the store has what went over the line, still compressed", fits=solid)
def _compressed(cabinet: Cabinet, filed: Filed) -> Expected:
    return _corrupt(filed, gzip.compress(filed.data, mtime=0))


@fault(CONTENTS, "became a link", "somebody saved space: what is stored leads to another file", fits=solid)
def _linked(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.stored[0].target = "../.dedup/" + filed.logged[0].file_id
    return [("corrupt", filed.path)]


# Conversions of texts -------------------------------------------------------------------------------------

CONVERSIONS: list[FileFault] = []


@fault(CONVERSIONS, "CRLF", "line ends were converted on the way: every editor shows the same", fits=text)
def _crlf(cabinet: Cabinet, filed: Filed) -> Expected:
    return _corrupt(filed, filed.data.replace(b"\n", b"\r\n"))


@fault(CONVERSIONS, "BOM added", "three octets before the text, which no editor shows", fits=text)
def _marked(cabinet: Cabinet, filed: Filed) -> Expected:
    return _corrupt(filed, b"\xef\xbb\xbf" + filed.data)


@fault(CONVERSIONS, "saved as CP949", "opened and saved by an editor that knows no UTF-8", fits=text)
def _cp949(cabinet: Cabinet, filed: Filed) -> Expected:
    return _corrupt(filed, filed.data.decode().encode("cp949", "replace"))


@fault(CONVERSIONS, "last line end gone", "trimmed: one octet is missing", fits=text)
def _trimmed(cabinet: Cabinet, filed: Filed) -> Expected:
    return _corrupt(filed, filed.data[:-1])


# What the log says ----------------------------------------------------------------------------------------

RECORDS: list[FileFault] = []


@fault(RECORDS, "wrong size in the log", "whole and right in the store; the log says one octet more", fits=solid)
def _size(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.logged[0].size_bytes = len(filed.data) + 1
    return [("corrupt", filed.path)]


@fault(RECORDS, "size in words", "a client logged '1.2 MB' for a size", fits=solid)
def _in_words(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.logged[0].size_bytes = f"{len(filed.data) / 1e6:.1f} MB"
    return [("invalid", filed.path), ("corrupt", filed.path)]


@fault(
    RECORDS, "no digest", "an old client told none: stored, and nobody can say whether unchanged", rate=2, fits=solid
)
def _untold(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.logged[0] = replace(filed.logged[0], sha256=None, client="sync/1.0")
    cabinet.unverified.append(filed.path)
    return []
