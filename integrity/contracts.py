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
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, Strict, ValidationError, ValidationInfo, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.representer import SafeRepresenter

from integrity.columns import (
    AnyText,
    Clock,
    ClockColumn,
    Column,
    ColumnName,
    Columns,
    ColumnType,
    Cut,
    Duration,
    Expectation,
    Flag,
    Form,
    Key,
    Listed,
    Part,
    Ratio,
    Refusal,
    Slug,
    Text,
    Where,
    in_words,
    quoted,
    refusals_of,
)
from integrity.errors import ContractError, did_you_mean
from integrity.windows import DAY, Window, format_duration

__all__ = [
    "BATCH_COLUMNS",
    "BREAK_COLUMNS",
    "Assertion",
    "Authorization",
    "Clock",
    "ClockColumn",
    "Column",
    "ColumnType",
    "Contract",
    "Criteria",
    "Exclusion",
    "Exemption",
    "Grants",
    "Outcomes",
    "Timeliness",
    "builtin_contracts",
    "contract",
]

#: The columns of ``result.breaks`` that every contract has. The identity columns follow ``kind``.
BREAK_COLUMNS: Final = (
    "break_id", "batch_start", "kind", "differing", "source_values", "destination_values", "event_time",
    "processed_time", "latency", "reason",
)  # fmt: skip

#: The columns of ``result.batches`` that every contract has, between the partition columns and the amounts.
BATCH_COLUMNS: Final = (
    "batch_start", "batch_end", "source_records", "destination_records", "matched", "corrupt", "unverified",
    "lost", "accounted", "pending", "duplicate", "extra", "moved_in", "moved_out", "late", "skewed",
    "unauthorized", "invalid", "excluded", "superseded", "source_hash", "destination_hash", "latency_p50",
    "latency_p95", "latency_max", "completeness_ratio", "timeliness_ratio", "completeness", "accuracy",
    "validity", "timeliness", "authorization", "verdict",
)  # fmt: skip


_GRANTS: Final = "{actor: member_id, object: room_id, from: joined_at, until: left_at}"
_START: Final = "start with name, version and identity, or from a built-in contract"


class Assertion(StrEnum):
    """What can be asserted of a batch, in the order in which it is shown."""

    COMPLETENESS = "completeness"
    ACCURACY = "accuracy"
    VALIDITY = "validity"
    TIMELINESS = "timeliness"
    AUTHORIZATION = "authorization"


# ---- the promises ------------------------------------------------------------------------------------------


def _twice(names: Sequence[str], *key: str) -> Iterator[Refusal]:
    for place, name in enumerate(names):
        if name in names[:place]:
            yield Refusal(
                f"{quoted(name)} is there twice", "rename one of the two, or remove it", (*key, place)
            )


class Exclusion(Part):
    """What is left out of the population, by name and for a reason, and counted.

    Attributes:
        name: What it is called in the result.
        side: Where it applies.
        where: All of these columns must have one of their values. Undeclared columns are text.
        reason: Why. An auditor reads it.
    """

    name: Text = Field(examples=["typing indicators"])
    side: Literal["source", "destination", "both"] = "both"
    where: Where = Field(examples=["{kind: [typing]}"])
    reason: Text = Field(examples=["never stored, by design"])


class Outcomes(Part):
    """Which outcomes, of a store that lists what ended elsewhere, account for a missing item."""

    accept: Annotated[tuple[Text, ...], Listed] = Field(examples=["[recalled, blocked]"])

    def contradictions(self) -> Iterator[Refusal]:
        """Yield that there is no outcome, and which is listed twice."""
        if not self.accept:
            yield Refusal(
                "lists no outcome", "write for example [recalled, blocked], or leave it out", ("accept",)
            )
        yield from _twice(self.accept, "accept")


class Timeliness(Part):
    """How soon items are processed.

    Attributes:
        within: The limit in microseconds.
        ratio: The share of the items that must keep to it, over the run's closed batches.
        never_over: The limit in microseconds that none may pass.
        basis: Where it is promised.
    """

    within: Duration = Field(examples=["5s"])
    ratio: Ratio = Decimal(1)
    never_over: Duration | None = Field(default=None, examples=["60s"])
    basis: Text | None = None

    def contradictions(self) -> Iterator[Refusal]:
        """Yield that the limit which none may pass is passed by items that are on time."""
        if self.never_over is not None and self.never_over < self.within:
            limits = (
                f"{format_duration(self.never_over)} is shorter than within: {format_duration(self.within)}"
            )
            yield Refusal(limits, "give it the longer of the two limits", ("never_over",))


