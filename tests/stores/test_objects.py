"""Do Python values come back out of an Arrow column as they went in?"""

from __future__ import annotations

import enum
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrity.stores.objects import UNREADABLE, arrow_column

SEOUL = ZoneInfo("Asia/Seoul")
NEW_YORK = ZoneInfo("America/New_York")


def same(value: object, back: object) -> bool:
    """Equality that tells 1 from True from 1.0, 0.0 from -0.0, naive from aware, and NaN from anything else."""
    if type(value) is not type(back):
        return False
    if isinstance(value, float):
        return np.float64(value).tobytes() == np.float64(back).tobytes()
    if isinstance(value, datetime) and isinstance(back, datetime):
        return (value.tzinfo is None) == (back.tzinfo is None) and value == back
    return value == back


def comes_back(values: list[object], expected: list[object] | None = None) -> pa.Array:
    array = arrow_column(values)
    array.validate(full=True)
    back = array.to_pylist()
    wanted = values if expected is None else expected
    assert len(back) == len(wanted)
    assert all(map(same, wanted, back)), (wanted, back)
    return array


@pytest.mark.parametrize(
    ("values", "arrow_type"),
    [
        ([True, None, False], pa.bool_()),
        ([1, None, -(2**63), 2**63 - 1], pa.int64()),
        ([1.5, None, float("nan"), float("inf"), -0.0], pa.float64()),
        (["a", None, "", "\0", "é", "e\u0301", "\U0010ffff", "😀"], pa.string()),
        ([b"", None, b"\xff\0"], pa.binary()),
        ([datetime(1, 1, 1), None, datetime(9999, 12, 31, 23, 59, 59, 999999)], pa.timestamp("us")),
        ([datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)], pa.timestamp("us", "UTC")),
        ([date(1, 1, 1), None, date(9999, 12, 31)], pa.date32()),
        ([Decimal("1.10"), None, Decimal("-12.345")], pa.decimal128(5, 3)),
        ([Decimal(10) ** 60, Decimal("0.001")], pa.decimal256(64, 3)),
        ([UUID(int=0), None, UUID(int=2**128 - 1)], pa.uuid()),
        ([None, None], pa.null()),
        ([], pa.null()),
    ],
)
def test_one_kind_is_a_native_column(values: list[object], arrow_type: pa.DataType) -> None:
    assert comes_back(values).type == arrow_type


def test_what_other_inference_would_coerce_is_kept() -> None:
    moment = datetime(2024, 1, 1, 12)
    mixed = [1, True, 1.0, "1", b"1", None, Decimal(1), date(2024, 1, 1), moment, UUID(int=1)]
    assert pa.types.is_union(comes_back(mixed).type)
    assert pa.types.is_union(comes_back([date(2024, 1, 1), moment]).type)
    assert pa.types.is_union(comes_back([1, 1.5]).type)
    assert pa.types.is_union(comes_back([0, False]).type)
    comes_back([moment, moment.replace(tzinfo=UTC), None, moment])


def test_a_union_can_be_sliced_and_taken_from() -> None:
    array = arrow_column([1, "a", 1.5, None, True])
    assert array.slice(1, 3).to_pylist() == ["a", 1.5, None]
    assert array.take(pa.array([4, 0, None])).to_pylist() == [True, 1, None]


def test_integers_beyond_64_bits_are_text_with_all_of_their_column() -> None:
    assert comes_back([2**63, 7, None, -(2**80)], [str(2**63), "7", None, str(-(2**80))]).type == pa.string()
    assert comes_back([1, "a", None], ["1", "a", None]).type == pa.string()
    comes_back([2**63, 7, 1.5], [str(2**63), 7, 1.5])
    huge = 10**6000 + 1  # str() refuses more than 4300 digits
    assert arrow_column([huge, 1]).to_pylist() == ["1" + "0" * 5999 + "1", "1"]


def test_every_null_of_pandas_is_null_and_nan_is_a_number() -> None:
    assert arrow_column([pd.NA, None, pd.NaT, np.datetime64("NaT")]).to_pylist() == [None] * 4
    assert arrow_column([pd.NA, 1, pd.NaT]).to_pylist() == [None, 1, None]
    comes_back([1, float("nan")])


def test_pandas_is_not_needed_to_know_its_nulls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert arrow_column([pd.NA, "a", pd.NaT]).to_pylist() == [None, "a", None]


