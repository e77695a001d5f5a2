"""The report says what the frames say, in each language, and nothing in the data can become part of the page."""

from __future__ import annotations

import datetime as dt
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal, localcontext
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
from integrity import summary
from integrity.contracts import Assertion
from integrity.errors import IntegrityError, UsageError
from integrity.report import words
from integrity.report.facts import OF_A_KIND, facts_of
from integrity.report.html import page
from integrity.report.terminal import show as show_result
from integrity.spool import Log
from integrity.summary import KINDS, summary_of
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
        self.badges: list[tuple[str, str]] = []
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.shown = ""
        self._open: list[tuple[str, str | None]] = []
        self._badge = False
        self.feed(text)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        told = dict(attrs)
        if tag == "a":
            self.links.append(str(told["href"]))
        if "id" in told:
            assert told["id"] not in self.anchors, "an anchor is one place"
            self.anchors.add(str(told["id"]))
        of = (told.get("class") or "").split()
        if of[:1] == ["verdict"]:
            self.badges.append((of[1], ""))
        self._badge = of[:1] == ["verdict"]
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
        self._badge = False

    def handle_data(self, data: str) -> None:
        self.shown += data
        if self._badge:
            self.badges[-1] = (self.badges[-1][0], self.badges[-1][1] + data)
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
    for verdict in ("pass", "fail", "unverified", "pending"):
        yield f"batches.{verdict}", sum(row["verdict"] == verdict for row in closed)
    yield "batches.open", sum(still_open)
    yield "batches.closed", sum(isinstance(row["verdict"], str) and row["verdict"] != "skipped" for row in closed)
    for side in ("source", "destination"):
        yield f"{side}.total", sum(int(row[f"{side}_records"]) for row in batches)
        yield f"basis.{side}", sum(int(row[f"{side}_records"]) for row in batches)


def broken(row: dict[str, Any]) -> int:
    return sum(int(row[kind]) for kind in KINDS)


def said_of(result: integrity.Result) -> str:
    """The headline, written once more by loops: what ``result.headline()`` and every report have to say."""
    still_open = result.batch_frame["__open"].to_list()
    rows = list(zip(result.batches.to_dict("records"), still_open, strict=True))
    closed = [
        row for row, is_open in rows if not is_open and row["verdict"] in ("pass", "fail", "unverified", "pending")
    ]
    ended = Counter(row["verdict"] for row in closed)
    batches_ = f"{len(closed)} closed {'batch' if len(closed) == 1 else 'batches'}"
    bad = [broken(row) for row in closed if row["verdict"] == "fail"]
    said = []
    if result.verdict == "fail":
        every = sum(broken(row) for row, _ in rows)
        found = f"{every} {'break' if every == 1 else 'breaks'}"
        if sum(bad) and all(bad):
            where = "in" if every == sum(bad) else f"{sum(bad)} of them in"
            said.append(f"{found}{' ' if every == sum(bad) else ', '}{where} {len(bad)} of {batches_}")
        else:
            said.append((f"{found}; " if sum(bad) else "") + f"{len(bad)} of {batches_} failed")
    elif result.verdict == "pass" and not len(result.breaks):
        said.append(f"no exception found in {batches_}")
    else:
        said.append(f"{ended['pass']} of {batches_} passed" if closed else "no closed batch was judged")
    for count, words_ in (
        (ended["unverified"], "could not be verified"),
        (ended["pending"], "not settled yet"),
        (sum(still_open), "still open"),
    ):
        said[0] += f", {count} {words_}" if count else ""
    excused: Counter[str] = Counter()
    for row, is_open in rows:
        for kind in KINDS:
            if row[kind] and (is_open or row["verdict"] != "fail"):
                excused[why_not(result, kind, is_open)] += int(row[kind])
    for why, words_ in EXCUSES.items():
        if (n := excused[why]) and not (why == "elsewhere" and result.verdict == "fail"):
            one = n == 1
            said.append(f"{n} {words_.format(breaks='break' if one else 'breaks', do='does' if one else 'do')}")
    judged = sum(verdict in ("pass", "fail") for verdict in result.assertions.values())
    promises = len(result.assertions)
    return "; ".join([*said, f"{judged} of {promises} {'promise' if promises == 1 else 'promises'} judged"])


