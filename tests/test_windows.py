"""Which batch does an instant belong to? Asked again of an oracle that is slow, and wrong in other ways."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from integrity import windows
from integrity.windows import DAY, Window, format_duration, parse_duration

SECOND = 1_000_000
HOUR = 3600 * SECOND
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST = -62_135_596_800 * SECOND  # 0001-01-01T00:00:00Z
LAST = 253_402_300_800 * SECOND - 1  # 9999-12-31T23:59:59.999999Z

#: Zones that did something odd: no midnight, midnight twice, half an hour, a whole date lost or lived twice.
ZONES = [
    "Asia/Seoul",
    "Africa/Cairo",
    "America/Toronto",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Sitka",
    "Asia/Manila",
    "Australia/Lord_Howe",
    "Europe/Amsterdam",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "UTC",
]


def at(text: str) -> int:
    """Return an instant from ISO text with an offset."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def local(us: int, zone: str) -> str:
    return (EPOCH + timedelta(microseconds=us)).astimezone(ZoneInfo(zone)).isoformat()


# ---- durations ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("1us", 1),
        ("1ms", 1_000),
        ("5s", 5 * SECOND),
        ("10m", 600 * SECOND),
        ("1h30m", 5400 * SECOND),
        ("90m", 5400 * SECOND),
        ("1d", DAY),
        ("1d2h3m4s5ms6us", DAY + 2 * HOUR + 184 * SECOND + 5_006),
        ("0s", 0),
        ("007s", 7 * SECOND),
        ("3652059d", 3_652_059 * DAY),
    ],
)
def test_a_duration_is_whole_microseconds(text: str, us: int) -> None:
    assert parse_duration(text) == us


@pytest.mark.parametrize(
    "text",
    [
        *["m", "10", "1.5h", "-5s", "+5s", "5S", "5sec", "1w", "5µs", "٥s", "1_0s", "1h:30m"],
        "",
        "5 s",
        " 5s",
        "5s\n",
        None,
        5,
        5.0,
        True,
    ],
)
def test_what_is_no_duration_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match=r"is not a duration; write whole numbers with their units.*1h30m"):
        parse_duration(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["30m1h", "1m1m", "1s1m", "1us1ms"])
def test_a_unit_that_comes_twice_or_late_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a unit comes twice or out of order"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["3652060d", "3652059d1us", "9" * 30 + "us", "9" * 5000 + "s"])
def test_no_duration_is_longer_than_the_calendar(text: str) -> None:
    with pytest.raises(ValueError, match=r"longer than the calendar.*at most 3652059d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0s"),
        (1, "1us"),
        (600 * SECOND, "10m"),
        (5400 * SECOND, "1h30m"),
        (DAY, "1d"),
        (90 * SECOND, "1m30s"),
    ],
)
def test_a_duration_is_written_in_the_fewest_parts(us: int, text: str) -> None:
    assert format_duration(us) == text


def test_no_duration_is_negative() -> None:
    with pytest.raises(ValueError, match="never negative"):
        format_duration(-1)


@given(st.integers(0, 3_652_059 * DAY))
def test_a_written_duration_reads_as_itself(us: int) -> None:
    assert parse_duration(format_duration(us)) == us


# ---- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [0, -1, 3_652_059 * DAY + 1, 1.5, True, "10m", None])
def test_a_window_has_a_length(every: object) -> None:
    with pytest.raises(ValueError, match=r"a window cannot be .* microseconds long; give it a whole number"):
        Window(every)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "zone",
    ["", "Asia", "../etc/passwd", "/etc/localtime", "localtime", "right/Asia/Seoul", "posixrules", "\0", 9],
)
def test_a_zone_is_one_that_every_machine_knows(zone: object) -> None:
    with pytest.raises(ValueError, match="is not an IANA time zone"):
        Window(DAY, zone)  # type: ignore[arg-type]


def test_a_misspelt_zone_is_recognised() -> None:
    with pytest.raises(ValueError, match="'Asia/Soul' is not an IANA time zone; did you mean 'Asia/Seoul'"):
        Window(DAY, "Asia/Soul")


def test_windows_of_a_zone_are_whole_days() -> None:
    with pytest.raises(ValueError, match="whole days, not 1h; write for example 1d"):
        Window(HOUR, "Asia/Seoul")


def test_instants_come_as_whole_microseconds() -> None:
    with pytest.raises(TypeError, match="Int64 microseconds, not as Float64"):
        Window(DAY).starts(pl.Series([1.0]))


