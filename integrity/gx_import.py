"""How is Great Expectations imported so that it changes nothing in the process that it comes into?

Its import takes seconds and happens only when a contract or a suite needs it. On its way it says that parts of Python
are deprecated, and sends all warnings of the process to the log from then on: neither is ours to decide.
"""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

__all__ = ["great_expectations", "quietly"]

_NAME = "great_expectations"
_one_at_a_time = threading.Lock()
_imported: list[ModuleType] = []


#: Warnings are the process's own; who changes how they are treated must be alone.
_alone = threading.RLock()


@contextmanager
def quietly() -> Iterator[None]:
    """Let nothing that it, or what it is built on, deprecates become a warning or an error of ours."""
    with _alone, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def great_expectations() -> ModuleType:
    """Return the package, imported once.

    Example:
        >>> great_expectations().__name__
        'great_expectations'
    """
    with _one_at_a_time:
        if not _imported:
            shown = warnings.showwarning
            # Not where somebody else imported it: then its warnings are theirs, and so is what it did to the log.
            quiet = _NAME not in sys.modules
            with warnings.catch_warnings():
                if quiet:
                    warnings.simplefilter("ignore")
                import great_expectations as gx

                if quiet and warnings.showwarning is not shown:
                    logging.captureWarnings(False)
            _imported.append(gx)
        return _imported[0]
