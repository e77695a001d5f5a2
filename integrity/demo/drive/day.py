"""What is a demo day of a drive, and how is one made?"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from integrity.demo.wrong_grants import WAYS, Act, Grant, granted, write_grants
from integrity.errors import StoreError, UsageError
from integrity.trees.names import key_of

__all__ = ["DriveDay", "generate_drive_day"]

#: Below this a day has too few files for every fault to find one of its own.
MINIMUM_FILES = 600
#: As the contract calls them; and when they were entered.
MEMBERS = ("member", "folder", "since", "until", "entered")


@dataclass(frozen=True)
class DriveDay:
    """A generated day of a drive: where it lies, when it is read, and what must be found in it.

    Attributes:
        directory: The folder of everything below, and of ``faults.json``: what was planted, for other tools.
        source: The URL of the log of uploads.
        destination: The URL of the store, a folder whose files carry the moment of their storing.
        outcomes: The path of the list of files that ended elsewhere.
        grants: The path of the list of who may write into which folder, and all below it, since when until when.
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
    grants: str
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
        fits = _healthy(made, start, end)
        others, ended, unverified = made.others, made.ended, 0
        if faults:
            cabinet = Cabinet(Random(f"faults of the drive {seed}"), fits, made.taken)
            cabinet.rng.shuffle(cabinet.pool)
            planted = tuple(plant(cabinet, files, beyond(directory)))
            fits = cabinet.pool  # whom no fault befell
            others, ended = [*others, *cabinet.strays], [*ended, *cabinet.outcomes]
            unverified = len(cabinet.unverified)
        each = max(1, files // 3_000)
        guests = _guests(fits, each * WAYS) if faults else {}
        grants, wrong = granted(
            Random(f"grants of the drive {seed}"),
            _acts(made.filed, guests, start, end),
            lambda act: act.item is not None,
            start,
            each,
            faults,
        )
        planted += tuple(PlantedFile(one.fault, one.why, "unauthorized", one.item) for one in wrong)
        # First, because it is also what tells a later call that the folder is a day and may be replaced.
        write_json(directory / "faults.json", planted, SCHEMA, seed=seed, files=files, day=day, as_of=as_of)
        stored = [*(each for filed in made.filed for each in filed.stored), *others]
        octets = write_store(directory, stored)
        rows = write_log(log, made.filed)
        write_outcomes(outcomes, ended)
        write_grants(directory / "grants.csv", MEMBERS, _inherited(grants))
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"a day cannot be written to {directory}: {error}", "choose another directory") from error
    return DriveDay(
        directory,
        f"sqlite:///{log.as_posix()}#uploads",
        f"tree:{(directory / 'store').as_posix()}?stored=modified",
        outcomes.as_posix(),
        (directory / "grants.csv").as_posix(),
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


def _guests(pool: list[Filed], count: int) -> dict[int, str]:
    """Let some healthy files have been uploaded by guests, who upload nothing else; return which files."""
    plain = [each for each in pool if each.sort == "plain" and len(each.logged) == 1 and "/" in each.path]
    for number, each in enumerate(plain[:count]):
        each.logged[0].uploader = f"guest-{number + 1:02d}"
    return {id(each): each.path for each in plain[:count]}


def _acts(filed: list[Filed], guests: dict[int, str], start: datetime, end: datetime) -> list[Act[str | None]]:
    """Who wrote into which folder and when, as the log has it in the end; of a guest, which file."""
    acts: list[Act[str | None]] = []
    day = timedelta(days=1)
    for each in filed:
        for upload in each.logged:
            if upload.path is None or upload.kind == "native":
                continue
            path = key_of(upload.path)
            folder = path.rpartition("/")[0] or path  # what lies in no folder is granted by itself
            if id(each) in guests:
                acts.append(Act(upload.uploader, folder, each.uploaded, each.path))
            else:  # whose times may be wrong by now: covered all day
                acts += [Act(upload.uploader, folder, at, None) for at in (start - 2 * day, end + 2 * day)]
    return acts


def _inherited(grants: list[Grant]) -> list[Grant]:
    """Grant some of those who belong here the outermost folder besides: what lies in it is covered twice."""
    above: dict[tuple[str, str], Grant] = {}
    for grant in grants:
        top = grant.object.split("/")[0]
        if not grant.actor.startswith("guest-") and top != grant.object and len(grant.object) % 3 == 0:
            above.setdefault((grant.actor, top), replace(grant, object=top, since=grant.entered, until=None))
    whole = {(grant.actor, grant.object) for grant in above.values()}
    own = [grant for grant in grants if (grant.actor, grant.object) not in whole]
    kept = [grant for grant in own if (grant.actor, grant.object.split("/")[0]) not in whole or len(grant.object) % 2]
    return [*kept, *above.values()]
