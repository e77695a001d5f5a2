"""How does a database itself keep what is recorded, and is it still doing so?

By triggers. What is recorded is neither changed nor deleted (of private texts, only what was erased on record), nor
written over; a step of casework that the rules forbid is refused (:mod:`integrity.ledger.four_eyes`). Whoever may alter
tables can take triggers away, for a while or for good: what is gone or does something else is named here, and what was
done meanwhile by the log.
"""

# ruff: noqa: S608 - nothing in these texts is somebody's input
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from integrity.ledger import schema
from integrity.ledger.four_eyes import rules

__all__ = ["Guard", "guards", "making", "unguarded"]

_ERASED: Final = "SELECT 1 FROM erasures e WHERE e.run = OLD.run AND e.scope = OLD.scope AND e.number = OLD.number"
_REFUSED: Final = "RAISE EXCEPTION 'the ledger is append-only: no % of %', lower(TG_OP), TG_TABLE_NAME;"
#: What PostgreSQL makes of when a trigger fires: pg_trigger.tgtype.
_FIRES: Final = {"insert": 7, "delete": 11, "update": 19, "truncate": 34}


@dataclass(frozen=True, slots=True)
class Guard:
    """A trigger.

    Attributes:
        name: Its name.
        table: On which table.
        verb: What it looks at: ``insert``, ``update``, ``delete`` or ``truncate``.
        does: Its statement, or in PostgreSQL the body of its function.
        function: Of PostgreSQL, the name of that.
    """

    name: str
    table: str
    verb: str
    does: str
    function: str = ""


def guards(dialect: str) -> list[Guard]:
    """Return the triggers of a ledger.

    Args:
        dialect: ``sqlite`` or ``postgresql``.

    Example:
        >>> sorted(guard.name for guard in guards("sqlite") if guard.table == "erasures")
        ['erasures_delete_refused', 'erasures_replace_refused', 'erasures_update_refused']
    """
    return [*(_postgresql if dialect == "postgresql" else _sqlite)()]


def making(dialect: str, *tables: str) -> list[str]:
    """Return the SQL that makes the triggers of some tables, or of all; of PostgreSQL, their functions before."""
    chosen = [guard for guard in guards(dialect) if not tables or guard.table in tables]
    if dialect != "postgresql":
        return [guard.does for guard in chosen]
    functions = {guard.function: guard.does for guard in chosen}
    made = [
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {does} $$"
        for name, does in functions.items()
    ]
    made += [_searching(name) for name in functions]
    for guard in chosen:
        each = "STATEMENT" if guard.verb == "truncate" else "ROW"
        made.append(
            f"CREATE TRIGGER {guard.name} BEFORE {guard.verb.upper()} ON {guard.table} "
            f"FOR EACH {each} EXECUTE FUNCTION {guard.function}()"
        )
    return made


def _searching(function: str) -> str:
    """Let a function see the tables of the ledger and no temporary ones of the same names, which anybody may make."""
    path = "pg_catalog, %I, pg_temp"
    alter = f"format('ALTER FUNCTION {function}() SET search_path = {path}', current_schema())"
    return f"DO $$ BEGIN EXECUTE {alter}; END $$"


def _sqlite() -> Iterator[Guard]:
    for table in schema.PROTECTED:
        for verb in ("update", "delete"):
            name, unless = f"{table.name}_{verb}_refused", ""
            if table is schema.secrets and verb == "delete":
                unless = f"WHEN NOT EXISTS ({_ERASED}) "
            refused = f"RAISE(ABORT, 'the ledger is append-only: no {verb} of {table.name}')"
            does = f"CREATE TRIGGER {name} BEFORE {verb.upper()} ON {table.name} {unless}BEGIN SELECT {refused}; END"
            yield Guard(name, table.name, verb, does)
        # INSERT OR REPLACE deletes what is in its way, and fires no trigger by that.
        name, key = f"{table.name}_replace_refused", [column.name for column in table.primary_key]
        same = " AND ".join(f"{column} = NEW.{column}" for column in key)
        refused = f"RAISE(ABORT, 'the ledger is append-only: {table.name} has such a row')"
        there = f"EXISTS (SELECT 1 FROM {table.name} WHERE {same})"
        does = f"CREATE TRIGGER {name} BEFORE INSERT ON {table.name} WHEN {there} BEGIN SELECT {refused}; END"
        yield Guard(name, table.name, "insert", does)
    for rule, (condition, said) in rules("sqlite").items():
        name = f"dispositions_{rule}_refused"
        does = (
            f"CREATE TRIGGER {name} BEFORE INSERT ON dispositions WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, 'the ledger refuses this disposition: {said}'); END"
        )
        yield Guard(name, "dispositions", "insert", does)


