"""Numbers, durations and moments as their readers write them, and never better than they are."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from integrity.report.reader import Reader


def test_a_number_never_looks_better_than_it_is() -> None:
    reader = Reader.of("en")
    assert reader.share(10, 10) == "100%"
    assert reader.share(10**9 - 1, 10**9) == "99.999%"
    assert reader.share(199_799, 200_000) == "99.899%"
    assert reader.share(1, 10**9) == "< 0.001%"
    assert reader.share(0, 7) == "0%"
    assert reader.promised(Decimal("0.9999999")) == "99.99999%"
    assert reader.promised(Decimal("0.999")) == "99.9%"
    assert [reader.promised(Decimal(each)) for each in ("1", "0.5", "0.1")] == ["100%", "50%", "10%"]
    assert reader.duration(3_631_000_000) == "1 h 31 s"
    assert reader.duration(3_600_000_001) == "1 h 1 µs"
    assert [reader.duration(each) for each in (0, 1, 1_500, 250_000, 5_250_000, -61_000_000)] == [
        "0 s", "1 µs", "1.5 ms", "250 ms", "5.25 s", "−1 min 1 s",
    ]  # fmt: skip
    assert reader.amount(Decimal("-1234567.50")) == "−1,234,567.50"


def test_an_hour_that_comes_twice_is_told_apart() -> None:
    """Of the hour at which clocks were set back in New York there are two, and they begin alike."""
    reader = Reader.of("en", "America/New_York")
    told = [reader.moment(dt.datetime(2026, 11, 1, hour, tzinfo=dt.UTC)) for hour in (4, 5, 6, 7)]
    assert told == [
        "Nov 1, 2026, 00:00:00",
        "Nov 1, 2026, 01:00:00 (UTC-04:00)",
        "Nov 1, 2026, 01:00:00 (UTC-05:00)",
        "Nov 1, 2026, 02:00:00",
    ]
