"""Which expectations does an existing suite of Great Expectations hold?

A contract may point to a suite's JSON instead of repeating it. What the suite holds becomes part of the contract, so
that the contract's hash says what was in force, whatever becomes of the file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from integrity.errors import ContractError

__all__ = ["with_suites"]

_HERE = "write for example {suite: suites/messages.json, side: destination}"
_BESIDE = {"suite", "side", "severity", "over"}


def with_suites(promises: Mapping[str, Any], base: Path, where: str) -> Mapping[str, Any]:
    """Return promises in which each suite that ``validity`` names by its path has become what it holds.

    Args:
        promises: A contract, as it was written.
        base: Where relative paths begin: the folder of the contract.
        where: What errors call the contract.

    Raises:
        ContractError: a suite cannot be read, or holds nothing.
    """
    listed = promises.get("validity")
    if not isinstance(listed, (list, tuple)) or not any(_names_suite(entry) for entry in listed):
        return promises
    expanded: list[Any] = []
    for entry in listed:
        if not _names_suite(entry):
            expanded.append(entry)
            continue
        own = {key: value for key, value in entry.items() if key != "suite"}
        expanded += [{**each, **own} for each in _expectations(entry, base, where)]
    return {**promises, "validity": expanded}


def _names_suite(entry: object) -> bool:
    return isinstance(entry, Mapping) and "suite" in entry


def _expectations(entry: Mapping[str, Any], base: Path, where: str) -> list[Mapping[str, Any]]:
    for key in entry:
        if key not in _BESIDE:
            raise ContractError(f"{where}: validity: beside a suite there is no key {key!r}", _HERE)
    if not isinstance(entry["suite"], str):
        raise ContractError(f"{where}: validity: a suite is the path of its JSON, not {entry['suite']!r}", _HERE)
    path = base / entry["suite"]
    try:
        suite = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ContractError(
            f"{where}: the suite {path} cannot be read: {error.strerror}", "its path is relative to the contract"
        ) from None
    except ValueError as error:
        raise ContractError(f"{where}: the suite {path} is no JSON: {error}", "save it again") from None
    found = suite.get("expectations") if isinstance(suite, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise ContractError(
            f"{where}: {path} is no suite of Great Expectations: it has no list of expectations",
            "save one with its suite's to_json_dict()",
        )
    if not found:
        raise ContractError(f"{where}: the suite {path} holds no expectation, and would always pass", "leave it out")
    return found