# ---- UTC ---------------------------------------------------------------------------------------------------


def test_windows_align_to_the_epoch_also_before_it() -> None:
    ten = Window(600 * SECOND)
    assert [ten.start_of(us) for us in (-1, 0, 1, 600 * SECOND - 1, 600 * SECOND)] == [
        -600 * SECOND,
        0,
        0,
        0,
        600 * SECOND,
    ]
    assert ten.end_of(-1) == 0
    assert ten.end_of(0) == 600 * SECOND
    assert Window(7 * HOUR).start_of(DAY) == 21 * HOUR  # aligned to the epoch, not to the day


def test_boundaries() -> None:
    ten = Window(600 * SECOND)
    assert ten.is_boundary(0)
    assert ten.is_boundary(-600 * SECOND)
    assert not ten.is_boundary(1)
    assert not ten.is_boundary(-1)


def test_starts_between_is_half_open() -> None:
    hour = Window(HOUR)
    assert list(hour.starts_between(0, 3 * HOUR)) == [0, HOUR, 2 * HOUR]
    assert list(hour.starts_between(1, 2 * HOUR + 1)) == [HOUR, 2 * HOUR]
    assert list(hour.starts_between(5, 5)) == []
    assert list(hour.starts_between(3 * HOUR, 0)) == []


# ---- local midnights ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "instant", "start", "end"),
    [
        # An ordinary day, and the two days a year that are not 24 hours long.
        ("Asia/Seoul", "2024-05-05T12:00+09:00", "2024-05-05T00:00:00+09:00", "2024-05-06T00:00:00+09:00"),
        ("Europe/Berlin", "2024-03-31T12:00+02:00", "2024-03-31T00:00:00+01:00", "2024-04-01T00:00:00+02:00"),
        ("Europe/Berlin", "2024-10-27T12:00+01:00", "2024-10-27T00:00:00+02:00", "2024-10-28T00:00:00+01:00"),
        # No midnight: the clock went from 00:00 to 01:00.
        ("Africa/Cairo", "2024-04-26T12:00+03:00", "2024-04-26T01:00:00+03:00", "2024-04-27T00:00:00+03:00"),
        (
            "America/Sao_Paulo",
            "2018-11-04T12:00-02:00",
            "2018-11-04T01:00:00-02:00",
            "2018-11-05T00:00:00-02:00",
        ),
        # No midnight, and the gap began before it: from 23:30 to 00:30.
        (
            "America/Toronto",
            "1919-03-31T12:00-04:00",
            "1919-03-31T00:30:00-04:00",
            "1919-04-01T00:00:00-04:00",
        ),
        (
            "America/Toronto",
            "1919-03-30T23:29:59-05:00",
            "1919-03-30T00:00:00-05:00",
            "1919-03-31T00:30:00-04:00",
        ),
        # Midnight twice: the clock went back from 00:01 to 23:01. The first one counts, for both.
        (
            "America/St_Johns",
            "2006-10-29T00:00:30-02:30",
            "2006-10-29T00:00:00-02:30",
            "2006-10-30T00:00:00-03:30",
        ),
        (
            "America/St_Johns",
            "2006-10-28T23:30-03:30",
            "2006-10-29T00:00:00-02:30",
            "2006-10-30T00:00:00-03:30",
        ),
        # The clock went back from midnight to 23:00: the day had 25 hours.
        (
            "America/Sao_Paulo",
            "2018-02-17T23:30-03:00",
            "2018-02-17T00:00:00-02:00",
            "2018-02-18T00:00:00-03:00",
        ),
        # 2011-12-30 was skipped.
        (
            "Pacific/Apia",
            "2011-12-29T23:59:59-10:00",
            "2011-12-29T00:00:00-10:00",
            "2011-12-31T00:00:00+14:00",
        ),
        ("Pacific/Apia", "2011-12-31T12:00+14:00", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"),
    ],
)
def test_a_day_is_as_long_as_it_was_there(zone: str, instant: str, start: str, end: str) -> None:
    day = Window(DAY, zone)
    found = day.start_of(at(instant))
    assert (local(found, zone), local(day.end_of(found), zone)) == (start, end)
    assert day.is_boundary(at(start))
    assert not day.is_boundary(at(start) - 1)
    assert not day.is_boundary(at(start) + 1)


