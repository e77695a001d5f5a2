"""Which mails does a URL mean?

Options say what cannot be seen: whose the mails are (``?mailbox=alice``, or ``?by=envelope``: those whom the server
wrote down as recipients), that each is a report in which the real one is wrapped (``?unwrap=journal``), and that the
server which holds them stamps what it delivers (``?delivered=received``). Others are of one kind of mailbox.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode

from integrity.errors import StoreError, UsageError, did_you_mean
from integrity.stores.mail import MailStore, Options
from integrity.stores.mailboxes import Mailboxes
from integrity.windows import is_time_zone

__all__ = ["mail_store"]

#: The options of every kind of mailbox, each with the words that it may say; any word, where there are none.
_OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "mailbox": (),
    "by": ("place", "envelope"),
    "unwrap": ("journal",),
    "delivered": ("received",),
}


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
    if zone is not None and not is_time_zone(zone):
        raise UsageError(f"there is no time zone {zone!r}", "use an IANA name such as Asia/Seoul or UTC")
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


def _options(query: str) -> tuple[Options, dict[str, str]]:
    """Split what is asked of every kind of mailbox from what only one knows."""
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    for name, value in pairs:
        if given[name] != value:
            raise UsageError(f"the option {name} is there twice", "leave one of them out")
    own = {name: given.pop(name) for name in _OPTIONS if name in given}
    for name, value in own.items():
        if not value or value not in (_OPTIONS[name] or (value,)):
            such_as = did_you_mean(value, _OPTIONS[name]) if _OPTIONS[name] else f"write for example {name}=kim"
            raise UsageError(f"{name}={value} means nothing", such_as)
    options = Options(**own)
    if options.mailbox is not None and options.by == "envelope":
        raise UsageError("mails are either of one mailbox or of those whom the envelope names", "leave one of them out")
    return options, given


def _none(options: Mapping[str, str], scheme: str, *known: str) -> None:
    for name in options:
        raise UsageError(
            f"a {scheme}: URL has no option {name!r}",
            did_you_mean(name, [*_OPTIONS, *known]),
        )
