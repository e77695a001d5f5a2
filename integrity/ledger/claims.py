"""What may be claimed of a ledger, and no more?

A log that one party owns, database and key, is evidence against everybody but that party. It becomes more only by the
checkpoints that others hold: up to those, and not beyond, nothing can have been rewritten without their noticing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from integrity.ledger.checkpoints import Checkpoint

if TYPE_CHECKING:
    from integrity.ledger.reading import Leaves

__all__ = ["Claim", "Sent", "claim_of"]


@dataclass(frozen=True, slots=True)
class Sent:
    """A checkpoint that was sent out, as the log says.

    Attributes:
        size: Of how many leaves.
        party: To whom.
        at: When it was recorded that they have it.
    """

    size: int
    party: str
    at: str


@dataclass(frozen=True, slots=True)
class Claim:
    """How far a ledger can be trusted against its own owner.

    Attributes:
        size: Up to which number of leaves; 0 where nobody holds anything.
        party: Who holds the checkpoint.
        since: Since when; ``None`` where it was presented now.
        later: How many leaves came after it that say something of a run.

    Example:
        >>> print(Claim(12, "auditor@example.org", "2026-03-01T00:00:00.000000Z", 0))
        tamper-evident up to checkpoint 12, held by auditor@example.org since 2026-03-01T00:00:00.000000Z
    """

    size: int
    party: str
    since: str | None
    later: int

    def __str__(self) -> str:
        if not self.size:
            return "no checkpoint was sent out: whoever owns its database and its key could have written all of it anew"
        since = f" since {self.since}" if self.since else ""
        later = f"; {self.later:,} later leaves not yet anchored" if self.later else ""
        return f"tamper-evident up to checkpoint {self.size}, held by {self.party}{since}{later}"


def claim_of(log: Leaves, presented: Sequence[Checkpoint] = ()) -> Claim:
    """Return what may be claimed of a log, by what was sent out and what is presented now."""
    fitting = [
        each.size for each in presented if log.roots.get(each.size) == each.root and each.is_signed_by_any(log.keys)
    ]
    best = max(fitting, default=0)
    last = max(log.sent, key=lambda each: each.size, default=None)
    if best and (last is None or best >= last.size):
        return Claim(best, "whoever presented it", None, log.later_than(best))
    if last is None:
        return Claim(0, "", None, log.later_than(0))
    return Claim(last.size, last.party, last.at, log.later_than(last.size))
