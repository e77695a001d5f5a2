"""Suites that Great Expectations has saved: what they hold becomes part of the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import integrity
from integrity import Contract, ContractError
from integrity.gx_import import great_expectations
from tests.conftest import frame, message
from tests.test_reconcile_laws import without_self_test

gx = great_expectations()

NOTE = "name: note\nversion: 1\nidentity: [message_id]\ncontent: {body: text}\n"
IN_SET = {"expect_column_values_to_be_in_set": {"column": "body", "value_set": ["a", "b"]}}
UNIQUE = {"expect_column_values_to_be_unique": {"column": "message_id"}}
OLD = {
    "data_asset_type": "Dataset",
    "expectation_suite_name": "old",
    "expectations": [
        {"expectation_type": name, "kwargs": kwargs, "meta": {"notes": "by kim"}}
        for each in (IN_SET, UNIQUE)
        for name, kwargs in each.items()
    ],
    "meta": {"great_expectations_version": "0.18.22"},
}


def saved(folder: Path, suite: Any, name: str = "suites/note.json") -> Path:
    file = folder / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(suite if isinstance(suite, str) else json.dumps(suite), encoding="utf-8")
    return file


def contract(folder: Path, entry: str = "{suite: suites/note.json}") -> Contract:
    (folder / "note.yaml").write_text(f"{NOTE}validity: [{entry}]\n", encoding="utf-8")
    return Contract.from_yaml(folder / "note.yaml")


def suite(*expectations: Any) -> Any:
    return gx.ExpectationSuite("note", expectations=list(expectations)).to_json_dict()


def in_set(**more: Any) -> Any:
    return gx.expectations.ExpectColumnValuesToBeInSet(column="body", value_set=["a", "b"], **more)


def unique(**more: Any) -> Any:
    return gx.expectations.ExpectColumnValuesToBeUnique(column="message_id", **more)


def forms(made: Contract) -> list[dict[str, Any]]:
    return [dict(each) for each in made._form()["validity"]]


@pytest.mark.parametrize("which", ["new", "old"])
def test_what_a_suite_holds_is_what_the_contract_says(which: str, tmp_path: Path) -> None:
    saved(tmp_path, OLD if which == "old" else suite(in_set(notes="by kim", meta={"id": 7}), unique()))
    made = contract(tmp_path)
    assert forms(made) == [IN_SET, UNIQUE]
    written = Contract.from_text(NOTE + f"validity: {json.dumps([IN_SET, UNIQUE])}\n")
    assert (made, made.sha256) == (written, written.sha256)
    assert Contract.from_text(made.to_yaml()) == made  # without the file


def test_a_suite_stands_among_expectations_and_other_suites(tmp_path: Path) -> None:
    saved(tmp_path, suite(in_set()))
    saved(tmp_path, suite(unique()), "other.json")
    made = contract(
        tmp_path, "{suite: other.json}, {expect_column_to_exist: {column: body}}, {suite: suites/note.json}"
    )
    assert forms(made) == [UNIQUE, {"expect_column_to_exist": {"column": "body"}}, IN_SET]


def test_what_stands_beside_it_is_said_of_all_of_it(tmp_path: Path) -> None:
    saved(tmp_path, suite(in_set(severity="info"), unique()))
    assert [each.severity for each in contract(tmp_path).validity] == ["info", "critical"]
    made = contract(tmp_path, "{suite: suites/note.json, side: source, severity: warning, over: run}")
    assert [(each.side, each.severity, each.over) for each in made.validity] == [("source", "warning", "run")] * 2


def test_its_path_is_relative_to_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, suite(in_set()))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert forms(contract(tmp_path)) == [IN_SET]
    with pytest.raises(ContractError, match=r"the suite suites/note\.json cannot be read"):
        Contract.from_text(NOTE + "validity: [{suite: suites/note.json}]\n")  # text lies nowhere but here
    saved(tmp_path / "elsewhere", suite(unique()))
    assert forms(Contract.from_text(NOTE + "validity: [{suite: suites/note.json}]\n")) == [UNIQUE]


def test_an_absolute_path_is_one(tmp_path: Path) -> None:
    file = saved(tmp_path, suite(in_set()))
    assert forms(Contract.from_text(NOTE + f"validity: [{{suite: {file}}}]\n")) == [IN_SET]
    assert forms(Contract(name="n", version=1, identity=["i"], validity=[{"suite": str(file)}])) == [IN_SET]


def test_the_hash_covers_what_it_holds_and_not_how_it_is_kept(tmp_path: Path) -> None:
    saved(tmp_path, suite(in_set()))
    first = contract(tmp_path)
    saved(tmp_path, json.dumps(suite(in_set(notes="changed nothing")), indent=4))
    assert contract(tmp_path).sha256 == first.sha256
    saved(tmp_path, suite(in_set(mostly=0.9)))
    assert contract(tmp_path).sha256 != first.sha256
    assert first.validity[0].kwargs == IN_SET["expect_column_values_to_be_in_set"]  # whatever became of the file


def test_a_suite_is_asked_like_anything_else(tmp_path: Path) -> None:
    saved(tmp_path, suite(in_set()))
    day = frame(message(1, 1, body="a"), message(2, 2, body="c"))
    with without_self_test():
        result = integrity.reconcile(contract(tmp_path), day, day)
    assert [(b.kind, b.message_id) for b in result.breaks.itertuples()] == [("invalid", "m2")]


def test_a_condition_on_rows_survives_being_saved(tmp_path: Path) -> None:
    from great_expectations.expectations.row_conditions import Column

    saved(tmp_path, suite(in_set(row_condition=Column("kind") == "text")))
    kinds = pl.Series(["text", "file", "text"])
    day = frame(*(message(n, n, body="c" if n else "a") for n in range(3))).with_columns(kind=kinds)
    with without_self_test():
        result = integrity.reconcile(contract(tmp_path), day, day)
    assert [(b.kind, b.message_id) for b in result.breaks.itertuples()] == [("invalid", "m2")]


def test_an_expectation_of_a_suite_that_there_is_not_is_named(tmp_path: Path) -> None:
    saved(tmp_path, {"expectations": [{"type": "expect_column_to_exst", "kwargs": {"column": "body"}}]})
    day = frame(message(1, 1))
    with pytest.raises(ContractError, match=r"validity\[0\]: .*; did you mean 'expect_column_to_exist'\?"):
        integrity.reconcile(contract(tmp_path), day, day)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", r"note\.json is no JSON: .*; save it again"),
        ("", r"note\.json is no JSON: "),
        ("[]", r"note\.json is no suite of Great Expectations: it has no list of expectations; save one with"),
        ("{}", "it has no list of expectations"),
        ('{"expectations": {}}', "it has no list of expectations"),
        ('{"expectations": ["expect"]}', "it has no list of expectations"),
        ('{"expectations": null}', "it has no list of expectations"),
        ('{"expectations": []}', "holds no expectation, and would always pass; leave it out"),
        ('{"expectations": [{}]}', r"validity\[0\]: is an expectation with its arguments, not \{\}"),
        ('{"expectations": [{"kwargs": {}, "meta": {}}]}', r"validity\[0\]: names 2 expectations"),
    ],
)
def test_a_file_that_is_no_suite_is_refused(content: str, says: str, tmp_path: Path) -> None:
    saved(tmp_path, content)
    with pytest.raises(ContractError, match=rf"note\.yaml.*{says}") as caught:
        contract(tmp_path)
    assert caught.value.advice
    assert caught.value.exit_code == 2


def test_a_file_that_is_not_utf_8_is_no_json(tmp_path: Path) -> None:
    saved(tmp_path, "{}").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ContractError, match=r"note\.json is no JSON"):
        contract(tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ContractError, match=r"suites/note\.json cannot be read: No such file.*relative to the contract"
    ):
        contract(tmp_path)
    (tmp_path / "suites").mkdir()
    with pytest.raises(ContractError, match="cannot be read: Is a directory"):
        contract(tmp_path, "{suite: suites}")


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("{suite: 5}", "a suite is the path of its JSON, not 5; write for example {suite: suites/messages.json"),
        ("{suite: [a.json]}", "a suite is the path of its JSON"),
        ("{suite: suites/note.json, sides: source}", "beside a suite there is no key 'sides'"),
        ("{suite: suites/note.json, side: sorce}", "validity[0].side: cannot be 'sorce'"),
        ("{suite: suites/note.json, mostly: 0.9}", "beside a suite there is no key 'mostly'"),
    ],
)
def test_what_cannot_be_meant_beside_a_suite_is_refused(entry: str, says: str, tmp_path: Path) -> None:
    saved(tmp_path, suite(in_set()))
    with pytest.raises(ContractError) as caught:
        contract(tmp_path, entry)
    assert says in str(caught.value)
