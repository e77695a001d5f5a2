"""What does a page show of a run's facts, in a reader's words?"""

from __future__ import annotations

import base64
import datetime as dt
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from integrity.batches import timeless
from integrity.contracts import Assertion
from integrity.harmless import plain
from integrity.report.basis import stores
from integrity.report.facts import BATCHES_SHOWN, OF_A_KIND, Facts, Timeliness
from integrity.report.plots import latency, per_place, timeline
from integrity.report.reader import Reader
from integrity.summary import FAILS, KINDS, Summary, found_in

__all__ = ["View"]

#: What a verdict may be owed to, besides breaks.
_BESIDES: Final = {"accuracy": ("unverified",)}
_SECTIONS: Final = (
    "promises", "balance", "batches", "latency", "breaks", "expectations", "unchecked", "selftest", "basis",
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """What a page shows of a run's facts, in a reader's words. The template only puts it in its place.

    Attributes:
        facts: What is known.
        reader: Whose words.
        pack: Whether the page lies in an evidence pack, where more is in its files.
        pseudonyms: Whether identities were replaced.
    """

    facts: Facts
    reader: Reader
    pack: bool = False
    pseudonyms: bool = False

    of_a_kind = OF_A_KIND

    # --- sentences

    @property
    def summary(self) -> Summary:
        """What was found, in counts."""
        return self.facts.summary

    @property
    def headline(self) -> str:
        """One sentence: what the verdict stands on."""
        text = ""
        for each in self.summary.headline():
            numbers = {name: self.reader.number(number) for name, number in each.numbers.items()}
            promise = self.reader.say(f"promise.{each.promise}") if each.promise else ""
            text += (each.joint if text else "") + self.reader.say(each.key, **numbers, promise=promise)
        return text

    @property
    def sections(self) -> list[str]:
        """Which sections the run has, by their names."""
        has = {"latency": self.timeliness is not None, "expectations": bool(self.expectations)}
        return [name for name in _SECTIONS if has.get(name, True)]

    @property
    def period(self) -> str:
        """From when until when windows were read."""
        since, until = self.facts.period
        if self.facts.contract.window is None:
            return self.reader.say("period.snapshot")
        if since is None:
            return self.reader.say("period.stood" if self.facts.unchanged else "period.none")
        moments = {"since": self.reader.moment(since), "until": self.reader.moment(until)}
        return self.reader.say("period.span", **moments)

    @property
    def ran(self) -> str:
        """From when until when it ran, where that is on record."""
        began, ended = self.facts.who.began, self.facts.who.ended
        if began is None:
            return ""
        return self.reader.say("period.span", since=self.reader.iso(began), until=self.reader.iso(ended))

    @property
    def limit(self) -> str:
        """What the contract promises of time."""
        promise = self.facts.contract.timeliness
        if promise is None:
            return self.reader.say("latency.none")
        say, duration = self.reader.say, self.reader.duration
        said = [say("latency.limit", ratio=self.reader.promised(promise.ratio), within=duration(promise.within))]
        if promise.never_over is not None:
            said.append(say("latency.never", never=duration(promise.never_over)))
        basis = f" ({say('latency.basis', basis=plain(promise.basis, 200))})" if promise.basis else ""
        return ", ".join(said) + basis + "."

    @property
    def not_promised(self) -> str:
        """The promises that this contract does not make."""
        missing = [each.value for each in Assertion if each.value not in self.facts.assertions]
        return ", ".join(self.reader.say(f"promise.{name}") for name in missing)

    @property
    def columns(self) -> str:
        """The columns that were compared."""
        return ", ".join(plain(name) for name in self.facts.contract.content)

    @property
    def window(self) -> str:
        """How long a window is, and when it closes."""
        contract = self.facts.contract
        if contract.window is None:
            return ""
        window, grace = (self.reader.duration(micros) for micros in (contract.window.every, contract.grace))
        if contract.window.timezone is None:
            return self.reader.say("b.window.of", window=window, grace=grace)
        return self.reader.say("b.window.zone", window=window, grace=grace, zone=contract.window.timezone)

    @property
    def asked(self) -> str:
        """Which span was asked for, where one was."""
        told = self.facts.described
        if not (told.get("since") or told.get("until")):
            return ""
        since, until = self.reader.iso(told.get("since")), self.reader.iso(told.get("until"))
        return self.reader.say("period.span", since=since, until=until)

    # --- promises

    def found(self, promise: str) -> list[tuple[str, int]]:
        """How many breaks fail a promise, by kind; those that there are none of left out."""
        names = (*FAILS[promise], *_BESIDES.get(promise, ()))
        return [(name, self.facts.totals[name]) for name in names if self.facts.totals[name]]

    def means(self, promise: str) -> str:
        """What the verdict of a promise says."""
        word, summary = self.facts.assertions[promise], self.summary
        if word != "pass" or not self.found(promise):
            return self.reader.say(f"means.{word}")
        # Only a ratio lets a promise be kept that items of closed batches broke.
        of_closed = summary.breaks - summary.excused.get(("early", ""), 0)
        return self.reader.say("means.kept" if promise == Assertion.TIMELINESS and of_closed else "means.early")

    def beside(self, promise: str) -> str:
        """What is said of a promise besides the breaks that fail it: of none that there is none, only if it is kept."""
        said, word = [], self.facts.assertions[promise]
        if not self.found(promise) and word == "pass":
            said.append(self.reader.say("found.nothing"))
        if promise == Assertion.TIMELINESS and word != "skipped" and self.timeliness and self.timeliness.due:
            share = self.reader.share(self.timeliness.on_time, self.timeliness.due)
            said.append(self.reader.say("found.ontime", share=share))
        if not self.found(promise) and not said:
            said.append(self.reader.say("found.nocount") if word == "fail" else "–")
        return ", ".join(said)

    def unknown(self, promise: str) -> str:
        """Why a promise could not be verified, as far as its batches tell."""
        batches = self.facts.batches.filter(~pl.col("open") & (pl.col(promise) == "unverified"))
        empty = {
            "completeness": pl.col("source_records") + pl.col("destination_records") == 0,
            "accuracy": pl.col("matched") + pl.col("corrupt") + pl.col("unverified") == 0,
        }
        count = batches.filter(empty[promise]).height if promise in empty else 0
        return self.reader.say(f"unknown.{promise}", n=self.reader.number(count)) if count else ""

    def word_of(self, kind: str) -> str:
        """What a kind of break is called, or what is no break and keeps a batch from passing."""
        return self.reader.say(f"kind.{kind}" if kind in KINDS else f"part.{kind}")

    # --- batches

    def count(self, value: int | None) -> str:
        """A count; where it is not known a question mark."""
        return "?" if value is None else self.reader.number(value)

    def batch_start(self, start: dt.datetime | None) -> str:
        """Which batch it is."""
        if start is None:
            return self.reader.say(f"batches.{timeless(self.facts.contract)}")
        return self.reader.moment(start)

    def found_in(self, row: Mapping[str, Any]) -> list[tuple[str, int]]:
        """What was found in a batch."""
        return list(found_in(row).items())

    @functools.cached_property
    def remarkable(self) -> list[dict[str, Any]]:
        """The first batches that did not pass."""
        return self.facts.remarkable.head(BATCHES_SHOWN).to_dicts()

    @property
    def remarkable_total(self) -> int:
        """How many there are."""
        return self.facts.remarkable.height

    def more(self, shown: int, total: int) -> str:
        """Where the other rows are."""
        key = "more.rows.pack" if self.pack else "more.rows.ledger" if self.facts.who.run else "more.rows"
        return self.reader.say(key, shown=self.reader.number(shown), total=self.reader.number(total))

    @property
    def exclusions(self) -> list[Mapping[str, Any]]:
        """What the contract leaves out and there was any of."""
        return [each for each in self.facts.described.get("exclusions", ()) if each["count"]]

    @property
    def attempts(self) -> Mapping[str, str]:
        """What was attempted, where the source records that."""
        names = ("attempted", "accepted", "rejected", "excluded")
        told = self.facts.described.get("attempts") or {}
        return {name: self.reader.number(told[name]) for name in names} if told else {}

    # --- breaks

    @property
    def no_breaks(self) -> str:
        """What is said where no break can be shown."""
        summary = self.summary
        if summary.earlier:
            return self.reader.say("breaks.stand", n=self.reader.number(summary.earlier))
        if summary.unlocated or summary.breaks:
            return self.reader.say("breaks.unnamed")
        return self.reader.say("breaks.whole" if summary.closed["fail"] else "breaks.none")

    @property
    def identity(self) -> list[str]:
        """The columns that name an item."""
        return list(self.facts.contract.identity)

    @functools.cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The first breaks of each kind."""
        return [
            {
                "kind": row["kind"],
                "batch_start": row["batch_start"],
                "identity": [row.get(name) for name in self.identity],
                "differing": row.get("differing"),
                "reason": row.get("reason"),
                "shown": " → ".join(row[n] for n in ("source_values", "destination_values") if row.get(n)),
            }
            for row in sorted(self.facts.breaks.to_dicts(), key=lambda row: KINDS.index(row["kind"]))
        ]

    # --- expectations

    @functools.cached_property
    def expectations(self) -> list[dict[str, Any]]:
        """What became of each expectation."""
        made = []
        for each in self.facts.described.get("expectations", ()):
            number = self.reader.number
            counts = f": {number(each['unexpected'])} / {number(each['looked'])}" if each["unexpected"] else ""
            why = f": {each['why']}" if each["why"] else ""
            said = f"({each['severity']}) {each['name']} ({each['side']}){counts}{why}"
            remarkable = each["verdict"] != "pass" or each["unexpected"] > 0
            made.append({"verdict": each["verdict"], "said": said, "remarkable": remarkable} | {"of": each["severity"]})
        return made

    @property
    def expectations_held(self) -> int:
        """How many of them hold."""
        return sum(each["verdict"] == "pass" for each in self.expectations)

    @property
    def warned(self) -> int:
        """How many that only warn were not met."""
        return sum(each["verdict"] == "fail" and each["of"] != "critical" for each in self.expectations)

    # --- pictures

    @property
    def per_place(self) -> int:
        """How many batches share a place of a picture."""
        return per_place(self.facts.batches)

    @functools.cached_property
    def timeline(self) -> str | None:
        """Batches over time."""
        return _embedded(timeline(self.facts.batches, self.reader))

    @property
    def timeline_said(self) -> str:
        """What it shows, and what it does not."""
        binned, untimed = self.per_place > 1, self.facts.undrawn
        said = [self.reader.say("batches.plot")]
        said += [self.reader.say("batches.binned", n=self.reader.number(self.per_place))] if binned else []
        said += [self.reader.say("batches.notdrawn", n=self.reader.number(untimed))] if untimed else []
        return " ".join(said)

    @functools.cached_property
    def timeliness(self) -> Timeliness | None:
        """How soon items arrived."""
        return self.facts.timeliness()

    @functools.cached_property
    def latency(self) -> str | None:
        """Latency against its limits."""
        promise = self.facts.contract.timeliness
        limits = (None, None) if promise is None else (promise.within, promise.never_over)
        return _embedded(latency(self.facts.batches, limits, self.reader))

    @property
    def latency_said(self) -> str:
        """What the picture of latency shows."""
        key = "latency.plot" if self.per_place == 1 else "latency.plot.binned"
        return self.reader.say(key, n=self.reader.number(self.per_place))

    # --- what it rests on

    @property
    def spec(self) -> str:
        """The digest of everything that was in force."""
        return str(self.facts.described.get("spec_sha256") or "")

    @property
    def software(self) -> str:
        """Which versions of which software."""
        told = self.facts.described.get("versions") or {}
        return ", ".join(plain(f"{name} {version}", 80) for name, version in told.items())

    @property
    def stores(self) -> Iterator[dict[str, Any]]:
        """What is known of each store that was read."""
        return stores(self.facts, self.reader)


def _embedded(svg: str | None) -> str | None:
    """A picture as an address that needs no request."""
    return None if svg is None else f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
