"""Great Expectations comes in only when it is asked for, and leaves the process as it was."""

from __future__ import annotations

import subprocess
import sys

CALLED = "import sys, integrity; print('great_expectations' in sys.modules, 'integrity.gx' in sys.modules)"
CHANGED = """
import logging, os, socket, threading, warnings

def refuse(*args):
    raise AssertionError("it went to the network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
state = lambda: (logging._warnings_showwarning, warnings.showwarning, list(warnings.filters), dict(os.environ))
import integrity.gx_import
before = state()
threads = [threading.Thread(target=integrity.gx_import.great_expectations) for _ in range(4)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
import integrity.gx
after = state()
print([a == b for a, b in zip(before, after)])
"""


def said(code: str, *flags: str) -> str:
    done = subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_integrity_alone_imports_none_of_it() -> None:
    assert said(CALLED) == "False False"


def test_importing_it_changes_nothing_and_needs_no_network() -> None:
    assert said(CHANGED, "-W", "error") == "[True, True, True, True]"
