"""What do expectations and grants cost, beside the reconciliation itself?

    python benchmarks/rules.py                       a million items; writes RESULTS.md
    python benchmarks/rules.py --rows 20000          does it still run? prints only

In one process, in turns, after a warm-up: five expectations of one side, beside Great Expectations alone on the same
frame in memory; the grants of every item, beside the control totals of the same items. Start-up is that of whole
processes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import data
import numpy as np
import polars as pl
import run
from run import HERE, RESULTS, say

import integrity
from integrity.gx_import import great_expectations

BEGIN, END = "<!-- rules.py writes from here … -->", "<!-- … to here, rules. -->"
FULL_ROWS, FULL_GRANTS, FULL_REPEAT = 1_000_000, 100_000, 7
EXPECTED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("expect_column_values_to_be_in_set", {"column": "kind", "value_set": ["text", "sticker", "image", "file"]}),
    ("expect_column_values_to_not_be_null", {"column": "sender_id"}),
    ("expect_column_values_to_be_between", {"column": "size_bytes", "min_value": 0, "max_value": 10**9}),
    ("expect_column_value_lengths_to_be_between", {"column": "message_id", "min_value": 1, "max_value": 64}),
    ("expect_column_values_to_match_regex", {"column": "sender_id", "regex": "^[a-z0-9-]+$"}),
)
GRANTS = {"actor": "member", "object": "tenant", "from": "since", "until": "until"}


def grants(source: Path, count: int) -> pl.DataFrame:
    """So many grants, among them one for nearly everybody who wrote for a tenant."""
    pairs = pl.scan_parquet(source).select("sender_id", "tenant_id").unique(maintain_order=True).collect()
    chance = np.random.default_rng(3)
    held = pairs.sample(min(pairs.height, int(count * 0.98)), seed=3)
    more = held.sample(count - held.height, with_replacement=True, seed=4)
    start = data.DAY - 86_400_000_000
    frame = pl.concat([held, more]).rename({"sender_id": "member", "tenant_id": "tenant"})
    since = pl.Series("since", start - chance.integers(0, 10**13, frame.height)).cast(pl.Datetime("us", "UTC"))
    return frame.with_columns(since, pl.lit(None, pl.Datetime("us", "UTC")).alias("until"))


def in_turns(work: Mapping[str, Callable[[], object]], repeat: int) -> dict[str, list[float]]:
    """Run each in turns, once before it counts; return seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(repeat + 1):
        for name, each in work.items():
            begun = time.perf_counter()
            each()
            if turn:
                seconds[name].append(time.perf_counter() - begun)
                say(f"{turn}/{repeat}  {name:<60} {seconds[name][-1]:6.2f} s")
    return seconds


def table(seconds: Mapping[str, list[float]], base: str, added: Mapping[str, tuple[str, str]]) -> list[str]:
    """Lines of a table; ``added`` says of what a row is the difference, run by run."""
    every = dict(seconds)
    for name, (more, less) in added.items():
        every[name] = [a - b for a, b in zip(seconds[more], seconds[less], strict=True)]
    middle = statistics.median(every[base])
    lines = [f"| | runs | seconds (min–max) | ÷ {base} |", "|---|--:|--:|--:|"]
    for name, each in every.items():
        median = statistics.median(each)
        lines.append(
            f"| {name} | {len(each)} | {median:.2f} ({min(each):.2f}–{max(each):.2f}) | {median / middle:.2f} |"
        )
    return lines


def alone(source: Path) -> Callable[[], object]:
    """Great Expectations as its own users run it, on a frame that is in memory already."""
    gx = great_expectations()
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    frame = pl.read_parquet(source).to_pandas()
    batch = context.data_sources.add_pandas("p").add_dataframe_asset("a").add_batch_definition_whole_dataframe("b")
    suite = gx.ExpectationSuite(name="five")
    for name, kwargs in EXPECTED:
        suite.add_expectation(gx.expectations.registry.get_expectation_impl(name)(**kwargs))

    def validated() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = batch.get_batch(batch_parameters={"dataframe": frame}).validate(suite)
        assert result.success
        return result

    return validated


