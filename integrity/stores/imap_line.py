"""How is a connection to an IMAP server made, and made again when it drops, without telling anyone the password?

An :class:`Account` is what a URL says; a :class:`Line` is a connection to it that is replaced when it drops, as long as
the UIDs of the folder that is open mean what they meant before. Whatever is asked over it only reads, so that it can be
asked again.
"""

from __future__ import annotations

import base64
import contextlib
import imaplib
import importlib
import ipaddress
import os
import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urlsplit

from integrity.errors import ConnectionLostError, MissingExtraError, StoreError, UsageError, did_you_mean

__all__ = ["AT_ONCE", "TEMPORARY", "Account", "Folder", "Line"]

#: Octets that one FETCH asks for.
AT_ONCE = 8 * 2**20
#: What RFC 5530 and Gmail call a refusal that passes by itself.
TEMPORARY = re.compile(r"\[(UNAVAILABLE|INUSE|LIMIT|THROTTLED)\]", re.IGNORECASE)
#: How many UIDs may come in one line: ``imaplib`` takes none that is longer than a million octets.
_LISTED_AT_ONCE = 80_000
#: Seconds to wait before each new attempt to connect, when the line has dropped.
_PAUSES = (0.5, 2.0, 5.0)
#: Seconds to wait for the server's farewell.
_FAREWELL = 5
_OPTIONS = ("timeout", "plain", "ca")

#: All that the library's parsing may stumble over.
_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError)

_T = TypeVar("_T")


class _DroppedError(StoreError):
    """The line is down, or never came up; another attempt may succeed."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder: as the server spells it, and as people read it."""

    raw: bytes
    shown: str