@pytest.mark.parametrize(
    "zone",
    [
        UTC,
        ZoneInfo("UTC"),
        SEOUL,
        NEW_YORK,
        timezone(timedelta(hours=-23, minutes=-59)),
        timezone(timedelta(microseconds=7)),
        timezone(-timedelta(hours=1, seconds=1, microseconds=999999)),
    ],
)
def test_aware_datetimes_become_exact_instants(zone: timezone | ZoneInfo) -> None:
    for moment in (datetime(2024, 11, 3, 1, 30), datetime(1900, 1, 1, 0, 0, 0, 1), datetime(2024, 7, 1)):
        for fold in (0, 1):
            local = moment.replace(tzinfo=zone, fold=fold)
            array = comes_back([local, None], [local.astimezone(UTC), None])
            assert array.type == pa.timestamp("us", "UTC")


def test_instants_that_no_datetime_holds_are_unreadable() -> None:
    early = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=9)))
    late = datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-9)))
    assert arrow_column([early, late]).to_pylist() == [
        {"unreadable": repr(early)},
        {"unreadable": repr(late)},
    ]


def test_nanoseconds_are_kept() -> None:
    fine = pd.Timestamp("2024-01-01T00:00:00.000000001")
    coarse = pd.Timestamp("2024-01-01")
    array = arrow_column([fine, coarse, None])
    assert array.type == pa.timestamp("ns")
    assert array.cast(pa.int64()).to_pylist() == [fine.value, coarse.value, None]
    aware = arrow_column([fine.tz_localize(SEOUL), datetime(2024, 1, 1, tzinfo=UTC)])
    assert aware.type == pa.timestamp("ns", "UTC")
    assert aware.cast(pa.int64())[0].as_py() == fine.tz_localize(SEOUL).value
    # Beyond what nanoseconds reach, each keeps its own.
    assert arrow_column([fine, datetime(1, 1, 1)]).to_pylist() == [fine, datetime(1, 1, 1)]
    assert arrow_column([coarse, pd.Timestamp("9999-12-31")]).type == pa.timestamp("us")


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (Decimal("1E+5"), Decimal(100000)),
        (Decimal("0E+100"), Decimal(0)),
        (Decimal("0E-100"), Decimal(0)),
        (Decimal("9" * 76), Decimal("9" * 76)),
        (Decimal("0." + "0" * 75 + "1"), Decimal("1E-76")),
        (Decimal("1." + "0" * 90), Decimal(1)),
        (Decimal("1E+300"), 1e300),
        (Decimal("-1.5E-300"), -1.5e-300),
        (Decimal("-0.0"), -0.0),
        (Decimal("1E+400"), {"unreadable": "Decimal('1E+400')"}),
        (Decimal("9" * 77), {"unreadable": f"Decimal('{'9' * 77}')"}),
        (Decimal("1E+4294967296"), {"unreadable": "Decimal('1E+4294967296')"}),
        (Decimal("NaN"), {"unreadable": "Decimal('NaN')"}),
        (Decimal("sNaN"), {"unreadable": "Decimal('sNaN')"}),
        (Decimal("-Infinity"), {"unreadable": "Decimal('-Infinity')"}),
    ],
)
def test_a_decimal_is_exact_or_unreadable(value: Decimal, back: object) -> None:
    comes_back([value], [back])
    comes_back([Decimal("0.5"), value, None], [Decimal("0.5"), back, None])


def test_decimals_of_very_different_scale_share_a_column() -> None:
    comes_back([Decimal("9" * 70), Decimal("1E-70"), Decimal("1.5"), None, 7])


class Word(enum.StrEnum):
    HELLO = "hello"


class Number(enum.IntEnum):
    SEVEN = 7


class LoudError(Exception):
    pass


class Rude:
    def __repr__(self) -> str:
        raise LoudError


class Crooked:
    def __repr__(self) -> str:
        return "\ud800"


class RudeZone(tzinfo):
    def utcoffset(self, when: datetime | None) -> timedelta:
        raise LoudError


def test_subclasses_are_what_they_inherit() -> None:
    comes_back([Word.HELLO, None], ["hello", None])
    comes_back([Number.SEVEN], [7])
    comes_back([bytearray(b"a"), memoryview(b"b")], [b"a", b"b"])
    comes_back([np.int64(2), np.uint64(2**64 - 1)], ["2", str(2**64 - 1)])
    comes_back([np.float32(0.5), np.float64(0.1)], [0.5, 0.1])
    comes_back([np.bool_(True), np.str_("a")], [True, "a"])
    comes_back([np.datetime64("2024-01-01T00:00:00.000001"), None], [datetime(2024, 1, 1, 0, 0, 0, 1), None])
    comes_back([np.datetime64("2024-01-01")], [date(2024, 1, 1)])
    fine = np.datetime64("2024-01-01T00:00:00.000000001")
    assert arrow_column([fine]).cast(pa.int64()).to_pylist() == [fine.astype(int)]


