"""Which faults leave a content whole, and call it by another name, or by two?"""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from urllib.parse import quote

from integrity.demo.drive.cabinet import Cabinet, Filed, parted
from integrity.demo.drive.fault import (
    Expected,
    FileFault,
    compatible,
    dropped,
    fault,
    in_korean,
    korean,
    named,
    renamed,
)
from integrity.demo.drive.names import decomposed

__all__ = ["FOLDERS", "NAMES", "TWINS"]

# Folders: first, because there are few --------------------------------------------------------------------

FOLDERS: list[FileFault] = []


@fault(FOLDERS, "folder renamed", "all of its files are there, under another path", fits=dropped)
def _folder(cabinet: Cabinet, filed: Filed) -> Expected:
    folder = parted(filed.path.encode())[0]
    whole = [filed]
    while (other := cabinet.take(lambda each: dropped(each) and each.path.encode().startswith(folder))) is not None:
        whole.append(other)
    another = folder[:-1] + " (최종)/".encode()
    for each in whole:
        each.stored[0].raw = another + parted(each.stored[0].raw)[1]
    return [break_ for each in whole for break_ in (("lost", each.path), ("extra", each.stored[0].path))]


# Names ----------------------------------------------------------------------------------------------------

NAMES: list[FileFault] = []


@fault(NAMES, "not UTF-8", "an old server wrote the Korean name in its own octets (CP949)", fits=in_korean)
def _octets(cabinet: Cabinet, filed: Filed) -> Expected | None:
    broken = renamed(cabinet, filed, filed.path.rpartition("/")[2].encode("cp949"))
    return None if broken is None else [*broken, ("invalid", filed.stored[0].path)]


@fault(NAMES, "NFKC", "㈜ became (주), ½ became 1⁄2: another name, however alike", fits=compatible)
def _nfkc(cabinet: Cabinet, filed: Filed) -> Expected:
    # Nearly the same name is what this fault is about.
    (stored,) = filed.stored
    folder, name = parted(filed.path.encode())
    stored.raw = folder + unicodedata.normalize("NFKC", name.decode()).encode()
    return [("lost", filed.path), ("extra", stored.path)]


@fault(NAMES, "case changed", "a file system without capitals was on the way", rate=2, fits=named)
def _case(cabinet: Cabinet, filed: Filed) -> Expected:
    (stored,) = filed.stored
    folder, name = parted(filed.path.encode())
    other = name.decode().lower()
    stored.raw = folder + (other if other != name.decode() else name.decode().upper()).encode()
    return [("lost", filed.path), ("extra", stored.path)]


@fault(NAMES, "percent-encoded", "stored under the name that it had in a URL", fits=korean)
def _quoted(cabinet: Cabinet, filed: Filed) -> Expected | None:
    name = quote(filed.path.rpartition("/")[2])
    return None if len(name) > 250 else renamed(cabinet, filed, name)


@fault(NAMES, "renamed", "in the store only; the log knows nothing of it", rate=2)
def _renamed(cabinet: Cabinet, filed: Filed) -> Expected | None:
    stem, dot, end = filed.path.rpartition("/")[2].rpartition(".")
    return renamed(cabinet, filed, f"{stem} 최종본{dot}{end}")


@fault(NAMES, "misfiled", "whole and in time, in somebody else's folder")
def _misfiled(cabinet: Cabinet, filed: Filed) -> Expected | None:
    return renamed(cabinet, filed, filed.path.rpartition("/")[2], "Users/tom.baker/받은 파일/")


# Two of one name ------------------------------------------------------------------------------------------

TWINS: list[FileFault] = []


def _twin(cabinet: Cabinet, filed: Filed, data: bytes) -> Expected:
    """Store something beside a file, its name in another Unicode form: which of the two is it, then?"""
    (stored,) = filed.stored
    folder, name = parted(stored.raw)
    other = decomposed(name.decode()) if unicodedata.is_normalized("NFC", name.decode()) else filed.path.split("/")[-1]
    at = cabinet.after(stored.at, 1, 9)
    filed.stored.append(replace(stored, raw=folder + other.encode(), data=data, at=at))
    return [("duplicate", filed.path), ("invalid", filed.path), ("invalid", filed.path)]


@fault(TWINS, "masked loss", "one lost, another stored in two spellings: the counts agree", fits=korean)
def _masked(cabinet: Cabinet, filed: Filed) -> Expected | None:
    other = cabinet.take(korean)
    if other is None:
        return None
    lost = [("lost", filed.path)]
    filed.stored.clear()
    return [*lost, *_twin(cabinet, other, other.data)]


@fault(TWINS, "stored in two spellings", "once as Windows spells it, once as a Mac does", fits=korean)
def _twice(cabinet: Cabinet, filed: Filed) -> Expected:
    return _twin(cabinet, filed, filed.data)


@fault(TWINS, "two files, one name", "spelled in two ways, and not the same in content", fits=korean)
def _collision(cabinet: Cabinet, filed: Filed) -> Expected:
    return _twin(cabinet, filed, filed.data + b"\n")


@fault(TWINS, "folder in two spellings", "the same file in both", fits=korean)
def _folders(cabinet: Cabinet, filed: Filed) -> Expected | None:
    (stored,) = filed.stored
    folder, name = parted(stored.raw)
    forms = {unicodedata.normalize(form, folder.decode()) for form in ("NFC", "NFD")} - {folder.decode()}
    if not forms:
        return None
    at = cabinet.after(stored.at, 1, 9)
    filed.stored.append(replace(stored, raw=forms.pop().encode() + name, at=at))
    return [("duplicate", filed.path)]


@fault(TWINS, "copy beside", "a retry thought that it was in conflict with itself", rate=2)
def _conflict(cabinet: Cabinet, filed: Filed) -> Expected | None:
    (stored,) = filed.stored
    folder, name = parted(stored.raw)
    stem, dot, end = name.rpartition(b".")
    copy = replace(stored, raw=folder + stem + " (충돌)".encode() + dot + end, at=cabinet.after(stored.at, 60, 600))
    if not cabinet.free(copy.path):
        return None
    cabinet.strays.append(copy)
    return [("extra", copy.path)]
