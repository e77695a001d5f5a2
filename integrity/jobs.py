"""What should run next, and where did it stop? A job file says it once, so that a scheduler needs one word.

A job is the arguments of :func:`integrity.reconcile`, as YAML that is read as strictly as a contract. Relative paths
are relative to the folder in which the command runs, as they are in a shell. A job with a ledger takes up where its
last run stopped: it reads from the watermark on, judges what has closed since, and says what became of earlier breaks.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from json import dumps
from typing import TYPE_CHECKING, Any, Final

from integrity.arguments import bound_of, contract_of, instant_of
from integrity.contracts import Contract, file_of
from integrity.errors import LedgerUnreachableError, UnwrittenError, UsageError, did_you_mean
from integrity.outputs import check_targets, files_of_ledger, writing
from integrity.plan import Plan, planned
from integrity.reconciliation import carried_out, reconcile
from integrity.recording import beginning, on_record
from integrity.result import Result
from integrity.search import Progress
from integrity.strict_yaml import Kind, read_text, read_yaml
from integrity.values import micros, moment
from integrity.windows import parse_duration
from integrity.writing import write_atomically

if TYPE_CHECKING:
    from integrity.ledger import Ledger, Recording

__all__ = ["Job"]

_KIND: Final = Kind("job", "what runs", UsageError)
_REQUIRED = ("contract", "source", "destination")
_STORES = ("source", "destination", "grants", "outcomes", "members", "corrections")
_MAPPINGS = ("skip", "columns", "timezone")
_FLAGS = ("rehash", "values", "approved")
_LISTS = ("separate", "checkpoints")
_DURATIONS = ("every", "lookback", "retry", "follow")
#: What is written from a result, and where.
_OUTPUTS = ("json", "html", "junit", "openlineage", "prometheus")
#: What :func:`integrity.reconcile` is not told of.
_OWN = (
    *_OUTPUTS,
    "lang",
    "zone",
    *_DURATIONS,
    *_LISTS,
    "contract",
    "source",
    "destination",
    "name",
    "ledger",
    "environment",
    "approved",
)


@dataclass(frozen=True)
class Job:
    """One reconciliation, as a file says it.

    Attributes:
        contract: A built-in contract's name or a path.
        source: A URL or path; or a mapping of ``url`` to where a database is, and ``query`` to a SELECT.
        destination: The same.
        grants: The same.
        outcomes: The same.
        members: The same.
        corrections: The same.
        since: ISO 8601 with its offset. With a ledger: from when on the pipeline is judged at all.
        until: ISO 8601 with its offset. With a ledger: such a job is one run, and does not take up earlier ones.
        as_of: ISO 8601 with its offset.
        skip: Promises left out, and why.
        columns: For each side, their column names to ours.
        timezone: For each side, how naive timestamps are read.
        pushdown: Whether databases total their own items: auto, always or never.
        rehash: Whether remembered digests are computed anew.
        values: Whether differing values are shown.
        json: Where the result is written.
        html: Where it is written as a report for people.
        lang: In which language, ``en`` or ``ko``.
        zone: In which time zone the report tells moments.
        junit: Where it is written as JUnit XML.
        openlineage: Where it is written as an OpenLineage event.
        prometheus: Where it is written for Prometheus.
        name: Of the pipeline, as its runs are recorded; the contract's name if left out.
        ledger: The URL of the ledger.
        environment: ``production`` or ``test``.
        every: How often it runs, such as ``10m``: runs that were missed are noticed by it.
        lookback: How far behind the watermark closed batches are totalled again: a day if left out.
        retry: For how long after its end a window that could not be verified is tried again.
        follow: For how long lost items are looked for, wherever they may turn up.
        approved: Whether the contract has to be approved, on record in the ledger.
        separate: Who may not be one person: ``author``, ``approver``, ``runner``.
        checkpoints: Where the ledger's checkpoint is sent after each run: files, folders, URLs.
    """

    contract: str
    source: str | Mapping[str, str]
    destination: str | Mapping[str, str]
    grants: str | Mapping[str, str] | None = None
    outcomes: str | Mapping[str, str] | None = None
    members: str | Mapping[str, str] | None = None
    corrections: str | Mapping[str, str] | None = None
    since: str | None = None
    until: str | None = None
    as_of: str | None = None
    skip: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    timezone: Mapping[str, str] = field(default_factory=dict)
    pushdown: str = "auto"
    rehash: bool = False
    values: bool = False
    json: str | None = None
    html: str | None = None
    lang: str = "en"
    zone: str = "UTC"
    junit: str | None = None
    openlineage: str | None = None
    prometheus: str | None = None
    name: str | None = None
    ledger: str | None = None
    environment: str | None = None
    every: str | None = None
    lookback: str = "1d"
    retry: str = "1d"
    follow: str = "30d"
    approved: bool = False
    separate: Sequence[str] = ()
    checkpoints: Sequence[str] = ()

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> Job:
        """Read a job file.

        Raises:
            UsageError: it cannot be read, or a key is missing, unknown or of the wrong kind.
        """
        where = os.fspath(path)
        said, lines = read_yaml(read_text(path, _KIND), where, _KIND)
        if not isinstance(said, Mapping):
            raise UsageError(f"{where}: a job is a mapping", "start with contract, source and destination")
        known = {f.name for f in fields(cls)}
        for key, value in said.items():
            place = f"{where}, line {lines[key,]}"
            if key not in known:
                raise UsageError(f"{place}: there is no key {key!r} in a job", did_you_mean(key, known))
            _check_kind(place, key, value)
        for key in _REQUIRED:
            if key not in said:
                raise UsageError(f"{where}: {key} is missing", f"add it, as in {key}: …")
        needing = [key for key in ("approved", "separate", "checkpoints") if said.get(key)]
        if needing and "ledger" not in said:
            raise UsageError(f"{where}: {needing[0]} needs a ledger", "add it, as in ledger: sqlite:///ledger.db")
        if "html" in said:
            check_reader(said.get("lang", "en"), said.get("zone", "UTC"))
        elif beside := [key for key in ("lang", "zone") if key in said]:
            raise UsageError(f"{where}: {beside[0]} is of the report, and none is written", "add html: report.html")
        job = cls(**said)
        job.check_outputs({"the job": where})
        return job

    def check_outputs(self, besides: Mapping[str, object] | None = None) -> None:
        """Refuse outputs that would overwrite what is read, or one another.

        Args:
            besides: What else is read.

        Raises:
            UsageError: one would.
        """
        read: dict[str, object] = {"the contract": file_of(self.contract)}
        read |= {f"the {name}": getattr(self, name) for name in _STORES} | files_of_ledger(self.ledger)
        outputs: dict[str, object] = {name: getattr(self, name) for name in _OUTPUTS}
        if self.checkpoints:
            from integrity.ledger.anchors import names_file

            outputs |= {f"the checkpoint {to}": to for to in self.checkpoints if names_file(to)}
        check_targets(outputs, read | dict(besides or {}))

    # --- running

    def run(
        self, progress: Progress | None = None, *, as_of: dt.datetime | None = None, ledger: Ledger | None = None
    ) -> Result:
        """Reconcile, put it on record where the job has a ledger, and write what the job wants written.

        Args:
            progress: Hears what a long run is doing.
            as_of: The moment of the run, in place of the one that the file says, and of now.
            ledger: One that is open already, in place of the one that the file names: with another clock or operator.

        Raises:
            LedgerBusyError: the same pipeline is being run right now.
            LedgerError: it could not be recorded. Where it was carried out nevertheless, the error has its ``result``.
            UnwrittenError: it was carried out, and recorded, but an output could not be written; all others were. The
                error has its ``result``.
            UsageError: an output would overwrite what is read, or another output.
            IntegrityError: as :func:`integrity.reconcile` does.
        """
        self.check_outputs()
        asked = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _OWN}
        asked["as_of"] = as_of or self.as_of
        book: Ledger | None = None
        if ledger is None and self.ledger is None:
            result = reconcile(self.contract, self.source, self.destination, **asked, progress=progress)
        else:
            try:
                result, book = self._recorded(asked, progress, ledger)
            except LedgerUnreachableError as error:
                lacking = None if error.result is None else self._written(error.result)
                if lacking is not None:
                    error.advice = f"{error.advice}; besides, {lacking}"
                raise
        lacking = self._written(result, book)
        if lacking is not None:
            raise lacking
        return result

    def _recorded(
        self, asked: dict[str, Any], progress: Progress | None, open_: Ledger | None
    ) -> tuple[Result, Ledger]:
        """Carry it out, on record."""
        from integrity.following import continuation
        from integrity.ledger import Ledger
        from integrity.ledger.changing import check_duties

        promise = contract_of(self.contract)
        pipeline = self.name or promise.name
        try:
            book = open_ or Ledger.open(str(self.ledger), environment=self.environment)
        except LedgerUnreachableError as unreachable:
            asked["since"] = self._since_without_ledger(promise, asked)
            plan = planned(promise, self.source, self.destination, **asked)
            unreachable.result = carried_out(plan, progress)
            raise
        now = book.clock() if asked["as_of"] is None else moment(instant_of(asked["as_of"], "as_of"))
        if self.approved or self.separate:
            check_duties(book, promise, self.separate, now)
        with book.database.only_run_of(pipeline):
            if self.until is not None:
                intended = beginning(promise, pipeline, asked)
                return on_record(book, intended, lambda: self._work(promise, asked, progress)[0]), book
            where = continuation(
                book,
                pipeline,
                promise,
                begins=bound_of(self.since, "since", promise),
                lookback=parse_duration(self.lookback),
                every=None if self.every is None else parse_duration(self.every),
                now=now,
            )
            for run in where.abandoned:
                book.end(run, "abandoned", {}, {"why": "the next run found that it had not ended"})
            asked["since"] = None if where.since is None else moment(where.since)
            result = self._continued(book, promise, pipeline, asked, where, progress)
        return result, book

    def _continued(
        self,
        book: Ledger,
        promise: Contract,
        pipeline: str,
        asked: dict[str, Any],
        where: Any,
        progress: Progress | None,
    ) -> Result:
        from integrity.following import taken_up

        plans: list[Plan] = []

        def work() -> Result:
            result, plan = self._work(promise, asked, progress)
            plans.append(plan)
            return result

        def finish(recording: Recording, result: Result) -> None:
            retry, follow = parse_duration(self.retry), parse_duration(self.follow)
            recording.finish(result, taken_up(recording, result, plans[0], where, retry=retry, follow=follow))

        intended = beginning(promise, pipeline, asked, every=self.every, remarks=where.remarks)
        return on_record(book, intended, work, finish)

    def _work(self, promise: Contract, asked: Mapping[str, Any], progress: Progress | None) -> tuple[Result, Plan]:
        plan = planned(promise, self.source, self.destination, **asked)
        return carried_out(plan, progress), plan

    def _since_without_ledger(self, promise: Contract, asked: Mapping[str, Any]) -> Any:
        """From when on to read where nobody can say how far was judged: what it looks back, and its last windows."""
        window, as_of = promise.window, asked["as_of"]
        if window is None or self.until is not None:
            return self.since
        now = micros(dt.datetime.now(dt.UTC)) if as_of is None else instant_of(as_of, "as_of")
        every = 0 if self.every is None else parse_duration(self.every)
        first = window.start_of(now - promise.grace - window.every - every - parse_duration(self.lookback))
        begins = bound_of(self.since, "since", promise)
        return moment(first if begins is None else max(first, begins))

    def _written(self, result: Result, book: Ledger | None = None) -> UnwrittenError | None:
        """Write what the job wants written, send the checkpoint of a ledger, and return what could not be."""
        outputs = {name: getattr(self, name) for name in _OUTPUTS}
        pipeline, also = self.name or result.contract.name, []
        if book is not None and self.checkpoints:
            from integrity.ledger.anchors import send

            also = [partial(send, book, target) for target in self.checkpoints]
        return outputs_of(result, pipeline, lang=self.lang, zone=self.zone, also=also, **outputs)


def outputs_of(
    result: Result,
    pipeline: str,
    *,
    json: str | None = None,
    html: str | None = None,
    lang: str = "en",
    zone: str = "UTC",
    junit: str | None = None,
    openlineage: str | None = None,
    prometheus: str | None = None,
    also: Iterable[Callable[[], object]] = (),
) -> UnwrittenError | None:
    """Write a result for people and for other tools, each in its own form, where a file is named; and what else is.

    Returns:
        What could not be written, with the result: all others were.
    """

    def as_junit(path: str) -> None:
        from integrity.report.junit import junit

        write_atomically(path, junit(result))

    def as_openlineage(path: str) -> None:
        from integrity.report.openlineage import openlineage

        event = openlineage(result, job=pipeline, namespace="integrity")
        write_atomically(path, dumps(event, ensure_ascii=False) + "\n")

    def as_prometheus(path: str) -> None:
        from integrity.report.prometheus import prometheus

        write_atomically(path, prometheus(result, pipeline=pipeline))

    wanted: list[tuple[str | None, Callable[[str], object]]] = [
        (json, result.to_json),
        (html, partial(result.to_html, lang=lang, zone=zone)),
        (junit, as_junit),
        (openlineage, as_openlineage),
        (prometheus, as_prometheus),
    ]
    lacking = writing([*(partial(write, path) for path, write in wanted if path is not None), *also])
    if lacking is not None:
        lacking.result = result
    return lacking


def check_reader(lang: str, zone: str) -> None:
    """Refuse a language or a time zone that there is not, before anything is read.

    Raises:
        UsageError: there is none.
    """
    from integrity.report.reader import Reader

    Reader.of(lang, zone)


def _check_kind(place: str, key: str, value: object) -> None:
    """Refuse a value of the wrong kind.

    Raises:
        UsageError: it is one.
    """
    if key in _LISTS:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise UsageError(f"{place}: {key} is {value!r}", "it has to be a list of texts")
        return
    wanted: type = Mapping if key in _MAPPINGS else bool if key in _FLAGS else str
    if not isinstance(value, (str, Mapping) if key in _STORES else wanted):
        kinds = {Mapping: "a mapping", bool: "true or false", str: "text; write it in quotes"}
        raise UsageError(f"{place}: {key} is {value!r}", f"it has to be {kinds[wanted]}")
    if key in _DURATIONS:
        try:
            parse_duration(str(value))
        except ValueError as error:
            raise UsageError(f"{place}: {key}: {error}", "") from None
