"""Which rows are still known to be one break's, after what named it was erased?

Rows of several runs are one break's by its keyed name, which goes when its item is erased or its time is over. So an
erasure notes of each row which other row is of the same break: a run and a number, which name nobody. Without that a
break would count once for each run that showed it, and whoever ran one of these could decide about it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from typing import Any, Final

import sqlalchemy as sa

from integrity.ledger import schema
from integrity.ledger.reading import Leaves
from integrity.ledger.rows import digests, frame_of, root
from integrity.ledger.trails import Place

__all__ = ["linked", "links_of", "root_of_links", "untied_links"]

_CHUNK: Final = 5_000
#: A row, and a row of the same break.
Link = tuple[Place, Place]


def links_of(connection: sa.Connection, places: Collection[Place]) -> list[Link]:
    """Return of each row of a break that is to be erased the latest row of the same break, unless it is that itself."""
    names = {place: name for place, name in _named(connection) if place in places}
    wanted = set(names.values())
    latest = {name: place for place, name in _named(connection) if name in wanted}
    return [(place, latest[name]) for place, name in sorted(names.items()) if place != latest[name]]


def _named(connection: sa.Connection) -> Iterator[tuple[Place, tuple[str, str]]]:
    """Yield each row of a break and what names the break, by when its run ended; only few of them are in memory."""
    secrets, runs, endings = schema.secrets, schema.runs, schema.endings
    query = sa.select(secrets.c.run, secrets.c.number, secrets.c.subject, runs.c.environment)
    query = query.join(runs, runs.c.run == secrets.c.run).join(endings, endings.c.run == secrets.c.run)
    query = query.where(secrets.c.scope == "break").order_by(endings.c.leaf, secrets.c.number)
    # Of the statement, not of the connection, which goes on to write.
    for run, number, subject, environment in connection.execute(query.execution_options(yield_per=_CHUNK)):
        yield (run, number), (environment, subject)


def linked(connection: sa.Connection) -> list[Link]:
    """Return all that is noted."""
    of = schema.links.c
    query = sa.select(of.run, of.number, of.of_run, of.of_number).order_by(of.leaf, of.run, of.number)
    return [((run, number), (of_run, of_number)) for run, number, of_run, of_number in connection.execute(query)]


def root_of_links(links: Iterable[Link], leaf: int) -> dict[str, Any]:
    """Return what a leaf that erases says of its links: how many, and the root over them in their order."""
    rows = [(*place, *other, leaf) for place, other in sorted(links, key=str)]  # whatever their types are by now
    return {"count": len(rows), "root": root(digests(schema.links, frame_of(schema.links, rows))) if rows else None}


def untied_links(connection: sa.Connection, log: Leaves) -> Iterator[tuple[int, str, str, str, str]]:
    """Yield what of ``links`` is not as the leaves say: leaf, table, row, what, why."""
    by_leaf: dict[int, list[Link]] = defaultdict(list)
    for row in connection.execute(sa.select(schema.links)):
        by_leaf[row.leaf].append(((row.run, row.number), (row.of_run, row.of_number)))
    for leaf in sorted({*by_leaf, *log.erased}):
        rows = by_leaf.get(leaf, [])
        told = log.erased[leaf]["links"] if leaf in log.erased else None
        if told is None and rows:
            yield leaf, "links", f"leaf {leaf}", "inserted", "no leaf says so"
        elif told is not None and root_of_links(rows, leaf) != told:
            what = "removed" if len(rows) < told["count"] else "changed"
            yield leaf, "links", f"leaf {leaf}", what, "they are not the list that its leaf commits to"
