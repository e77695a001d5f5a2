"""A name is its octets, shown so that it can be written anywhere, and twins of it are seen."""

from __future__ import annotations

import os
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrity.trees import names


@settings(max_examples=200)
@given(st.binary(max_size=12))
def test_every_name_can_be_written(name: bytes) -> None:
    shown = names.text_of(name)
    shown.encode()
    assert names.is_text(name) is (shown.encode() == name)
    assert names.text_of(os.fsdecode(name)) == shown  # what the system decoded is shown alike
    assert names.is_text(os.fsdecode(name)) is names.is_text(name)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12))
def test_text_stays_as_it_is(name: str) -> None:
    assert names.text_of(name) == names.text_of(name.encode()) == name


def test_nfc_and_never_nfkc() -> None:
    nfd = unicodedata.normalize("NFD", "각서.txt")
    assert nfd != "각서.txt"
    assert names.key_of(nfd) == "각서.txt"
    assert names.key_of("㈜.txt") == "㈜.txt"


def test_spellings_of_one_name() -> None:
    nfd = unicodedata.normalize("NFD", "각")
    assert names.alike(["각", nfd, "나"]) == {"각": ["각", nfd]}
    assert names.alike(["a", "A"]) == {}


def test_names_that_differ_in_case() -> None:
    assert list(names.case_twins(["a", "A", "b", "STRASSE", "straße"])) == [("a", "A"), ("STRASSE", "straße")]
    assert list(names.case_twins(["각", unicodedata.normalize("NFD", "각")])) == []


@pytest.mark.parametrize(
    ("name", "whole"),
    [("a.PART", "a"), ("a.txt.crdownload", "a.txt"), (".part", None), ("part", None), ("a.parts", None)],
)
def test_what_is_not_there_in_full(name: str, whole: str | None) -> None:
    assert names.without_partial(name) == whole
