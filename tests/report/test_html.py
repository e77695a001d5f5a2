"""The report says what the frames say, in each language, and nothing in the data can become part of the page."""

from __future__ import annotations

import datetime as dt
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import integrity
from integrity.errors import IntegrityError, UsageError
from integrity.report import plots, words
from integrity.report.facts import KINDS, OF_A_KIND, facts_of
from integrity.report.html import page
from integrity.report.reader import Reader
from integrity.report.terminal import show as show_result
from integrity.spool import Log
from tests import browser
from tests import conftest as tests
from tests.report.found import HOSTILE, found, nothing_judged, reconciled
from tests.shell import called
from tests.test_reconcile_laws import Case, cases, law, without_self_test

MADE = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
PAGES = Path(integrity.__file__).parent / "report" / "pages"


class Read(HTMLParser):
    """What a browser would make of a page: its elements, its facts, its text."""

    VOID = ("meta", "br", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.facts: dict[str, str] = {}
        self.shown = ""
        self._open: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        told = dict(attrs)
        fact = told.get("data-fact")
        if fact is not None and "data-value" in told:
            self.facts[fact] = str(told["data-value"])
            fact = None
        if tag not in self.VOID:
            self._open.append((tag, fact))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, tag
        was, _ = self._open.pop()
        assert was == tag

    def handle_data(self, data: str) -> None:
        self.shown += data
        for _, fact in self._open:
            if fact is not None:
                self.facts[fact] = self.facts.get(fact, "") + data

    def number(self, fact: str) -> int:
        return int(self.facts[fact].replace(",", ""))


def counted(result: integrity.Result) -> Iterator[tuple[str, int]]:
    """Every number that the page has to state, counted from the frames by loops."""
    breaks: Counter[str] = Counter(row.kind for row in result.breaks.itertuples())
    batches = result.batches.to_dict("records")
    still_open = result.batch_frame["__open"].to_list()
    closed = [row for row, is_open in zip(batches, still_open, strict=True) if not is_open]
    for kind, count in breaks.items():
        yield f"broken.{kind}", count
    for verdict in ("pass", "fail", "unverified"):
        yield f"batches.{verdict}", sum(row["verdict"] == verdict for row in closed)
    yield "batches.open", sum(still_open)
    yield "batches.due", sum(still_open) + sum(isinstance(row["verdict"], str) for row in closed)
    for side in ("source", "destination"):
        yield f"{side}.total", sum(int(row[f"{side}_records"]) for row in batches)
        yield f"basis.{side}", sum(int(row[f"{side}_records"]) for row in batches)


@law(60)
@given(cases(), st.sampled_from(["en", "ko"]))
def test_what_the_page_states_is_what_the_frames_say(case: Case, language: str) -> None:
    with without_self_test():
        result = case.reconcile()
    read = Read(page(facts_of(result), language=language, made=MADE))
    for fact, count in counted(result):
        assert read.number(fact) == count, fact
    assert read.facts["verdict"] == result.verdict.value
    for assertion, verdict in result.assertions.items():
        assert read.facts[f"assertion.{assertion.value}"] == verdict.value
    stated = {name for name in read.facts if name.startswith("broken.")}
    assert stated == {f"broken.{kind}" for kind in set(result.breaks["kind"])}
    for side in ("source", "destination"):
        parts = [name for name in read.facts if name.startswith(f"{side}.") and name != f"{side}.total"]
        assert not parts or sum(map(read.number, parts)) == read.number(f"{side}.total")
    for name in read.facts:
        if name.startswith("found."):
            assert read.number(name) == result.totals[name.removeprefix("found.")]


def test_a_copy_of_an_item_that_lies_outside_the_period_is_stated() -> None:
    """It is the item's match and not of the records that were asked for: a statement says so, or its sum is not its
    total."""
    sent, kept = (tests.frame(tests.message(1, there), tests.message(2, 610)) for there in (600, 300))
    result = integrity.reconcile(tests.promise(), sent, kept, since=tests.at(360))
    read = Read(page(facts_of(result), language="en", made=MADE))
    stated = {name: read.number(name) for name in read.facts if name.startswith("destination.")}
    assert stated == {
        f"destination.{name}": n for name, n in (("total", 1), ("matched", 1), ("corrupt", 1), ("outside", -1))
    }
    assert read.number("source.total") == 2
    assert "outside the period of this run" in read.shown
    screen = Console(width=160, file=io.StringIO())
    show_result(result, screen)
    assert "destination 1 = 1 matched + 1 corrupt - 1 outside since and until" in screen.file.getvalue()


def hostile(result: integrity.Result, text: str) -> integrity.Result:
    """The same result, in which everything that anybody can write is this text."""
    kept = text.replace("\ud800", "?")  # half a character, which no frame holds
    breaks = Log()
    for frame in result.break_frames():
        texts = [pl.lit(kept).alias(n) for n in ("id", "reason", "differing", "source_values", "destination_values")]
        breaks.add(frame.with_columns(*texts, pl.lit(kept).alias("__p.tenant")))
    sides = {
        name: replace(side, location=text, queries=(text,), mapping={text: text}, timezone=text, how=text)
        for name, side in result.sides.items()
    }
    exclusion = {"side": "source", "name": text, "count": 3, "reason": text}
    return replace(
        result,
        contract=result.contract.model_copy(update={"about": kept}),
        _breaks=breaks,
        _batches=result.batch_frame.with_columns(pl.lit(kept).alias("tenant")),
        notes=(text,),
        skips=dict.fromkeys(result.skips, text),
        exclusions=(exclusion,),
        sides=sides,
        references={text: sides["source"]},
        versions={text: text},
        bound=text,
        self_test=text,
    )


@pytest.fixture(scope="module")
def result() -> integrity.Result:
    return found()


TAGS = st.sampled_from(
    ["<script>alert(1)</script>", "'\"><img src=x onerror=alert(1)>", "</td></table><h1>", "{{ 7 * 7 }}", "&lt;b&gt;",
     "</style><style>*{}", "\u202eevil\u2066", "javascript:alert(1)", "{% raw %}", "]]>", "\ud800", "\x00", "%s{0}{x}"]
)  # fmt: skip


@law(60)
@given(HOSTILE | TAGS, st.sampled_from(["en", "ko"]))
def test_no_value_becomes_markup(result: integrity.Result, text: str, language: str) -> None:
    plain = Read(page(facts_of(hostile(result, "x")), language=language, made=MADE))
    written = page(facts_of(hostile(result, text)), language=language, made=MADE)
    read = Read(written)
    # A reason that is empty is not shown at all: then there is less of a page, never more or other than that.
    assert set(read.elements - plain.elements) == set()
    assert read.elements == plain.elements or text.strip() == ""
    assert read.attributes == plain.attributes
    assert read.facts.keys() == plain.facts.keys()
    unseen = {c for c in written if c < " " and c != "\n"} | set(written) & set("\u202e\u2066\u2028")
    assert not unseen
    written.encode()  # half a character would not do


@law(60)
@given(HOSTILE | TAGS)
def test_no_value_becomes_markup_in_a_notebook(result: integrity.Result, text: str) -> None:
    shown = hostile(result, text)
    plain = Read(hostile(result, "x")._repr_html_())
    read = Read(shown._repr_html_())
    assert set(read.elements - plain.elements) == set()
    assert read.attributes == plain.attributes


def test_the_report_is_one_page_that_asks_nobody(result: integrity.Result) -> None:
    text = result.to_html()
    assert not re.findall(r"(?:src|href|action)=[\"'](?!data:)", text)
    assert "url(" not in text
    assert "<script" not in text
    assert "default-src 'none'" in text


def test_the_same_result_makes_the_same_page(result: integrity.Result) -> None:
    assert page(facts_of(result), made=MADE) == page(facts_of(result), made=MADE)


def test_a_million_breaks_make_no_larger_a_page(result: integrity.Result) -> None:
    breaks = Log()
    for frame in result.break_frames():
        breaks.add(pl.concat([frame] * 2_000))
    many = replace(result, _breaks=breaks)
    read = Read(text := many.to_html())
    assert sum(read.number(f"broken.{kind}") for kind in KINDS if f"broken.{kind}" in read.facts) == breaks.rows
    assert len(text) < 400_000
    assert read.elements["tr"] < OF_A_KIND * len(KINDS) + 250
    assert len(many._repr_html_()) < 20_000


def test_what_was_not_checked_is_said(result: integrity.Result) -> None:
    text = Read(result.to_html()).shown
    assert "Left out on purpose: accuracy." in text
    assert "not today" in text
    assert "Not promised by this contract, and therefore not checked: authorization." in text
    assert "materiality is not judged here" in text
    unverified = Read(nothing_judged().to_html()).shown
    assert "not verified: 0 of 0 due batches" in unverified


def test_totals_recorded_elsewhere_have_a_balance_that_nobody_knows() -> None:
    from tests.ledger import books

    items = books.sent(40).with_columns(pl.lit("acme").alias("tenant"))
    there = integrity.measure(books.promise(grace="5m"), books.damaged(items), side="destination")
    read = Read(reconciled(items, there).to_html())
    assert "a difference is located to its batch" in read.shown
    assert "source.matched" not in read.facts
    assert "do not hold" in read.facts["headline"]


@pytest.mark.parametrize("language", words.LANGUAGES)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/New_York"])
def test_first_and_last_moments_can_be_told(language: str, zone: str) -> None:
    items = pl.DataFrame({"id": ["a", "b"], "at": ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]})
    notes = integrity.Contract(name="notes", version=1, identity=["id"], clock={"event": "at"}, window="1d")
    read = Read(integrity.reconcile(notes, items, items[:0]).to_html(lang=language, zone=zone))
    assert read.number("source.total") == 2