def test_a_skipped_date_is_no_window() -> None:
    since, until = at("2011-12-28T00:00-10:00"), at("2012-01-02T00:00+14:00")
    starts = [local(us, "Pacific/Apia")[:10] for us in Window(DAY, "Pacific/Apia").starts_between(since, until)]
    assert starts == ["2011-12-28", "2011-12-29", "2011-12-31", "2012-01-01"]


def test_several_days_count_local_dates_from_1970() -> None:
    week = Window(7 * DAY, "Asia/Seoul")
    found = week.start_of(at("2024-05-05T12:00+09:00"))
    start = date.fromisoformat(local(found, "Asia/Seoul")[:10])
    assert (start - date(1970, 1, 1)).days % 7 == 0
    assert local(found, "Asia/Seoul") == "2024-05-02T00:00:00+09:00"
    assert local(week.end_of(found), "Asia/Seoul") == "2024-05-09T00:00:00+09:00"
    assert week.start_of(at("1969-12-31T23:00+09:00")) == at("1969-12-25T00:00+09:00")


# ---- the law -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 16)
def shown(second: int, zone: str) -> int:
    """Return the local date, in days since the epoch, that the clock shows in this second."""
    moment = (EPOCH + timedelta(seconds=second)).astimezone(ZoneInfo(zone))
    return moment.toordinal() - EPOCH.toordinal()


def oracle(us: int, days: int, zone: str) -> int:
    """Return the start of the window that holds an instant, by walking the clock forward.

    It starts some days before, looks at the date once a minute (in St. John's a date once showed for no
    longer, before the clock went back), and where the largest date so far grows, searches that minute for the
    second. It looks at no offset, only at the date on the clock.
    """
    here = us // SECOND
    second = here - (days + 2) * 86_400
    newest = shown(second, zone)
    start = None
    while second < here:
        step = min(second + 60, here)
        if shown(step, zone) > newest:
            low, high = second, step
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if shown(middle, zone) > newest else (middle, high)
            before, newest = newest, shown(high, zone)
            if newest // days > before // days:
                start = high
        second = step
    assert start is not None
    return start * SECOND


INSTANTS = st.integers(FIRST, LAST)
#: The oracle asks datetime itself, so it stays away from both ends; and clocks were odd in these years.
YEARS = st.integers(at("1840-01-01T00:00Z"), at("2060-01-01T00:00Z"))


@st.composite
def odd_instants(draw: st.DrawFn) -> tuple[str, int]:
    """Draw an instant within two days of a moment at which a zone's clock was odd."""
    zone, text = draw(
        st.sampled_from(
            [
                ("Africa/Cairo", "2024-04-25T22:00Z"),
                ("America/Toronto", "1919-03-31T04:30Z"),
                ("America/St_Johns", "2006-10-29T02:31Z"),
                ("America/Sao_Paulo", "2018-11-04T03:00Z"),
                ("America/Sao_Paulo", "2018-02-18T02:00Z"),
                ("America/Sitka", "1867-10-19T00:31Z"),
                ("Asia/Manila", "1844-12-31T16:00Z"),
                ("Australia/Lord_Howe", "2024-04-06T15:00Z"),
                ("Pacific/Apia", "2011-12-30T10:00Z"),
                ("Pacific/Kwajalein", "1969-09-30T13:00Z"),
                ("Pacific/Kwajalein", "1993-08-21T12:00Z"),
            ]
        )
    )
    return zone, at(text) + draw(st.integers(-2 * DAY, 2 * DAY))


@settings(deadline=None, max_examples=300)
@given(odd_instants(), st.sampled_from([1, 1, 1, 2, 7]))
@example(("America/Toronto", at("1919-03-31T04:30Z")), 1)
@example(("America/Toronto", at("1919-03-31T04:30Z") - 1), 1)
@example(("Pacific/Apia", at("2011-12-30T10:00Z")), 1)
@example(("America/Sitka", at("1867-10-19T12:00Z")), 1)
def test_where_clocks_were_odd_the_oracle_agrees(where: tuple[str, int], days: int) -> None:
    zone, us = where
    assert Window(days * DAY, zone).start_of(us) == oracle(us, days, zone)


@settings(deadline=None, max_examples=200)
@given(YEARS, st.sampled_from(ZONES), st.sampled_from([1, 1, 1, 3, 7]))
def test_the_oracle_agrees(us: int, zone: str, days: int) -> None:
    assert Window(days * DAY, zone).start_of(us) == oracle(us, days, zone)