class Grants(Part):
    """The columns of the store of grants: who may act on what, from when until when.

    Attributes:
        actor: Who.
        object: On what.
        from_: Since when; written ``from``.
        until: Until when.
        recorded_at: When the grant was entered, if the store tells.
    """

    actor: ColumnName = Field(examples=["member_id"])
    object: ColumnName = Field(examples=["room_id"])
    from_: ColumnName = Field(alias="from", examples=["joined_at"])
    until: ColumnName = Field(examples=["left_at"])
    recorded_at: ColumnName | None = None


class Exemption(Part):
    """Items that need no grant, and why."""

    where: Where = Field(examples=["{kind: [system]}"])
    reason: Text = Field(examples=["written by the service itself"])


class Authorization(Part):
    """Every item's actor held a grant for its object, at its event time.

    Attributes:
        actor: The item's column that says who.
        object: The item's column that says on what.
        grants: The columns of the store of grants.
        exempt: Items that need no grant.
    """

    actor: ColumnName = Field(examples=["sender_id"])
    object: ColumnName = Field(examples=["room_id"])
    grants: Grants = Field(examples=[_GRANTS])
    exempt: Annotated[tuple[Exemption, ...], Listed] = ()


class Criteria(Part):
    """Which control criterion each assertion answers to, such as PI1.3 of the trust services criteria.

    Attributes:
        set: The set of criteria and its edition.
    """

    set: Text = Field(examples=["TSC-2017"])
    completeness: Text | None = None
    accuracy: Text | None = None
    validity: Text | None = None
    timeliness: Text | None = None
    authorization: Text | None = None


