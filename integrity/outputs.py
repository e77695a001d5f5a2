"""May this file be written, without destroying what was read?

An output never overwrites an input or another output: that is refused before anything is read, by where paths lead and
not by how they are spelled. Nor does it come to lie in a folder that is read, where the next run would take it for an
item. And one output that cannot be written keeps none of the others from being written.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl

from integrity.errors import IntegrityError, UnwrittenError, UsageError

__all__ = ["breaks_beside", "check_folders", "check_targets", "files_of_ledger", "target_of", "writing"]

#: What SQLite keeps beside a database.
_BESIDE = ("-wal", "-shm", "-journal")
_DATABASES = ("sqlite", "duckdb")
#: By these parts of a query a store names a file that it writes itself.
_NAMED = ("cache",)
_EXAMPLES = {"html": "report.html", "junit": "junit.xml", "openlineage": "event.json", "prometheus": "metrics.prom"}


def target_of(given: object, what: str) -> Path:
    """Return the file that an output is to be written to.

    Args:
        given: Its path.
        what: What names it, as the person wrote it: ``--html``.

    Raises:
        UsageError: it cannot name a file.
    """
    such = f"such as {_EXAMPLES.get(re.sub('[^a-z]|^to_', '', what), 'result.json')}"
    if not isinstance(given, (str, os.PathLike)) or isinstance(path := os.fspath(given), bytes):
        raise UsageError(f"{what} is the path of a file, not {given!r}", f"write it as text, {such}")
    if not path or path == "." or "\0" in path:
        raise UsageError(f"{what} {path!r} names no file", f"name one, {such}")
    if path == "-":
        raise UsageError(f"{what} - names no file: it is not written to the screen", f"name one, {such}")
    if os.path.isdir(path):
        raise UsageError(f"{what} {path} is a folder", f"name a file in it, {such}")
    return Path(path)


def breaks_beside(json: Path) -> Path:
    """Return the file beside a result's JSON that has its breaks, where there are too many for it."""
    return json.with_name(json.stem + ".breaks.jsonl")


def check_targets(outputs: Mapping[str, object], inputs: Mapping[str, object]) -> dict[str, Path]:
    """Return where outputs are written, and refuse those that would destroy something.

    Args:
        outputs: What names each of them, to its path; ``None`` is none.
        inputs: What is read, such as ``the source``, to its path or URL; what is no local file is passed over.

    Raises:
        UsageError: one cannot name a file, is an input, lies in a folder that is one, or is another output.

    Example:
        >>> check_targets({"--html": "a.csv"}, {"the source": "./a.csv"})
        Traceback (most recent call last):
        integrity.errors.UsageError: --html a.csv would overwrite the source; name another file
    """
    targets = {what: target_of(given, what) for what, given in outputs.items() if given is not None}
    written: dict[str, Path] = {}
    for what, path in targets.items():
        mine = {what: path}
        if what in ("--json", "json", "to_json()"):
            mine[f"what {what} writes beside"] = breaks_beside(path)
        for name, file in mine.items():
            for other, place in ((other, place) for other, given in inputs.items() for place in _places(given)):
                if _same(file, place):
                    raise UsageError(f"{name} {file} would overwrite {other}", "name another file")
                if _lies_in(file, place):
                    raise UsageError(
                        f"{name} {file} lies in {other}, {place}, of which it would be an item", "name another folder"
                    )
            for other, taken in written.items():
                if _same(file, taken):
                    raise UsageError(f"{other} and {name} name the same file, {file}", "name two")
        written |= mine
    return targets


def files_of_ledger(url: str | os.PathLike[str] | None) -> dict[str, object]:
    """Return the files of a ledger, as :func:`check_targets` wants to know them."""
    if url is None:
        return {}
    beside = f"{os.fsdecode(url)}.key"
    return {"the ledger": url, "the ledger's key": os.environ.get("INTEGRITY_LEDGER_KEY") or beside}


def check_folders(targets: Mapping[str, Path]) -> None:
    """Refuse what cannot be written, before a long run.

    Raises:
        UnwrittenError: a folder is not there, or may not be written to.
    """
    for what, path in targets.items():
        folder = path.parent
        if not os.path.isdir(folder):
            raise UnwrittenError(f"cannot write {what} {path}: there is no folder {folder}", "make it first")
        if not os.access(path if os.path.exists(path) else folder, os.W_OK):
            raise UnwrittenError(f"cannot write {what} {path}: that is not allowed here", "name a writable place")


def writing(writers: Iterable[Callable[[], object]]) -> UnwrittenError | None:
    """Write one output after the other, and return what could not be, if anything."""
    failed: list[IntegrityError] = []
    for write in writers:
        try:
            write()
        except IntegrityError as error:
            failed.append(error)
    if not failed:
        return None
    return UnwrittenError("; ".join(error.problem for error in failed), failed[0].advice)


# --- what a path or a URL names
# -----------------------------------------------------------------------------------------------------


def _places(given: object) -> Iterator[Path]:
    """Yield the local files, folders and patterns that a store's path or URL may name."""
    if isinstance(given, Mapping):
        given = given.get("url")
    if not isinstance(given, (str, os.PathLike)) or not (text := os.fsdecode(given)) or "\0" in text:
        return
    for link in text.split("::"):
        scheme, colon, rest = link.partition(":")
        if not colon or len(scheme) < 2 or os.path.exists(link):
            rest = link
        elif scheme.partition("+")[0] in _DATABASES:
            rest = rest.removeprefix("///")
        elif scheme in ("file", "local") or not rest.startswith("//") or rest.startswith("///"):
            rest = rest.removeprefix("//")
        else:
            continue  # it names a host
        bare, _, query = rest.partition("?")
        found = [rest, bare, *(part.partition("#")[0] for part in (rest, bare))]
        found += [value for name, value in parse_qsl(query) if name in _NAMED]
        for path in dict.fromkeys(found):
            if path:
                yield Path(os.path.expanduser(path))
        for path in dict.fromkeys(part.partition("#")[0] for part in (rest, bare)):
            if path and os.path.isfile(path):
                yield from (Path(os.path.expanduser(path) + ending) for ending in _BESIDE)


def _same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file; what is no file of data, as /dev/null is, overwrites nothing."""
    try:
        if one.exists() and not one.is_file():
            return False
        if one.exists() and other.exists():
            return one.samefile(other)
        return _real(one) == _real(other)
    except (OSError, ValueError):
        return False


def _real(path: Path) -> str:
    return os.path.normcase(os.path.realpath(path))


def _lies_in(file: Path, place: Path) -> bool:
    """Whether a file is, or would be, one that a folder or a pattern means."""
    real = Path(_real(file))
    if os.path.isdir(place):
        return Path(_real(place)) in real.parents
    if not glob.has_magic(str(place)) or os.path.exists(place):
        return False
    pattern = Path(_fixed(place)).parts
    return any(_matches(each.parts, pattern) for each in (real, *real.parents))


def _fixed(place: Path) -> str:
    """A pattern whose folders that are no pattern have been followed."""
    parts = Path(os.path.abspath(place)).parts
    fixed = next((n for n, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return os.path.join(_real(Path(*parts[:fixed])), *parts[fixed:])


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[n:], pattern[1:]) for n in range(len(parts) + 1))
    return bool(parts) and fnmatch.fnmatch(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
