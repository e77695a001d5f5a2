"""What do the faults of all days have in common, and how are those of one day planted?

A day has somebody who keeps its items. A fault takes one healthy item from there, spoils it, and says which breaks a
reconciliation must report: no more and no fewer. Nobody is taken twice, so a break found belongs to exactly one fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from integrity.errors import UsageError

__all__ = ["Fault", "Keeper", "PlantedBreak", "enter", "plant"]

_Item = TypeVar("_Item")
_Break = TypeVar("_Break")
_Keeper = TypeVar("_Keeper", bound="Keeper[Any]")


@dataclass(frozen=True, slots=True)
class PlantedBreak:
    """One break that a reconciliation must find: its kind, and the fault that it comes from. A day adds the item."""

    fault: str
    why: str
    kind: str


class Keeper(Generic[_Item]):
    """Who keeps the items of a day.

    Attributes:
        pool: Healthy items in random order. Whatever a fault takes leaves it.
    """

    pool: list[_Item]

    def take(self, fits: Callable[[_Item], bool]) -> _Item | None:
        """Return the first healthy item of that sort, which is then spoken for, or None."""
        for place, item in enumerate(self.pool):
            if fits(item):
                return self.pool.pop(place)
        return None

    def give_back(self, items: Sequence[_Item]) -> None:
        """Take items back that a fault did not change after all."""
        self.pool.extend(items)


@dataclass(frozen=True, slots=True)
class Fault(Generic[_Keeper, _Item, _Break]):
    """A fault by name.

    Attributes:
        name: What it is called.
        why: How it comes about, in words.
        rate: How often it happens in a day of a certain size; once at least.
        fits: Whom it may befall.
        spoil: Spoils an item and returns the breaks to be found; or changes nothing and returns None.
    """

    name: str
    why: str
    rate: float
    fits: Callable[[_Item], bool]
    spoil: Callable[[_Keeper, _Item], Iterable[_Break] | None]


def enter(
    shelf: list[Fault[_Keeper, _Item, _Break]], name: str, why: str, rate: float, fits: Callable[[_Item], bool]
) -> Callable[
    [Callable[[_Keeper, _Item], Iterable[_Break] | None]], Callable[[_Keeper, _Item], Iterable[_Break] | None]
]:
    """Put a fault on a shelf: a list, in which faults stand in the order of their code."""

    def on_shelf(
        spoil: Callable[[_Keeper, _Item], Iterable[_Break] | None],
    ) -> Callable[[_Keeper, _Item], Iterable[_Break] | None]:
        shelf.append(Fault(name, why, rate, fits, spoil))
        return spoil

    return on_shelf


def plant(
    catalogue: Iterable[Fault[_Keeper, _Item, _Break]],
    keeper: _Keeper,
    size: int,
    *,
    per: int,
    item: str,
    more: str,
) -> Iterator[tuple[Fault[_Keeper, _Item, _Break], _Break]]:
    """Spoil items of a day, with every fault at least once, and yield the breaks to be found.

    Args:
        catalogue: The faults, in the order in which they are planted: another order is another day for the same seed.
        keeper: Who keeps the items.
        size: How many items the day has.
        per: Of how many items the rates of the faults are.
        item: What an item is called, for messages.
        more: What to ask for more of, where a fault finds nobody.

    Raises:
        UsageError: a fault finds nobody whom it could befall.
    """
    for fault in catalogue:
        wanted = max(1, round(fault.rate * size / per))
        done = 0
        refused: list[_Item] = []
        while done < wanted:
            taken = keeper.take(fault.fits)
            if taken is None:
                break
            expected = fault.spoil(keeper, taken)
            if expected is None:
                refused.append(taken)
                continue
            done += 1
            for each in expected:
                yield fault, each
        if not done:
            raise UsageError(f"no {item} of this day can suffer {fault.name!r}", f"ask for more {more}")
        keeper.give_back(refused)
