"""How does the database itself keep a person from deciding alone?

Each rule is a trigger on new rows of ``dispositions``, so that it holds for whoever writes there, by which program
ever; :mod:`integrity.ledger.casework` refuses the same beforehand, in a sentence, and a verification goes through it
all once more (:mod:`integrity.ledger.decisions`), for whoever may alter tables can pass triggers by. Of names a
database compares less than these: A to Z in either case, and blanks around them. A rule is a condition under which a
row is refused. It looks at the leaf that the row stands for, which has to be the last one of the log; at the rows of
breaks that this leaf lists, which have to be all that are on record of the break; and at the step before it.
"""

# ruff: noqa: S608 - nothing in these texts is somebody's input
from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["rules"]

#: How each dialect reads the leaf ``l``: a field of it, the rows it lists, and the kinds that a ruling names.
_READS: Final[Mapping[str, Mapping[str, str]]] = {
    "sqlite": {
        "field": "json_extract(l.body, '$.{}')",
        "number": "json_extract(l.body, '$.{}')",
        "rows": "json_each(l.body, '$.rows') j",
        "row_run": "json_extract(j.value, '$[0]')",
        "row_number": "json_extract(j.value, '$[1]')",
        "kinds": "json_each(l.body, '$.confirmed') j",
        "kind": "j.value",
    },
    "postgresql": {
        "field": "(l.body::json ->> '{}')",
        "number": "(l.body::json ->> '{}')::bigint",
        "rows": "json_array_elements(CASE WHEN l.kind = 'disposition' THEN l.body::json -> 'rows' END) AS j(value)",
        "row_run": "(j.value ->> 0)",
        "row_number": "(j.value ->> 1)::bigint",
        "kinds": "json_array_elements_text(l.body::json -> 'confirmed') AS j(value)",
        "kind": "j.value",
    },
}
_STEPS: Final = "'disposed', 'proposed', 'confirmed', 'refused', 'reopened'"
_KINDS: Final = "'corrected', 'timing', 'accepted', 'false-positive'"


