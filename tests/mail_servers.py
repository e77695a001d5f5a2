"""Real IMAP servers for the tests: Dovecot from the system and pymap from a wheel; and lines to them that drop.

Fixtures are defined here and imported where they are used. ``INTEGRITY_TEST_SERVERS=required`` turns the skipping of a
server that is absent into a failure.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.servers import absent

__all__ = ["Proxy", "Server", "dovecot", "dovecot_server", "free_port", "proxy", "pymap", "pymap_server"]

#: Without the space and the percent sign that Dovecot's own settings would take apart.
PASSWORD = 's3:c/r@e"t&'


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@dataclass
class Server:
    """An IMAP server of this machine.

    Attributes:
        port: Where it speaks in clear, and offers STARTTLS if it can.
        password: Of any of its users.
        tls_port: Where it speaks TLS, if it does.
        certificate: What its TLS is to be trusted by.
        folder: Where its users' mails lie, if on disk.
        log: What it has said.
    """

    port: int
    password: str = PASSWORD
    tls_port: int = 0
    certificate: Path = Path()
    folder: Path = Path()
    log: Path = Path()

    def url(
        self, user: str, folder: str = "", *, port: int | None = None, options: str = "", scheme: str = "imap"
    ) -> str:
        fragment = f"#{quote(folder)}" if folder else ""
        secret = quote(self.password, safe="")
        query = f"?{options}" if options else ""
        return f"{scheme}://{quote(user, safe='')}:{secret}@127.0.0.1:{port or self.port}/{query}{fragment}"

    @contextlib.contextmanager
    def client(self, user: str) -> Iterator[Any]:
        """Log in by the library that is not under test here: it fills and changes folders."""
        from imapclient import IMAPClient

        with IMAPClient("127.0.0.1", self.port, ssl=False, timeout=20) as client:
            client.normalise_times = False
            client.login(user, self.password)
            yield client


@dataclass
class Proxy:
    """A line to a server that is cut.

    Attributes:
        target: The server's port.
        after: Octets from the server after which a connection is cut; ``None`` for one that stays.
        cuts: How many connections are cut so; ``None`` for every one.
        on_cut: What happens when one has been.
        port: Where to connect to.
        connections: How many were made.
    """

    target: int
    after: int | None = None
    cuts: int | None = 1
    on_cut: Callable[[], object] = field(default=lambda: None)
    port: int = 0
    connections: int = 0

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            cut = self.after if self.cuts is None or self.cuts > 0 else None
            threading.Thread(target=self._pass_on, args=(client, cut), daemon=True).start()

    def _pass_on(self, client: socket.socket, after: int | None) -> None:
        with client, socket.create_connection(("127.0.0.1", self.target)) as server:
            back = threading.Thread(target=_copy, args=(client, server), daemon=True)
            back.start()
            passed = 0
            with contextlib.suppress(OSError):
                while data := server.recv(65536):
                    if after is not None and passed + len(data) > after:
                        client.sendall(data[: after - passed])
                        if self.cuts is not None:
                            self.cuts -= 1
                        self.on_cut()
                        break
                    client.sendall(data)
                    passed += len(data)
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            back.join(10)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy() -> Iterator[Callable[..., Proxy]]:
    """Makes lines to servers."""
    with contextlib.ExitStack() as stack:

        def make(target: int, after: int | None = None, cuts: int | None = 1) -> Proxy:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            # Closing alone would leave it waiting.
            stack.callback(_shut, listener)
            made = Proxy(target, after, cuts, port=listener.getsockname()[1])
            threading.Thread(target=made.serve, args=(listener,), daemon=True).start()
            return made

        yield make


def _shut(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)


def _wait_for(server: subprocess.Popen[bytes], port: int, what: str, log: Path) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as line:
            line.settimeout(1)
            if line.recv(4):
                return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"{what} did not start: {log.read_text(errors='replace')[-2000:] if log.is_file() else 'no log'}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait(15)


@contextlib.contextmanager
def pymap_server() -> Iterator[Server]:
    """Start pymap, which keeps its mails in memory."""
    if importlib.util.find_spec("pymap") is None:
        absent("pymap (from PyPI)")
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="pymap-"))
    code = "import sys; from pymap.main import main; sys.exit(main())"
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--no-tls", "dict", "--demo-data"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=log, stderr=log, cwd=folder)
    try:
        _wait_for(server, port, "pymap", folder / "log")
        yield Server(port, "demopass", log=folder / "log")
    finally:
        _stop(server)
        shutil.rmtree(folder, ignore_errors=True)


_DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = {ssl}
{certificate}
default_internal_user = {inner}
default_internal_group = {inner_group}
default_login_user = {login}
first_valid_uid = 0
first_valid_gid = 0
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:{folder}/data/mails/%u
mail_max_userip_connections = 100
maildir_stat_dirs = yes
passdb {{
  driver = static
  args = {password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/data/homes/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox "All Mail" {{
    special_use = \\All
  }}
}}
namespace shared {{
  type = public
  separator = /
  prefix = Public/
  location = maildir:{folder}/data/public:INDEXPVT={folder}/data/private/%u
  list = yes
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = {ssl}
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""


def _known(*names: str) -> Any:
    """The first of these users that this machine has."""
    import pwd

    known = {user.pw_name: user for user in pwd.getpwall()}
    return next(known[name] for name in names if name in known)


@contextlib.contextmanager
def dovecot_server() -> Iterator[Server]:
    """Start Dovecot, in a folder with a short name, for sockets have short names."""
    import grp
    import pwd

    daemon = shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin")
    if daemon is None:
        absent("Dovecot (Debian's dovecot-imapd)")
    assert daemon is not None
    folder = Path(tempfile.mkdtemp(prefix="dc-", dir="/tmp"))
    folder.chmod(0o755)
    port, tls_port = free_port(), free_port()
    certificate = folder / "certificate.pem"
    openssl = shutil.which("openssl")
    if openssl is not None:
        subprocess.run(
            [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", str(folder / "key.pem"), "-out", str(certificate)],
            check=True, capture_output=True,
        )  # fmt: skip
    if os.geteuid() == 0:  # it refuses to do its work as root
        inner, login, owner = (_known(*names) for names in (("dovecot", "nobody"), ("dovenull", "nobody"), ("nobody",)))
    else:
        inner = login = owner = pwd.getpwuid(os.geteuid())
    data = folder / "data"
    data.mkdir()
    if os.geteuid() == 0:
        os.chown(data, owner.pw_uid, owner.pw_gid)
    conf = folder / "conf"
    conf.write_text(
        _DOVECOT.format(
            folder=folder,
            ssl="yes" if openssl else "no",
            certificate=f"ssl_cert = <{certificate}\nssl_key = <{folder}/key.pem" if openssl else "",
            inner=inner.pw_name,
            inner_group=grp.getgrgid(inner.pw_gid).gr_name,
            login=login.pw_name,
            uid=owner.pw_uid,
            gid=owner.pw_gid,
            password=f"password={PASSWORD}",
            port=port,
            tls_port=tls_port if openssl else 0,
        )
    )
    with (folder / "out").open("wb") as out:
        server = subprocess.Popen([daemon, "-F", "-c", str(conf)], stdout=out, stderr=out)
    try:
        _wait_for(server, port, "Dovecot", folder / "log")
        yield Server(port, PASSWORD, tls_port if openssl else 0, certificate, data / "mails", folder / "log")
    finally:
        _stop(server)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def pymap() -> Iterator[Server]:
    """A real pymap; its only user is ``demouser``."""
    with pymap_server() as server:
        yield server


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Server]:
    """A real Dovecot; whoever logs in with the password is a user."""
    with dovecot_server() as server:
        yield server
