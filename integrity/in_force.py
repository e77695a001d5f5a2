"""What is in force in a run, by which digest is that known, and who runs it?"""

from __future__ import annotations

import getpass
import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Collection, Mapping

import polars as pl

from integrity.canonical import ENCODING_VERSION
from integrity.contracts import Assertion, Contract

__all__ = ["operator", "spec_sha256", "versions"]


def operator() -> str:
    """Return who runs: ``INTEGRITY_OPERATOR``, else the user of this process."""
    try:
        return os.environ.get("INTEGRITY_OPERATOR") or getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def versions() -> dict[str, str]:
    """Return the versions of the software that computes a result."""
    try:
        own = importlib.metadata.version("processing-integrity")
    except importlib.metadata.PackageNotFoundError:
        own = "unknown"
    return {
        "processing-integrity": own,
        "encoding": str(ENCODING_VERSION),
        "python": platform.python_version(),
        "polars": pl.__version__,
    }


def spec_sha256(
    promise: Contract,
    mapped: Mapping[str, Mapping[str, str]],
    zones: Mapping[str, str],
    skips: Mapping[Assertion, str],
    references: Collection[str],
) -> str:
    """Return the SHA-256 of everything that is in force.

    Args:
        promise: The contract.
        mapped: For each side, their column names to ours.
        zones: For each side, how naive timestamps are read.
        skips: Promises left out, and why.
        references: Which other stores were given: grants, outcomes, members, corrections.
    """
    spec = {
        "contract": promise.sha256,
        "columns": {side: dict(mapping) for side, mapping in mapped.items()},
        "timezone": dict(zones),
        "skip": {assertion.value: why for assertion, why in skips.items()},
        "versions": versions(),
    }
    if references:
        spec["references"] = sorted(references)
    return hashlib.sha256(json.dumps(spec, sort_keys=True, ensure_ascii=False).encode()).hexdigest()
