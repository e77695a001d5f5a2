"""Draws against a sort of everything; conclusions against all outcomes."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from integrity import UsageError, chances, sampling
from integrity.sampling import Drawing, Sample, conclude, draw, new_seed, ranker, sample_size, upper_bound
from tests.effort import examples

risks = st.sampled_from([0.01, 0.05, 0.1, 0.25, 0.5])
rates = st.sampled_from([0.001, 0.01, 0.05, 0.07, 0.1, 0.25, 0.5, 0.9])
# Few distinct names, so that copies are common; 0x00 and the empty one among them.
units = st.lists(st.binary(max_size=1) | st.integers(0, 25).map(lambda n: b"run %d" % n), max_size=60)


# Which ones ---------------------------------------------------------------------------------------------------------


def test_a_draw_is_performed_again_with_a_hash_and_a_sort() -> None:
    population = [f"2026-{month:02}-{day:02}" for month in range(1, 13) for day in range(1, 29)]
    sample = draw((name.encode() for name in population), 20, "감사 2026")
    seed = "감사 2026".encode()

    def rank(name: str) -> str:
        parts = [part for text in (seed, name.encode()) for part in (len(text).to_bytes(8, "big"), text)]
        return hashlib.sha256(b"".join([b"integrity.sample/1", *parts])).hexdigest()

    assert [unit.decode() for unit in sample.units] == sorted(population, key=rank)[:20]
    total = sum(int(hashlib.sha256(b"integrity.frame/1" + name.encode()).hexdigest(), 16) for name in population)
    assert sample.frame == f"sum256:{total % 2**256:064x}"
    assert (sample.population, sample.distinct) == (336, 336)


def sorted_everything(population: list[bytes], size: int, seed: str, keep: int) -> tuple[Any, ...]:
    """What a draw finds, from a list of all there is."""
    start = b"integrity.sample/1" + len(seed.encode()).to_bytes(8, "big") + seed.encode()
    times = Counter(population)
    ranked = sorted(times, key=lambda unit: hashlib.sha256(start + len(unit).to_bytes(8, "big") + unit).digest())
    total = sum(int.from_bytes(hashlib.sha256(b"integrity.frame/1" + unit).digest(), "big") for unit in population)
    seen = [times[unit] for unit in ranked[: max(size, keep)]]
    distinct = len(times) if len(seen) == len(times) else None if max(seen) > 1 else len(population)
    return tuple(ranked[:size]), len(population), distinct, f"sum256:{total % 2**256:064x}"


@settings(max_examples=examples(1_500), deadline=None)
@given(units, st.integers(1, 12), st.text(st.characters(codec="utf-8"), min_size=1), st.integers(1, 9), st.data())
def test_a_draw_is_that_of_sorting_everything_however_it_is_read(
    population: list[bytes], size: int, seed: str, keep: int, data: st.DataObject
) -> None:
    """In any order, in any parts, added up in any way, and with many a unit forgotten on the way."""
    shuffled = data.draw(st.permutations(population))
    parts = [Drawing(size, seed) for _ in range(data.draw(st.integers(1, 4)))]
    before, sampling._KEPT = sampling._KEPT, keep
    try:
        while shuffled:
            some = data.draw(st.integers(1, len(shuffled)))
            data.draw(st.sampled_from(parts)).add(iter(shuffled[:some]))
            shuffled = shuffled[some:]
        whole, *others = data.draw(st.permutations(parts))
        for other in others:
            whole = whole + other if data.draw(st.booleans()) else other + whole
        assert all(len(part._found) <= 2 * max(size, keep) for part in [whole, *parts])
        if len(set(population)) < size:
            with pytest.raises(UsageError, match="cannot be drawn"):
                whole.sample()
            return
        sample = whole.sample()
    finally:
        sampling._KEPT = before
    chosen, read, distinct, frame = sorted_everything(population, size, seed, keep)
    assert (sample.units, sample.population, sample.frame) == (chosen, read, frame)
    if sample.distinct is not None or distinct is None:  # else copies were noticed by their number
        assert sample.distinct == distinct
    else:
        assert len(set(population)) < read


def test_copies_of_the_last_unit_that_is_kept_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_KEPT", 1)
    drawing = Drawing(1, "s")
    drawing.add([b"a", b"b", b"c"])
    assert drawing.sample().distinct == 3
    drawing.add(drawing.sample().units)
    assert drawing.sample().distinct is None


def test_parts_stay_what_they_were_when_they_are_added() -> None:
    first, second = Drawing(2, "s"), Drawing(2, "s")
    first.add([b"a", b"b"])
    second.add([b"a", b"c"])
    alone = first.sample()
    whole = first + second
    whole.add([b"d"])
    assert first.sample() == alone
    assert (whole.sample().population, whole.sample().distinct) == (5, 4)


def test_what_failed_while_it_was_read_was_not_read() -> None:
    def breaking() -> Any:
        yield b"b"
        raise ConnectionError

    drawing = Drawing(1, "s")
    drawing.add([b"a"])
    with pytest.raises(ConnectionError):
        drawing.add(breaking())
    assert drawing.sample() == draw([b"a"], 1, "s")


def test_another_seed_draws_others_and_the_frame_stays() -> None:
    population = [b"%d" % n for n in range(1_000)]
    samples = [draw(population, 50, seed) for seed in ("1", "2", "12")]
    assert len({sample.frame for sample in samples}) == 1
    for one, other in itertools.combinations(samples, 2):
        assert len(set(one.units) & set(other.units)) < 15  # 2.5 are to be expected
    assert draw([*population[:-1], b"other"], 50, "1").frame != samples[0].frame
    # Lengths are hashed, so no octet moves from the seed to the unit.
    assert draw([b"2x"], 1, "1").units != draw([b"x"], 1, "12").units
    assert ranker("1")(b"2x") != ranker("12")(b"x")


def test_a_smaller_sample_begins_a_larger_one() -> None:
    population = [b"%d" % n for n in range(500)]
    assert draw(population, 80, "s").units[:30] == draw(population, 30, "s").units
    drawing = Drawing(80, "s")
    drawing.add(population)
    assert drawing.sample(30) == draw(population, 30, "s")
    for size, said in ((81, "a drawing of 80 units gives no 81; make it for as many"), (0, "size is a whole number")):
        with pytest.raises(UsageError, match=said):
            drawing.sample(size)


def test_each_unit_has_the_same_chance_whatever_its_name_and_its_copies() -> None:
    """Chi-square over 2,000 fixed seeds: the statistic has 39 degrees of freedom, and 73 is its 0.999 quantile."""
    population = [b"%d" % n for n in range(20)] + [b"\0" * n for n in range(20)] + [b"7"] * 30
    drawn = Counter(unit for seed in range(2_000) for unit in draw(population, 8, f"seed {seed}").units)
    even = 2_000 * 8 / 40
    # Drawn without replacement, counts vary less than Poisson's by (1 - 8/40) x 40/39.
    assert sum((drawn[unit] - even) ** 2 / even for unit in set(population)) / (0.8 * 40 / 39) < 73
    assert len(drawn) == 40


def test_many_copies_are_noticed_even_where_none_of_them_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_KEPT", 400)
    one_each = [b"%d" % n for n in range(5_000)]
    ranked = draw(one_each, 5_000, "s").units
    for seed in range(30):
        assert draw(one_each, 20, f"seed {seed}").distinct == 5_000
    assert draw([*one_each, *[ranked[-1]] * 5_000], 20, "s").distinct is None  # by their number
    assert draw([*one_each, ranked[399]], 20, "s").distinct is None  # seen
    assert draw([*one_each, ranked[400]], 20, "s").distinct == 5_001  # missed, as is said


# What it supports -----------------------------------------------------------------------------------------------------


def sample_of(population: int, size: int, **plan: Any) -> Sample:
    return draw([b"%d" % n for n in range(population)], size, "2026 Q3", **plan)


@settings(max_examples=examples(100), deadline=None)
@given(rates, risks, st.integers(0, 3), st.integers(2, 400))
def test_a_planned_sample_supports_what_it_was_planned_for(
    tolerable: float, risk: float, expected: int, population: int
) -> None:
    rate = Fraction(str(tolerable))
    assume(math.ceil(rate * population) > expected)
    size = sample_size(tolerable=tolerable, risk=risk, expected=expected, population=population)
    plan = {"tolerable": tolerable, "risk": risk, "expected": expected}
    assert conclude(sample_of(population, size, **plan), expected).supported
    if size > max(1, expected) and (rate * population).denominator > 1:
        assert not conclude(sample_of(population, size - 1, **plan), expected).supported


@settings(max_examples=examples(60), deadline=None)
@given(st.integers(5, 60), st.data(), risks)
def test_the_risk_of_relying_wrongly_is_what_it_says(population: int, data: st.DataObject, risk: float) -> None:
    """Over all outcomes: too high a rate of deviation is found tolerable with a chance of at most the risk."""
    size = data.draw(st.integers(1, population))
    marked = data.draw(st.integers(1, population))
    tolerable = data.draw(rates.filter(lambda rate: Fraction(str(rate)) * population < marked))
    sample = sample_of(population, size, tolerable=tolerable, risk=risk)
    wrongly = sum(
        Fraction(math.comb(marked, seen) * math.comb(population - marked, size - seen), math.comb(population, size))
        for seen in range(max(0, size - population + marked), min(size, marked) + 1)
        if conclude(sample, seen).supported
    )
    assert wrongly <= Fraction(str(risk))


def test_conclusions_in_words() -> None:
    def told(population: int, size: int, deviations: int, not_tested: int = 0, **plan: Any) -> str:
        return conclude(
            sample_of(population, size, **plan), deviations, not_tested=not_tested, noun="runs"
        ).sentence.replace(" drawn by seed '2026 Q3'", "")

    assert told(4380, 59, 0) == (
        "no deviation in 59 of 4,380 runs: with 95 % confidence at most 4.91 % of the population deviate;"
        " tolerable is 5 %: supported"
    )
    assert told(4380, 25, 1, risk=0.1) == (
        "1 deviation in 25 of 4,380 runs: with 90 % confidence at most 14.7 % of the population deviate;"
        " tolerable is 5 %: not supported"
    )
    assert told(4380, 59, 0, 1).startswith(
        "no deviation and 1 not tested, which counts as deviating, in 59 of 4,380 runs: with 95 % confidence at most 7.8 %"
    )
    assert told(4380, 59, 2, 3).startswith("2 deviations and 3 not tested, which count as deviating, in 59 of")
    assert told(40, 40, 1) == (
        "1 deviation in all 40 runs: 2.5 % of the population deviate; tolerable is 5 %: supported"
    )
    assert told(40, 40, 0) == "no deviation in all 40 runs: 0 % of the population deviate; tolerable is 5 %: supported"
    assert told(40, 40, 1, 2) == (
        "1 deviation and 2 not tested, which count as deviating, in all 40 runs: at most 7.5 % of the population deviate;"
        " tolerable is 5 %: not supported"
    )


def test_items_that_could_not_be_tested_count_as_deviations() -> None:
    sample = sample_of(500, 93, expected=1)
    assert conclude(sample, 1).supported
    assert conclude(sample, 0, not_tested=1).supported
    both = conclude(sample, 1, not_tested=1)
    assert not both.supported
    assert both.upper_bound == conclude(sample, 2).upper_bound


def test_copies_are_said_and_the_bound_is_of_distinct_units() -> None:
    """Half of a population is one bad unit: drawn as blocks, 88 samples of 100 would find it good as a whole."""
    names = [b"%d" % n for n in range(500)]
    sample = draw([*names, *[b"bad"] * 500], 59, "s")
    assert (sample.population, sample.distinct) == (1_000, 501)
    conclusion = conclude(sample, 0)
    assert conclusion.upper_bound == upper_bound(59, 0, population=501)
    assert "in 59 of 1,000 items (501 distinct; equal ones count as one) drawn" in conclusion.sentence
    everything = draw([b"a", b"b", b"b"], 2, "s")
    assert conclude(everything, 1).upper_bound == 0.5
    assert "in all 3 items (2 distinct; equal ones count as one): 50 % of" in conclude(everything, 1).sentence


def test_copies_without_number_leave_the_bound_for_any_population(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_KEPT", 1)
    sample = draw([b"a", b"b", b"c"] * 2, 2, "s", tolerable=0.5, risk=0.25)
    assert sample.distinct is None
    conclusion = conclude(
        sample, 0
    )  # 1/2 x 1/2 is the risk itself: the bound is the tolerable rate, no float beside it
    assert (conclusion.supported, conclusion.upper_bound) == (True, 0.5)
    assert "in 2 of 6 items (not all distinct; equal ones count as one) drawn" in conclusion.sentence
    monkeypatch.setattr(chances, "_EXACT", 0)  # a size too large to tell: the number and the word still agree
    near = conclude(dataclasses.replace(sample, risk=0.2500000001), 0)
    assert (near.supported, near.upper_bound > 0.5) == (False, True)
    assert conclude(sample, 2).upper_bound == 1.0
    assert not conclude(sample, 2).supported


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(1, 3_000), st.data(), st.floats(0.001, 0.999), risks)
def test_the_words_never_contradict_the_numbers(
    population: int, data: st.DataObject, tolerable: float, risk: float
) -> None:
    size = data.draw(st.integers(1, min(population, 40)) | st.integers(1, population))
    deviations = data.draw(st.integers(0, min(size, 3)) | st.integers(0, size))
    conclusion = conclude(sample_of(population, size, tolerable=tolerable, risk=risk), deviations)
    shown = Fraction(conclusion.sentence.split(" % of the population")[0].split()[-1]) / 100
    assert conclusion.supported == (conclusion.upper_bound <= tolerable) == (shown <= Fraction(str(tolerable)))
    assert shown >= Fraction(str(conclusion.upper_bound))
    assert shown <= Fraction(str(conclusion.upper_bound)) * Fraction(11, 10)
    assert "pass" not in conclusion.sentence
    if size == population:
        assert shown >= Fraction(deviations, population)


def test_no_digit_of_a_bound_is_cut_off_where_it_meets_the_tolerable_rate() -> None:
    """A third of them deviate, which is more than 0.3333333333333333, however near."""
    below, above = 1 / 3, math.nextafter(1 / 3, 1.0)
    told = [conclude(sample_of(3, 3, tolerable=limit), 1).sentence.partition(": ")[2] for limit in (below, above)]
    assert told == [
        "33.4 % of the population deviate; tolerable is 33.33333333333333 %: not supported",
        "33.333333333333337 % of the population deviate; tolerable is 33.333333333333337 %: supported",
    ]


# Kept, and read again ---------------------------------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=9), min_size=1, unique=True), st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_sample_survives_json(population: list[bytes], seed: str) -> None:
    sample = draw(population, random.Random(seed).randint(1, len(population)), seed, risk=0.1)
    assert Sample.from_dict(json.loads(json.dumps(sample.to_dict()))) == sample
    told = json.loads(json.dumps(conclude(sample, 0).to_dict()))
    assert Sample.from_dict(told["sample"]) == sample
    assert told["sentence"] == conclude(sample, 0).sentence


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"algorithm": "integrity.sample/2"}, "a sample by 'integrity.sample/2' cannot be read"),
        ({"seed": "another"}, "the seed 'another' does not rank the units in this order"),
        ({"units": ["61", "61"]}, "the seed 's' does not rank the units in this order"),
        ({"units": ["zz"]}, "a unit of the sample is not hexadecimal"),
        ({"units": [7]}, "a unit of the sample is not hexadecimal"),
        ({"units": "6161"}, "this is no sample"),
        ({"units": []}, "size is a whole number, not 0"),
        ({"more": 1}, "this is no sample"),
        ({"population": 2}, "3 units out of 2 distinct ones cannot come from a population of 2"),
        ({"distinct": 2}, "3 units out of 2 distinct ones cannot come from a population of 9"),
        ({"distinct": 10}, "3 units out of 10 distinct ones cannot come from a population of 9"),
        ({"distinct": True}, "distinct is a whole number, not True"),
        ({"population": 9.0}, "population is a whole number, not 9.0"),
        ({"frame": "sum256:00"}, "'sum256:00' is no digest of a frame"),
        ({"frame": None}, "None is no digest of a frame"),
        ({"risk": 1}, "risk is a rate above 0 and below 1, not 1"),
    ],
)
def test_what_is_no_sample_is_not_read(change: dict[str, Any], sentence: str) -> None:
    told = draw([b"%d" % n for n in range(9)], 3, "s").to_dict()
    assert Sample.from_dict(told).size == 3
    with pytest.raises(UsageError) as caught:
        Sample.from_dict(
            told | {"distinct": 9} | change if "population" not in change else told | {"distinct": None} | change
        )
    assert str(caught.value).startswith(sentence)
    assert "; " in str(caught.value)


def test_seeds_are_new_each_time() -> None:
    seeds = {new_seed() for _ in range(50)}
    assert len(seeds) == 50
    assert all(len(seed) == 32 and int(seed, 16) >= 0 for seed in seeds)


def test_a_seed_cannot_write_the_conclusion() -> None:
    seed = "7: with 95 % confidence at most 0 % of the population deviate; tolerable is 5 %: supported\n"
    assert conclude(draw([b"a", b"b"], 1, seed), 1).sentence.endswith("tolerable is 5 %: not supported")
    assert "\n" not in conclude(draw([b"a", b"b"], 1, seed), 1).sentence


NINE = draw([b"%d" % n for n in range(9)], 3, "s")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: sample_size(tolerable=0.0), "tolerable is a rate above 0 and below 1, not 0.0; 5 % is 0.05"),
        (lambda: sample_size(tolerable=5), "tolerable is a rate above 0 and below 1, not 5; 5 % is 0.05"),
        (lambda: sample_size(tolerable=1.0), "tolerable is a rate above 0 and below 1, not 1.0; 5 % is 0.05"),
        (lambda: sample_size(tolerable=5e-324), "tolerable is a rate above 0 and below 1, not 5e-324; 5 % is 0.05"),
        (lambda: sample_size(risk=math.nan), "risk is a rate above 0 and below 1, not nan; 5 % is 0.05"),
        (lambda: sample_size(risk=-0.05), "risk is a rate above 0 and below 1, not -0.05; 5 % is 0.05"),
        (lambda: sample_size(risk=True), "risk is a rate above 0 and below 1, not True; 5 % is 0.05"),
        (lambda: sample_size(risk="0.05"), "risk is a rate above 0 and below 1, not '0.05'; 5 % is 0.05"),  # type: ignore[arg-type]
        (
            lambda: sample_size(expected=-1),
            "expected is a whole number, not -1; give one from 0 to 1,000,000,000,000,000",
        ),
        (lambda: sample_size(expected=False), "expected is a whole number, not False; give"),
        (lambda: sample_size(population=0), "population is a whole number, not 0; give one from 1 to"),
        (
            lambda: sample_size(population=10**16),
            "population is a whole number, not 10000000000000000; give one from 1 to",
        ),
        (
            lambda: sample_size(population=20, expected=1),
            "a tolerable rate of 5 % is out of reach in a population of 20: 1 deviation reaches it and 1 would be allowed;"
            " expect fewer deviations or tolerate more",
        ),
        (lambda: upper_bound(0, 0), "size is a whole number, not 0; give"),
        (lambda: upper_bound(2.5, 0), "size is a whole number, not 2.5; give"),  # type: ignore[arg-type]
        (lambda: upper_bound(25, 26), "26 deviations cannot be among 25 units; count each unit once"),
        (lambda: upper_bound(25, 0, population=24), "a sample of 25 is larger than its population of 24; check both"),
        (lambda: draw([b"a"], 0, "s"), "size is a whole number, not 0; give"),
        (lambda: draw([b"a"], 1, ""), "a seed is a text, not ''; integrity.sampling.new_seed() makes one"),
        (lambda: draw([b"a"], 1, 7), "a seed is a text, not 7; "),  # type: ignore[arg-type]
        (lambda: draw([b"a"], 1, "\ud800"), "the seed '\\ud800' is no Unicode text; "),
        (lambda: draw(["a"], 1, "s"), "a unit is bytes, not str; encode its name: name.encode()"),  # type: ignore[list-item]
        (lambda: draw(b"abc", 1, "s"), "a unit is bytes, not int; "),  # type: ignore[arg-type]
        (
            lambda: draw([], 1, "s"),
            "1 units cannot be drawn from a population of 0 distinct ones; plan the sample for it",
        ),
        (lambda: draw([b"a", b"a"], 2, "s"), "2 units cannot be drawn from a population of 1 distinct ones; plan"),
        (lambda: Drawing(1, "s") + Drawing(1, "t"), "two drawings that differ in size, seed, tolerable rate, risk or"),
        (lambda: Sample("s", [b"a"], 1, 1, "sum256:" + "0" * 64), "the units of a sample are a tuple, not list; "),  # type: ignore[arg-type]
        (lambda: conclude(NINE, 4), "4 deviations cannot be among 3 units; count each unit once"),
        (lambda: conclude(NINE, 2, not_tested=2), "4 deviations cannot be among 3 units; count each unit once"),
        (lambda: conclude(NINE, -1), "deviations is a whole number, not -1; give"),
        (lambda: conclude(NINE, 0, not_tested=True), "not_tested is a whole number, not True; give"),
    ],
)
def test_what_cannot_be_meant_is_said_in_one_sentence(call: Callable[[], object], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_numbers_of_numpy_are_numbers() -> None:
    import numpy as np

    assert sample_size(tolerable=np.float64(0.05), expected=np.int64(1)) == 93  # type: ignore[arg-type]
    sample = draw([b"a", b"b"], np.int64(1), "s", risk=np.float64(0.1), expected=np.int64(0))  # type: ignore[arg-type]
    assert json.dumps(conclude(sample, np.int64(1)).to_dict())  # type: ignore[arg-type]
