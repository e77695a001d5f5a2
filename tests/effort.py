"""How hard do the laws try?

In continuous integration a law has as many examples as find what was broken on purpose; ``INTEGRITY_TEST_PROFILE=thorough``
gives it all that it was written with.
"""

from __future__ import annotations

import os

THOROUGH = os.environ.get("INTEGRITY_TEST_PROFILE") == "thorough"


def examples(many: int) -> int:
    """Return how many examples of ``many`` to try: a quarter of them, and no fewer than eight."""
    return many if THOROUGH else min(many, max(8, many // 4))
