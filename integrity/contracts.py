"""What does this pipeline promise?

A contract is data: a YAML file that an auditor can read without us, or the same in Python. This module reads
it, refuses what contradicts itself, and gives it a hash, so that it is always known which promises were in
force. It knows nothing of where the data is.

    >>> from integrity.contracts import Contract
    >>> note = Contract(name="note", version=1, identity=["note_id"], content={"body": "text"})
    >>> tuple(assertion.value for assertion in note.assertions)
    ('completeness', 'accuracy', 'validity')
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, Strict, ValidationError, ValidationInfo, field_validator

from integrity.column_rules import BATCH_COLUMNS, BREAK_COLUMNS, column_contradictions, name_collisions
from integrity.columns import Clock, ClockColumn, Column, Columns, ColumnType
from integrity.errors import ContractError, did_you_mean
from integrity.part import (
    AnyText,
    ColumnName,
    Duration,
    Flag,
    Form,
    Key,
    Listed,
    Part,
    Refusal,
    in_words,
    quoted,
    refusals_of,
    twice,
)
from integrity.promises import (
    GRANTS,
    Assertion,
    Attempts,
    Authorization,
    Corrections,
    Criteria,
    Cut,
    Exclusion,
    Exemption,
    Expected,
    Grants,
    Outcomes,
    Slug,
    Timeliness,
)
from integrity.shown import Card, Shown, Table
from integrity.strict_yaml import Kind, read_text, read_yaml, write_yaml
from integrity.suites import with_suites
from integrity.transit import MEMBERS, Addition, FanOut, Rung
from integrity.windows import DAY, Window

__all__ = [
    "BATCH_COLUMNS",
    "BREAK_COLUMNS",
    "Addition",
    "Assertion",
    "Attempts",
    "Authorization",
    "Clock",
    "ClockColumn",
    "Column",
    "ColumnType",
    "Contract",
    "Corrections",
    "Criteria",
    "Exclusion",
    "Exemption",
    "Expected",
    "FanOut",
    "Grants",
    "Outcomes",
    "Rung",
    "Timeliness",
    "builtin_contracts",
    "contract",
]

_START: Final = "start with name, version and identity, or from a built-in contract"
_KIND: Final = Kind("contract", "what is promised", ContractError)


class Contract(Part, Shown):
    """What a pipeline promises.

    In Python it is built from keywords, with the parts as mappings or as the classes of this module. Whatever
    is wrong with it raises :class:`~integrity.errors.ContractError`. Two contracts are equal when their
    :attr:`sha256` is.

    Attributes:
        name: A short name: lower-case letters, digits, ``-`` and ``_``.
        version: Counts up with every change of a promise.
        about: One sentence for whoever reads the result.
        identity: The columns that name an item, in the order of their names.
        content: The columns that must arrive unchanged, in the order of their names.
        amounts: Integer or decimal columns, summed exactly per batch.
        clock: Which columns tell the time. Without one, two snapshots are compared as one batch.
        changed: Without a clock: the column that tells when an item last changed, on a side that knows. Until then plus
            ``grace``, as of the run, it may be missing or different, and is pending.
        window: How event time is cut into batches; a day where a clock is given and no window.
        grace: Microseconds after a window's end until its batch is closed.
        partition: Identity columns by whose values batches are divided further.
        exclude: What is left out of the population.
        outcomes: What accounts for a missing item.
        unique: Whether an identity may come only once in the source.
        latest_by: Only the newest revision of each identity by this column counts.
        ladder: Ever weaker equalities of a pair: first what is more than the content column that is compared, then that
            column, then what stands in for it where a side lacks it. Which one each pair reached is counted.
        distinct: Whether what is alike in the source, in identity and content, is one item, seen from several places.
        copies: How many copies the destination may keep of each item of the source.
        place: The identity column that says where an item belongs. What is lost at one place and extra at another is
            said to have been misrouted.
        fan_out: The columns of a store of members, by which the source's places are expanded.
        additions: What the way may add to an item.
        due: ``"window"`` if a window without items is not good.
        timeliness: How soon items are processed.
        authorization: Who may act on what.
        corrections: Who may change the destination itself, and when.
        attempts: What the source records of what it turned away.
        validity: Great Expectations, in its own words.
        criteria: Which control criteria the assertions answer to.
        seal: ``"merkle"`` to compare Merkle roots of sorted fingerprints, which bind even someone who can choose
            records. Every fingerprint is pulled then, and none totalled in a database.

    Example:
        >>> promise = Contract(
        ...     name="payment",
        ...     version=1,
        ...     identity=["payment_id"],
        ...     content={"cents": "integer"},
        ...     clock={"event": "paid_at", "processed": "booked_at"},
        ...     timeliness={"within": "30s"},
        ... )
        >>> promise.timeliness.within
        30000000
        >>> Contract.from_text(promise.to_yaml()) == promise
        True
    """

    name: Slug = Field(examples=["message"])
    version: Annotated[int, Strict(), Field(ge=1)] = Field(examples=["1"])
    about: AnyText = ""
    identity: Columns = Field(examples=["[message_id]"])
    content: Columns = Field(default={}, examples=["{body: text}"])
    amounts: Annotated[tuple[ColumnName, ...], Listed] = ()
    clock: Clock | None = Field(default=None, examples=["{event: sent_at, processed: stored_at}"])
    changed: ClockColumn | None = Field(default=None, examples=["modified_at"])
    window: Cut = Field(default=None, validate_default=True)
    grace: Duration = 0
    partition: Annotated[tuple[ColumnName, ...], Listed] = ()
    exclude: Annotated[tuple[Exclusion, ...], Listed] = Field(
        default=(), examples=["[{name: typing indicators, where: {kind: [typing]}, reason: never stored}]"]
    )
    outcomes: Outcomes | None = Field(default=None, examples=["{accept: [recalled, blocked]}"])
    unique: Flag = True
    latest_by: ColumnName | None = None
    ladder: Annotated[tuple[Rung, ...], Listed] = Field(
        default=(), examples=["[{column: raw_sha256, means: identical in bytes}]"]
    )
    distinct: Flag = False
    copies: Annotated[int, Strict(), Field(ge=1)] = 1
    place: ColumnName | None = Field(default=None, examples=["mailbox"])
    fan_out: FanOut | None = Field(default=None, examples=[MEMBERS])
    additions: Annotated[tuple[Addition, ...], Listed] = Field(
        default=(), examples=["[{name: list prefix, to: subject, text: '[staff] ', reason: the list's policy}]"]
    )
    due: Literal["window"] | None = None
    timeliness: Timeliness | None = Field(default=None, examples=["{within: 5s, ratio: 0.999}"])
    authorization: Authorization | None = Field(
        default=None,
        examples=[f"{{actor: sender_id, object: room_id, grants: {GRANTS}}}"],
    )
    corrections: Corrections | None = Field(
        default=None, examples=["{actor: changed_by, object: ticket, at: changed_at, grants: {…}}"]
    )
    attempts: Attempts | None = Field(
        default=None, examples=["{outcome: status, accepted: [accepted], rejected: [rejected]}"]
    )
    validity: Annotated[tuple[Expected, ...], Listed] = ()
    criteria: Criteria | None = Field(default=None, examples=["{set: TSC-2017, completeness: PI1.3}"])
    seal: Literal["merkle"] | None = None

    def __init__(self, /, **promises: Any) -> None:
        name = promises.get("name")
        self._fill(promises, f"contract {name!r}" if isinstance(name, str) else "contract", Form.BUILT)

    def _fill(
        self,
        promises: Mapping[str, Any],
        where: str,
        form: Form,
        lines: Mapping[Key, int] | None = None,
        base: Path = Path(),
    ) -> None:
        promises = with_suites(promises, base, where)
        try:
            self.__pydantic_validator__.validate_python(promises, self_instance=self, context=form)
        except ValidationError as error:
            raise in_words(refusals_of(error, type(self)), where, lines) from None
        except RecursionError:
            raise ContractError(f"{where}: it nests without end", "write it flat") from None

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> Self:
        """Return the contract of a YAML file.

        Raises:
            ContractError: the file cannot be read, or what it says cannot be meant.

        Example:
            >>> Contract.from_yaml(builtin_contracts()["message"]).version
            1
        """
        where = os.fspath(path)
        promises, lines = read_yaml(read_text(path, _KIND), where, _KIND)
        return cls._from_written(promises, where, lines, Path(path).parent)

    @classmethod
    def from_text(cls, text: str, where: str = "<text>") -> Self:
        """Return the contract that a YAML text holds.

        Args:
            text: YAML 1.2.
            where: What errors call it.

        Raises:
            ContractError: it cannot be read, or what it says cannot be meant.

        Example:
            >>> Contract.from_text("{name: note, version: 1, identity: [note_id], due: day}")
            Traceback (most recent call last):
            integrity.errors.ContractError: <text>, line 1: due: cannot be 'day'; write 'window'
        """
        promises, lines = read_yaml(text, where, _KIND)
        return cls._from_written(promises, where, lines)

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any], where: str = "<mapping>") -> Self:
        """Return the contract that a mapping holds, as YAML or JSON would give it.

        Raises:
            ContractError: what it says cannot be meant.

        Example:
            >>> Contract.from_dict({"name": "note", "version": 1, "identity": ["note_id"]}).identity
            {'note_id': Column(type='text')}
        """
        return cls._from_written(mapping, where, {})

    @classmethod
    def _from_written(cls, promises: object, where: str, lines: Mapping[Key, int], base: Path = Path()) -> Self:
        if promises is None or promises == {}:
            raise ContractError(f"{where}: an empty contract promises nothing", _START)
        if not isinstance(promises, Mapping):
            raise ContractError(f"{where}: a contract is a mapping, not {quoted(promises)}", _START)
        for key in promises:
            if not isinstance(key, str):
                raise ContractError(f"{where}: the key {quoted(key)} is not text", "write it in quotes")
        made = cls.__new__(cls)
        made._fill(dict(promises), where, Form.WRITTEN, lines, base)
        return made

    def to_yaml(self) -> str:
        """Return the contract as YAML that reads as an equal one: without comments, defaults left out."""
        return write_yaml(self._form())

    @property
    def sha256(self) -> str:
        """The SHA-256, in hex, of the promises as JSON: sorted keys, no blanks, no defaults, UTF-8.

        Comments, the order of keys and short ways of writing do not change it. Every promise does. A default
        is not part of it, so that a promise which a later version learns to make leaves old hashes alone.
        """
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    @property
    def canonical(self) -> str:
        """The text of which :attr:`sha256` is the digest. :meth:`from_text` reads it, for JSON is YAML."""
        return json.dumps(self._form(), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    def card(self) -> Card:
        """Return what it shows of itself: whom it promises what."""
        promised = ", ".join(assertion.value for assertion in self.assertions)
        facts = [("about", self.about)] if self.about else []
        facts += [("promises", promised), ("sha256", self.sha256)]
        said = [
            (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
            for name, value in self._form().items()
        ]
        return Card(f"contract {self.name} version {self.version}", facts, [Table("all that it says", ("", ""), said)])

    @property
    def assertions(self) -> tuple[Assertion, ...]:
        """What is asserted. Completeness and validity always are."""
        asserted = {
            Assertion.COMPLETENESS: True,
            Assertion.ACCURACY: bool(self.content),
            Assertion.VALIDITY: True,
            Assertion.TIMELINESS: self.timeliness is not None,
            Assertion.AUTHORIZATION: self.authorization is not None,
        }
        return tuple(assertion for assertion in Assertion if asserted[assertion])

    @property
    def carried(self) -> bool:
        """Whether both sides tell the event time, so that it is in the text of every item."""
        return self.clock is None or self.clock.carried

    @property
    def untotalled(self) -> str:
        """Why equal items need not have equal totals, in words; empty where totals of two sides can be compared."""
        reasons = {
            "its clock is not carried": not self.carried,
            "of each item several copies may be kept": self.copies > 1,
            "its source may see an item several times": self.distinct,
            "one item of its source goes to several places": self.fan_out is not None,
            "a side may leave some of its columns untold": any(column.optional for column in self.content.values()),
            "one digest may stand in for another": bool(self.stand_ins),
        }
        return ", and ".join(why for why, holds in reasons.items() if holds)

    @property
    def joined(self) -> bool:
        """Whether every item has to be brought together with its other half, and totals alone could not tell."""
        return bool(self.untotalled or self.ladder or self.place is not None)

    @property
    def rung(self) -> str | None:
        """The content column of the ladder; ``None`` without one."""
        return next((rung.column for rung in self.ladder if rung.column in self.content), None)

    @property
    def stand_ins(self) -> tuple[str, ...]:
        """The columns that are compared, like with like, where a side does not tell the ladder's content column."""
        names = [rung.column for rung in self.ladder]
        return tuple(names[names.index(self.rung) + 1 :]) if self.rung is not None else ()

    @property
    def changes(self) -> ClockColumn | None:
        """The column that tells when an item last changed."""
        return self.changed if self.clock is None else self.clock.changed

    @property
    def columns(self) -> dict[str, Column]:
        """The identity columns, then the content columns."""
        return {**self.identity, **self.content}

    @property
    def besides(self) -> frozenset[str]:
        """What may be the name of a column, besides those that are compared: some promise is about it."""
        names: set[str] = set()
        if self.authorization is not None:
            names.update(self.authorization.columns)
        if self.corrections is not None:
            names.update({self.corrections.actor, self.corrections.object, self.corrections.at or ""})
        if self.attempts is not None:
            names.update({self.attempts.outcome, self.attempts.reason or ""})
        return frozenset(names.union(*(expected.words for expected in self.validity)) - {""})

    def __eq__(self, other: object) -> bool:
        return self.sha256 == other.sha256 if isinstance(other, Contract) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.sha256)

    def _form(self) -> dict[str, Any]:
        """Return the promises as they are written: the one form behind both the YAML and the hash."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    # Filled in here rather than where it is used, so that it is hashed: how batches were cut is in force.
    @field_validator("window")
    @classmethod
    def _a_day(cls, window: Window | None, info: ValidationInfo) -> Window | None:
        return Window(DAY) if window is None and info.data.get("clock") else window

    def contradictions(self) -> Iterator[Refusal]:
        """Yield which promises cannot be meant together."""
        yield from column_contradictions(self.identity, self.content, self.amounts, self.partition)
        yield from self._clock_contradictions()
        yield from self._changed_contradictions()
        yield from name_collisions(self.identity, self.amounts, self.partition)
        names = [exclusion.name for exclusion in self.exclude]
        yield from twice(names, "exclude")
        yield from self._transit_contradictions()
        if self.seal is not None and self.joined:
            problem = "compares batches, and here every item has to be brought together with its other half"
            yield Refusal(
                problem,
                "leave it out, or what makes the contract so: a clock that is not carried, a ladder, "
                "a place, fan_out, distinct, copies, optional columns",
                ("seal",),
            )

    def _transit_contradictions(self) -> Iterator[Refusal]:
        rungs = [rung.column for rung in self.ladder]
        yield from twice(rungs, "ladder")
        for place, name in enumerate(rungs):
            last = place == len(rungs) - 1
            if last and self.rung is None:
                problem = f"{quoted(name)} is the last rung, and not what is compared"
                yield Refusal(
                    problem, f"declare {name} under content, or end the ladder with a content column", ("ladder", place)
                )
            elif name in self.columns and name != self.rung:
                problem = f"{quoted(name)} is compared anyway, so it is no rung beside {quoted(self.rung)}"
                yield Refusal(problem, "leave it out of the ladder, or out of the columns", ("ladder", place))
            elif name == self.rung and not last and not self.content[name].evidence:
                problem = f"{quoted(name)} is compared, so no pair could reach a weaker rung"
                yield Refusal(problem, f"mark {name} as evidence: true, or end the ladder with it", ("ladder", place))
        if self.place is not None and self.place not in self.identity:
            problem = f"{quoted(self.place)} is not an identity column"
            yield Refusal(problem, did_you_mean(self.place, self.identity), ("place",))
        if self.place is not None and len(self.identity) < 2 and self.rung is None:
            yield Refusal("leaves nothing to tell items by", "add to identity what is the same everywhere", ("place",))
        if self.fan_out is not None and self.place is None:
            yield Refusal("needs to know what it expands", "write place: and the identity column", ("fan_out",))
        if self.fan_out is not None and self.clock is None and (self.fan_out.from_ or self.fan_out.until):
            advice = "add for example clock: {event: accepted_at}, or leave from and until out"
            yield Refusal("needs a clock, because members come and go", advice, ("fan_out",))
        yield from twice([addition.name for addition in self.additions], "additions")

    def _clock_contradictions(self) -> Iterator[Refusal]:
        clock = self.clock
        if clock is None:
            needs = {
                "window": self.window is not None,
                "grace": self.grace > 0 and self.changed is None,
                "due": self.due is not None,
                "timeliness": self.timeliness is not None,
                "authorization": self.authorization is not None,  # a grant holds at a moment
                "corrections": self.corrections is not None and self.corrections.at is None,
            }
            for key in (key for key, needed in needs.items() if needed):
                yield Refusal("needs a clock", "add for example clock: {event: sent_at}, or leave it out", (key,))
        elif self.corrections is not None and self.corrections.at is None and clock.processed is None:
            yield Refusal("has to know when a row was changed", "name that column", ("corrections", "at"))
        elif self.timeliness is not None and clock.processed is None:
            yield Refusal(
                "needs to know when the destination had an item",
                "name that column, for example clock: {event: sent_at, processed: stored_at}",
                ("timeliness",),
            )
        if self.latest_by not in (None, *self.content, self.changes and self.changes.name):
            yield Refusal(
                f"{quoted(self.latest_by)} is neither a content column nor the clock's changed column",
                f"declare {self.latest_by} under content or as clock.changed",
                ("latest_by",),
            )
        if clock is None:
            return
        # The event time is in the text of every item already, and what the destination stamps is never in the
        # source. The time of the last change may be content: whether it arrived unchanged is a fair question.
        elsewhere = {"event": "is compared as the event time", "processed": "is the destination's own time"}
        for role in ("event", "processed", "changed"):
            column: ClockColumn | None = getattr(clock, role)
            declared = self.columns.get(column.name) if column else None
            if column is None or declared is None:
                continue
            group = "identity" if column.name in self.identity else "content"
            if group == "content" and role in elsewhere:
                problem = f"{elsewhere[role]} already, by clock.{role}"
                yield Refusal(problem, "take it out of content", ("content", column.name))
            elif declared.type is not ColumnType.TIMESTAMP or declared.unit != column.unit:
                # One column has one reading.
                yield Refusal(
                    f"{quoted(column.name)} is a time in {column.unit} here, and not so under {group}",
                    f"declare it there as {{type: timestamp, unit: {column.unit}}}",
                    ("clock", role),
                )
        if clock.event.name in self.identity and not clock.carried:
            yield Refusal(
                f"the destination does not carry {quoted(clock.event.name)}, which is in the identity",
                "take it out of identity, or write carried: true",
                ("clock", "carried"),
            )

    def _changed_contradictions(self) -> Iterator[Refusal]:
        if self.changed is None:
            return
        if self.clock is not None:
            yield Refusal("is said by the clock, where there is one", "write it as clock.changed", ("changed",))
        declared = self.columns.get(self.changed.name)
        if declared and (declared.type is not ColumnType.TIMESTAMP or declared.unit != self.changed.unit):
            yield Refusal(
                f"{quoted(self.changed.name)} is a time in {self.changed.unit} here, and not so among the columns",
                f"declare it there as {{type: timestamp, unit: {self.changed.unit}}}",
                ("changed",),
            )


# ---- finding contracts -------------------------------------------------------------------------------------


def builtin_contracts() -> dict[str, Path]:
    """Return the files of the contracts that come with this package, by name.

    Example:
        >>> "message" in builtin_contracts()
        True
    """
    package = Path(__file__).parent
    # Inside the package in a wheel; beside it in a checkout, where people look for them.
    for folder in (package / "expectations", package.parent / "expectations"):
        found = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
        if found:
            return found
    return {}


def contract(name_or_path: str | os.PathLike[str] | Contract) -> Contract:
    """Return a contract: a built-in one by its name, another by the path of its YAML file.

    Args:
        name_or_path: A name such as ``"message"``; a path, which ends in .yaml or .yml or holds a slash; or a
            :class:`Contract`, which is returned as it is.

    Raises:
        ContractError: there is none, or it cannot be meant.

    Example:
        >>> contract("message").window
        Window(every=600000000, timezone=None)
        >>> contract("mesage")
        Traceback (most recent call last):
        integrity.errors.ContractError: there is no built-in contract 'mesage'; did you mean 'message'?
    """
    if isinstance(name_or_path, Contract):
        return name_or_path
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise ContractError(f"a contract is a name, a path or a Contract, not {quoted(name_or_path)}", _START)
    file = file_of(name_or_path)
    if file is not None:
        return Contract.from_yaml(file)
    raise ContractError(
        f"there is no built-in contract {name_or_path!r}", did_you_mean(str(name_or_path), builtin_contracts())
    )


def file_of(name_or_path: object) -> str | os.PathLike[str] | None:
    """Return the file in which :func:`contract` finds a contract; ``None`` where that is none, or nothing is there."""
    if isinstance(name_or_path, os.PathLike):
        return name_or_path
    if not isinstance(name_or_path, str):
        return None
    separators = {"/", os.sep, os.altsep or "/"}
    if name_or_path.endswith((".yaml", ".yml")) or any(separator in name_or_path for separator in separators):
        return name_or_path
    return builtin_contracts().get(name_or_path)