class Contract(Part):
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
        window: How event time is cut into batches; a day where a clock is given and no window.
        grace: Microseconds after a window's end until its batch is closed.
        partition: Identity columns by whose values batches are divided further.
        exclude: What is left out of the population.
        outcomes: What accounts for a missing item.
        unique: Whether an identity may come only once in the source.
        latest_by: Only the newest revision of each identity by this column counts.
        due: ``"window"`` if a window without items is not good.
        timeliness: How soon items are processed.
        authorization: Who may act on what.
        validity: Great Expectations, in its own words.
        criteria: Which control criteria the assertions answer to.
        seal: ``"merkle"`` to compare Merkle roots, which bind even someone who can choose records.

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
    window: Cut = Field(default=None, validate_default=True)
    grace: Duration = 0
    partition: Annotated[tuple[ColumnName, ...], Listed] = ()
    exclude: Annotated[tuple[Exclusion, ...], Listed] = Field(
        default=(), examples=["[{name: typing indicators, where: {kind: [typing]}, reason: never stored}]"]
    )
    outcomes: Outcomes | None = Field(default=None, examples=["{accept: [recalled, blocked]}"])
    unique: Flag = True
    latest_by: ColumnName | None = None
    due: Literal["window"] | None = None
    timeliness: Timeliness | None = Field(default=None, examples=["{within: 5s, ratio: 0.999}"])
    authorization: Authorization | None = Field(
        default=None,
        examples=[f"{{actor: sender_id, object: room_id, grants: {_GRANTS}}}"],
    )
    validity: Annotated[tuple[Expectation, ...], Listed] = ()
    criteria: Criteria | None = Field(default=None, examples=["{set: TSC-2017, completeness: PI1.3}"])
    seal: Literal["merkle"] | None = None

    def __init__(self, /, **promises: Any) -> None:
        name = promises.get("name")
        self._fill(promises, f"contract {name!r}" if isinstance(name, str) else "contract", Form.BUILT)

    def _fill(
        self, promises: Mapping[str, Any], where: str, form: Form, lines: Mapping[Key, int] | None = None
    ) -> None:
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
        try:
            text = Path(where).read_bytes().decode()
        except FileNotFoundError:
            beside = [file.name for file in Path(where).parent.glob("*.y*ml")]
            advice = did_you_mean(Path(where).name, beside) if beside else "check the path"
            raise ContractError(f"there is no contract file {where}", advice) from None
        except UnicodeDecodeError:
            raise ContractError(f"{where} is not UTF-8 text", "save it as UTF-8, or check the path") from None
        except (OSError, ValueError) as error:
            reason = (getattr(error, "strerror", None) or str(error)).lower()
            raise ContractError(f"{where!r} cannot be read: {reason}", "name a readable YAML file") from None
        return cls.from_text(text, where)

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
        promises, lines = _read_yaml(text, where)
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
    def _from_written(cls, promises: object, where: str, lines: Mapping[Key, int]) -> Self:
        if promises is None or promises == {}:
            raise ContractError(f"{where}: an empty contract promises nothing", _START)
        if not isinstance(promises, Mapping):
            raise ContractError(f"{where}: a contract is a mapping, not {quoted(promises)}", _START)
        for key in promises:
            if not isinstance(key, str):
                raise ContractError(f"{where}: the key {quoted(key)} is not text", "write it in quotes")
        made = cls.__new__(cls)
        made._fill(dict(promises), where, Form.WRITTEN, lines)
        return made

    def to_yaml(self) -> str:
        """Return the contract as YAML that reads as an equal one: without comments, defaults left out."""
        yaml = YAML(typ="safe", pure=True)
        yaml.Representer = _Representer
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        yaml.allow_unicode = True
        yaml.width = 120
        out = StringIO()
        yaml.dump(self._form(), out)
        return out.getvalue()

    @property
    def sha256(self) -> str:
        """The SHA-256, in hex, of the promises as JSON: sorted keys, no blanks, no defaults, UTF-8.

        Comments, the order of keys and short ways of writing do not change it. Every promise does. A default
        is not part of it, so that a promise which a later version learns to make leaves old hashes alone.
        """
        text = json.dumps(
            self._form(), sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
        )
        return hashlib.sha256(text.encode()).hexdigest()

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
    def columns(self) -> dict[str, Column]:
        """The identity columns, then the content columns."""
        return {**self.identity, **self.content}

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
        yield from self._column_contradictions()
        yield from self._clock_contradictions()
        yield from self._name_collisions()
        names = [exclusion.name for exclusion in self.exclude]
        yield from _twice(names, "exclude")

    def _column_contradictions(self) -> Iterator[Refusal]:
        if not self.identity:
            problem = "names no column, so no item could be told from another"
            yield Refusal(problem, "write for example [message_id]", ("identity",))
        for name, column in self.identity.items():
            for option in ("evidence", "carried"):
                if getattr(column, option):
                    yield Refusal(
                        "is said of content columns only", "leave it out", ("identity", name, option)
                    )
        for name in self.content:
            if name in self.identity:
                advice = "leave it out of content: identity is compared as well"
                yield Refusal("is an identity column too", advice, ("content", name))
        yield from _twice(self.amounts, "amounts")
        yield from _twice(self.partition, "partition")
        for place, name in enumerate(self.amounts):
            if name not in self.columns:
                yield Refusal(
                    f"there is no column {quoted(name)}", did_you_mean(name, self.columns), ("amounts", place)
                )
            elif self.columns[name].type not in (ColumnType.INTEGER, ColumnType.DECIMAL):
                yield Refusal(
                    f"{quoted(name)} is {self.columns[name].type}; only integers and decimals sum exactly",
                    f"declare {name} as integer or decimal, or leave it out of amounts",
                    ("amounts", place),
                )
        for place, name in enumerate(self.partition):
            if name not in self.identity:
                advice = did_you_mean(name, self.identity)
                yield Refusal(f"{quoted(name)} is not an identity column", advice, ("partition", place))

    def _clock_contradictions(self) -> Iterator[Refusal]:
        clock = self.clock
        changed = clock.changed if clock else None
        if clock is None:
            needs = {
                "window": self.window is not None,
                "grace": self.grace > 0,
                "due": self.due is not None,
                "timeliness": self.timeliness is not None,
                "authorization": self.authorization is not None,  # a grant holds at a moment
            }
            for key in (key for key, needed in needs.items() if needed):
                yield Refusal(
                    "needs a clock", "add for example clock: {event: sent_at}, or leave it out", (key,)
                )
        elif self.timeliness is not None and clock.processed is None:
            yield Refusal(
                "needs to know when the destination had an item",
                "name that column, for example clock: {event: sent_at, processed: stored_at}",
                ("timeliness",),
            )
        if self.latest_by not in (None, *self.content, changed and changed.name):
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

    def _name_collisions(self) -> Iterator[Refusal]:
        def collision(key: Key, what: str, name: str, result: str) -> Refusal:
            ours = f"item_{name}"
            return Refusal(
                f"{what} is also a column of {result}",
                f"call it {ours!r} in the contract and map it: columns={{'source': {{{name!r}: {ours!r}}}}}",
                key,
            )

        amounts = {f"{side}_{name}" for name in self.amounts for side in ("source", "destination")}
        for name in self.identity:
            if name in BREAK_COLUMNS:
                yield collision(("identity", name), f"identity column {name!r}", name, "result.breaks")
        for place, name in enumerate(self.partition):
            if name in BATCH_COLUMNS or name in amounts:
                yield collision(("partition", place), f"partition column {name!r}", name, "result.batches")
        for place, name in enumerate(self.amounts):
            if f"source_{name}" in BATCH_COLUMNS or f"destination_{name}" in BATCH_COLUMNS:
                what = f"amount {name!r} would be summed as 'source_{name}', which"
                yield collision(("amounts", place), what, name, "result.batches")


