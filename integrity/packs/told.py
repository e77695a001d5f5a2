"""What does a pack say of its runs, and which of them count?

All of it follows from the leaves of the log, so that whoever verifies a pack can say it again and compare.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["ENDS", "FORM", "Run", "predicate", "runs_of", "test_result"]

#: The name of a pack's form.
FORM: Final = "integrity.pack/1"
#: The kinds of leaves by which runs end.
ENDS: Final = ("finished", "failed", "abandoned")
_FOUND: Final = ("verdict", "assertions", "totals", "as_of", "strength", "bound")


@dataclass(frozen=True)
class Run:
    """A run, as the log tells of it.

    Attributes:
        name: Its name.
        started: What its first leaf says.
        ended: What its last leaf says; ``None`` where it never ended.
    """

    name: str
    started: Mapping[str, Any]
    ended: Mapping[str, Any] | None

    @property
    def finished(self) -> Mapping[str, Any] | None:
        """What it found; ``None`` where it failed or never ended."""
        return self.ended if self.ended is not None and self.ended["kind"] == "finished" else None

    @property
    def is_production(self) -> bool:
        """Whether it would count if it finished."""
        return bool(self.started["environment"] == "production")

    @property
    def counts(self) -> bool:
        """Whether it counts: a run of production that finished."""
        return self.is_production and self.finished is not None


def runs_of(leaves: Mapping[int, Mapping[str, Any]]) -> list[Run]:
    """Return the runs that leaves tell of, in the order in which they began."""
    ended = {leaf["run"]: leaf for leaf in leaves.values() if leaf["kind"] in ENDS}
    begun = [leaves[number] for number in sorted(leaves) if leaves[number]["kind"] == "started"]
    return [Run(leaf["run"], leaf, ended.get(leaf["run"])) for leaf in begun]


def predicate(
    runs: Sequence[Run], *, ledger: str, claim: str, kept_until: str | None, pseudonymised: bool
) -> dict[str, Any]:
    """Return what our own statement says.

    Args:
        runs: Of the pack.
        ledger: The ledger's name.
        claim: What may be claimed of it.
        kept_until: Until when the data is kept, as its owner declares.
        pseudonymised: Whether names were replaced and everything else that is private was left out.
    """
    return {
        "form": FORM,
        "ledger": ledger,
        "claim": claim,
        "kept_until": kept_until,
        "pseudonymised": pseudonymised,
        "runs": [_summary(run) for run in runs],
        "deviations": list(_deviations(runs)),
    }


def _summary(run: Run) -> dict[str, Any]:
    told = {
        "run": run.name,
        "pipeline": run.started["pipeline"],
        "environment": run.started["environment"],
        "contract": run.started["contract"],
        "began": run.started["at"],
        "ended": None if run.ended is None else run.ended["kind"],
        "counts": run.counts,
    }
    return told if run.finished is None else told | {name: run.finished[name] for name in _FOUND}


def _deviations(runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        if run.finished is None:
            failed = run.ended is not None and run.ended["kind"] == "failed"
            yield f"run {run.name} {'failed' if failed else 'was begun and never ended'}"
        for remark in (*run.started["remarks"], *((run.ended or {}).get("remarks") or ())):
            yield f"run {run.name}: {remark}"


def test_result(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what the ``test-result`` says that other tools read.

    It is ``PASSED`` only where every run of production finished and passed; what is pending or could not be verified,
    and a run that never ended, are warnings. What was skipped on purpose is in neither list, and in our own statement.
    """
    tests: dict[str, list[str]] = {"pass": [], "fail": [], "unverified": [], "pending": [], "skipped": []}
    production = [run for run in runs if run.is_production]
    verdicts = {run.finished["verdict"] if run.finished is not None else "unverified" for run in production}
    for run in production:
        for assertion, verdict in (run.finished or {}).get("assertions", {}).items():
            tests[verdict].append(f"{run.started['pipeline']}/{run.name}/{assertion}")
    contracts = {run.started["contract"]["sha256"]: run.started["contract"] for run in runs}
    if tests["fail"] or "fail" in verdicts:
        result = "FAILED"
    else:
        result = "PASSED" if verdicts == {"pass"} and not tests["unverified"] else "WARNED"
    return {
        "result": result,
        "configuration": [
            {
                "name": f"{contracts[sha256]['name']} version {contracts[sha256]['version']}",
                "digest": {"sha256": sha256},
            }
            for sha256 in sorted(contracts)
        ],
        "passedTests": tests["pass"],
        "warnedTests": tests["unverified"] + tests["pending"],
        "failedTests": tests["fail"],
    }
