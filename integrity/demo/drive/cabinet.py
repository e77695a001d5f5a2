"""Whom may a fault of the drive befall, and what may it reach for?

A file that somebody uploaded is filed: what the log says of it, and what the store has under its path. A fault takes
one healthy filed file from the cabinet, and nobody takes it again.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple

from integrity.demo.shelf import Keeper, PlantedBreak
from integrity.trees.names import key_of, text_of

__all__ = ["Cabinet", "Ended", "Filed", "Fits", "PlantedFile", "Stored", "Upload", "loosely", "parted"]


@dataclass(slots=True)
class Upload:
    """One row of the log. Its types are wide, because SQLite keeps whatever a faulty client gives it.

    Attributes:
        file_id: By which the drive knows the file, however it is renamed.
        revision: How often it had been uploaded by then.
        path: As the client spelled it.
        kind: ``document``, ``text``, ``image``, ``video``, ``archive`` or ``native``: one that has no octets.
        size_bytes: How many octets the client sent.
        sha256: Of these; clients that are old do not tell it.
        md5: Told by old clients only.
        etag: Of what was sent in parts; the size of the parts before it, where the client says that.
        uploader: Who.
        client: By which program.
        uploaded_at: When the upload was accepted.
    """

    file_id: str
    revision: int
    path: str | None
    kind: str
    size_bytes: int | str | None
    sha256: str | None
    md5: str | None
    etag: str | None
    uploader: str
    client: str
    uploaded_at: datetime | str | None


@dataclass(slots=True)
class Stored:
    """One thing in the store: its path in the octets of the system, since when, and its content, or where it leads."""

    raw: bytes
    data: bytes
    at: datetime
    target: str | None = None

    @property
    def path(self) -> str:
        """What a reconciliation calls it."""
        return key_of(text_of(self.raw))


@dataclass(slots=True)
class Filed:
    """A file that was uploaded.

    Attributes:
        path: Where, in NFC: what a reconciliation calls it.
        data: What was sent.
        uploaded: When it was really accepted (it is healthy until a fault takes it).
        logged: What the log says of it.
        stored: What the store has of it.
        sort: ``plain``, ``copy`` (another has the same content), ``empty``, ``md5`` (told by that alone), ``parts``,
            ``folder`` (one of a folder that was uploaded at once), ``native``, or ``again`` (uploaded twice).
    """

    path: str
    data: bytes
    uploaded: datetime
    logged: list[Upload]
    stored: list[Stored]
    sort: str

    @property
    def kind(self) -> str:
        """What sort of file it is to the drive."""
        return self.logged[0].kind


@dataclass(frozen=True, slots=True)
class PlantedFile(PlantedBreak):
    """One break that a reconciliation must find in a day of the drive."""

    path: str | None


class Ended(NamedTuple):
    """A row of the outcomes: a file that ended elsewhere."""

    path: str
    outcome: str
    at: datetime


Fits = Callable[[Filed], bool]


@dataclass
class Cabinet(Keeper[Filed]):
    """What a fault may reach for besides its own file.

    Attributes:
        rng: The only source of chance, so that a seed decides everything.
        pool: Healthy files in random order. Whatever a fault takes leaves it.
        taken: The paths that are in use, in the form that even a careless disk would tell apart.
        strays: Things in the store that belong to no upload.
        outcomes: Rows to be added to the outcomes.
        unverified: Paths of files whose content nobody can compare.
    """

    rng: Random
    pool: list[Filed]
    taken: set[str]
    strays: list[Stored] = field(default_factory=list)
    outcomes: list[Ended] = field(default_factory=list)
    unverified: list[str] = field(default_factory=list)

    def after(self, moment: datetime, low: float, high: float) -> datetime:
        """Return a moment so many seconds after another, in whole microseconds."""
        return moment + timedelta(microseconds=self.rng.randrange(round(low * 1e6), round(high * 1e6)))

    def free(self, path: str) -> bool:
        """Whether nothing is called so, or nearly so; from now on something is."""
        name = loosely(path)
        if name in self.taken:
            return False
        self.taken.add(name)
        return True


def loosely(path: str) -> str:
    """Return what a path has in common with all that a careless system would take for it."""
    return unicodedata.normalize("NFKC", path).casefold()


def parted(raw: bytes) -> tuple[bytes, bytes]:
    """Split a path into its folder, with the slash, and its name."""
    folder, slash, name = raw.rpartition(b"/")
    return folder + slash, name