class Account:
    """Whose mails a URL means, where they are, and how they are got at.

    Attributes:
        user: Whose they are.
        folder: The one folder that is meant; empty if all are.
        server: What the server is called in messages.
        location: The URL without password and options.

    Raises:
        UsageError: the URL cannot be read, or has an option that is not known.
    """

    def __init__(self, url: str) -> None:
        bare, _, fragment = url.partition("#")
        bare, _, query = bare.partition("?")
        try:
            parts = urlsplit(bare)
            self._host, self._port = parts.hostname or "", parts.port
        except ValueError:  # its text may quote the password
            raise UsageError("an IMAP URL cannot be read", _HOW) from None
        if parts.scheme not in ("imap", "imaps") or not self._host or not parts.username:
            raise UsageError("an IMAP URL names a user and a host", _HOW)
        if parts.path not in ("", "/"):
            raise UsageError("an IMAP URL has no path", _HOW)
        self._tls = parts.scheme == "imaps"
        self.user = unquote(parts.username)
        self._password = None if parts.password is None else unquote(parts.password)
        self.folder = unquote(fragment)
        self._timeout, self._plain, self._ca = _options(query)
        self._sent = ""  # the password as it was last sent, which nothing that is said may repeat
        host = f"[{self._host}]" if ":" in self._host else self._host
        port = "" if self._port is None else f":{self._port}"
        self.server = f"{parts.scheme}://{host}{port}"
        self.location = f"{parts.scheme}://{quote(self.user, safe='')}@{host}{port}/{fragment and '#' + fragment}"

    def connected(self) -> Any:
        """Return a connection that is logged in.

        Raises:
            StoreError: there is no way in; a :class:`_DroppedError` if a later attempt may find one.
        """
        try:
            from imapclient import IMAPClient
        except ImportError:
            raise MissingExtraError("imap:// URLs", "imap") from None
        client = None
        context = self._context()
        try:
            client = IMAPClient(self._host, self._port, ssl=self._tls, ssl_context=context, timeout=self._timeout)
            # Else every octet received, and the login sent, is written out for a log.
            client._imap.debug = 0
            client.normalise_times = False
            # Names are sent back as they came: some servers spell them in ways that do not survive decoding.
            client.folder_encode = False
            self._secure(client, context)
            self._log_in(client)
        except Exception as error:
            if client is not None:
                _hang_up(client)
            if isinstance(error, StoreError):
                raise
            raise self._no_way_in(error) from None
        return client

    def _context(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._ca)
        except OSError as error:
            raise StoreError(
                f"ca={self._ca} cannot be used: {error.strerror or error}", "name a file of certificates in PEM"
            ) from None

    def _secure(self, client: Any, context: ssl.SSLContext) -> None:
        """Encrypt the line where it leaves this machine, or where it is asked for.

        Raises:
            StoreError: it cannot be, and nobody said that it need not.
        """
        if self._tls:
            return
        wanted = self._ca is not None or not _is_loopback(client.socket())
        if client.has_capability("STARTTLS"):
            if wanted or client.has_capability("LOGINDISABLED"):
                client.starttls(context)
        elif wanted and not self._plain:
            raise StoreError(
                f"{self.server} offers no encryption, and the password would be sent in clear",
                "write imaps://, or ?plain=yes if the network is trusted",
            )

    def _log_in(self, client: Any) -> None:
        password = self._sent = self._secret()
        try:
            if client.has_capability("AUTH=PLAIN"):
                client.plain_login(self.user, password)
            elif re.fullmatch(r"[\w.@+=-]+", self.user, re.ASCII) and password.isascii() and password.isprintable():
                client.login(self.user, password)
            else:
                raise StoreError(
                    f"{self.server} offers no login that can spell the name or the password of {self.user!r}",
                    "use ones of plain ASCII letters",
                )
        except imaplib.IMAP4.error as error:
            cause = error.__context__ if isinstance(error.__context__, imaplib.IMAP4.error) else error
            if isinstance(cause, imaplib.IMAP4.abort):
                raise _DroppedError(f"{self.server} dropped the connection during the login") from None
            said = self.said(cause)
            problem = f"{self.server} refuses the login of {self.user!r}: {said}"
            if TEMPORARY.search(said):
                raise _DroppedError(problem, "run again later") from None
            raise StoreError(problem, "check the user and the password; some servers want an app password") from None

    def _secret(self) -> str:
        """Return the password.

        Raises:
            StoreError: none is to be found.
        """
        password = self._password
        if password is None:
            password = os.environ.get("IMAP_PASSWORD")
        if password is None:
            password = _from_keyring(self._host, self.user)
        if password is None:
            raise StoreError(
                f"there is no password for {self.user!r} at {self.server}",
                f"set IMAP_PASSWORD, or store it with: keyring set imap://{self._host} {self.user}",
            )
        return password

    def _no_way_in(self, error: Exception) -> StoreError:
        """Say in a sentence why there is no connection."""
        advice = "check host and port"
        said = self.said(error)
        if isinstance(error, ssl.SSLCertVerificationError):
            return StoreError(f"{self.server} is not trusted: {said}", _trust(error))
        if isinstance(error, ssl.SSLError) and not isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            return StoreError(f"{self.server} does not speak TLS at this port ({said})", f"{advice}, or write imap://")
        if isinstance(error, TimeoutError):
            return _DroppedError(
                f"{self.server} says nothing within {self._timeout:g} s",
                f"{advice}, imap:// or imaps://, or wait longer with ?timeout=120",
            )
        if isinstance(error, (OSError, UnicodeError)):  # a host's name may be none at all
            return _DroppedError(f"{self.server} cannot be reached: {said}", advice)
        if isinstance(error, imaplib.IMAP4.error) and "BYE" in said:
            return _DroppedError(f"{self.server} turns us away: {said}", "run again later")
        if isinstance(error, imaplib.IMAP4.abort) and "EOF" in said:
            return _DroppedError(f"{self.server} hangs up without a word", advice)
        return StoreError(f"{self.server} does not answer as an IMAP server does", advice)

    def said(self, error: BaseException) -> str:
        """Return the first line of what a server or a library said, without the password."""
        what = error.args[0] if error.args else ""
        if isinstance(error, ssl.SSLCertVerificationError):
            what = error.verify_message
        elif isinstance(error, ssl.SSLError):
            what = error.reason or "the TLS handshake failed"
        elif isinstance(error, OSError):
            what = error.strerror or error
        text = what.decode("utf-8", "replace") if isinstance(what, bytes) else str(what)
        text = text.strip().partition("\n")[0]
        if password := self._sent:
            token = base64.b64encode(f"\0{self.user}\0{password}".encode()).decode()
            escaped = password.replace("\\", "\\\\").replace('"', '\\"')
            spelt = {password, escaped, quote(password, safe=""), token}
            spelt |= {repr(secret.encode())[2:-1] for secret in spelt}  # as Python shows what a server said
            for secret in sorted(spelt, key=len, reverse=True):
                text = text.replace(secret, "***")
        return text[:300] or "without a word"


