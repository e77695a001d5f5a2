"""Which mails are the files of a tree? Each ``.eml`` is one, of the mailbox that its folder is named after."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from integrity.errors import StoreError
from integrity.stores.left_out import LeftOut
from integrity.stores.mailboxes import Mail
from integrity.stores.maildir import read_mail

__all__ = ["EmlFiles"]


class EmlFiles:
    """The ``.eml`` files of a folder and the folders in it, or one such file.

    The mailbox of a file is the path of its folder from the folder given, or that folder's own name.

    Raises:
        StoreError: there is no such folder, or no such file in it.
    """

    def __init__(self, where: str) -> None:
        self._root = Path(where)
        self.name = f"eml files in {self._root.name!r}"
        self.location = f"eml:{self._root.absolute()}"
        self.remarks: Sequence[str] = ()

    def check(self) -> None:
        if not self._root.exists():
            raise StoreError(f"{self._root} is not there", "name a folder of .eml files, or one of them")
        if next(self._found(LeftOut()), None) is None:
            raise StoreError(f"{self._root} holds no file that ends in .eml", "is it a Maildir, or an mbox?")

    def mails(self) -> Generator[Mail, None, None]:
        left = LeftOut()
        root = self._root if self._root.is_dir() else self._root.parent
        for path in self._found(left):
            relative = path.relative_to(root)
            whose = relative.parent.as_posix() if relative.parent.parts else root.absolute().name
            mailbox = whose.encode(errors="backslashreplace").decode()
            try:
                yield read_mail(path, mailbox, "INBOX", str(relative), None)
            except FileNotFoundError:
                left.add("mails were removed while they were read", str(path))
        self.remarks = left.remarks()

    def _found(self, left: LeftOut) -> Iterator[Path]:
        if self._root.is_file():
            yield self._root
            return
        waiting = [self._root]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    inside = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                raise StoreError(f"{folder} cannot be read: {error.strerror}", "look at its permissions") from error
            waiting += [Path(e.path) for e in reversed(inside) if e.is_dir(follow_symlinks=False)]
            for entry in inside:
                if entry.is_symlink():
                    left.add("links were not followed", entry.path)
                elif entry.is_file(follow_symlinks=False):
                    if entry.name.lower().endswith(".eml"):
                        yield Path(entry.path)
                    else:
                        left.add("files that do not end in .eml were left out", entry.path)
