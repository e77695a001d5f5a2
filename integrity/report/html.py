"""How does a report become one page that opens anywhere, offline, and is worth sending?

HTML of one file: no script, no request to anywhere, pictures within. Nothing that came from the data can become markup
or move what stands beside it. What is shown of a million breaks are the first of each kind.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from integrity.contracts import Assertion
from integrity.harmless import plain
from integrity.report.facts import BATCHES_SHOWN, FAILS, KINDS, OF_A_KIND, Facts
from integrity.report.plots import latency, per_place, timeline
from integrity.report.reader import Reader
from integrity.totals import scale_of

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["NOT_CLAIMED", "environment", "page"]

#: What no report claims, in the order in which it says so.
NOT_CLAIMED: Final = (
    "not.capture",
    "not.material",
    "not.columns",
    "not.clocks",
    "not.runs",
    "not.evidence",
)
_PAGES: Final = Path(__file__).parent / "pages"
#: What a verdict may be owed to, besides breaks.
_BESIDES: Final = {"accuracy": ("unverified",)}
_MASK: Final = (1 << 64) - 1


def page(facts: Facts, *, language: str = "en", zone: str = "UTC", made: dt.datetime | None = None) -> str:
    """Return the report of one run as a page.

    Args:
        facts: What is known of it.
        language: ``en`` or ``ko``.
        zone: The time zone in which moments are told.
        made: When the page was made; now if left out.

    Raises:
        UsageError: there is no such language or zone.
    """
    reader = Reader.of(language, zone)
    return (
        environment(reader)
        .get_template("result.html.j2")
        .render(
            f=facts,
            v=View(facts, reader),
            not_claimed=NOT_CLAIMED,
            made=made or dt.datetime.now(dt.UTC),
        )
    )


def environment(reader: Reader) -> Environment:
    """Return what fills a page: every value is escaped, and a name that is missing is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    made = Environment(loader=FileSystemLoader(_PAGES), autoescape=True, undefined=StrictUndefined)
    css = (_PAGES / "page.css").read_text(encoding="utf-8")
    made.globals.update(r=reader, p=plain, lines=_lines, css=Markup(css))  # noqa: S704 - our own file
    return made