@pytest.mark.parametrize(
    "value",
    [
        [1], {"a": 1}, {1}, (1,), time(1), timedelta(1), 1j, Fraction(1, 3), object(), int, "\ud800", "a\udfffb",
        np.datetime64("2024-01-01T00:00:00.000000000001"), np.longdouble(1), pd.Period("2024"),
    ],
)  # fmt: skip
def test_what_arrow_has_no_place_for_is_unreadable_and_stays(value: object) -> None:
    unreadable = {"unreadable": repr(value)}
    comes_back([value], [unreadable])
    comes_back([None, value, "text", value], [None, unreadable, "text", unreadable])


def test_nothing_that_a_value_raises_gets_out() -> None:
    naughty = datetime(2024, 1, 1, tzinfo=RudeZone())
    back = arrow_column([Rude(), Crooked(), naughty, 1]).to_pylist()
    assert back[0] == {"unreadable": f"<{__name__}.Rude>"}
    assert back[1] == {"unreadable": "\\ud800"}
    assert set(back[2]) == {"unreadable"}
    assert back[3] == 1


def test_the_unreadable_are_always_in_a_union() -> None:
    (field,) = arrow_column([[1], [2]]).type
    assert field.type == UNREADABLE


nasty_text = st.text(
    st.one_of(st.characters(), st.sampled_from("\0\x1a\x1f\r\n\"',\u2028\ufeff\U000e0001\U0010ffff")),
    max_size=8,
)
zones = st.sampled_from([None, UTC, ZoneInfo("UTC"), SEOUL, NEW_YORK, timezone(timedelta(minutes=-1, microseconds=1))])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    st.floats(),
    nasty_text,
    st.binary(max_size=8),
    st.datetimes(timezones=zones),
    st.dates(),
    st.decimals(),
    st.uuids(),
    st.times(),
    st.lists(st.integers(), max_size=2),
)


def expected_of(value: object, whole: list[object]) -> object:
    """What the module's docstring promises, written down a second time."""
    numbers_and_text = all(isinstance(v, (int, str)) and not isinstance(v, bool) for v in whole if v is not None)
    beyond = any(isinstance(v, int) and not -(2**63) <= v < 2**63 for v in whole)
    with_text = beyond or any(isinstance(v, str) for v in whole)
    if isinstance(value, int) and not isinstance(value, bool):
        as_text = (numbers_and_text and with_text) or not -(2**63) <= value < 2**63
        return str(value) if as_text else value
    if isinstance(value, datetime) and value.tzinfo is not None:
        try:
            return value.astimezone(UTC)
        except OverflowError:
            return {"unreadable": repr(value)}
    if isinstance(value, Decimal):
        if not value.is_finite():
            return {"unreadable": repr(value)}
        sign, digits, exponent = value.as_tuple()
        assert isinstance(exponent, int)
        if not value:
            return -0.0 if sign and exponent < 0 else value
        if max(len(digits) + exponent, 0) + max(-exponent, 0) <= 76:
            return value
        text = f"{value:f}"
        if "." in text:
            text = text.rstrip("0").rstrip(".")
        if len(text.lstrip("-").replace(".", "")) <= 76:
            return value
        near = float(value)
        return near if Decimal(repr(near)) == value else {"unreadable": repr(value)}
    if isinstance(value, (time, list)):
        return {"unreadable": repr(value)}
    return value


@given(st.one_of(st.lists(scalars), *(st.lists(st.one_of(st.none(), kind)) for kind in (
    st.integers(-(2**70), 2**70), st.datetimes(timezones=zones), st.decimals(), nasty_text, st.floats(), st.uuids()
))))  # fmt: skip
def test_any_values_come_back(values: list[object]) -> None:
    array = arrow_column(values)
    array.validate(full=True)
    back = array.to_pylist()
    expected = [expected_of(value, values) for value in values]
    for wanted, got in zip(expected, back, strict=True):
        if isinstance(wanted, float) and wanted != wanted:
            assert isinstance(got, float)
            assert got != got
        else:
            assert same(wanted, got), (wanted, got)


@given(st.lists(st.text(st.characters(min_codepoint=0xD7FF, max_codepoint=0xE000, exclude_categories=()))))
def test_surrogates_never_crash(values: list[str]) -> None:
    for value, back in zip(values, arrow_column(values).to_pylist(), strict=True):
        broken = any("\ud800" <= character <= "\udfff" for character in value)
        assert back == ({"unreadable": repr(value)} if broken else value)
