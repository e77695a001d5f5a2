"""What is a demo day of a drive, and how is one made?"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import ClassVar

from integrity.demo.day import READ_AFTER, SEOUL
from integrity.demo.drive.cabinet import Cabinet, Filed, PlantedFile
from integrity.demo.drive.catalogue import plant
from integrity.demo.drive.uploads import Uploads, uploads
from integrity.demo.drive.writing import SCHEMA, beyond, make_room, write_log, write_outcomes, write_store
from integrity.demo.score import FileAccusation
from integrity.demo.writing import write_json
from integrity.errors import StoreError, UsageError

__all__ = ["DriveDay", "generate_drive_day"]

#: Below this a day has too few files for every fault to find one of its own.
MINIMUM_FILES = 600


@dataclass(frozen=True)
class DriveDay:
    """A generated day of a drive: where it lies, when it is read, and what must be found in it.

    Attributes:
        directory: The folder of everything below, and of ``faults.json``: what was planted, for other tools.
        source: The URL of the log of uploads.
        destination: The URL of the store, a folder whose files carry the moment of their storing.
        outcomes: The path of the list of files that ended elsewhere.
        contract: The name of the contract: that of files, as it is.
        start: The first moment of the day, a Seoul midnight.
        end: The first moment after it.
        as_of: When the sides count as read: the last window is still open then.
        files: How many files were uploaded.
        counts: ``rows`` of the log, ``stored`` things in the store and ``octets`` in them; ``unverified``, the files
            whose content nobody can compare; and as they would be without any fault, ``native`` (documents without
            octets), ``thumbnails``, ``accounted`` (ended elsewhere) and ``in_flight``.
        planted: One entry for every break that a reconciliation must find. It must find no other.
    """

    accusation: ClassVar[type[FileAccusation]] = FileAccusation
    #: Whether the values that differ say something to somebody who looks at them.
    telling: ClassVar[bool] = False  # digests, mostly

    directory: Path
    source: str
    destination: str
    outcomes: str
    contract: str
    start: datetime
    end: datetime
    as_of: datetime
    files: int
    counts: Mapping[str, int]
    planted: tuple[PlantedFile, ...]


def generate_drive_day(
    folder: str | Path,
    *,
    files: int = 3_000,
    seed: int = 7,
    day: date = date(2026, 3, 2),
    faults: bool = True,
) -> DriveDay:
    """Write a realistic day of an enterprise's drive, with known faults, to try a reconciliation on.

    People upload documents, texts, images and a few large videos, under Korean and English names in all the spellings
    that Macs and Windows have for them; a gate logs each upload, with the digest that its client told. The store has
    them within 45 seconds. During the day some are trashed, pruned, quarantined or replaced.

    Args:
        folder: Where to write. A drive day that lies there already is replaced, anything else is refused.
        files: How many are uploaded, at least 600; whatever their number, five of them are large, 32 MB in all.
        seed: Decides everything. The same seed, files and day give the same bytes, on disks that keep the same names:
            where a disk cannot hold a fault (two spellings of one name, on a Mac), that one is left out.
        day: The day in Seoul. It has to be over: what is from the future is skewed, whatever else it is.
        faults: Left out, nothing is wrong and every closed batch must pass.

    Raises:
        UsageError: there are too few files, or the folder holds something that is not a drive day.
        StoreError: the folder cannot be written to.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     example = generate_drive_day(folder, files=600)
        >>> example.contract, example.as_of.isoformat()
        ('file', '2026-03-03T00:12:00+09:00')
    """
    if files < MINIMUM_FILES:
        raise UsageError(f"a day of {files} files is too small to hold every fault", f"ask for {MINIMUM_FILES} or more")
    directory = Path(folder)
    start, end = (datetime.combine(midnight, time(), SEOUL) for midnight in (day, day + timedelta(days=1)))
    as_of = end + READ_AFTER

    # Files and faults draw their chance apart, so that a day is the same with and without faults.
    made = uploads(Random(f"drive {seed}"), files, start, end)
    counts = _counted(made)
    log, outcomes = directory / "drive.db", directory / "outcomes.csv"
    try:
        make_room(directory)
        planted: tuple[PlantedFile, ...] = ()
        others, ended, unverified = made.others, made.ended, 0
        if faults:
            cabinet = Cabinet(Random(f"faults of the drive {seed}"), _healthy(made, start, end), made.taken)
            cabinet.rng.shuffle(cabinet.pool)
            planted = tuple(plant(cabinet, files, beyond(directory)))
            others, ended = [*others, *cabinet.strays], [*ended, *cabinet.outcomes]
            unverified = len(cabinet.unverified)
        # First, because it is also what tells a later call that the folder is a day and may be replaced.
        write_json(directory / "faults.json", planted, SCHEMA, seed=seed, files=files, day=day, as_of=as_of)
        stored = [*(each for filed in made.filed for each in filed.stored), *others]
        octets = write_store(directory, stored)
        rows = write_log(log, made.filed)
        write_outcomes(outcomes, ended)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"a day cannot be written to {directory}: {error}", "choose another directory") from error
    return DriveDay(
        directory,
        f"sqlite:///{log.as_posix()}#uploads",
        f"tree:{(directory / 'store').as_posix()}?stored=modified",
        outcomes.as_posix(),
        "file",
        start,
        end,
        as_of,
        files,
        {**counts, "rows": rows, "stored": len(stored), "octets": octets, "unverified": unverified},
        planted,
    )


def _counted(made: Uploads) -> Mapping[str, int]:
    """Count what is not simply stored, before anything is wrong."""
    missing = sum(not each.stored and each.sort != "native" for each in made.filed)
    return {
        "native": sum(upload.kind == "native" for each in made.filed for upload in each.logged),
        "thumbnails": sum(each.raw.startswith(b".thumbnails/") for each in made.others),
        "accounted": len(made.ended),
        "in_flight": missing - len(made.ended),
    }


def _healthy(made: Uploads, start: datetime, end: datetime) -> list[Filed]:
    """Choose whom faults may befall: files that are stored, of batches that are long closed."""
    hour = timedelta(hours=1)
    return [each for each in made.filed if each.stored and start + hour <= each.uploaded < end - 4 * hour]
