"""Who else holds a checkpoint, so that the owner of the ledger cannot rewrite what it vouches for?

A checkpoint is sent to a file or folder, to a web address, or to a time stamping authority (RFC 3161), and a leaf says
to whom and when. It pays only if the other party keeps it where the ledger's owner cannot reach it.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from integrity.errors import IntegrityError, LedgerError, MissingExtraError
from integrity.ledger.checkpoints import Checkpoint
from integrity.ledger.log import last_checkpoint
from integrity.outputs import check_targets, files_of_ledger
from integrity.writing import write_atomically

if TYPE_CHECKING:
    from integrity.ledger.book import Ledger

__all__ = ["send"]

_PATIENCE: Final = 20.0
_STAMP: Final = "rfc3161+"
_LARGEST: Final = 1 << 20  # octets of an answer


def send(ledger: Ledger, target: str, *, party: str | None = None) -> Checkpoint:
    """Send the checkpoint of the whole log, and record who has it.

    Args:
        ledger: Whose.
        target: A file, a folder (in which each checkpoint gets a file of its own), ``http://…`` or ``https://…`` (to
            which it is posted as text), or ``rfc3161+https://…``, a time stamping authority.
        party: Who holds it then, as reports will say; the host, or the file's name, if left out.

    Raises:
        UsageError: it would overwrite the ledger.
        LedgerError: it could not be sent. What was recorded before is.
        MissingExtraError: time stamps need a part that is not installed.
    """
    if names_file(target):
        check_targets({"the checkpoint": target}, files_of_ledger(ledger.database.file))
    with ledger.database.reading() as connection:
        checkpoint = last_checkpoint(connection)
    assert checkpoint is not None, "an open ledger has a leaf"
    receipt = None
    if target.startswith(_STAMP):
        receipt, holder = _stamped(checkpoint, target.removeprefix(_STAMP)), urlsplit(target).hostname
    elif target.startswith(("http://", "https://")):
        _posted(target, checkpoint.text.encode(), "text/plain; charset=utf-8")
        holder = urlsplit(target).hostname
    else:
        _kept(Path(target), checkpoint)
        holder = f"whoever has the file {Path(target).name}"  # its path may say more than the log should
    body = {"size": checkpoint.size, "party": party or holder or target, "receipt": receipt}
    ledger.say("sent", body)
    return checkpoint


def names_file(target: str) -> bool:
    """Tell whether a target is one file: no URL, and no folder, in which each checkpoint gets a file of its own."""
    path = Path(target)
    return "://" not in target and not (path.is_dir() or path.suffix == "" or target.endswith(os.sep))


def _kept(path: Path, checkpoint: Checkpoint) -> None:
    if not names_file(str(path)):
        path = path / f"{checkpoint.origin.replace('/', '-')}-{checkpoint.size:09d}.checkpoint"
    try:
        with contextlib.suppress(OSError):  # what hinders that hinders the writing
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, checkpoint.text)
    except IntegrityError as error:
        raise LedgerError(
            f"the checkpoint could not be kept: {error.problem}", "name a writable place; the run is on record"
        ) from error


def _posted(url: str, octets: bytes, kind: str) -> bytes:
    """Post something and return the answer."""
    host = urlsplit(url).hostname
    request = urllib.request.Request(url, octets, {"Content-Type": kind})  # noqa: S310 - the scheme was looked at
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310
            return bytes(answer.read(_LARGEST))
    except (OSError, ValueError, urllib.error.URLError) as error:
        why = getattr(error, "reason", None) or error
        if isinstance(error, urllib.error.HTTPError):
            why = f"it answers {error.code}"
            error.close()
        raise LedgerError(
            f"the checkpoint could not be sent to {host}: {why}", "see that it can be reached; the run is on record"
        ) from error


def _stamped(checkpoint: Checkpoint, url: str) -> str:
    """Have a checkpoint time-stamped, and return the authority's answer as base64.

    Its imprint and nonce are compared; that its certificate is to be trusted is for whoever verifies it to say.
    """
    try:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder, decode_timestamp_response
    except ImportError as error:
        raise MissingExtraError("time stamps", "timestamp") from error
    from hashlib import sha256

    text = checkpoint.text.encode()
    request = TimestampRequestBuilder().data(text).hash_algorithm(HashAlgorithm.SHA256).nonce(nonce=True).build()
    octets = _posted(url, request.as_bytes(), "application/timestamp-query")
    host = urlsplit(url).hostname
    try:
        answer = decode_timestamp_response(octets)
        token = answer.tst_info
        same = token.message_imprint.message == sha256(text).digest() and token.nonce == request.nonce
    except (ValueError, TypeError) as error:
        raise LedgerError(f"{host} gave no time stamp: {error}", "look at its address") from error
    if not same:
        raise LedgerError(f"{host} stamped something else than the checkpoint", "do not trust it")
    if abs(token.gen_time - dt.datetime.now(dt.UTC)) > dt.timedelta(days=1):
        raise LedgerError(
            f"{host} stamped {token.gen_time.isoformat()}", "one of the two clocks is wrong by more than a day"
        )
    return base64.b64encode(octets).decode()