def _postgresql() -> Iterator[Guard]:
    for table in schema.PROTECTED:
        for verb in ("update", "delete", "truncate"):
            does, function = f"BEGIN {_REFUSED} END", "integrity_refused"
            if table is schema.secrets and verb == "delete":
                does, function = (
                    f"BEGIN IF NOT EXISTS ({_ERASED}) THEN {_REFUSED} END IF; RETURN OLD; END",
                    f"{function}_unless_erased",
                )
            yield Guard(f"{table.name}_{verb}_refused", table.name, verb, does, function)
    for rule, (condition, said) in rules("postgresql").items():
        name = f"dispositions_{rule}_refused"
        raised = f"RAISE EXCEPTION 'the ledger refuses this disposition: {said}';"
        does = f"BEGIN IF {condition} THEN {raised} END IF; RETURN NEW; END"
        yield Guard(name, "dispositions", "insert", does, f"integrity_{name}")


# --- are they there?
# ------------------------------------------------------------------------------------------------------


def unguarded(connection: sa.Connection) -> Iterator[tuple[str, str, str]]:
    """Yield the triggers that are not as they were made: the name, what became of it, and why that matters.

    Returns:
        Of each its name; ``removed``, ``changed`` or, of what stands beside them, ``inserted``; and why.
    """
    dialect = connection.dialect.name
    there = _there_postgresql(connection) if dialect == "postgresql" else _there_sqlite(connection)
    why = "the database no longer refuses to change what is recorded"
    for guard in guards(dialect):
        if guard.name not in there:
            yield guard.name, "removed", why
        elif there[guard.name] != _expected(guard):
            yield guard.name, "changed", why
    if dialect == "postgresql":
        yield from _beside(connection)


def _expected(guard: Guard) -> tuple[object, ...]:
    does = " ".join(guard.does.split())
    if not guard.function:
        return guard.table, does
    return guard.table, does, guard.function, _FIRES[guard.verb], True, True, True


def _there_sqlite(connection: sa.Connection) -> dict[str, tuple[object, ...]]:
    query = "SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'trigger'"
    return {name: (table, " ".join(sql.split())) for name, table, sql in connection.execute(sa.text(query))}


_LIES_IN: Final = "(SELECT relnamespace FROM pg_class WHERE oid = 'leaves'::regclass)"


def _there_postgresql(connection: sa.Connection) -> dict[str, tuple[object, ...]]:
    query = (
        "SELECT t.tgname, c.relname, p.prosrc, p.proname, t.tgtype::int, t.tgenabled IN ('O', 'A') AS fires, "
        "t.tgqual IS NULL AND t.tgattr::text = '' AND t.tgnargs = 0 AS always, "
        "coalesce(p.proconfig = ARRAY[format('search_path=pg_catalog, %I, pg_temp', n.nspname)], false) AS path "
        "FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid "
        f"JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND n.oid = {_LIES_IN}"
    )
    rows = connection.execute(sa.text(query.replace("::", "\\:\\:")))
    return {name: (table, " ".join(does.split()), *more) for name, table, does, *more in rows}


def _beside(connection: sa.Connection) -> Iterator[tuple[str, str, str]]:
    """Yield what writes past the triggers of a table: a rule that rewrites, a table that inherits and has none."""
    names = ", ".join(f"'{table.name}'" for table in schema.PROTECTED)
    ours = f"c.relname IN ({names}) AND c.relnamespace = {_LIES_IN}"
    rules_ = f"SELECT r.rulename FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE {ours}"
    heirs = f"SELECT i.inhrelid::regclass::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent WHERE {ours}"
    for query, why in (
        (rules_, "a rule writes past what the database refuses"),
        (heirs, "its rows show in a table of the ledger, unguarded"),
    ):
        for (name,) in connection.execute(sa.text(query.replace("::", "\\:\\:"))):
            yield name, "inserted", why
