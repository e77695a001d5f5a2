"""Which objects lie in an S3 bucket, and what does it tell of them without reading them?

Keys are listed as they are, a page at a time: to S3 a slash is a letter, and ``a`` and ``a/b`` may both be objects.
Credentials and the endpoint are found as fsspec's s3fs and Amazon's tools find them: environment, profile, role.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from integrity.errors import MissingExtraError, StoreError, did_you_mean
from integrity.stores.left_out import LeftOut
from integrity.stores.remote_tree import Shown, file_system
from integrity.stores.trees import ChangedError, Entry, Octets, UnreadableError
from integrity.trees.digests import etag
from integrity.values import micros

__all__ = ["S3Tree"]

_AT_ONCE: Final = 8
#: What S3 calls a checksum of a whole object, and what it is called here.
_CHECKSUMS: Final = {
    "ChecksumSHA256": "sha256",
    "ChecksumSHA1": "sha1",
    "ChecksumCRC64NVME": "crc64nvme",
    "ChecksumCRC32C": "crc32c",
    "ChecksumCRC32": "crc32",
}
_GONE: Final = ("NoSuchKey", "404", "NotFound")
#: An object that is another one by now.
_OTHER: Final = ("PreconditionFailed", "412")


class S3Tree:
    """The objects of a bucket, or of a folder in it.

    Args:
        url: ``s3://bucket/folder``.

    Raises:
        MissingExtraError: what reaches it is not installed.
        StoreError: it cannot be reached.
    """

    small = -1
    at_once = _AT_ONCE
    declares: Sequence[str] = ("sha256", "sha1", "md5", "crc64nvme", "crc32c", "crc32", "etag")

    def __init__(self, url: str) -> None:
        self._shown = Shown(url)
        self.name = self._shown.name
        self.location = f"tree:{self._shown.location}"
        self.remarks: Sequence[str] = ()
        fs, path = file_system(url, self._shown)
        self._client = _client(fs)
        bucket, _, prefix = path.partition("/")
        self._bucket = bucket
        self._prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""

    def check(self) -> None:
        found = self._asked("list_objects_v2", Prefix=self._prefix, MaxKeys=1)
        if found.get("KeyCount", len(found.get("Contents", ()))) or not self._prefix:
            return
        above, _, name = self._prefix.rstrip("/").rpartition("/")
        near = self._asked("list_objects_v2", Prefix=f"{above}/" if above else "", Delimiter="/")
        names = [each["Prefix"].rstrip("/").rpartition("/")[2] for each in near.get("CommonPrefixes", ())]
        raise StoreError(f"{self._shown.location} holds nothing", did_you_mean(name, names))

    def entries(self) -> Generator[Entry, None, None]:
        left = LeftOut()
        for page in self._pages("list_objects_v2"):
            for item in page.get("Contents", ()):
                below = item["Key"][len(self._prefix) :]
                if item["Key"].endswith("/") and not item["Size"]:
                    left.add("objects only mark a folder, and were left out", item["Key"])
                else:
                    yield self._entry(below, item)
        for page in self._pages("list_multipart_uploads"):
            for item in page.get("Uploads", ()):
                below = item["Key"][len(self._prefix) :]
                yield Entry(below, below.encode(), begun_at=micros(item["Initiated"]))
        self.remarks = left.remarks()

    def _entry(self, below: str, item: Mapping[str, Any]) -> Entry:
        at = micros(item["LastModified"].astimezone(dt.UTC))
        return Entry(
            path=below,
            raw=below.encode(),
            size=item["Size"],
            modified_at=at,
            stored_at=at,
            stamp=(item["Size"], item.get("ETag", ""), at),
        )

    def whole(self, entry: Entry) -> tuple[bytes, tuple[int | str, ...]]:
        raise NotImplementedError  # no file is small where each question takes its time

    @contextmanager
    def open(self, entry: Entry) -> Generator[Octets, None, None]:
        with self._said("opened"):
            answer = self._client.get_object(**self._object(entry))
        with contextlib.closing(answer["Body"]) as body:
            yield _Body(self, body, entry.stamp)

    def where(self, entry: Entry) -> str:
        return f"s3://{self._bucket}/{self._prefix}{entry.path}"

    def declared(self, entry: Entry) -> Mapping[str, str]:
        with self._said("looked at"):
            told = self._client.head_object(**self._object(entry), ChecksumMode="ENABLED")
        digests = {}
        # A checksum of checksums is one of the object's parts, which nobody else cut in the same way.
        if told.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
            for theirs, ours in _CHECKSUMS.items():
                if (value := told.get(theirs)) is not None and "-" not in value:
                    digests[ours] = base64.b64decode(value).hex()
        keyed = told.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in told
        found = (
            None if keyed else etag(told.get("ETag", ""))
        )  # under a key of its own it is a digest of what nobody has
        if found is not None and found[0] == "etag":
            found = etag(told["ETag"], self._part_size(entry))
        if found is not None:
            digests[found[0]] = found[1]
            # Who logged the ETag of an upload at once calls it that; it can be found equal, and proves no difference.
            digests.setdefault("etag", f"?:{found[1]}")
        return digests

    def _part_size(self, entry: Entry) -> int | None:
        """The size of the parts in which an object was uploaded: all but the last one are as long as the first."""
        with self._said("looked at"):
            first = self._client.head_object(**self._object(entry), PartNumber=1)
        size: int | None = first.get("ContentLength")
        # A server that does not know of parts answers with the whole.
        return size if first.get("PartsCount") and size else None

    def _object(self, entry: Entry) -> dict[str, Any]:
        asked = {"Bucket": self._bucket, "Key": self._prefix + entry.raw.decode()}
        return asked | ({"IfMatch": str(entry.stamp[1])} if entry.stamp and entry.stamp[1] else {})

    # --- asking

    def _pages(self, question: str) -> Generator[Mapping[str, Any], None, None]:
        pages = iter(self._client.get_paginator(question).paginate(Bucket=self._bucket, Prefix=self._prefix))
        while True:
            try:
                page = next(pages, None)
            except Exception as error:
                raise self._refused(error) from None
            if page is None:
                return
            yield page

    def _asked(self, question: str, **details: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = getattr(self._client, question)(Bucket=self._bucket, **details)
        except Exception as error:
            raise self._refused(error) from None
        return answer

    def _refused(self, error: Exception) -> StoreError:
        advice = "look at the bucket's name, the credentials and the endpoint (AWS_ENDPOINT_URL)"
        return StoreError(f"{self._shown.location} cannot be listed: {self._shown.safe(error)}", advice)

    @contextmanager
    def _said(self, done: str) -> Generator[None, None, None]:
        try:
            yield
        except Exception as error:
            code = str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))
            if code in _GONE or code in _OTHER:  # what took its place, the next run says
                raise ChangedError from None
            raise UnreadableError(f"cannot be {done}: {self._shown.safe(error)}") from None


class _Body:
    def __init__(self, tree: S3Tree, body: Any, stamp: tuple[int | str, ...]) -> None:
        self._tree, self._body, self._stamp = tree, body, stamp

    def readinto(self, buffer: memoryview, /) -> int:
        with self._tree._said("read"):
            data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def stamp(self) -> tuple[int | str, ...]:
        return self._stamp  # it was asked for by its ETag: what was read is what was listed


def _client(fs: Any) -> Any:
    """A client that any thread may use, with what s3fs was told."""
    try:
        import botocore.session
        from botocore import UNSIGNED
        from botocore.config import Config
    except ImportError:
        raise MissingExtraError("reading s3:// URLs", "s3") from None

    options: dict[str, Any] = {"retries": {"mode": "standard"}, "max_pool_connections": 2 * _AT_ONCE}
    if fs.anon:
        options["signature_version"] = UNSIGNED
    told = dict(fs.client_kwargs)
    if fs.endpoint_url is not None:
        told.setdefault("endpoint_url", fs.endpoint_url)
    return botocore.session.get_session().create_client(
        "s3",
        aws_access_key_id=fs.key,
        aws_secret_access_key=fs.secret,
        aws_session_token=fs.token,
        config=Config(**options | dict(fs.config_kwargs)),
        **told,
    )
