"""What can go wrong, and what should the person do?

Every error of this package is an :class:`IntegrityError`: one clear sentence that names the thing, and the way out. A
traceback of another kind that reaches a user is a bug of ours.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from typing import Any

__all__ = [
    "BalanceError",
    "ConnectionLostError",
    "ContractError",
    "IntegrityError",
    "LedgerBusyError",
    "LedgerError",
    "LedgerUnreachableError",
    "MissingExtraError",
    "PushdownError",
    "SelfTestError",
    "StoreError",
    "UnwrittenError",
    "UsageError",
    "did_you_mean",
    "forbidden",
]


class IntegrityError(Exception):
    """The root of every error raised here.

    Args:
        problem: What is wrong, naming the thing; no final full stop.
        advice: The way out, as an imperative; may be empty.
    """

    #: What a shell sees: 2 is wrong usage, 4 is "could not run". 1 and 3 are verdicts, not errors.
    exit_code = 4

    def __init__(self, problem: str, advice: str = "") -> None:
        super().__init__(problem, advice)
        self.problem = problem
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.problem}; {self.advice}" if self.advice else self.problem


class UsageError(IntegrityError):
    """The call itself cannot be meant: a window off its boundaries, an unknown option value."""

    exit_code = 2


class ContractError(UsageError):
    """A contract is missing, malformed or contradicts itself. Names the file, the key and the way out."""


class StoreError(IntegrityError):
    """A store cannot be reached, found or read, or does not hold what the contract names."""


class ConnectionLostError(StoreError):
    """A database went away while it was read, and again each time that the pass was started anew."""


class PushdownError(StoreError):
    """A database cannot compute these control totals exactly. Nothing is guessed: the rows can be pulled instead."""


class MissingExtraError(IntegrityError, ImportError):
    """An optional part is not installed.

    Args:
        what: What needs it, for example ``"s3:// URLs"``.
        extra: The extra of this distribution that brings it.
    """

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs a part that is not installed", f"pip install 'processing-integrity[{extra}]'")


class UnwrittenError(IntegrityError):
    """Outputs could not be written; those that it does not name were.

    Attributes:
        result: What was found nevertheless; ``None`` where nothing was read yet.
    """

    result: Any = None


class LedgerError(IntegrityError):
    """A ledger cannot be opened, read or written, or refuses what it was asked to record.

    Attributes:
        result: What was found although it could not be recorded; ``None`` where nothing was.
    """

    result: Any = None


class LedgerUnreachableError(LedgerError):
    """A ledger's database is out of reach, full or read-only. What was to be recorded was not."""


class LedgerBusyError(LedgerError):
    """The same pipeline is being run right now. Nothing was read, and nothing is wrong."""


class BalanceError(IntegrityError):
    """The counts of a batch do not add up. A bug of ours, never a finding: nothing was reported."""


class SelfTestError(IntegrityError):
    """The run did not find a break that it planted itself, so its other findings prove nothing."""


def forbidden(error: BaseException) -> bool:
    """Tell whether something failed because this user may not do it."""
    return isinstance(error, PermissionError) or getattr(error, "errno", None) in (errno.EACCES, errno.EPERM)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the advice for a name that is not there: the nearest one, else all of them.

    Example:
        >>> did_you_mean("sent_at", ["sentat", "body"])
        "did you mean 'sentat'?"
        >>> did_you_mean("x", [])
        'there are none'
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6) or [
        known_name for known_name in names if known_name.casefold() == name.casefold()
    ]
    if near:
        return f"did you mean {near[0]!r}?"
    if not names:
        return "there are none"
    shown = ", ".join(repr(known_name) for known_name in names[:12])
    return f"there are {shown}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")
