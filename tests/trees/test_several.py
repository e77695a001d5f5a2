"""Several at once, and in order."""

from __future__ import annotations

import random
import threading
import time

import pytest

from integrity.trees import several
from integrity.trees.several import Stop, in_order


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_what_is_made_comes_in_the_order_of_what_was_given(at_once: int) -> None:
    chance = random.Random(7)

    def work(number: int, stop: Stop) -> int:
        time.sleep(chance.random() / 500)
        return number * 2

    made = in_order(range(200), work, at_once, lambda number: number % 3 == 0)
    assert [each for each in made if each is not None] == [number * 2 for number in range(200)]


def test_only_so_many_are_taken_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(several, "_AHEAD", 4)
    taken: list[int] = []
    first = threading.Event()

    def given() -> object:
        for number in range(100):
            taken.append(number)
            yield number

    def work(number: int, stop: Stop) -> int:
        if number == 0:
            first.wait(10)
        return number

    made = in_order(given(), work, 2, lambda number: False)  # type: ignore[arg-type]
    monkeypatch.setattr(several, "_BEAT", 0.01)
    assert next(made) is None  # the first one takes long
    assert len(taken) == 5
    first.set()
    assert [each for each in made if each is not None] == list(range(100))


def test_a_sign_of_life_comes_while_one_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(several, "_BEAT", 0.01)
    made = list(in_order([1], lambda number, stop: time.sleep(0.2) or number, 1, lambda number: False))
    assert made[-1] == 1
    assert made[:-1] == [None] * (len(made) - 1)
    assert len(made) > 3


def test_what_goes_wrong_is_told_and_the_rest_is_let_go() -> None:
    def work(number: int, stop: Stop) -> int:
        if number == 3:
            raise TimeoutError("of the work itself")
        return number

    made = in_order(range(1000), work, 2, lambda number: False)
    with pytest.raises(TimeoutError, match="of the work itself"):
        list(made)


def test_who_reads_a_large_file_hears_that_nobody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(several, "_BEAT", 0.01)
    heard = threading.Event()

    def work(number: int, stop: Stop) -> int:
        if stop.wait(10):
            heard.set()
        return number

    made = in_order([1], work, 1, lambda number: False)
    assert next(made) is None
    made.close()
    assert heard.is_set()