OF = {"lost": "completeness", "duplicate": "completeness", "corrupt": "accuracy", "extra": "validity"}
OF |= {"invalid": "validity", "late": "timeliness", "skewed": "timeliness", "unauthorized": "authorization"}
EXCUSES = {
    **{f"skipped {each}": f"{{breaks}} {{do}} not count, {each} was left out" for each in dict.fromkeys(OF.values())},
    **{f"none {each}": f"{{breaks}} {{do}} not count, {each} is not promised" for each in dict.fromkeys(OF.values())},
    "tolerated": "late within the promised ratio",
    "early": "{breaks} in open batches, which a later run judges",
    "elsewhere": "{breaks} in batches that did not fail",
}


def why_not(result: integrity.Result, kind: str, is_open: bool) -> str:
    verdict = {each.value: verdict.value for each, verdict in result.assertions.items()}.get(OF[kind], "none")
    if verdict in ("skipped", "none"):
        return f"{verdict} {OF[kind]}"
    if is_open:
        return "early"
    return "tolerated" if kind == "late" and verdict in ("pass", "pending") else "elsewhere"


def basis(result: integrity.Result, side: str) -> Iterator[tuple[str, str]]:
    """Digest and amounts of a side, from what a person sees of its batches."""
    rows = result.batches.to_dict("records")
    for place, name in enumerate(result.contract.amounts):
        nothing = Decimal(0).scaleb(-(result.contract.columns[name].scale or 0))
        with localcontext(prec=200):  # of the usual one, sums of large amounts would be rounded
            total = sum((Decimal(row[f"{side}_{name}"]) for row in rows), nothing)
        yield f"basis.{side}.amount.{place}", f"{total:,}".replace("-", "−")
    words_ = [[int(row[f"{side}_hash"][7:][at : at + 16], 16) for row in rows] for at in (0, 16)]
    yield f"basis.{side}.digest", "sum128:" + "".join(f"{sum(each) % 2**64:016x}" for each in words_)


def timeliness(result: integrity.Result) -> Iterator[tuple[str, int]]:
    """How many items of closed batches had to arrive in time, and how many did."""
    closed = [
        row
        for row, is_open in zip(result.batches.to_dict("records"), result.batch_frame["__open"], strict=True)
        if not is_open and row["timeliness_ratio"] == row["timeliness_ratio"] and row["timeliness_ratio"] is not None
    ]
    due = [int(row["source_records"] - row["accounted"] - row["pending"]) for row in closed]
    if sum(due):
        yield "timeliness.due", sum(due)
        yield "timeliness.on_time", sum(round(row["timeliness_ratio"] * n) for row, n in zip(closed, due, strict=True))


def badges_agree(read: Read, language: str) -> bool:
    place = words.LANGUAGES.index(language)
    return all(words.WORDS[f"verdict.{look}"][place] == said for look, said in read.badges)


@law(60)
@given(cases(), st.sampled_from(["en", "ko"]))
def test_what_the_page_states_is_what_the_frames_say(case: Case, language: str) -> None:
    with without_self_test():
        result = case.reconcile()
    assert_states(result, language)


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_a_page_tells_what_was_found(result: integrity.Result, language: str) -> None:
    assert_states(result, language)


