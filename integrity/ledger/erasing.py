"""How does a person disappear from a ledger that forgets nothing?

What could name them lies in ``secrets`` alone. It is deleted there, salt and all, and a leaf says when, by whom, on
what basis and how many texts; the commitments that stay say nothing any more. Counts and verdicts remain.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import sqlalchemy as sa

from integrity.errors import UsageError
from integrity.ledger import schema
from integrity.ledger.links import links_of, root_of_links
from integrity.ledger.log import iso
from integrity.ledger.persons import named_person
from integrity.ledger.rows import digests, root
from integrity.ledger.trails import located

if TYPE_CHECKING:
    from integrity.ledger.book import Ledger

__all__ = ["erase", "expire"]

_CHUNK: Final = 5_000
_Place = tuple[str, str, int]


def erase(ledger: Ledger, where: Mapping[str, str], *, basis: str, by: str, breaks: Collection[str] = ()) -> int:
    """Erase everything private of items whose columns have these values: breaks, and batches of a partition.

    Why a person disposed of such a break goes along; that they did, and how, stays on record.

    Args:
        ledger: From which.
        where: Values of identity columns, or of columns whose differing values were shown, as breaks show them.
        basis: On what basis: a request, a law.
        by: Who decided it.
        breaks: Breaks besides, by their names: whatever was decided about one whose item was erased already is found
            in no other way, for nothing tells any longer whose it is.

    Returns:
        How many private texts are gone. Where there is none, nothing is recorded.

    Raises:
        UsageError: no column or break, no basis or no person is named, or no break is called so.
        LedgerError: it cannot be written.
    """
    if not where and not breaks:
        raise UsageError("nothing says whom to erase", "name a column and its value, as in --where member_id=kim")
    by = _named(basis, by)
    secrets = schema.secrets
    query = sa.select(secrets).where(secrets.c.scope.in_(["break", "batch"]))
    with ledger.database.reading() as connection:
        rows = connection.execution_options(yield_per=_CHUNK).execute(query)
        found = [(row.run, row.scope, row.number) for row in rows if where and _speaks_of(json.loads(row.body), where)]
        for name in breaks:
            rows_of = located(connection, name, ledger.environment, ledger.key).rows
            found += [(run, "break", number) for run, number in rows_of]
        found += _reasons(connection, {(run, number) for run, scope, number in found if scope == "break"})
    return _erased(ledger, found, {"why": "erasure", "basis": basis, "by": by})


def expire(ledger: Ledger, older_than: dt.timedelta, *, basis: str, by: str) -> int:
    """Erase everything private of runs that began longer ago than it is to be kept.

    Why a person disposed of a break goes with the last run that showed it.

    Args:
        ledger: From which.
        older_than: How long it is kept.
        basis: On what basis: the retention policy.
        by: Who decided it.

    Raises:
        UsageError: no basis or person is named.
        LedgerError: it cannot be written.
    """
    by = _named(basis, by)
    runs, secrets = schema.runs, schema.secrets
    limit = iso(ledger.clock() - older_than)
    query = sa.select(secrets.c.run, secrets.c.scope, secrets.c.number).join(runs, runs.c.run == secrets.c.run)
    with ledger.database.reading() as connection:
        found = [tuple(row) for row in connection.execute(query.where(runs.c.at < limit))]
    return _erased(ledger, found, {"why": "retention", "basis": basis, "by": by, "before": limit})


def _reasons(connection: sa.Connection, breaks: set[tuple[str, int]]) -> list[_Place]:
    """Why persons decided as they did about some breaks."""
    secrets, of = schema.secrets, schema.dispositions
    query = sa.select(secrets.c.run, secrets.c.scope, secrets.c.number, of.c.run, of.c.number)
    query = query.join(of, sa.and_(of.c.leaf == secrets.c.number, secrets.c.scope == "disposition"))
    return list({(run, scope, leaf) for run, scope, leaf, *row in connection.execute(query) if tuple(row) in breaks})


def _named(basis: str, by: str) -> str:
    if not basis.strip() or not by.strip():
        raise UsageError("an erasure names its basis and who decided it", "give both")
    return named_person("by", by)


def _speaks_of(body: Mapping[str, Any], where: Mapping[str, str]) -> bool:
    """Whether a private text has all these values, in its identity, its partition or the values it shows."""
    told: dict[str, set[str]] = {}
    for part in ("identity", "partition"):
        for name, value in (body.get(part) or {}).items():
            told.setdefault(name, set()).add(str(value))
    for part in ("source_values", "destination_values"):
        for name, value in json.loads(body.get(part) or "{}").items():
            told.setdefault(name, set()).add(str(value))
    return all(value in told.get(name, ()) for name, value in where.items())


def _erased(ledger: Ledger, found: list[_Place], body: Mapping[str, Any]) -> int:
    """List what goes, note what is one break's, append the leaf that commits to that, and delete: all or nothing."""
    if not found:
        return 0
    erasures, secrets = schema.erasures, schema.secrets
    with ledger.database.writing() as connection:
        ledger.database.take_turn(connection)
        there = {
            tuple(row) for row in connection.execute(sa.select(erasures.c.run, erasures.c.scope, erasures.c.number))
        }
        kept = {tuple(row) for row in connection.execute(sa.select(secrets.c.run, secrets.c.scope, secrets.c.number))}
        places = sorted((set(found) - there) & kept)
        if not places:
            return 0
        leaf = (connection.execute(sa.select(sa.func.max(schema.leaves.c.number))).scalar() or 0) + 1
        types = {"run": pl.String, "scope": pl.String, "number": pl.Int64}
        frame = pl.DataFrame(places, schema=types, orient="row").with_columns(pl.lit(leaf, pl.Int64).alias("leaf"))
        connection.execute(erasures.insert(), frame.to_dicts())
        gone = sa.delete(secrets).where(
            *(secrets.c[name] == sa.bindparam(f"the_{name}") for name in ("run", "scope", "number"))
        )
        links = links_of(connection, {(run, number) for run, scope, number in places if scope == "break"})
        if links:
            rows = [{"run": a, "number": b, "of_run": c, "of_number": d, "leaf": leaf} for (a, b), (c, d) in links]
            connection.execute(schema.links.insert(), rows)
        rows = [{f"the_{name}": value for name, value in zip(types, place, strict=True)} for place in places]
        connection.execute(gone, rows)
        told = {"count": len(places), "root": root(digests(erasures, frame)), "links": root_of_links(links, leaf)}
        ledger.said(connection, "erased", {**body, **told})
    return len(places)
