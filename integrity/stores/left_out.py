"""What did a pass see and not read, and why?"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["LeftOut"]


@dataclass
class LeftOut:
    """What a pass saw and did not read, by why: for the remarks."""

    _seen: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, why: str, *paths: str) -> None:
        """Some things were not read; ``why`` goes on after their number."""
        for path in paths:
            count, first = self._seen.get(why, (0, path))
            self._seen[why] = count + 1, first

    def remarks(self) -> list[str]:
        """One sentence for each reason: how many, and the first of them."""
        return [f"{count:,} {why}, the first one {first}" for why, (count, first) in self._seen.items()]
