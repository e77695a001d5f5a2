"""Whatever was reconciled: its pack fits together, and doing it again finds the same."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings

import integrity
from integrity.ledger import Ledger
from integrity.ledger.listing import runs
from integrity.packs import export, verify_pack
from integrity.reperformance import reperform
from tests.effort import examples
from tests.test_reconcile_laws import Case, cases, without_self_test

numbers = itertools.count()


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger.open(tmp_path_factory.mktemp("ledger") / "ledger.db")


@settings(max_examples=examples(30), deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_every_run_makes_a_pack_that_fits(book: Ledger, tmp_path_factory: pytest.TempPathFactory, case: Case) -> None:
    folder = tmp_path_factory.mktemp("packs")
    case = replace(case, contract=integrity.Contract.from_dict({**promised(case), "name": f"case{next(numbers)}"}))
    sides, asked = arguments(case)
    with without_self_test():
        result = integrity.reconcile(*sides, **asked, ledger=book)
        run = latest(book)
        again_with = {name: asked[name] for name in ("outcomes", "grants", "corrections")}
        for name, key in (("open", None), ("closed", folder / "key")):
            pack = export(book, folder / name, run=run, pseudonymise=key)  # which verifies it
            assert verify_pack(pack).told["runs"][0]["verdict"] == result.verdict
            again = reperform(pack, *sides[1:], key=f"{book.database.file}.key", **again_with)
            assert not again.differences, again.headline()
            assert again.verdict == ("same" if again.batches else "unverified")


def promised(case: Case) -> dict[str, Any]:
    return dict(json.loads(case.contract.canonical))


def arguments(case: Case) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """How a case calls :func:`integrity.reconcile`."""
    with mock.patch.object(integrity, "reconcile") as called:
        case.reconcile()
    return called.call_args.args, called.call_args.kwargs


def latest(book: Ledger) -> str:
    return str(runs(book.database.file or "", last=1)["run"][0])
