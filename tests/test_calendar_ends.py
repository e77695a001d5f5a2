"""Items of the first and the last day that a calendar has, in windows of any zone."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
import rich
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

import integrity
from integrity.errors import UsageError
from integrity.ledger.listing import breaks
from integrity.ledger.recorded import recorded
from integrity.ledger.status import status
from integrity.report.junit import junit
from integrity.report.openlineage import openlineage
from integrity.report.prometheus import prometheus
from integrity.report.terminal import show
from tests.effort import examples

ZONES = ["Asia/Seoul", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Africa/Cairo", "UTC", None]
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
DAY = 86_400_000_000
#: Two days on each side of both ends; what is beyond them is written with an offset, or is the physical value of a column.
ENDS = st.one_of(st.integers(FIRST - 2 * DAY, FIRST + 2 * DAY), st.integers(LAST - 2 * DAY, LAST + 2 * DAY))


def rows(events: list[int]) -> pl.DataFrame:
    named = pl.Series("id", [f"n{n}" for n in range(len(events))], dtype=pl.String)
    return pl.DataFrame([named, pl.Series("at", events, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))])


def contract(zone: str | None, days: int, **more: object) -> integrity.Contract:
    every = f"{days}d"
    window = every if zone is None else {"every": every, "timezone": zone}
    said = {"name": "days", "version": 1, "identity": ["id"], "window": window, "grace": "0s"} | more
    return integrity.Contract(**({"clock": {"event": "at"}} | said))


def everything(result: integrity.Result, folder: Path) -> None:
    """Whatever shows or writes a result does so."""
    assert len(result.batches) == len(result.batches.to_dict("records"))
    repr(result.batches), repr(result.breaks), result.breaks.to_dict("records")
    assert str(result)
    assert result._repr_html_()
    assert result.to_html(lang="ko", zone="Asia/Seoul")
    console = Console(file=(folder / "screen").open("w"), width=120)
    show(result, console)
    rich.print(result, file=(folder / "card").open("w"))
    document = json.loads(result.to_json())
    for batch in document["batches"]:
        for end in ("batch_start", "batch_end"):
            assert batch[end] is None or "0001" <= batch[end] <= "9999-12-31T23:59:59.999999Z"
            assert batch[end] is None or dt.datetime.fromisoformat(batch[end])
    for each in document["breaks"]:
        assert each["event_time"] is None or dt.datetime.fromisoformat(each["event_time"])
    assert junit(result)
    assert openlineage(result, job="days", namespace="x")
    assert prometheus(result, pipeline="days")


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@settings(deadline=None, max_examples=examples(40))
@given(st.lists(ENDS, min_size=1, max_size=6), st.sampled_from(ZONES), st.sampled_from([1, 7, 400_000]), st.randoms())
@example([FIRST, 0], "Asia/Seoul", 1, None)
@example([LAST, LAST + 1, FIRST - 1], "America/New_York", 1, None)
@example([FIRST, 0], None, 7, None)
def test_items_at_the_ends_of_the_calendar_are_judged_and_shown(
    events: list[int], zone: str | None, days: int, chance: object
) -> None:
    source = rows([*events, 0])
    kept = source.filter(pl.int_range(pl.len()) % 2 == (0 if chance is None else 1))
    with TemporaryDirectory() as place:
        result = integrity.reconcile(contract(zone, days), source, kept)
        missing = result.totals["lost"] + result.totals["pending"]  # a long last window is open to this day
        assert missing == source.height - kept.height
        everything(result, Path(place))


@pytest.mark.parametrize("zone", ["Asia/Seoul", "America/New_York"])
def test_they_are_recorded_and_read_again(zone: str | None, tmp_path: Path) -> None:
    source = rows([FIRST, FIRST - DAY // 2, LAST, LAST + DAY // 2, 0])
    url = str(tmp_path / "l.db")
    result = integrity.reconcile(contract(zone, 1), source, source[4:], ledger=url)
    run = recorded(url)
    assert run.totals == result.totals
    assert run.to_html()
    assert len(run.batches.to_dict("records")) == len(result.batches)
    assert len(run.breaks.to_dict("records")) == len(result.breaks)
    assert breaks(url).height
    assert status(url, period="0001").pipelines[0].windows["fail"] == 1
    from integrity.packs import export, verify_pack

    pack = export(url, tmp_path / "pack")
    assert verify_pack(pack).flaws == ()
    from integrity.packs.reporting import report

    assert report(pack)


def test_the_first_window_begins_with_the_calendar() -> None:
    source = rows([FIRST])
    result = integrity.reconcile(contract("Asia/Seoul", 1), source, source)
    (batch,) = json.loads(result.to_json())["batches"]
    assert (batch["batch_start"], batch["batch_end"]) == ("0001-01-01T00:00:00.000000Z", "0001-01-01T15:32:08.000000Z")


def test_the_last_window_ends_with_the_calendar() -> None:
    source = rows([0])
    result = integrity.reconcile(contract(None, 3_600_000), source, source)
    (batch,) = json.loads(result.to_json())["batches"]
    assert batch["batch_end"] == "9999-12-31T23:59:59.999999Z"


@pytest.mark.parametrize("given", ["0001-01-01T00:00:00+09:00", "9999-12-31T23:00:00-09:00"])
@pytest.mark.parametrize("what", ["since", "until", "as_of"])
def test_a_bound_that_utc_does_not_have_is_refused(what: str, given: str) -> None:
    with pytest.raises(UsageError, match=f"{what} .* is not in the years 1 to 9999 of UTC"):
        integrity.reconcile(contract("Asia/Seoul", 1), rows([0]), rows([0]), **{what: given})


def test_since_is_told_with_its_year_in_four_digits() -> None:
    result = integrity.reconcile(contract(None, 1), rows([0]), rows([0]), since="0001-01-01T00:00:00Z")
    assert result.described()["since"] == "0001-01-01T00:00:00.000000Z"
