"""What does a pack say to a person who opens it in a browser?

The same report as a run's, over all runs of the pack, with what changed between them, what was decided about their
breaks and which samples were drawn. It is made from the files of the pack alone, so that it can say nothing that is not
in them, and names nobody where they do not.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from integrity.contracts import Contract
from integrity.ledger.cases import UNDECIDED
from integrity.ledger.changing import Change, changes_told
from integrity.ledger.keys import PublicKey
from integrity.ledger.recorded import facts_on_record
from integrity.packs.cases import cases_of
from integrity.packs.opening import Pack
from integrity.packs.statements import STATEMENT, opened
from integrity.packs.told import Run, runs_of
from integrity.packs.verifying import sound_pack
from integrity.report.facts import Facts
from integrity.report.html import NOT_CLAIMED, environment
from integrity.report.reader import Reader
from integrity.report.view import View
from integrity.summary import KINDS

__all__ = ["REPORTS", "page_of", "report"]

#: Under which name the report of a pack lies in it, in each language.
REPORTS: Final[Mapping[str, str]] = {"en": "report.html", "ko": "report.ko.html"}
#: So many runs are told in full, so many are listed, and so many breaks are shown with what was decided about them.
_IN_FULL, _LISTED, _CASES = 6, 400, 400
#: The verdicts of runs that are told first.
_ORDER: Final = ("fail", "unverified", "failed", "never.ended", "pending", "pass")


def report(
    pack: str | os.PathLike[str], *, lang: str = "en", zone: str = "UTC", made: dt.datetime | None = None
) -> str:
    """Return the report of a pack as one page of HTML, made anew from its files.

    Args:
        pack: The folder or zip. It has to fit together; by whom it is signed is for :func:`verify_pack` to tell.
        lang: ``en`` or ``ko``.
        zone: The time zone in which moments are told.
        made: When the page was made; now if left out.

    Raises:
        UsageError: there is no such language or zone.
        PackError: it is no pack, or does not fit together.
    """
    reader = Reader.of(lang, zone)
    found = sound_pack(pack)
    told = opened(found.files[STATEMENT], PublicKey.from_text(found.text("log/key")))["predicate"]
    return page_of(found, told, reader, made)


def page_of(pack: Pack, told: Mapping[str, Any], reader: Reader, made: dt.datetime | None = None) -> str:
    """Return the report of a pack whose leaves are known.

    Args:
        pack: Its files and its leaves.
        told: What its statement says.
        reader: For whom.
        made: When the page was made; now if left out.
    """
    made = made or dt.datetime.now(dt.UTC)
    page = environment(reader).get_template("pack.html.j2")
    return page.render(k=_Told(pack, told, reader), not_claimed=NOT_CLAIMED, made=made)


@dataclass(frozen=True)
class _Told:
    """What the page shows of a pack; the template only puts it in its place."""

    pack: Pack
    told: Mapping[str, Any]
    reader: Reader

    # --- all of it

    @property
    def ledger(self) -> str:
        return str(self.told["ledger"])

    @property
    def claim(self) -> str:
        return str(self.told["claim"])

    @property
    def key(self) -> str:
        return self.pack.text("log/key").strip()

    @functools.cached_property
    def _runs(self) -> list[Run]:
        """Those that did not pass first, else in their order."""
        return sorted(runs_of(self.pack.leaves), key=lambda run: _ORDER.index(_word(run)))

    @property
    def hidden(self) -> bool:
        return bool(self.told["pseudonymised"])

    @property
    def runs(self) -> int:
        return len(self._runs)

    @property
    def finished(self) -> int:
        return sum(run.finished is not None for run in self._runs)

    @property
    def headline(self) -> str:
        counted = [run for run in self._runs if run.is_production]
        words, number = Counter(map(_word, counted)), self.reader.number
        known = ("pass", "fail", "unverified", "pending")
        return self.reader.say(
            "pack.headline",
            runs=number(len(counted)),
            pipelines=number(len({run.started["pipeline"] for run in counted})),
            passed=number(words["pass"]),
            failed=number(words["fail"]),
            unverified=number(words["unverified"]),
            pending=number(words["pending"]),
            others=number(sum(count for word, count in words.items() if word not in known)),
        )

    @property
    def began(self) -> str:
        moments = sorted(run.started["at"] for run in self._runs)
        since, until = self.reader.iso(moments[0]), self.reader.iso(moments[-1])
        return self.reader.say("period.span", since=since, until=until)

    @property
    def sections(self) -> list[str]:
        return ["runs", "changes", "cases", *(["samples"] if self.samples else [])]

    @property
    def deviations(self) -> Sequence[str]:
        return list(self.told["deviations"])

    @property
    def listed(self) -> list[dict[str, Any]]:
        rows = []
        for run in self._runs[:_LISTED]:
            totals = (run.finished or {}).get("totals")
            number = self.reader.number
            contract = run.started["contract"]
            rows.append(
                {
                    "run": run.name,
                    "pipeline": run.started["pipeline"],
                    "contract": contract["name"],
                    "version": contract["version"],
                    "environment": run.started["environment"],
                    "word": _word(run),
                    "source": "" if totals is None else number(totals["source_records"]),
                    "breaks": "" if totals is None else number(sum(totals[kind] for kind in KINDS)),
                }
            )
        return rows

    # --- what changed, and what was decided

    @property
    def changes(self) -> list[Change]:
        return changes_told(sorted(self.pack.leaves.items()))

    @functools.cached_property
    def _cases(self) -> pl.DataFrame:
        return cases_of(self.pack)

    @property
    def cases(self) -> list[dict[str, Any]]:
        return self._cases.head(_CASES).to_dicts()

    @property
    def cases_total(self) -> int:
        return self._cases.height

    @property
    def undecided(self) -> int:
        return self._cases.filter(pl.col("case").is_in(UNDECIDED)).height

    @property
    def samples(self) -> list[str]:
        leaves = (body for _, body in sorted(self.pack.leaves.items()))
        return [str(body["said"]) for body in leaves if body["kind"] in ("sampled", "tested")]

    # --- runs in full

    @functools.cached_property
    def views(self) -> list[View]:
        ended = [run for run in self._runs if run.finished is not None][:_IN_FULL]
        return [View(_facts(self.pack, run), self.reader, pack=True, pseudonyms=self.hidden) for run in ended]


def _word(run: Run) -> str:
    """How a run ended, in one word that there is a phrase for."""
    if run.finished is not None:
        return str(run.finished["verdict"])
    return "failed" if run.ended is not None and run.ended["kind"] == "failed" else "never.ended"


def _facts(pack: Pack, run: Run) -> Facts:
    """What is known of a run by the files of its pack."""
    assert run.finished is not None, "only runs that finished have facts"
    contract = Contract.from_text(pack.text(f"contracts/{run.started['contract']['sha256']}.json"))
    hidden = json.loads(pack.text(f"runs/{run.name}/run.json"))["found"]
    described = {} if hidden is None else json.loads(hidden["body"])
    frames = {name: pack.frame(run.name, name) for name in ("batches", "breaks")}
    return facts_on_record(contract, run.name, run.started, run.finished, described, **frames)