def started(folder: Path, repeat: int) -> list[str]:
    """Whole processes: the command's help, and a run of ten items with and without an expectation."""
    rows = pl.DataFrame({"id": [str(n) for n in range(10)], "kind": ["text"] * 10})
    rows.write_csv(folder / "rows.csv")
    plain = "name: tiny\nversion: 1\nidentity: [id]\ncontent: {kind: text}\n"
    (folder / "plain.yaml").write_text(plain, encoding="utf-8")
    expects = plain + "validity: [expect_column_values_to_not_be_null: {column: kind}]\n"
    (folder / "expects.yaml").write_text(expects, encoding="utf-8")
    ours = [sys.executable, "-m", "integrity"]
    work = {
        "integrity --help": [*ours, "--help"],
        "ten rows, no expectation": [*ours, "reconcile", "plain.yaml", "rows.csv", "rows.csv"],
        "ten rows, one expectation": [*ours, "reconcile", "expects.yaml", "rows.csv", "rows.csv"],
        "import great_expectations": [sys.executable, "-c", "import great_expectations"],
    }

    def once(line: list[str]) -> Callable[[], object]:
        def work() -> None:
            _, _, code, last = run.spawn(line, folder)
            assert code == 0, last

        return work

    return table(in_turns({name: once(line) for name, line in work.items()}, repeat), "ten rows, no expectation", {})


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure expectations and grants.")
    option = parser.add_argument
    option("--rows", type=int, default=FULL_ROWS, help="items")
    option("--grants", type=int, default=FULL_GRANTS, help="grants")
    option("--repeat", type=int, default=FULL_REPEAT, help="runs of each")
    option("--results", type=Path, help="put the section into this; a full run writes RESULTS.md if this is left out")
    asked = parser.parse_args()
    about = (
        f"- machine: {run.machine(os.getloadavg()[0])}\n- ours: {run.ours_installed('polars', 'great-expectations')}"
    )
    lines = ["## Rules", "", time.strftime("%Y-%m-%d, by `python benchmarks/rules.py`."), "", about, ""]
    plain = integrity.Contract.from_yaml(HERE / "messages.yaml")
    written = plain.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    written.pop("validity", None)
    written.pop("authorization", None)
    plain = integrity.Contract.from_dict(written)
    validity = [{name: kwargs, "side": "source"} for name, kwargs in EXPECTED]
    expects = integrity.Contract.from_dict(written | {"validity": validity})
    held = {"actor": "sender_id", "object": "tenant_id", "grants": GRANTS}
    permits = integrity.Contract.from_dict(written | {"authorization": held})
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=HERE if os.access(HERE, os.W_OK) else None) as name:
        folder = Path(name)
        say(f"writing {asked.rows:,} items")
        data.write(folder, asked.rows, ("identical",))
        source, destination = folder / "source.parquet", folder / "identical.parquet"
        members = grants(source, asked.grants)

        def reconciled(contract: integrity.Contract, **more: Any) -> Callable[[], object]:
            return lambda: integrity.reconcile(contract, str(source), str(destination), **more)

        said = reconciled(permits, grants=members)()
        assert isinstance(said, integrity.Result)
        say(str(said))
        seconds = in_turns(
            {
                "Great Expectations alone": alone(source),
                "reconcile": reconciled(plain),
                "reconcile, 5 expectations of the source": reconciled(expects),
            },
            asked.repeat,
        )
        added = {"what they add": ("reconcile, 5 expectations of the source", "reconcile")}
        lines += [f"### Five expectations of {asked.rows:,} items", ""]
        lines += [*table(seconds, "Great Expectations alone", added), ""]
        seconds = in_turns(
            {
                "control totals of the source": lambda: integrity.measure(plain, str(source), side="source"),
                "reconcile": reconciled(plain),
                "reconcile, with grants": reconciled(permits, grants=members),
            },
            asked.repeat,
        )
        added = {"what they add": ("reconcile, with grants", "reconcile")}
        found = f"{said.totals['unauthorized']:,} unauthorized"
        lines += [f"### {asked.rows:,} items against {members.height:,} grants: {found}", ""]
        lines += [*table(seconds, "control totals of the source", added), ""]
        lines += ["### Start-up, whole processes", "", *started(folder, asked.repeat), ""]
    text = "\n".join(lines)
    print(text)
    full = (asked.rows, asked.grants) == (FULL_ROWS, FULL_GRANTS) and asked.repeat >= FULL_REPEAT
    if asked.results or full:
        run.put(asked.results or RESULTS, text, BEGIN, END)


if __name__ == "__main__":
    main()
