"""Real servers of files for the tests: S3 and SFTP, each from a wheel, on ports of their own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers import absent

KEY, SECRET = "auditor-key", "s3-secret-of-the-tests"
USER, PASSWORD = "auditor", "sftp p@ss/word"


def tool(name: str) -> str:
    """The path of a program that came as a wheel, or of the system's."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        absent(f"{name}, of a wheel,")
    assert found is not None
    return found


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path, **options: Any) -> Iterator[None]:
    """Run a server until it is no longer needed; it is there when its port is."""
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, **options)
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                    break
                if server.poll() is not None:
                    pytest.fail(f"{command[0]} ended: {log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.1)
            else:
                pytest.fail(f"{command[0]} did not start: {log.read_text(errors='replace')[-2000:]}")
            yield
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


@dataclass(frozen=True)
class S3Server:
    """An S3 server, and a client of somebody else's making to fill it."""

    endpoint: str
    client: Any

    def bucket(self, name: str) -> str:
        self.client.create_bucket(Bucket=name)
        return name


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    """SeaweedFS, whose ETags of uploads in parts are those of Amazon's."""
    import botocore.session
    from botocore.config import Config

    folder = Path(tempfile.mkdtemp(prefix="s3-"))
    ports = [free_port() for _ in range(14)]
    names = ["s3.port", "filer.port", "filer.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
             "admin.port", "admin.port.grpc", "webdav.port", "s3.port.grpc", "s3.port.iceberg", "s3.port.lance", "s3.port.https"]  # fmt: skip
    flags = [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    command = [tool("weed"), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *flags]
    endpoint = f"http://127.0.0.1:{ports[0]}"
    client = botocore.session.get_session().create_client(
        "s3", endpoint_url=endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1",
        config=Config(retries={"max_attempts": 1}),
    )  # fmt: skip
    try:
        with running(command, ports[0], folder / "log", env=environment, cwd=folder):
            for _ in range(300):
                with contextlib.suppress(Exception):
                    client.create_bucket(Bucket="first")
                    break
                time.sleep(0.1)
            else:
                pytest.fail(f"S3 did not answer: {(folder / 'log').read_text(errors='replace')[-2000:]}")
            yield S3Server(endpoint, client)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class SftpServer:
    """An SFTP server over a folder."""

    port: int
    root: Path
    known_hosts: Path

    def url(self, folder: str = "") -> str:
        return f"tree:sftp://{USER}@127.0.0.1:{self.port}/{folder}?known_hosts={self.known_hosts}"


@contextlib.contextmanager
def sftp_server(root: Path, folder: Path) -> Iterator[SftpServer]:
    """What rclone serves, under a host key of its own, and without remembering what it listed before."""
    import paramiko

    port = free_port()
    key = paramiko.RSAKey.generate(2048)
    key.write_private_key_file(str(folder / "host_key"))
    known = folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n")
    command = [tool("rclone"), "serve", "sftp", str(root), "--addr", f"127.0.0.1:{port}", "--user", USER, "--pass", PASSWORD,
               "--key", str(folder / "host_key"), "--config", str(folder / "none.conf"), "--links", "--dir-cache-time", "0s"]  # fmt: skip
    with running(command, port, folder / "sftp.log"):
        yield SftpServer(port, root, known)