@dataclass
class Line:
    """A connection that is replaced when it drops, for one pass.

    Attributes:
        account: Whose it is.
        client: The connection as it is now.
        budget: The octets that one FETCH may ask for: fewer where the line drops, so that it gets somewhere.
    """

    account: Account
    client: Any = None
    budget: int = AT_ONCE
    _failures: int = 0
    _busy: bool = False
    _folder: Folder | None = None
    _validity: int | None = None

    def __post_init__(self) -> None:
        try:
            self.client = self.account.connected()
        except _DroppedError as error:  # nothing was had of it yet that would be worth another attempt
            raise StoreError(error.problem, error.advice) from None

    def open(self, folder: Folder) -> list[int]:
        """Open a folder for reading only, and return the UIDs of all of its mails, in ascending order."""
        self._folder = None
        for _ in range(3):
            opened = self.asked(lambda client: client.select_folder(folder.raw, readonly=True), folder.shown)
            count = opened.get(b"EXISTS", 0)
            self._folder, self._validity = folder, opened.get(b"UIDVALIDITY")
            uids = self.asked(partial(_listed, count=count), folder.shown)
            if len(uids) >= count:
                return uids
            self._folder = None  # mails were removed between the two answers, or a list is short: look again
        raise StoreError(
            f"{self.account.server} says that {folder.shown} holds {count} mails, and lists {len(uids)}",
            "run again; if it stays so, the server's index of the folder is damaged",
        )

    def asked(self, question: Callable[[Any], _T], what: str = "") -> _T:
        """Return the answer to a question, put again over a new connection as long as the line drops.

        Args:
            question: Asks the client; what it raises by itself is passed on.
            what: Of which folder it is, for messages.

        Raises:
            ConnectionLostError: the line dropped again and again, and nothing was had in between.
            StoreError: the server refuses to answer, or answers what cannot be read.
        """
        account = self.account
        while True:
            self._busy = True
            try:
                answer = question(self.client)
            except (OSError, imaplib.IMAP4.abort) as error:
                said = account.said(error)
            except imaplib.IMAP4.error as error:
                said = account.said(error)
                if not TEMPORARY.search(said):
                    of = f"{what} of " if what else ""
                    raise StoreError(f"{account.server} refuses to show {of}{account.user}'s mails: {said}") from None
            except _UNREADABLE as error:
                raise StoreError(
                    f"{account.server} answers what cannot be read ({type(error).__name__}: {account.said(error)})"
                ) from None
            else:
                self._busy = False
                self._failures = 0
                self.budget = min(self.budget * 2, AT_ONCE)
                return answer
            self._renew(said)

    def _renew(self, said: str) -> None:
        """Connect anew, and open the folder anew.

        Raises:
            ConnectionLostError: it has been tried often enough.
            StoreError: the folder is not the same any more, or there is no way in for good.
        """
        account, folder = self.account, self._folder
        self.budget = max(self.budget // 4, 2**16)
        _hang_up(self.client)
        while self._failures < len(_PAUSES):
            time.sleep(_PAUSES[self._failures])
            self._failures += 1
            try:
                self.client = account.connected()
                if folder is None:
                    return
                validity = self.client.select_folder(folder.raw, readonly=True).get(b"UIDVALIDITY")
            except _DroppedError as error:
                said = error.problem
            except (OSError, imaplib.IMAP4.abort) as error:
                _hang_up(self.client)
                said = account.said(error)
            except (imaplib.IMAP4.error, *_UNREADABLE) as error:
                _hang_up(self.client)
                said = account.said(error)
                if not TEMPORARY.search(said):
                    raise StoreError(
                        f"{folder and folder.shown} of {account.user} cannot be opened any more: {said}", "run again"
                    ) from None
            else:
                if validity is None or validity != self._validity:
                    raise StoreError(
                        f"the folder {folder.shown} was rebuilt while it was read "
                        f"(UIDVALIDITY {self._validity} → {validity})",
                        "run again",
                    )
                return
        during = f"while {folder.shown} was read" if folder else "while folders were looked for"
        raise ConnectionLostError(
            f"{account.server} dropped the connection {during}, and again {len(_PAUSES)} times: {said}",
            "run again when it is back",
        )

    def close(self) -> None:
        """Take leave, if the server is listening."""
        if not self._busy:
            with contextlib.suppress(Exception):
                self.client.socket().settimeout(_FAREWELL)
                self.client.logout()
        _hang_up(self.client)


_HOW = "write imaps://user@host/#Folder, with %40 for @ and other signs of the user and password percent-encoded too"


def _options(query: str) -> tuple[float, bool, str | None]:
    """Return the seconds to wait, whether a line in clear will do, and the file of certificates."""
    timeout, plain, ca = 60.0, False, None
    for option in filter(None, query.split("&")):
        name, _, value = option.partition("=")
        value = unquote(value)
        if name == "timeout":
            with contextlib.suppress(ValueError):
                timeout = float(value)
            if not re.fullmatch(r"\d+(\.\d+)?", value) or not 0 < timeout < 10**6:
                raise UsageError(f"timeout={value} is no number of seconds", "write ?timeout=60 for a minute")
        elif name == "plain":
            if value not in ("yes", "no"):
                raise UsageError(f"plain={value} is neither yes nor no", "write ?plain=yes or leave it out")
            plain = value == "yes"
        elif name == "ca" and value:
            ca = value
        else:
            raise UsageError(f"no option {unquote(name)!r} of IMAP URLs", did_you_mean(unquote(name), _OPTIONS))
    return timeout, plain, ca


def _from_keyring(host: str, user: str) -> str | None:
    with contextlib.suppress(Exception):  # not installed, locked, or without a back end: then it knows of none
        keyring = importlib.import_module("keyring")
        for service in (f"imap://{host}", host):
            password = keyring.get_password(service, user)
            if isinstance(password, str):
                return password
    return None


def _is_loopback(line: socket.socket) -> bool:
    return ipaddress.ip_address(line.getpeername()[0]).is_loopback


def _trust(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in (62, 64):
        return "write the host as its certificate names it"
    if error.verify_code == 10:
        return "have the certificate renewed"
    return "if it is yours, name the file of its certificate, or of who signed it, with ?ca=PATH"


def _hang_up(client: Any) -> None:
    with contextlib.suppress(Exception):
        client.shutdown()


def _listed(client: Any, count: int) -> list[int]:
    """Return the UIDs of all mails of the open folder."""
    if count <= _LISTED_AT_ONCE:
        return sorted(set(client.search("ALL")))
    # From the end: a mail that is removed meanwhile moves those after it down: they are met twice, not missed.
    found = set(client.search(f"{count - _LISTED_AT_ONCE + 1}:*"))
    for last in range(count - _LISTED_AT_ONCE, 0, -_LISTED_AT_ONCE):
        found.update(client.search(f"{max(last - _LISTED_AT_ONCE + 1, 1)}:{last}"))
    return sorted(found)
