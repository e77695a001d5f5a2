"""Sizes and bounds against SciPy and plain fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from integrity import UsageError, chances
from integrity.chances import sample_size, upper_bound
from tests.effort import examples

risks = st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.5])
rates = st.sampled_from([0.001, 0.01, 0.05, 0.07, 0.1, 0.25, 0.5, 0.9])


# How many -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("risk", "tolerable", "sizes"),
    [(0.05, 0.05, [59, 93, 124]), (0.05, 0.10, [29, 46, 61]), (0.10, 0.05, [45, 77, 105]), (0.10, 0.10, [22, 38, 52])],
)
def test_the_sizes_that_auditors_know(risk: float, tolerable: float, sizes: list[int]) -> None:
    assert [sample_size(risk=risk, tolerable=tolerable, expected=k) for k in range(3)] == sizes


def test_the_numbers_that_auditors_quote() -> None:
    assert sample_size(risk=0.10, tolerable=0.10, population=52) == 16
    assert f"{upper_bound(25, 0):.3f} {upper_bound(25, 0, risk=0.10):.3f}" == "0.113 0.088"
    assert upper_bound(59, 0) <= 0.05 < upper_bound(58, 0)


def at_most(most: int, size: int, rate: Fraction, population: int | None) -> Fraction:
    """The chance of at most so many deviations, by its definition."""
    if population is None:
        return sum(
            (math.comb(size, i) * rate**i * (1 - rate) ** (size - i) for i in range(min(most, size) + 1)), Fraction(0)
        )
    marked = int(rate * population)
    ways = sum(math.comb(marked, i) * math.comb(population - marked, size - i) for i in range(min(most, size) + 1))
    return Fraction(ways, math.comb(population, size))


@settings(max_examples=examples(120), deadline=None)
@given(rates, risks, st.integers(0, 4), st.none() | st.integers(1, 80))
def test_a_size_is_the_smallest_that_does(tolerable: float, risk: float, expected: int, population: int | None) -> None:
    rate, alpha = Fraction(str(tolerable)), Fraction(str(risk))
    if population is None:
        assume(tolerable >= 0.05)  # the oracle's fractions grow long
    else:
        rate = Fraction(math.ceil(rate * population), population)
        if rate * population <= expected:
            with pytest.raises(UsageError, match="out of reach in a population"):
                sample_size(tolerable=tolerable, risk=risk, expected=expected, population=population)
            return
    size = sample_size(tolerable=tolerable, risk=risk, expected=expected, population=population)
    assert at_most(expected, size, rate, population) <= alpha < at_most(expected, size - 1, rate, population)


@settings(max_examples=examples(120), deadline=None)
@given(rates, risks, st.integers(0, 300), st.none() | st.integers(1_000, 10**9))
def test_sizes_agree_with_scipy(tolerable: float, risk: float, expected: int, population: int | None) -> None:
    if population is None:
        size = sample_size(tolerable=tolerable, risk=risk, expected=expected)
        here, before = (stats.binom.cdf(expected, n, tolerable) for n in (size, size - 1))
    else:
        marked = math.ceil(Fraction(str(tolerable)) * population)
        assume(marked > expected)
        size = sample_size(tolerable=tolerable, risk=risk, expected=expected, population=population)
        here, before = (stats.hypergeom.cdf(expected, population, marked, n) for n in (size, size - 1))
    assert here <= risk * (1 + 1e-7)
    assert before > risk * (1 - 1e-7)


# How sure -----------------------------------------------------------------------------------------------------------


def no_less(rate: Fraction) -> float:
    """The lowest float that, as it is written, is no less than a rate."""
    near = float(rate)
    return next(value for value in (near, math.nextafter(near, 1.0)) if Fraction(str(value)) >= rate)


@settings(max_examples=examples(150), deadline=None)
@given(st.integers(1, 100_000), st.data(), risks)
def test_bounds_are_those_of_clopper_and_pearson(size: int, data: st.DataObject, risk: float) -> None:
    deviations = data.draw(st.integers(0, min(size, 50)) | st.integers(0, size))
    told = stats.beta.ppf(1 - risk, deviations + 1, size - deviations) if deviations < size else 1.0
    assert upper_bound(size, deviations, risk=risk) == pytest.approx(told, rel=1e-9)


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(1, 40), st.data(), risks)
def test_bounds_of_small_populations_are_those_of_trying_every_number(
    population: int, data: st.DataObject, risk: float
) -> None:
    size = data.draw(st.integers(1, population))
    deviations = data.draw(st.integers(0, size))
    standing = [
        marked
        for marked in range(deviations, population - size + deviations + 1)
        if at_most(deviations, size, Fraction(marked, population), population) > Fraction(str(risk))
    ]
    assert upper_bound(size, deviations, risk=risk, population=population) == no_less(
        Fraction(max(standing), population)
    )


@settings(max_examples=examples(100), deadline=None)
@given(st.integers(1_000, 10**9), st.data(), risks)
def test_bounds_of_large_populations_agree_with_scipy(population: int, data: st.DataObject, risk: float) -> None:
    size = data.draw(st.integers(1, min(population, 100_000)))
    deviations = data.draw(st.integers(0, min(size, 50)) | st.integers(0, size))
    bound = upper_bound(size, deviations, risk=risk, population=population)
    marked = round(bound * population)
    assert bound == no_less(Fraction(marked, population))
    assert stats.hypergeom.cdf(deviations, population, marked, size) > risk * (1 - 1e-6)
    if marked < population - size + deviations:
        assert stats.hypergeom.cdf(deviations, population, marked + 1, size) <= risk * (1 + 1e-6)


@given(st.integers(1, 200), st.data())
def test_a_census_gives_the_rate_itself(population: int, data: st.DataObject) -> None:
    deviations = data.draw(st.integers(0, population))
    bound = upper_bound(population, deviations, population=population)
    assert bound == no_less(Fraction(deviations, population)) == pytest.approx(deviations / population, rel=1e-15)


def test_a_bound_is_not_below_the_rate_by_a_float_s_last_digit() -> None:
    assert Fraction(str(1 / 3)) < Fraction(1, 3)
    assert Fraction(str(upper_bound(3, 1, population=3))) > Fraction(1, 3)
    assert upper_bound(10, 3, population=10) == 0.3


@given(st.floats(1e-12, 1.0))
def test_a_rate_is_shown_with_all_its_digits(rate: float) -> None:
    shown = chances.percent(Fraction(str(rate)))
    assert Fraction(shown.removesuffix(" %")) == 100 * Fraction(str(rate))
    assert "e" not in shown.lower()


def test_where_a_chance_is_the_risk_itself_integers_decide() -> None:
    assert sample_size(tolerable=0.5, risk=0.25) == 2  # 1/2 x 1/2
    assert sample_size(tolerable=0.05, risk=0.05, population=20) == 19  # 1 of 20 is left
    assert sample_size(tolerable=0.1, risk=0.9) == 1
    assert sample_size(tolerable=0.1, risk=0.81) == 2  # 0.9 x 0.9 is more than 0.81 in floats
    assert sample_size(tolerable=0.5, risk=0.5, expected=1_000) == 2_001  # by symmetry
    assert sample_size(tolerable=0.5, risk=0.5, expected=1_000, population=10**6) == 2_001
    assert sample_size(tolerable=0.5, risk=0.5, expected=100_000) == 200_002  # too long to tell, so one more
    assert upper_bound(19, 0, population=20) == 0.0
    assert sample_size(tolerable=0.9, risk=0.9, expected=17, population=20) == 19  # the one left out is one of 18
    assert sample_size(tolerable=0.9, risk=0.8999999999, expected=17, population=20) == 20


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(1, 300), st.data(), st.booleans())
def test_chances_are_right_to_twelve_digits(size: int, data: st.DataObject, known: bool) -> None:
    most = data.draw(st.integers(0, size))
    population = data.draw(st.integers(size, 5_000)) if known else None
    rate = (
        Fraction(data.draw(st.integers(1, population - 1 if population else 999)), population or 1_000)
        if population != 1
        else Fraction(1)
    )
    exact = at_most(most, size, rate, population)
    assert chances._chance(most, size, rate, population) == pytest.approx(float(exact), rel=1e-12, abs=1e-300)


def test_chances_far_above_the_mean_are_one_and_far_below_it_none() -> None:
    for population in (None, 10**9):
        assert chances._chance(70_000, 100_000, Fraction(1, 2), population) == 1.0
        assert chances._chance(30_000, 100_000, Fraction(1, 2), population) == 0.0


@pytest.mark.parametrize("population", [None, 10**9 + 7])
def test_no_digit_is_lost_in_large_populations(population: int | None) -> None:
    """From the mean to five standard deviations below it, by one step at a time, and at once."""
    size, marked = 500_000_009, 300_000_007
    rate = Fraction(marked, population or 10**9 + 7)
    clear = population - marked if population else 0
    mean = int(size * rate)
    low = mean - (40_000 if population else 50_000)
    if population is None:
        steps = [
            (size - i + 1) * rate.numerator / (i * (rate.denominator - rate.numerator))
            for i in range(low + 1, mean + 1)
        ]
    else:
        steps = [(size - i + 1) * (marked - i + 1) / (i * (clear - size + i)) for i in range(low + 1, mean + 1)]
    at_once = [chances._log_probability(i, size, rate, population) for i in (low, mean)]
    assert at_once[0] < -10
    assert at_once[1] - at_once[0] == pytest.approx(math.fsum(map(math.log, steps)), abs=1e-12)
    # What is above and what is below the mean make one: the constant is right too.
    assert chances._chance(mean, size, rate, population) + chances._chance(
        size - mean - 1, size, 1 - rate, population
    ) == pytest.approx(1, abs=1e-11)


def test_a_rate_is_the_decimal_that_was_written() -> None:
    """0.1 x 30 is 3.0000000000000004 in floats, and 4 when rounded up."""
    assert sample_size(tolerable=0.1, population=30) == next(
        n for n in range(31) if Fraction(math.comb(27, n), math.comb(30, n)) <= Fraction(1, 20)
    )
