"""Is what a caller gave of the kind that was asked for?

Types say so to a checker; a person at a prompt has none. A plain mistake is a sentence, in every public function alike.
"""

from __future__ import annotations

from collections.abc import Iterable

from integrity.errors import UsageError, did_you_mean

__all__ = ["at_least_one", "one_of", "texts"]


def texts(**given: object) -> None:
    """Refuse what is no text, by the name of its argument.

    Raises:
        UsageError: one is none.

    Example:
        >>> texts(by=None)
        Traceback (most recent call last):
        integrity.errors.UsageError: by is text, not None; write it as text
    """
    for name, value in given.items():
        if not isinstance(value, str):
            # Who has a time zone at hand has it as an object; it knows its own name.
            key = getattr(value, "key", None)
            raise UsageError(
                f"{name} is text, not {value!r}", f"write {key!r}" if isinstance(key, str) else "write it as text"
            )


def at_least_one(**given: int | None) -> None:
    """Refuse a number of things to show that shows none; ``None`` is all of them.

    Raises:
        UsageError: one is below 1.
    """
    for name, value in given.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise UsageError(f"{name} is {value!r}", "ask for at least 1")


def one_of(what: str, given: object, known: Iterable[str]) -> None:
    """Refuse what is none of the words that mean something; ``None``, which is all of them, is none of them.

    Raises:
        UsageError: it is none.

    Example:
        >>> one_of("case", "opne", ["open", "closed"])
        Traceback (most recent call last):
        integrity.errors.UsageError: there is no case 'opne'; did you mean 'open'?
    """
    words = [str(word) for word in known]
    if given is not None and str(given) not in words:
        raise UsageError(f"there is no {what} {given!r}", did_you_mean(str(given), words))