@settings(deadline=None, max_examples=300)
@given(INSTANTS, st.sampled_from([None, *ZONES]), st.sampled_from([1, 2, 30, 365]))
@example(FIRST, "Asia/Seoul", 1)
@example(FIRST, "America/Toronto", 1)
@example(LAST, "Pacific/Apia", 1)
@example(LAST, "America/Toronto", 365)
def test_every_instant_lies_in_the_window_it_is_given(us: int, zone: str | None, days: int) -> None:
    window = Window(days * DAY, zone)
    start = window.start_of(us)
    end = window.end_of(start)
    assert start <= us < end
    assert window.end_of(us) == end
    assert window.is_boundary(start)
    assert window.is_boundary(end)
    assert window.start_of(end - 1) == start
    assert list(window.starts_between(start, end)) == [start]
    assert (window.start_of(us) == us) is window.is_boundary(us)


@given(INSTANTS, st.integers(1, 3_652_059 * DAY))
def test_in_utc_every_length_keeps_the_law(us: int, every: int) -> None:
    window = Window(every)
    start = window.start_of(us)
    aligned = us // every * every
    assert start <= us < window.end_of(start) == aligned + every
    assert start == max(FIRST, aligned)  # the calendar's first window begins with the calendar


@settings(deadline=None)
@given(INSTANTS, st.sampled_from(ZONES))
def test_the_last_years_are_those_of_four_centuries_before(us: int, zone: str) -> None:
    window, cycle = Window(DAY, zone), 146_097 * DAY
    late = LAST - abs(us) % (300 * 365 * DAY)  # from the year 9700 on
    assert window.start_of(late) == window.start_of(late - cycle) + cycle


@pytest.mark.parametrize("zone", ZONES)
def test_both_ends_of_the_calendar_are_instants_like_any_other(zone: str) -> None:
    window = Window(DAY, zone)
    for us in (FIRST, FIRST + 1, FIRST + DAY, LAST - DAY, LAST - 1, LAST):
        start = window.start_of(us)
        assert start <= us < window.end_of(start) <= start + DAY
    events = pl.Series([FIRST, LAST])
    assert window.starts(events).to_list() == [window.start_of(FIRST), window.start_of(LAST)]


# ---- many at once ------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(st.one_of(st.none(), INSTANTS, YEARS), max_size=40),
    st.sampled_from([None, *ZONES]),
    st.sampled_from([1, 2, 7]),
)
@example([], "Asia/Seoul", 1)
@example([None, None], "Asia/Seoul", 1)
@example([None, LAST, None, FIRST], "Asia/Seoul", 1)
def test_many_instants_are_placed_as_each_would_be(events: list[int | None], zone: str | None, days: int) -> None:
    window = Window(days * DAY, zone)
    found = window.starts(pl.Series("event", events, dtype=pl.Int64))
    assert found.dtype == pl.Int64
    assert found.name == "event"
    assert found.to_list() == [None if us is None else window.start_of(us) for us in events]
    ends = window.ends(pl.Series("event", events, dtype=pl.Int64))
    assert (ends.dtype, ends.name) == (pl.Int64, "event")
    assert ends.to_list() == [None if us is None else window.end_of(us) for us in events]


@settings(deadline=None)
@given(st.lists(odd_instants(), min_size=1, max_size=40))
def test_many_odd_instants_are_placed_as_each_would_be(drawn: list[tuple[str, int]]) -> None:
    for zone in {zone for zone, _ in drawn}:
        window, events = Window(DAY, zone), [us for at_zone, us in drawn if at_zone == zone]
        assert window.starts(pl.Series(events)).to_list() == [window.start_of(us) for us in events]


@given(st.lists(st.one_of(st.none(), INSTANTS)), st.integers(1, 3_652_059 * DAY))
def test_many_instants_in_utc_are_exact(events: list[int | None], every: int) -> None:
    window, series = Window(every), pl.Series("event", events, dtype=pl.Int64)
    assert window.starts(series).to_list() == [None if us is None else max(FIRST, us // every * every) for us in events]
    assert window.ends(series).to_list() == [None if us is None else window.end_of(us) for us in events]


def test_a_column_of_a_month_asks_zoneinfo_for_its_days_only() -> None:
    windows._first_instant.cache_clear()
    hours = pl.Series(range(at("2024-03-01T00:00Z"), at("2024-04-01T00:00Z"), HOUR // 60))
    Window(DAY, "Europe/Berlin").starts(hours)
    assert windows._first_instant.cache_info().misses <= 31 + 2
