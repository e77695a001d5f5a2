"""What is a mailbox as rows? One for each mail and mailbox, with the rungs of its ladder as columns.

The mails come from :class:`~integrity.stores.mailboxes.Mailboxes`, what is in them from :mod:`integrity.mail`. Options
of the URL say what cannot be seen: whose the mails are (``?mailbox=alice``, or ``?by=envelope``: those whom the server
wrote down as recipients), and that each is a report in which the real one is wrapped (``?unwrap=journal``).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl
import pyarrow as pa

from integrity.errors import StoreError, UsageError, did_you_mean
from integrity.mail.journal import Journalled, unwrapped
from integrity.mail.rungs import climb
from integrity.stores.base import Span
from integrity.stores.mailboxes import Mail, Mailboxes
from integrity.transit import Addition

__all__ = ["MailStore", "mail_store"]

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
    "defects": pa.string(),
    "path": pa.string(),
}
_ROWS = 512  # a mail costs more than a row of a table: a chunk should not take seconds
_BY = ("place", "envelope")
_UNWRAP = ("journal",)


@dataclass(frozen=True)
class _Options:
    """What a URL says of its mails.

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


class MailStore:
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
        self, mailboxes: Mailboxes, options: _Options | None = None, additions: Sequence[Addition] = ()
    ) -> None:
        self._mailboxes, self._options, self._additions = mailboxes, options or _Options(), tuple(additions)
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


# ---- which mailboxes does a URL mean? ----------------------------------------------------------------------


def _maildir(where: str, options: Mapping[str, str]) -> Mailboxes:
    from integrity.stores.maildir import Maildirs

    _none(options, "maildir")
    return Maildirs(where)


def _mbox(where: str, options: Mapping[str, str]) -> Mailboxes:
    from integrity.stores.mbox import FORMATS, Mboxes

    form = options.get("format", "mboxrd")
    if form not in FORMATS:
        raise UsageError(f"there is no mbox format {form!r}", did_you_mean(form, FORMATS))
    zone = options.get("timezone")
    if zone is not None:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise UsageError(f"there is no time zone {zone!r}", "use an IANA name such as Asia/Seoul or UTC") from None
    known = ("format", "timezone")
    _none({name: value for name, value in options.items() if name not in known}, "mbox", *known)
    return Mboxes(where, form, zone)


def _eml(where: str, options: Mapping[str, str]) -> Mailboxes:
    from integrity.stores.eml import EmlFiles

    _none(options, "eml")
    return EmlFiles(where)


#: What opens each scheme whose URL is a path.
_PLACES: Final[dict[str, Callable[[str, Mapping[str, str]], Mailboxes]]] = {
    "maildir": _maildir,
    "mbox": _mbox,
    "eml": _eml,
}


def mail_store(url: str) -> MailStore:
    """Return the mails of a URL: ``maildir:PATH``, ``mbox:PATH``, ``eml:PATH``, ``imaps://user@host/#INBOX``.

    Raises:
        UsageError: an option cannot be meant.
        StoreError: nothing is there.
    """
    scheme, _, rest = url.partition(":")
    if scheme in _PLACES:
        parted = re.fullmatch(r"(?s)(.*?)(?:\?((?:[A-Za-z]+=[^?&]*)(?:&[A-Za-z]+=[^?&]*)*))?", rest)
        assert parted is not None
        where = parted[1]
        if where.startswith("//"):  # maildir:///var/mail, as people write URLs
            where = where[2:]
        if not where:
            raise StoreError(f"{url!r} names no place", f"write for example {scheme}:/var/mail/acme")
        options, others = _options(parted[2] or "")
        try:
            return MailStore(_PLACES[scheme](os.path.expanduser(where), others), options)
        except OSError as error:  # a path that no system could have
            raise StoreError(f"{where[:200]!r} is no path: {error.strerror}", "write the path of your mails") from error
    from integrity.stores.imap import ImapMailboxes

    before, query, after = re.fullmatch(r"(?s)([^?#]*)(?:\?([^#]*))?(#.*)?", url).groups()  # type: ignore[union-attr]
    options, others = _options(query or "")
    rest = f"?{urlencode(others)}" if others else ""
    return MailStore(ImapMailboxes(f"{before}{rest}{after or ''}"), options)


def _options(query: str) -> tuple[_Options, dict[str, str]]:
    """Split what is asked of every kind of mailbox from what only one knows."""
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    for name, value in pairs:
        if given[name] != value:
            raise UsageError(f"the option {name} is there twice", "leave one of them out")
    mailbox, by, unwrap = given.pop("mailbox", None), given.pop("by", "place"), given.pop("unwrap", None)
    delivered = given.pop("delivered", None)
    if by not in _BY:
        raise UsageError(f"mails cannot be told by {by!r}", did_you_mean(by, _BY))
    if unwrap is not None and unwrap not in _UNWRAP:
        raise UsageError(f"{unwrap!r} cannot be unwrapped", did_you_mean(unwrap, _UNWRAP))
    if mailbox == "":
        raise UsageError("mailbox= names nobody", "write for example mailbox=kim")
    if delivered not in (None, "received"):
        raise UsageError(f"there is no moment of delivery {delivered!r}", "write delivered=received, or leave it out")
    if mailbox is not None and by == "envelope":
        raise UsageError("mails are either of one mailbox or of those whom the envelope names", "leave one of them out")
    return _Options(mailbox, by, unwrap, delivered), given


def _none(options: Mapping[str, str], scheme: str, *known: str) -> None:
    for name in options:
        raise UsageError(
            f"a {scheme}: URL has no option {name!r}",
            did_you_mean(name, ["mailbox", "by", "unwrap", "delivered", *known]),
        )
