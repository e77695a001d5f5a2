"""A digest is what its name says, however its octets are cut, and is never compared with one of another kind."""

from __future__ import annotations

import hashlib
import zlib
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrity.trees import digests

CUTS = st.lists(st.binary(max_size=40), max_size=8)


def crc32c(data: bytes) -> int:
    """Bit by bit, as the polynomial says."""
    value = 0xFFFFFFFF
    for octet in data:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def crc64nvme(data: bytes) -> int:
    value = 2**64 - 1
    for octet in data:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0x9A6C9329AC4BC9B5 if value & 1 else 0)
    return value ^ 2**64 - 1


md5 = partial(hashlib.md5, usedforsecurity=False)


def dumb(name: str, data: bytes) -> str:
    if name == "crc32":
        return f"{zlib.crc32(data):08x}"
    if name == "crc32c":
        return f"{crc32c(data):08x}"
    if name == "crc64nvme":
        return f"{crc64nvme(data):016x}"
    return hashlib.new(name, data).hexdigest()


@pytest.mark.parametrize("name", digests.HEX)
def test_the_octets_count_and_not_how_they_were_cut(name: str) -> None:
    @settings(max_examples=30, deadline=None)
    @given(CUTS)
    def law(pieces: list[bytes]) -> None:
        made = digests.digest(name)
        for piece in pieces:
            made.update(memoryview(piece))
        assert made.hexdigest() == dumb(name, b"".join(pieces))
        assert len(made.hexdigest()) == digests.HEX[name]

    law()


@settings(max_examples=80, deadline=None)
@given(CUTS, st.integers(1, 20))
def test_an_etag_of_parts_is_the_md5_of_their_md5s(pieces: list[bytes], part: int) -> None:
    upload = digests.Multipart(part)
    for piece in pieces:
        upload.update(piece)
    whole = b"".join(pieces)
    parts = [whole[at : at + part] for at in range(0, len(whole), part)] or [b""]
    of_parts = md5(b"".join(md5(each).digest() for each in parts)).hexdigest()
    assert upload.hexdigest() == f"{of_parts}-{len(parts)}"


def test_a_length_says_only_what_is_certain() -> None:
    assert [digests.by_length("a" * count) for count in (64, 128, 96, 40, 32)] == [
        "sha256",
        "sha512",
        "sha384",
        "sha1",
        "md5",
    ]
    assert [digests.by_length("a" * count) for count in (8, 16, 48, 0, 63)] == [None] * 5
    assert digests.by_length("g" * 64) is None


@pytest.mark.parametrize("text", ["", "abc", "g" * 32, "a" * 32 + "-0", "a" * 32 + "-", "a" * 33, '"' + "a" * 31 + '"'])
def test_what_is_no_etag(text: str) -> None:
    assert digests.etag(text) is None


def test_an_etag_of_one_part_is_no_md5() -> None:
    assert digests.etag("a" * 32 + "-1") == ("etag", f"?:{'a' * 32}-1")
    assert digests.etag(f'W/"{"A" * 32}"') == ("md5", "a" * 32)


def test_the_strongest_is_compared() -> None:
    assert digests.strongest(["md5", "crc32", "sha1", "etag"]) == "sha1"
    assert digests.strongest(["quickxor"]) is None
    assert digests.strongest(iter(digests.DIGESTS)) == "sha256"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**43), st.sampled_from([5 << 20, 8 << 20, 16 << 20, 64 << 20, 1 << 30]))
def test_the_size_that_was_chosen_is_among_those_tried(size: int, part: int) -> None:
    parts = max(1, -(-size // part))
    tried = digests.part_sizes(size, parts)
    assert all(max(1, -(-size // each)) == parts for each in tried)
    assert parts == 1 or part in tried
