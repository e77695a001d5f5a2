"""The command line, called in this process: for what it prints and does, where a process of its own is not the point.

An interpreter of its own, and all that it imports, costs more than most commands; some tests of each command start one
nonetheless, as a person does.
"""

from __future__ import annotations

import contextlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from integrity import cli


@dataclass(frozen=True)
class Called:
    """How a command ended, named as in :class:`subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


def called(place: Path, *arguments: str) -> Called:
    """Call the command line in a folder, with a terminal of 160 columns; nothing but SystemExit may leave it."""
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(place):
        patch.setattr(sys, "stdout", out := io.StringIO())
        patch.setattr(sys, "stderr", err := io.StringIO())
        patch.setenv("COLUMNS", "160")
        patch.delenv("INTEGRITY_DEBUG", raising=False)
        with pytest.raises(SystemExit) as left:
            cli.main(list(arguments))
    code = left.value.code
    assert isinstance(code, int)
    return Called(code, out.getvalue(), err.getvalue())
