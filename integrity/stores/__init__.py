"""Which store does a URL, a path or a table in memory mean?

:func:`open_store` is the door; behind it is a module for each kind of place. Of what they need only pyarrow
is loaded before it is used.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points

from integrity.errors import IntegrityError, StoreError
from integrity.stores.base import CHUNK_ROWS, Span, Store
from integrity.stores.files import FilesStore
from integrity.stores.frames import frame_store
from integrity.stores.sql import SqlStore, sql_store, store_of

__all__ = ["CHUNK_ROWS", "Span", "SqlStore", "Store", "open_store"]

_PLUGINS = "integrity.stores"
#: The schemes of mail, and of trees of files.
MAIL = ("maildir", "mbox", "eml", "imap", "imaps")
TREES = ("tree", "manifest")
_SQL = ("sqlite", "postgresql", "mysql", "mariadb", "duckdb", "oracle", "mssql")


def open_store(where: object) -> Store:
    """Return the store that this means.

    Args:
        where: A :class:`Store`, which is returned as it is; a pandas, Polars or Arrow table; a path, folder,
            glob pattern or fsspec URL of Parquet, CSV, JSON Lines or Arrow files; a SQLAlchemy URL with
            ``#table`` or ``#schema.table``, or ``{"url": …, "query": "SELECT …"}``; mails, as ``maildir:PATH``,
            ``mbox:PATH``, ``eml:PATH`` or ``imaps://user@host/#INBOX``; files themselves, as ``tree:PATH`` or
            ``tree:s3://bucket/folder``, and what claims to describe some, as ``manifest:PATH``; or a URL whose scheme
            somebody registered under the entry-point group ``integrity.stores``.

    Raises:
        StoreError: nothing is there, or nothing that can be read; the message says what to write instead.
        MissingExtraError: what reads it is not installed.

    Example:
        >>> import pyarrow as pa
        >>> open_store(pa.table({"message_id": ["m1"]})).columns()
        ['message_id']
    """
    if isinstance(where, (str, os.PathLike)):
        path = os.fspath(where)
        return _named(path if isinstance(path, str) else os.fsdecode(path))
    if isinstance(where, Mapping):
        return store_of(where)
    # Tables first: a pandas frame with the columns "name", "location" and "stream" looks like a Store.
    store = frame_store(where)
    if store is not None:
        return store
    if isinstance(where, Store) and not isinstance(where, type):  # a class has its methods too
        return where
    raise StoreError(
        f"a {type(where).__module__}.{type(where).__qualname__} is no store",
        "pass a URL, a path, or a pandas, Polars or Arrow table",
    )


def _named(text: str) -> Store:
    # One letter is the drive of a Windows path; and a file may have a colon in its name.
    url = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", text)
    if url is None or os.path.exists(text):
        database = re.fullmatch(r"(?is)(.+\.(?:db|sqlite|sqlite3))(#.*)?", text)
        if database is not None and not (database[2] and os.path.exists(text)):
            raise StoreError(
                f"{database[1]!r} is the path of a database, not of a table",
                f"write 'sqlite:///{database[1]}{database[2] or '#table'}'",
            )
        return FilesStore(text)
    scheme = url[1].lower()
    text = scheme + text[url.end(1) :]
    if scheme in MAIL:
        from integrity.stores.mail_url import mail_store

        return mail_store(text)
    if scheme in TREES:
        from integrity.stores.tree_url import manifest_store, tree_store

        return (tree_store if scheme == "tree" else manifest_store)(text)
    dialect = scheme.partition("+")[0]
    if dialect in _SQL:
        return sql_store(text)
    plugins = entry_points(group=_PLUGINS, name=scheme)
    if plugins:
        return _plugged(list(plugins), text)
    if dialect in entry_points(group="sqlalchemy.dialects").names:
        return sql_store(text)
    import fsspec

    protocols = set(fsspec.available_protocols())
    if scheme in protocols:
        return FilesStore(text)
    own = sorted({*_SQL, *MAIL, *TREES, *entry_points(group=_PLUGINS).names})
    near = difflib.get_close_matches(scheme, {*own, *protocols}, n=1, cutoff=0.75)
    raise StoreError(
        f"there are no {scheme}: stores",
        f"did you mean {near[0]}: ?"
        if near
        else f"there are {', '.join(own)}, and those of fsspec: file, s3, gs, abfs, https and others",
    )


def _plugged(plugins: list[EntryPoint], text: str) -> Store:
    """Open the URL by what somebody else registered for its scheme."""
    plugin = plugins[0]
    if len({other.value for other in plugins}) > 1:
        raise StoreError(
            f"{' and '.join(sorted(other.value for other in plugins))} both open {plugin.name}: URLs",
            "uninstall one of them",
        )
    try:
        store = plugin.load()(text)
    except IntegrityError:
        raise
    except Exception as error:
        raise StoreError(f"{plugin.value}, which opens {plugin.name}: URLs, failed: {type(error).__name__}") from error
    if not isinstance(store, Store):
        raise StoreError(f"what {plugin.value} opens is no store", "see integrity.stores.Store")
    return store
