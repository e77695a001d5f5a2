"""How many units must be tested, and what may be concluded of all from those that were?

Sizes and bounds of attribute sampling as auditors know them (AS 2315, AU-C 530), computed, not looked up: binomial
where the population's size is unknown, hypergeometric where it is known. Which units, :mod:`integrity.sampling` draws.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from numbers import Integral
from typing import Final

from integrity.errors import UsageError

__all__ = ["count_of", "decimal_of", "is_unlikely", "percent", "rate_of", "sample_size", "upper_bound"]

_MOST: Final = 10**15  # counts below it are exact as floats
_LEAST: Final = 1e-12  # of a rate; the sample for a smaller one cannot be had
_NOISE: Final = Fraction(1, 10**11)  # the chances below are right to 1e-12, measured against integers
_DOUBT: Final = 1e-9  # a comparison with the risk that is closer than this is made again, in integers
_EXACT = 10_000  # up to this size, for beyond it integers take minutes


def sample_size(
    *, tolerable: float = 0.05, risk: float = 0.05, expected: int = 0, population: int | None = None
) -> int:
    """Return how many units to test: the fewest for which ``expected`` deviations still support the tolerable rate.

    That is the smallest size at which a population that deviates at the tolerable rate would show at most ``expected``
    deviations with a chance of at most ``risk``. In a known population that is the fewest deviations whose rate is the
    tolerable one or higher. So a rate that is just tolerable is planned for as too high, which errs on the side of a
    larger sample; :func:`integrity.sampling.conclude` never asks for more.

    Args:
        tolerable: The highest rate of deviation that one can live with, in (0, 1).
        risk: The chance of relying wrongly that one accepts, in (0, 1): one less the confidence.
        expected: How many deviations the sample may show.
        population: How many distinct units there are; left out, any number.

    Raises:
        UsageError: an argument is out of its range, or a test of every unit would not do either.

    Example:
        >>> sample_size()
        59
        >>> sample_size(tolerable=0.10, risk=0.10, population=52)
        16
    """
    p, alpha = rate_of("tolerable", tolerable), rate_of("risk", risk)
    expected = count_of("expected", expected, least=0)
    if population is None:
        low, high = expected, max(expected + 1, math.ceil((expected + 1) / p))
        while not is_unlikely(expected, high, p, None, alpha):
            low, high = high, 2 * high
    else:
        population = count_of("population", population, least=1)
        marked = math.ceil(p * population)
        if marked <= expected:
            deviate = (
                f"{marked:,} deviation{'s reach' if marked > 1 else ' reaches'} it and {expected:,} would be allowed"
            )
            raise UsageError(
                f"a tolerable rate of {percent(p)} is out of reach in a population of {population:,}: {deviate}",
                "expect fewer deviations or tolerate more",
            )
        p, low, high = Fraction(marked, population), expected, population
    while high - low > 1:
        middle = (low + high) // 2
        if is_unlikely(expected, middle, p, population, alpha):
            high = middle
        else:
            low = middle
    return high


def upper_bound(size: int, deviations: int, *, risk: float = 0.05, population: int | None = None) -> float:
    """Return the highest rate of deviation that a sample's outcome leaves standing, as a fraction of one.

    The exact one-sided upper confidence bound, at confidence ``1 - risk``: Clopper and Pearson's for an unknown
    population, rounded up in its eleventh digit or so; for a known one the largest number of deviations in it at which
    the chance of seeing no more than were seen is still above ``risk``. A test of every unit gives the rate itself.
    Where no decimal of seventeen digits is that rate, it is the next higher one: 1 of 3 is not below a third.

    Args:
        size: How many units were tested.
        deviations: How many of them deviate.
        risk: The chance that the true rate is above the bound, in (0, 1).
        population: How many distinct units there are, the tested ones among them; left out, any number.

    Raises:
        UsageError: an argument is out of its range, or does not fit the others.

    Example:
        >>> round(upper_bound(25, 0), 3), round(upper_bound(25, 0, risk=0.10), 3)
        (0.113, 0.088)
        >>> upper_bound(40, 1, population=40)
        0.025
    """
    alpha = rate_of("risk", risk)
    size = count_of("size", size, least=1)
    deviations = count_of("deviations", deviations, least=0)
    if deviations > size:
        raise UsageError(f"{deviations:,} deviations cannot be among {size:,} units", "count each unit once")
    if population is None:
        below, above = 0.0, 1.0
        while below < (middle := (below + above) / 2) < above:  # down to neighbouring floats; the upper one is returned
            if _chance(deviations, size, Fraction(middle), None) <= alpha * (1 - _NOISE):
                above = middle
            else:
                below = middle
        return above
    population = count_of("population", population, least=1)
    if size > population:
        raise UsageError(f"a sample of {size:,} is larger than its population of {population:,}", "check both counts")
    standing, refuted = deviations, population - size + deviations + 1
    while refuted - standing > 1:
        marked = (standing + refuted) // 2
        if is_unlikely(deviations, size, Fraction(marked, population), population, alpha):
            refuted = marked
        else:
            standing = marked
    nearest, exact = standing / population, Fraction(standing, population)
    return nearest if decimal_of(nearest) >= exact else math.nextafter(nearest, 1.0)


# The chances. SciPy has them, but takes half a second to import and is none of our own dependencies; differences of
# log-gammas lose six digits at 10⁹. Loader's form, which R uses too, loses none: the logarithm of a probability is a
# deviance, computed from exact differences, and what remains of Stirling's formula. Where a float is too close to the
# risk to call, integers decide.


def is_unlikely(most: int, size: int, rate: Fraction, population: int | None, risk: Fraction) -> bool:
    """Tell whether at most ``most`` deviations among ``size`` units have a chance of at most ``risk``.

    Exactly so, unless the two agree to nine digits and the integers are too long to tell; then the answer is no, which
    makes samples larger and bounds higher.
    """
    chance = _chance(most, size, rate, population)
    if abs(chance - risk) > _DOUBT * risk:
        return bool(chance < risk)
    if (size if population is None else min(size, int(rate * population))) > _EXACT:
        return False
    if population is None:
        marked, clear, whole = rate.numerator, rate.denominator - rate.numerator, rate.denominator**size
        term = total = clear**size
        for i in range(most):
            term = term * ((size - i) * marked) // ((i + 1) * clear)
            total += term
    else:
        marked = int(rate * population)
        size, marked = min(size, marked), max(size, marked)  # either may be called the sample; the smaller is quicker
        clear, whole = population - marked, math.comb(population, size)
        first = max(0, size - clear)
        term = total = math.comb(marked, first) * math.comb(clear, size - first)
        for i in range(first, most):
            term = term * ((size - i) * (marked - i)) // ((i + 1) * (clear - size + i + 1))
            total += term
    return bool(total * risk.denominator <= risk.numerator * whole)


def _chance(most: int, size: int, rate: Fraction, population: int | None) -> float:
    """Return the chance of at most ``most`` deviations among ``size`` units: the tail from there on, term by term."""
    if population is None:
        first, last, odds = 0, size, float(rate / (1 - rate))
    else:
        marked = int(rate * population)
        clear = population - marked
        first, last = max(0, size - clear), min(size, marked)
    if not first <= most < last:
        return 0.0 if most < first else 1.0

    def growth(i: int) -> float:
        """By how much ``i`` deviations are likelier than one fewer."""
        if population is None:
            return (size - i + 1) / i * odds
        return ((size - i + 1) * (marked - i + 1)) / (i * (clear - size + i))

    term = total = 1.0
    if most <= size * rate:
        for i in range(most, first, -1):
            term /= growth(i)
            total += term
            if term < total * 1e-18:
                break
        return total * math.exp(_log_probability(most, size, rate, population))
    for i in range(most + 2, last + 1):
        term *= growth(i)
        total += term
        if term < total * 1e-18:
            break
    return 1.0 - total * math.exp(_log_probability(most + 1, size, rate, population))


def _log_probability(deviations: int, size: int, rate: Fraction, population: int | None) -> float:
    """Return the logarithm of the probability of so many deviations (Loader 2000, as cells of a 2 x 2 table)."""
    mean = size * rate
    off = float(deviations - mean)
    cells = [(deviations, mean, off), (size - deviations, size - mean, -off)]
    log = _stirling_rest(size)
    if population is not None:
        marked = int(rate * population)
        clear = population - marked
        cells += [
            (marked - deviations, marked - mean, -off),
            (clear - size + deviations, clear - size + mean, off),
        ]
        log += sum(map(_stirling_rest, (population - size, marked, clear))) - _stirling_rest(population)
    return log - sum(_stirling_rest(count) + _deviance(count, float(mean), off) for count, mean, off in cells)


def _stirling_rest(n: int) -> float:
    """Return log(n!) - n log(n) + n."""
    if n < 20:
        return math.lgamma(n + 1) - n * math.log(n) + n if n else 0.0
    square = n * n
    return math.log(2 * math.pi * n) / 2 + (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / square) / square) / square) / n


def _deviance(count: int, mean: float, off: float) -> float:
    """Return count x log(count / mean) - off, where ``off`` is count - mean, without losing what the two share."""
    if not count:
        return mean
    if abs(off) > 0.1 * (count + mean):
        return count * math.log(count / mean) - off
    v = off / (count + mean)
    total, term, i = off * v, 2 * count * v, 1
    while True:
        term, i = term * v * v, i + 2
        if total + term / i == total:
            return total
        total += term / i


def rate_of(name: str, value: float) -> Fraction:
    """Return a rate as the decimal that was written: 0.1 x 30 is 3, where floats make it a little more."""
    if not isinstance(value, float) or not _LEAST <= value <= 1 - _LEAST:
        raise UsageError(f"{name} is a rate above 0 and below 1, not {value!r}", "5 % is 0.05")
    return decimal_of(value)


def count_of(name: str, value: int, *, least: int) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= value <= _MOST:
        raise UsageError(f"{name} is a whole number, not {value!r}", f"give one from {least} to {_MOST:,}")
    return int(value)


def decimal_of(value: float) -> Fraction:
    return Fraction(str(float(value)))


def percent(rate: Fraction) -> str:
    """Write a rate that is a finite decimal, with all its digits: a bound that is cut short is none.

    Example:
        >>> percent(Fraction("0.05")), percent(Fraction("0.33333333333333337"))
        ('5 %', '33.333333333333337 %')
    """
    places = 0
    while (whole := rate * 10 ** (places + 2)).denominator > 1:
        places += 1
    return f"{Decimal(f'{whole.numerator}e-{places}'):f} %"