def rules(dialect: str) -> dict[str, tuple[str, str]]:
    """Return when a row of ``dispositions`` is refused, by the rule's name: the condition in SQL, and what is said.

    Args:
        dialect: ``sqlite`` or ``postgresql``.

    Example:
        >>> ", ".join(sorted(rules("sqlite")))
        'again, alone, incomplete, mixed, no_longer_open, of_the_runner, unanswered, unruled, unsaid, vague'
    """
    reads = _READS[dialect]

    def field(name: str) -> str:
        return reads["field"].format(name)

    listed = (
        f"(SELECT {reads['row_run']} AS run, {reads['row_number']} AS number "
        f"FROM leaves l, {reads['rows']} WHERE l.number = NEW.leaf)"
    )
    earlier = f"FROM dispositions d JOIN {listed} k ON d.run = k.run AND d.number = k.number WHERE d.leaf <> NEW.leaf"
    before = f"{earlier} ORDER BY d.leaf DESC LIMIT 1"
    # A confirmation follows its proposal, and may come after a run found that the break is gone.
    since = f"(SELECT max(d.leaf) {earlier} AND d.step <> 'confirmed')"
    became = (
        f"FROM changes c JOIN endings e ON e.run = c.run JOIN {listed} k ON c.of_run = k.run AND c.of_number = k.number"
    )
    shown = f"(SELECT max(x.leaf) FROM endings x JOIN {listed} k ON x.run = k.run)"
    # What was decided of a break holds no longer where a run found what became of it, and a later one found it again.
    lapsed = f"EXISTS (SELECT 1 {became} WHERE e.leaf > {since} AND e.leaf < {shown})"
    last = f"coalesce((SELECT d.step {before}), '')"
    stands = f"({last} IN ('disposed', 'confirmed') AND NOT {lapsed})"
    waits = f"({last} = 'proposed' AND NOT {lapsed})"
    decides = "NEW.step IN ('disposed', 'proposed')"
    blank = f"coalesce(trim({field('reference')}), '') = ''"
    control = f"coalesce(trim({field('control')}), '') <> ''"
    # Of one break each row's last step is that of all, unless it was shown since.
    own = "SELECT max(d.leaf) FROM dispositions d WHERE d.run = k.run AND d.number = k.number AND d.leaf <> NEW.leaf"
    named = "s.run = NEW.run AND s.number = NEW.number AND s.scope = 'break'"
    unlisted = f"NOT EXISTS (SELECT 1 FROM {listed} k WHERE k.run = o.run AND k.number = o.number)"
    return {
        "unsaid": (
            "NOT EXISTS (SELECT 1 FROM leaves l WHERE l.number = NEW.leaf "
            "AND l.number = (SELECT max(number) FROM leaves) AND l.kind = 'disposition' "
            f'AND {field("kind")} = l.kind AND {field("step")} = NEW.step AND {field("by")} = NEW."by" '
            f"AND {field('disposition')} = NEW.disposition "
            f"AND NEW.step IN ({_STEPS}) AND NEW.disposition IN ({_KINDS})) "
            f"OR NOT EXISTS (SELECT 1 FROM {listed} k JOIN breaks b ON b.run = k.run AND b.number = k.number "
            "WHERE k.run = NEW.run AND k.number = NEW.number)",
            "the last leaf of the log does not say so",
        ),
        "incomplete": (
            "EXISTS (SELECT 1 FROM secrets s JOIN secrets o ON o.subject = s.subject AND o.scope = 'break' "
            "JOIN runs r ON r.run = o.run WHERE s.run = NEW.run AND s.number = NEW.number AND s.scope = 'break' "
            f"AND r.environment = (SELECT environment FROM runs WHERE run = NEW.run) AND {unlisted}) "
            "OR EXISTS (SELECT 1 FROM dispositions d JOIN dispositions o ON o.leaf = d.leaf "
            f"WHERE d.run = NEW.run AND d.number = NEW.number AND {unlisted}) "
            f"OR EXISTS (SELECT 1 FROM links o JOIN {listed} n ON n.run = o.of_run AND n.number = o.of_number "
            f"WHERE {unlisted}) "
            f"OR coalesce((SELECT {reads['number'].format('follows')} FROM leaves l WHERE l.number = NEW.leaf), -1) "
            f"<> coalesce((SELECT d.leaf {before}), -1)",
            "its leaf leaves out what is on record of this break",
        ),
        "mixed": (
            f"EXISTS (SELECT 1 FROM {listed} k JOIN runs r ON r.run = k.run "
            "WHERE r.environment <> (SELECT environment FROM runs WHERE run = NEW.run)) "
            f"OR EXISTS (SELECT 1 FROM {listed} k JOIN secrets o ON o.run = k.run AND o.number = k.number "
            f"AND o.scope = 'break' JOIN secrets s ON {named} WHERE o.subject <> s.subject) "
            f"OR EXISTS (SELECT 1 FROM {listed} k WHERE ({own}) <> (SELECT max(d.leaf) {earlier})) "
            # Of a row that was erased only an earlier step or a link can tell of which break it is.
            f"OR ((SELECT count(*) FROM {listed} k) > 1 AND EXISTS (SELECT 1 FROM {listed} k WHERE ({own}) IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM secrets s WHERE s.run = k.run AND s.number = k.number "
            "AND s.scope = 'break') AND NOT EXISTS (SELECT 1 FROM links o WHERE o.run = k.run AND o.number = k.number "
            "OR o.of_run = k.run AND o.of_number = k.number)))",
            "its leaf speaks of several breaks at once",
        ),
        "vague": (
            f"EXISTS (SELECT 1 FROM leaves l WHERE l.number = NEW.leaf AND ((NEW.step <> 'confirmed' "
            f"AND {field('reason')} IS NULL) "
            f"OR ({decides} AND ({blank} OR (NEW.disposition = 'accepted') <> ({control})))))",
            "it lacks its reason or reference, or has a compensating control where it should have none",
        ),
        "of_the_runner": (
            f"NEW.step IN ('disposed', 'proposed', 'confirmed') AND EXISTS (SELECT 1 FROM {listed} k "
            f"JOIN runs r ON r.run = k.run JOIN leaves l ON l.number = r.leaf "
            f'WHERE lower(trim({field("operator")})) = lower(trim(NEW."by")))',
            "who ran it does not dispose of what it found",
        ),
        "no_longer_open": (
            f"{decides} AND EXISTS (SELECT 1 {became} WHERE e.leaf >= {shown})",
            "a later run found what became of this break, nothing of it is open",
        ),
        "again": (
            f"{decides} AND ({stands} OR {waits})",
            "this break is disposed of, or that is proposed, already",
        ),
        "unanswered": (
            f"(NEW.step IN ('confirmed', 'refused') AND NOT {waits}) OR (NEW.step = 'reopened' AND NOT {stands}) "
            f"OR (NOT {decides} AND coalesce((SELECT d.disposition {before}), '') <> NEW.disposition)",
            "nothing of this break stands that could be confirmed, refused or reopened so",
        ),
        "alone": (
            f'NEW.step = \'confirmed\' AND (SELECT lower(trim(d."by")) {before}) = lower(trim(NEW."by"))',
            "who proposed it does not confirm it",
        ),
        "unruled": (
            f"NEW.step = 'disposed' AND EXISTS (SELECT 1 FROM leaves l, {reads['kinds']} "
            "WHERE l.number = (SELECT max(number) FROM leaves WHERE kind = 'ruled') "
            f"AND {reads['kind']} = NEW.disposition)",
            "by the ruling in force this is to be proposed, and confirmed by somebody else",
        ),
    }
