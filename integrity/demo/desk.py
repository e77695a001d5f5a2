"""Whom may a fault befall, and what may it reach for?

A fault takes one healthy item from the desk, as both sides hold it. Nobody is taken twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from integrity.demo.shelf import Keeper, PlantedBreak

__all__ = ["WINDOW", "Desk", "Fits", "Outcome", "Planted", "Row", "Subject", "open_desk"]

#: As in the contract: one batch.
WINDOW = timedelta(minutes=10)

#: Ids that the gateway never gives out begin here, so what is invented below collides with nothing.
INVENTED_IDS = 900_000_000


@dataclass(slots=True)
class Row:
    """One row of either side. Its types are wide, because SQLite keeps whatever a faulty gateway gives it."""

    tenant_id: str | None
    room_id: str | None
    message_id: str | None
    sender_id: str
    kind: str
    body: str | None
    size_bytes: int | str
    revision: int
    sent_at: datetime | str | None
    stored_at: datetime


@dataclass(slots=True)
class Subject:
    """One item: where its rows stand in the outbox, and what either side holds of it."""

    positions: tuple[int, ...]
    window: int
    source: list[Row]
    archive: list[Row]

    @property
    def sent(self) -> datetime:
        """When it was really sent (it is healthy until a fault takes it)."""
        sent = self.source[0].sent_at
        assert isinstance(sent, datetime)
        return sent


@dataclass(frozen=True, slots=True)
class Planted(PlantedBreak):
    """One break that a reconciliation must find in a day of messages."""

    tenant_id: str | None
    room_id: str | None
    message_id: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A row of the outcomes table: an item that ended elsewhere."""

    tenant_id: str | None
    room_id: str | None
    message_id: str | None
    outcome: str
    at: datetime


Fits = Callable[[Subject], bool]


@dataclass
class Desk(Keeper[Subject]):
    """What a fault may reach for besides its own item.

    Attributes:
        rng: The only source of chance, so that a seed decides everything.
        pool: Healthy items of one row each, in random order. Whatever a fault takes leaves it.
        burst: Every archived item of one room within a few busy minutes.
        touched: The items that faults took.
        outcomes: Rows to be added to the outcomes table.
        nameless: The rooms that hold a message without an id.
        invented: How many ids were made up.
    """

    rng: np.random.Generator
    pool: list[Subject]
    burst: list[Subject]
    touched: list[Subject] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    nameless: set[tuple[str | None, str | None]] = field(default_factory=set)
    invented: int = 0

    def take(self, fits: Fits) -> Subject | None:
        """Return the first healthy item of that sort, which is then spoken for, or None."""
        subject = super().take(fits)
        if subject is not None:
            self.touched.append(subject)
        return subject

    def give_back(self, items: Sequence[Subject]) -> None:
        """Take items back that a fault did not change after all."""
        untouched = {id(subject) for subject in items}
        self.touched = [subject for subject in self.touched if id(subject) not in untouched]
        super().give_back(items)

    def between(self, low: float, high: float) -> timedelta:
        """Return a random duration between so many seconds, in whole microseconds."""
        return timedelta(microseconds=int(self.rng.integers(round(low * 1e6), round(high * 1e6))))

    def new_id(self) -> str:
        """Return a message id that the gateway never gave out."""
        self.invented += 1
        return f"{INVENTED_IDS + self.invented:09d}"


def open_desk(rng: np.random.Generator, frame: pl.DataFrame, items: int, start: datetime, end: datetime) -> Desk:
    """Choose whom faults may befall: items archived, never edited, and in batches that are long closed."""
    minute = (frame["sent_at"] - start).dt.total_minutes()
    archived = frame["stored"].to_numpy()
    single = archived & ~_edited(frame)
    in_time = ((minute >= 60) & (minute < (end - start) // timedelta(minutes=1) - 60)).to_numpy()

    # The burst: the room and the five minutes after nine o'clock with the most messages.
    morning = frame.with_columns(minute=minute).with_row_index("position")
    morning = morning.filter(pl.col("stored") & pl.col("minute").is_between(9 * 60, 10 * 60 - 1))
    busiest = (
        morning.group_by("tenant_id", "room_id", pl.col("minute") // 5, maintain_order=True)
        .agg("position")
        .sort(pl.col("position").list.len(), descending=True, maintain_order=True)
    )
    burst = busiest["position"][0].to_numpy()

    chosen = single & in_time
    chosen[burst] = False
    candidates = np.flatnonzero(chosen)
    # The night is quiet: take all of it, and of the rest as many as the faults could ask for.
    night = candidates[minute.to_numpy()[candidates] // 60 == 4][:500]
    others = rng.permutation(np.setdiff1d(candidates, night))[: max(4_000, items // 40)]
    pool = _subjects(frame, rng.permutation(np.concatenate([night, others])), minute)
    return Desk(rng, pool, _subjects(frame, burst, minute))


def _edited(frame: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """Return which rows belong to an item of two revisions; the second follows the first."""
    second = (frame["revision"] == 2).to_numpy()
    edited: npt.NDArray[np.bool_] = second | np.append(second[1:], False)
    return edited


def _subjects(frame: pl.DataFrame, positions: Iterable[int], minute: pl.Series) -> list[Subject]:
    """Return the items whose rows stand at these positions, a second revision right after the first."""
    columns = list(Row.__dataclass_fields__)
    places = [int(position) for position in positions]
    subjects: list[Subject] = []
    ten = WINDOW // timedelta(minutes=1)
    for place, values, elapsed in zip(
        places, frame.select(columns)[places].iter_rows(), minute[places].to_list(), strict=True
    ):
        source, archive = Row(*values), Row(*values)
        if source.revision == 2:
            last = subjects[-1]
            last.positions += (place,)
            last.source.append(source)
            last.archive.append(archive)
        else:
            subjects.append(Subject((place,), elapsed // ten, [source], [archive]))
    return subjects