def _lines(text: str) -> str:
    """Text of several lines, each of them harmless."""
    return "\n".join(plain(line, 4_000) for line in text.splitlines())


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
    kinds = (*KINDS, "unverified")

    @property
    def more(self) -> str:
        """Which phrase says where the other rows are."""
        return "more.rows.pack" if self.pack else "more.rows"

    # --- sentences

    @property
    def headline(self) -> str:
        """One sentence: what the verdict stands on."""
        f, number = self.facts, self.reader.number
        failed = f.count("fail")
        key = f.verdict if f.verdict in ("fail", "pass") else "unverified"
        if key == "fail" and not f.break_count:
            # Control totals recorded earlier have no items to name; what stood unchanged is named by the run before.
            key = "failbefore" if f.unchanged and not failed else "failunlocated"
        said = self.reader.say(
            f"headline.{key}",
            breaks=number(f.break_count),
            failed=number(failed),
            passed=number(f.count("pass")),
            due=number(f.due),
            open=number(f.still_open),
        )
        parts = [said]
        if key != "unverified" and f.count("unverified"):
            parts.append(self.reader.say("unverified.batches", n=number(f.count("unverified"))))
        parts.append(self.reader.say("headline.promises", judged=f.judged, promises=number(len(f.assertions))))
        return "; ".join(parts)

    @property
    def period(self) -> str:
        """From when until when windows were read."""
        since, until = self.facts.period
        if since is None:
            return self.reader.say("period.snapshot")
        moments = {"since": self.reader.moment(since), "until": self.reader.moment(until)}
        return self.reader.say("period.span", **moments)

    @property
    def limit(self) -> str:
        """What the contract promises of time."""
        promise = self.facts.contract.timeliness
        if promise is None:
            return ""
        say, duration = self.reader.say, self.reader.duration
        said = [say("latency.limit", ratio=self.reader.share(float(promise.ratio)), within=duration(promise.within))]
        if promise.never_over is not None:
            said.append(say("latency.never", never=duration(promise.never_over)))
        basis = f" ({say('latency.basis', basis=plain(promise.basis, 200))})" if promise.basis else ""
        return ", ".join(said) + basis + "."

    @property
    def strength(self) -> str:
        """What equal totals are worth."""
        f = self.facts
        return self.reader.say(f"strength.{f.strength}", bound=plain(f.bound, 200)) if f.strength else ""

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

    # --- counts

    @property
    def statements(self) -> Sequence[Any]:
        """The balance of both sides."""
        return self.facts.statements()

    def found(self, promise: str) -> list[tuple[str, int]]:
        """How many breaks fail a promise, by kind; those that there are none of left out."""
        names = (*FAILS[promise], *_BESIDES.get(promise, ()))
        return [(name, self.facts.totals[name]) for name in names if self.facts.totals[name]]

    def word_of(self, kind: str) -> str:
        """Which phrase names a kind of break, or what cannot be compared."""
        return f"kind.{kind}" if kind in KINDS else f"part.{kind}"

    def count(self, value: int | None) -> str:
        """A count; where it is not known a question mark."""
        return "?" if value is None else self.reader.number(value)

    def batch_start(self, start: dt.datetime | None) -> str:
        """Which batch it is."""
        if start is None:
            return self.reader.say("batches.untimed" if self.facts.contract.clock else "batches.all")
        return self.reader.moment(start)

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

    @property
    def remarkable(self) -> list[dict[str, Any]]:
        """The first batches that did not pass."""
        return self.facts.remarkable.head(BATCHES_SHOWN).to_dicts()

    @property
    def remarkable_total(self) -> int:
        """How many there are."""
        return self.facts.remarkable.height

    # --- breaks

    @property
    def identity(self) -> list[str]:
        """The columns that name an item."""
        return list(self.facts.contract.identity)

    @property
    def identity_named(self) -> str:
        """The same, in one line."""
        return ", ".join(plain(name) for name in self.identity)

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

    @property
    def expectations(self) -> list[dict[str, Any]]:
        """What became of each expectation."""
        made = []
        for each in self.facts.described.get("expectations", ()):
            word = str(getattr(each["verdict"], "value", each["verdict"]))
            number = self.reader.number
            counts = f": {number(each['unexpected'])} / {number(each['looked'])}" if each["unexpected"] else ""
            why = f": {each['why']}" if each["why"] else ""
            said = f"({each['severity']}) {each['name']} ({each['side']}){counts}{why}"
            remarkable = word != "pass" or each["unexpected"] > 0
            made.append({"verdict": word, "said": said, "remarkable": remarkable, "severity": each["severity"]})
        return made

    @property
    def expectations_held(self) -> int:
        """How many of them hold."""
        return sum(each["verdict"] == "pass" for each in self.expectations)

    @property
    def warned(self) -> int:
        """How many that only warn were not met."""
        return sum(each["verdict"] == "fail" and each["severity"] != "critical" for each in self.expectations)

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
    def timeliness(self) -> Any:
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
    def sides(self) -> Iterator[dict[str, Any]]:
        """What is known of each store that was read."""
        told = self.facts.described.get("sides") or {}
        for side in ("source", "destination"):
            each = told.get(side)
            yield {
                "side": side,
                "title": self.reader.say(f"side.{side}"),
                "records": self.facts.totals[f"{side}_records"],
                "digest": self._digest(side),
                "amounts": list(self._amounts(side)),
                **_read(each),
            }
        for name, each in (self.facts.described.get("references") or {}).items():
            title = self.reader.say("b.references", name=plain(name))
            yield {"side": name, "title": title, "records": None, "digest": "", "amounts": [], **_read(each)}

    def _digest(self, side: str) -> str:
        """The hash totals of all batches, added up; of a ledger's, which are keyed, there is no sum."""
        words = [0, 0]
        for text in self.facts.batches[f"{side}_hash"]:
            if not str(text).startswith("sum128:"):
                return ""
            words = [(word + int(text[at : at + 16], 16)) & _MASK for word, at in zip(words, (7, 23), strict=True)]
        return f"sum128:{words[0]:016x}{words[1]:016x}"

    def _amounts(self, side: str) -> Iterator[tuple[str, str]]:
        for name in self.facts.contract.amounts:
            column = f"{side}_{name}"
            if column not in self.facts.batches.columns:
                continue
            total, scale = sum(int(text) for text in self.facts.batches[column]), scale_of(self.facts.contract, name)
            whole, rest = divmod(abs(total), 10**scale)
            digits = f".{rest:0{scale}d}" if scale else ""
            yield name, f"{'−' if total < 0 else ''}{self.reader.number(whole)}{digits}"


def _read(told: Mapping[str, Any] | None) -> dict[str, Any]:
    if told is None:
        return {"withheld": True, "read_at": None}
    kept = {name: told[name] for name in ("location", "read", "timezone", "queries", "read_at")}
    return {"withheld": False, **kept, "columns": list(told["columns"].items())}


def _embedded(svg: str | None) -> str | None:
    """A picture as an address that needs no request."""
    return None if svg is None else f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"