def assert_states(result: integrity.Result, language: str) -> None:
    """Check every verdict, count, amount and digest of a page, and its headline, against the frames."""
    read = Read(page(facts_of(result), language=language, made=MADE))
    for fact, count in (*counted(result), *timeliness(result)):
        assert read.number(fact) == count, fact
    assert read.facts["verdict"] == result.verdict.value
    assert read.badges[0][0] == result.verdict.value
    assert badges_agree(read, language)
    assert result.headline() == f"{result.contract.name}: {result.verdict.value}: {said_of(result)}"
    if language == "en":
        assert read.facts["headline"] == said_of(result)
    for assertion, verdict in result.assertions.items():
        assert read.facts[f"assertion.{assertion.value}"] == verdict.value
    stated = {name for name in read.facts if name.startswith("broken.")}
    assert stated == {f"broken.{kind}" for kind in set(result.breaks["kind"])}
    assert ("unverified.accuracy" in read.facts) == (result.assertions.get(Assertion.ACCURACY) == "unverified")
    for side in ("source", "destination"):
        # Whatever lies outside the period is counted by itself, so that this can fail.
        parts = [name for name in read.facts if name.startswith(f"{side}.") and name != f"{side}.total"]
        assert sum(map(read.number, parts)) == read.number(f"{side}.total")
        for fact, text in basis(result, side):
            assert read.facts[fact] == text, fact
    for name in read.facts:
        if name.startswith("found."):
            assert read.number(name) == result.totals[name.removeprefix("found.")]


def test_a_statement_adds_up_of_its_own_accord() -> None:
    """Its parts are counted one by one: were one counted wrongly, its sum would not be its total."""
    batches_ = found().batch_frame.rename({"__open": "open"})
    totals = dict(found().totals) | {"matched": 1_000}
    told = summary_of("fail", {}, totals, batches_).statements
    assert all(sum(each.parts.values()) != each.total for each in told)


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
    assert not re.findall(r"(?:src|action)=[\"'](?!data:)", text)
    read = Read(text)
    assert {each.removeprefix("#") for each in read.links} <= read.anchors, "a link leads to a place on this page"
    assert len(read.links) == read.elements["section"]
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
    assert "no closed batch was judged; 0 of 2 promises judged" in unverified


def test_totals_recorded_elsewhere_have_a_balance_that_nobody_knows() -> None:
    from tests.ledger import books

    items = books.sent(40).with_columns(pl.lit("acme").alias("tenant"))
    there = integrity.measure(books.promise(grace="5m"), books.damaged(items), side="destination")
    read = Read(reconciled(items, there).to_html())
    assert "a difference is located to its batch" in read.shown
    assert "source.matched" not in read.facts
    # Its totals count what is late, and name nothing.
    assert read.facts["headline"].startswith("1 break; 2 of 4 closed batches failed, 1 still open; ")
    assert "one side is control totals recorded earlier, which name no item" in read.shown
    assert "No break was found" not in read.shown


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
    source = Path(str(summary.__file__)).read_text(encoding="utf-8")
    for key in words.WORDS:
        if key in summary.HEADLINES:
            assert f'"{key}", {{' in source or f'"{key.removeprefix("headline.")}"' in source, f"{key} is never said"
            continue
        assert key.startswith(starts) or f'"{key}"' in text or f"'{key}'" in text, f"{key} is never said"


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
    with pytest.raises(IntegrityError, match="is a folder; name a file in it"):
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


def test_a_page_is_read_without_moving_its_tables(chromium: Any, result: integrity.Result, tmp_path: Path) -> None:
    """On a desk a long value wraps in its cell; on a telephone a row is not a line a cell; on paper nothing is a link."""
    path = tmp_path / "report.html"
    breaks = Log()
    for frame in result.break_frames():
        breaks.add(frame.with_columns(pl.lit('{"body":"' + "x" * 300 + '"}').alias("source_values")))
    replace(result, _breaks=breaks).to_html(path)
    with browser.opened(chromium, path, width=1100) as seen:
        moved = "[...document.querySelectorAll('.scroll')].filter(each => each.scrollWidth > each.clientWidth).length"
        assert seen.page.evaluate(moved) == 0
        assert seen.page.locator("nav").is_visible()
        assert (
            seen.page.evaluate("[...document.querySelectorAll('p, ul')].filter(each => !each.innerText.trim()).length")
            == 0
        )
        seen.page.emulate_media(media="print")
        assert not seen.page.locator("nav").is_visible()
    with browser.opened(chromium, path, width=320) as seen:
        row = seen.page.locator("#batches tbody tr").nth(1)
        cells, height = row.locator("td").count(), row.bounding_box()["height"]
        assert height < cells * 24