# ---- YAML --------------------------------------------------------------------------------------------------


class _Representer(SafeRepresenter):
    """Writes text so that it reads as itself. By ruamel alone, a U+0085 or a bare ``:0`` would not."""

    def represent_str(self, text: str) -> ScalarNode:
        """Return text as YAML: bare where it is plain prose, else in double quotes with escapes."""
        prose = re.fullmatch(r"\w[\w §.,;()/-]*", text)
        node: ScalarNode = self.represent_scalar("tag:yaml.org,2002:str", text, style=None if prose else '"')
        return node


_Representer.add_representer(str, _Representer.represent_str)


def _read_yaml(text: str, where: str) -> tuple[object, dict[Key, int]]:
    """Return what a YAML text says, and the line of every key and list entry."""
    # A %YAML 1.1 directive would bring back the `on` that means true.
    text = text.removeprefix("\ufeff")
    if re.search(r"(?:^|[\r\n])%(?!YAML 1\.2\s)", text):
        raise ContractError(
            f"{where}: a contract is YAML 1.2, without directives", "take out the line that begins with %"
        )
    yaml = YAML(typ="safe", pure=True)
    lines: dict[Key, int] = {}
    try:
        node = yaml.compose(StringIO(text))
        return node and _value(node, yaml, where, (), lines, set()), lines
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{where}, line {mark.line + 1}" if mark else where
        problem = " ".join(part for part in (error.context, error.problem) if part)
        raise ContractError(f"{place}: this is not YAML: {problem}", "correct it there") from None
    except YAMLError:
        # What is left is a character that YAML cannot hold at all.
        raise ContractError(
            f"{where}: this is not YAML but holds control characters", "check the file"
        ) from None
    except RecursionError:
        raise ContractError(f"{where}: it nests too deep for a contract", "write it flat") from None


def _value(node: Node, yaml: YAML, where: str, key: Key, lines: dict[Key, int], seen: set[int]) -> object:
    line = node.start_mark.line + 1
    lines.setdefault(key, line)
    place = f"{where}, line {line}"
    if id(node) in seen:
        raise ContractError(
            f"{place}: anchors and aliases hide what is promised", "write it out where it holds"
        )
    seen.add(id(node))
    tag = str(node.tag).removeprefix("tag:yaml.org,2002:")
    if isinstance(node, MappingNode) and tag == "map":
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            name = _value(key_node, yaml, where, key, lines, seen)
            place = f"{where}, line {key_node.start_mark.line + 1}"
            if not isinstance(name, str):
                raise ContractError(f"{place}: the key {quoted(name)} is not text", "write it in quotes")
            if name in mapping:
                first = lines[*key, name]
                raise ContractError(
                    f"{place}: the key {name!r} is there already, in line {first}", "keep one of the two"
                )
            lines[*key, name] = key_node.start_mark.line + 1
            mapping[name] = _value(value_node, yaml, where, (*key, name), lines, seen)
        return mapping
    if isinstance(node, SequenceNode) and tag == "seq":
        return [_value(each, yaml, where, (*key, n), lines, seen) for n, each in enumerate(node.value)]
    if isinstance(node, ScalarNode) and tag in ("null", "bool", "int", "float"):
        try:
            value: object = yaml.constructor.construct_object(node)
        except ValueError:
            raise ContractError(
                f"{place}: {quoted(node.value)} is not a number", "write it in quotes"
            ) from None
        return value
    # The core of YAML 1.2 has no dates, no merging and no default key: these are the text that they are.
    if isinstance(node, ScalarNode) and tag in ("str", "timestamp", "merge", "value"):
        return str(node.value)
    raise ContractError(f"{place}: the tag {tag!r} means nothing in a contract", "leave the tag out")


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
    if isinstance(name_or_path, os.PathLike):
        return Contract.from_yaml(name_or_path)
    if not isinstance(name_or_path, str):
        raise ContractError(f"a contract is a name, a path or a Contract, not {quoted(name_or_path)}", _START)
    separators = {"/", os.sep, os.altsep or "/"}
    if name_or_path.endswith((".yaml", ".yml")) or any(separator in name_or_path for separator in separators):
        return Contract.from_yaml(name_or_path)
    builtin = builtin_contracts()
    if name_or_path not in builtin:
        raise ContractError(
            f"there is no built-in contract {name_or_path!r}", did_you_mean(name_or_path, builtin)
        )
    return Contract.from_yaml(builtin[name_or_path])
