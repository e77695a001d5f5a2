"""How does a notebook get a location whose password it must not keep?

What a notebook is given stands in it: in a cell, in its metadata, and on the page made of it. So it is given the
location with ``***`` where there are secrets, and the kernel in which it runs finds the whole one in its environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final, overload

from integrity.errors import UsageError

__all__ = ["environment", "handed", "shown"]

_HIDDEN: Final = "***"
_PREFIX: Final = "INTEGRITY_"
#: The options whose values may be shown: they say where something is. Of others nobody knows what they hold.
_HARMLESS: Final = frozenset(("host", "port", "user", "dbname", "sslmode", "timeout", "lock_timeout", "lag", "mailbox"))


def shown(location: str) -> str:
    """Return a URL with ``***`` for its password, and for the values of options that may be secret.

    Too much is hidden rather than too little: a password may hold any character.

    Example:
        >>> shown("postgresql://kim:a/b@c@db/books?sslpassword=x#public.orders")
        'postgresql://kim:***@db/books?sslpassword=***#public.orders'
        >>> shown("sqlite:///ledger.db"), shown("C:/a@b:c.csv")
        ('sqlite:///ledger.db', 'C:/a@b:c.csv')
    """
    scheme, mark, rest = location.partition("://")
    if not mark:
        return location
    # Up to the last @, whatever stands between: what looks like a path or a fragment may be the rest of a password.
    rest = re.sub(r"^([^/@:]*):.*@", rf"\1:{_HIDDEN}@", rest, flags=re.DOTALL)
    return scheme + mark + re.sub(r"([?&])([^=&#]*)=([^&#]+)", _option, rest)


def _option(found: re.Match[str]) -> str:
    mark, name, value = found.groups()
    return f"{mark}{name}={value if name in _HARMLESS else _HIDDEN}"


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return what a kernel is told in its environment: the whole of each location that is not shown whole.

    Example:
        >>> environment({"ledger": "postgresql://kim:hush@db/books", "pipeline": "orders"})
        {'INTEGRITY_LEDGER': 'postgresql://kim:hush@db/books'}
    """
    return {f"{_PREFIX}{name.upper()}": each for name, each in given.items() if shown(each) != each}


@overload
def handed(location: str) -> str: ...
@overload
def handed(location: None) -> None: ...
def handed(location: str | None) -> str | None:
    """Return the location that one stands for in which secrets are hidden; any other as it is.

    It is looked for in ``INTEGRITY_LEDGER``, ``INTEGRITY_SOURCE`` and the like.

    Raises:
        UsageError: nothing there is shown so.

    Example:
        >>> handed("ledger.db")
        'ledger.db'
    """
    if location is None or (f":{_HIDDEN}@" not in location and f"={_HIDDEN}" not in location):
        return location
    for name, value in os.environ.items():
        if name.startswith(_PREFIX) and shown(value) == location:
            return value
    raise UsageError(
        f"the password of {location} is not kept in this notebook",
        f"set {_PREFIX}LEDGER to the whole URL, or run it anew",
    )
