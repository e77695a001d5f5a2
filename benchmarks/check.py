"""Is an answer right? Compares the breaks that a runner named with those that were planted.

    python check.py ANSWER PLANTED      prints {"equal": bool, "planted": n, "found": n, "wrong": n}

A process of its own, because run.py must stay small: a child's peak memory is never reported below its parent's.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Break = tuple[str, ...]  # the kind and the identity


def named(answer: Path, document: dict[str, Any], columns: list[str]) -> Iterator[Break]:
    """Yield the breaks of an answer: of a peer's, or of our own result, whose long lists lie in a file beside it."""
    if "schema" not in document:
        yield from map(tuple, document["breaks"])
        return
    if "breaks_file" in document:
        with (answer.parent / document["breaks_file"]).open(encoding="utf-8") as lines:
            rows = map(json.loads, lines)
            yield from (tuple(row[name] for name in columns) for row in rows)
    else:
        assert len(document["breaks"]) == document["breaks_total"]
        yield from (tuple(row[name] for name in columns) for row in document["breaks"])


def check(answer: Path, planted: Path) -> dict[str, Any]:
    with planted.open(encoding="utf-8", newline="") as rows:
        columns, *listed = csv.reader(rows)
    expected: set[Break] = set(map(tuple, listed))
    document = json.loads(answer.read_text(encoding="utf-8"))
    breaks = list(named(answer, document, columns))
    found = len(expected.intersection(breaks))
    equal = document["verdict"] == "pass" if "schema" in document else document["equal"]
    # named twice is named wrongly once
    return {"equal": equal, "planted": len(expected), "found": found, "wrong": len(breaks) - found}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(check(Path(sys.argv[1]), Path(sys.argv[2]))))
