"""Pictures of batches: told apart without colour, and never better than the batches are."""

from __future__ import annotations

import datetime as dt
import logging
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from integrity.report import plots
from integrity.report.reader import Reader


def batches(count: int, verdicts: list[str | None]) -> pl.DataFrame:
    start = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    rows = [
        {
            "batch_start": start + dt.timedelta(minutes=10 * n),
            "source_records": n % 7,
            "verdict": verdicts[n % len(verdicts)],
            "open": False,
            "latency_p50": 1_000_000,
            "latency_p95": 2_000_000,
            "latency_max": 3_000_000 * (1 + n % 3),
        }
        for n in range(count)
    ]
    return pl.DataFrame(rows).with_columns(pl.col("batch_start").cast(pl.Datetime("us", "UTC")))


def test_one_failure_is_seen_among_thousands() -> None:
    """Where batches share a bar, it has the worst verdict of them; and no percentile is taken of percentiles."""
    good = plots.timeline(batches(5_000, ["pass"]), Reader.of())
    one = batches(5_000, ["pass"]).with_columns(
        pl.when(pl.int_range(pl.len()) == 2_500).then(pl.lit("fail")).otherwise("verdict").alias("verdict")
    )
    bad = plots.timeline(one, Reader.of())
    assert good is not None
    assert bad is not None
    assert "url(#" not in good.replace('clip-path="url(#', "")
    assert "url(#" in bad.replace('clip-path="url(#', "")  # the hatch of a failure
    assert plots.per_place(one) == 53


def test_pictures_need_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "none"))
    assert plots.latency(batches(3, ["pass"]), (5_000_000, None), Reader.of("ko")) is not None
    assert plots.timeline(batches(1, ["fail"]), Reader.of()) is not None


VERDICTS: dict[str, tuple[str | None, bool]] = {
    "fail": ("fail", False),
    "unverified": ("unverified", False),
    "pending": ("pending", False),
    "open": ("pending", True),
    "skipped": ("skipped", False),
    "pass": ("pass", False),
}


def of(*looks: str) -> pl.DataFrame:
    made = batches(len(looks), [VERDICTS[look][0] for look in looks])
    return made.with_columns(pl.Series("open", [VERDICTS[look][1] for look in looks]))


def drawn(svg: str | None) -> list[tuple[str, str, bool, bool]]:
    """The bars of a picture: face, edge, whether it is hatched and whether its edge is broken."""
    assert svg is not None
    styles = re.findall(r'<g id="PolyCollection_\d+">(.*?)</g>\n?\s*(?=<g id=|</g>)', svg, flags=re.S)
    found = []
    for style in re.findall(r'style="(fill: [^"]*)"', "".join(styles)):
        face = re.search(r"fill: (#\w+|url)", style)
        edge = re.search(r"stroke: (#\w+)", style)
        assert face is not None
        assert edge is not None
        found.append((face[1], edge[1], face[1] == "url", "dasharray" in style))
    return found


@pytest.mark.parametrize("look", list(VERDICTS))
def test_each_verdict_has_a_look_of_its_own(look: str) -> None:
    """In black and white only what passed is solid; and what failed, or nobody knows, is not hollow either."""
    face, edge, hatch, line = plots.LOOKS[look]
    bar = drawn(plots.timeline(of(look), Reader.of()))
    assert bar == [("url" if hatch else face, edge, bool(hatch), line == "--")]
    assert (face != "#ffffff") == (look == "pass")
    shapes = Counter((hatch, line, face == "#ffffff") for face, _, hatch, line in plots.LOOKS.values())
    assert set(shapes.values()) == {1}


@pytest.mark.parametrize(("worse", "better"), list(pairwise(VERDICTS)))
def test_a_place_of_several_batches_looks_like_the_worst_of_them(worse: str, better: str) -> None:
    many = of(*[worse if n % 2 else better for n in range(400)])
    assert {bar[1:] for bar in drawn(plots.timeline(many, Reader.of()))} == {
        bar[1:] for bar in drawn(plots.timeline(of(worse), Reader.of()))
    }


def labels(svg: str | None) -> list[str]:
    assert svg is not None
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_times_are_round_ones_of_the_readers_day() -> None:
    day = plots.timeline(batches(144, ["pass"]), Reader.of("en", "Asia/Seoul"))
    shown = [text for text in labels(day) if ":" in text]
    assert shown == ["12:00", "18:00", "00:00", "06:00"]
    few = [text for text in labels(plots.timeline(batches(7, ["pass"]), Reader.of())) if ":" in text]
    assert few == ["00:00", "00:30", "01:00"]
    odd = batches(3, ["pass"]).with_columns(pl.col("batch_start").dt.offset_by("7s"))
    assert [text for text in labels(plots.timeline(odd, Reader.of())) if ":" in text] == ["00:00", "00:10", "00:20"]


def test_durations_stand_at_natural_marks() -> None:
    shown = labels(plots.latency(batches(5, ["pass"]), (60_000_000, 86_400_000_000), Reader.of()))
    marks = [text for text in shown if ":" not in text]
    assert marks == ["1 s", "10 s", "1 min", "10 min", "1 h", "10 h", "1 d"]


def test_what_others_log_is_left_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="matplotlib")
    plots.timeline(batches(1, ["pass"]), Reader.of())
    assert logging.getLogger("matplotlib").level == logging.INFO