# --- words


def test_every_phrase_has_the_same_values_in_each_language() -> None:
    for key, lines in words.WORDS.items():
        assert len(lines) == len(words.LANGUAGES), key
        fields = [{name for _, name, _, _ in Formatter().parse(line) if name is not None} for line in lines]
        assert fields[0] == fields[1], key
        assert lines[0] != lines[1] or key.startswith("form."), key


def test_every_phrase_is_used_and_every_one_that_is_used_is_there() -> None:
    sources = [*PAGES.glob("*.j2"), *PAGES.parent.glob("*.py"), *(PAGES.parent.parent / "packs").glob("*.py")]
    text = "".join(path.read_text(encoding="utf-8") for path in sources if path.name != "words.py")
    used = set(re.findall(r"\b(?:say|html)\(\s*['\"]([a-z.]+)['\"]", text))
    assert used - {key for key in used if key.endswith(".")} <= words.WORDS.keys()
    parts = set(re.findall(r"['\"]([a-z]+\.)['\"] ?~|f['\"]([a-z]+\.)\{", text))
    starts = tuple(part for pair in parts for part in pair if part)
    for key in words.WORDS:
        assert key.startswith(starts) or f'"{key}"' in text or f"'{key}'" in text, f"{key} is never said"


def test_a_share_that_is_not_whole_is_never_shown_as_whole() -> None:
    reader = Reader.of("en")
    assert reader.share(1) == "100%"
    assert reader.share(1 - 1e-9) == "> 99.999%"
    assert reader.share(0.999) == "99.9%"


