"""Do the rows and reasons of casework tie to the leaves that say the same, and could each step be taken?

The triggers of the database refuse a step against the rules, as the API does. Whoever passed by both is named here: all
steps are gone through once more, from what the log says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator

import polars as pl
import sqlalchemy as sa

from integrity.ledger import schema
from integrity.ledger.decisions import OnRecord, replayed
from integrity.ledger.links import linked
from integrity.ledger.reading import Leaves
from integrity.ledger.rows import commitments
from integrity.ledger.trails import Became, Place, Shown

__all__ = ["reasons_known", "untied"]

#: What does not fit: leaf, table, row, what, why.
Found = tuple[int, str, str, str, str]


def untied(connection: sa.Connection, log: Leaves) -> Iterator[Found]:
    """Yield what of ``dispositions`` and of the reasons in ``secrets`` is not as the leaves say."""
    yield from _rows(connection, log)
    yield from _reasons(connection, log)
    if log.steps:
        for leaf, why in replayed(_on_record(connection, log), (log.steps[leaf] for leaf in sorted(log.steps))):
            yield leaf, "leaves", f"leaf {leaf}", "inserted", f"against the rules of casework: {why}"


def reasons_known(log: Leaves) -> dict[tuple[str, int], str]:
    """Return the commitments to the reasons that leaves speak of, by the run and number under which each is kept."""
    return {
        (step.rows[-1][0], leaf): step.commitment
        for leaf, step in log.steps.items()
        if step.commitment is not None and step.rows
    }


def _rows(connection: sa.Connection, log: Leaves) -> Iterator[Found]:
    table, seen = schema.dispositions, defaultdict[int, set[tuple[str, int]]](set)
    for row in connection.execute(sa.select(table).order_by(table.c.leaf, table.c.run, table.c.number)):
        step, where = log.steps.get(row.leaf), f"row {row.number} of run {row.run}, leaf {row.leaf}"
        if step is None or (row.run, row.number) not in step.rows:
            why = "no leaf speaks of it" if step is None else "its leaf does not speak of this break"
            yield log.size if step is None else row.leaf, table.name, where, "inserted", why
            continue
        seen[row.leaf].add((row.run, row.number))
        differ = [name for name in ("step", "disposition", "by") if getattr(row, name) != getattr(step, name)]
        if differ:
            yield row.leaf, table.name, where, "changed", f"{', '.join(differ)} is not what its leaf says"
    for leaf, step in log.steps.items():
        for run, number in step.rows:
            if (run, number) not in seen[leaf]:
                where = f"row {number} of run {run}, leaf {leaf}"
                yield leaf, table.name, where, "removed", "its leaf is there, its row is not"


def _reasons(connection: sa.Connection, log: Leaves) -> Iterator[Found]:
    secrets, erasures = schema.secrets, schema.erasures
    query = sa.select(erasures.c.run, erasures.c.number).where(erasures.c.scope == "disposition")
    erased = {(run, number) for run, number in connection.execute(query)}
    told, seen = reasons_known(log), set[tuple[str, int]]()
    for row in connection.execute(sa.select(secrets).where(secrets.c.scope == "disposition")):
        place = (row.run, row.number)
        seen.add(place)
        if place not in told:
            continue  # a stranger, which is named among the others
        texts = [None if text is None else str(text) for text in (row.salt, row.subject, row.body)]
        where = _where(*place)
        if place in erased:
            yield row.number, "erasures", where, "inserted", "it is there, and said to be erased"
        elif commitments(*(pl.Series([text], dtype=pl.String) for text in texts))[0] != told[place]:
            yield row.number, "secrets", where, "changed", "it is not what was committed to"
    for place in told.keys() - seen - erased:
        yield place[1], "secrets", _where(*place), "removed", "no erasure is on record"


def _on_record(connection: sa.Connection, log: Leaves) -> OnRecord:
    """What runs put on record of the breaks that somebody decided about."""
    of, secrets, rows, changes = schema.dispositions, schema.secrets, schema.breaks, schema.changes
    own = sa.and_(secrets.c.run == of.c.run, secrets.c.number == of.c.number, secrets.c.scope == "break")
    subjects = sa.select(secrets.c.subject).join(of, own)
    named = sa.select(secrets.c.run, secrets.c.number, secrets.c.subject)
    named = named.where(secrets.c.scope == "break", secrets.c.subject.in_(subjects))
    names: dict[Place, Hashable] = {}
    for run, number, subject in connection.execute(named):
        if run in log.started:
            names[run, number] = (log.started[run]["environment"], subject)
    on = sa.and_(rows.c.run == of.c.run, rows.c.number == of.c.number)
    there = {(run, number) for run, number in connection.execute(sa.select(rows.c.run, rows.c.number).join(of, on))}
    links = linked(connection)
    there |= {place for link in links for place in link}
    shown = {
        (run, number): Shown(log.ended[run]["leaf"], log.ended[run]["at"], run, number, log.started[run]["operator"])
        for run, number in there | names.keys()
        if run in log.rows and run in log.started
    }
    became: dict[Place, list[Became]] = {}
    query = sa.select(changes.c.run, changes.c.of_run, changes.c.of_number, changes.c.state)
    for run, of_run, of_number, state in connection.execute(query):
        if (of_run, of_number) in shown and run in log.rows:
            told = Became(log.ended[run]["leaf"], log.ended[run]["at"], run, state)
            became.setdefault((of_run, of_number), []).append(told)
    return OnRecord(shown, {place: names.get(place) for place in shown}, became, log.ruled, links)


def _where(run: str, leaf: int) -> str:
    return f"disposition row {leaf} of run {run}"
