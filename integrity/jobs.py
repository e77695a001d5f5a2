"""What should run? A job file names a contract and two stores, so that a scheduler needs one word.

A job is the arguments of :func:`integrity.reconcile`, as YAML that is read as strictly as a contract. Relative paths
are relative to the folder in which the command runs, as they are in a shell.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from integrity.errors import UsageError, did_you_mean
from integrity.reconciliation import reconcile
from integrity.result import Result
from integrity.search import Progress
from integrity.strict_yaml import Kind, read_text, read_yaml

__all__ = ["Job"]

_KIND: Final = Kind("job", "what runs", UsageError)
_REQUIRED = ("contract", "source", "destination")
_STORES = ("source", "destination", "grants", "outcomes", "members", "corrections")
_MAPPINGS = ("skip", "columns", "timezone")
_FLAGS = ("rehash", "values")


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
        since: ISO 8601 with its offset.
        until: ISO 8601 with its offset.
        as_of: ISO 8601 with its offset.
        skip: Promises left out, and why.
        columns: For each side, their column names to ours.
        timezone: For each side, how naive timestamps are read.
        pushdown: Whether databases total their own items: auto, always or never.
        rehash: Whether remembered digests are computed anew.
        values: Whether differing values are shown.
        json: Where the result is written.
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
            wanted: type = Mapping if key in _MAPPINGS else bool if key in _FLAGS else str
            if not isinstance(value, (str, Mapping) if key in _STORES else wanted):
                kinds = {Mapping: "a mapping", bool: "true or false", str: "text; write it in quotes"}
                raise UsageError(f"{place}: {key} is {value!r}", f"it has to be {kinds[wanted]}")
        for key in _REQUIRED:
            if key not in said:
                raise UsageError(f"{where}: {key} is missing", f"add it, as in {key}: …")
        return cls(**said)

    def run(self, progress: Progress | None = None) -> Result:
        """Reconcile, and write the JSON where the job wants it.

        Raises:
            IntegrityError: as :func:`integrity.reconcile` does.
        """
        arguments: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "json"}
        result = reconcile(**arguments, progress=progress)
        if self.json is not None:
            result.to_json(self.json)
        return result