# --- pictures


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


# --- the shell


def test_the_shell_writes_it(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["1", "2"]}).write_csv(tmp_path / "a.csv")
    pl.DataFrame({"id": ["1"]}).write_csv(tmp_path / "b.csv")
    (tmp_path / "n.yaml").write_text("name: notes\nversion: 1\nidentity: [id]\n")
    words_ = ["reconcile", "n.yaml", "a.csv", "b.csv", "--html", "r.html", "--lang", "ko", "--zone", "Asia/Seoul"]
    assert called(tmp_path, *words_).returncode == 1
    assert 'lang="ko"' in (tmp_path / "r.html").read_text(encoding="utf-8")
    for wrong, said in ((["--lang", "fr"], "cannot be written in 'fr'"), (["--zone", "Mars"], "no time zone 'Mars'")):
        done = called(tmp_path, *words_[:4], "--html", "s.html", *wrong)
        assert done.returncode == 2
        assert said in done.stderr
        assert not done.stdout, "nothing was read by then"
    job = "contract: n.yaml\nsource: a.csv\ndestination: b.csv\nhtml: j.html\nlang: en\nzone: Asia/Seoul\n"
    (tmp_path / "job.yaml").write_text(job)
    assert called(tmp_path, "run", "job.yaml").returncode == 1
    assert "Asia/Seoul" in (tmp_path / "j.html").read_text(encoding="utf-8")
    (tmp_path / "job.yaml").write_text(job.replace("lang: en", "lang: xx"))
    assert called(tmp_path, "run", "job.yaml").returncode == 2


def test_an_unwritable_place_is_one_sentence(result: integrity.Result, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"cannot write .*: Is a directory"):
        result.to_html(tmp_path)
    with pytest.raises(UsageError):
        result.to_html(lang="EN")


def test_half_a_character_can_be_written(result: integrity.Result, tmp_path: Path) -> None:
    import json

    odd = replace(result, skips=dict.fromkeys(result.skips, "\ud800"))
    odd.to_html(tmp_path / "r.html")
    odd.to_json(tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["run"]["skips"]["accuracy"] == "\ud800"


# --- a browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.browser() as started:
        yield started


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_a_browser_has_nothing_to_complain_of(
    chromium: Any, language: str, result: integrity.Result, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    hostile(result, "<b>긴 이름/" + "x" * 300).to_html(path, lang=language)
    for width in browser.WIDTHS:
        with browser.opened(chromium, path, width=width) as seen:
            assert seen.left == []
            assert seen.complaints == []
            assert not seen.is_too_wide, width
            drawn = "[...document.images].every(each => each.complete && each.naturalWidth > 0)"
            assert seen.page.evaluate(drawn)
            assert seen.page.evaluate("document.images.length") == 2
    with browser.opened(chromium, path, bypass_csp=True) as seen:
        assert seen.violations() == []
