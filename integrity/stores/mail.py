"""What is a mailbox as rows? One for each mail and mailbox, with the rungs of its ladder as columns.

The mails come from :class:`~integrity.stores.mailboxes.Mailboxes`, what is in them from :mod:`integrity.mail`.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import polars as pl
import pyarrow as pa

from integrity.mail.journal import Journalled, unwrapped
from integrity.mail.rungs import climb
from integrity.stores.base import Span
from integrity.stores.mailboxes import Mail, Mailboxes
from integrity.stores.showing import ShownStore
from integrity.transit import Addition

__all__ = ["MailStore", "Options"]

#: Text as Arrow has always had it, which every reader of a store knows.
_COPIED: Final = pl.CompatLevel.oldest()
_MOMENT: Final = pa.timestamp("us", "UTC")
#: What a row of a mail store holds. Times are UTC.
#:
#: - ``mailbox``: whose it is (a list of addresses where the envelope says it); ``folder``: where in it.
#: - ``message_id``: the Message-ID with its brackets; of a mail that has none, ``mime:`` and its content's digest.
#: - the ladder: ``raw_sha256``, ``crlf_sha256``, ``relaxed_sha256``, ``mime_sha256``; and ``mime_tree``, which names
#:   the headers and parts that the last one is made of, each with a digest.
#: - ``accepted_at``: what the topmost Received header says, else the store. ``delivered_at``: what the store says (the
#:   name of a Maildir's file, the From line of an mbox), and with ``?delivered=received`` else the topmost Received
#:   header. Both are times of servers.
#:   ``sent_at`` is the Date header, and ``internal_date`` what IMAP calls so: clients choose these.
#: - ``authenticated_as``, ``authenticated_by``: who sent it, as the last server verified it (RFC 8601), and how that is
#:   known; ``from_domain``: the domain that it claims to come from. Of what was journaled, those of the mail itself.
#: - ``defects``: what is wrong with it, in words. Such a mail is invalid, and has digests all the same.
_COLUMNS: Final[dict[str, pa.DataType]] = {
    "mailbox": pa.string(),
    "folder": pa.string(),
    "message_id": pa.string(),
    "raw_sha256": pa.string(),
    "crlf_sha256": pa.string(),
    "relaxed_sha256": pa.string(),
    "mime_sha256": pa.string(),
    "mime_tree": pa.string(),
    "size_bytes": pa.int64(),
    "sent_at": _MOMENT,
    "accepted_at": _MOMENT,
    "delivered_at": _MOMENT,
    "internal_date": _MOMENT,
    "authenticated_as": pa.string(),
    "authenticated_by": pa.string(),
    "from_domain": pa.string(),
    "defects": pa.string(),
    "path": pa.string(),
}
_ROWS = 512  # a mail costs more than a row of a table: a chunk should not take seconds


@dataclass(frozen=True)
class Options:
    """What has to be said of mails, because it cannot be seen.

    Attributes:
        mailbox: Whose they all are; ``None``: as ``by`` says.
        by: ``"place"``, or ``"envelope"``.
        unwrap: ``"journal"``, if each is a journal report.
        delivered: ``"received"``, if the server that holds them stamps a Received header when it delivers.
    """

    mailbox: str | None = None
    by: str = "place"
    unwrap: str | None = None
    delivered: str | None = None


class MailStore(ShownStore):
    """Mails as rows.

    Args:
        mailboxes: Where they lie.
        options: Whose they are, and whether they are wrapped.
        additions: What is taken away from each mail before it is described.

    Attributes:
        defects: The column that says what is wrong with a mail.
    """

    defects = "defects"

    def __init__(
        self, mailboxes: Mailboxes, options: Options | None = None, additions: Sequence[Addition] = ()
    ) -> None:
        self._mailboxes, self._options, self._additions = mailboxes, options or Options(), tuple(additions)
        self._found: Counter[str] = Counter()
        mailboxes.check()

    @property
    def name(self) -> str:
        return self._mailboxes.name

    @property
    def location(self) -> str:
        return self._mailboxes.location

    @property
    def remarks(self) -> Sequence[str]:
        """What has to be said of the last pass."""
        taken = [f"{name!r} was taken off {count:,} mails" for name, count in sorted(self._found.items())]
        return [*self._mailboxes.remarks, *taken]

    def columns(self) -> Sequence[str]:
        return list(_COLUMNS)

    def types(self) -> Mapping[str, pa.DataType]:
        several = {"mailbox": pa.list_(pa.string())} if self._options.by == "envelope" else {}
        return {**_COLUMNS, **several}

    def without(self, additions: Sequence[Addition]) -> MailStore:
        """Return the same mails, described as if these had not been added on the way."""
        return MailStore(self._mailboxes, self._options, additions)

    def stream(self, columns: Sequence[str], span: Span | None = None) -> Iterator[pa.RecordBatch]:
        """Yield a row a mail; mails have no index by time, so that all of them are read whatever is asked."""
        self._found.clear()
        yield from self._batches(columns, None)

    def head(self, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Yield the first mails."""
        yield from self._batches(columns, rows)

    def _batches(self, columns: Sequence[str], rows: int | None) -> Iterator[pa.RecordBatch]:
        types = self.types()
        with contextlib.closing(self._mailboxes.mails()) as mails:
            first = islice(mails, rows)
            while chunk := [self._row(mail) for mail in islice(first, _ROWS)]:
                arrays = [_array([row.get(name) for row in chunk], types[name]) for name in columns]
                yield pa.RecordBatch.from_arrays(arrays, names=list(columns))

    def _row(self, mail: Mail) -> dict[str, Any]:
        row: dict[str, Any] = {
            "mailbox": self._options.mailbox or mail.mailbox,
            "folder": mail.folder,
            "path": mail.where.encode(errors="backslashreplace").decode(),
            "internal_date": mail.internal_date,
        }
        if mail.gone is not None:
            return row | {"defects": mail.gone, "mailbox": self._whose(row, ())}
        report: Journalled | None = None
        defects = []
        if self._options.unwrap is not None:
            report = unwrapped(mail.data)
            if report is None:
                defects.append("not a journal report")
            elif report.defects is not None:
                defects.append(f"the report: {report.defects}")
        rungs = climb(mail.data if report is None else report.data, self._additions)
        self._found.update(rungs.added)
        if rungs.defects is not None:
            defects.append(rungs.defects)
        # When the report came: the mail in it tells of its own way.
        received = rungs.received_at if report is None else report.received_at
        recipients = rungs.recipients if report is None else report.recipients
        return row | {
            "mailbox": self._whose(row, recipients),
            "message_id": rungs.message_id,
            "raw_sha256": rungs.raw_sha256,
            "crlf_sha256": rungs.crlf_sha256,
            "relaxed_sha256": rungs.relaxed_sha256,
            "mime_sha256": rungs.mime_sha256,
            "mime_tree": rungs.mime_tree,
            "size_bytes": rungs.size,
            "sent_at": rungs.sent_at,
            "authenticated_as": rungs.authenticated_as,
            "authenticated_by": rungs.authenticated_by,
            "from_domain": rungs.from_domain,
            "accepted_at": mail.stored_at if received is None else received,
            "delivered_at": self._delivered(mail, received),
            "defects": "; ".join(defects) or None,
        }

    def _delivered(self, mail: Mail, received: int | None) -> int | None:
        # A server that stamps nothing when it delivers leaves the Received header of the one before it on top: taken
        # for the moment of delivery, it would make every mail punctual.
        if mail.stored_at is not None or self._options.delivered is None:
            return mail.stored_at
        return received

    def _whose(self, row: Mapping[str, Any], recipients: Sequence[str]) -> Any:
        if self._options.by == "place":
            return row["mailbox"]
        return list(recipients) or None


def _array(values: list[Any], arrow_type: pa.DataType) -> pa.Array[Any]:
    # By Polars, because pyarrow loads pandas to look at Python's values.
    if arrow_type == _MOMENT:
        return pl.Series(values, dtype=pl.Int64).cast(pl.Datetime("us", "UTC")).to_arrow()
    kinds = {pa.string(): pl.String, pa.int64(): pl.Int64}
    return pl.Series(values, dtype=kinds.get(arrow_type, pl.List(pl.String))).to_arrow(compat_level=_COPIED)
