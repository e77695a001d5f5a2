"""Which items or runs should a person test by hand, and what does the outcome of that test support?

Attribute sampling as auditors do it (AS 2315, AU-C 530): how many units (:func:`sample_size`, which is computed in
:mod:`integrity.chances`), which ones (:func:`draw`), and what their test says about all of them (:func:`conclude`).

A reconciliation that reads everything is not a sample and needs none of this. It is for what a machine cannot judge:
was this item handled as it should have been, were the breaks of this run followed up?

A draw can be re-performed with nothing but SHA-256 and a sort. A unit's rank under a seed is the SHA-256 of
``integrity.sample/1``, the seed and the unit, each of the latter two after its length in eight octets, big-endian; the
sample is the units of the smallest ranks. So the order in which the population was read makes no difference, parts can
be drawn apart and added, and memory is bounded.

**Equal units are one unit**, however often they occur. With bounded memory and no regard to order, copies could only be
drawn all together or not at all: a unit that was forgotten cannot be counted, and equal chances leave no other way.
Such blocks bear no conclusion: a population half of which is one bad unit would mostly be found good. So the conclusion
is of distinct units, and says so where copies were noticed; name each unit so that it occurs once (a run's id; an
identity and its position).
"""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from hashlib import sha256
from typing import Any, Self

from integrity.chances import count_of, decimal_of, is_unlikely, percent, rate_of, sample_size, upper_bound
from integrity.errors import UsageError

__all__ = [
    "ALGORITHM",
    "Conclusion",
    "Drawing",
    "Sample",
    "conclude",
    "draw",
    "new_seed",
    "ranker",
    "sample_size",
    "upper_bound",
]

#: What is hashed before the seed and the unit, and the name under which a sample is kept.
ALGORITHM = "integrity.sample/1"
_FRAME = b"integrity.frame/1"
_NO_LIMIT = b"\xff" * 32  # no rank is above it
_KEPT = 1 << 16  # how many units a drawing keeps, if the sample is smaller: so many it can count exactly


