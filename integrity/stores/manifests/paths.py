"""Which path below the folder described does a name in a manifest mean, and is it one that can lie there?"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field

from integrity.errors import StoreError, UsageError
from integrity.stores.left_out import LeftOut
from integrity.trees.names import is_text, key_of, text_of

__all__ = ["Below", "Named", "Root", "astray", "together"]


@dataclass(frozen=True, slots=True)
class Named:
    """A path below the folder described, and what is wrong with it, in words."""

    path: str
    defects: str | None


@dataclass(frozen=True)
class Root:
    """The folder of which a manifest is asked to tell, as the manifest spells folders.

    Args:
        text: Its path, relative to what the manifest describes, or absolute, if its names are absolute paths.

    Raises:
        UsageError: it leads out of itself.

    Example:
        >>> Root("/srv/drive/").inside("/srv/drive/각/b.txt"), Root("data").inside("database/c")
        ('각/b.txt', None)
    """

    text: str
    parts: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        parts = [part for part in self.text.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise UsageError(f"root={self.text} leads out of itself", "name the folder without '..'")
        object.__setattr__(self, "parts", tuple(key_of(part) for part in parts))

    @property
    def absolute(self) -> bool:
        return self.text.startswith("/")

    def inside(self, path: str) -> str | None:
        """Return the path from here; ``None`` if it lies elsewhere. Two spellings of a name are one folder."""
        parts = path.lstrip("/").split("/") if self.absolute else path.split("/")
        count = len(self.parts)
        if len(parts) <= count or tuple(map(key_of, parts[:count])) != self.parts:
            return None
        return "/".join(parts[count:])


@dataclass(frozen=True)
class Below:
    """What the names of a manifest mean, in one pass.

    Attributes:
        root: Of which folder it is asked to tell; ``None`` is all.
        manifest: What messages call it.
        left: Where it is counted what lies elsewhere.
    """

    root: Root | None
    manifest: str
    left: LeftOut

    def path(self, name: bytes | str) -> Named | None:
        """Return the path of a name; ``None`` if it lies elsewhere.

        Raises:
            StoreError: it is an absolute path, and nobody said below which folder; or none, and somebody did.
        """
        text = text_of(name)
        absolute, path = text.startswith("/"), text.removeprefix("./")
        if absolute and (self.root is None or not self.root.absolute):
            folder = posixpath.dirname(path)
            raise StoreError(
                f"in {self.manifest}, {path!r} is an absolute path",
                f"say below which folder: manifest:…?root={folder}",
            )
        if self.root is not None and self.root.absolute and not absolute:
            raise StoreError(
                f"in {self.manifest}, {path!r} is no absolute path, so nobody knows whether it is in {self.root.text}",
                "name the root as the manifest spells its folders, or leave it out",
            )
        inside = path if self.root is None else self.root.inside(path)
        if inside is None:
            assert self.root is not None
            self.left.add(f"files are not in {self.root.text}, and were left out", path)
            return None
        return Named(inside, together(astray(inside), None if is_text(name) else "its name is not UTF-8"))


def astray(path: str) -> str | None:
    """Return what is wrong with a path below a folder, in words, if no file could lie there.

    Example:
        >>> astray("a/../../b"), astray("a//b"), astray("a/..b")
        ('its path leads out of its folder', 'its path has an empty part', None)
    """
    parts = path.split("/")
    if ".." in parts:
        return "its path leads out of its folder"
    if "" in parts or "." in parts:
        return "its path has an empty part"
    return "its name holds a NUL character" if "\0" in path else None


def together(*defects: str | None) -> str | None:
    """Join what is wrong, where something is."""
    return "; ".join(each for each in defects if each is not None) or None
