"""How is a pack written whole and read without trusting it?

A pack is a folder, or a zip of one. It is written beside and put in place when all is there. Read, it may be anything:
names that lead out of it, links, the same name twice and files without end are refused.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from integrity.errors import LedgerError

__all__ = ["PackError", "read", "written"]

#: No file of a pack is larger, and all together are not ten times as large.
_LARGEST: Final = 4 << 30
#: Digests do not shrink: a zip that claims to hold so many times its own size was made to fill the memory.
_BLOWN_UP: Final = 100
_SMALL: Final = 1 << 20
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class PackError(LedgerError):
    """An evidence pack cannot be written, or is none."""


@contextlib.contextmanager
def written(target: Path) -> Iterator[Path]:
    """Give a folder to fill, which becomes the pack, or its zip, when all went well.

    Raises:
        PackError: something is there already, or it cannot be written.
    """
    if target.exists():
        raise PackError(f"{target} is there already", "name another place; packs are not written over")
    beside: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        folder = beside / "pack"
        folder.mkdir()
        yield folder
        if target.suffix == ".zip":
            _zip(folder, beside / "pack.zip")
            (beside / "pack.zip").replace(target)
        else:
            folder.replace(target)
    except OSError as error:
        raise PackError(
            f"cannot write the pack {target}: {error.strerror}", "name a writable place with room"
        ) from error
    finally:
        if beside is not None:
            shutil.rmtree(beside, ignore_errors=True)


def _zip(folder: Path, path: Path) -> None:
    """Zip a folder so that the same files make the same zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(each for each in folder.rglob("*") if each.is_file()):
            info = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _EPOCH)
            info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with archive.open(info, "w", force_zip64=True) as into, file.open("rb") as octets:
                shutil.copyfileobj(octets, into, 1 << 20)


def read(path: Path) -> Mapping[str, bytes]:
    """Return the files of a pack by their names.

    Raises:
        PackError: it is no pack, is damaged, or tries something.
    """
    if not path.exists():
        raise PackError(f"there is no pack at {path}", "look at its name")
    try:
        return _of_folder(path) if path.is_dir() else _of_zip(path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise PackError(f"{path} is no pack: {error}", "take it from where it was sent") from error
    except OSError as error:
        raise PackError(f"cannot read the pack {path}: {error.strerror or error}", "look at its permissions") from error


def _of_folder(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for folder, names, files in os.walk(path):
        for name in (*names, *files):
            each = Path(folder) / name
            if each.is_symlink() or not (each.is_dir() or each.is_file()):
                raise PackError(f"{each.relative_to(path)} in {path} is no plain file", "a pack holds plain files only")
        for name in files:
            each = Path(folder) / name
            _check_size(name, each.stat().st_size)
            found[each.relative_to(path).as_posix()] = each.read_bytes()
    return found


def _of_zip(path: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        claimed = sum(info.file_size for info in infos)
        _check_size("all of it", claimed // 10)
        if claimed > _BLOWN_UP * path.stat().st_size + _SMALL:
            raise PackError(f"{path} says that it holds {claimed:,} octets, more than a pack can", "do not unpack it")
        for info in infos:
            name = PurePosixPath(info.filename)
            link = stat.S_ISLNK(info.external_attr >> 16)
            odd = name.is_absolute() or ".." in name.parts or "\\" in info.filename or "\0" in info.filename
            known = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if link or odd or not known or info.filename in found:
                raise PackError(f"{info.filename!r} in {path} is no plain file of a pack", "do not unpack it")
            if info.is_dir() and not info.file_size:
                continue  # other tools list folders, too, where somebody packed it anew
            _check_size(info.filename, info.file_size)
            with archive.open(info) as octets:
                found[info.filename] = octets.read(info.file_size + 1)
            if len(found[info.filename]) != info.file_size:
                raise PackError(f"{info.filename!r} in {path} is longer than it says", "do not unpack it")
    return found


def _check_size(name: str, size: int) -> None:
    if size > _LARGEST:
        raise PackError(f"{name} of the pack has {size:,} octets", "no pack of ours is so large")