def new_seed() -> str:
    """Return a seed that nobody could foresee: 32 hexadecimal digits.

    Draw it, and put it on record, when the population is fixed and before anybody knows how its units come out; better,
    have whoever relies on the test name it. A seed that was chosen among several has chosen the sample.

    Example:
        >>> len(new_seed())
        32
    """
    return secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class Sample:
    """The units to test, and all that is needed to draw them again and to conclude from them.

    Attributes:
        seed: The text that decided; :func:`new_seed` makes one.
        units: The units, the smallest rank first. The first n of them are the sample of size n under this seed.
        population: How many units were read, copies counted: the record count that this ties to.
        distinct: How many of them are distinct, which is what a conclusion is of. Exact up to 65,536 (or
            ``size``); beyond, ``population`` where no copies were noticed (rare ones may not be), else ``None``.
        frame: ``sum256:`` and 64 hexadecimal digits: the SHA-256 of ``integrity.frame/1`` and the unit, summed modulo
            2²⁵⁶ over the units read. Two populations that differ do not agree by accident. Somebody who can choose the
            units can make two that do: it is a control total, and binds nobody as ``seal: merkle`` does.
        tolerable: The highest rate of deviation that one can live with.
        risk: The chance of relying wrongly that one accepts.
        expected: How many deviations the sample was planned to allow.
        algorithm: How it was drawn.

    Raises:
        UsageError: a value is out of its range, or the seed does not rank the units in this order.
    """

    seed: str
    units: tuple[bytes, ...]
    population: int
    distinct: int | None
    frame: str
    tolerable: float = 0.05
    risk: float = 0.05
    expected: int = 0
    algorithm: str = ALGORITHM

    def __post_init__(self) -> None:
        if self.algorithm != ALGORITHM:
            raise UsageError(f"a sample by {self.algorithm!r} cannot be read", f"{ALGORITHM!r} is what is known here")
        if not isinstance(self.units, tuple):
            raise UsageError(f"the units of a sample are a tuple, not {type(self.units).__name__}", "draw() makes one")
        _plan(self.size, self.tolerable, self.risk, self.expected)
        count_of("population", self.population, least=1)
        distinct = self.population if self.distinct is None else count_of("distinct", self.distinct, least=1)
        if not self.size <= distinct <= self.population:
            raise UsageError(
                f"{self.size:,} units out of {distinct:,} distinct ones cannot come from a population of"
                f" {self.population:,}",
                "draw the sample again",
            )
        if not isinstance(self.frame, str) or not re.fullmatch("sum256:[0-9a-f]{64}", self.frame):
            raise UsageError(f"{self.frame!r} is no digest of a frame", "it is sum256: and 64 hexadecimal digits")
        rank = ranker(self.seed)
        ranks = [rank(_unit(unit)) for unit in self.units]
        if any(ranks[i] >= ranks[i + 1] for i in range(len(ranks) - 1)):
            raise UsageError(f"the seed {self.seed!r} does not rank the units in this order", "draw the sample again")

    @property
    def size(self) -> int:
        """How many units there are to test."""
        return len(self.units)

    def to_dict(self) -> dict[str, Any]:
        """Return the sample as JSON has it, the units in hexadecimal."""
        return asdict(self) | {"units": [unit.hex() for unit in self.units]}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` wrote.

        Raises:
            UsageError: it is no sample.

        Example:
            >>> sample = draw([b"a", b"b", b"c"], 2, "2026 Q3")
            >>> Sample.from_dict(sample.to_dict()) == sample
            True
        """
        names = set(cls.__dataclass_fields__)
        if not isinstance(told, Mapping) or set(told) != names or not isinstance(told["units"], list):
            raise UsageError("this is no sample", f"one has {', '.join(sorted(names))}, and its units are a list")
        try:
            units = tuple(bytes.fromhex(unit) for unit in told["units"])
        except (TypeError, ValueError):
            raise UsageError("a unit of the sample is not hexadecimal", "read what to_dict wrote") from None
        return cls(**{**told, "units": units})


_Found = dict[bytes, tuple[bytes, int]]  # by rank: a unit, and how often it was read


@dataclass(slots=True)
class Drawing:
    """A sample that is being drawn, in one pass, from a population that comes in parts.

    ``a + b`` is the drawing over what both have read. Memory is for some ``size`` units, or 65,536 if that is more.

    Raises:
        UsageError: a value is out of its range.

    Example:
        >>> first, second = Drawing(2, "2026 Q3"), Drawing(2, "2026 Q3")
        >>> first.add([b"c"])
        >>> second.add([b"a", b"b"])
        >>> (first + second).sample() == draw([b"a", b"b", b"c"], 2, "2026 Q3")
        True
    """

    size: int
    seed: str
    tolerable: float = 0.05
    risk: float = 0.05
    expected: int = 0
    _read: int = field(default=0, init=False, repr=False)
    _sum: int = field(default=0, init=False, repr=False)
    _limit: bytes = field(default=_NO_LIMIT, init=False, repr=False)  # units that rank above it may be forgotten
    _found: _Found = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        self.size, self.tolerable, self.risk, self.expected = _plan(self.size, self.tolerable, self.risk, self.expected)
        ranker(self.seed)

    @property
    def read(self) -> int:
        """How many units were read, copies counted."""
        return self._read

    def add(self, units: Iterable[bytes]) -> None:
        """Read units of the population, in any order. If reading them fails, none of them was read.

        Raises:
            UsageError: a unit is not bytes.
        """
        rank, keep = ranker(self.seed), max(self.size, _KEPT)
        read, total, limit, found = 0, 0, self._limit, _Found()
        for unit in units:
            ranked = rank(_unit(unit))
            read += 1
            total += int.from_bytes(sha256(_FRAME + unit).digest(), "big")
            if ranked <= limit:
                found[ranked] = (unit, found[ranked][1] + 1 if ranked in found else 1)
                if len(found) > 2 * keep:
                    found, limit = _smallest(found, keep)
        self._take(read, total, limit, found)

    def _take(self, read: int, total: int, limit: bytes, found: _Found) -> None:
        self._read, self._sum, self._limit = self._read + read, (self._sum + total) % 2**256, min(self._limit, limit)
        for ranked, (unit, times) in found.items():
            self._found[ranked] = (unit, times + self._found.get(ranked, (unit, 0))[1])
        keep = max(self.size, _KEPT)
        if len(self._found) > 2 * keep:
            self._found, self._limit = _smallest(self._found, keep)

    def __add__(self, other: Drawing) -> Drawing:
        """Return the drawing over what both have read.

        Raises:
            UsageError: they differ in size, seed, or what they were planned for.
        """
        if not isinstance(other, Drawing):
            return NotImplemented
        mine, theirs = ((d.size, d.seed, d.tolerable, d.risk, d.expected) for d in (self, other))
        if mine != theirs:
            raise UsageError(
                "two drawings that differ in size, seed, tolerable rate, risk or expected deviations do not add up",
                "draw both parts alike",
            )
        whole = Drawing(*mine)
        for part in (self, other):
            whole._take(part._read, part._sum, part._limit, part._found)
        return whole

    def sample(self, size: int | None = None) -> Sample:
        """Return the sample of what was read so far.

        Args:
            size: Fewer than it was made for, where the population turned out to need no more.

        Raises:
            UsageError: fewer distinct units were read, or it was made for fewer.
        """
        size = self.size if size is None else count_of("size", size, least=1)
        if size > self.size:
            raise UsageError(f"a drawing of {self.size:,} units gives no {size:,}", "make it for as many")
        if len(self._found) < size:
            raise UsageError(
                f"{size:,} units cannot be drawn from a population of {len(self._found):,} distinct ones",
                "plan the sample for it: sample_size(population=…)",
            )
        keep = max(self.size, _KEPT)
        kept, limit = _smallest(self._found, keep)
        distinct: int | None = self._read
        if self._limit == _NO_LIMIT and len(self._found) <= keep:
            distinct = len(kept)
        elif any(times > 1 for _, times in kept.values()):
            distinct = None
        elif self._read * int.from_bytes(limit, "big") > 2**256 * (keep + 6 * math.sqrt(keep) + 6):
            # Among so many distinct units more than ``keep`` would rank as low; six standard errors are no accident. So
            # many copies of a few units are noticed even where none of those few is kept.
            distinct = None
        return Sample(
            seed=self.seed,
            units=tuple(unit for unit, _ in list(kept.values())[:size]),
            population=self._read,
            distinct=distinct,
            frame=f"sum256:{self._sum:064x}",
            tolerable=self.tolerable,
            risk=self.risk,
            expected=self.expected,
        )


def _smallest(found: _Found, keep: int) -> tuple[_Found, bytes]:
    """Return the smallest ranks in order, and the last of them.

    What is left out ranks above ``keep`` others for good, so no count of a unit that matters is ever missed.
    """
    ranks = sorted(found)
    return {ranked: found[ranked] for ranked in ranks[:keep]}, ranks[:keep][-1]


def draw(
    units: Iterable[bytes], size: int, seed: str, *, tolerable: float = 0.05, risk: float = 0.05, expected: int = 0
) -> Sample:
    """Draw a sample: each distinct unit with the same chance, decided by the seed alone.

    Args:
        units: The names of the population's units, in any order; read once.
        size: How many to draw, from :func:`sample_size`.
        seed: Any text, fixed before the outcome of any unit is known: see :func:`new_seed`.
        tolerable: What the size was planned for, as in :func:`sample_size`; :func:`conclude` goes by it.
        risk: Likewise.
        expected: Likewise.

    Raises:
        UsageError: an argument is out of its range, or there are fewer distinct units than ``size``.

    Example:
        >>> sample = draw((f"run {n}".encode() for n in range(4380)), 59, "2026 Q3")
        >>> sample.size, sample.population, sample.units[0]
        (59, 4380, b'run 4128')
    """
    drawing = Drawing(size, seed, tolerable, risk, expected)
    drawing.add(units)
    return drawing.sample()


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the outcome of a sample supports.

    Attributes:
        sample: What was tested.
        deviations: How many of its units deviate.
        not_tested: How many others could not be tested. They count as deviations.
        upper_bound: The highest rate of deviation in the population that the outcome leaves standing.
        supported: Whether that is at most the tolerable rate.
        noun: What the units are called, in the plural.
    """

    sample: Sample
    deviations: int
    not_tested: int
    upper_bound: float
    supported: bool
    noun: str

    @property
    def sentence(self) -> str:
        """The conclusion in plain words; the bound is rounded up."""
        sample, bound, limit = self.sample, decimal_of(self.upper_bound), decimal_of(self.sample.tolerable)
        found = f"{self.deviations:,}" if self.deviations else "no"
        found += f" deviation{'s' * (self.deviations > 1)}"
        if self.not_tested:
            found += f" and {self.not_tested:,} not tested, which count{'s' * (self.not_tested == 1)} as deviating,"
        places = 3  # a tenth of a per cent; more where that would be coarse, or blur which of bound and limit is higher
        shown = _rounded_up(bound, places)
        while 10 * shown > 11 * bound > 0 or (shown < limit, shown > limit) != (bound < limit, bound > limit):
            places += 1
            shown = _rounded_up(bound, places)
        whole = f"{sample.population:,} {self.noun}"
        if sample.distinct != sample.population:
            known = "not all" if sample.distinct is None else f"{sample.distinct:,}"
            whole += f" ({known} distinct; equal ones count as one)"
        if sample.size == sample.distinct:
            where = f"all {whole}:{' at most' * (self.not_tested > 0)}"
        else:
            confidence = percent(1 - decimal_of(sample.risk))
            where = f"{sample.size:,} of {whole} drawn by seed {sample.seed!r}: with {confidence} confidence at most"
        return (
            f"{found} in {where} {percent(shown)} of the population deviate;"
            f" tolerable is {percent(limit)}: {'' if self.supported else 'not '}supported"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the conclusion as JSON has it, with its sentence."""
        return asdict(self) | {"sample": self.sample.to_dict(), "sentence": self.sentence}


def conclude(sample: Sample, deviations: int, *, not_tested: int = 0, noun: str = "items") -> Conclusion:
    """Tell what the test of a sample supports.

    A unit that could not be tested (its record is gone, the control was not run, the data did not suffice) is a
    deviation, as auditing has it. The conclusion holds for a sample that was planned: one that is enlarged because its
    outcome disappoints has another risk than it says. Where the number of distinct units is unknown, the bound is that
    for a population of any size.

    Args:
        sample: What was tested, all of it.
        deviations: How many of its units deviate.
        not_tested: How many others could not be tested.
        noun: What the units are called in the sentence, in the plural.

    Raises:
        UsageError: the counts cannot be those of this sample.

    Example:
        >>> sample = draw((f"run {n}".encode() for n in range(4380)), 59, "2026 Q3")
        >>> print(conclude(sample, 0, noun="runs").sentence)  # doctest: +NORMALIZE_WHITESPACE
        no deviation in 59 of 4,380 runs drawn by seed '2026 Q3': with 95 % confidence at most 4.91 % of the population
        deviate; tolerable is 5 %: supported
    """
    deviations = count_of("deviations", deviations, least=0)
    not_tested = count_of("not_tested", not_tested, least=0)
    counted = deviations + not_tested
    bound = upper_bound(sample.size, counted, risk=sample.risk, population=sample.distinct)
    supported = bound <= sample.tolerable
    if sample.distinct is None:
        # This bound is a float and the tolerable rate a decimal. Where they meet, decide as sample_size does.
        p, alpha = decimal_of(sample.tolerable), decimal_of(sample.risk)
        supported = is_unlikely(counted, sample.size, p, None, alpha)
        bound = min(bound, sample.tolerable) if supported else max(bound, math.nextafter(sample.tolerable, 1.0))
    return Conclusion(sample, deviations, not_tested, bound, supported, noun)


def ranker(seed: str) -> Callable[[bytes], bytes]:
    """Return what ranks a unit under a seed: the smallest ranks are the sample.

    Raises:
        UsageError: the seed is no text.

    Example:
        >>> rank = ranker("2026 Q3")
        >>> sorted([b"a", b"b", b"c"], key=rank)[:2] == list(draw([b"a", b"b", b"c"], 2, "2026 Q3").units)
        True
    """
    if not isinstance(seed, str) or not seed:
        raise UsageError(f"a seed is a text, not {seed!r}", "integrity.sampling.new_seed() makes one")
    try:
        octets = seed.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the seed {seed!r} is no Unicode text", "new_seed() makes one") from None
    begun = sha256(ALGORITHM.encode() + len(octets).to_bytes(8, "big") + octets)

    def rank(unit: bytes) -> bytes:
        hashed = begun.copy()
        hashed.update(len(unit).to_bytes(8, "big") + unit)
        return hashed.digest()

    return rank


def _unit(unit: bytes) -> bytes:
    if not isinstance(unit, bytes):
        raise UsageError(f"a unit is bytes, not {type(unit).__name__}", "encode its name: name.encode()")
    return unit


def _plan(size: int, tolerable: float, risk: float, expected: int) -> tuple[int, float, float, int]:
    rate_of("tolerable", tolerable)
    rate_of("risk", risk)
    return count_of("size", size, least=1), float(tolerable), float(risk), count_of("expected", expected, least=0)


def _rounded_up(rate: Fraction, places: int) -> Fraction:
    return Fraction(math.ceil(rate * 10**places), 10**places)
