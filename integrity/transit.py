"""What may happen to an item on its way, and still leave it the same item?

It may be written differently (a ladder of ever weaker equalities), be added to (a mailing list's footer), go to
several places (a group's members) or be kept more than once (journal copies). Each of these is declared here, by name,
so that it can be counted instead of ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from integrity.part import ColumnName, Part, Refusal, Text, quoted

__all__ = ["MEMBERS", "Addition", "FanOut", "Rung"]

#: How the columns of a store of members are written, for messages.
MEMBERS: Final = "{group: address, member: mailbox, from: since, until: until}"


class Rung(Part):
    """One equality of a ladder: a digest that both sides have, and what it means that it is the strongest equal one.

    Rungs above the one that is content say of an equal pair how much more of it is equal. Rungs below it stand in for
    it where a side does not tell it: like is compared with like, and a pair without a digest in common is unverified.

    Attributes:
        column: The digest. A side that does not have it does not reach this rung. A digest that is only comparable
            with some others says with which before a colon (``8388608:…-3``), or ``?:`` if it does not know: such a one
            can be found equal, never different.
        means: What is then known of the pair, in words.
    """

    column: ColumnName = Field(examples=["raw_sha256"])
    means: Text = Field(examples=["identical in bytes"])


def _target(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9-]*|text/[a-z0-9.+-]+", value):
        raise Refusal(
            f"is a header's name or a text type in lower case, not {quoted(value)}", "write subject or text/plain"
        )
    return value


class Addition(Part):
    """Something that the way adds to an item, and that is taken away before comparing, wherever it is.

    Attributes:
        name: What it is called in the result.
        to: A header, whose beginning it is; ``text/plain``, whose last lines it is; another text type, at whose
            beginning or end it stands, tags aside.
        text: What is added, to the letter.
        reason: Why. An auditor reads it.
    """

    name: Text = Field(examples=["list prefix"])
    to: Annotated[str, BeforeValidator(_target)] = Field(examples=["subject"])
    text: Text = Field(examples=["'[staff] '"])
    reason: Text = Field(examples=["the mailing list adds it, by policy"])


class FanOut(Part):
    """The columns of the store of members: which addresses are groups or aliases, of whom, from when until when.

    Attributes:
        group: The address that was written to.
        member: The mailbox, or another address, that it stands for.
        from_: Since when; written ``from``. Left out, or NULL: since ever.
        until: Until when. Left out, or NULL: for ever.
    """

    group: ColumnName = Field(examples=["address"])
    member: ColumnName = Field(examples=["mailbox"])
    from_: ColumnName | None = Field(default=None, alias="from", examples=["since"])
    until: ColumnName | None = Field(default=None, examples=["until"])

    def contradictions(self) -> Iterator[Refusal]:
        """Yield that a group would be its own member."""
        if self.group == self.member:
            yield Refusal(f"{quoted(self.group)} is the group too", "name the column of its members", ("member",))
