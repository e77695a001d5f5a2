"""Which files lie on an SFTP server?

The server has to be known (``known_hosts``): who does not look at its key may be shown any files. The password is that
of the URL, of the environment variable ``SFTP_PASSWORD``, or none: then a key or an agent has to do, as with ssh.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from integrity.errors import MissingExtraError, StoreError
from integrity.stores.left_out import LeftOut
from integrity.stores.remote_tree import Shown
from integrity.stores.trees import ChangedError, Entry, Octets, UnreadableError
from integrity.trees.names import without_partial

__all__ = ["SftpTree"]

_AT_ONCE: Final = 4
#: What a server answers at once, and how many such answers are on their way.
_CHUNK: Final = 32_768
_CHUNKS: Final = 64
_TIMEOUT: Final = 30
_KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFLNK: "link",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "pipe",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}


class SftpTree:
    """A folder on an SFTP server.

    Args:
        url: ``sftp://user@host:port/folder``, the path from the server's root.
        known_hosts: A file of host keys, besides ``~/.ssh/known_hosts``.

    Raises:
        MissingExtraError: paramiko is not installed.
        StoreError: the URL names no host.
    """

    small = -1
    at_once = _AT_ONCE
    declares: Sequence[str] = ()

    def __init__(self, url: str, known_hosts: str | None = None) -> None:
        self._shown = Shown(url)
        self.name = self._shown.name
        self.location = f"tree:{self._shown.location}"
        self.remarks: Sequence[str] = ()
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port or 22
        except ValueError:
            raise StoreError(f"{self._shown.location} is no URL", "write sftp://user@host/folder") from None
        if not self._host:
            raise StoreError(f"{self._shown.location} names no host", "write sftp://user@host/folder")
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else os.environ.get("SFTP_PASSWORD")
        self._known_hosts = known_hosts
        self._root = unquote(parts.path).rstrip("/") or "/"
        self._channels = threading.local()
        self._client: Any = None
        self._lock = threading.Lock()

    def check(self) -> None:
        with self._sentences():
            status = self._sftp().stat(self._root)
        if not stat.S_ISDIR(status.st_mode or 0):
            raise StoreError(f"{self._shown.location} is no folder", "name the folder that holds the files")

    def entries(self) -> Generator[Entry, None, None]:
        left, waiting = LeftOut(), [""]
        while waiting:
            below = waiting.pop()
            with self._sentences():
                found = sorted(self._sftp().listdir_attr(f"{self._root}/{below}"), key=lambda each: each.filename)
            folders = []
            for each in found:
                path = below + each.filename
                if stat.S_ISDIR(each.st_mode or 0):
                    folders.append(f"{path}/")
                    continue
                yield self._entry(path, each)
                whole = without_partial(each.filename)
                if whole is not None:
                    yield Entry(below + whole, path.encode(), begun_at=(each.st_mtime or 0) * 1_000_000)
            if not found and below:
                left.add("folders are empty, which no file tells", below)
            waiting += reversed(folders)
        self.remarks = left.remarks()

    def _entry(self, path: str, status: Any) -> Entry:
        kind, target, defects = _KINDS.get(stat.S_IFMT(status.st_mode or 0), "device"), None, None
        if kind == "link":
            try:
                target = (self._sftp().readlink(f"{self._root}/{path}") or "").encode(errors="surrogateescape")
            except Exception as error:
                defects = f"it cannot be read where it leads: {self._shown.safe(error)}"
        return Entry(
            path=path,
            raw=path.encode(),
            kind=kind,
            size=len(target) if target is not None else status.st_size if kind == "file" else None,
            modified_at=None if status.st_mtime is None else status.st_mtime * 1_000_000,
            permissions=f"{stat.S_IMODE(status.st_mode or 0):04o}" if kind != "link" else None,
            owner=f"{status.st_uid}:{status.st_gid}",
            target=target,
            stamp=(status.st_size or 0, status.st_mtime or 0),
            defects=defects,
        )

    def whole(self, entry: Entry) -> tuple[bytes, tuple[int | str, ...]]:
        raise NotImplementedError  # no file is small where each question takes its time

    @contextmanager
    def open(self, entry: Entry) -> Generator[Octets, None, None]:
        try:
            file = self._sftp().open(f"{self._root}/{entry.raw.decode()}", "rb")
        except FileNotFoundError:
            raise ChangedError from None
        except Exception as error:
            raise UnreadableError(f"cannot be opened: {self._shown.safe(error)}") from None
        with contextlib.closing(file):
            yield _SftpFile(file, entry.size or 0, self._shown)

    def where(self, entry: Entry) -> str:
        return f"{self._shown.location.rstrip('/')}/{entry.path}"

    def declared(self, entry: Entry) -> Mapping[str, str]:
        return {}

    # --- the line

    def _sftp(self) -> Any:
        """This thread's own channel: answers on one that is shared would have to wait for each other."""
        if not hasattr(self._channels, "sftp"):
            with self._lock:
                if self._client is None:
                    self._client = self._connected()
                self._channels.sftp = self._client.open_sftp()
        return self._channels.sftp

    def _connected(self) -> Any:
        try:
            import paramiko
        except ImportError:
            raise MissingExtraError("reading sftp:// URLs", "sftp") from None
        client = paramiko.SSHClient()
        client.load_system_host_keys()
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            if self._known_hosts is not None:
                client.load_host_keys(os.path.expanduser(self._known_hosts))
            client.connect(
                self._host, self._port, self._user, self._password, timeout=_TIMEOUT, allow_agent=self._password is None
            )
        except Exception as error:
            client.close()
            raise self._refused(error) from None
        return client

    def _refused(self, error: Exception) -> StoreError:
        where, said = f"{self._host}:{self._port}", self._shown.safe(error)
        if "not found in known_hosts" in said:
            advice = f"look at its key with ssh {self._host} once, or name a file of keys: ?known_hosts=FILE"
            return StoreError(f"the key of {where} is not known", advice)
        if type(error).__name__ == "BadHostKeyException":
            return StoreError(f"the key of {where} is not the one that is known", "ask whoever keeps the server")
        if type(error).__name__ in ("AuthenticationException", "BadAuthenticationType", "SSHException"):
            advice = "set SFTP_PASSWORD, or add a key to your agent"
            return StoreError(f"{where} does not let {self._user or 'you'} in: {said}", advice)
        return StoreError(f"{where} cannot be reached: {said}", "look at the host and the port")

    @contextmanager
    def _sentences(self) -> Generator[None, None, None]:
        try:
            yield
        except (StoreError, MissingExtraError):
            raise
        except FileNotFoundError:
            raise StoreError(
                f"{self._shown.location} is not there", "look at the path from the server's root"
            ) from None
        except UnicodeDecodeError:
            problem = f"a name in {self._shown.location} is not UTF-8, which cannot be read by SFTP here"
            raise StoreError(problem, "rename it, or compare on the server itself") from None
        except Exception as error:
            raise StoreError(f"{self._shown.location} cannot be listed: {self._shown.safe(error)}") from None


class _SftpFile:
    def __init__(self, file: Any, size: int, shown: Shown) -> None:
        self._file, self._size, self._shown = file, size, shown
        self._at = 0

    def readinto(self, buffer: memoryview, /) -> int:
        try:
            wanted = min(len(buffer), self._size - self._at, _CHUNK * _CHUNKS)
            if wanted <= 0:  # there should be nothing more; if there is, it has grown
                data = self._file.read(len(buffer))
            else:
                chunks = [(self._at + at, min(_CHUNK, wanted - at)) for at in range(0, wanted, _CHUNK)]
                data = b"".join(self._file.readv(chunks))
                self._file.seek(self._at + len(data))
        except Exception as error:
            raise UnreadableError(f"cannot be read: {self._shown.safe(error)}") from None
        self._at += len(data)
        buffer[: len(data)] = data
        return len(data)

    def stamp(self) -> tuple[int | str, ...]:
        try:
            status = self._file.stat()
        except Exception as error:
            raise UnreadableError(f"cannot be looked at: {self._shown.safe(error)}") from None
        return status.st_size or 0, status.st_mtime or 0
