"""Who vouches for the sender of a mail, and for which domain does it claim to speak?

A server that receives a mail writes down who logged in to send it, or which domain signed it or named its host, in a
header Authentication-Results (RFC 8601). Only the topmost one is read: those below it anybody may have written.
"""

from __future__ import annotations

import re
from email.utils import parseaddr

from integrity.mail.charsets import text8
from integrity.mail.headers import Header, meaning

__all__ = ["authenticated", "from_domain"]

#: So much of a header is read.
_LENGTH = 8_192
_COMMENT = re.compile(r"\([^()]*\)")
_PROPERTY = re.compile(r'([a-z]+)\.([a-z0-9_-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;]+)', re.IGNORECASE)
_METHOD = re.compile(r"^\s*([a-z0-9-]+)(?:/[0-9]+)?\s*=\s*([a-z]+)\b", re.IGNORECASE)


def authenticated(header: Header) -> tuple[str | None, str | None]:
    """Return who sent a mail, as the last server verified it, and how that is known.

    Returns:
        The account that logged in, and ``account``; else a domain that signed the mail (DKIM) or named the host that it
        came from (SPF): ``own domain`` if it is that of the From header or one above it, ``other domain`` if not; else
        nobody. Names are in lower case.

    Example:
        >>> from integrity.mail.headers import read
        >>> said = b"Authentication-Results: mx.example; dkim=pass header.d=example.com\\nFrom: a@news.example.com\\n"
        >>> authenticated(read(said, message=True))
        ('example.com', 'own domain')
    """
    said = header.first(b"authentication-results")
    if said is None:
        return None, None
    text = text8(said[:_LENGTH])
    while (bare := _COMMENT.sub(" ", text)) != text:  # comments nest
        text = bare
    domains: list[str] = []
    for result in text.split(";")[1:]:
        method = _METHOD.match(result)
        if method is None or method[2].lower() != "pass":
            continue
        named = {f"{kind}.{name}".lower(): value.strip('"').lower() for kind, name, value in _PROPERTY.findall(result)}
        match method[1].lower():
            case "auth" if "smtp.auth" in named:
                return named["smtp.auth"], "account"
            case "dkim" if "header.d" in named:
                domains.append(named["header.d"])
            case "dkim" if "header.i" in named:
                domains.append(named["header.i"].rpartition("@")[2])
            case "spf" if "smtp.mailfrom" in named:
                domains.append(named["smtp.mailfrom"].rpartition("@")[2])
    claimed = from_domain(header) or ""
    own = [domain for domain in domains if claimed == domain or claimed.endswith("." + domain)]
    if own:
        return own[0], "own domain"
    return (domains[0], "other domain") if domains else (None, None)


def from_domain(header: Header) -> str | None:
    """Return the domain of the first address of the From header, in lower case."""
    said = header.first(b"from")
    if said is None:
        return None
    _, address = parseaddr(meaning(said[:_LENGTH], addresses=True))
    return address.rpartition("@")[2].strip().lower() or None if "@" in address else None
