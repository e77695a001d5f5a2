"""What do people upload on such a day, and when does the store have it?

Everything here is healthy: files come filed, in the order of their upload. Faults come later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random

from integrity.demo.drive.cabinet import Ended, Filed, Stored, Upload, loosely
from integrity.demo.drive.contents import LARGE, etag_of, octets, sha256, size
from integrity.demo.drive.names import DROPPED, Namer, decomposed

__all__ = ["Uploads", "uploads"]

#: Uploads of these last minutes may not be stored yet when the store is read.
_IN_FLIGHT = timedelta(minutes=40)
#: How many of a hundred uploads come in each hour of the day.
_HOURS = (1, 1, 1, 1, 1, 1, 2, 4, 7, 13, 10, 8, 5, 11, 9, 7, 6, 5, 3, 2, 2, 2, 2, 1)
#: What people upload, and how many of a hundred files are of each kind.
_KINDS = {"document": 42, "text": 22, "image": 24, "archive": 4, "video": 2, "native": 6}
#: What becomes of files during the day. Pruned: there were ten newer revisions.
_ENDS = ("trashed", "trashed", "pruned", "quarantined")
_UPLOADERS = (
    "minjun.kim", "seoyeon.lee", "지우", "doyun.park", "haeun.choi", "grace.lee", "tom.baker", "svc-backup",
    "jiho.jung",
)  # fmt: skip
_MAC, _OLD, _WINDOWS = "mac/7.2", "sync/1.4", "windows/7.1"
_CLIENTS = (_MAC, _MAC, _WINDOWS, _WINDOWS, _WINDOWS, "web", "web", "web", "ios/7.0", "android/7.0", _OLD)
_DROPPED_FILES = 6


@dataclass(frozen=True)
class Uploads:
    """A day's uploads.

    Attributes:
        filed: What was uploaded, and what of it should be stored.
        others: What the drive itself put into the store, and what is still being written.
        ended: What became of files that ended elsewhere.
        taken: The paths that are in use.
    """

    filed: list[Filed]
    others: list[Stored]
    ended: list[Ended]
    taken: set[str]


@dataclass
class _Day:
    rng: Random
    namer: Namer
    start: datetime
    end: datetime
    filed: list[Filed] = field(default_factory=list)
    others: list[Stored] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)

    def moment(self) -> datetime:
        """Return a moment of the day: of office hours, mostly."""
        hour = self.rng.choices(range(24), _HOURS)[0]
        return self.between(hour, hour + 1)

    def between(self, first: float, last: float) -> datetime:
        """Return a moment between two hours of the day."""
        return self.start + timedelta(microseconds=self.rng.randrange(round(first * 3.6e9), round(last * 3.6e9)))


def uploads(rng: Random, files: int, start: datetime, end: datetime) -> Uploads:
    """Return the uploads of a day without faults, in the order in which they were accepted."""
    day = _Day(rng, Namer(rng), start, end)
    for folder in DROPPED:
        at = day.between(9, 18)
        for number in range(_DROPPED_FILES):
            _file(day, rng.choice(("document", "image")), at + timedelta(seconds=0.4 * number), "folder", folder)
    for length, part, told in LARGE:
        _large(day, length, part, told)
    for _ in range(2):  # accepted in a batch that is closed, and still being written
        _file(day, "video", day.between(21.5, 23), "plain")
        _begun(day, day.filed[-1])
    left = files - len(day.filed)
    for kind in rng.choices(list(_KINDS), list(_KINDS.values()), k=left):
        sort = rng.choices(("plain", "copy", "empty"), (94, 4, 2))[0]
        _file(day, kind, day.moment(), "native" if kind == "native" else sort)
    day.filed.sort(key=lambda each: each.uploaded)
    _again(day)
    _end(day)
    _wait(day)
    day.others += _thumbnails(day)
    return Uploads(day.filed, day.others, day.ended, day.namer.taken)


# What is uploaded -----------------------------------------------------------------------------------------


def _file(day: _Day, kind: str, at: datetime, sort: str, folder: str | None = None) -> None:
    rng = day.rng
    path = day.namer.path(kind, folder)
    data = b"" if sort in ("empty", "native") else octets(rng, kind, size(rng, kind))
    if sort == "copy":
        former = [each for each in day.filed if each.sort == "plain" and each.kind == kind and each.stored]
        if former:
            other = rng.choice(former)
            other.sort, data = "copy", other.data
        else:
            sort = "plain"
    client = rng.choice(_CLIENTS)
    if client == _OLD and sort == "plain":
        sort = "md5"
    upload = _upload(rng, path, kind, data, client, at)
    if sort == "native":
        upload = replace(upload, size_bytes=None, sha256=None)
    elif sort == "md5":
        upload = replace(upload, sha256=None, md5=hashlib.md5(data, usedforsecurity=False).hexdigest())
    stored = [] if sort == "native" else [_stored(rng, path, client, data, at)]
    day.filed.append(Filed(path, data, at, [upload], stored, sort))


def _large(day: _Day, length: int, part: int, told: bool) -> None:
    """A file that is sent in parts: all that is known of it is the ETag that was given back."""
    rng = day.rng
    path, at, data = day.namer.path("video"), day.between(9, 18), octets(rng, "video", length)
    upload = replace(_upload(rng, path, "video", data, "sdk/2.0", at), sha256=None, etag=etag_of(data, part, told))
    stored = _stored(rng, path, "sdk/2.0", data, at + timedelta(seconds=8))
    day.filed.append(Filed(path, data, at, [upload], [stored], "parts"))


def _upload(rng: Random, path: str, kind: str, data: bytes, client: str, at: datetime) -> Upload:
    spelled = decomposed(path) if client == _MAC else path
    digest = sha256(data)
    told = digest.upper() if client == _WINDOWS else digest
    revision = rng.choice((1, 1, 1, 2, 3, 12))
    size_bytes = len(data)
    return Upload(
        f"f{rng.randrange(16**10):010x}", revision, spelled, kind, size_bytes, told, None, None,
        rng.choice(_UPLOADERS), client, at,
    )  # fmt: skip


def _stored(rng: Random, path: str, client: str, data: bytes, at: datetime) -> Stored:
    # Some of the servers keep a name as the client spelled it, one is a Mac, the others write NFC.
    mac = rng.random() < (0.5 if client == _MAC else 0.04)
    seconds = min(0.2 + rng.expovariate(0.4), 45.0)
    raw = decomposed(path) if mac else path
    return Stored(raw.encode(), data, at + timedelta(microseconds=round(seconds * 1e6)))


# What becomes of it ---------------------------------------------------------------------------------------


def _end(day: _Day) -> None:
    """Take away what was trashed, pruned or quarantined, and say so."""
    rng = day.rng
    for each in list(day.filed):
        if (
            each.sort != "plain"
            or not each.stored
            or each.uploaded > day.end - timedelta(hours=3)
            or rng.random() >= 0.04
        ):
            continue
        stored = each.stored.pop()
        at = stored.at + timedelta(seconds=rng.randrange(1, 9) * 600)
        # Whoever writes the outcomes has a spelling of its own.
        path = decomposed(each.path) if rng.random() < 0.3 else each.path
        day.ended.append(Ended(path, rng.choice(_ENDS), at))


def _again(day: _Day) -> None:
    """Upload some files once more under their names, with other octets: the log tells of both, the store has one."""
    rng = day.rng
    for each in day.filed:
        if (
            each.sort == "plain"
            and each.stored
            and each.uploaded < day.end - timedelta(hours=6)
            and rng.random() < 0.03
        ):
            at = each.uploaded + timedelta(seconds=rng.randrange(20, 18_000))
            data, former = octets(rng, each.kind, size(rng, each.kind)), each.logged[0]
            each.logged.append(replace(
                former, revision=former.revision + 1, size_bytes=len(data), sha256=sha256(data), uploaded_at=at
            ))  # fmt: skip
            each.stored[:] = [_stored(rng, each.path, former.client, data, at)]
            each.sort = "again"


def _begun(day: _Day, filed: Filed) -> None:
    """Leave a file half written, under the name that it has until it is there in full."""
    begun = filed.stored.pop()
    at = day.end + timedelta(seconds=day.rng.randrange(60, 600))
    day.others.append(replace(begun, raw=begun.raw + b".part", data=begun.data[: len(begun.data) // 2], at=at))


def _wait(day: _Day) -> None:
    """Leave some of the last uploads unstored: nobody knows yet whether they come."""
    late = [each for each in day.filed if each.uploaded >= day.end - _IN_FLIGHT and each.stored]
    for each in late:
        if each is late[-1] or day.rng.random() < 0.3:
            if day.rng.random() < 0.3:
                _begun(day, each)
            else:
                each.stored.clear()


def _thumbnails(day: _Day) -> Iterator[Stored]:
    for each in day.filed:
        if each.kind == "image" and each.stored and day.rng.random() < 0.5:
            (stored,) = each.stored
            small = day.rng.randbytes(400)
            name = f".thumbnails/{each.logged[0].file_id[1:3]}/{each.logged[0].file_id}.webp"
            if loosely(name) not in day.namer.taken:
                yield Stored(name.encode(), small, stored.at + timedelta(seconds=2))
