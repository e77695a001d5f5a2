"""Which faults keep a file out of the store, bring in one that nobody uploaded, or tell or come at a wrong time?"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from integrity.demo.drive.cabinet import Cabinet, Ended, Filed, Stored, parted
from integrity.demo.drive.contents import octets, sha256
from integrity.demo.drive.fault import Expected, FileFault, fault, solid

__all__ = ["LOG", "LOSSES", "STRANGERS", "TIMES"]

# Losses ---------------------------------------------------------------------------------------------------

LOSSES: list[FileFault] = []


@fault(LOSSES, "lost", "accepted, and not in the store", rate=5)
def _lost(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.stored.clear()
    return [("lost", filed.path)]


@fault(LOSSES, "unaccepted outcome", "missing, and its outcome is none that the contract accepts", rate=2)
def _unaccepted(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.stored.clear()
    cabinet.outcomes.append(Ended(filed.path, "bounced", cabinet.after(filed.uploaded, 1, 30)))
    return [("lost", filed.path)]


@fault(LOSSES, "stuck half-way", "half of it is a .part to which nothing was added for hours", rate=2, fits=solid)
def _stuck(cabinet: Cabinet, filed: Filed) -> Expected:
    (stored,) = filed.stored
    stored.raw, stored.data = stored.raw + b".part", stored.data[: len(stored.data) // 2]
    return [("lost", filed.path), ("extra", stored.path)]


@fault(LOSSES, "never finished", "it is there in full, and still called .part", fits=solid)
def _unfinished(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.stored[0].raw += b".part"
    return [("lost", filed.path), ("extra", filed.stored[0].path)]


# What should not be there ---------------------------------------------------------------------------------

STRANGERS: list[FileFault] = []


@fault(STRANGERS, "never uploaded", "in the store, past the log: nobody ever uploaded it", rate=2, fits=solid)
def _never(cabinet: Cabinet, filed: Filed) -> Expected | None:
    # The file itself stays healthy; the stranger only comes beside it.
    (stored,) = filed.stored
    raw = parted(stored.raw)[0] + f"dump-{cabinet.rng.randrange(10**6):06d}.tmp".encode()
    stranger = Stored(raw, octets(cabinet.rng, "other", 700), cabinet.after(stored.at, 60, 600))
    cabinet.strays.append(stranger)
    return [("extra", stranger.path)]


@fault(STRANGERS, "left behind", "the upload was tried again, and its first half is still there as .part", fits=solid)
def _behind(cabinet: Cabinet, filed: Filed) -> Expected:
    (stored,) = filed.stored
    half = replace(stored, raw=stored.raw + b".part", data=stored.data[: len(stored.data) // 2])
    cabinet.strays.append(half)
    return [("extra", half.path)]


@fault(STRANGERS, "quarantined, yet stored", "a virus was found in it, and it is there all the same")
def _quarantined(cabinet: Cabinet, filed: Filed) -> Expected:
    cabinet.outcomes.append(Ended(filed.path, "quarantined", cabinet.after(filed.uploaded, 1, 30)))
    return [("extra", filed.path)]


@fault(STRANGERS, "trashed, yet stored", "its owner threw it away; it is there all the same")
def _trashed(cabinet: Cabinet, filed: Filed) -> Expected:
    cabinet.outcomes.append(Ended(filed.path, "trashed", cabinet.after(filed.uploaded, 60, 6_000)))
    return [("extra", filed.path)]


@fault(STRANGERS, "native, yet stored", "an export of an online document, which has no octets of its own")
def _native(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.logged[0] = replace(filed.logged[0], kind="native", size_bytes=None, sha256=None)
    return [("extra", filed.path)]


@fault(
    STRANGERS,
    "stray thumbnail",
    "made by the drive, and put among the files of the users",
    fits=lambda filed: "/" in filed.path,  # outermost they belong
)
def _thumbnail(cabinet: Cabinet, filed: Filed) -> Expected:
    (stored,) = filed.stored
    raw = parted(stored.raw)[0] + b".thumbnails/" + filed.logged[0].file_id.encode() + b".webp"
    stray = Stored(raw, octets(cabinet.rng, "other", 400), cabinet.after(stored.at, 1, 5))
    cabinet.strays.append(stray)
    return [("extra", stray.path)]


# What the log says ----------------------------------------------------------------------------------------

LOG: list[FileFault] = []


@fault(
    LOG, "no path", "the log says that something was uploaded, and not where to", rate=0
)  # two would be one identity
def _nowhere(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.logged[0].path = None
    return [("lost", None), ("invalid", None), ("unauthorized", None), ("extra", filed.path)]


@fault(LOG, "logged twice", "one upload, one file, and two rows of it in the log", fits=solid)
def _logged_twice(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.logged.append(replace(filed.logged[0]))
    return [("invalid", filed.path), ("lost", filed.path)]


@fault(LOG, "not replaced", "uploaded once more under its name, and the store has kept the first one", fits=solid)
def _not_replaced(cabinet: Cabinet, filed: Filed) -> Expected:
    data, again = octets(cabinet.rng, filed.kind, len(filed.data)), cabinet.after(filed.stored[0].at, 60, 600)
    filed.logged.append(replace(filed.logged[0], sha256=sha256(data), size_bytes=len(data), uploaded_at=again))
    return [("corrupt", filed.path), ("skewed", filed.path)]  # what is there was there before


@fault(LOG, "no time", "the log does not say when it was uploaded: it belongs to no window")
def _timeless(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.logged[0].uploaded_at = None
    return [("invalid", filed.path)]


@fault(LOG, "thirtieth of February", "a time that nobody can read")
def _unreadable(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.logged[0].uploaded_at = f"{filed.uploaded.year}-02-30T09:00:00.000000Z"
    return [("invalid", filed.path)]


@fault(LOG, "time without a zone", "nine o'clock, and nobody says where")
def _zoneless(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.logged[0].uploaded_at = f"{filed.uploaded:%Y-%m-%dT%H:%M:%S}"
    return [("invalid", filed.path)]


# Times ----------------------------------------------------------------------------------------------------

TIMES: list[FileFault] = []


def _at(filed: Filed, moment: datetime) -> None:
    filed.stored[0].at = moment


@fault(TIMES, "late", "minutes in a queue", rate=3)
def _late(cabinet: Cabinet, filed: Filed) -> Expected:
    _at(filed, cabinet.after(filed.uploaded, 61, 880))
    return [("late", filed.path)]


@fault(TIMES, "late by a hair", "a millisecond beyond the minute")
def _hair(cabinet: Cabinet, filed: Filed) -> Expected:
    _at(filed, filed.uploaded + timedelta(seconds=60, milliseconds=1))
    return [("late", filed.path)]


@fault(TIMES, "very late", "stuck for hours: over the limit that nothing may exceed", rate=2)
def _very_late(cabinet: Cabinet, filed: Filed) -> Expected:
    _at(filed, cabinet.after(filed.uploaded, 3_700, 9_000))
    return [("late", filed.path)]


@fault(TIMES, "clock ahead", "the gate's clock ran ahead: stored before it was uploaded", rate=2)
def _ahead(cabinet: Cabinet, filed: Filed) -> Expected:
    _at(filed, cabinet.after(filed.uploaded, -120, -2))
    return [("skewed", filed.path)]


@fault(TIMES, "time of the file", "copied with its own time of change, years before its upload")
def _own_time(cabinet: Cabinet, filed: Filed) -> Expected:
    _at(filed, filed.uploaded - timedelta(days=cabinet.rng.randrange(400, 4_000)))
    return [("skewed", filed.path)]


@fault(TIMES, "from tomorrow", "a client's clock is a day ahead, and the log believed it")
def _tomorrow(cabinet: Cabinet, filed: Filed) -> Expected:
    filed.logged[0].uploaded_at = filed.uploaded + timedelta(days=1)
    return [("skewed", filed.path)]
